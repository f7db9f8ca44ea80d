"""The columns of the table: what each shows, what it is sorted by, and which there is room for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memo._commands.amounts import amount, bytes_text, percent, rate, span
from memo._commands.rows import Row
from memo._commands.text import plain

__all__ = ("COLUMNS", "DEFAULT_SORT", "Column", "Totals", "column_of", "sorted_rows")

DEFAULT_SORT = "calls"
_LONG_S = 10.0
"""A call that has been running for longer is shown as something to look at."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a row is seen beside: sums over all rows, and how the table is to be read."""

    bytes: int = 0
    since_start: bool = False
    """Calls and hit ratio since each process began, in place of those of the last interval."""
    ascii_only: bool = False


Value = Callable[[Row, Totals], float | str | None]


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    key: str
    """What ``--sort`` calls it."""
    letter: str
    """The key that sorts by it."""
    head: str
    width: int
    says: str
    """What it shows, in a few words."""
    value: Value
    text: Callable[[Row, Totals], str]
    share: Callable[[Row, Totals], float | None] | None = None
    """What its bar shows, if it has one where there is room."""
    style: Callable[[Row, Totals], str] = lambda row, totals: ""
    optional: bool = False
    """Whether it is left out where no row has a value."""
    head_of_totals: str | None = None
    """Its head where figures are those since the start, if it is another then."""

    def head_for(self, totals: Totals) -> str:
        """Its head."""
        return self.head_of_totals if totals.since_start and self.head_of_totals else self.head


def _ratio(row: Row, totals: Totals) -> float | None:
    return row.hit_ratio if totals.since_start else row.recent_ratio


def _calls(row: Row, totals: Totals) -> float | None:
    return row.calls if totals.since_start else row.calls_per_second


def _share_of_memory(row: Row, totals: Totals) -> float | None:
    return row.bytes / totals.bytes if row.bytes is not None and totals.bytes else None


def _entries(row: Row, totals: Totals) -> str:
    return amount(row.size) if row.max is None else f"{amount(row.size)}/{amount(row.max)}"


def _good_or_bad(row: Row, totals: Totals) -> str:
    ratio = _ratio(row, totals)
    if ratio is None:
        return ""
    return "good" if ratio >= 0.8 else "fair" if ratio >= 0.3 else "bad"


def _reasons(row: Row, totals: Totals) -> str:
    return " ".join(f"{plain(reason)} {amount(number)}" for reason, number in row.reasons.items())


COLUMNS: tuple[Column, ...] = (
    Column("name", "n", "function", 0, "the function's name", lambda r, t: r.label, lambda r, t: plain(r.label)),
    Column("entries", "e", "entries", 11, "entries kept, and the most that may be", lambda r, t: r.size, _entries),
    Column(
        "bytes", "b", "bytes", 6, "bytes kept, where they are counted; the bar is its part of all that are counted",
        lambda r, t: r.bytes, lambda r, t: bytes_text(r.bytes), _share_of_memory, optional=True,
    ),
    Column(
        "hit", "h", "hit", 4, "calls answered from the store, of those of the last interval",
        _ratio, lambda r, t: percent(_ratio(r, t)), _ratio, _good_or_bad,
    ),
    Column(
        "calls", "c", "calls/s", 8, "calls a second, of late", _calls,
        lambda r, t: amount(r.calls) if t.since_start else rate(r.calls_per_second), head_of_totals="calls",
    ),
    Column("load", "l", "load", 6, "mean time of a load", lambda r, t: r.load_mean, lambda r, t: span(r.load_mean)),
    Column(
        "p95", "9", "p95", 6, "what 95 of 100 calls in the window stay below", lambda r, t: r.p95,
        lambda r, t: span(r.p95), optional=True,
    ),
    Column(
        "shared", "s", "shared", 7, "loads that the shared tier answered, of those it was asked for since the start",
        lambda r, t: r.tier_ratio, lambda r, t: percent(r.tier_ratio), optional=True,
    ),
    Column("running", "a", "run", 4, "calls running now", lambda r, t: r.running, lambda r, t: amount(r.running)),
    Column(
        "waiting", "w", "wait", 5, "callers who wait for a running call", lambda r, t: r.waiting,
        lambda r, t: amount(r.waiting), optional=True,
    ),
    Column(
        "oldest", "o", "oldest", 7, "how long the oldest of the running calls has been running",
        lambda r, t: r.oldest, lambda r, t: span(r.oldest),
        style=lambda r, t: "bad" if r.oldest is not None and r.oldest >= _LONG_S else "",
    ),
    Column("evicted", "v", "evict", 6, "values that left", lambda r, t: r.evicted, lambda r, t: amount(r.evicted)),
    Column(
        "errors", "x", "errors", 7, "loads, or calls, that failed",
        lambda r, t: r.errors, lambda r, t: amount(r.errors),
        style=lambda r, t: "bad" if (r.recent_errors or 0) > 0 else "", optional=True,
    ),
    Column(
        "spark", "k", "window", 13, "calls in the window, by time", lambda r, t: r.sparkline or None,
        lambda r, t: plain(r.sparkline), optional=True,
    ),
    Column(
        "reasons", "y", "left by", 34, "values that left, by reason", lambda r, t: r.evicted, _reasons, optional=True
    ),
)  # fmt: skip
"""In the order of the table.  Each is wider than its head, so that there is room for a mark before that."""


def column_of(key: str) -> Column:
    """The column that ``--sort`` calls so."""
    return next(column for column in COLUMNS if column.key == key)


def sorted_rows(rows: Iterable[Row], column: Column, totals: Totals, *, reverse: bool = False) -> list[Row]:
    """Rows by a column: names from A, figures from the greatest, or in *reverse*; what has no figure comes last."""
    by_name = sorted(rows, key=lambda row: row.label)
    if column.key == "name":
        return by_name[::-1] if reverse else by_name
    known: list[Row] = []
    unknown: list[Row] = []
    for row in by_name:
        (unknown if column.value(row, totals) is None else known).append(row)
    known.sort(key=lambda row: column.value(row, totals), reverse=not reverse)  # type: ignore[arg-type, return-value]
    return known + unknown
