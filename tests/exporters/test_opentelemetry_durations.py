"""How long loads take, as a histogram of OpenTelemetry's SDK."""

import contextlib

import pytest

pytest.importorskip("opentelemetry.sdk")

from kit.telemetry import Meters, Traces

from memo import Registry, bounded
from memo.exporters.opentelemetry import instrument

__all__ = ()


def test_durations_are_told_at_the_collection(own: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each load counts once, by its outcome, whether it waited for the collection or was told at once."""
    monkeypatch.setattr("memo.exporters._otel_durations._MOST", 5)
    meters = Meters()
    handle = instrument(own, meters.provider, spans="none")

    @bounded(max=99, registry=own, name="f")
    def f(x: int) -> int:
        return 1 // x

    for x in range(10):
        with contextlib.suppress(ZeroDivisionError):
            f(x)
    found = meters.values("memo.load.duration")
    assert {key: point.count for key, point in found.items()} == {("f", "ok"): 9, ("f", "error"): 1}
    assert found["f", "ok"].explicit_bounds[:2] == (0.001, 0.0025)
    f(10)
    assert meters.values("memo.load.duration")["f", "ok"].count == 10
    f(11)
    handle.uninstrument()
    f(12)
    assert meters.values("memo.load.duration")["f", "ok"].count == 11


def test_durations_have_the_spans_as_examples(own: Registry) -> None:
    """A load with a span that records is an example of its bucket."""
    meters, traces = Meters(), Traces()
    instrument(own, meters.provider, traces.provider)
    f = bounded(max=9, registry=own, name="f")(lambda x: x)
    with traces.tracer.start_as_current_span("caller"):
        f(1)
    (example,) = meters.values("memo.load.duration")["f", "ok"].exemplars
    load = traces.one("load f").context
    assert load is not None
    assert (example.trace_id, example.span_id) == (load.trace_id, load.span_id)
