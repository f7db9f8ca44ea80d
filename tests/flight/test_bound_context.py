"""What work in a task of its own binds is seen by its first caller, as if that had awaited the function itself."""

import asyncio
import contextvars
import sys
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import every_loop, play, some_turns, until_async
from kit.flights import Make, deduped, remembered, waiters

one: contextvars.ContextVar[str] = contextvars.ContextVar("one", default="nobody")
two: contextvars.ContextVar[str] = contextvars.ContextVar("two", default="nobody")

every_make = pytest.mark.parametrize("make", [deduped, remembered], ids=lambda make: make.__name__)


@every_loop
@every_make
@pytest.mark.parametrize("end", ["returns at once", "returns", "raises", "is cancelled"])
def test_the_first_caller_sees_what_was_bound(make: Make, kind: str, end: str) -> None:
    """However the work ends that it waited for, and with it what that saw bound by calls within it."""

    async def main() -> None:
        async def inner(name: str) -> str:
            two.set(name)
            return name

        within = make(inner)

        async def work(name: str) -> str:
            assert one.get() == "the caller"
            one.set("the work")
            await within("inner")
            if end == "returns at once":
                return name
            await asyncio.sleep(0)
            if end == "raises":
                raise LookupError(name)
            if end == "is cancelled":
                await asyncio.Event().wait()
            return name

        fetch = make(work)

        async def call() -> tuple[str, str, str]:
            one.set("the caller")
            try:
                ended = await fetch("a")
            except LookupError:
                ended = "raised"
            except asyncio.CancelledError:
                ended = "cancelled"
            return ended, one.get(), two.get()

        task = asyncio.create_task(call())
        await some_turns()
        if end == "is cancelled":
            task.cancel()
        ended = {"raises": "raised", "is cancelled": "cancelled"}.get(end, "a")
        assert await task == (ended, "the work", "inner")
        assert one.get() == two.get() == "nobody"

    play(main, kind)


@every_loop
@every_make
def test_a_first_caller_that_left_goes_on_in_its_own_context(make: Make, kind: str) -> None:
    """It sees nothing of what goes on for others, nor does that see what it binds from then on; joiners see neither."""

    async def main() -> None:
        opened = asyncio.Event()
        seen = []

        async def work(name: str) -> str:
            one.set("the work")
            await opened.wait()
            seen.append((one.get(), two.get()))
            return name

        fetch = make(work)

        async def first() -> str:
            try:
                async with asyncio.timeout(0):
                    await fetch("a")
            except TimeoutError:
                two.set("after")
                await fetch("a")
            return one.get()

        async def second() -> str:
            await fetch("a")
            return one.get()

        tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
        await until_async(lambda: waiters(fetch) == [2])
        opened.set()
        assert await asyncio.gather(*tasks) == ["nobody", "nobody"]
        assert seen == [("the work", "nobody")]

    play(main, kind)


@every_make
def test_what_others_bound_meanwhile_stays(make: Make) -> None:
    """Of a context that tasks share, the first caller changes what the work has bound, and no more."""

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> str:
            one.set("the work")
            await opened.wait()
            return name

        fetch = make(work)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        task = loop.create_task(fetch("a"), context=context)
        await some_turns()

        async def bind() -> None:
            one.set("another")
            two.set("another")

        await loop.create_task(bind(), context=context)
        opened.set()
        await task
        assert (context[one], context[two]) == ("the work", "another")

    play(main)


class Incomparable:
    """A value that tells nobody whether it equals another."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = None  # type: ignore[assignment]


@every_make
@pytest.mark.parametrize("factory", ["legacy", "eager"])
def test_every_task_factory_will_do(make: Make, factory: str) -> None:
    """One that knows no contexts, and one whose tasks begin within their caller's step; values are not compared."""
    value: contextvars.ContextVar[Any] = contextvars.ContextVar("value")

    def legacy(loop: asyncio.AbstractEventLoop, coro: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=loop)

    async def main() -> None:
        async def work(name: str) -> Incomparable:
            bound = Incomparable()
            value.set(bound)
            if name == "waits":
                await asyncio.sleep(0)
            return bound

        fetch = make(work)
        value.set(Incomparable())
        for name in ("at once", "waits"):
            bound = await fetch(name)
            assert value.get() is bound

    if factory == "eager":
        if sys.version_info < (3, 12):
            pytest.skip("eager tasks came with Python 3.12")
        play(main, "eager")
        return

    async def main_of_a_legacy_loop() -> None:
        asyncio.get_running_loop().set_task_factory(legacy)  # type: ignore[arg-type]
        try:
            await main()
        finally:
            asyncio.get_running_loop().set_task_factory(None)

    play(main_of_a_legacy_loop)


@every_make
def test_a_successor_sees_what_its_own_work_bound(make: Make) -> None:
    """Where the first work was lost, whoever took over is the first caller of the next."""

    async def main() -> None:
        begun: list[Callable[[], object]] = []

        async def work(name: str) -> str:
            one.set(f"work {len(begun)}")
            opened = asyncio.Event()
            begun.append(opened.set)
            await opened.wait()
            if len(begun) == 1:
                raise asyncio.CancelledError
            return name

        fetch = make(work)

        async def call() -> str:
            try:
                await fetch("a")
            except asyncio.CancelledError:
                pass
            return one.get()

        tasks = [asyncio.create_task(call()) for _ in range(2)]
        await until_async(lambda: waiters(fetch) == [1] and begun)
        begun[0]()
        await until_async(lambda: len(begun) == 2)
        begun[1]()
        assert await asyncio.gather(*tasks) == ["work 0", "work 1"]

    play(main)
