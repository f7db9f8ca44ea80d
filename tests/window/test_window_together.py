"""Windows in the registry; what their handles refuse."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kit.windows import Placed

from memo import Registry, WindowStats, sliding_window
from memo.testing import FakeClock


def test_registry_shows_and_cleans_windows(clock: FakeClock) -> None:
    """A window has a record, figures that subtract, a row with a sparkline, and is swept."""
    registry = Registry()

    @sliding_window("2m", registry=registry, clock=clock, name="work")
    def work(fails: bool = False) -> None:
        clock.advance(1)
        if fails:
            raise ValueError

    work()
    earlier = registry.stats()["work"]
    work()
    with pytest.raises(ValueError, match=r"^$"):
        work(True)
    later = registry.stats()["work"]
    assert later.window == work.window.stats()
    assert (later.cache, later.inflight) == (None, None)
    change = (later - earlier).window
    assert isinstance(change, WindowStats)
    assert (change.count, change.errors, change.kept) == (2, 1, 3)

    head, _, row = str(registry).splitlines()
    assert head.split() == ["function", "calls", "errors", "p95", "window"]
    name, calls, errors, p95, *window = row.split()
    assert (name, calls, errors, window) == ("work", "3", "1", ["▁▁▁▁▁▁▁▁▁▁▁█", "2m"])
    assert float(p95.removesuffix("s")) == pytest.approx(1.0, rel=0.05)
    assert "▁▁▁▁▁▁▁▁▁▁▁█ 2m" in registry._repr_html_()

    clock.advance("2m")
    report = registry.cleanup()
    assert (report.events, report.expired, report.flights, report.total) == (3, 0, 0, 3)
    assert report.functions == {"work": 3}
    work()
    registry.clear()
    assert work.window.count() == 0


def test_snapshots_of_different_functions_do_not_subtract() -> None:
    """Snapshots of two functions cannot be mixed up."""
    one, two = (sliding_window("1m", name=name)(lambda: None) for name in ("one of two", "two of two"))
    with pytest.raises(ValueError, match="do not subtract"):
        one.window.stats() - two.window.stats()


def test_handle_without_a_call() -> None:
    """An empty window has figures: zeros, and None where there is nothing to measure; the handle is true."""

    @sliding_window("1m", name="idle", registry=Registry())
    def work() -> None: ...

    window = work.window
    assert window
    assert (len(window), window.count(), window.rate(), window.error_ratio()) == (0, 0, 0.0, 0.0)
    assert (window.percentile(50), window.events(), window.errors(), window.by_key()) == (None, [], [], [])
    assert [(bucket.count, bucket.mean) for bucket in window.series(3)] == [(0, None)] * 3
    assert window.sparkline(5) == "▁▁▁▁▁"
    assert window.stats() == WindowStats("idle", 60.0)
    assert repr(window) == "<window of idle: 0 calls kept>"
    assert window.cleanup() == 0


BAD_CALLS: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda w: w.count("2h5"), ValueError, "count: last='2h5' ends in a number without a unit"),
    (lambda w: w.count(0), ValueError, "count: last=0 is zero"),
    (lambda w: w.count(True), TypeError, "count: last=True"),
    (lambda w: w.events(-1), ValueError, "events: last=-1 is negative"),
    (lambda w: w.errors(""), ValueError, "errors: last='' is empty"),
    (lambda w: w.error_ratio(math.nan), ValueError, "error_ratio: last=nan is not finite"),
    (lambda w: w.rate(per=0), ValueError, "rate: per=0 is zero"),
    (lambda w: w.rate(per=None), TypeError, "rate: per=None"),
    (lambda w: w.rate(last="soon"), ValueError, "rate: last='soon'"),
    (lambda w: w.percentile(101), ValueError, "percentile: q=101 is out of range"),
    (lambda w: w.percentile(math.nan), ValueError, "percentile: q=nan is out of range"),
    (lambda w: w.percentile("95"), TypeError, "percentile: q='95' is not a number"),
    (lambda w: w.percentile(True), TypeError, "percentile: q=True is not a number"),
    (lambda w: w.percentile(50, last=0), ValueError, "percentile: last=0 is zero"),
    (lambda w: w.by_key(0), ValueError, "by_key: n=0"),
    (lambda w: w.by_key(2.5), TypeError, "by_key: n=2.5"),
    (lambda w: w.series(0), ValueError, "series: buckets=0"),
    (lambda w: w.series("9"), TypeError, "series: buckets='9'"),
    (lambda w: w.sparkline(-1), ValueError, "sparkline: width=-1"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=[message for *_, message in BAD_CALLS])
def test_handle_refuses_what_makes_no_sense(call: Callable[[Any], object], kind: type[Exception], message: str) -> None:
    """A wrong argument is named, with its value, by the method that got it."""

    @sliding_window("1m", name="bot.fetch", registry=Registry())
    def work() -> None: ...

    with pytest.raises(kind) as caught:
        call(work.window)
    assert str(caught.value).startswith(f"bot.fetch.window.{message}")
    assert "give" in str(caught.value) or "write" in str(caught.value)


def not_called() -> None: ...


async def coroutine_key(*args: object) -> object: ...


BAD: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ((not_called,), {}, TypeError, ("not_called", '@sliding_window("24h")')),
    ((Placed.property_inner,), {}, TypeError, ('@sliding_window("24h")',)),
    ((None,), {}, TypeError, ("window=None", "24h")),
    ((0,), {}, ValueError, ("window=0", "is zero", "give")),
    ((-1,), {}, ValueError, ("window=-1", "is negative", "give")),
    ((True,), {}, TypeError, ("window=True", "give")),
    (("",), {}, ValueError, ("window=''", "is empty", "give")),
    (("2h5",), {}, ValueError, ("window='2h5'", "write '2h5m'")),
    ((math.inf,), {}, ValueError, ("window=inf", "finite", "give")),
    ((math.nan,), {}, ValueError, ("window=nan", "finite", "give")),
    ((timedelta(0),), {}, ValueError, ("window=", "is zero", "give")),
    (([1],), {}, TypeError, ("window=[1]", "give")),
    (("1h",), {"max": 0}, ValueError, ("max=0", "at least 1")),
    (("1h",), {"max": -3}, ValueError, ("max=-3", "at least 1")),
    (("1h",), {"max": True}, TypeError, ("max=True", "give")),
    (("1h",), {"max": None}, TypeError, ("max=None", "give")),
    (("1h",), {"max": 2.5}, TypeError, ("max=2.5", "give")),
    (("1h",), {"only": ()}, ValueError, ("only=()", "leave it out")),
    (("1h",), {"only": "ValueError"}, TypeError, ("only='ValueError'", "write")),
    (("1h",), {"only": 5}, TypeError, ("only=5", "write")),
    (("1h",), {"only": (ValueError, int)}, TypeError, ("only=", "int", "write")),
    (("1h",), {"only": (ValueError("x"),)}, TypeError, ("only=", "ValueError('x')", "write")),
    (("1h",), {"only": (KeyboardInterrupt,)}, ValueError, ("KeyboardInterrupt", "cancelled", "name types")),
    (("1h",), {"key": 5}, TypeError, ("key=5", "give")),
    (("1h",), {"key": coroutine_key}, TypeError, ("key=", "coroutine", "give")),
    (("1h",), {"ignore": "self"}, TypeError, ("ignore='self'", "write")),
    (("1h",), {"ignore": 5}, TypeError, ("ignore=5", "give")),
    (("1h",), {"ignore": (5,)}, TypeError, ("ignore=(5,)", "give")),
    (("1h",), {"name": ""}, ValueError, ("name=''", "give")),
    (("1h",), {"name": 5}, TypeError, ("name=5", "give")),
    (("1h",), {"registry": {}}, TypeError, ("registry={}", "memo.Registry()")),
    (("1h",), {"clock": 5}, TypeError, ("clock=5", "give")),
]


@pytest.mark.parametrize(("args", "options", "kind", "parts"), BAD)
def test_bad_option(
    args: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], parts: tuple[str, ...]
) -> None:
    """It is refused at decoration, naming the option, the value and the remedy."""
    with pytest.raises(kind) as caught:
        sliding_window(*args, **options)
    message = str(caught.value)
    assert message.startswith("sliding_window: ")
    assert [part for part in parts if part not in message] == []


def test_ignored_parameter_that_is_not_there() -> None:
    """A parameter that the function lacks cannot be ignored, and ``key=`` makes ``ignore=`` pointless."""
    with pytest.raises(ValueError, match=r"'trace'.*has no such parameter"):
        sliding_window("1m", ignore=("trace",))(not_called)
    with pytest.raises(TypeError, match="has no effect together with key="):
        sliding_window("1m", ignore=("trace",), key=lambda: 0)(not_called)
