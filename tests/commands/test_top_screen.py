"""What ``memo top`` shows, in so many lines of so many cells, and what each key changes of it."""

import itertools
import re

import pytest
from kit.commands import answer, cached, example, screen, taken
from kit.places import ROOT

from memo._commands.amounts import amount, bar, percent, rate, span
from memo._commands.columns import COLUMNS, Totals
from memo._commands.keyboard import Keys
from memo._commands.readings import Readings
from memo._commands.table import fitted, row_line
from memo._commands.text import cells, cut, plain, text_of
from memo._commands.view import KEYS, View

NAMES = ("bot.fetch_profile", "bot.ask", "svc.prices", "svc.rates")


def readings(count: int = len(NAMES)) -> Readings:
    """Functions of which each was called less than the one before, and answered more of its calls."""
    names = [NAMES[at] if at < len(NAMES) else f"more.number_{at}" for at in range(count)]
    before = {name: cached(size=at) for at, name in enumerate(names)}
    after = {
        name: cached(hits=at, misses=2 * count - 2 * at, size=at, evictions={"size": 3 * at})
        for at, name in enumerate(names)
    }
    return taken(answer(1, before), answer(2, after))


def names(lines: list[str]) -> list[str]:
    """The functions in the table, in its order."""
    return [word for line in lines if (word := line.partition(" ")[0]) in NAMES or word.startswith("more.")]


def test_eighty_by_twenty_four() -> None:
    """On an ordinary terminal there are all the figures that one looks for first, with a bar, and what keys do."""
    lines = screen(readings())
    assert len(lines) == 24
    assert max(map(cells, lines)) <= 80
    assert lines[0] == "memo top  web  pid 12  up 2s  4 functions  Python 3.11.9, calls run in C"
    assert lines[1].startswith("26 calls/s  hit 23%  6 entries  0 running")
    assert lines[3].split() == ["function", "entries", "hit", "▼calls/s", "load", "run", "oldest", "evict"]
    assert lines[4].split() == ["bot.fetch_profile", "0/100", "······", "0%", "8.0", "2ms", "-", "-", "0"]
    assert "·" in lines[5]
    assert lines[5].split()[-1] == "3"
    assert all(
        word in lines[-2] + lines[-1] for word in ("c calls", "h hit", "r reverse", "/ filter", "? help", "q quit")
    )


def test_a_long_name_leaves_room_for_figures() -> None:
    """Where width is no matter a name of 10,000 characters takes 200 cells, and all columns are there."""
    rows = taken(answer(1, {"n" * 10_000: cached()}), answer(2, {"n" * 10_000: cached(hits=1)})).rows
    totals = Totals(0)
    columns = fitted(rows, totals, None, "name")
    line = text_of(row_line(rows[0], columns, totals))
    assert 200 < cells(line) < 400
    assert line.startswith("nnn")
    assert "…" in line[:200]
    assert {one.column.key for one in columns} >= {"calls", "hit", "entries", "load", "evicted"}


def test_any_size_will_do() -> None:
    """No line is wider than the terminal, nor are there more than it has; of 40 columns the most is made."""
    shown = readings(50)
    views = (View(), View(sort="spark"), View(helping=True), View(filter="nothing"), View(typing=True))
    for width, height in itertools.product((1, 12, 39, 40, 41, 80, 132, 200), (1, 3, 8, 24, 60)):
        for view in views:
            lines = screen(shown, view, width, height, status="gone, last heard of 3s ago" * 3)
            assert len(lines) == height
            assert max(map(cells, lines)) <= width
    lines = screen(shown, width=40)
    assert lines[3].split() == ["function", "entries", "hit", "▼calls/s"]
    assert "q quit" in lines[-1]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_each_column_sorts_by_its_letter(column: object) -> None:
    """The key of a column sorts by it, which the head marks and the footer names; the other order is by r."""
    assert isinstance(column, type(COLUMNS[0]))
    view, shown = View(), readings()
    view.press(column.letter)
    lines = screen(shown, view, 300)
    assert sum("▼" in line or "▲" in line for line in lines) == 1
    assert f"{column.letter} {column.key}" in lines[-2]
    view.press("r")
    assert ("▲" in lines[3]) != ("▲" in screen(shown, view, 300)[3])


def test_the_order_is_that_of_the_figures() -> None:
    """Names begin with A, figures with the greatest, in reverse the other way round; what is not known comes last."""
    orders = {}
    for keys in ("n", "nr", "c", "cr", "h", "v"):
        view = View()
        for key in keys:
            view.press(key)
        orders[keys] = names(screen(readings(), view))
    by_calls = list(NAMES)
    assert orders["c"] == by_calls
    assert orders["cr"] == orders["h"] == orders["v"] == by_calls[::-1]
    assert orders["n"] == sorted(NAMES)
    assert orders["nr"] == sorted(NAMES)[::-1]
    unknown = taken(answer(1, {"bot.ask": {"limit": {"allowed": 1, "refused": 0}}, "svc.rates": cached(size=0)}))
    for reverse in (False, True):
        assert names(screen(unknown, View(sort="entries", reverse=reverse))) == ["svc.rates", "bot.ask"]


def test_filter() -> None:
    """While it is typed, keys are text and the table follows; enter keeps it, escape shows all again."""
    view = View()
    for key in ("/", "q", "backspace", "S", "v", "c"):
        view.press(key)
    assert not view.ended
    assert names(screen(readings(), view)) == ["svc.prices", "svc.rates"]
    assert "filter: Svc" in screen(readings(), view)[2]
    view.press("enter")
    view.press("r")
    assert names(screen(readings(), view)) == ["svc.rates", "svc.prices"]
    view.press("escape")
    assert len(names(screen(readings(), view))) == 4
    assert names(screen(readings(), View(filter="b*k"))) == ["bot.ask"]
    assert "no function of 4 has 'x' in its name" in screen(readings(), View(filter="x"))[4]


def test_scrolling() -> None:
    """Arrows, pages and ends move through more functions than there are lines, never beyond them."""
    view, shown = View(sort="name"), readings(1_000)
    order = sorted(row.name for row in shown.rows)

    def first(*keys: str) -> int:
        for key in keys:
            view.press(key)
        lines = screen(shown, view)
        assert names(lines) == order[view.offset : view.offset + view.page]
        assert f"{view.offset + 1:,}-{view.offset + view.page:,} of 1,000" in lines[2]
        return view.offset

    assert first() == 0
    page = view.page
    assert first("down", "down", "up") == 1
    assert first("pagedown") == page
    assert first("end") == 1_000 - page == first("down")
    assert first("up") == 999 - page
    assert first("home") == 0 == first("pageup")
    assert first("down", "c", "n") == 0  # another order begins at its begin


def test_other_keys() -> None:
    """Totals in place of rates, help and back, a row a process, pause; q ends it, from the help too after it."""
    view = View()
    view.press("t")
    lines = screen(readings(), view)
    assert "▼calls" in lines[3]
    assert "calls/s" not in lines[3]
    view.press("?")
    told = screen(readings(), view, height=60)
    assert all(any(line.startswith(letter) for line in told) for letter, _, _ in KEYS)
    view.press("q")
    assert (view.helping, view.ended) == (False, False)
    view.press("m")
    view.press("space")
    assert (view.by_process, view.paused) == (True, True)
    assert screen(readings(), view)[2].startswith("paused")
    view.press("left")  # which does nothing
    view.press("q")
    assert view.ended


def test_the_page_shows_what_is_shown() -> None:
    """The screen in docs/memo_top.md is what ``tests/kit/commands.py`` prints."""
    page = (ROOT / "docs" / "memo_top.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert shown.splitlines() == screen(example(), height=20)


def test_a_process_that_is_silent_is_told() -> None:
    """Figures of a worker that does not answer are what it last told: the line above the table says so."""
    processes = [{"pid": 12, "error": None}, {"pid": 13, "error": "'13' did not answer"}]
    lines = screen(taken(answer(1, {"bot.ask": cached()}, processes=processes)))
    assert "pid 12 and 1 more" in lines[0]
    assert lines[2] == "1 process silent: '13' did not answer"


def test_what_runs_long_is_told() -> None:
    """Below the table stand the calls that have been running for more than a second, the oldest on top."""
    flights = [
        {"function": "bot.ask", "age": age, "waiters": 2, "leader": "Task-7"} for age in (0.5, 61.0, 3.0)
    ]  # fmt: skip
    lines = screen(taken(answer(1, {"bot.ask": cached()}, flights=flights)))
    assert lines[-4:-2] == ["  1m 1s  bot.ask  2 wait for it  in Task-7", "     3s  bot.ask  2 wait for it  in Task-7"]


HOSTILE = "\x1b[31mred\x07\nnext\u202ertl\x9b2J"


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    """Escapes, line ends and marks of direction in any name are shown as what they are."""
    flights = [{"function": HOSTILE, "age": 2.0, "waiters": 0, "leader": HOSTILE, "key": HOSTILE}]
    process = {"pid": 1, "name": HOSTILE, "uptime": 1, "python": HOSTILE, "path": HOSTILE}
    told = {HOSTILE: {**cached(evictions={HOSTILE: 1}), "sparkline": HOSTILE, "process": 7}}
    shown = taken(answer(1, told, flights=flights, process=process, notes=[HOSTILE]))
    for view in (View(), View(filter=HOSTILE), View(filter=HOSTILE + "x"), View(filter=HOSTILE, typing=True)):
        lines = screen(shown, view, 400, status=HOSTILE)
        assert all(line.isprintable() for line in lines)
    assert r"\x1b[31mred\x07\nnext\u202ertl\x9b2J" in lines[2]


def test_cells() -> None:
    """Wide characters take two cells, accents none, and what is cut is cut between them."""
    assert [cells(text) for text in ("abc", "東京", "e\u0301", "")] == [3, 4, 1, 0]
    assert cut("service.東京.weather", 12) == "serv…weather"
    assert cells(cut("東京東京東京", 5)) <= 5
    assert plain("日本 ok") == "日本 ok"


def test_amounts() -> None:
    """Figures are short, and none is rounded to what it is not."""
    assert [amount(n) for n in (None, 0, 999, 1_234, 999_999, 12_345_678)] == ["-", "0", "999", "1.23k", "1M", "12.3M"]
    assert [rate(n) for n in (None, 0, 0.01, 2.04, 9.96, 1_234.5)] == ["-", "0", "<0.1", "2.0", "10", "1.23k"]
    assert [percent(n) for n in (None, 0, 0.001, 0.5, 0.999, 1)] == ["-", "0%", "<1%", "50%", "99%", "100%"]
    assert [span(n) for n in (None, 0.00123, 61, 3_725, 90_061)] == ["-", "1.23ms", "1m 1s", "1h 2m", "25h 1m"]
    assert [bar(n, 4) for n in (None, 0, 0.5, 0.6, 1, 7)] == ["    ", "····", "██··", "██▍·", "████", "████"]
    assert bar(0.5, 4, ascii_only=True) == "##.."


def test_keys_come_in_any_pieces() -> None:
    """Sequences are one key each, wherever they are cut; escape is a key if nothing comes after it."""
    sent = "a\x1b[A\x1bOB\x1b[5~\x1b[6;2~ü\x1b[200~ \r\x7f\x1b[H".encode()
    wanted = ["a", "up", "down", "pageup", "pagedown", "ü", "space", "enter", "backspace", "home"]
    assert Keys().feed(sent) == wanted
    keys = Keys()
    assert [key for at in range(len(sent)) for key in keys.feed(sent[at : at + 1])] == wanted
    assert not keys.begun
    assert keys.feed(b"\x1b") == []
    assert keys.begun
    assert keys.flush() == ["escape"]
    assert Keys().feed(b"\x1bq") == ["escape", "q"]
