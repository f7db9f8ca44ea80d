"""The off switch: calls go straight to the function, in the contexts that say so and nowhere else."""

import asyncio
import contextvars
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from kit.places import ROOT

from memo import Registry, bounded, dedupe_inflight, registry, sliding_window


def counted(own: Registry, name: str = "pkg.load", **options: Any) -> tuple[Any, list[int]]:
    calls: list[int] = []

    @bounded(max=10, registry=own, name=name, **options)
    def load(x: int) -> int:
        calls.append(x)
        return x

    return load, calls


def test_a_disabled_function_is_called_each_time_and_remembers_nothing(own: Registry) -> None:
    """Nothing is looked up, stored or counted within the block; after it, what was stored before is still there."""
    load, calls = counted(own)
    load(1)
    before = load.cache.stats()
    with own.disabled():
        assert [load(1), load(1), load(2)] == [1, 1, 2]
        assert load.cache.stats() == before
        assert load.cache.items() == [(1, 1)]
    assert calls == [1, 1, 1, 2]
    assert load(1) == 1
    assert calls == [1, 1, 1, 2]


def test_the_pattern_says_which_functions(own: Registry) -> None:
    """Others go on remembering."""
    users, user_calls = counted(own, "bot.users")
    items, item_calls = counted(own, "bot.items")
    users(1), items(1)
    with own.disabled("bot.u*"):
        users(1), items(1)
    assert (len(user_calls), len(item_calls)) == (2, 1)
    with own.select("bot.i*").disabled():
        users(1), items(1)
    assert (len(user_calls), len(item_calls)) == (2, 2)


def test_other_threads_go_on_as_before(own: Registry) -> None:
    """A thread that did not enter the block is answered from the store."""
    load, calls = counted(own)
    load(1)
    with own.disabled():
        other = threading.Thread(target=load, args=(1,))
        other.start()
        other.join(20)
        assert calls == [1]
        load(1)
        mine = threading.Thread(target=contextvars.copy_context().run, args=(load, 1))
        mine.start()
        mine.join(20)
    assert calls == [1, 1, 1]


def test_tasks_are_told_apart(own: Registry) -> None:
    """A task started inside inherits the switch, one that runs at the same time does not."""
    calls: list[str] = []

    @bounded(max=10, registry=own)
    async def load(who: str) -> str:
        calls.append(who)
        return who

    async def main() -> None:
        inside, done = asyncio.Event(), asyncio.Event()

        async def outsider() -> None:
            await load("outside")
            await inside.wait()
            await load("outside")
            done.set()

        task = asyncio.ensure_future(outsider())
        await asyncio.sleep(0)
        with own.disabled():
            inside.set()
            await done.wait()
            await load("inside")
            await asyncio.create_task(load("inside"))
            await asyncio.to_thread(lambda: None)
        await task

    asyncio.run(main())
    assert calls == ["outside", "inside", "inside"]


def test_every_decorator_and_stack_obeys(own: Registry) -> None:
    """Neither single flight nor windows see a call."""

    @sliding_window("1h", registry=own)
    @bounded(max=10, registry=own)
    @dedupe_inflight(registry=own)
    def load(x: int) -> int:
        return x

    with own.disabled():
        load(1)
    assert (load.window.count(), len(load.cache), load.inflight.stats().started) == (0, 0, 0)
    load(1)
    assert (load.window.count(), len(load.cache), load.inflight.stats().started) == (1, 1, 1)


def test_methods_properties_and_class_methods_obey(own: Registry) -> None:
    """In every placement the call goes straight through, and inspection finds what it found before."""
    calls: list[str] = []

    class Shop:
        @bounded(max=10, registry=own)
        def method(self) -> str:
            calls.append("method")
            return "m"

        @bounded(max=10, registry=own)
        @classmethod
        def of_class(cls) -> str:
            calls.append("class")
            return "c"

        @staticmethod
        @bounded(max=10, registry=own)
        def static(x: int, *, y: int = 2) -> int:
            calls.append("static")
            return x + y

        @property
        @bounded(max=10, registry=own)
        def shown(self) -> str:
            calls.append("property")
            return "p"

    shop = Shop()
    for _ in range(2):
        with own.disabled():
            assert (shop.method(), shop.of_class(), shop.static(1, y=1), shop.shown) == ("m", "c", 2, "p")
            assert str(inspect.signature(Shop.static)) == "(x: int, *, y: int = 2) -> int"
    assert calls == ["method", "class", "static", "property"] * 2
    assert all(record.cache is not None and len(record.cache) == 0 for record in own)


def test_functions_decorated_inside_the_block_are_off_as_well(own: Registry) -> None:
    """And on after it."""
    with own.disabled():
        load, calls = counted(own)
        load(1), load(1)
        assert calls == [1, 1]
    load(1), load(1)
    assert calls == [1, 1, 1]


def test_blocks_nest_and_end_in_any_order(own: Registry) -> None:
    """The function is off as long as one of them lasts."""
    load, calls = counted(own)
    first, second = own.disabled(), own.disabled("pkg.*")
    first.__enter__(), second.__enter__()
    load(1)
    first.__exit__(None, None, None)
    load(1)
    second.__exit__(None, None, None)
    load(1), load(1)
    assert calls == [1, 1, 1]


def test_a_block_that_raises_switches_on_again(own: Registry) -> None:
    """Also if it ends in another context than it began."""
    load, calls = counted(own)
    with pytest.raises(LookupError), own.disabled():
        raise LookupError
    block = own.disabled()
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    load(1), load(1)
    assert calls == [1]


@pytest.mark.parametrize("elsewhere", ["pkg.other", "pkg.load"])
def test_what_outlives_a_block_is_on_after_it(own: Registry, elsewhere: str) -> None:
    """A task started inside is answered from the store once the block has ended, whatever else is switched off."""
    calls: list[int] = []
    other = bounded(max=10, registry=own, name="pkg.other")(abs)

    @bounded(max=10, registry=own, name="pkg.load")
    async def load(x: int) -> int:
        calls.append(x)
        return x

    async def main() -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def outlives() -> None:
            await load(1)
            begun.set()
            await over.wait()
            await load(1), await load(1)

        with own.disabled():
            task = asyncio.create_task(outlives())
            await begun.wait()
        await asyncio.create_task(enter(task, over))

    async def enter(task: asyncio.Task[None], over: asyncio.Event) -> None:
        with own.disabled(elsewhere):
            over.set()
            await task

    asyncio.run(main())
    assert calls == [1, 1]
    assert other in own


def test_a_generator_that_is_closed_elsewhere_leaves_nothing_switched_off(own: Registry) -> None:
    """A block inside an async generator ends for whoever drew from it, though another task closes it."""
    load, calls = counted(own)
    other = bounded(max=10, registry=own, name="pkg.other")(abs)

    async def drawn() -> AsyncGenerator[int, None]:
        with own.disabled():
            yield load(1)

    async def main() -> None:
        generator = drawn()
        async for _ in generator:
            break
        await asyncio.ensure_future(generator.aclose())
        with own.disabled("pkg.other"):
            load(1), load(1)

    asyncio.run(main())
    assert calls == [1, 1]
    assert other in own


def test_without_a_block_a_call_looks_at_no_switch(own: Registry) -> None:
    """The code of a wrapper is the same before, between and after blocks."""
    load, _ = counted(own)
    wrapper = load._self_layer.wrapper
    before = wrapper.__code__
    with own.disabled():
        assert "is_off" in " ".join(wrapper.__code__.co_names)
    assert wrapper.__code__ == before
    assert "is_off" not in " ".join(before.co_names)


def test_threads_may_enter_and_leave_at_once(own: Registry) -> None:
    """Whatever the interleaving, every call inside goes through, and all is on again at the end."""
    load, calls = counted(own)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait(20)
        for _ in range(30):
            with own.disabled():
                load(1)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(calls) == 240
    load(2), load(2)
    assert calls[240:] == [2]


def test_another_registry_is_not_touched(own: Registry) -> None:
    """Its functions go on remembering."""
    load, calls = counted(Registry())
    with own.disabled(), registry.disabled():
        load(1), load(1)
    assert calls == [1]


@pytest.mark.parametrize(("pattern", "kind"), [(3, TypeError), ("", ValueError)])
def test_a_bad_pattern_is_refused(own: Registry, pattern: Any, kind: type[Exception]) -> None:
    """When the block is entered."""
    with pytest.raises(kind, match="pattern"), own.disabled(pattern):
        pass


SCRIPT = """
import asyncio
from memo import bounded, dedupe_inflight, registry, sliding_window
calls = []
@sliding_window("1h")
@bounded(max=10)
def load(x):
    calls.append(x)
    return x
@dedupe_inflight
async def ask(x):
    calls.append(x)
    return x
class Shop:
    @bounded(max=10)
    def price(self, x):
        calls.append(x)
        return x
load(1), load(1), asyncio.run(ask(2)), Shop().price(3)
with registry.disabled():
    load(1)
load(1)
load.cache.put(7, 1)
print(len(calls), load.window.count(), load.cache.stats().requests, load.cache.items())
"""


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        *((word, "6 0 0 [(1, 7)]") for word in ("1", "yes", "True", " ON ", "y")),
        *((word, "4 3 3 [(1, 7)]") for word in ("", "0", "false", "No", "OFF", " f ")),
    ],
)
def test_the_environment_switches_everything_off(value: str, printed: str) -> None:
    """MEMO_DISABLE set to 1, true, yes or on makes decorated functions plain ones; set to 0, false, no or off, not."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "MEMO_DISABLE": value, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == printed
    assert done.stderr == ""


def test_what_is_unknown_switches_off_and_says_so() -> None:
    """MEMO_DISABLE set to a word of another kind means 1, and a warning is logged, once for all functions."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "MEMO_DISABLE": "fasle", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "6 0 0 [(1, 7)]"
    assert done.stderr.strip() == (
        "MEMO_DISABLE='fasle' is unknown, and taken to mean 1: nothing is cached or shared; set 1 or 0."
    )


def test_disabled_is_no_decorator(own: Registry) -> None:
    """Of a coroutine function it would silently do nothing; and a block is entered once."""
    block: Any = own.disabled()
    with pytest.raises(TypeError, match="not callable"):
        block(print)
    with block:
        pass
    with pytest.raises(RuntimeError, match="entered before"), block:
        pass
