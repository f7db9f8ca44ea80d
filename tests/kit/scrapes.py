"""Real scrapes: over HTTP, read by the parsers of Prometheus' own client."""

import contextlib
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed_text

__all__ = ("OPENMETRICS", "Scraped", "scraped", "scraper")

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Scraped:
    """What one scrape told."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families: list[Metric] = list(families)

    def value(self, sample: str, **labels: str) -> float | None:
        """Of the one sample of that name with exactly these labels; None if there is none."""
        found = [value for given, value in self.values(sample) if given == labels]
        assert len(found) <= 1, f"{sample}{labels} is there {len(found)} times"
        return found[0] if found else None

    def values(self, sample: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each sample of that name."""
        return [(one.labels, one.value) for family in self.families for one in family.samples if one.name == sample]

    def functions(self) -> set[str]:
        """Those that any sample is about."""
        return {
            one.labels["function"] for family in self.families for one in family.samples if "function" in one.labels
        }


def scraped(url: str, accept: str = "text/plain") -> Scraped:
    """Scrape *url*."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
    return Scraped(parsed_openmetrics(text) if accept == OPENMETRICS else parsed_text(text))


class _Silent(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def scraper(*collectors: Any) -> Iterator[str]:
    """Serve what *collectors* tell, as the client does; yields the URL."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    app = make_wsgi_app(registry)
    server = make_server("127.0.0.1", 0, app, ThreadingWSGIServer, handler_class=_Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
