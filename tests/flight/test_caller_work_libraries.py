"""Work in its caller's own task, beside what belongs to tasks: sessions, cancel scopes, timeouts, groups of tasks."""

import asyncio
from typing import Any

import pytest
from kit.coroutines import play, some_turns, until_async
from kit.flights import assert_idle, waiters

from memo import InflightTimeout, Registry, bounded, dedupe_inflight


@pytest.mark.parametrize("where", ["caller", "shared"])
def test_a_session_of_the_current_task(where: Any) -> None:
    """With "caller" the load uses its caller's session, in its transaction; "shared" has one that nobody removes."""
    for name in ("greenlet", "aiosqlite"):
        pytest.importorskip(name)
    asyncio_of_it = pytest.importorskip("sqlalchemy.ext.asyncio")
    sqlalchemy = pytest.importorskip("sqlalchemy")

    async def main() -> None:
        engine = asyncio_of_it.create_async_engine("sqlite+aiosqlite://", poolclass=sqlalchemy.StaticPool)
        sessions = asyncio_of_it.async_scoped_session(
            asyncio_of_it.async_sessionmaker(engine), scopefunc=asyncio.current_task
        )
        used: list[Any] = []

        @bounded(max=100, work=where, registry=Registry())
        async def name_of(number: int) -> Any:
            used.append(sessions())
            return await sessions.scalar(sqlalchemy.text("select name from people where number = :n"), {"n": number})

        async def handle(number: int) -> Any:
            try:
                session = sessions()
                await session.execute(sqlalchemy.text("insert into people values (:n, 'new')"), {"n": number})
                name = await name_of(number)
                assert (used[-1] is session) == (where == "caller")
                return name
            finally:
                await sessions.remove()  # which rolls back

        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("create table people (number int, name text)"))
        for number in range(3):
            answer = await asyncio.create_task(handle(number))
            assert where == "shared" or answer == "new"
        assert len(sessions.registry.registry) == (0 if where == "caller" else 3)
        for session in used:
            await session.close()
        await engine.dispose()

    play(main)


def test_cancel_scopes_of_anyio() -> None:
    """A scope around the call ends it at once and leaves its joiner the work; one inside the work is the caller's."""
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        begun: list[str] = []

        @bounded(max=100, ignore=("by", "seconds"), work="caller", registry=Registry())
        async def load(name: str, by: str, seconds: float) -> str:
            begun.append(by)
            with anyio.move_on_after(0.01) as inner:
                await anyio.sleep(30)
            assert inner.cancelled_caught
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
            await anyio.sleep(seconds)
            return by

        async def scoped() -> bool:
            with anyio.move_on_after(0.05) as scope:
                await load("a", by="scoped", seconds=30)
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
            await anyio.sleep(0)
            return bool(scope.cancelled_caught)

        task = asyncio.create_task(scoped())
        await until_async(lambda: begun)
        assert await load("a", by="second", seconds=0) == "second"
        assert await task
        assert begun == ["scoped", "second"]
        assert_idle(load)

    play(main)


def test_the_deadline_of_a_call_within_a_scope_of_anyio() -> None:
    """timeout= ends the call alone: the scope around it and its task go on, and other calls too."""
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        @dedupe_inflight(timeout=0.02, work="caller", registry=Registry())
        async def ask(name: str) -> str:
            await anyio.sleep(0 if name == "fast" else 30)
            return name

        async with anyio.create_task_group() as group:
            with anyio.fail_after(10) as scope:
                with pytest.raises(InflightTimeout):
                    await ask("slow")
                assert await ask("fast") == "fast"
            assert not scope.cancel_called
            assert not group.cancel_scope.cancel_called
        assert_idle(ask)

    play(main)


@pytest.mark.parametrize("outside", [True, False])
def test_a_timeout_of_asyncio(outside: bool) -> None:
    """One around the call is its caller's; one in the work is a failure like any, which those who wait get."""

    async def main() -> None:
        @bounded(max=100, ignore=("seconds",), work="caller", registry=Registry())
        async def load(name: str, seconds: float) -> str:
            async with asyncio.timeout(None if outside else 0.02):
                await asyncio.sleep(seconds)
            return name

        async def call(seconds: float) -> str:
            try:
                async with asyncio.timeout(0.02 if outside and seconds else None):
                    return await load("a", seconds)
            except TimeoutError:
                assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
                return "late"

        tasks = [asyncio.create_task(call(30)), asyncio.create_task(call(0))]
        await until_async(lambda: waiters(load) == [1])
        assert await asyncio.gather(*tasks) == ["late", "a" if outside else "late"]
        assert_idle(load)

    play(main)


def test_a_group_of_tasks_that_is_given_up() -> None:
    """A group whose member fails cancels leader and joiner; a joiner outside of it takes over."""

    async def main() -> None:
        opened = asyncio.Event()
        begun: list[Any] = []

        @bounded(max=100, work="caller", registry=Registry())
        async def load(name: str) -> str:
            begun.append(asyncio.current_task())
            await opened.wait()
            return name

        async def group() -> None:
            async with asyncio.TaskGroup() as members:
                members.create_task(load("a"))
                members.create_task(load("a"))
                await until_async(lambda: waiters(load) == [2])
                raise LookupError

        joiner: asyncio.Task[Any] | None = None

        async def join_later() -> str:
            await until_async(lambda: begun)
            return await load("a")

        joiner = asyncio.create_task(join_later())
        with pytest.raises(ExceptionGroup):
            await group()
        await until_async(lambda: len(begun) == 2)
        await some_turns()
        opened.set()
        assert await joiner == "a"
        assert begun[1] is joiner
        assert_idle(load)

    play(main)
