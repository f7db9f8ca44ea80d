"""An OpenTelemetry SDK that keeps what it is told in memory."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ("Meters", "Traces")


class Meters:
    """A meter provider, and what a reader gets of it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def read(self) -> dict[str, Metric]:
        """Collect: the metrics by name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for of in data.resource_metrics for scope in of.scope_metrics] if data else []
        assert {scope.scope.name for scope in scopes} <= {"memo"}
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def values(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Collect: the figures of one metric by the values of their attributes, the function's name first."""
        metric = self.read().get(name)
        points: Any = metric.data.data_points if metric else ()
        return {
            (point.attributes.get("memo.function.name"), *rest(point.attributes)): getattr(point, "value", point)
            for point in points
        }


def rest(attributes: Any) -> list[Any]:
    return [value for key, value in sorted(attributes.items()) if key != "memo.function.name"]


class Traces:
    """A tracer provider, and the spans that have ended."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    def ended(self, name: str | None = None) -> list[ReadableSpan]:
        """Those of a name, or all, in the order in which they ended."""
        return [span for span in self._exporter.get_finished_spans() if name in (None, span.name)]

    def one(self, name: str) -> ReadableSpan:
        """The only one of that name."""
        found = self.ended(name)
        assert len(found) == 1, [span.name for span in self.ended()]
        return found[0]
