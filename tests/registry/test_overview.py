"""Figures leave a registry in one pass, which makes nothing: no handle, and no works of a function never called."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cachetools
import pytest

import memo
from memo import FunctionStats, InflightStats, Record, Registry, bounded, dedupe_inflight, sliding_window
from memo._base import pacing
from memo._decorated.stack import layers_of
from memo._registry import tables
from memo._registry.overview import overview

ROOM = str(Path(memo.__file__).parent)

Looks = Callable[[Registry], object]
LOOKS: dict[str, Looks] = {
    "stats": Registry.stats,
    "as_dict": Registry.as_dict,
    "print": str,
    "html": Registry._repr_html_,
    "one": lambda own: [record.stats() for record in own],
    "cleanup": Registry.cleanup,
    "report": Registry.report,
    "clear": Registry.clear,
    "invalidate": lambda own: own.invalidate(tag="tag"),
    "repr": repr,
    "adopt": lambda own: own.adopt(cachetools.LRUCache(8)),
}
FIGURES = ("stats", "as_dict", "print", "html", "one")


class Own(cachetools.LRUCache[Any, Any]):
    """A policy of the user's own."""


DECORATORS: dict[str, Callable[[Registry], Any]] = {
    "max": lambda own: bounded(max=8, registry=own),
    "max_bytes": lambda own: bounded(max_bytes="1MB", registry=own),
    "both": lambda own: bounded(max=8, max_bytes="1MB", registry=own),
    "ttl": lambda own: bounded(max=8, ttl="1h", idle="1m", jitter=0.1, registry=own),
    "late": lambda own: bounded(
        max=8, ttl="1h", stale_if_error="1h", cache_errors=ValueError, error_ttl=1, tags=lambda x: (), registry=own
    ),
    "lru": lambda own: bounded(max=8, policy="lru", registry=own),
    "random": lambda own: bounded(max=8, policy="random", registry=own),
    "s3fifo": lambda own: bounded(max=8, policy="s3fifo", registry=own),
    "own policy": lambda own: bounded(max=8, policy=Own, registry=own),
    "undeduped": lambda own: bounded(max=8, dedupe=False, registry=own),
    "dedupe_inflight": lambda own: dedupe_inflight(timeout=3, registry=own),
    "sliding_window": lambda own: sliding_window("1m", registry=own),
    "only": lambda own: sliding_window("1m", max=5, only=ValueError, registry=own),
}


def plain(x: int) -> int:
    """A plain function."""
    return x


async def awaited(x: int) -> int:
    """A coroutine function."""
    return x


def entered(look: Callable[[], object]) -> Counter[tuple[str, str]]:
    """How often each function of the package was called, by its file and qualified name."""
    calls: Counter[tuple[str, str]] = Counter()

    def watch(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(ROOM):
            calls[Path(frame.f_code.co_filename).name, frame.f_code.co_qualname] += 1

    sys.setprofile(watch)
    try:
        look()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("function", [plain, awaited])
@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS.keys())
def test_what_was_never_called_tells_what_an_empty_one_does(
    own: Registry, decorate: Callable[[Registry], Any], function: Any
) -> None:
    """The figures of a layer that holds nothing yet are those of one that is made and empty."""
    f = decorate(own)(function)
    (record,) = own
    before, drawn, report = record.stats(), record.sparkline(12), own.report()
    for layer in layers_of(f):
        layer.make_works()
    assert before == record.stats()
    assert before.as_dict() == record.stats().as_dict()
    assert drawn == record.sparkline(12)
    assert report == own.report()


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
@pytest.mark.parametrize("function", [plain, awaited])
def test_looking_makes_nothing(own: Registry, look: Looks, function: Any) -> None:
    """No operation on all of a registry has a function that was never called make what it would work with."""
    functions = [
        bounded(max=3, registry=own)(function),
        dedupe_inflight(registry=own)(function),
        sliding_window("1h", registry=own)(bounded(max=8, tags="tag")(dedupe_inflight(function))),
    ]
    cache: cachetools.LRUCache[int, int] = cachetools.LRUCache(8)
    own.adopt(cache)
    look(own)
    assert [layer.is_made for f in functions for layer in layers_of(f)] == [False] * 5


@pytest.mark.parametrize("look", [LOOKS[name] for name in FIGURES], ids=FIGURES)
def test_figures_make_no_handle(own: Registry, look: Looks) -> None:
    """Where figures are asked for, no handle is made: not of a store, running calls, a window or an adopted cache."""
    f = sliding_window("1h", registry=own)(bounded(max=8)(dedupe_inflight(plain)))
    f(1)
    cache: cachetools.LRUCache[int, int] = cachetools.LRUCache(8)
    own.adopt(cache)
    calls = entered(lambda: look(own))
    assert [name for file, name in calls if file == "handle.py" or "Handle" in name or "handle" in name] == []


@pytest.mark.parametrize("look", [LOOKS[name] for name in FIGURES], ids=FIGURES)
@pytest.mark.parametrize("choose", [lambda own: own, lambda own: own.select("*")], ids=["all", "some"])
def test_figures_are_taken_once(own: Registry, look: Looks, choose: Callable[[Registry], Any]) -> None:
    """The records are listed and sorted once, and each store, table of running calls and window is asked once."""
    stacked = sliding_window("1h", registry=own)(bounded(max=8)(plain))
    joined = dedupe_inflight(registry=own)(plain)
    stacked(1), joined(1)
    view = choose(own)
    calls = Counter(
        {name: count for (_, name), count in entered(lambda: look(view)).items() if name.startswith("Registry.")}
    )
    assert calls["Registry._records"] == 1
    by_name = Counter(name.rpartition(".")[2] for (_, name), n in entered(lambda: look(view)).items() for _ in range(n))
    assert by_name["cache_stats"] == 1, "one store"
    assert by_name["sparkline"] <= 2 + len(own), "a record, its layer and its window; another record"


def test_rows_are_in_the_order_of_the_records_and_bear_what_they_tell(own: Registry) -> None:
    """A row has the record, its figures and its sparkline, which is empty where none is asked for or there is none."""
    windowed = sliding_window("1h", registry=own, name="b")(plain)
    stored = bounded(max=8, registry=own, name="a")(plain)
    windowed(1), stored(1)
    rows = overview(own, sparks=5)
    assert [row.record for row in rows] == [own["a"], own["b"]]
    assert [row.stats for row in rows] == [own["a"].stats(), own["b"].stats()]
    assert [len(row.sparkline) for row in rows] == [0, 5]
    assert [row.sparkline for row in overview(own)] == ["", ""]


def test_of_a_kind_the_outermost_tells(own: Registry) -> None:
    """Of two stores the outer one tells; running calls are those of ``dedupe_inflight`` if there is one."""
    f = bounded(max=3, registry=own)(bounded(max=7)(plain))
    g = bounded(max=5, registry=own, name="g")(dedupe_inflight(plain))
    h = dedupe_inflight(registry=own, name="h")(bounded(max=5)(plain))
    f(1), f(1), g(1), g(1), h(1), h(1)
    record: Record = own[f]
    assert record.stats().cache == f.cache.stats()
    assert record.stats().inflight == f.inflight.stats()
    assert record.stats().cache != [*layers_of(f)][1].stats(record.name)
    for one, started in ((g, 1), (h, 2)):
        told = own[one].stats().inflight
        assert isinstance(told, InflightStats)
        assert told == one.inflight.stats()
        assert told.started == started


@pytest.mark.parametrize("look", [Registry.stats, Registry.as_dict, Registry.__str__, Registry._repr_html_])
def test_others_get_their_turn_after_each_function(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two places where other threads may run, the figures of one function are asked for, or shown, at most."""
    own = Registry()
    functions = [bounded(max=3, registry=own)(lambda x: x) for _ in range(7)]
    for function in functions:
        function(1)
    turns: list[list[str]] = [[]]

    def noted(name: str, real: Any) -> Any:
        def call(*args: Any) -> Any:
            turns[-1].append(name)
            return real(*args)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Record, "shown", noted("asked", Record.shown))
        patch.setattr(tables, "_cells", noted("shown", tables._cells))
        patch.setattr(FunctionStats, "as_dict", noted("told", FunctionStats.as_dict))
        patch.setattr(pacing.Pace, "rest", lambda pace: turns.append([]))
        look(own)
    assert len(turns) >= 7
    for done in ("asked", "shown", "told"):
        assert max(turn.count(done) for turn in turns) <= 1
    assert sum(turn.count("asked") for turn in turns) == 7
