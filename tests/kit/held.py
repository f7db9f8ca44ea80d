"""Who still holds what after a call."""

import asyncio
import contextvars
import importlib
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kit.threads import LIMIT_S
from memo import Registry, bounded, dedupe_inflight

__all__ = (
    "HOUR",
    "LIMIT_S",
    "MAKERS",
    "WORKS",
    "Refusal",
    "Token",
    "failing",
    "failing_at_once",
    "immediate",
    "in_a_context",
    "leftovers",
    "makers",
    "run_uvloop",
    "suspended",
    "who",
)

who: contextvars.ContextVar[Any] = contextvars.ContextVar("who", default=None)


class Token:
    """Something that can be held."""


class Refusal(Exception):
    pass


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    return importlib.import_module("uvloop").run(main)


HOUR = 3600.0

MAKERS: dict[str, Callable[[Any], Any]] = {
    "dedupe_inflight": lambda f: dedupe_inflight(timeout=HOUR, registry=Registry())(f),
    "bounded": lambda f: bounded(max=9, key=id, registry=Registry())(f),
    "bounded that asks": lambda f: bounded(max=9, key=id, ttl=lambda _, call: HOUR, registry=Registry())(f),
    "bounded, timeout": lambda f: bounded(max=9, timeout=HOUR, key=id, registry=Registry())(f),
    "bounded, caller": lambda f: bounded(max=9, timeout=HOUR, work="caller", key=id, registry=Registry())(f),
    "bounded, lru": lambda f: bounded(max=9, policy="lru", timeout=HOUR, key=id, registry=Registry())(f),
    "bounded, late": lambda f: bounded(
        max=9, ttl=60, stale_while_revalidate=60, stale_if_error=60, timeout=HOUR, key=id, registry=Registry()
    )(f),
    "stacked": lambda f: dedupe_inflight(timeout=HOUR, registry=(r := Registry()))(
        bounded(max=9, timeout=HOUR, key=id, registry=r)(f)
    ),
}

makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def leftovers() -> list[Any]:
    """What a test harness complains of: timers that are still to ring, and tasks besides the present one."""
    loop = asyncio.get_running_loop()
    timers = [handle for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()]
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    return timers + tasks


async def in_a_context(call: Callable[[], Coroutine[Any, Any, Any]], held: list[weakref.ref[Any]]) -> str:
    """Await a call in a task with a value in its context; how it ended."""
    values = [Token()]

    async def act() -> str:
        held.append(weakref.ref(values[0]))
        who.set(values.pop())
        try:
            await call()
        except BaseException as error:
            return type(error).__name__
        return "returned"

    task = asyncio.create_task(act())
    held.append(weakref.ref(task))
    return await task


async def suspended(x: Any) -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "value"


async def immediate(x: Any) -> str:
    return "value"


async def failing(x: Any) -> str:
    await asyncio.sleep(0)
    raise Refusal(x)


async def failing_at_once(x: Any) -> str:
    raise Refusal(x)


WORKS = [suspended, immediate, failing, failing_at_once]
