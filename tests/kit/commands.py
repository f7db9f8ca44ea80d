"""What servers tell, made by hand, for those who show it."""

from typing import Any

from memo._commands.readings import Readings
from memo._commands.text import text_of
from memo._commands.view import View

__all__ = ("answer", "cached", "screen", "taken")


def cached(hits: int = 0, misses: int = 0, **figures: Any) -> dict[str, Any]:
    """The figures of a function with a store."""
    cache = {
        "hits": hits, "misses": misses, "joins": 0, "stale_hits": 0, "error_hits": 0, "loads": misses, "load_errors": 0,
        "load_seconds": misses * 0.002, "size": 0, "max": 100, "bytes": None, "max_bytes": None, "evictions": {},
        **figures,
    }  # fmt: skip
    return {"process": None, "tags": [], "cache": cache, "sparkline": ""}


def answer(taken: float, rows: dict[str, Any], **others: Any) -> dict[str, Any]:
    """An answer of ``/stats.json``."""
    process = {"pid": 12, "name": "web", "uptime": taken, "python": "3.11.9", "memo": "1", "path": "C"}
    return {
        "format": 1, "token": f"t{taken}", "full": True, "process": process,
        "processes": [{"pid": 12, "uptime": taken, "functions": len(rows), "error": None}], "taken": taken,
        "functions": len(rows), "rows": rows, "gone": [], "flights": [], "actions": False, "show_keys": False,
        "notes": [], **others,
    }  # fmt: skip


def taken(*answers: dict[str, Any]) -> Readings:
    """What is known after those answers."""
    readings = Readings()
    for one in answers:
        readings.take(one)
    return readings


def screen(
    readings: Readings, view: View | None = None, width: int = 80, height: int = 24, status: str = ""
) -> list[str]:
    """The lines that are shown, as text."""
    from memo._commands.drawing import draw

    return [text_of(line) for line in draw(readings, view or View(), width, height, status)]
