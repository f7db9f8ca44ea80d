"""What a miss in its caller's own task costs, as cases for ``speed.py``.

The baseline of each is what one would write by hand, a coroutine that awaits the function and stores its value in a
dictionary which is never bounded:

    async def plain(x):
        value = await function(x)
        results[x] = value
        return value

All keys are new; ours evicts as well.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from _ratios import Ratio, Timed, by_path, interleaved, timed

from memo import Registry, bounded

__all__ = ("CALLER_CASES", "miss_in_caller", "miss_in_caller_asks", "miss_in_caller_waits", "miss_shared_waits")

SIZE = 500
Load = Callable[[int], Awaitable[int]]
Surroundings = Callable[[], AbstractAsyncContextManager[Any]]


async def _bare(x: int) -> int:
    return x


async def _waits(x: int) -> int:
    await asyncio.sleep(0)
    return x


def _misses(decorate: Callable[[Load], Load], load: Load, count: int, within: Surroundings = nullcontext) -> Timed:
    fresh = itertools.count()
    function = decorate(load)

    def run(count: int) -> None:
        async def main() -> None:
            async with within():
                for x in itertools.islice(fresh, count):
                    assert await function(x) == x

        asyncio.run(main())

    run(2 * SIZE)
    return timed(run, count)


def _by_hand(function: Load) -> Load:
    results: dict[int, int] = {}

    async def plain(x: int) -> int:
        value = await function(x)
        results[x] = value
        return value

    return plain


def _ours(where: Any) -> Callable[[Load], Any]:
    return bounded(max=SIZE, work=where, registry=Registry())


def _what(load: str) -> str:
    return f"max={SIZE}, all misses that evict, 1 task, {load}; to awaiting it and a dict's store"


def miss_in_caller(rounds: int) -> Ratio:
    """await f(x), new in a full store, of a function that waits for nothing."""
    return interleaved(
        "miss in the caller's task", _what("a bare coroutine"),
        _misses(_by_hand, _bare, 5_000), _misses(_ours("caller"), _bare, 5_000), rounds, by_path(2.2, 25.0),
    )  # fmt: skip


def miss_in_caller_waits(rounds: int) -> Ratio:
    """The same, of a function that gives way to the loop once."""
    return interleaved(
        "miss in the caller's task, sleep(0)", _what("one turn of the loop"),
        _misses(_by_hand, _waits, 5_000), _misses(_ours("caller"), _waits, 5_000), rounds, by_path(1.5, 5.0),
    )  # fmt: skip


def miss_shared_waits(rounds: int) -> Ratio:
    """The same, in a task of its own."""
    return interleaved(
        "miss in a task of its own, sleep(0)", _what("one turn of the loop"),
        _misses(_by_hand, _waits, 5_000), _misses(_ours("shared"), _waits, 5_000), rounds,
    )  # fmt: skip


def miss_in_caller_asks(rounds: int) -> Ratio:
    """The same, of a function that asks a server in the same loop, by a connection that is open."""
    streams: list[Any] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    @asynccontextmanager
    async def served() -> AsyncIterator[None]:
        server = await asyncio.start_server(answer, "127.0.0.1")
        async with server:
            streams[:] = await asyncio.open_connection(*server.sockets[0].getsockname())
            yield
            streams[1].close()
            await streams[1].wait_closed()

    async def ask(x: int) -> int:
        reader, writer = streams
        writer.write(b"%d\n" % x)
        return int(await reader.readline())

    return interleaved(
        "miss in the caller's task, a server asked", _what("a line to a local server and back"),
        _misses(_by_hand, ask, 1_000, served), _misses(_ours("caller"), ask, 1_000, served), rounds, 1.5,
    )  # fmt: skip


CALLER_CASES = {
    case.__name__: case for case in (miss_in_caller, miss_in_caller_waits, miss_shared_waits, miss_in_caller_asks)
}
