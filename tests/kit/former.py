"""What users may have pickled with an earlier version: a value of every exported record, and keys that ``freeze`` made.

``python tests/kit/former.py FILE`` writes the pickles of the version that is imported; those in
``contract/former_pickles.json`` were written by the version whose modules lay in one folder.
"""

import base64
import dataclasses
import json
import pickle
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from memo import (
    AdoptedStats,
    Bucket,
    CacheEvent,
    CacheInfo,
    CacheStats,
    CleanupReport,
    EntryInfo,
    Event,
    EvictionReason,
    Finding,
    Flight,
    FunctionStats,
    InflightStats,
    KeyCount,
    LeakReport,
    LimitStats,
    StoreReport,
    WindowStats,
    freeze,
    freeze_typed,
)
from memo.errors import (
    AbsentKey,
    DumpError,
    InflightTimeout,
    MemoError,
    MissingExtra,
    RateLimited,
    RecordingError,
    SharedTimeout,
)

__all__ = ("PROTOCOLS", "Point", "frozen_keys", "records")

PROTOCOLS = (2, 5)
AT = datetime(2025, 11, 25, 12, 30, tzinfo=UTC)


@dataclasses.dataclass
class Point:
    """An instance that cannot be hashed, and is taken apart."""

    x: int
    tags: list[str]


def records() -> dict[str, Any]:
    """One of every exported record, enumeration and exception, with a field of every kind filled."""
    cache = CacheStats(
        "load", hits=5, misses=2, load_seconds=0.5, size=2, max=10, evictions={EvictionReason.SIZE: 3}
    )  # fmt: skip
    inflight = InflightStats("load", active=1, waiting=2, started=4, joined=5, oldest=1.5)
    window = WindowStats("load", span=3600.0, count=7, errors=1, rate=0.25)
    adopted = AdoptedStats("old", "functools", hits=1, misses=2, size=3, max=128, bounded=True)
    finding = Finding("load", "high", "values keep 3 Page alive.", "copy them.")
    store = StoreReport("load", "bounded", entries=3, max=10, bytes=300, measured=3, findings=(finding,))
    return {
        "AbsentKey": AbsentKey("load(): there is no value for the key 'a'.", "a"),
        "AdoptedStats": adopted,
        "Bucket": Bucket(AT, 60.0, 3, 1, 0.5),
        "CacheEvent": CacheEvent(
            "error", "load", AT, "('a', 1)", 0.25, "miss", 2, EvictionReason.SIZE, "ValueError", "no such page"
        ),
        "CacheInfo": CacheInfo(1, 2, None, 3),
        "CacheStats": cache,
        "CleanupReport": CleanupReport(1, 2, 3, 0.5, {"load": 1}),
        "DumpError": DumpError("load: it is no dump."),
        "EntryInfo": EntryInfo(["value"], 1.0, None, 3, 400, True),
        "Event": Event(AT, 0.25, "error", "1, x=2", "ValueError", "no such page"),
        "EvictionReason": list(EvictionReason),
        "Finding": finding,
        "Flight": Flight(("a", 1), 0.5, 2, "thread 1"),
        "FunctionStats": FunctionStats("load", ("a", "b"), cache, inflight, window, adopted),
        "InflightStats": inflight,
        "InflightTimeout": InflightTimeout("load(): it took too long.", ("a", 1), 2.5),
        "KeyCount": KeyCount(("alice", 1), 7, 2, 6, 9),
        "LeakReport": LeakReport((store,)),
        "LimitStats": LimitStats("load", 100, 60.0, allowed=7, refused=2, delay_seconds=0.5, keys=3, max_keys=10),
        "MemoError": MemoError("something"),
        "MissingExtra": MissingExtra("it needs the extra 'x'."),
        "RateLimited": RateLimited("load(): come again.", ("a", 1), "100/1m", 2.5),
        "RecordingError": RecordingError("read_recording: it is no recording."),
        "SharedTimeout": SharedTimeout("flush: it took too long.", 5.0),
        "StoreReport": store,
        "WindowStats": window,
    }


def frozen_keys() -> dict[str, Any]:
    """A key of every kind of value, of both functions."""
    values: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "text": (("a",), {}),
        "list": (([1, [2, 3]],), {}),
        "empty list": (([],), {}),
        "tuple": (((1, [2]),), {}),
        "dict": (({"a": [1], "b": {"c": 2}},), {}),
        "ordered dict": ((OrderedDict(a=1, b=[2]),), {}),
        "set": (({1, 2, 3},), {}),
        "frozen set": ((frozenset({1, 2}),), {}),
        "deque": ((deque([1, [2]]),), {}),
        "bytearray": ((bytearray(b"abc"),), {}),
        "numbers": (([1, 1.0, True, Decimal("1.5"), 1j],), {}),
        "instance": ((Point(1, ["a"]),), {}),
        "instances": (([Point(1, []), Point(2, [])],), {}),
        "call": ((1, [2]), {"name": {"a": []}}),
        "call of names": ((), {"a": 1}),
        "dates": (([AT, AT.date()],), {}),
    }
    made: tuple[Callable[..., Any], ...] = (freeze, freeze_typed)
    return {
        f"{function.__name__} {name}": function(*args, **named)
        for function in made for name, (args, named) in values.items()
    }  # fmt: skip


def main(path: str) -> None:
    """Write the pickles of the version that is imported."""
    written = {
        name: [base64.b64encode(pickle.dumps(value, protocol)).decode() for protocol in PROTOCOLS]
        for name, value in {**records(), **frozen_keys()}.items()
    }
    Path(path).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from kit.former import main as main_of_module  # whose class is that of the pickles

    main_of_module(sys.argv[1])
