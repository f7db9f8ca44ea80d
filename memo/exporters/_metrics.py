"""The text that Prometheus scrapes: ``/metrics``."""

import importlib
from typing import Any

from memo import Registry
from memo.errors import MissingExtra

__all__ = ("exposition",)


def exposition(registry: Registry, accept: str) -> tuple[str, bytes]:
    """The type and the text of what a scrape gets; *accept* is the header by which a scraper says what it can read.

    Raises:
        MissingExtra: prometheus-client is not installed.
    """
    try:
        client: Any = importlib.import_module("prometheus_client")
        writers: Any = importlib.import_module("prometheus_client.exposition")
        collector = importlib.import_module("memo.exporters.prometheus").MemoCollector
    except ModuleNotFoundError as error:
        raise MissingExtra("/metrics needs prometheus-client; install memo-toolkit[prometheus].") from error
    gathered = client.CollectorRegistry(auto_describe=False)
    gathered.register(collector(registry))
    encode, kind = writers.choose_encoder(accept)
    return str(kind), bytes(encode(gathered))
