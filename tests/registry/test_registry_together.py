"""What is done with all functions at once, and the printed table."""

import copy
import html.parser
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from memo import (
    CleanupReport,
    EvictionReason,
    FunctionStats,
    Registry,
    bounded,
)
from memo.testing import FakeClock

# -- what is done with all of them


def test_stats_are_of_every_function_and_subtract() -> None:
    """stats() has a frozen FunctionStats by name, whose difference is what happened to one function."""
    own = Registry()

    @bounded(max=8, registry=own, name="one")
    def one(x: int) -> int:
        return x

    @bounded(max=8, registry=own, name="two")
    def two(x: int) -> int:
        return x

    one(1)
    before = own.stats()
    one(1)
    one(2)
    two(1)
    after = own.stats()
    assert set(after) == {"one", "two"}
    assert isinstance(after["one"], FunctionStats)
    change = after["one"] - before["one"]
    assert change.name == "one"
    assert change.cache is not None
    assert (change.cache.hits, change.cache.misses, change.cache.size) == (1, 1, 2)
    assert change.inflight is not None
    assert change.inflight.started == 1
    with pytest.raises(ValueError, match=r"two.*one"):
        _ = after["two"] - before["one"]
    with pytest.raises(FrozenInstanceError):
        change.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        _ = change - 3  # type: ignore[operator]
    assert copy.copy(change) == change


def test_cleanup_reports_what_went_by_function() -> None:
    """cleanup() removes what expired and reports it by kind and by function."""
    own, clock = Registry(), FakeClock()
    gone: list[EvictionReason] = []

    @bounded(max=8, ttl=10, registry=own, name="short", clock=clock, on_evict=lambda k, v, why: gone.append(why))
    def short(x: int) -> int:
        return x

    @bounded(max=8, ttl=100, registry=own, name="long", clock=clock)
    def long(x: int) -> int:
        return x

    for x in range(3):
        short(x)
        long(x)
    clock.advance(10)
    short(7)
    report = own.cleanup()
    assert isinstance(report, CleanupReport)
    assert (report.expired, report.flights, report.events, report.total) == (3, 0, 0, 3)
    assert dict(report.functions) == {"short": 3}
    assert 0 <= report.seconds < 60
    assert gone == [EvictionReason.EXPIRED] * 3
    assert (len(short.cache), len(long.cache)) == (1, 3)
    assert own.cleanup().total == 0
    with pytest.raises(FrozenInstanceError):
        report.expired = 0  # type: ignore[misc]
    clock.advance(200)
    assert own["long"].cleanup().functions == {"long": 3}
    assert own.cleanup().functions == {"short": 1}


def test_cleanup_cares_for_every_layer_of_a_stack() -> None:
    """cleanup() removes expired entries of both layers of a stack, and reports their sum."""
    own, clock = Registry(), FakeClock()

    @bounded(max=8, ttl=5, registry=own, clock=clock, name="stack")
    @bounded(max=8, ttl=10, clock=clock)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    clock.advance(10)
    assert own.cleanup().functions == {"stack": 2}


def test_clear_drops_entries_and_keeps_counters() -> None:
    """A registry's clear() empties each layer of a stack and leaves the counters."""
    own = Registry()

    @bounded(max=8, registry=own)
    @bounded(max=8)
    def fetch(x: int) -> list[int]:
        return [x]

    first = fetch(1)
    own.clear()
    assert len(fetch.cache) == len(fetch.__wrapped__.cache) == 0
    assert fetch(1) is not first
    assert fetch.cache.stats().misses == 2


# -- the printed table


def table_of(own: Registry) -> list[str]:
    return str(own).splitlines()


def test_the_printed_table_is_aligned() -> None:
    """In the printed table the columns stand apart, the figures flush right, with their bounds beside them."""
    own = Registry()
    short = bounded(max=8, registry=own, name="f")(abs)
    long = bounded(max=12345, max_bytes="64MB", registry=own, name="package.module.a_rather_long_name")(abs)
    for x in range(1, 120):
        long(-x)
    short(-1)
    short(-1)
    lines = table_of(own)
    assert len(lines) == 4
    head, rule, *rows = lines
    assert set(rule) == {"-", " "}
    assert [row.split()[0][-8:] for row in rows] == ["f", "ong_name"]
    starts = [i for i, mark in enumerate(rule) if mark == "-" and (i == 0 or rule[i - 1] == " ")]
    ends = [i for i, mark in enumerate(rule) if mark == "-" and rule[i + 1 : i + 2] in ("", " ")]
    for row in (head, *rows):
        assert row == row.rstrip()
        for start, end in zip(starts[1:], ends[1:], strict=True):
            padded = row.ljust(len(rule))
            assert padded[start - 2 : start] == "  ", "columns run into each other"
            assert padded[end] != " ", "figures are not flush right"
    for title in ("function", "entries", "ratio", "hits", "miss"):
        assert title in head
    assert "1/8" in rows[0]
    assert "50.0%" in rows[0]
    assert "119/12345" in rows[1]
    assert "64MB" in rows[1]


def test_an_empty_registry_prints_something() -> None:
    """Text, HTML and repr of an empty registry are not empty."""
    assert str(Registry()).strip()
    assert "<table" in Registry()._repr_html_()
    assert "0" in repr(Registry())


class Cells(html.parser.HTMLParser):
    """Reads a table back, and insists that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_html_table_escapes_and_shows_the_same() -> None:
    """The HTML table shows a name with markup as text, with well-nested tags and a cell for each title."""
    own = Registry()
    name = "<script>alert('&amp;')</script>"
    function = bounded(max=8, registry=own, name=name)(abs)
    function(-1)
    cells = Cells()
    cells.feed(own._repr_html_())
    assert cells.open == []
    assert "script" not in cells.tags
    head, row = cells.rows
    assert row[0] == name
    assert len(head) == len(row)
    assert row[head.index("entries")] == "1/8"
    assert "('&amp;')</script>" in str(own), "the text makes room for 80 columns, and escapes nothing"


def test_a_qualified_name_with_locals_survives_html() -> None:
    """`<locals>` in a name is escaped in HTML and left as it is in text."""
    own = Registry()

    @bounded(max=8, registry=own)
    def fetch(name: str) -> str:
        return name

    assert "&lt;locals&gt;" in own._repr_html_()
    fetch("a")
    assert "<locals>" in str(own)
