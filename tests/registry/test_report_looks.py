"""The leak report's order and text, and that looking leaves no trace."""

import functools
import gc
import html.parser
import threading
import weakref
from dataclasses import FrozenInstanceError
from typing import Any
from unittest import mock

import cachetools
import pytest
from kit.reports import only

import memo
from memo import Finding, LeakReport, Registry, bounded
from memo.testing import FakeClock

# -- order and looks


@pytest.fixture
def mixed(own: Registry) -> tuple[Registry, list[Any]]:
    """Stores of each severity, and some without a finding."""
    clock = FakeClock()
    leak = functools.cache(lambda x: [x])
    small = bounded(max=50, registry=own, name="small")(lambda x: "x")
    large = bounded(max=50, registry=own, name="large")(lambda x: "x" * 100)
    large_waste = bounded(max=50, registry=own, name="large waste")(lambda x: "x" * 50)
    old = bounded(max=50, ttl=1, registry=own, name="old <b>", clock=clock)(lambda x: "")
    burst = cachetools.TTLCache[Any, Any](float("inf"), 60)
    leak(1), small(1), large(1), old(1)
    for x in range(30):
        large_waste(x)
    own.adopt(leak, "leak")
    own.adopt(burst, "burst")
    clock.advance(1)
    return own, [leak, small, large, old, large_waste, burst]


def test_what_to_look_at_first_stands_first(mixed: tuple[Registry, list[Any]]) -> None:
    """Stores are sorted by severity, then by bytes, and those without a finding come last."""
    report = mixed[0].report()
    assert [(store.name, store.severity) for store in report.stores] == [
        ("leak", "high"),
        ("burst", "medium"),
        ("large waste", "low"),
        ("old <b>", "low"),
        ("large", None),
        ("small", None),
    ]
    assert [finding.store for finding in report.findings] == ["leak", "burst", "large waste", "old <b>"]
    assert report.bytes == sum(store.bytes or 0 for store in report.stores)


def test_the_report_prints(mixed: tuple[Registry, list[Any]]) -> None:
    """Title, an aligned row for each store, and each finding with what to do about it, numbered."""
    report = mixed[0].report()
    lines = str(report).splitlines()
    assert lines[0] == f"6 stores, {memo._base.units.format_bytes(report.bytes)} in values, 4 findings"  # type: ignore[attr-defined]
    head, rule, *rows = lines[1:9]
    assert head.startswith("store")
    ends = [i for i, mark in enumerate(rule) if mark == "-" and rule[i + 1 : i + 2] in ("", " ")]
    for row in (head, *rows):
        assert all(row.ljust(len(rule))[end] != " " for end in ends[1:]), "figures are not flush right"
    assert [row.split("  ")[0] for row in rows] == [store.name for store in report.stores]
    assert lines[9:] == [f"{i}. {finding}" for i, finding in enumerate(report.findings, 1)]
    assert lines[9] == (
        "1. [high] leak: it is unbounded: no entry ever leaves. "
        "Give it a maxsize, or decorate the function with @bounded(max=...) instead."
    )


class Reader(html.parser.HTMLParser):
    """Reads HTML back, and insists that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[self.open[-1]][-1] += data


def test_the_report_shows_in_notebooks(mixed: tuple[Registry, list[Any]]) -> None:
    """The HTML says the same as the text, and names are escaped."""
    report = mixed[0].report()
    reader = Reader()
    reader.feed(report._repr_html_())
    assert reader.open == []
    assert "b" not in reader.texts
    assert len(reader.texts["tr"]) == 1 + len(report.stores)
    assert "old <b>" in reader.texts["td"]
    assert reader.texts["li"] == [str(finding) for finding in report.findings]


def test_a_report_on_nothing_prints(own: Registry) -> None:
    """An empty registry has an empty report."""
    report = own.report()
    assert report == LeakReport()
    assert str(report) == "0 stores, 0B in values, no findings"
    assert "0 stores" in report._repr_html_()


def test_a_view_reports_on_its_own(mixed: tuple[Registry, list[Any]]) -> None:
    """The report of a selection has the stores that it selects."""
    assert {store.name for store in mixed[0].select("l*").report().stores} == {"leak", "large", "large waste"}


def test_reports_are_frozen(own: Registry) -> None:
    """Reports, rows and findings are plain frozen snapshots."""
    function = functools.cache(lambda x: x)
    own.adopt(function, "f")
    report = own.report()
    store = only(report)
    finding = store.findings[0]
    assert finding == Finding("f", "high", finding.what, finding.advice)
    for record, field in ((report, "stores"), (store, "name"), (finding, "what")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, None)
    with pytest.raises(TypeError):
        store.instances["x"] = 1  # type: ignore[index]


# -- looking leaves no trace


def test_looking_is_no_use(own: Registry) -> None:
    """A report raises no counter, moves nothing in a policy's order, and expires nothing."""
    clock = FakeClock()
    fetch = bounded(max=3, ttl=100, policy="lru", registry=own, clock=clock)(lambda x: [x])
    ready = cachetools.cached(cachetools.LFUCache[Any, Any](2), info=True)(lambda x: [x])
    timed = cachetools.TTLCache[Any, Any](9, 10, timer=clock)
    fetch(1), fetch(2), fetch(3), ready(1), ready(2), ready(2)
    timed["a"] = 1
    clock.advance(50)
    own.adopt(ready)
    own.adopt(timed)
    before = own.stats()
    for _ in range(5):
        own.report()
    assert own.stats() == before
    fetch(4)
    assert [key for key, _ in fetch.cache.items()] == [2, 3, 4]
    ready(3)
    assert [key[0] for key in ready.cache] == [2, 3]


def test_a_report_keeps_nothing_alive(own: Registry) -> None:
    """Values and instances may go while the report on them is kept."""

    class Value:
        pass

    fetch = bounded(max=3, registry=own)(lambda x: Value())
    dead = weakref.ref(fetch(1))
    report = own.report()
    fetch.cache.clear()
    gc.collect()
    assert dead() is None
    assert report.stores[0].entries == 1


def test_values_are_measured_outside_locks(own: Registry) -> None:
    """While a value is being measured another thread may call, store and clear."""
    fetch = bounded(max=30, policy="lru", registry=own)(lambda x: Slow())
    measuring, done = threading.Event(), threading.Event()

    class Slow:
        def __sizeof__(self) -> int:
            measuring.set()
            assert done.wait(20), "another thread was locked out"
            return 8

    def use() -> None:
        assert measuring.wait(20)
        fetch(1), fetch(2)
        own.clear()
        done.set()

    fetch(1)
    thread = threading.Thread(target=use)
    thread.start()
    store = only(own.report())
    thread.join(20)
    assert (store.entries, store.measured) == (1, 1)
    assert len(fetch.cache) == 0


def test_the_lock_is_held_to_list_entries_and_no_longer(own: Registry) -> None:
    """The lock of a store is taken once, and no entry is looked at while it is held."""
    fetch = bounded(max=5000, registry=own)(lambda x: x)
    for x in range(5000):
        fetch(x)
    store = fetch.cache._cache.store
    taken: list[bool] = []

    class Watched:
        held = False

        def __enter__(self) -> None:
            lock.acquire()
            taken.append(True)
            self.held = True

        def __exit__(self, *exception: object) -> None:
            self.held = False
            lock.release()

    def past_life(entry: Any, now: float) -> bool:
        assert not watched.held
        return False

    lock, watched = store.lock, Watched()
    with mock.patch.object(store, "lock", watched), mock.patch.object(store, "past_life", past_life):
        assert only(own.report()).entries == 5000
    assert taken == [True]
