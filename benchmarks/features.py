"""What caches of other libraries do where accidents happen, found out by trying.

    python benchmarks/features.py [NAME...]

One line for each thing that was tried, one column for each library that is installed, set up as its users would for a
bounded number of results. A dash: the library has nothing to that end (no coroutine functions, no single flight).
"""

import asyncio
import functools
import gc
import importlib
import inspect
import operator
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memo import Registry, bounded

__all__ = ("LIBRARIES", "TRIALS", "main", "tried")

CALLERS = 4
LONG_S = 6.0
SHORT_S = 0.2
Decorate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Library:
    """A library, and what decorates with it; None where it has nothing to that end."""

    name: str
    plain: Callable[[], Decorate] | None = None
    awaited: Callable[[], Decorate] | None = None
    clear: Callable[[Any], Any] = operator.methodcaller("cache_clear")
    """Called with a decorated function; what it returns is awaited if it can be."""


def _cachetools() -> Decorate:
    import cachetools

    return cachetools.cached(cachetools.LRUCache(10), condition=threading.Condition(), info=True)


def _cachebox() -> Decorate:
    library = importlib.import_module("cachebox")
    return library.cached(library.LRUCache(10))


def _aiocache() -> Decorate:
    return importlib.import_module("aiocache").cached_stampede(ttl=60)


def _cashews() -> Decorate:
    cache = importlib.import_module("cashews").Cache()
    cache.setup("mem://?size=10")

    def decorate(function: Any) -> Any:
        decorated = cache(ttl=60)(function)
        decorated.cache = cache
        return decorated

    return decorate


def _memo() -> Decorate:
    return bounded(max=10, registry=Registry())


LIBRARIES = (
    Library("memo", _memo, _memo),
    Library("functools", lambda: functools.lru_cache(10)),
    Library("cachetools", _cachetools),
    Library("cachebox", _cachebox, _cachebox),
    Library("async_lru", None, lambda: importlib.import_module("async_lru").alru_cache(10)),
    Library("aiocache", None, _aiocache, lambda function: function.cache.clear()),
    Library("cashews", None, _cashews, lambda function: function.cache.clear()),
)


def _in_threads(work: Callable[[], bool], count: int = 1) -> bool:
    """Whether *work* does as it should in each of so many threads; one that hangs does not, and is left behind."""
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(work()), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    return done == [True] * count


def one_key(library: Library) -> bool:
    """However a call is spelled, it has one key."""
    calls: list[int] = []
    if library.plain:
        function = library.plain()(lambda a, b=2: calls.append(a))
        function(1), function(a=1), function(1, 2)
    else:

        async def asked(a: int, b: int = 2) -> int:
            calls.append(a)
            return a

        async def main() -> None:
            function = library.awaited()(asked)
            await function(1), await function(a=1), await function(1, 2)

        asyncio.run(main())
    return len(calls) == 1


def instances_go(library: Library) -> bool:
    """A method's instance is not kept alive by its results."""

    async def method(self: object, x: int) -> int:
        return x

    class Holder:
        asked = library.plain()(lambda self, x: x) if library.plain else library.awaited()(method)

    async def main() -> weakref.ref[Holder]:
        holder = Holder()
        answer = holder.asked(1)
        if inspect.isawaitable(answer):
            await answer
        return weakref.ref(holder)

    gone = asyncio.run(main())
    gc.collect()
    return gone() is None


def threads_share(library: Library) -> bool | None:
    """Threads that miss at the same time run the function once."""
    if not library.plain:
        return None
    calls: list[int] = []
    all_run = threading.Event()

    def load(x: int) -> int:
        calls.append(x)
        if len(calls) == CALLERS:
            all_run.set()
        all_run.wait(SHORT_S)
        return x

    function = library.plain()(load)
    return _in_threads(lambda: function(1) == 1, CALLERS) and len(calls) == 1


def tasks_share(library: Library) -> bool | None:
    """Tasks that miss at the same time run the coroutine function once."""
    if not library.awaited:
        return None
    calls: list[int] = []

    async def load(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(SHORT_S)
        return x

    async def main() -> None:
        function = library.awaited()(load)
        await asyncio.gather(*(function(1) for _ in range(CALLERS)))

    asyncio.run(main())
    return len(calls) == 1


def leaders_leave_alone(library: Library) -> bool | None:
    """The first of them is cancelled, and the others get their result."""
    if not library.awaited:
        return None

    async def main() -> bool:
        begun = asyncio.Event()

        async def load(x: int) -> int:
            begun.set()
            await asyncio.sleep(SHORT_S)
            return x

        function = library.awaited()(load)
        first = asyncio.create_task(function(1))
        await begun.wait()
        other = asyncio.create_task(function(1))
        await asyncio.sleep(SHORT_S / 4)
        first.cancel()
        return (await asyncio.gather(other, return_exceptions=True))[0] == 1

    return _in_threads(lambda: asyncio.run(main()))


def loops_share(library: Library) -> bool | None:
    """Event loops in two threads that miss at the same time run the coroutine function once."""
    if not library.awaited:
        return None
    calls: list[int] = []
    both = threading.Barrier(2)

    async def load(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(SHORT_S)
        return x

    function = library.awaited()(load)

    def in_a_loop() -> bool:
        async def main() -> int:
            both.wait(LONG_S)
            return await function(1)

        with warnings.catch_warnings(action="ignore"):  # async_lru says that it begins anew with each loop
            try:
                return asyncio.run(main()) == 1
            except (RuntimeError, ValueError):
                return False

    return _in_threads(in_a_loop, 2) and len(calls) == 1


def later_wins(library: Library) -> bool:
    """What was cleared while it loaded is not there afterwards."""
    calls: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def load(x: int) -> int:
        calls.append(x)
        begun.set()
        go_on.wait(LONG_S)
        return x

    async def awaited(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(SHORT_S)
        return x

    async def main() -> None:
        function = library.awaited()(awaited)
        first = asyncio.create_task(function(1))
        await asyncio.sleep(SHORT_S / 4)
        if inspect.isawaitable(cleared := library.clear(function)):
            await cleared
        await first
        await function(1)

    if library.plain:
        function = library.plain()(load)
        first = threading.Thread(target=function, args=(1,), daemon=True)
        first.start()
        begun.wait(LONG_S)
        library.clear(function)
        go_on.set()
        first.join(LONG_S)
        function(1)
    else:
        asyncio.run(main())
    return len(calls) == 2


def recursion_ends(library: Library) -> bool:
    """A function that asks for its own key again does not wait for itself."""
    depth: list[int] = []

    def load(x: int) -> Any:
        depth.append(x)
        return function(x) if len(depth) < 2 else x

    async def awaited(x: int) -> Any:
        depth.append(x)
        return await function(x) if len(depth) < 2 else x

    function = library.plain()(load) if library.plain else library.awaited()(awaited)

    async def main() -> bool:
        return await asyncio.wait_for(function(1), LONG_S / 2) == 1

    def ask() -> bool:
        try:
            return function(1) == 1 if library.plain else asyncio.run(main())
        except (RuntimeError, TimeoutError):
            return False

    return _in_threads(ask)


TRIALS: dict[str, Callable[[Library], bool | None]] = {
    "one key, however a call is spelled": one_key,
    "methods do not keep instances alive": instances_go,
    "threads that miss together: one execution": threads_share,
    "tasks that miss together: one execution": tasks_share,
    "event loops that miss together: one": loops_share,
    "the first task is cancelled: others go on": leaders_leave_alone,
    "cleared while it loads: not stored": later_wins,
    "a call for its own key does not hang": recursion_ends,
}


def tried(library: Library) -> list[str]:
    """The library's column: yes, no, or a dash for each trial."""
    words = {True: "yes", False: "no", None: "-"}
    return [words[trial(library)] for trial in TRIALS.values()]


def main(names: list[str]) -> int:
    """Print the table of the libraries that are named, or of all that are installed."""
    there = [library for library in LIBRARIES if (library.name in names if names else find_spec(library.name))]
    columns = [[library.name, *tried(library)] for library in there]
    labels = ["", *TRIALS]
    widths = [max(map(len, column)) for column in (labels, *columns)]
    for row in zip(labels, *columns, strict=True):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
