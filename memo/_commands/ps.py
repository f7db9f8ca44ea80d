"""``python -m memo ps``: the processes of this user that serve their figures."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from memo._base import print_text
from memo._commands.amounts import uptime
from memo._commands.polling import path_of
from memo._commands.text import cells, padded, plain
from memo._commands.tiers import tiers_of
from memo.exporters import Place, Source, SourceError, serving

__all__ = ("ps",)

_AT_ONCE = 8
_PATIENCE_S = 2.0
_NONE = "nobody serves: call registry.serve() in the process to look at.\n"


def ps(given: argparse.Namespace) -> int:
    """Run the command; a process that does not answer is listed with the reason.

    Returns:
        The exit status.
    """
    places = sorted(serving(), key=lambda place: (place.name, place.pid))
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # one that hangs holds the others up no longer than itself
        told = list(pool.map(_told, places))
    if given.json:
        return print_text(json.dumps(told) + "\n", "ps")
    return print_text(_table(told) if told else _NONE, "ps")


def _told(place: Place) -> dict[str, Any]:
    """What one process tells of itself."""
    told: dict[str, Any] = {
        "pid": place.pid, "name": place.name, "uptime": None, "functions": None, "address": place.path, "error": None,
        "tiers": [],
    }  # fmt: skip
    try:
        with Source(place.path, timeout=_PATIENCE_S) as source:
            answer = source.get(path_of(own="1", fields=""))
        told["uptime"] = answer["process"]["uptime"]
        told["functions"] = answer["functions"]
        told["tiers"] = [{"name": one.name, "state": one.state} for one in tiers_of(answer.get("tiers"))]
    except (SourceError, KeyError, TypeError) as error:
        told["error"] = str(error)
    return told


def _table(told: list[dict[str, Any]]) -> str:
    shared = any(one["tiers"] for one in told)
    rows = [["pid", "name", "uptime", "functions", *(["tiers"] if shared else []), "address"]]
    for one in told:
        known = one["error"] is None
        rows.append(
            [
                str(one["pid"]),
                plain(one["name"]),
                uptime(one["uptime"]) if known else "-",
                f"{one['functions']:,}" if known else "-",
                *([_tiers(one["tiers"])] if shared else []),
                plain(one["address"] if known else f"{one['address']}: {one['error']}"),
            ]
        )
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            padded(text, width, right=at in (0, 2, 3)) for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _tiers(tiers: list[dict[str, str]]) -> str:
    """The tiers of one process, each with its state."""
    return ", ".join(f"{plain(one['name'])} {plain(one['state'])}" for one in tiers) or "-"
