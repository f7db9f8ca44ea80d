"""How long loads take, as a histogram of OpenTelemetry's SDK."""

import contextlib
import functools
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from kit.coroutines import finished
from kit.instructions import at_every_instruction, stopped
from kit.telemetry import Meters, Traces

from memo import Registry, bounded, dedupe_inflight
from memo.exporters._otel_durations import Durations
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


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", [functools.partial(bounded, max=9), dedupe_inflight], ids=["bounded", "inflight"])
def test_functions_that_are_gone_leave_no_durations(own: Registry, kind: Any, is_async: bool) -> None:
    """After a collection nothing is kept of functions that had loads, however many names they had."""
    meters = Meters()
    handle = instrument(own, meters.provider, spans="none")

    async def awaited(x: int) -> int:
        return x

    def plain(x: int) -> int:
        return x

    for number in range(30):  # as functions that are made for each request
        finished(kind(registry=own, name=f"f{number}")(awaited if is_async else plain)(number))
        if number % 10 == 9:
            assert sum(point.count for point in meters.values("memo.load.duration").values()) == number + 1
    assert handle._instruments.durations._waiting == {}


def test_no_duration_is_lost_or_told_twice_wherever_it_is_handed_over() -> None:
    """Handed over at each instruction of what adds one, or adding at each of what hands over, each counts once."""
    told: list[float] = []

    class Meter:
        def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
            return self

        def record(self, seconds: float, attributes: object) -> None:
            told.append(seconds)

    def trial(adds: bool, at: int) -> bool:
        told.clear()
        durations = Durations(Meter())  # type: ignore[arg-type]
        durations.add("f", "ok", 1.0)

        def add() -> None:
            durations.add("f", "ok", 2.0)

        call, other = (add, durations.hand_over) if adds else (durations.hand_over, add)
        _, reached = stopped(call, at, lambda frame: other(), "_otel_durations")()
        durations.hand_over()
        assert sorted(told) == ([1.0, 2.0] if adds or reached else [1.0])
        assert durations._waiting == {}
        return reached  # type: ignore[no-any-return]

    for adds in (False, True):
        assert at_every_instruction(lambda at, adds=adds: trial(adds, at)) > 20
