"""The one table of ``pytest benchmarks``: rows of ratios as text, and the lines that say how they were come by."""

from __future__ import annotations

import importlib.metadata
import itertools
import statistics
import textwrap
from dataclasses import dataclass

from _peers import PEERS
from _where import where

__all__ = ("COLUMNS", "Column", "Measured", "shown")


@dataclass(frozen=True, slots=True)
class Column:
    """A library: as which of the peers it is set up, how its head is broken, and the name that pip knows it by."""

    peer: str
    head: tuple[str, str]
    distribution: str

    @property
    def version(self) -> str | None:
        """Of what is installed; None of what is not."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


COLUMNS = (
    Column("memo", ("memo", ""), "memo-toolkit"),
    Column("cachetools, condition", ("cache", "tools"), "cachetools"),
    Column("cachebox", ("cache", "box"), "cachebox"),
    Column("moka-py", ("moka", "-py"), "moka-py"),
    Column("theine", ("theine", ""), "theine"),
    Column("warp-cache", ("warp-", "cache"), "warp-cache"),
    Column("cachier", ("cach", "ier"), "cachier"),
    Column("async-lru", ("async", "-lru"), "async-lru"),
    Column("coalescer", ("coal", "escer"), "coalescer"),
    Column("aiocache", ("aio", "cache"), "aiocache"),
    Column("cashews", ("cash", "ews"), "cashews"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A row: what was done, what the ratios are ratios to and how long that took, and the ratios of all rounds."""

    name: str
    one: str
    """With {} where the duration goes."""
    one_s: float
    ratios: dict[str, list[float]]
    """By the peers' names, for each round."""

    @property
    def rounds(self) -> int:
        return max(map(len, self.ratios.values()), default=0)


def shown(rows: list[Measured], width: int) -> str:
    """The table and what is told under it, in lines of at most *width* characters, as far as that goes."""
    rows = [row for row in rows if row.rounds > 1]
    if not rows:
        told = ["Nothing was measured: under --benchmark-disable, or on workers of pytest-xdist, each batch runs once."]
        lines = []
    else:
        columns = [column for column in COLUMNS if any(column.peer in row.ratios for row in rows)]
        told = [_how(rows), where(), _with_what(columns[1:]), _without()]
        lines = [*_table(rows, columns, width), ""]
    for sentence in filter(None, told):
        lines += textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def _table(rows: list[Measured], columns: list[Column], width: int) -> list[str]:
    cells = {row.name: [_figure(row.ratios.get(column.peer)) for column in columns] for row in rows}
    label = max(map(len, cells))
    widths = [
        max(*map(len, column.head), *(len(found[i]) for found in cells.values())) for i, column in enumerate(columns)
    ]
    gap = "  " if label + sum(widths) + 2 * len(widths) <= width else " "

    def line(first: str, others: list[str]) -> str:
        return gap.join([first.ljust(label), *(cell.rjust(w) for cell, w in zip(others, widths, strict=True))]).rstrip()

    lines = [line("", [column.head[i] for column in columns]) for i in (0, 1)]
    for one, group in itertools.groupby(rows, lambda row: row.one):
        found = list(group)
        lines.append(f"-- 1 is {one.format(_duration(found[0].one_s))}")
        lines += [line(row.name, cells[row.name]) for row in found]
    return lines


def _figure(ratios: list[float] | None) -> str:
    if not ratios:
        return "-"
    median = statistics.median(ratios)
    return f"{median:.2f}" if median < 0.995 else f"{median:.1f}" if median < 9.95 else f"{median:.0f}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e9:.0f} ns" if seconds < 1e-6 else f"{seconds * 1e6:.1f} us"


def _how(rows: list[Measured]) -> str:
    spreads = {}
    for row in rows:
        for peer, ratios in row.ratios.items():
            low, median, high = statistics.quantiles(ratios, n=4)
            spreads[peer, row.name] = (high - low) / 2 / abs(median)
    (peer, name), worst = max(spreads.items(), key=lambda found: found[1])
    rounds = sorted({row.rounds for row in rows})
    how_many = f"{rounds[0]}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    usual = statistics.median(spreads.values())
    return (
        f"Times as long as what is 1, so that less is faster: the median of {how_many} rounds, in each of which all run"
        f" in turn. Half of the rounds lie within {usual:.0%} of it, at worst {worst:.0%} ({peer}, {name})."
        " -: it has nothing to that end, or does something else."
    )


def _with_what(columns: list[Column]) -> str:
    settings = {peer.name: peer.settings for peer in PEERS}
    told = [f"{column.distribution} {column.version} ({settings[column.peer]})" for column in columns]
    return f"With {', '.join(told)}." if told else ""


def _without() -> str:
    missing = [column.distribution for column in COLUMNS[1:] if column.version is None]
    return f"python -m pip install '.[bench]' brings what is not here: {', '.join(missing)}." if missing else ""
