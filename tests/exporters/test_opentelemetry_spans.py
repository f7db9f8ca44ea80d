"""Loads as spans of OpenTelemetry's SDK: whose children they are, what links to them, what they tell, and how long."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from kit.coroutines import play, some_turns, until_async
from kit.observers import Noting
from kit.processes import in_a_child
from kit.telemetry import Meters, Traces
from kit.threads import Gate, Running, until
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracer, NoOpTracerProvider, SpanKind, StatusCode

from memo import InflightTimeout, Registry, bounded, bounded_many, dedupe_inflight
from memo._base import Load, observe_loads
from memo.exporters.opentelemetry import instrument
from memo.testing import FakeClock

__all__ = ()


@pytest.fixture
def traces() -> Traces:
    """A provider of the test's own."""
    return Traces()


@contextlib.contextmanager
def told(own: Registry, traces: Traces, **options: Any) -> Iterator[None]:
    """Within the block, *traces* is told of the loads of *own*."""
    handle = instrument(own, Meters().provider, traces.provider, **options)
    try:
        yield
    finally:
        handle.uninstrument()


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.context is not None
    assert parent.context is not None
    same = span.context.trace_id == parent.context.trace_id
    return same and span.parent is not None and span.parent.span_id == parent.context.span_id


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    """The spans that it links to."""
    return [ids(link) for link in span.links]


def ids(of: Any) -> tuple[int, int]:
    return of.context.trace_id, of.context.span_id


def of_load(span: ReadableSpan) -> dict[str, Any]:
    return {key: value for key, value in (span.attributes or {}).items() if key != "memo.function.name"}


# -- whose child


def test_a_load_is_a_child_of_its_caller(own: Registry, traces: Traces) -> None:
    """A miss has a span in its caller's, what the function begins is within that, and a hit has none."""

    @bounded(max=3, registry=own, name="f")
    def f(x: int) -> int:
        with traces.tracer.start_as_current_span("inside"):
            return x

    with told(own, traces), traces.tracer.start_as_current_span("caller") as caller:
        f(1), f(1)
        assert trace.get_current_span() is caller
        f.cache.refresh(1)
    first, second = traces.ended("load f")
    assert [is_child(load, traces.one("caller")) for load in (first, second)] == [True, True]
    assert [is_child(span, load) for span, load in zip(traces.ended("inside"), (first, second), strict=True)] == [
        True
    ] * 2
    assert first.kind is SpanKind.INTERNAL
    assert dict(first.attributes or {}) == {
        "memo.function.name": "f",
        "memo.load.trigger": "miss",
        "memo.load.outcome": "ok",
        "memo.load.joined": 0,
    }
    assert of_load(second)["memo.load.trigger"] == "refresh"
    assert first.status.status_code is StatusCode.UNSET
    assert first.instrumentation_scope is not None
    assert first.instrumentation_scope.name == "memo"


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_an_awaited_load_is_a_child_of_its_caller(own: Registry, traces: Traces, work: Any) -> None:
    """So in a task of its own and in its caller's; joiners link from their own span."""
    go_on = asyncio.Event()

    @bounded(max=3, work=work, registry=own, name="f")
    async def f(x: int) -> int:
        with traces.tracer.start_as_current_span("inside"):
            await go_on.wait()
            return x

    async def call(name: str) -> None:
        with traces.tracer.start_as_current_span(name) as mine:
            assert await f(1) == 1
            assert trace.get_current_span() is mine
            assert await f(1) == 1

    async def main() -> None:
        calls = [asyncio.create_task(call("caller"))]
        await some_turns()
        calls += [asyncio.create_task(call("joiner")) for _ in range(2)]
        await until_async(lambda: f.inflight.stats().waiting == 2)
        go_on.set()
        await asyncio.gather(*calls)

    with told(own, traces):
        play(main)
    load = traces.one("load f")
    assert is_child(load, traces.one("caller"))
    assert is_child(traces.one("inside"), load)
    assert of_load(load)["memo.load.joined"] == 2
    assert [links(span) for span in traces.ended("joiner")] == [[ids(load)]] * 2
    assert links(traces.one("caller")) == []
    assert len(traces.ended()) == 5


def test_threads_that_join_link_to_the_load(own: Registry, traces: Traces) -> None:
    """A joiner in a thread has a link in its own span, and none in one that does not record; it has no other span."""
    gate = Gate()

    @dedupe_inflight(registry=own, name="f")
    def f(x: int) -> int:
        gate.wait()
        return x

    def call(name: str) -> int:
        with traces.tracer.start_as_current_span(name):
            return f(1)

    with told(own, traces):
        calls = [Running(lambda: call("caller"))]
        gate.reached()
        calls += [Running(lambda: call("joiner")), Running(lambda: f(1))]
        until(lambda: f.inflight.stats().waiting == 2)
        gate.open()
        assert [one.result() for one in calls] == [1, 1, 1]
    load = traces.one("load f")
    assert links(traces.one("joiner")) == [ids(load)]
    assert (traces.one("joiner").links[0].attributes or {})["memo.function.name"] == "f"
    assert of_load(load)["memo.load.joined"] == 2
    assert len(traces.ended()) == 3


@pytest.mark.parametrize("is_awaited", [False, True], ids=["plain", "awaited"])
def test_a_load_in_the_background_is_a_root(own: Registry, traces: Traces, clock: FakeClock, is_awaited: bool) -> None:
    """It has no parent, and links to the span of the caller that began it, which may have ended long ago."""
    gate = Gate()
    options = {"max": 3, "ttl": 1, "stale_while_revalidate": 9, "registry": own, "name": "f"}

    def work(x: int) -> int:
        with traces.tracer.start_as_current_span("inside"):
            return x

    async def main() -> None:
        go_on = asyncio.Event()

        @bounded(**options)
        async def f(x: int) -> int:
            if traces.ended("caller"):
                await go_on.wait()
            return work(x)

        await f(1)
        clock.advance(2)
        with traces.tracer.start_as_current_span("caller"):
            assert await f(1) == 1
        go_on.set()
        await until_async(lambda: f.cache.stats().loads == 2)

    def plainly() -> None:
        @bounded(**options)
        def f(x: int) -> int:
            if f.cache.stats().loads:
                gate.wait()
            return work(x)

        f(1)
        clock.advance(2)
        with traces.tracer.start_as_current_span("caller"):
            assert f(1) == 1
        gate.open()
        until(lambda: f.cache.stats().loads == 2)

    with told(own, traces):
        if is_awaited:
            play(main)
        else:
            plainly()
        until(lambda: traces.ended("load f"))
    load = traces.one("load f")
    assert load.parent is None
    assert links(load) == [ids(traces.one("caller"))]
    assert of_load(load)["memo.load.trigger"] == "background"
    assert is_child(traces.ended("inside")[-1], load)


def test_who_takes_over_has_a_load_of_its_own(own: Registry, traces: Traces) -> None:
    """A leader that is cancelled ends its span so; the joiner that takes over has one in its own, with that trigger."""
    never = asyncio.Event()

    @bounded(max=3, work="caller", registry=own, name="f")
    async def f(x: int) -> int:
        if trace.get_current_span().parent.span_id == spans["first"]:  # type: ignore[attr-defined]
            await never.wait()
        return x

    spans: dict[str, int] = {}

    async def call(name: str) -> int:
        with traces.tracer.start_as_current_span(name) as mine:
            spans[name] = mine.get_span_context().span_id
            return await f(1)

    async def main() -> None:
        first = asyncio.create_task(call("first"))
        await some_turns()
        second = asyncio.create_task(call("second"))
        await until_async(lambda: f.inflight.stats().waiting == 1)
        first.cancel()
        assert await second == 1

    with told(own, traces):
        play(main)
    lost, taken = traces.ended("load f")
    assert is_child(lost, traces.one("first"))
    assert of_load(lost)["memo.load.outcome"] == "cancelled"
    assert lost.status.status_code is StatusCode.UNSET
    assert is_child(taken, traces.one("second"))
    assert of_load(taken)["memo.load.trigger"] == "takeover"
    assert of_load(taken)["memo.load.outcome"] == "ok"


# -- how it ended


def test_a_failure_is_told_by_its_type_alone(own: Registry, traces: Traces) -> None:
    """An error sets the status and the type; neither its message nor the key leaves."""

    @bounded(max=3, registry=own, name="f")
    def f(secret: str) -> str:
        raise PermissionError(f"not for {secret}")

    with told(own, traces), traces.tracer.start_as_current_span("caller"), contextlib.suppress(PermissionError):
        f("hunter2")
    load = traces.one("load f")
    assert load.status.status_code is StatusCode.ERROR
    assert of_load(load) == {
        "memo.load.trigger": "miss",
        "memo.load.outcome": "error",
        "memo.load.joined": 0,
        "error.type": "PermissionError",
    }
    assert "hunter2" not in load.to_json()


def test_a_load_past_its_deadline(own: Registry, traces: Traces) -> None:
    """One that was cancelled since it took too long is told as a timeout, and is an error."""
    clock = FakeClock()

    @dedupe_inflight(timeout=5, registry=own, name="f", clock=clock)
    async def f() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        with traces.tracer.start_as_current_span("caller"):
            call = asyncio.create_task(f())
            await until_async(lambda: f.inflight.stats().active)
            await some_turns()
            clock.advance(6)
            with pytest.raises(InflightTimeout):
                await call
            await until_async(lambda: traces.ended("load f"))

    with told(own, traces):
        play(main)
    load = traces.one("load f")
    assert of_load(load)["memo.load.outcome"] == "timeout"
    assert load.status.status_code is StatusCode.ERROR


# -- which loads have one


class Counting(NoOpTracerProvider, NoOpTracer):
    """Counts the spans that are begun, none of which records."""

    def __init__(self) -> None:
        self.begun = 0

    def get_tracer(self, *args: Any, **kwargs: Any) -> "Counting":
        return self

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        self.begun += 1
        return trace.INVALID_SPAN


@pytest.mark.parametrize(("spans", "counts"), [("loads", (0, 0, 1)), ("all", (1, 1, 1)), ("none", (0, 0, 0))])
def test_spans_follow_their_caller(own: Registry, traces: Traces, spans: Any, counts: tuple[int, ...]) -> None:
    """No tracer is asked for a span where none records: without one, in one that is not sampled, in one that is."""
    counting = Counting()
    instrument(own, Meters().provider, counting, spans=spans)
    f = bounded(max=9, registry=own, name="f")(lambda x: x)
    found = []
    for around in (None, Traces(ALWAYS_OFF), traces):
        counting.begun = 0
        with around.tracer.start_as_current_span("caller") if around else contextlib.nullcontext():
            f(len(found))
        found.append(counting.begun)
    assert tuple(found) == counts


class NoLoads(Sampler):
    """Samples all but loads, and notes what it was told of them."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *args: Any,
        **k: Any,
    ) -> SamplingResult:
        if not name.startswith("load "):
            return SamplingResult(Decision.RECORD_AND_SAMPLE)
        self.told.append(dict(attributes))
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "no loads"


def test_a_sampler_decides(own: Registry) -> None:
    """A sampler sees a load's attributes; one that it drops is not linked to, and what is within it is not sampled."""
    sampler = NoLoads()
    traces = Traces(sampler)
    gate = Gate()

    @bounded(max=9, registry=own, name="f")
    def f(x: int) -> bool:
        gate.wait()
        return trace.get_current_span().is_recording()

    def call() -> bool:
        with traces.tracer.start_as_current_span("caller"):
            return f(1)

    with told(own, traces):
        first = Running(call)
        gate.reached()
        second = Running(call)
        until(lambda: f.inflight.stats().waiting)
        gate.open()
        assert (first.result(), second.result()) == (False, False)
    assert sampler.told == [{"memo.function.name": "f", "memo.load.trigger": "miss"}]
    assert [links(span) for span in traces.ended()] == [[], []]


def test_keys_are_told_by_a_hash_with_a_secret(own: Registry, traces: Traces) -> None:
    """Equal keys have one hash, others another; it is not that of the interpreter."""
    f = bounded(max=9, registry=own, name="f")(lambda x, y=2: x)
    with told(own, traces, key_hash=True), traces.tracer.start_as_current_span("caller"):
        f(1), f.cache.clear(), f(1.0, y=2), f(3)
    first, again, other = [of_load(span)["memo.key.hash"] for span in traces.ended("load f")]
    assert first == again != other
    assert len(first) == 16
    assert int(first, 16) != hash((1, 2))


def test_a_key_that_fails_is_not_told(own: Registry, traces: Traces) -> None:
    """A load whose key cannot be hashed as its span begins has a span all the same."""

    class Failing:
        fails = False

        def __hash__(self) -> int:
            if self.fails:
                raise OSError("no hash now")
            return 1

    class First(Noting):
        def begin(self, load: Load) -> None:
            load.key().fails = True

    def f(x: Failing) -> int:
        x.fails = False
        return 1

    f = bounded(max=9, registry=own, name="f")(f)
    observe_loads(own, First())
    with told(own, traces, key_hash=True), traces.tracer.start_as_current_span("caller"):
        assert f(Failing()) == 1
    assert of_load(traces.one("load f")).keys() == {"memo.load.trigger", "memo.load.outcome", "memo.load.joined"}


def test_a_batch_has_one_span(own: Registry, traces: Traces) -> None:
    """A function of many keys has a span for each batch, with one hash of all its keys."""
    f = bounded_many(max=9, registry=own, name="f")(lambda names: {name: name for name in names})
    with told(own, traces, key_hash=True), traces.tracer.start_as_current_span("caller"):
        f(["a", "b"]), f(["a", "b"]), f(["a", "c"])
    first, second = traces.ended("load f")
    assert is_child(first, traces.one("caller"))
    assert of_load(first)["memo.key.hash"] != of_load(second)["memo.key.hash"]


# -- what must not be harmed


class Raising(SpanProcessor):
    """A processor that fails, at the begin or at the end."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self._at == "begin" and span.name.startswith("load"):
            raise OSError("the processor failed")

    def on_end(self, span: ReadableSpan) -> None:
        if self._at == "end" and span.name.startswith("load"):
            raise OSError("the processor failed")


@pytest.mark.parametrize("at", ["begin", "end"])
def test_a_tracer_that_fails_harms_no_call(
    own: Registry, traces: Traces, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls get their results, and keep their span; durations are counted; the log says what failed."""
    traces.provider.add_span_processor(Raising(at))
    meters = Meters()
    instrument(own, meters.provider, traces.provider)
    f = bounded(max=9, registry=own, name="f")(lambda x: x)
    with traces.tracer.start_as_current_span("caller") as caller:
        assert [f(1), f(1), f(2)] == [1, 1, 2]
        assert trace.get_current_span() is caller
    assert meters.values("memo.load.duration")["f", "ok"].count == 2
    said = caplog.text.count("OSError: the processor failed")
    assert said == 1 or (said == 0 and at == "end"), "once a minute, of whatever observer failed at the end"
    caplog.clear()


def test_a_load_outlives_its_instrumentation(own: Registry, traces: Traces) -> None:
    """A load that runs when its registry is told of no more ends its span all the same."""
    gate = Gate()
    f = bounded(max=9, registry=own, name="f")(lambda x: gate.wait())

    def call() -> None:
        with traces.tracer.start_as_current_span("caller"):
            f(1)

    with told(own, traces):
        running = Running(call)
        gate.reached()
    gate.open()
    running.join()
    assert of_load(traces.one("load f"))["memo.load.outcome"] == "ok"
    gate.open()
    with traces.tracer.start_as_current_span("caller"):
        f(2)
    assert len(traces.ended("load f")) == 1


def test_spans_in_a_forked_child(own: Registry, traces: Traces) -> None:
    """A child, forked within a span, has its loads told of."""
    f = bounded(max=9, registry=own, name="f")(lambda x: x)

    def act() -> bool:
        f(1)
        return len(traces.ended("load f")) == 1

    with told(own, traces), traces.tracer.start_as_current_span("caller"):
        assert in_a_child(act) == 0
    assert traces.ended("load f") == []
