"""Printed tables fit a terminal of 80 columns where they can, and HTML leaves nothing out."""

import html
import re
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo._base.text_table import aligned, fitted
from memo.testing import FakeClock

LONG = "application.services.profiles.fetching.fetch_profile_of_user"


def columns(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_a_table_that_fits_is_left_as_it_is() -> None:
    """Heads and names are shortened only where a line would be longer than 80 characters."""
    own = Registry()
    function = bounded(max=8, registry=own, name="bot.f")(abs)
    function(-1)
    assert columns(str(own)) <= 80
    assert str(own).splitlines()[0].split() == [
        "function", "entries", "hit", "ratio", "hits", "misses", "joins", "evicted", "load", "running",
    ]  # fmt: skip
    assert "…" not in str(own)


def test_a_longer_one_has_shorter_heads_first() -> None:
    """Names are whole as long as shorter heads make room enough."""
    own, clock = Registry(), FakeClock()

    @bounded(max=1_000, registry=own, name="bot.services.f1", clock=clock)
    def function(x: int) -> int:
        clock.advance(0.0123)  # as long as its load is shown
        return x

    function(-1)
    assert columns(str(own)) <= 80
    assert "12.3ms" in str(own)
    assert "ratio" in str(own)
    assert "hit ratio" not in str(own)
    assert "bot.services.f1" in str(own)
    assert "hit ratio" in own._repr_html_()


@pytest.mark.parametrize("count", [1, 2, 30])
def test_long_names_are_shortened_in_the_middle(count: int) -> None:
    """What is left of a name shows where it begins and how it ends; HTML and ``stats()`` have all of it."""
    own = Registry()
    functions = [bounded(max=1_000, registry=own, name=LONG)(abs) for _ in range(count)]
    for function in functions:
        function(-1)
    text = str(own)
    assert columns(text) <= 80
    names = [line.split()[0] for line in text.splitlines()[2:]]
    assert len(set(names)) == count
    assert names[0].startswith("applic")
    assert "…" in names[0]
    assert names[0].endswith("_of_user")
    for name in own.stats():
        assert html.escape(name) in own._repr_html_()


def test_names_that_would_look_alike_are_whole() -> None:
    """A table is rather too wide than ambiguous."""
    own = Registry()
    names = [f"application.{middle}.services.profiles.fetch_profile_of_user" for middle in ("one", "two")]
    functions = [bounded(max=1_000_000, registry=own, name="x" * 20 + name)(abs) for name in names]
    for function in functions:
        function(-1)
    shown = [line.split()[0] for line in str(own).splitlines()[2:]]
    assert len(set(shown)) == 2


def test_windows_have_a_table_of_their_own_where_one_is_too_wide() -> None:
    """Functions of every kind together take two tables of 80 columns, in which every figure stands."""
    own, clock = Registry(), FakeClock()
    stack = sliding_window("24h", registry=own, name="bot.services.on_message", clock=clock)(bounded(max=10_000)(abs))
    window = sliding_window("1h", registry=own, name="bot.errors", clock=clock)(abs)
    flights = dedupe_inflight(registry=own, name="bot.services.ask")(abs)
    for x in range(300):
        stack(-x), window(-x), flights(-x)
    text = str(own)
    assert columns(text) <= 80
    stores, windows = text.split("\n\n")
    assert [line.split()[0] for line in stores.splitlines()[2:]] == ["bot.services.ask", "bot.services.on_message"]
    assert [line.split()[0] for line in windows.splitlines()[2:]] == ["bot.errors", "bot.services.on_message"]
    assert "300/10000" in stores
    assert windows.splitlines()[0].split() == ["function", "calls", "p95", "window"]
    assert own._repr_html_().count("<table") == 1
    assert str(Registry()) == "no decorated functions"


def test_a_note_stands_below() -> None:
    """What a registry says of its janitor is the last line, below the last table."""
    own = Registry()
    function = sliding_window("24h", registry=own, name=LONG)(bounded(max=10_000, max_bytes="1GB")(abs))
    function(-1)
    janitor = own.janitor()
    try:
        assert str(own).splitlines()[-1] == str(janitor)
    finally:
        janitor.stop()


def test_the_leak_report_fits_too() -> None:
    """The table of the report shortens heads and names; its findings and its HTML have the whole names."""
    own = Registry()
    function = bounded(max=1_000, registry=own, name=LONG)(str)
    for x in range(100):
        function(x)
    report = own.report()
    table = str(report).splitlines()[1:4]
    assert columns("\n".join(table)) <= 80
    assert "…" in table[2]
    assert LONG in str(report).splitlines()[-1]
    assert f"<td>{LONG}</td>" in report._repr_html_()
    assert "never hit" in report._repr_html_()


@pytest.mark.parametrize("length", [1, 13, 14, 15, 40, 79, 80, 81, 200])
@pytest.mark.parametrize("others", [10, 60, 64, 70, 90])
def test_fitting_any_table(length: int, others: int) -> None:
    """A table is at most 80 wide if 14 characters of the names are room enough, and no row is lost or altered."""
    rows = [["name", "h" * others], ["n" * (length - 1) + "m", "f" * (others - 5)], ["q", "f"]]
    found = fitted(rows, {"h" * others: "h" * (others - 5)})
    assert [row[1] for row in found[1:]] == [row[1] for row in rows[1:]]
    width = columns(aligned(found))
    if min(length, 14) + 2 + others - 5 <= 80:
        assert width <= 80
    name = found[1][0]
    assert re.fullmatch(r"n*(…n*)?m", name)
    if length + 2 + others <= 80:
        assert found == rows


def test_names_alike_but_for_their_middle() -> None:
    """Of names that differ only where they would be cut none is cut."""
    names = ["a" * 40 + middle + "b" * 60 for middle in "12"]
    rows: list[Any] = [["name", "figures"], *([name, "1"] for name in names)]
    assert [row[0] for row in fitted(rows, {})[1:]] == names
