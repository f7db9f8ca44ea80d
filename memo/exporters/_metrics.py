"""The text that Prometheus scrapes: ``/metrics``."""

from memo import Registry
from memo.errors import MissingExtra
from memo.exporters._view import view_of

__all__ = ("exposition",)


def exposition(registry: Registry, accept: str) -> tuple[str, bytes]:
    """The type and the text of what a scrape gets; *accept* is the header by which a scraper says what it can read.

    Raises:
        MissingExtra: prometheus-client is not installed.
    """
    # Only now: whoever serves figures need not have it.
    from memo.exporters.prometheus import MemoCollector

    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError as error:
        raise MissingExtra("/metrics needs prometheus-client; install memo-toolkit[prometheus].") from error
    gathered = CollectorRegistry(auto_describe=False)
    # The rule: one of several workers tells of all, each with its label, and keeps that label when it is left alone, as
    # during a restart: a series whose labels change has ended, and another one begins.  One that is alone from the
    # start needs no label: its target says which it is, and with a process's number each restart were new series.
    gathered.register(MemoCollector(registry, per_process=view_of(registry).is_one_of_several()))
    encode, kind = choose_encoder(accept)
    return kind, encode(gathered)
