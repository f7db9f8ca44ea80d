"""A program of keys, values and callbacks that do the worst at the worst moment: it must end, with all stores whole.

    python tests/kit/evil_operations.py FIRST_SEED LAST_SEED STEPS

Keys' ``__hash__`` and ``__eq__``, what dies, ``on_evict`` and the clock call, clear, fill, resize and clean up the
stores that run them, collect garbage, exchange defaults, and raise.  Nothing is expected of the results.  With each
other seed the tables of all stores are large tables.
"""

import asyncio
import gc
import logging
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from kit.evil_parts import EvilCoroutines, EvilShapes, EvilWindows, Struck
from kit.parts import keep_in_parts
from memo import Registry, _native, bounded, dedupe_inflight, sliding_window

__all__ = ("Evil", "main")

MISCHIEF = ZeroDivisionError, KeyError, RuntimeError, TypeError, ValueError, AttributeError, Struck
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"ttl": 60}, {"ttl": 60, "told": True}, {"ttl": 1, "clocked": True}, {"policy": "s3fifo"}, {"policy": "sieve"},
    {"policy": "lru"}, {"policy": "lfu"}, {"policy": "lfu", "ttl": 60, "told": True}, {"policy": "fifo"},
    {"policy": "random"}, {"typed": True}, {"idle": 30, "ttl": 60}, {"copy": "shallow"}, {"max_bytes": 4000},
    {"tags": ("all",)}, {"dedupe": False},
)  # fmt: skip


class Key:
    """A key that may do anything when it is hashed, compared or let go of."""

    world: "Evil"

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        self.world.perhaps(0.02)
        return self.number % 4

    def __eq__(self, other: object) -> bool:
        self.world.perhaps(0.1)
        return isinstance(other, Key) and self.number == other.number

    def __del__(self) -> None:
        self.world.perhaps(0.01, quietly=True)


class Value:
    """A value that may be in a circle with all else, and do anything when it is let go of."""

    world: "Evil"

    def __init__(self) -> None:
        self.me = self if self.world.dice.random() < 0.3 else None
        self.functions = self.world.functions

    def __del__(self) -> None:
        self.world.perhaps(0.05, quietly=True)


class Owner:
    """An instance that dies with entries of its own."""


class Evil:
    """So many operations on functions of all kinds."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        random.seed(seed)
        self.depth = 0
        self.calm = True
        self.registry = Registry()
        self.functions: list[Any] = []
        self.loop = asyncio.new_event_loop()
        Key.world = Value.world = self
        for options in self.dice.sample(OPTIONS, 6):
            self.functions.append(self.made(dict(options)))
        self.functions += [self.method(), self.coroutine(), self.led_coroutine()]
        self.others = [
            dedupe_inflight(registry=self.registry)(self.body()),
            sliding_window("1h", max=5, registry=self.registry)(self.body()),
        ]
        self.parts: list[Any] = [EvilWindows(self), EvilCoroutines(self), EvilShapes(self)]

    def body(self) -> Callable[..., Any]:
        def fetch(x: Any, y: Any = 1) -> Value:
            self.perhaps(0.05)
            return Value()

        return fetch

    def made(self, options: dict[str, Any]) -> Any:
        if options.pop("told", False):
            options["on_evict"] = lambda key, value, reason: self.perhaps(0.1)
        if options.pop("clocked", False):
            options["clock"] = self.clock
        return bounded(max=self.dice.choice([1, 2, 5, 9]), registry=self.registry, **options)(self.body())

    def method(self) -> Any:
        """A method, called through instances that come and go."""
        fetch = self.body()

        def seen(self: Owner, x: Any, y: Any = 1) -> Any:
            return fetch(x, y)

        Owner.fetch = bounded(max=5, ttl=60, registry=self.registry)(seen)  # type: ignore[attr-defined]
        self.owners = [Owner() for _ in range(3)]
        return Owner.fetch  # type: ignore[attr-defined]

    def coroutine(self) -> Any:
        fetch = self.body()

        async def awaited(x: Any, y: Any = 1) -> Any:
            return fetch(x, y)

        return bounded(max=5, ttl=60, registry=self.registry)(awaited)

    def led_coroutine(self) -> Any:
        """One whose loads run in their callers' tasks, and meet mischief wherever they wait."""

        async def led(x: Any, y: Any = 1) -> Any:
            self.perhaps(0.1)
            self.disturb(led_here)
            if self.dice.random() < 0.5:
                await asyncio.sleep(0)
                self.perhaps(0.1)
                self.disturb(led_here)
            return Value()

        led_here = bounded(max=5, work="caller", registry=self.registry)(led)
        return led_here

    def disturb(self, function: Any) -> None:
        """Change what is kept, or fence what runs, now and then."""
        chance = self.dice.random()
        if self.calm or chance > 0.3:
            return
        if chance < 0.05:
            function.cache.clear()
        elif chance < 0.1:
            function.cache.put(Value(), self.dice.randrange(5))
        elif chance < 0.15:
            function.cache.invalidate(self.dice.randrange(5))
        elif chance < 0.2:
            gc.collect(0)
        elif chance < 0.25:
            function.__defaults__ = (object(),)
        else:
            function.cache.resize(max=self.dice.choice([1, 2, 5]))

    async def lead(self, function: Any) -> None:
        """A few calls at once, some of which are cancelled, closed, or forgotten in their midst."""
        coroutines = [function(self.dice.randrange(5), *self.dice.sample([2, "b"], 1)) for _ in range(3)]
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines[1:]]
        alone = coroutines.pop(0)
        try:
            alone.send(None)  # stepped by hand: whatever it waits for, nobody tells it
            if self.dice.random() < 0.5:
                alone.throw(self.dice.choice([KeyError, GeneratorExit, asyncio.CancelledError]))
        except (StopIteration, GeneratorExit, asyncio.CancelledError, *MISCHIEF):
            pass
        del alone, coroutines
        gc.collect()  # should an error hold it, in a circle, it would lead for ever
        await asyncio.sleep(0)
        for task in tasks:
            if self.dice.random() < 0.3:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def clock(self) -> float:
        self.perhaps(0.01)
        return 1.0

    def key(self) -> Any:
        return Key(self.dice.randrange(12)) if self.dice.random() < 0.8 else self.dice.choice([1, 2, "a", (1, "b")])

    def call(self, function: Any) -> None:
        """One call, however spelled."""
        args: tuple[Any, ...] = (self.key(),)
        kwargs: dict[str, Any] = {}
        chance = self.dice.random()
        if chance < 0.2:
            args, kwargs = (), {"x": self.key()}
        elif chance < 0.4:
            args = self.key(), 2
        elif chance < 0.5:
            kwargs = {"y": self.key()}
        if function is self.functions[6]:
            place = self.dice.randrange(3)
            if self.dice.random() < 0.05:
                self.owners[place] = Owner()
            bound = self.owners[place].fetch  # type: ignore[attr-defined]
            if self.dice.random() < 0.5:
                self.owners[place].fetch(*args, **kwargs)  # type: ignore[attr-defined]
            else:
                if self.dice.random() < 0.1:
                    bound.__self__ = self.owners[place - 1]
                bound(*args, **kwargs)
        elif function is self.functions[7]:
            coroutine = function(*args, **kwargs)
            if self.loop.is_running() or self.dice.random() < 0.1:
                coroutine.close()
            else:
                self.loop.run_until_complete(coroutine)
        elif function is self.functions[8]:
            if not self.loop.is_running():
                self.loop.run_until_complete(self.lead(function))
        else:
            function(*args, **kwargs)

    def perhaps(self, chance: float, quietly: bool = False) -> None:
        """Do mischief, perhaps: and raise, perhaps, unless *quietly*."""
        if self.calm or self.depth > 2 or self.dice.random() >= chance:
            return
        self.depth += 1
        try:
            for _ in range(2):
                self.mischief(self.dice.choice(self.functions[:6]))
        except MISCHIEF:
            pass
        finally:
            self.depth -= 1
        if not quietly and self.dice.random() < 0.05:
            raise ZeroDivisionError

    def mischief(self, function: Any) -> None:
        """One piece of it."""
        cache = function.cache
        chance = self.dice.random()
        if chance < 0.08:
            cache.clear()
        elif chance < 0.25:
            cache.invalidate(self.key())
        elif chance < 0.45:
            self.call(function)
        elif chance < 0.55:
            cache.put(Value(), self.key())
        elif chance < 0.6:
            cache.cleanup()
        elif chance < 0.66:
            gc.collect(0)
        elif chance < 0.72:
            cache.resize(max=self.dice.choice([1, 2, 5]))
        elif chance < 0.77:
            list(cache.items()), len(cache), cache.stats()
        elif chance < 0.8:
            raise ZeroDivisionError
        elif chance < 0.84:
            function.__defaults__ = (object(),)
        elif chance < 0.87:
            cache.refresh(self.key())
        elif chance < 0.9:
            self.call(self.functions[6])
        elif chance < 0.93:
            self.dice.choice(self.others)(self.key())
        elif chance < 0.95:
            with self.registry.disabled():
                self.call(function)
        elif chance < 0.96:
            self.dice.choice(self.parts).use()
        elif chance < 0.97:
            str([(entry.hits, entry.value) for entry in list(cache.store.values())])
        else:
            function.cache_clear()

    def run(self, steps: int) -> None:
        """Do that, and look whether all is whole."""
        self.calm = False
        for step in range(steps):
            try:
                if self.dice.random() < 0.05:
                    self.dice.choice(self.others)(self.key())
                elif self.dice.random() < 0.2:
                    self.dice.choice(self.parts).use()
                else:
                    self.call(self.dice.choice(self.functions))
            except MISCHIEF:
                pass
            if step % 1000 == 999:
                gc.collect()
        self.calm = True
        for function in (*self.functions, *self.parts[2].functions):
            function.cache._check()
        assert self.functions[8].cache.inflight.stats().active == 0
        self.parts[2].end_watching()
        self.registry.clear()
        self.loop.close()


def main(first: int, last: int, steps: int) -> None:
    """Run that for each seed."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None
    gc.freeze()  # what was imported: it is collected often
    warnings.simplefilter("always")
    warnings.showwarning = lambda *told, **more: Key.world.perhaps(0.2, quietly=True)
    for seed in range(first, last + 1):
        sys.stderr.write(f"seed {seed}\n")  # the last line, should it crash
        with pytest.MonkeyPatch.context() as patch:
            if seed % 2:
                keep_in_parts(patch)
            Evil(seed).run(steps)
        gc.collect()
    sys.stdout.write("whole, in Python" if _native.speed is None else "whole, in C")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
