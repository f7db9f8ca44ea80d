"""What servers tell, made by hand, for those who show it."""

from typing import Any

from memo._commands.readings import Readings
from memo._commands.text import text_of
from memo._commands.view import View

__all__ = ("answer", "cached", "example", "screen", "taken")


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


def example() -> Readings:
    """What ``memo top`` knows of a bot after two answers, a second apart: the screen in docs/memo_top.md."""
    flights = [
        {"function": "bot.ask_ai", "age": 1.86, "waiters": 5, "leader": "Task-18313"},
        {"function": "bot.ask_ai", "age": 1.33, "waiters": 2, "leader": "Task-22069"},
    ]
    readings = Readings()
    for second in (0, 1):
        rows = {
            "bot.fetch_profile": _used(95_000, 3_107, 1_613, second, 34, size=1_000, max=1_000, load_seconds=95.2),
            "bot.fetch_avatar": _used(
                9_600, 380, 157, second, 6, size=481, max=500, bytes=48_200_000, load_seconds=5.4
            ),
            "bot.on_message": _used(6_100, 204, 131, second, 0, size=500, max=500, load_seconds=0.0006),
            "bot.webhook": _used(4_400, 152, 101, second, 1, size=100, max=100, load_seconds=2.1),
            "bot.ask_ai": {"inflight": _running(2, started=150 + 5 * second, joined=520 + 19 * second)},
        }
        process = {"pid": 4711, "name": "bot", "uptime": 3_725, "python": "3.13.1", "path": "C"}
        readings.take(answer(1.0 + second, rows, flights=flights, process=process))
    return readings


def _used(calls: int, hits: int, misses: int, second: int, active: int, **figures: Any) -> dict[str, Any]:
    """A function that was called so often, and then answered so many calls in a second, and missed so many."""
    told = cached(calls + hits * second, misses * (1 + second), **{"evictions": {"size": calls // 10}, **figures})
    return {**told, "inflight": _running(active)}


def _running(active: int, *, started: int = 0, joined: int = 0) -> dict[str, Any]:
    counted = {"started": started, "joined": joined, "failed": 0, "timeouts": 0, "waiting": 0}
    return {**counted, "active": active, "oldest": 0.079 if active else None}


if __name__ == "__main__":
    print("\n".join(screen(example(), height=20)))  # noqa: T201 (for the page)
