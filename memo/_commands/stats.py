"""``python -m memo stats``: what one service tells of its functions now."""

import argparse
import glob
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from memo._base import print_text
from memo._commands.columns import Totals, column_of, sorted_rows
from memo._commands.failures import Failed, reason
from memo._commands.polling import path_of
from memo._commands.rows import row_of
from memo._commands.table import fitted, head_line, row_line
from memo._commands.targets import named, source
from memo._commands.text import plain, text_of
from memo._commands.tiers import tiers_of
from memo.exporters import SourceError

__all__ = ("stats",)


def stats(given: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        The exit status.

    Raises:
        Failed: Nobody serves there, or there is no such function.
    """
    wanted: str | None = given.function
    is_pattern = wanted is not None and any(one in wanted for one in "*?")
    query = {} if wanted is None else {"select": wanted if is_pattern else glob.escape(wanted)}
    try:
        with source(named(given.target), given) as asked:
            told = asked.get(path_of(**query))
            rows: dict[str, dict[str, Any]] = told["rows"]
            tiers = "".join(f"{tier.line}\n" for tier in tiers_of(told.get("tiers")))
            if wanted is not None and not rows:
                raise Failed(_unknown(wanted, asked.get(path_of(fields=""))["rows"]))
    except SourceError as error:
        raise Failed(reason(error)) from error
    except (KeyError, TypeError) as error:
        raise Failed(f"the answer is not that of a memo server ({type(error).__name__}: {error})") from error
    only = rows[wanted] if wanted is not None and not is_pattern and wanted in rows else None
    if given.json:
        return print_text(json.dumps(only if only is not None else rows) + "\n", "stats")
    return print_text(_figures(wanted or "", only) if only is not None else _table(rows) + tiers, "stats")


def _unknown(wanted: str, rows: Mapping[str, object]) -> str:
    close = get_close_matches(wanted, rows, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {len(rows):,}; leave the name out to see all."
    return f"there is no function {wanted!r}; {hint}"


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each function, with its figures since the process began."""
    seen = [row_of(name, figures) for name, figures in rows.items()]
    totals = Totals(sum(row.bytes or 0 for row in seen), since_start=True)
    columns = fitted(seen, totals, None, "name")
    lines = [head_line(columns, totals, "name", reverse=False)]
    lines += [row_line(row, columns, totals) for row in sorted_rows(seen, column_of("name"), totals)]
    return "".join(f"{text_of(line)}\n" for line in lines)


def _figures(name: str, told: Mapping[str, Any]) -> str:
    """A line for each figure of one function."""
    figures = list(_flat(told, ""))
    width = max((len(key) for key, _ in figures), default=0)
    return "".join([f"{plain(name)}\n", *(f"  {key:<{width}}  {plain(value)}\n" for key, value in figures)])


def _flat(told: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for key, value in told.items():
        if value is None or value == "" or key == "name":
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, list):
            yield plain(above + key), ", ".join(map(str, value)) or "-"
        else:
            yield plain(above + key), _number(value) if isinstance(value, int | float) else str(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
