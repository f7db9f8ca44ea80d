"""A coroutine whose miss is led in its caller's task: what others do meanwhile, and what marks its context.

Every test runs on both paths: where C leads, the coroutine goes through the load by itself, without a wrapper's frame.
"""

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kit.led_loads import Loads
from kit.places import ROOT

from memo._flight.circles import still_running
from memo._flight.task_work import current_work, work_mark
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)


# -- others meanwhile


def test_one_who_waits_takes_over(in_loop: Any) -> None:
    """Whatever ends the leader's load without a result, one who waits goes on, with its own arguments."""

    async def main() -> None:
        for key in ("cancelled", "closed"):
            loads = Loads()
            notes: list[object] = []

            async def work(key: object, notes: list[object] = notes) -> object:
                notes.append(asyncio.current_task())
                await asyncio.sleep(60 if len(notes) == 1 else 0)
                return key

            loads.work = work
            coroutine = loads.load(key)
            leader = asyncio.create_task(coroutine)
            others = [asyncio.create_task(loads.load(key)) for _ in range(3)]
            for _ in range(3):
                await asyncio.sleep(0)
            assert loads.load.cache.inflight.stats().waiting == 3
            if key == "closed":
                coroutine.close()  # by hand, while its task waits for the sleep
            else:
                leader.cancel()
            assert await asyncio.gather(*others) == [key] * 3
            assert len(notes) == 2
            assert notes[1] in others
            leader.cancel()
            await asyncio.wait([leader])

    asyncio.run(main())


@pytest.mark.parametrize("how", ["clear", "invalidate", "put", "tag", "refresh"])
def test_fenced_meanwhile(how: str) -> None:
    """What was dropped or replaced while it was loaded is not stored; its caller gets it all the same."""
    loads = Loads(tags=["t"])

    async def main() -> None:
        gate = asyncio.Event()

        async def work(key: object) -> object:
            await gate.wait()
            return "old"

        loads.work = work
        task = asyncio.create_task(loads.load("a"))
        await asyncio.sleep(0)
        cache = loads.load.cache
        if how == "clear":
            cache.clear()
        elif how == "invalidate":
            cache.invalidate("a")
        elif how == "put":
            cache.put("new", "a")
        elif how == "tag":
            loads.home.invalidate(tag="t")
        else:
            loads.work = lambda key: asyncio.sleep(0, "new")
            assert await cache.refresh("a") == "new"
        gate.set()
        assert await task == "old"
        assert loads.kept("a") == ("new" if how in ("put", "refresh") else None)

    asyncio.run(main())
    assert loads.figures()[-1] == 0


def test_its_context(in_loop: Any) -> None:
    """The load runs in its caller's task and context: what it binds its caller sees, what begins there is within it."""
    variable = contextvars.ContextVar("variable", default=0)
    works: list[Any] = []
    loads = Loads()

    async def child() -> None:
        works.append(current_work.get())

    async def work(key: Any) -> Any:
        variable.set(key)
        works.append(current_work.get())
        await asyncio.create_task(child())
        return asyncio.current_task()

    loads.work = work

    async def main() -> None:
        assert await loads.load(5) is asyncio.current_task()
        assert variable.get() == 5
        assert current_work.get() is None

    asyncio.run(main())
    assert works[0] is works[1] is not None
    assert works[0].over


def test_a_task_that_outlives_its_load() -> None:
    """A load that began it has ended, for good: what it calls later it shares with others who lead in the same task."""
    loads = Loads()

    async def main() -> None:
        gates = {key: asyncio.Event() for key in "ab"}
        children: list[asyncio.Task[Any]] = []

        async def child() -> Any:
            await gates["a"].wait()
            return await loads.load("b")

        async def work(key: str) -> Any:
            if key == "a":
                children.append(asyncio.create_task(child()))
            elif key == "b":
                gates["a"].set()
                await gates["b"].wait()
            return [key]

        loads.work = work
        assert await loads.load("a") == ["a"]
        leader = asyncio.create_task(_all_in_turn(loads.load, "cdb"))
        while loads.load.cache.inflight.stats().waiting == 0:
            assert not leader.done()
            await asyncio.sleep(0)
        gates["b"].set()
        assert (await leader)[-1] is await children[0]

    asyncio.run(main())
    assert [call for call in loads.calls if call != "left"] == ["a", "c", "d", "b"]


async def _all_in_turn(load: Any, keys: str) -> list[Any]:
    return [await load(key) for key in keys]


def test_many_at_once() -> None:
    """Hundreds of loads of one task group, in any order of their ends, each get and keep their own."""
    loads = Loads()

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(80)]

        async def work(key: int) -> int:
            await gates[key % 80].wait()
            return -key

        loads.work = work
        tasks = [asyncio.create_task(loads.load(key)) for key in range(160)]
        await asyncio.sleep(0)
        assert loads.figures()[-1] == 160
        for number in [*range(1, 80, 2), *range(0, 80, 2)]:
            gates[number].set()
        assert await asyncio.gather(*tasks) == [-key for key in range(160)]

    asyncio.run(main())
    assert loads.figures() == (160, 160, 0, 0, 0)


def test_errors_at_any_point(in_loop: Any) -> None:
    """What the clock, the refusal of a result, or the function itself raises comes out, and no load runs on."""
    broken: list[str] = []

    def clock() -> float:
        if "clock" in broken:
            raise OSError("clock")
        return 0.0

    loads = Loads(clock=clock, ttl=60)

    async def generated() -> AsyncIterator[int]:
        yield 1

    def steps() -> None:
        broken.append("clock")
        with pytest.raises(OSError, match="clock"):
            loads.load("a").send(None)
        broken.clear()
        coroutine = loads.load("a")
        coroutine.send(None)
        broken.append("clock")
        with pytest.raises(OSError, match="clock"):
            coroutine.send(None)
        broken.clear()

        async def work(key: object) -> object:
            return generated()

        loads.work = work
        with pytest.raises(TypeError, match="generator"):
            loads.load("b").send(None)

    in_loop(steps)
    assert loads.figures()[-1] == 0
    assert len(loads.load.cache) == 0


# -- what marks a context


def test_whatever_a_task_has_bound_since() -> None:
    """A task that outlives its load is in no later one, however many variables there are and whichever it binds."""

    async def main(count: int, rebound: int) -> None:
        loads = Loads()
        variables = [contextvars.ContextVar(f"v{number}") for number in range(count)]
        for variable in variables:
            variable.set(0)
        begin, children = asyncio.Event(), []

        async def child() -> Any:
            for variable in variables[:rebound]:
                variable.set(1)
            await begin.wait()
            assert still_running(current_work.get()) is None  # though another load runs in the task that began this one
            return await loads.load("later")

        async def work(key: str) -> str:
            if key == "first":
                children.append(asyncio.create_task(child()))
                await asyncio.sleep(0)
            else:
                begin.set()
                while loads.load.cache.inflight.stats().waiting == 0:
                    assert not children[0].done()
                    await asyncio.sleep(0)
            return key

        loads.work = work
        for key in ("first", "later"):
            assert await loads.load(key) == key
        assert await children[0] == "later"
        assert [call for call in loads.calls if call != "left"] == ["first", "later"]

    for count, rebound in ((0, 0), (1, 1), (6, 6), (60, 1), (60, 60), *[(12, 1)] * 20):  # where each lies is chance
        asyncio.run(main(count, rebound))


def test_tasks_in_one_context() -> None:
    """Two tasks may take turns in one context: whoever leads there leaves it to the other as it was."""
    loads = Loads()

    async def main() -> None:
        gates = {key: asyncio.Event() for key in "abc"}

        async def work(key: str) -> str:
            await gates[key].wait()
            return key

        loads.work = work
        context = contextvars.copy_context()
        tasks = []
        for key in "abc":
            tasks.append(asyncio.get_running_loop().create_task(_all_in_turn(loads.load, key * 2), context=context))
            await asyncio.sleep(0)
        for key in "bca":
            gates[key].set()
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == [[key] * 2 for key in "abc"]
        assert still_running(context.run(current_work.get)) is None

    asyncio.run(main())
    assert loads.figures() == (3, 3, 0, 0, 0)


@built
def test_a_mark_serves_again() -> None:
    """Loads that follow each other in one task mark its context once, unless what began within one has it still."""
    loads = Loads()
    marks: list[Any] = []
    copies: list[contextvars.Context] = []

    async def work(key: int) -> int:
        marks.append(id(work_mark.get()))
        if key == 2:
            copies.append(contextvars.copy_context())
        return key

    loads.work = work

    async def main() -> None:
        for key in range(6):
            await loads.load(key)
            assert current_work.get() is None
            assert work_mark.get().over  # type: ignore[union-attr]

    asyncio.run(main())
    assert marks[:3] == marks[:1] * 3
    assert marks[3:] == marks[3:4] * 3
    assert marks[2] != marks[3]
    assert copies[0][work_mark] is not None


def test_nothing_is_held_after_a_loop(nothing_collected: None) -> None:
    """A loop and a task in which loads were led are held by nothing of theirs."""
    loads = Loads()
    loads.work = lambda key: asyncio.sleep(0, key)
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        seen.extend((weakref.ref(asyncio.get_running_loop()), weakref.ref(asyncio.current_task())))
        assert await loads.load("a") == "a"

    asyncio.run(main())
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


FORKS = """
import asyncio, os, sys
from memo import bounded

@bounded(max=8, work="caller")
async def load(key):
    return key

def step(key):
    try:
        load(key).send(None)
    except StopIteration:
        return True
    except RuntimeError as error:
        assert "no running event loop" in str(error)
        return False

async def main():
    assert step("first") and step("parent")
    child = os.fork()
    if child == 0:
        os._exit(step("child") != (asyncio._get_running_loop() is not None))
    assert step("parent, later")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_in_a_forked_child() -> None:
    """A child that was forked within a loop is in none, if that is how asyncio has it, and its loads are refused."""
    ran = subprocess.run([sys.executable, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
