"""More of what evil operations are done to: windows, coroutines that are stepped by hand, other shapes and options."""

import asyncio
import contextlib
import copy
import gc
import operator
import pickle
import random
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from memo import Registry, bounded, bounded_many, dedupe_inflight, sliding_window
from memo.testing import isolated

__all__ = ("EvilCoroutines", "EvilShapes", "EvilWindows", "Struck", "World")


LOOKED_AT = operator.attrgetter(
    "cr_frame", "cr_code", "cr_await", "cr_running", "cr_origin", "__name__", "__qualname__"
)


class Struck(BaseException):
    """What ends a load, and is no error."""


class World(Protocol):
    """What is done there."""

    dice: random.Random
    registry: Registry
    loop: asyncio.AbstractEventLoop

    def perhaps(self, chance: float, quietly: bool = False) -> None: ...
    def key(self) -> Any: ...
    def clock(self) -> float: ...


class EvilWindows:
    """Windows of all kinds, whose clocks, keys and functions do mischief."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 0.0
        own: dict[str, Any] = {"registry": world.registry}

        def plain(x: Any) -> Any:
            return self.plain(x)

        self.windows: list[Any] = [
            sliding_window("1h", max=5, **own)(plain),
            sliding_window(10, max=70, clock=self.clock, **own)(plain),
            sliding_window(10, max=3, clock=self.clock, only=(KeyError, ZeroDivisionError), **own)(plain),
            sliding_window(200, max=40, keys=5, clock=self.clock, key=lambda x: x, **own)(plain),
            bounded(max=3, ttl=5, **own)(sliding_window(10, max=9, clock=self.clock, **own)(plain)),
        ]
        self.awaited = sliding_window(10, max=9, clock=self.clock, **own)(self.coroutine)

    def clock(self) -> float:
        self.world.perhaps(0.01)
        if self.world.dice.random() < 0.02:  # time goes back, or is no number
            return self.world.dice.choice([self.now - 5, 7, float("nan"), self.now + 1e6])
        return self.now

    def plain(self, x: Any) -> Any:
        self.world.perhaps(0.05)
        chance = self.world.dice.random()
        self.now += self.world.dice.choice([0, 0, 0, 0.001, 0.5, 3])
        if chance < 0.05:
            raise Struck
        if chance < 0.15:
            raise KeyError(x)
        return [x]

    async def coroutine(self, x: Any) -> Any:
        return self.plain(x)

    def use(self) -> None:
        dice = self.world.dice
        function = dice.choice(self.windows)
        if dice.random() < 0.6:
            for _ in range(dice.choice([1, 1, 5, 80])):
                with contextlib.suppress(KeyError, ZeroDivisionError):
                    function(dice.choice([self.world.key(), dice.randrange(9)]))
        elif dice.random() < 0.1 and not self.world.loop.is_running():
            self.world.loop.run_until_complete(self.awaited(self.world.key()))
        else:
            self.read(function.window)

    def read(self, window: Any) -> None:
        dice = self.world.dice
        last = dice.choice([None, 1, 5, 9.5])
        key = self.world.key()
        dice.choice([
            lambda: window.count(last), lambda: window.count(last, key=key), lambda: window.rate("1s", last),
            lambda: window.error_ratio(last), lambda: window.percentile(90, last), lambda: window.events(last),
            lambda: window.errors(last), lambda: window.of_key(key), lambda: window.top(3), lambda: window.by_key(2),
            lambda: window.series(dice.choice([1, 7, 24, 200])), lambda: window.sparkline(),
            lambda: window.record_error(ValueError(key), key=key), lambda: window.cleanup(), lambda: window.stats(),
            lambda: len(window), lambda: window.clear() if dice.random() < 0.2 else None, lambda: window._check(),
            lambda: str(self.world.registry), self.apart, lambda: self.by_hand(window), lambda: repr(window),
        ])()  # fmt: skip

    def apart(self) -> None:
        with isolated(self.world.registry), contextlib.suppress(KeyError, Struck):
            self.world.dice.choice(self.windows)(1)

    def by_hand(self, window: Any) -> None:
        """What is kept, as the mapping that it is."""
        store = window._recorder.intake.contents.kept
        list(store), len(store), store.currsize, copy.copy(store)
        for number in list(store)[:3]:
            store.get(number)
        if self.world.dice.random() < 0.1:
            pickle.dumps(store)


class EvilCoroutines:
    """Coroutines of the path in C, stepped by hand in every way there is."""

    def __init__(self, world: World) -> None:
        self.world = world
        own: dict[str, Any] = {"registry": world.registry}

        async def fetch(x: Any, y: Any = 1, *, z: Any = None) -> Any:
            return await self.fetch(x)

        async def one(x: Any) -> Any:
            return await self.fetch(x)

        self.functions: list[Any] = [
            bounded(max=5, ttl=60, **own)(fetch),
            bounded(max=5, ttl=60, **own)(one),
            bounded(max=2, work="caller", **own)(fetch),
            bounded(max=2, work="caller", **own)(one),
            bounded(max=3, work="caller", ttl=60, clock=self.clock, policy="s3fifo", **own)(fetch),
            bounded(max=3, dedupe=False, scope="loop", **own)(fetch),
            bounded(max=3, work="caller", timeout=60, cache_errors=KeyError, error_ttl=9, **own)(fetch),
            dedupe_inflight(work="caller", **own)(fetch),
        ]
        self.kept: list[Any] = []

    def clock(self) -> float:
        self.world.perhaps(0.01)
        return self.world.dice.choice([1.0, 1.0, 1.0, 99.0])

    async def fetch(self, x: Any) -> Any:
        dice = self.world.dice
        self.world.perhaps(0.1)
        for _ in range(dice.choice([0, 0, 0, 1, 2])):
            await asyncio.sleep(0)
            self.world.perhaps(0.1)
        chance = dice.random()
        if chance < 0.05:
            raise KeyError(x)
        if chance < 0.1:
            raise Struck
        if chance < 0.15:
            raise asyncio.CancelledError
        return dice.choice([None, (1, 2), [x], x, StopIteration(3), ValueError("kept")])

    def made(self) -> Any:
        dice = self.world.dice
        x = dice.choice([self.world.key(), dice.randrange(4)])
        function = dice.choice(self.functions)
        return dice.choice([
            lambda: function(x), lambda: function(x), lambda: function(x=x), lambda: function(x, 2),
            lambda: function(x, y=3, z=4),
            lambda: function(x, z=self.world.key()), lambda: function.cache.call(x),
        ])()  # fmt: skip

    def use(self) -> None:
        dice = self.world.dice
        if self.world.loop.is_running():
            self.step(self.made())
        elif dice.random() < 0.5:
            self.kept.clear()
            gc.collect()  # nobody steps what leads a load there, so that others would wait for ever
            self.world.loop.run_until_complete(self.crowd())
        else:
            self.world.loop.run_until_complete(self.by_hand())
        if dice.random() < 0.1:
            self.kept.clear()

    async def by_hand(self) -> None:
        for _ in range(5):
            with contextlib.suppress(KeyError, ZeroDivisionError, RuntimeError, TypeError, AttributeError):
                self.step(self.made())

    def step(self, coroutine: Any) -> None:
        """A few of the things that can be done to a coroutine."""
        dice = self.world.dice
        for _ in range(dice.choice([1, 2, 4])):
            try:
                dice.choice([
                    lambda: coroutine.send(None), lambda: coroutine.send(None), lambda: coroutine.send(None),
                    lambda: coroutine.close(), lambda: coroutine.throw(KeyError), lambda: coroutine.throw(Struck()),
                    lambda: coroutine.throw(GeneratorExit), lambda: coroutine.throw(asyncio.CancelledError()),
                    lambda: LOOKED_AT(coroutine), lambda: getattr(coroutine, "cr_suspended", None),
                    lambda: repr(coroutine), lambda: self.name(coroutine),
                    lambda: self.through(coroutine.__await__()), lambda: iter(coroutine), lambda: next(coroutine),
                    lambda: self.kept.append([coroutine, self.kept]), lambda: gc.collect(0),
                    lambda: self.kept.append(weakref.ref(coroutine, self.gone)),
                ])()  # fmt: skip
            except (StopIteration, GeneratorExit, asyncio.CancelledError):
                pass

    def gone(self, reference: Any) -> None:
        self.world.perhaps(0.3, quietly=True)

    def name(self, coroutine: Any) -> None:
        coroutine.__name__ = coroutine.__qualname__ = "other"
        del coroutine.__name__

    def through(self, iterator: Any) -> None:
        """Step by the iterator of ``__await__()``."""
        dice = self.world.dice
        iter(iterator)
        for _ in range(3):
            dice.choice([
                lambda: next(iterator), lambda: iterator.send(None), lambda: iterator.throw(KeyError), iterator.close,
                gc.collect,
            ])()  # fmt: skip

    async def crowd(self) -> None:
        """Calls at once, some of which are cancelled, awaited twice, or never."""
        dice = self.world.dice
        tasks = []
        for _ in range(4):
            coroutine = self.made()
            if dice.random() < 0.1:
                continue
            tasks.append(asyncio.ensure_future(dice.choice([coroutine, self.around(coroutine)])))
        await asyncio.sleep(0)
        self.world.perhaps(0.2, quietly=True)
        for task in tasks:
            if dice.random() < 0.2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def around(self, coroutine: Any) -> Any:
        first = await coroutine
        if self.world.dice.random() < 0.3:
            with contextlib.suppress(RuntimeError):
                await coroutine
        return first


class EvilShapes:
    """Functions of other shapes, whose options are evil too."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.subscription: Any = None
        self.stop: Any = None
        evil: dict[str, Callable[..., Any]] = {
            "key": lambda *args, **kwargs: self.evil(world.key()),
            "copy": lambda value: self.evil([value]),
            "sizeof": lambda value: self.evil(world.dice.choice([1, 50, 900, 1e9])),
            "cache_if": lambda value: self.evil(world.dice.random() < 0.7),
            "ttl": lambda value: self.evil(world.dice.choice([1, 5, None])),
            "tags": lambda *args, **kwargs: self.evil(["all"]),
            "fallback": lambda *args, **kwargs: self.evil("instead"),
            "on_evict": lambda *gone: self.evil(None),
        }

        def one(x: Any, y: Any = 1) -> Any:
            return self.body(x)

        def alone(x: Any) -> Any:
            return self.body(x)

        def rest(x: Any, *more: Any, k: Any = 2) -> Any:
            return self.body(x)

        def named(*, x: Any, y: Any = 3) -> Any:
            return self.body(x)

        def others(x: Any, **more: Any) -> Any:
            return self.body(x)

        def of_many(keys: Any) -> dict[Any, Any]:
            world.perhaps(0.1)
            return {key: [key] for key in keys if world.dice.random() < 0.9}

        sizes = evil.pop("sizeof")
        made = self.bounded
        self.functions: list[Any] = [made(one, **{name: option}) for name, option in evil.items()]
        self.functions += [
            made(one, sizeof=sizes, max_bytes=3000), made(alone), made(alone, ttl=5), made(rest),
            made(rest, typed=True), made(named), made(others), made(one, weak=("x",)), made(one, fork="drop"),
            made(one, ttl=5, clock=self.clock, stale_if_error=9),
            made(alone, ttl=2, clock=self.clock, stale_if_error=9),
            made(one, ttl=5, idle=3, clock=self.clock, jitter=0.5),
            made(one, cache_errors=KeyError, error_ttl=5, clock=self.clock),
            made(one, policy="lirs"), made(one, policy="s3fifo", ttl=5, clock=self.clock),
            made(rest, policy="lfu", copy="deep"), made(named, one_shot="share"),
            made(dedupe_inflight(registry=world.registry)(one), ignore=("y",)),
            made(one, lease_timeout=5, on_evict=evil["on_evict"], clock=self.clock),
        ]  # fmt: skip
        self.many = bounded_many(max=5, registry=world.registry, cache_if=evil["cache_if"])(of_many)

    def bounded(self, function: Any, **options: Any) -> Any:
        return bounded(**{"max": self.world.dice.choice([1, 2, 5]), "registry": self.world.registry, **options})(
            function
        )

    def evil(self, value: Any) -> Any:
        self.world.perhaps(0.1)
        return value

    def clock(self) -> float:
        self.world.perhaps(0.01)
        return self.world.dice.choice([1.0, 1.0, 4.5, 7.0])

    def body(self, x: Any) -> Any:
        self.world.perhaps(0.1)
        chance = self.world.dice.random()
        if chance < 0.1:
            raise KeyError(x)
        if chance < 0.15:
            raise Struck
        return [x] if chance < 0.95 else iter([x])

    def use(self) -> None:
        dice = self.world.dice
        function = dice.choice(self.functions)
        x, more = self.world.key(), self.world.key()
        dice.choice([
            lambda: function(x), lambda: function(x), lambda: function(x=x), lambda: function(x, more),
            lambda: function(x, more, 3, k=x), lambda: function(x=x, y=more), lambda: function(x, zebra=more),
            lambda: self.many([x, more]), lambda: self.many.one(x), lambda: self.read(function, x),
            lambda: self.alter(function), lambda: self.at_the_limit(function, x), self.watch,
        ])()  # fmt: skip

    def read(self, function: Any, x: Any) -> None:
        """What is known of what is kept, and of what is remembered of what left."""
        dice, cache = self.world.dice, function.cache
        store = cache.store
        dice.choice([
            lambda: cache.entry(x), lambda: cache.fresh(x), lambda: cache.within(max_age=2).call(x),
            lambda: cache.invalidate_where(lambda key, value: self.evil(dice.random() < 0.2)), lambda: cache.items(),
            lambda: [copy.copy(entry) for entry in store.values()], lambda: pickle.dumps(store),
            lambda: copy.copy(store), lambda: self.lease(cache, x), lambda: list(cache), lambda: x in cache,
            lambda: cache.put_many({1: 2, x: 3}), lambda: str(self.world.registry), self.world.registry.report,
            lambda: function.cache_clear(), lambda: self.world.registry.invalidate(tag="all"), self.apart,
        ])()  # fmt: skip

    def lease(self, cache: Any, x: Any) -> None:
        with cache.lease(x):
            self.world.perhaps(0.5)

    def apart(self) -> None:
        with isolated(self.world.registry), contextlib.suppress(KeyError, Struck):
            self.world.dice.choice(self.functions)(1)

    def at_the_limit(self, function: Any, x: Any) -> None:
        """Call where hardly any call fits on the stack, and then a level above, and so on."""
        left = [self.world.dice.choice([3, 12, 40])]

        def descend() -> None:
            with contextlib.suppress(RecursionError):
                descend()
            if left[0] > 0:
                left[0] -= 1
                function(self.world.dice.choice([x, left[0]]))

        with contextlib.suppress(RecursionError):
            descend()

    def watch(self) -> None:
        """Be told of what happens from now on, or no more."""
        if self.world.dice.random() < 0.7:  # all functions are written anew
            return
        if self.subscription is not None:
            self.subscription.close()
            self.subscription = None
        elif self.stop is not None:
            self.stop()
            self.stop = None
        elif self.world.dice.random() < 0.5:
            self.subscription = self.world.registry.subscribe(lambda event: None, limit=3)
        else:
            self.stop = self.world.registry.__memo_observe__(self)

    def end_watching(self) -> None:
        """Be told no more: the thread of a subscription would outlive the test."""
        if self.subscription is not None:
            self.subscription.close()
        if self.stop is not None:
            self.stop()
        self.subscription = self.stop = None

    def begin(self, load: Any) -> Any:
        return self.evil(self.world.dice.choice([None, load.key, 1]))

    def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None:
        self.evil(None)

    def joined(self, begun: Any) -> None:
        self.evil(None)

    def alter(self, function: Any) -> None:
        """Exchange what the path in C reads of a function at each call."""
        dice = self.world.dice
        if dice.random() < 0.3:
            function.__defaults__ = dice.choice([(self.world.key(),), None])
        elif dice.random() < 0.5:
            function.__kwdefaults__ = dice.choice([{"k": self.world.key()}, {"y": 1}, None])
        else:
            function.cache.resize(max=dice.choice([1, 3, 30]))
