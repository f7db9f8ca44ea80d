"""Figures of a registry as a reader of OpenTelemetry's SDK collects them."""

import gc
import re
import weakref
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from kit.exported import ReadBy, unreadable
from kit.interpreters import run_after
from kit.places import ROOT
from kit.processes import in_a_child
from kit.telemetry import Meters
from opentelemetry.metrics import CallbackOptions, NoOpMeter, NoOpMeterProvider

from memo import Registry, bounded, dedupe_inflight, limit, sliding_window
from memo.exporters.opentelemetry import instrument
from memo.testing import FakeClock

__all__ = ()


@pytest.fixture
def meters(clock: FakeClock) -> Meters:
    """A provider of the test's own."""
    return Meters()


def test_every_figure_has_its_name_unit_and_attributes(own: Registry, meters: Meters) -> None:
    """What a function counts is told under names of dots, with units, and attributes where it is of several kinds."""
    instrument(own, meters.provider)

    @sliding_window("1h", registry=own, name="f")
    @limit("100/1h")
    @bounded(max=2, max_bytes="1MB")
    def f(x: int) -> int:
        return 1 // x

    for x in (1, 1, 2, 3, 0):
        with pytest.raises(ZeroDivisionError) if x == 0 else pytest.MonkeyPatch.context():
            f(x)

    told = meters.read()
    assert {name: (metric.unit, kind(metric)) for name, metric in told.items()} == {
        "memo.functions": ("{function}", "up and down"),
        "memo.cache.requests": ("{request}", "counter"),
        "memo.cache.loads": ("{load}", "counter"),
        "memo.cache.evictions": ("{entry}", "counter"),
        "memo.cache.entries": ("{entry}", "up and down"),
        "memo.cache.max_entries": ("{entry}", "up and down"),
        "memo.cache.size": ("By", "up and down"),
        "memo.cache.max_size": ("By", "up and down"),
        "memo.inflight.active": ("{call}", "up and down"),
        "memo.inflight.waiting": ("{call}", "up and down"),
        "memo.inflight.started": ("{call}", "counter"),
        "memo.inflight.ended": ("{call}", "counter"),
        "memo.window.calls": ("{call}", "up and down"),
        "memo.window.errors": ("{call}", "up and down"),
        "memo.window.span": ("s", "gauge"),
        "memo.window.duration": ("s", "gauge"),
        "memo.limit.requests": ("{request}", "counter"),
        "memo.limit.waiting": ("{call}", "up and down"),
        "memo.limit.keys": ("{key}", "up and down"),
        "memo.load.duration": ("s", "histogram"),
    }
    assert attributes(told["memo.cache.requests"]) == [
        ({"memo.function.name": "f", "memo.cache.result": "hit"}, 1),
        ({"memo.function.name": "f", "memo.cache.result": "miss"}, 4),
    ]
    assert attributes(told["memo.cache.loads"]) == [
        ({"memo.function.name": "f", "memo.load.outcome": "ok"}, 3),
        ({"memo.function.name": "f", "memo.load.outcome": "error"}, 1),
    ]
    assert attributes(told["memo.cache.evictions"]) == [
        ({"memo.function.name": "f", "memo.cache.eviction.reason": "size"}, 1)
    ]
    assert attributes(told["memo.cache.max_size"]) == [({"memo.function.name": "f"}, 1_000_000)]
    assert attributes(told["memo.limit.requests"]) == [({"memo.function.name": "f", "memo.limit.result": "allowed"}, 5)]
    quantiles = [found["memo.window.quantile"] for found, _ in attributes(told["memo.window.duration"])]
    assert quantiles == ["0.5", "0.95", "0.99"]
    for name, metric in told.items():
        assert re.fullmatch(r"memo(\.[a-z]+(_[a-z]+)*)+", name)
        assert metric.description


def kind(metric: Any) -> str:
    if hasattr(metric.data, "is_monotonic"):
        return "counter" if metric.data.is_monotonic else "up and down"
    return str(type(metric.data).__name__.lower())


def attributes(metric: Any) -> list[tuple[dict[str, Any], Any]]:
    return [(dict(point.attributes), point.value) for point in metric.data.data_points]


def test_results_are_all_calls(own: Registry, meters: Meters, clock: FakeClock) -> None:
    """The results of a function together are its calls, whatever answered them."""
    instrument(own, meters.provider)
    failing: list[int] = []

    @bounded(
        max=3, ttl=1, stale_if_error=10, cache_errors=LookupError, error_ttl=5, registry=own, name="f", clock=clock
    )
    def f(x: int) -> int:
        if failing or x < 0:
            raise LookupError
        return x

    f(1), f(1)
    clock.advance(2)
    failing.append(1)
    f(1)
    for _ in range(2):
        with pytest.raises(LookupError):
            f(-1)
    stats = f.cache.stats()
    told = meters.values("memo.cache.requests")
    assert told == {("f", "hit"): 1, ("f", "miss"): 2, ("f", "stale"): 1, ("f", "error"): 1}
    assert sum(told.values()) == stats.requests == 5


class Asking(NoOpMeterProvider, NoOpMeter):
    """A meter that has its instruments asked when and how often the test likes."""

    def __init__(self) -> None:
        super().__init__("asking")
        self.ask: dict[str, Any] = {}

    def get_meter(self, *args: Any, **kwargs: Any) -> "Asking":
        return self

    def create_observable_counter(self, name: str, callbacks: Any = None, *args: Any) -> Any:
        self.ask[name] = lambda: [one.value for one in callbacks[0](CallbackOptions())]

    create_observable_up_down_counter = create_observable_gauge = create_observable_counter


def test_one_collection_has_one_snapshot(own: Registry, clock: FakeClock) -> None:
    """All instruments observe one look at each function, however long that takes, and the next collection another."""
    asking = Asking()
    instrument(own, asking)
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    for number in (1, 2):
        f(number)
        told = {}
        for name, ask in asking.ask.items():
            told[name] = ask()
            f(f"between {name} and the next, {number}")
            clock.advance(1)
        misses = 1 if number == 1 else len(asking.ask) + 2
        assert told["memo.cache.requests"] == told["memo.inflight.started"] == [misses]
    assert asking.ask["memo.cache.requests"]() == [2 * len(asking.ask) + 2], "asked once more, it is another one"


def test_nothing_is_told_of_what_has_nothing_to_tell(own: Registry, meters: Meters, clock: FakeClock) -> None:
    """Functions without a call, those that are gone, and figures that are not counted have no series."""
    instrument(own, meters.provider)
    idle = bounded(max=3, registry=own, name="idle")(lambda x: x)
    short_lived = bounded(max=3, registry=own, name="short_lived")(lambda x: x)
    short_lived(1)
    uncounted = {"a": 1}
    adopted = type("Counting", (dict,), {"maxsize": None, "currsize": property(len), "__hash__": object.__hash__})(
        uncounted
    )
    own.adopt(adopted, name="adopted")
    told = meters.read()
    assert functions(told) == {"short_lived", "adopted"}
    assert {name for name in told if name.startswith("memo.adopted")} == {"memo.adopted.entries"}
    assert meters.values("memo.functions") == {(None,): 3}

    del short_lived
    gc.collect()
    clock.advance(1)
    idle(1)
    assert functions(meters.read()) == {"idle", "adopted"}
    assert meters.values("memo.functions") == {(None,): 2}


def functions(told: dict[str, Any]) -> set[Any]:
    """Those that have a series of what is observed."""
    points = [point for name, one in told.items() if name != "memo.load.duration" for point in one.data.data_points]
    return {point.attributes.get("memo.function.name") for point in points} - {None}


def test_names_are_cut_and_what_is_alike_is_told_apart(own: Registry, meters: Meters) -> None:
    """A name has at most 200 characters that can be encoded; two that are alike so far are told apart."""
    instrument(own, meters.provider)
    kept = [bounded(max=3, registry=own, name=f"{'x' * 10_000}{n}")(lambda x: x) for n in range(2)]
    kept.append(bounded(max=3, registry=own, name='"\\\n\ud800')(lambda x: x))
    for f in kept:
        f(1)
    told = meters.values("memo.cache.requests")
    assert told == {("x" * 200, "miss"): 1, (f"{'x' * 192}#2", "miss"): 1, ('"\\\n\\ud800', "miss"): 1}


def test_what_cannot_be_read_is_left_out(own: Registry, meters: Meters, caplog: pytest.LogCaptureFixture) -> None:
    """A function whose figures raise has no series, the others have; the log says so."""
    instrument(own, meters.provider)
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    f(1)
    with unreadable(own, "stuck"):
        assert meters.values("memo.cache.requests") == {("f", "miss"): 1}
    assert [record.getMessage() for record in caplog.records if record.name == "memo"] == [
        "stuck is left out of what is exported: its figures cannot be read"
    ]
    caplog.clear()


def test_what_is_no_number_is_left_out(own: Registry, meters: Meters, caplog: pytest.LogCaptureFixture) -> None:
    """A figure of a cache of others that cannot be sent has no series; the others of the instrument have."""
    instrument(own, meters.provider)
    odd = [ReadBy() for _ in range(3)]
    for cache, most in zip(odd, (10**400, float("inf"), 2**70), strict=True):
        cache.maxsize = most
        own.adopt(cache, name=f"most {most!s:.4}")
    assert meters.values("memo.adopted.max_entries") == {("most 1180",): float(2**70)}
    assert len(meters.values("memo.adopted.entries")) == 3
    assert caplog.records == []


def test_a_registry_is_told_of_once(own: Registry, meters: Meters, clock: FakeClock) -> None:
    """A second instrument() replaces the first, whose uninstrument() does nothing then; a third follows an end."""
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    first = instrument(own, meters.provider)
    second = instrument(own, meters.provider, spans="none")
    f(1)
    assert meters.values("memo.cache.requests") == {("f", "miss"): 1}
    first.uninstrument()
    assert "ended" in repr(first)
    assert meters.values("memo.cache.requests") == {("f", "miss"): 1}
    assert "1 function" in repr(second)
    second.uninstrument()
    second.uninstrument()
    assert meters.values("memo.cache.requests") == {}
    f(2)
    clock.advance(1)
    instrument(own, meters.provider)
    assert meters.values("memo.cache.requests") == {("f", "miss"): 2}
    elsewhere = Meters()
    instrument(own, elsewhere.provider)
    assert elsewhere.values("memo.cache.requests") == {("f", "miss"): 2}
    assert meters.values("memo.cache.requests") == {}


def test_registries_share_a_provider(own: Registry, meters: Meters) -> None:
    """Two registries are told of together; one that ends leaves the other."""
    other = Registry()
    ended = instrument(own, meters.provider)
    instrument(other, meters.provider)
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    others = [dedupe_inflight(registry=other, name=name)(lambda x: x) for name in "fg"]
    for one in (f, *others):
        one(1)
    assert meters.values("memo.inflight.started") == {("f",): 1, ("f#2",): 1, ("g",): 1}
    ended.uninstrument()
    assert meters.values("memo.inflight.started") == {("f",): 1, ("g",): 1}


def test_a_registry_is_not_kept_alive(meters: Meters) -> None:
    """What is instrumented goes when nobody else holds it."""
    registry = Registry()
    instrument(registry, meters.provider)
    f = bounded(max=3, registry=registry)(lambda x: x)
    f(1)
    assert meters.values("memo.functions") == {(None,): 1}
    gone = weakref.ref(registry)
    del registry, f
    gc.collect()
    assert gone() is None
    assert meters.values("memo.functions") == {}


def test_a_forked_child_is_told_of(own: Registry, meters: Meters, clock: FakeClock) -> None:
    """A child's reader collects what the child has counted on top of what it inherited."""
    instrument(own, meters.provider)
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    f(1)
    meters.read()

    def act() -> bool:
        f(2)
        return meters.values("memo.cache.requests") == {("f", "miss"): 2}

    assert in_a_child(act) == 0
    assert meters.values("memo.cache.requests") == {("f", "miss"): 1}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"registry": "bot"}, TypeError, "'bot' is no registry; give one"),
        ({"registry": Registry().select("a*")}, TypeError, "is no registry"),
        ({"meter_provider": 3}, TypeError, "meter_provider=3 has no get_meter()"),
        ({"tracer_provider": 3}, TypeError, "tracer_provider=3 has no get_tracer()"),
        ({"spans": "load"}, ValueError, "spans='load' is none of 'loads', 'all' and 'none'; did you mean 'loads'?"),
        ({"spans": None}, ValueError, "spans=None is none of"),
        ({"spans": ["all"]}, ValueError, "is none of"),
        ({"key_hash": 1}, TypeError, "key_hash=1 is no bool"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_arguments_are_refused(given: dict[str, Any], error: type[Exception], says: str) -> None:
    """They raise at once, say what is wrong, and instrument nothing."""
    with pytest.raises(error, match=re.escape(says)):
        instrument(**{"registry": Registry(), **given})


PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from memo import Registry, bounded
own = Registry()
"""


def test_the_missing_extra_is_named() -> None:
    """Without the API the import says which extra to install; it is an ImportError."""
    run_after(
        "import sys; sys.modules['opentelemetry'] = None",  # of its own: elsewhere it may have been imported
        """
try:
    import memo.exporters.opentelemetry
except ImportError as error:
    assert type(error).__name__ == "MissingExtra", error
    assert 'pip install "memo-toolkit[opentelemetry]"' in str(error), error
else:
    raise AssertionError
""",
    )


def test_providers_may_be_set_later() -> None:
    """The API alone is told nothing and harms nothing; providers that are set later hear of every registry."""
    run_after(
        PROGRAM,
        """
from memo.exporters.opentelemetry import instrument
handle = instrument(own, spans="all")
f = bounded(max=3, registry=own, name="f")(lambda x: x)
f(1)
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]

from opentelemetry import metrics, trace
from kit.telemetry import Meters, Traces
meters, traces = Meters(), Traces()
metrics.set_meter_provider(meters.provider)
trace.set_tracer_provider(traces.provider)
f(2)
other = Registry()
instrument(other)
instrument(own, meters.provider, spans="all")
g = bounded(max=3, registry=other, name="g")(lambda x: x)
g(1)
assert meters.values("memo.cache.requests") == {("f", "miss"): 2, ("g", "miss"): 1}
assert [span.name for span in traces.ended()] == ["load f"]
assert meters.values("memo.load.duration")["f", "ok"].count == 2
""",
    )
