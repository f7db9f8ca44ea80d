"""What test_shipping.py sends: run as a main program with the name of a library and a file, it writes them there."""

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

from memo import Registry, bounded, dedupe_inflight, sliding_window

EVICTED: list[Any] = []


@bounded(max=7, ttl="1h", name="Fibonacci")
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def key(x: int) -> tuple[str, int]:
    return ("key", x)


def note(key: Any, value: Any, reason: Any) -> None:
    EVICTED.append((key, value))


@bounded(max=1, key=key, on_evict=note, registry=Registry(), clock=lambda: 5.0)
@dedupe_inflight(timeout=9)
@sliding_window("1h", max=3)
def stacked(x: int) -> list[Any]:
    return [x, EVICTED]


@bounded(max=3)
async def waits(x: int) -> list[int]:
    return [x]


class C:
    def __init__(self) -> None:
        self.n = 1

    @bounded(max=9)
    def m(me, x: int) -> list[int]:  # noqa: N805  # not told by its name
        return [me.n, x]

    @bounded(max=9)
    async def a(self, x: int) -> list[int]:
        return [self.n, x]

    @bounded(max=9)
    @staticmethod
    def s_below(x: int) -> list[int]:
        return [x]

    @staticmethod
    @bounded(max=9)
    def s_above(x: int) -> list[int]:
        return [x]

    @bounded(max=9)
    @classmethod
    def c_below(cls, x: int) -> list[Any]:
        return [cls, x]

    @classmethod
    @bounded(max=9)
    def c_above(cls, x: int) -> list[Any]:
        return [cls, x]

    @bounded(max=9)
    @property
    def p_below(self) -> list[int]:
        return [self.n]

    @property
    @bounded(max=9)
    def p_above(self) -> list[int]:
        return [self.n]


def outer(y: int) -> Any:
    @sliding_window("1h")
    def inner(x: int) -> int:
        return x + y

    return inner


def main(library: str, path: str) -> None:
    sent = C()
    assert [fib(20), sent.m(1), sent.p_below, stacked(1)[0]] == [6765, [1, 1], [1], 1]
    things = {
        "fib": fib,
        "stacked": stacked,
        "waits": waits,
        "C": C,
        "instance": sent,
        "m": sent.m,
        "c_below": C.c_below,
        "c_above": C.c_above,
        "inner": outer(3),
        "nameless": bounded(max=2)(lambda x: [x]),
        "partial": bounded(max=2)(functools.partial(key, 3)),
        "decorator": bounded(max=5, key=key),
    }
    options = {"recurse": True} if library == "dill" else {}
    Path(path).write_bytes(importlib.import_module(library).dumps(things, **options))


if __name__ == "__main__":
    main(*sys.argv[1:])
