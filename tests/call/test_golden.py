"""What generated wrappers look like: ten of them, written down in ``golden/``, to be read as documentation.

After a change that is meant, write them anew and look at the difference:

    MEMO_RENEW_GOLDEN=1 python -m pytest tests/call/test_golden.py
"""

import asyncio
import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from memo import Registry, bounded, bounded_many, dedupe_inflight, limit, sliding_window
from memo._native import speed

GOLDEN = Path(__file__).parent / "golden"


def calling() -> CodeType:
    """The wrapper that a decorated function is called by, asked in the function."""
    frame = sys._getframe(2)
    while not frame.f_code.co_filename.startswith("<memo wrapper of "):
        assert frame.f_back is not None
        frame = frame.f_back
    return frame.f_code


def of_a_function(own: Registry) -> CodeType:
    """@bounded(max=500): a function of two parameters, one with a default."""

    @bounded(max=500, registry=own)
    def load(name: str, lang: str = "en") -> CodeType:
        return calling()

    return load("alice")


def of_a_coroutine_function(own: Registry) -> CodeType:
    """@bounded(max=500, ttl="1h"): a coroutine function."""

    @bounded(max=500, ttl="1h", registry=own)
    async def load(name: str) -> str:
        return name

    awaited: Any = load("alice")
    asyncio.run(awaited)
    return awaited.cr_code  # type: ignore[no-any-return]


def of_work_in_the_callers_task(own: Registry) -> CodeType:
    """@bounded(max=500, work="caller"): a coroutine function."""

    @bounded(max=500, work="caller", registry=own)
    async def load(name: str) -> str:
        return name

    awaited: Any = load("alice")
    asyncio.run(awaited)
    return awaited.cr_code  # type: ignore[no-any-return]


def of_a_method(own: Registry) -> CodeType:
    """@bounded(max=500, ttl="1h", policy="lru"): a method, called through its instance."""

    class Client:
        @bounded(max=500, ttl="1h", policy="lru", registry=own)
        def load(self, name: str) -> CodeType:
            return calling()

    return Client().load("alice")


def of_every_freshness(own: Registry) -> CodeType:
    """@bounded(max=500) with every option about freshness, copy="deep", tags= and key=."""

    @bounded(
        max=500,
        ttl="1h",
        idle="30m",
        jitter=0.1,
        stale_while_revalidate="1m",
        stale_if_error="1h",
        soft_timeout="1s",
        cache_errors=LookupError,
        error_ttl="5s",
        copy=lambda value: value,
        tags=lambda name, *, lang: f"user:{name}",
        key=lambda name, *, lang: name,
        registry=own,
    )
    def load(name: str, *, lang: str = "en") -> tuple[CodeType]:
        return (calling(),)

    return load("alice")[0]


def of_what_counts_by_identity(own: Registry) -> CodeType:
    """@bounded(max=500, weak=("client",), scope="loop"): a function of two parameters, one of them weak."""

    @bounded(max=500, weak=("client",), scope="loop", registry=own)
    def load(client: object, name: str) -> CodeType:
        return calling()

    return load(own, "alice")


def of_many_keys(own: Registry) -> CodeType:
    """@bounded_many(max=500, ttl="1h"): a function of many keys and of another parameter with a default."""
    if speed is not None:
        pytest.skip("entries of C are asked in one step whether they are fresh")

    @bounded_many(max=500, ttl="1h", registry=own)
    def load(names: list[str], lang: str = "en") -> dict[str, CodeType]:
        return {name: calling() for name in names}

    return load(["alice"])["alice"]


def of_a_flight(own: Registry) -> CodeType:
    """@dedupe_inflight(timeout=30)."""

    @dedupe_inflight(timeout=30, registry=own)
    def load(name: str) -> CodeType:
        return calling()

    return load("alice")


def of_a_window(own: Registry) -> CodeType:
    """@sliding_window("24h")."""
    if speed is not None:
        pytest.skip("in C a call enters its event by itself, and runs no wrapper")

    @sliding_window("24h", registry=own)
    def load(name: str, lang: str = "en") -> CodeType:
        return calling()

    return load("alice")


def of_a_limit(own: Registry) -> CodeType:
    """@limit("100/1m", key=lambda name, lang: name, when_full="delay")."""

    @limit("100/1m", key=lambda name, lang: name, when_full="delay", registry=own)
    async def load(name: str, lang: str = "en") -> CodeType:
        return calling()

    return asyncio.run(load("alice"))


CASES: dict[str, Callable[[Registry], CodeType]] = {
    "bounded": of_a_function,
    "bounded_coroutine_function": of_a_coroutine_function,
    "bounded_in_the_callers_task": of_work_in_the_callers_task,
    "bounded_method": of_a_method,
    "bounded_with_all_freshness": of_every_freshness,
    "bounded_with_weak_arguments": of_what_counts_by_identity,
    "bounded_many": of_many_keys,
    "dedupe_inflight": of_a_flight,
    "sliding_window": of_a_window,
    "limit": of_a_limit,
}


_OTHERWISE_IN_C = {
    "bounded": "in C no load ends in lines of the wrapper",
    "bounded_method": "in C a call through an instance goes to the wrapper of calls through the class",
    "bounded_in_the_callers_task": "in C the end of a load is one call",
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.pure_path(_OTHERWISE_IN_C[case])) if case in _OTHERWISE_IN_C else case
        for case in CASES
    ],
)
def test_wrappers_are_as_written_down(case: str, own: Registry) -> None:
    """The lines of a generated wrapper are those of its golden file."""
    make = CASES[case]
    code = make(own)  # which holds the lines
    head = f"# {make.__doc__}\n# In place of each default stands None; what it is stands in __defaults__.\n\n"
    text = head + "".join(linecache.getlines(code.co_filename)) + "\n"
    path = GOLDEN / f"{case}.py.txt"
    if os.environ.get("MEMO_RENEW_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == known, "if that is meant: MEMO_RENEW_GOLDEN=1 python -m pytest tests/call/test_golden.py"


def test_there_is_a_case_for_each_golden_file() -> None:
    """No golden file is left over."""
    assert {path.name for path in GOLDEN.iterdir()} == {f"{case}.py.txt" for case in CASES}
