"""A program of random operations that prints what all of them told: the same whichever path runs, in C or in Python.

    python tests/kit/random_operations.py FIRST_SEED LAST_SEED STEPS

The first line of what it prints names the path; each further one is an observation: a result, a message, a run of a
function, an eviction, figures.  It depends on nothing else: time is a number that the program moves, and each source of
chance has its seed.  (PYTHONHASHSEED must be fixed: a policy's memory of keys goes by their hashes.)
"""

import asyncio
import gc
import logging
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import memo
from memo import Registry, _native

__all__ = ("Play", "main")


class Odd:
    """A key whose hashes collide, but for that whose comparison raises: else it would matter what lies in its way."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number % 3 if self.number != 13 else 1013

    def __eq__(self, other: object) -> bool:
        if self.number == 13:
            raise ZeroDivisionError("compared with thirteen")
        return isinstance(other, Odd) and self.number == other.number

    def __repr__(self) -> str:
        return f"Odd({self.number})"


class Unhashable:
    """An argument that is no key."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Unhashable()"


class Text(str):
    """A subclass of text, which is not the same key as the text that it equals."""

    __slots__ = ()


ADDRESS = re.compile("0x[0-9a-f]+")
SHAPES = {
    "plain": "def fetch(x, lang='en', k=1): return body(x, lang, k)",
    "one": "def fetch(x): return body(x)",
    "keywords": "def fetch(x, /, *, lang='en', k=1): return body(x, lang, k)",
    "rest": "def fetch(x, *rest, lang='en'): return body(x, lang, *rest)",
    "any": "def fetch(x, **more): return body(x, *sorted(more))",
    "none": "def fetch(): return body(0)",
    "coroutine": "async def fetch(x, lang='en'): return body(x, lang)",
    "coroutine of one": "async def fetch(x): return body(x)",
    "slow coroutine": "async def fetch(x, lang='en'):\n    await sleep(0)\n    return body(x, lang)",
    "method": "def fetch(self, x, lang='en'): return body(x, lang)",
    "coroutine method": "async def fetch(self, x, lang='en'): return body(x, lang)",
}
SIZES = 1, 2, 3, 10, 50
SMALL = 1, 2
"""For keys that may have a type or an instance in them, whose hash is its address: what a policy remembers of keys that
left, it remembers by their hashes, in one place for so few."""
POLICIES = ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs")
_MISTAKES = (ValueError, ZeroDivisionError)


class Subject:
    """One decorated function, and how it is called."""

    def __init__(self, play: "Play", number: int) -> None:
        self.play = play
        self.name = f"f{number}"
        self.shape = play.dice.choice(list(SHAPES))
        self.is_async = "coroutine" in self.shape
        self.depth = 0
        small = "method" in self.shape or self.shape in ("one", "coroutine of one") or play.dice.random() < 0.2
        self.sizes = SMALL if small else SIZES
        names: dict[str, Any] = {"body": self.body, "sleep": asyncio.sleep}
        exec(SHAPES[self.shape], names)
        function = names["fetch"]
        self.kind = play.dice.choices(("bounded", "dedupe", "window", "stack", "lru_cache"), (12, 2, 2, 2, 1))[0]
        self.options: dict[str, Any] = {}
        if self.kind in ("bounded", "stack"):
            self.options = self._of_bounded()
        decorated = self._decorated(function)
        self.instances: list[Any] = []
        self.owner: Any = None
        if "method" in self.shape:
            self.owner = type("Owner", (), {"fetch": decorated})
            self.instances = [self.owner() for _ in range(3)]
            decorated = self.owner.__dict__["fetch"]
        self.function = decorated
        play.note("made", self.name, self.kind, self.shape, sorted(self.options))

    def _of_bounded(self) -> dict[str, Any]:
        dice = self.play.dice
        options: dict[str, Any] = {"max": dice.choice(self.sizes)}

        def sometimes(chance: float, **more: Any) -> None:
            if dice.random() < chance:
                options.update(more)

        sometimes(0.6, ttl=dice.choice([5, 50, 500]))
        sometimes(0.4, on_evict=self.evicted)
        sometimes(0.5, policy=dice.choice(POLICIES))
        sometimes(0.15, idle=20)
        sometimes(0.1, copy=dice.choice(["shallow", "deep", list]))
        sometimes(0.15, typed=self.sizes is not SIZES)
        sometimes(0.1, cache_if=lambda value: value != (3, "en", 1))
        sometimes(0.1, dedupe=False)
        sometimes(0.1, tags=("all", "some"))
        sometimes(0.1, cache_errors=ValueError, error_ttl=7)
        sometimes(0.1, max_bytes=3000)
        sometimes(0.08, timeout=60)
        if "ttl" in options:
            sometimes(0.15, stale_if_error=10)
            sometimes(0.1, jitter=0.5)
        if self.shape not in ("one", "none", "any", "coroutine of one"):
            sometimes(0.12, ignore=("lang",))
            if not options.get("typed") and "ignore" not in options:
                sometimes(0.12, key=lambda *args, **kwargs: args[-1] if args else 0)
        if self.is_async:
            sometimes(0.3, work="caller")
        if "timeout" in options and not options.get("dedupe", True):
            del options["timeout"]
        return options

    def _decorated(self, function: Any) -> Any:
        common: dict[str, Any] = {"registry": self.play.registry, "clock": self.play.clock, "name": self.name}
        if self.kind == "lru_cache":
            return memo.lru_cache(maxsize=self.play.dice.choice([1, 3, 20]))(function)
        if self.kind in ("dedupe", "stack"):
            function = memo.dedupe_inflight(timeout=60, **common)(function)
        if self.kind in ("window", "stack"):
            function = memo.sliding_window(30, max=5, **common)(function)
        if self.kind in ("bounded", "stack"):
            function = memo.bounded(**self.options, **common)(function)
        return function

    def evicted(self, key: Any, value: Any, reason: Any) -> None:
        self.play.note("left", self.name, key, value, str(reason))

    def body(self, x: Any, *rest: Any) -> Any:
        """What all functions do: they tell, and sometimes fail, call themselves or return what cannot be kept."""
        self.play.note("ran", self.name, x, rest)
        if type(x) is int:
            if x == 7 and rest[:1] != ("en",):
                raise ValueError(x)
            if x == 17:
                return iter([1])
            if x % 11 == 10 and self.depth < 3 and self.shape in ("plain", "one", "keywords"):
                self.depth += 1
                try:
                    self.function(x - 1)
                except _MISTAKES as error:
                    self.play.note("within", repr(error))
                finally:
                    self.depth -= 1
            if x == 19:  # changes the store that the call is about to change
                self.play.dice.choice([self.clear, self.shrink, lambda: None])()
        return (x, *rest)

    def clear(self) -> None:
        if self.kind in ("bounded", "stack"):
            self.function.cache.clear()

    def shrink(self) -> None:
        if self.kind in ("bounded", "stack"):
            self.function.cache.resize(max=self.play.dice.choice(self.sizes))

    # -- how it is called

    def argument(self) -> Any:
        dice = self.play.dice
        remembers = self.kind in ("bounded", "stack") and self.options.get("policy", "adaptive") in (
            "adaptive",
            "s3fifo",
        )
        chance = dice.random() * (0.79 if remembers and self.sizes is SIZES else 1)
        if chance < 0.6:
            return dice.randrange(25)
        if chance < 0.75:
            return dice.choice("abcdefgh")
        if chance < 0.79:
            return dice.choice([(1, "t"), (2, "t"), (1, (2.0, "u")), b"bytes", 1 << 70, -1, frozenset({1})])
        if chance < 0.85:
            return dice.choice([1.0, True, Text("a"), 2.5, float("inf"), -0.0, 0.0])
        if chance < 0.95:
            return Odd(dice.randrange(15))
        return dice.choice([Unhashable(), [1], {}])

    def spelled(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        dice = self.play.dice
        x, lang = self.argument(), dice.choice(["en", "de", 1])
        if self.shape in ("one", "coroutine of one"):
            return dice.choices(
                [((x,), {}), ((), {"x": x}), ((), {}), ((x, 1), {}), ((x,), {"y": 1})], (8, 3, 1, 1, 1)
            )[0]
        if self.shape == "keywords":
            return dice.choice([
                ((x,), {}), ((x,), {"k": 2, "lang": lang}), ((x,), {"lang": lang}), ((), {"x": x}), ((x, 1), {}),
            ])  # fmt: skip
        if self.shape == "rest":
            return dice.choice([((x,), {}), ((x, 1, 2), {}), ((x, x), {}), ((x,), {"lang": lang}), ((), {})])
        if self.shape == "any":
            return dice.choice(
                [((x,), {}), ((x,), {"b": 1, "a": 2}), ((x,), {"a": 2, "b": 1}), ((), {"x": x}), ((), {})]
            )
        if self.shape == "none":
            return dice.choices([((), {}), ((1,), {}), ((), {"x": 1})], (8, 1, 1))[0]
        return dice.choice([
            ((x,), {}), ((), {"x": x}), ((x, lang), {}), ((x,), {"lang": lang}), ((), {"lang": lang, "x": x}),
            ((x, lang, 1, 2, 3), {}), ((x,), {"nope": 1}), ((), {}), ((x,), {"x": 1}),
        ])  # fmt: skip

    def seen(self) -> tuple[Callable[..., Any], Any]:
        """The function as somebody calls it, and the handle that he sees."""
        if not self.instances:
            return self.function, self.function
        place = self.play.dice.randrange(3)
        instance = self.instances[place]
        if self.play.dice.random() < 0.8:
            return lambda *args, **kwargs: instance.fetch(*args, **kwargs), instance.fetch
        return lambda *args, **kwargs: self.owner.fetch(instance, *args, **kwargs), instance.fetch

    def finished(self, value: Any) -> Any:
        if not self.is_async:
            return value
        return self.play.loop.run_until_complete(value)


class Play:
    """So many random operations on eight functions."""

    def __init__(self, seed: int) -> None:
        random.seed(seed)
        self.dice = random.Random(seed)
        self.now = 0.0
        self.registry = Registry()
        self.loop = asyncio.new_event_loop()
        self.told: list[str] = []
        self.subjects: list[Subject] = []
        self.subjects += [Subject(self, number) for number in range(8)]

    def clock(self) -> float:
        return self.now

    def note(self, *what: Any) -> None:
        text = repr(what)
        self.told.append("0x".join(ADDRESS.split(text)) if "0x" in text else text)

    def emit(self, record: logging.LogRecord) -> None:
        """Observe what is logged, as a handler of the package's logger does."""
        self.note("logged", record.getMessage(), str(record.exc_info and record.exc_info[1]))

    def run(self, steps: int) -> list[str]:
        """What was observed, in order."""
        log, handler = logging.getLogger("memo"), logging.Handler()
        handler.emit = self.emit  # type: ignore[method-assign]
        propagates = log.propagate
        log.addHandler(handler)
        log.propagate = False
        try:
            self.steps(steps)
        finally:
            log.propagate = propagates
            log.removeHandler(handler)
            self.loop.close()
        return self.told

    def steps(self, count: int) -> None:
        """So many operations."""
        for step in range(count):
            subject = self.dice.choice(self.subjects)
            try:
                self.step(step, subject)
            except Exception as error:
                self.note("raised", type(error).__name__, str(error)[:300])
            if step % 3 == 0:
                self.hidden(subject)
            if step % 200 == 199:
                self.check()
        self.check()

    def step(self, step: int, subject: Subject) -> None:
        """One operation."""
        chance = self.dice.random()
        call, handles = subject.seen()
        args, kwargs = subject.spelled()
        if chance < 0.78:
            value = subject.finished(call(*args, **kwargs))
            self.note("got", step, subject.name, value)
        elif chance < 0.81:
            self.now += self.dice.choice([0.5, 1, 3, 7, 60])
        elif chance < 0.82:
            self.figures(subject)
        elif chance < 0.83:
            with self.registry.disabled(
                self.dice.choice([None, None if subject.kind == "lru_cache" else subject.name])
            ):
                value = subject.finished(call(*args, **kwargs))
                self.note("off", subject.name, "one-shot" if hasattr(value, "__next__") else value)
        elif chance < 0.84 and subject.is_async:
            self.together(subject, call)
        elif chance < 0.842:
            swept = self.registry.cleanup()
            self.note("cleaned", swept.expired, swept.flights)
        elif chance < 0.85:
            self.note("tagged", self.registry.invalidate(tag="some"))
        elif subject.kind in ("bounded", "stack"):
            self.on_cache(step, subject, handles.cache, args, kwargs)
        elif subject.kind == "window":
            window = handles.window
            self.note("window", window.count(), len(window), [(e.outcome, e.key, e.message) for e in window.events()])
        elif subject.kind == "lru_cache":
            self.note("info", subject.function.cache_info())
        else:
            self.note("inflight", handles.inflight.stats())

    def on_cache(self, step: int, subject: Subject, cache: Any, args: Any, kwargs: Any) -> None:
        """One of the operations of a cache's handle."""
        what = self.dice.choice([
            "invalidate", "put", "put", "entry", "entry", "cleanup", "clear", "resize", "where", "items", "refresh",
            "contains", "copied",
        ])  # fmt: skip
        if what == "invalidate":
            found: Any = cache.invalidate(*args, **kwargs)
        elif what == "put":
            found = cache.put(("put", step), *args, **kwargs)
        elif what == "entry":
            entry = cache.entry(*args, **kwargs)
            found = entry and (entry.value, entry.age, entry.expires_in, entry.hits, entry.stale)
        elif what == "cleanup":
            found = cache.cleanup()
        elif what == "clear":
            found = cache.clear() if self.dice.random() < 0.3 else None
        elif what == "resize":
            found = cache.resize(max=self.dice.choice(subject.sizes)) if self.dice.random() < 0.3 else None
        elif what == "where":
            found = cache.invalidate_where(lambda key, value: len(str(key)) % 3 == 0)
        elif what == "items":
            found = sorted(map(str, cache.items())), len(cache)
        elif what == "refresh":
            found = subject.finished(cache.refresh(*args, **kwargs))
        elif what == "contains":
            found = [str(key) for key in cache]
        else:
            found = len(cache.store), list(map(str, cache.store))
        self.note(what, subject.name, found)

    def together(self, subject: Subject, call: Callable[..., Any]) -> None:
        """Calls of coroutines at the same time, one of which may be cancelled."""
        spelled = [subject.spelled() for _ in range(4)]
        cancelled = self.dice.random() < 0.4

        async def crowd() -> list[Any]:
            tasks = []
            for args, kwargs in spelled:
                try:
                    tasks.append(asyncio.ensure_future(call(*args, **kwargs)))
                except TypeError as error:
                    self.note("raised", str(error))
            if cancelled and tasks:
                await asyncio.sleep(0)
                tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        self.note("together", subject.name, list(map(repr, self.loop.run_until_complete(crowd()))))

    def figures(self, subject: Subject) -> None:
        """All that is counted."""
        if subject.kind == "lru_cache":
            return
        stats = self.registry[subject.name].stats()
        self.note("figures", [str(part) for part in (stats.cache, stats.inflight)])
        if stats.window is not None:
            self.note("window", [line for line in str(stats.window).splitlines() if "dropped" not in line])
        self.note("table", len(str(self.registry).splitlines()))

    def hidden(self, subject: Subject) -> None:
        """What is kept, in the order of the index, if that is little."""
        if subject.kind in ("bounded", "stack"):
            entries = list(subject.function.cache.store)
            self.note("kept", subject.name, list(map(str, entries if len(entries) <= 10 else entries[::7])))

    def check(self) -> None:
        """The invariants of all stores."""
        for subject in self.subjects:
            if subject.kind in ("bounded", "stack"):
                try:
                    subject.function.cache._check()
                except ZeroDivisionError:
                    self.note("a comparison raised")


def main(first: int, last: int, steps: int) -> None:
    """Print which path runs, and for each seed what was observed."""
    lines = ["in Python" if _native.speed is None else "in C"]
    for seed in range(first, last + 1):
        lines += [f"seed {seed}", *Play(seed).run(steps)]
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    # A key in garbage is compared with until that is collected, and each path collects at another time: at once, then.
    gc.set_threshold(1)
    main(*map(int, sys.argv[1:]))
