"""Functions of random shapes with random options, and random calls of them, for the program of random operations."""

import asyncio
import random
import sys
import threading
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cachetools

import memo

if TYPE_CHECKING:
    from kit.random_operations import Play

__all__ = ("MADE", "Held", "Odd", "Subject")


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


class Held:
    """An argument whose call stands until it is let through."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.entered: list[str] = []
        self.opened: dict[str, threading.Event] = {}

    def __hash__(self) -> int:
        return 77 + self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"Held({self.number})"

    def stand(self) -> None:
        me = threading.current_thread().name
        if me in self.opened:
            self.entered.append(me)
            assert self.opened[me].wait(60), "nobody let it through"


MADE = types.ModuleType("made_at_random")
"""Where the functions are found by name: they are pickled so."""
sys.modules[MADE.__name__] = MADE

SHAPES = {
    "plain": "def fetch(x, lang='en', k=1): return body(x, lang, k)",
    "one": "def fetch(x): return body(x)",
    "one by position": "def fetch(x, /): return body(x)",
    "one by keyword": "def fetch(*, x): return body(x)",
    "keywords": "def fetch(x, /, *, lang='en', k=1): return body(x, lang, k)",
    "rest": "def fetch(x, *rest, lang='en'): return body(x, lang, *rest)",
    "any": "def fetch(x, **more): return body(x, *sorted(more))",
    "none": "def fetch(): return body(0)",
    "long": f"def fetch(x, lang='en', {', '.join(f'a{n}={n}' for n in range(16))}): return body(x, lang, a3)",
    "coroutine": "async def fetch(x, lang='en'): return body(x, lang)",
    "coroutine of one": "async def fetch(x): return body(x)",
    "coroutine of one by keyword": "async def fetch(*, x): return body(x)",
    "coroutine with rest": "async def fetch(x, *rest, lang='en'): return body(x, lang, *rest)",
    "slow coroutine": "async def fetch(x, lang='en'):\n    await sleep(0)\n    return body(x, lang)",
    "method": "def fetch(self, x, lang='en'): return body(x, lang)",
    "class method": "def fetch(cls, x, lang='en'): return body(x, lang)",
    "static method": "def fetch(x, lang='en'): return body(x, lang)",
    "coroutine method": "async def fetch(self, x, lang='en'): return body(x, lang)",
}
KINDS = {"bounded": 14, "dedupe": 2, "window": 2, "stack": 2, "other stack": 1, "lru_cache": 1}
STORES = "bounded", "stack", "other stack"
SIZES = 1, 2, 3, 10, 50
SMALL = 1, 2
"""For keys that may have a type or an instance in them, whose hash is its address: what a policy remembers of keys that
left, it remembers by their hashes, in one place for so few."""
POLICIES = ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs", cachetools.LRUCache)
MISTAKES = (ValueError, ZeroDivisionError)


class Subject:
    """One decorated function, and how it is called."""

    def __init__(self, play: "Play", number: int) -> None:
        self.play = play
        self.name = f"f{number}"
        self.shape = play.dice.choice(list(SHAPES))
        self.is_async = "coroutine" in self.shape
        self.depth = 0
        self.kind = play.dice.choices(list(KINDS), list(KINDS.values()))[0]
        self.has_store = self.kind in STORES
        small = "method" in self.shape or "one" in self.shape or play.dice.random() < 0.2
        self.sizes = SMALL if small else SIZES
        names: dict[str, Any] = {"body": self.body, "sleep": asyncio.sleep}
        exec(SHAPES[self.shape], names)
        function = names["fetch"]
        function.__module__ = MADE.__name__
        function.__qualname__ = self.name
        self.options: dict[str, Any] = {}
        if self.has_store:
            self.options = self._of_bounded()
        self.instances: list[Any] = []
        self.owner: Any = None
        self.can_wait = self.shape in ("plain", "one", "keywords", "method") and (
            self.kind not in ("stack", "other stack") or self.options.get("dedupe", True)
        )
        """Two threads may ask for the same: it can be told from its handle that the second waits."""
        self.background = not self.is_async and "stale_while_revalidate" in self.options
        if "method" in self.shape:
            function.__qualname__ = f"Owner{number}.fetch"
            self.function = self._in_a_class(number, function)
        else:
            self.function = self._decorated(function)
            setattr(MADE, self.name, self.function)
        play.note("made", self.name, self.kind, self.shape, sorted(self.options), self.options.get("policy"))

    def _in_a_class(self, number: int, function: Any) -> Any:
        decorated = self._decorated(function)
        fetch = decorated
        if self.shape == "class method":
            fetch = classmethod(decorated)
        elif self.shape == "static method":
            fetch = staticmethod(decorated)
        space = {"fetch": fetch, "__module__": MADE.__name__, "__qualname__": f"Owner{number}"}
        if self.play.dice.random() < 0.3:
            space |= {"__slots__": ("__weakref__",)}
        self.owner = type(f"Owner{number}", (), space)
        setattr(MADE, f"Owner{number}", self.owner)
        self.instances = [self.owner() for _ in range(3)]
        return decorated

    def _of_bounded(self) -> dict[str, Any]:
        dice = self.play.dice
        options: dict[str, Any] = {"max": dice.choice(self.sizes)}

        def sometimes(chance: float, **more: Any) -> None:
            if dice.random() < chance:
                options.update(more)

        sometimes(0.6, ttl=dice.choice([5, 50, 500] if not self.play.runs_by_itself else [500, 5000]))
        sometimes(0.05, ttl=lambda value: 5000 if value == (4,) else 7000 if self.play.runs_by_itself else 20)
        sometimes(0.04, ttl=lambda value, call: None if len(call.arguments) == 1 else 6000)
        sometimes(0.4, on_evict=self.evicted)
        sometimes(0.5, policy=dice.choice(POLICIES))
        sometimes(0.15, idle=20 if not self.play.runs_by_itself else 2000)
        sometimes(0.1, copy=dice.choice(["shallow", "deep", list]))
        sometimes(0.15, typed=self.sizes is not SIZES)
        sometimes(0.1, cache_if=lambda value: value != (3, "en", 1))
        sometimes(0.05, cache_if=lambda value, call: call.arguments.get("x") != 5)
        sometimes(0.1, dedupe=False)
        sometimes(0.1, tags=("all", "some"))
        sometimes(0.06, tags=lambda *args, **kwargs: ["some"] if args and args[-1] in (1, 2, "en") else ["all"])
        sometimes(0.1, cache_errors=ValueError, error_ttl=7 if not self.play.runs_by_itself else 700)
        sometimes(0.06, fallback=dice.choice(["instead", lambda *args, **kwargs: self.instead(args)]))
        sometimes(0.1, max_bytes=3000)
        if "max_bytes" in options:
            sometimes(0.4, sizeof=lambda value: 10 if type(value) is tuple else 9000)
        sometimes(0.08, timeout=60 if not self.play.runs_by_itself else 6000)
        sometimes(0.05, one_shot="share")
        sometimes(0.03, scope="loop", policy="lru")  # outside of loops a key has None in it, whose hash is its address
        if self.sizes is SMALL:
            sometimes(0.06, weak=("x",) if self.shape != "none" else (), policy="lru")
        if "ttl" in options:
            sometimes(0.15, stale_if_error=10)
            sometimes(0.08, stale_while_revalidate=20)
            sometimes(0.1, jitter=0.5)
        if "on_evict" in options:
            sometimes(0.2, lease_timeout=30)
        if not {"weak", "scope"} & set(options) and self.shape not in ("none", "any") and "one" not in self.shape:
            sometimes(0.12, ignore=("lang",))
            if not options.get("typed") and "ignore" not in options:
                sometimes(0.12, key=lambda *args, **kwargs: args[-1] if args else 0)
        if self.is_async:
            sometimes(0.3, work="caller")
            if options.get("work") != "caller" and options.get("dedupe", True):
                sometimes(0.1, keep=30)
        elif "stale_while_revalidate" in options:
            options.pop("scope", None)
            options["policy"] = (
                "fifo"  # whether a stale hit counts for the old value or for the new one, chance decides
            )
        if not options.get("dedupe", True):
            options.pop("timeout", None)
        return options

    def _decorated(self, function: Any) -> Any:
        common: dict[str, Any] = {"registry": self.play.registry, "name": self.name}
        if self.play.clock is not None:
            common["clock"] = self.play.clock
        if self.kind == "lru_cache":
            return memo.lru_cache(maxsize=self.play.dice.choice([1, 3, 20]))(function)
        if self.kind == "other stack":
            function = memo.bounded(**self.options, **common)(function)
        if self.kind in ("dedupe", "stack", "other stack"):
            function = memo.dedupe_inflight(timeout=60, **common)(function)
        if self.kind in ("window", "stack", "other stack"):
            function = memo.sliding_window(30, max=5, **common)(function)
        if self.kind in ("bounded", "stack"):
            function = memo.bounded(**self.options, **common)(function)
        return function

    @property
    def remembers(self) -> bool:
        """Its policy knows keys that left by their hashes: so no other may come to lie where one lay."""
        return self.has_store and self.options.get("policy", "adaptive") in ("adaptive", "s3fifo", "lirs")

    def evicted(self, key: Any, value: Any, reason: Any) -> None:
        self.play.note("left", self.name, key, value, str(reason))
        if type(value) is tuple and type(value[0]) is int and value[0] == 12 and not self.play.elsewhere:
            self.clear()

    def instead(self, args: Any) -> str:
        self.play.note("instead", self.name, args, repr(sys.exception()))
        return "instead"

    def body(self, x: Any, *rest: Any) -> Any:
        """What all functions do: they tell, and sometimes fail, call themselves or return what cannot be kept."""
        self.play.note("ran", self.name, x, rest)
        if type(x) is Held:
            x.stand()
        elif type(x) is int:
            if x == 7 and rest[:1] != ("en",):
                raise ValueError(x)
            if x == 17:
                return iter([1])
            if x == 18:  # takes its time
                self.play.advance(2)
            if x == 16:
                return [x, rest]
            if x % 11 == 10 and self.depth < 3 and self.shape in ("plain", "one", "one by position", "keywords"):
                self.recur(x)
            if x == 19 and not self.play.elsewhere:  # changes the store that the call is about to change
                self.play.dice.choice([self.clear, self.shrink, self.put_itself, lambda: None])()
        return (x, *rest)

    def recur(self, x: int) -> None:
        self.depth += 1
        try:
            self.function(x - 1 if self.depth != 2 else x)
        except MISTAKES as error:
            self.play.note("within", repr(error))
        finally:
            self.depth -= 1

    def clear(self) -> None:
        if self.has_store:
            self.function.cache.clear()

    def shrink(self) -> None:
        if self.has_store:
            self.function.cache.resize(max=self.play.dice.choice(self.sizes))

    def put_itself(self) -> None:
        if self.has_store and self.shape in ("plain", "keywords", "rest"):
            self.function.cache.put("meanwhile", 19)

    def begin_anew(self, place: int) -> None:
        """Let an instance go, and what belongs to it with it."""
        self.instances[place] = self.owner()

    # -- how it is called

    def argument(self) -> Any:
        dice = self.play.dice
        chance = dice.random() * (0.79 if self.remembers and self.sizes is SIZES else 1)
        if chance < 0.6:
            return dice.randrange(25)
        if chance < 0.75:
            return dice.choice("abcdefgh")
        if chance < 0.79:
            return dice.choice([(1, "t"), (2, "t"), (1, (2.0, "u")), b"bytes", 1 << 70, -1, frozenset({1})])
        if chance < 0.85:
            return dice.choice([1.0, True, Text("a"), 2.5, float("inf"), -0.0, 0.0, 1 + 0j, False])
        if chance < 0.95:
            return Odd(dice.randrange(15))
        return dice.choice([Unhashable(), [1], {}, (1, [])])

    def spelled(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        dice = self.play.dice
        x, lang = self.argument(), dice.choice(["en", "de", 1])
        return _SPELLED.get(self.shape, _spelled_with_a_language)(dice, x, lang)

    def seen(self) -> tuple[Callable[..., Any], Any]:
        """The function as somebody calls it, and the handle that he sees."""
        if not self.instances:
            return self.function, self.function
        place = self.play.dice.randrange(3)
        instance = self.instances[place]
        chance = self.play.dice.random()
        if chance < 0.4:
            return lambda *args, **kwargs: instance.fetch(*args, **kwargs), instance.fetch
        if chance < 0.8:
            return instance.fetch, instance.fetch  # bound before it is called
        if self.shape in ("class method", "static method"):
            return lambda *args, **kwargs: self.owner.fetch(*args, **kwargs), self.owner.fetch
        return lambda *args, **kwargs: self.owner.fetch(instance, *args, **kwargs), instance.fetch

    def finished(self, value: Any) -> Any:
        if self.is_async:
            return self.play.loop.run_until_complete(value)
        if self.background:
            self.play.wait_for_the_pool()
        return value


Spelled = tuple[tuple[Any, ...], dict[str, Any]]


def _spelled_with_a_language(dice: random.Random, x: Any, lang: Any) -> Spelled:
    return dice.choice([
        ((x,), {}), ((), {"x": x}), ((x, lang), {}), ((x,), {"lang": lang}), ((), {"lang": lang, "x": x}),
        ((x, lang, *range(20)), {}), ((x,), {"nope": 1}), ((), {}), ((x,), {"x": 1}), ((x,), {1: 2}),
    ])  # fmt: skip


def _spelled_alone(dice: random.Random, x: Any, lang: Any) -> Spelled:
    spelled: list[Spelled] = [((x,), {}), ((), {"x": x}), ((), {}), ((x, 1), {}), ((x,), {"y": 1})]
    return dice.choices(spelled, (8, 3, 1, 1, 1))[0]


def _spelled_by_keyword(dice: random.Random, x: Any, lang: Any) -> Spelled:
    spelled: list[Spelled] = [((), {"x": x}), ((x,), {}), ((), {}), ((), {"x": x, "y": 1})]
    return dice.choices(spelled, (9, 1, 1, 1))[0]


def _spelled_with_keywords(dice: random.Random, x: Any, lang: Any) -> Spelled:
    return dice.choice([
        ((x,), {}), ((x,), {"k": 2, "lang": lang}), ((x,), {"lang": lang}), ((), {"x": x}), ((x, 1), {}),
    ])  # fmt: skip


def _spelled_with_rest(dice: random.Random, x: Any, lang: Any) -> Spelled:
    return dice.choice([((x,), {}), ((x, 1, 2), {}), ((x, x), {}), ((x,), {"lang": lang}), ((), {}), ((), {"x": x})])


def _spelled_with_any(dice: random.Random, x: Any, lang: Any) -> Spelled:
    return dice.choice([((x,), {}), ((x,), {"b": 1, "a": 2}), ((x,), {"a": 2, "b": 1}), ((), {"x": x}), ((), {})])


def _spelled_with_nothing(dice: random.Random, x: Any, lang: Any) -> Spelled:
    spelled: list[Spelled] = [((), {}), ((1,), {}), ((), {"x": 1})]
    return dice.choices(spelled, (8, 1, 1))[0]


def _spelled_long(dice: random.Random, x: Any, lang: Any) -> Spelled:
    return dice.choice([
        ((x,), {}), ((x, lang), {"a3": 4}), ((x, lang, *range(16)), {}), ((), {"x": x, "a15": 15}), ((x,), {"a16": 1}),
    ])  # fmt: skip


_SPELLED = {
    "one": _spelled_alone,
    "one by position": _spelled_alone,
    "coroutine of one": _spelled_alone,
    "one by keyword": _spelled_by_keyword,
    "coroutine of one by keyword": _spelled_by_keyword,
    "keywords": _spelled_with_keywords,
    "rest": _spelled_with_rest,
    "coroutine with rest": _spelled_with_rest,
    "any": _spelled_with_any,
    "none": _spelled_with_nothing,
    "long": _spelled_long,
}
