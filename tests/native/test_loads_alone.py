"""A load in its caller's task that does not wait: until anybody looks, C makes no flight of it.

Every test runs on both paths.  C leads the second load of a task so, and those after it: its context is marked by then.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.led_loads import Loads, pause

from memo._flight.flight import RUNNING
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)


def loaded(loads: Loads, body: Callable[[Any], Any], *keys: object) -> list[Any]:
    """What loads of *keys* return whose work is *body*, after another load of the same task."""

    async def plain(key: object) -> object:
        return key

    async def work(key: object) -> object:
        return body(key)

    async def main() -> list[Any]:
        loads.work = plain
        assert await loads.load("before") == "before"
        loads.work = work
        return [await loads.load(key) for key in keys]

    return asyncio.run(main())


LOOKS: dict[str, Callable[[Any], Any]] = {
    "get": lambda table: table.get("a"),
    "subscript": lambda table: table["a"],
    "contains": lambda table: "a" in table and table["a"],
    "iter": lambda table: table[next(iter(table))],
    "list": lambda table: dict.__getitem__(table, *list(table)),
    "len": lambda table: len(table) == 1 and dict.__getitem__(table, "a"),
    "bool": lambda table: bool(table) and dict.__getitem__(table, "a"),
    "keys": lambda table: table[next(iter(table.keys()))],
    "values": lambda table: next(iter(table.values())),
    "items": lambda table: dict(table.items())["a"],
    "copy": lambda table: table.copy()["a"],
    "dict": lambda table: dict(table)["a"],
    "double star": lambda table: {**table}["a"],
    "update": lambda table: table.update({}) or dict.__getitem__(table, "a"),
    "setdefault": lambda table: table.setdefault("a", None),
    "assign": lambda table: table.__setitem__("b", None) or dict.__getitem__(table, "a"),
    "repr": lambda table: "'a'" in repr(table) and dict.__getitem__(table, "a"),
    "compare": lambda table: table != {} and dict.__getitem__(table, "a"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_finds_it(look: str) -> None:
    """Whatever is asked of the table of running calls, the load is there, led, with its key, task and loop."""
    loads = Loads()
    table = loads.load.cache._cache.table.by_key
    found: list[Any] = []

    def body(key: object) -> object:
        flight = LOOKS[look](table)
        found.append(flight)
        assert (flight.key, flight.state, flight.led, flight.present, flight.joined) == ("a", RUNNING, True, 0, 0)
        assert flight.task is asyncio.current_task()
        assert flight.loop is asyncio.get_running_loop()
        assert flight.leader == threading.get_ident()
        assert not flight.work.over
        return table.pop("b", key)

    loaded(loads, body, "a")
    (flight,) = found
    assert flight.work.over
    assert flight.state != RUNNING
    assert len(table) == 0


@pytest.mark.parametrize("take", ["pop", "popitem", "del", "clear"])
def test_it_can_be_taken_out(take: str) -> None:
    """Who takes it out of the table finds it there, and then its result is not stored."""
    loads = Loads()
    table = loads.load.cache._cache.table.by_key

    def body(key: object) -> object:
        if take == "pop":
            assert table.pop("a").key == "a"
        elif take == "popitem":
            assert table.popitem()[0] == "a"
        elif take == "del":
            del table["a"]
        else:
            table.clear()
        return key

    assert loaded(loads, body, "a") == ["a"]
    assert loads.kept("a") is None


@pytest.mark.parametrize("how", ["clear", "invalidate", "put", "tag", "home"])
def test_fenced_in_its_only_step(how: str) -> None:
    """What is dropped or replaced while it is loaded is not stored; its caller gets it all the same."""
    loads = Loads(tags=["t"])

    def body(key: object) -> object:
        cache = loads.load.cache
        if how == "clear":
            cache.clear()
        elif how == "invalidate":
            cache.invalidate(key)
        elif how == "put":
            cache.put("new", key)
        elif how == "tag":
            loads.home.invalidate(tag="t")
        else:
            loads.home.clear()
        return "old"

    assert loaded(loads, body, "a") == ["old"]
    assert loads.kept("a") == ("new" if how == "put" else None)
    assert loads.figures() == (2, 2, 0, 0, 0)


def test_figures_show_it() -> None:
    """A load that has not waited counts as one that runs."""
    loads = Loads()
    seen: list[tuple[int, ...]] = []

    def body(key: object) -> object:
        seen.append(loads.figures())
        return key

    assert loaded(loads, body, "a", "b") == ["a", "b"]
    assert seen == [(2, 1, 0, 0, 1), (3, 2, 0, 0, 1)]
    assert loads.figures() == (3, 3, 0, 0, 0)


def test_it_fails() -> None:
    """A load that fails in its only step is counted as one, is not stored, and leaves nothing behind."""
    loads = Loads()

    def body(key: object) -> object:
        raise KeyError(key)

    with pytest.raises(KeyError):
        loaded(loads, body, "a")
    assert loads.figures() == (2, 1, 1, 0, 0)
    assert loaded(loads, lambda key: [key], "a") == [["a"]]


def test_loads_within_each_other() -> None:
    """A load calls the function with another key, and by that with its own, which runs straight through."""
    loads = Loads()
    begun: list[object] = []

    async def main() -> None:
        async def work(key: object) -> object:
            begun.append(key)
            if begun == ["before"] or len(begun) == 4:
                return key
            return [await loads.load("b" if key == "a" else "a")]

        loads.work = work
        await loads.load("before")
        assert await loads.load("a") == [["a"]]

    asyncio.run(main())
    assert begun == ["before", "a", "b", "a"]
    assert loads.kept("a") == [["a"]]
    assert loads.kept("b") == ["a"]
    assert loads.figures()[-1] == 0


def test_another_thread_joins_it() -> None:
    """A load that is in its only step is found by a caller in another thread's loop, which waits for it."""
    loads = Loads()
    got: list[object] = []

    async def other() -> None:
        got.append(await loads.load("a"))

    def body(key: object) -> object:
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        while loads.load.cache.inflight.stats().waiting < 1:
            assert thread.is_alive()
        threads.append(thread)
        return [key]

    threads: list[threading.Thread] = []
    (value,) = loaded(loads, body, "a")
    threads[0].join()
    assert got == [value]
    assert loads.calls.count("a") == 1
    assert loads.load.cache.stats().joins == 1


def test_it_waits_after_all() -> None:
    """Once it waits it is a flight like others: others join it, and its result is stored."""
    loads = Loads()

    async def main() -> None:
        gate = asyncio.Event()

        async def plain(key: object) -> object:
            return key

        async def work(key: object) -> object:
            await gate.wait()
            return [key]

        async def lead() -> object:
            loads.work = plain
            await loads.load("before")
            loads.work = work
            return await loads.load("a")

        leader = asyncio.create_task(lead())
        await asyncio.sleep(0)
        joiner = asyncio.create_task(loads.load("a"))
        await asyncio.sleep(0)
        assert loads.load.cache.inflight.stats().waiting == 1
        gate.set()
        assert await leader is await joiner

    asyncio.run(main())
    assert loads.calls.count("a") == 1
    assert loads.kept("a") == ["a"]


def test_without_sharing() -> None:
    """Where calls share nothing, the load that began last of those of a key stores its result."""
    loads = Loads(dedupe=False)
    turn: list[int] = []

    async def main() -> None:
        async def work(key: object) -> object:
            turn.append(len(turn))
            if len(turn) == 2:
                return [await loads.load("a"), "outer"]
            return [key, len(turn)]

        loads.work = work
        await loads.load("before")
        assert await loads.load("a") == [["a", 3], "outer"]

    asyncio.run(main())
    assert loads.kept("a") == ["a", 3]
    assert loads.figures() == (3, 3, 0, 0, 0)


def test_stepped_by_hand(in_loop: Any) -> None:
    """A load that waits in its first step goes on as others do, and is closed as they are."""
    loads = Loads()

    async def plain(key: object) -> object:
        return key

    async def work(key: object) -> object:
        return await pause(key)

    def steps() -> None:
        loads.work = plain
        with pytest.raises(StopIteration):
            loads.load("before").send(None)
        loads.work = work
        coroutine = loads.load("a")
        assert coroutine.send(None) == "a"
        assert loads.figures()[-1] == 1
        coroutine.close()
        assert loads.figures()[-2:] == (1, 0)

    in_loop(steps)


@built
def test_c_makes_no_flight_of_it() -> None:
    """Nothing is put into the table of running calls where nobody looks."""
    loads = Loads()
    table = loads.load.cache._cache.table.by_key
    assert type(table) is speed.Running
    sizes: list[int] = []

    def body(key: object) -> object:
        sizes.append(dict.__len__(table))
        assert dict.get(table, key) is None
        return key

    loaded(loads, body, "a", "b")
    assert sizes == [0, 0]
    assert loads.kept("b") == "b"
