"""Bad options fail at decoration: with the right type of error, the option, the offending value and the remedy."""

import asyncio
import functools
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import cachetools
import pytest

from memo import bounded, registry


class Odd:
    """Nothing that any option takes."""

    def __repr__(self) -> str:
        return "<odd>"


ODD = Odd()


async def coroutine_function(*args: Any) -> Any:
    """What nobody would await."""


def generator() -> Iterator[int]:
    """What can be used only once."""
    yield 1


class NeedsMore(cachetools.Cache[Any, Any]):
    """Cannot be made with a size alone."""

    def __init__(self, maxsize: float, ttl: float) -> None:
        super().__init__(maxsize)


# Options, type of error, what the message says besides the decorator's name.
BAD: list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = [
    # no bound at all
    ({}, TypeError, ("max=", "max_bytes=", "write")),
    ({"ttl": "24h"}, TypeError, ("max=", "max_bytes=", "write")),
    ({"max": None, "max_bytes": None}, TypeError, ("max=", "max_bytes=", "write")),
    # max
    ({"max": 0}, ValueError, ("max=0", "at least 1")),
    ({"max": -5}, ValueError, ("max=-5", "at least 1")),
    ({"max": True}, TypeError, ("max=True", "give")),
    ({"max": 2.0}, TypeError, ("max=2.0", "give")),
    ({"max": "500"}, TypeError, ("max='500'", "give")),
    ({"max": ODD}, TypeError, ("max=<odd>", "give")),
    ({"max": math.inf}, TypeError, ("max=inf", "give")),
    # max_bytes
    ({"max_bytes": 0}, ValueError, ("max_bytes=0", "give")),
    ({"max_bytes": -1}, ValueError, ("max_bytes=-1", "give")),
    ({"max_bytes": False}, TypeError, ("max_bytes=False", "give")),
    ({"max_bytes": 1.5}, TypeError, ("max_bytes=1.5", "give")),
    ({"max_bytes": "64 parsecs"}, ValueError, ("max_bytes='64 parsecs'", "MB")),
    ({"max_bytes": "MB"}, ValueError, ("max_bytes='MB'", "64MB")),
    ({"max_bytes": ""}, ValueError, ("max_bytes=''", "64MB")),
    ({"max_bytes": "-1MB"}, ValueError, ("max_bytes='-1MB'", "64MB")),
    ({"max_bytes": "0kB"}, ValueError, ("max_bytes='0kB'", "give")),
    ({"max_bytes": ODD}, TypeError, ("max_bytes=<odd>", "give")),
    # lease_timeout
    ({"max": 1, "lease_timeout": 30}, TypeError, ("lease_timeout=30", "on_evict=", "give both")),
    ({"max": 1, "lease_timeout": 0, "on_evict": print}, ValueError, ("lease_timeout=0", "give")),
    ({"max": 1, "lease_timeout": "2h5", "on_evict": print}, ValueError, ("lease_timeout='2h5'", "write")),
    # evict_loop
    ({"max": 1, "evict_loop": 5, "on_evict": print}, TypeError, ("evict_loop=5", "give")),
    ({"max": 1, "evict_loop": print, "on_evict": print}, TypeError, ("evict_loop=", "no effect", "leave it out")),
    # fork
    ({"max": 1, "fork": "forget"}, ValueError, ("fork='forget'", "'keep' or 'drop'")),
    ({"max": 1, "fork": True}, TypeError, ("fork=True", "'keep' or 'drop'")),
    # ttl, idle, timeout: durations
    ({"ttl": 0}, ValueError, ("ttl=0", "give")),
    ({"ttl": -1}, ValueError, ("ttl=-1", "give")),
    ({"ttl": math.nan}, ValueError, ("ttl=nan", "finite")),
    ({"ttl": math.inf}, ValueError, ("ttl=inf", "finite")),
    ({"ttl": 10**400}, ValueError, ("ttl=1000", "give")),
    ({"ttl": True}, TypeError, ("ttl=True", "give")),
    ({"ttl": ODD}, TypeError, ("ttl=<odd>", "give")),
    ({"ttl": b"24h"}, TypeError, ("ttl=b'24h'", "give")),
    ({"ttl": [1]}, TypeError, ("ttl=[1]", "give")),
    ({"ttl": ""}, ValueError, ("ttl=''", "24h")),
    ({"ttl": "   "}, ValueError, ("ttl='   '", "24h")),
    ({"ttl": "2h5"}, ValueError, ("ttl='2h5' ends in a number without a unit", "write '2h5m' or give seconds")),
    ({"ttl": "2 fortnights"}, ValueError, ("ttl='2 fortnights'", "'fortnights'", "units are")),
    ({"ttl": "-1h"}, ValueError, ("ttl='-1h'", "give")),
    ({"ttl": "h"}, ValueError, ("ttl='h'", "give")),
    ({"ttl": "1h 5 30s"}, ValueError, ("ttl='1h 5 30s'", "write")),
    ({"ttl": "0s"}, ValueError, ("ttl='0s'", "give")),
    ({"ttl": "nan"}, ValueError, ("ttl='nan'", "give")),
    ({"ttl": timedelta(0)}, ValueError, ("ttl=datetime.timedelta(0)", "give")),
    ({"ttl": timedelta(seconds=-1)}, ValueError, ("ttl=datetime.timedelta", "give")),
    ({"idle": 0}, ValueError, ("idle=0", "give")),
    ({"idle": "5x"}, ValueError, ("idle='5x'", "units are")),
    ({"idle": False}, TypeError, ("idle=False", "give")),
    ({"timeout": -0.5}, ValueError, ("timeout=-0.5", "give")),
    ({"timeout": "soon"}, ValueError, ("timeout='soon'", "give")),
    ({"timeout": ODD}, TypeError, ("timeout=<odd>", "give")),
    # policy
    ({"policy": "LRU"}, ValueError, ("policy='LRU'", "'lru'")),
    ({"policy": "arc"}, ValueError, ("policy='arc'", "'s3fifo'", "cachetools.Cache")),
    ({"policy": ""}, ValueError, ("policy=''", "'s3fifo'", "'sieve'", "'lirs'", "'lru'")),
    ({"policy": None}, TypeError, ("policy=None", "cachetools.Cache", "'lirs'")),
    ({"policy": dict}, TypeError, ("policy=<class 'dict'>", "cachetools.Cache")),
    ({"policy": cachetools.LRUCache(3)}, TypeError, ("policy=LRUCache", "cachetools.Cache")),
    ({"policy": NeedsMore}, TypeError, ("policy=<class", "NeedsMore", "maxsize")),
    # functions
    ({"key": "name"}, TypeError, ("key='name'", "give")),
    ({"key": coroutine_function}, TypeError, ("key=<function coroutine_function", "give")),
    ({"sizeof": 8, "max_bytes": 100}, TypeError, ("sizeof=8", "give")),
    ({"sizeof": coroutine_function, "max_bytes": 100}, TypeError, ("sizeof=<function coroutine_function", "give")),
    ({"sizeof": len}, TypeError, ("sizeof=<built-in function len>", "max_bytes=")),
    ({"cache_if": True}, TypeError, ("cache_if=True", "give")),
    ({"cache_if": coroutine_function}, TypeError, ("cache_if=<function coroutine_function", "give")),
    ({"on_evict": "print"}, TypeError, ("on_evict='print'", "give")),
    ({"on_evict": coroutine_function}, TypeError, ("on_evict=<function coroutine_function", "give")),
    ({"on_evict": functools.partial(coroutine_function)}, TypeError, ("on_evict=functools.partial", "give")),
    ({"copy": "shalow"}, ValueError, ("copy='shalow'", "'shallow'", "'deep'")),
    ({"copy": True}, TypeError, ("copy=True", "give")),
    ({"copy": coroutine_function}, TypeError, ("copy=<function coroutine_function", "give")),
    ({"clock": 12.5}, TypeError, ("clock=12.5", "give")),
    # what stands in for errors
    ({"soft_timeout": 1, "ttl": 9}, TypeError, ("soft_timeout=1", "stale_if_error=", "fallback=")),
    ({"soft_timeout": 1}, TypeError, ("soft_timeout=1", "ttl=")),
    ({"stale_if_error": 1, "fallback": None}, TypeError, ("stale_if_error=1", "ttl=")),
    ({"fallback": NeedsMore}, TypeError, ("fallback=<class", "NeedsMore", "without arguments", "function")),
    ({"fallback": iter([1])}, TypeError, ("fallback=", "only once", "function")),
    ({"on_evict": lambda: None}, TypeError, ("on_evict=", "takes ()", "lambda key, value, reason")),
    ({"on_evict": lambda key: None}, TypeError, ("on_evict=", "takes (key)", "lambda key, value, reason")),
    ({"on_evict": [].append}, TypeError, ("on_evict=", "takes (object, /)", "lambda key, value, reason")),
    ({"fallback_on": LookupError}, TypeError, ("fallback_on=<class 'LookupError'>", "fallback=")),
    ({"fallback": None, "fallback_on": ()}, ValueError, ("fallback_on=()", "leave it out")),
    ({"fallback": None, "fallback_on": KeyboardInterrupt}, ValueError, ("fallback_on=", "KeyboardInterrupt")),
    ({"fallback": None, "fallback_on": "errors"}, TypeError, ("fallback_on='errors'", "LookupError")),
    # the key's parts
    ({"ignore": "name"}, TypeError, ("ignore='name'", "ignore=('name',)")),
    ({"ignore": 3}, TypeError, ("ignore=3", "give")),
    ({"ignore": ("name", 3)}, TypeError, ("ignore=('name', 3)", "3", "give")),
    ({"ignore": ("nome",)}, ValueError, ("ignore", "'nome'", "name")),
    ({"ignore": ("self", "nome")}, ValueError, ("ignore", "'nome'", "name")),
    ({"ignore": ("name",), "key": len}, TypeError, ("ignore=('name',)", "key=")),
    ({"weak": "name"}, TypeError, ("weak='name'", "weak=('name',)")),
    ({"weak": None}, TypeError, ("weak=None", "give")),
    ({"weak": ("nome",)}, ValueError, ("weak", "'nome'", "name")),
    ({"weak": ("name",), "ignore": ("name",)}, TypeError, ("'name'", "ignore=", "weak=", "leave")),
    ({"scope": "task"}, ValueError, ("scope='task'", "scope='loop'")),
    ({"scope": 1}, TypeError, ("scope=1", "scope='loop'")),
    ({"typed": 1}, TypeError, ("typed=1", "True or False")),
    ({"typed": None}, TypeError, ("typed=None", "True or False")),
    ({"typed": True, "key": len}, TypeError, ("typed=True", "key=")),
    ({"dedupe": "yes"}, TypeError, ("dedupe='yes'", "True or False")),
    ({"dedupe": 0}, TypeError, ("dedupe=0", "True or False")),
    # the registry
    ({"name": 3}, TypeError, ("name=3", "give")),
    ({"name": ""}, ValueError, ("name=''", "give")),
    ({"name": b"x"}, TypeError, ("name=b'x'", "give")),
    ({"registry": "main"}, TypeError, ("registry='main'", "Registry()")),
    ({"registry": {}}, TypeError, ("registry={}", "Registry()")),
]


def described(case: Any) -> str:
    return ",".join(f"{option}={str(value)[:20]}" for option, value in case[0].items()) or "nothing"


@pytest.mark.parametrize(("options", "error", "parts"), BAD, ids=map(described, BAD))
def test_a_bad_option_fails_at_decoration(
    options: dict[str, Any], error: type[Exception], parts: tuple[str, ...]
) -> None:
    """A bad option of bounded() raises its error with value and remedy, and registers nothing."""
    bound = {} if not options or "max_bytes" in options or "max" in options or options == {"ttl": "24h"} else {"max": 8}

    def decorate() -> None:
        @bounded(**{**bound, **options})
        def fetch(name: str) -> str:
            raise AssertionError("nobody calls it")

    before = set(registry)
    with pytest.raises(error) as raised:
        decorate()
    message = str(raised.value)
    assert type(raised.value) is error
    assert message.startswith("bounded: ")
    assert message.endswith((".", ")"))
    for part in parts:
        assert part in message
    assert set(registry) <= before, "a function that was refused stays in the registry"


def test_there_are_enough_of_them() -> None:
    """The cases of bad options cover each option of bounded(), in at least 45 ways."""
    assert len(BAD) >= 45
    assert {option for options, _, _ in BAD for option in options} == {
        "max",
        "max_bytes",
        "ttl",
        "idle",
        "timeout",
        "policy",
        "key",
        "sizeof",
        "cache_if",
        "fallback",
        "fallback_on",
        "soft_timeout",
        "stale_if_error",
        "on_evict",
        "lease_timeout",
        "evict_loop",
        "fork",
        "copy",
        "clock",
        "ignore",
        "weak",
        "scope",
        "typed",
        "dedupe",
        "name",
        "registry",
    }


def plain(name: str) -> str:
    """A function to be decorated."""
    return name


class Service:
    """Functions in a class."""

    def method(self) -> int:
        return 1


@pytest.mark.parametrize(
    "function",
    [plain, coroutine_function, Service.method, property(plain), staticmethod(plain), classmethod(plain), len],
)
def test_bare_bounded_says_what_to_write(function: Any) -> None:
    """@bounded without parentheses raises TypeError, which says to give a bound."""
    with pytest.raises(TypeError, match=r"^bounded: .*without a bound; write @bounded\(max=500\)\.$"):
        bounded(function)


@pytest.mark.parametrize("value", [500, "500", None.__class__, 1.5])
def test_a_bound_without_its_name_says_what_to_write(value: Any) -> None:
    """A positional argument of bounded() raises TypeError, which says what to write."""
    with pytest.raises(TypeError, match=r"^bounded: .*write"):
        bounded(value)


def test_options_of_later_versions_and_typing_errors_are_refused() -> None:
    """An unknown option of bounded() raises TypeError that names it."""
    with pytest.raises(TypeError, match="maxsize"):
        bounded(maxsize=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("thing", [3, "text", None, ODD, [plain]])
def test_what_cannot_be_called_cannot_be_decorated(thing: Any) -> None:
    """Decorating what is not callable raises TypeError with advice."""
    decorate: Callable[[Any], Any] = bounded(max=8)
    with pytest.raises(TypeError, match=r"^bounded: .*cannot be called; decorate"):
        decorate(thing)


@pytest.mark.parametrize("thing", [generator, staticmethod(generator), classmethod(generator), property(generator)])
def test_generator_functions_cannot_be_decorated(thing: Any) -> None:
    """Decorating a generator function raises TypeError, which says to return a list."""
    with pytest.raises(TypeError, match=r"^bounded: .*generator is a generator function.*return a list"):
        bounded(max=8)(thing)


def test_every_good_option_together() -> None:
    """A coroutine function decorated with good values of nearly all options shares calls by its key."""

    @bounded(
        max=8,
        ttl="1h30m",
        max_bytes="64MB",
        sizeof=len,
        idle=timedelta(minutes=5),
        policy=cachetools.LFUCache,
        key=str.lower,
        ignore=(),
        typed=False,
        dedupe=True,
        timeout=0.5,
        cache_if=bool,
        copy=str,
        on_evict=lambda *what: None,
        name="everything",
        clock=lambda: 1.0,
    )
    async def fetch(name: str) -> str:
        return name

    assert asyncio.run(fetch("A")) == asyncio.run(fetch("a")) == "A"
    assert registry["everything"].cache is not None
