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
    # Where there are other workers, the one that is asked tells of all; alone it needs no label to say which it is.
    gathered.register(MemoCollector(registry, per_process=bool(view_of(registry).find_siblings())))
    encode, kind = choose_encoder(accept)
    return kind, encode(gathered)
