"""Keys and values whose own code changes the function in the middle of its calls, and what a hit refers to."""

import copy
import gc
import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded
from memo._decorated.layer import layer_of
from memo._native import speed, why

pytestmark = pytest.mark.skipif(speed is None, reason=why)

own = pytest.fixture(lambda: Registry())


class Evil:
    """A key that does something each time it is hashed or compared; equal to others of its number."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.number = number
        self.act = act

    def __hash__(self) -> int:
        self.act()
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        self.act()
        return isinstance(other, Evil) and self.number == other.number


@pytest.mark.parametrize("shape", ["alone", "of two", "method", "default"])
def test_a_key_may_change_the_function_while_it_is_looked_up(own: Registry, shape: str) -> None:
    """Clearing, resizing, exchanging defaults and what else a key does in a call leaves the call right."""

    def act() -> None:
        nonlocal depth
        if depth:
            return
        depth = 1
        acts[turn % len(acts)]()
        depth = 0

    depth, turn = 1, 0

    class Service:
        @bounded(max=20, ttl="1h", registry=own)
        def fetch(self, key: Any, more: Any = 0) -> Any:
            return (key, more) if isinstance(key, int) else (key.number, more)

    service = Service()
    if shape == "method":
        load: Any = service.fetch
    elif shape == "default":
        first = Evil(1, act)

        @bounded(max=20, ttl="1h", registry=own)
        def load(key: Any = first, more: Any = 0) -> Any:
            return key.number, more
    elif shape == "of two":

        @bounded(max=20, ttl="1h", registry=own)
        def load(key: Any, more: Any) -> Any:
            return key.number, more
    else:

        @bounded(max=20, ttl="1h", registry=own)
        def load(key: Any) -> Any:
            return key.number, 0

    function: Any = Service.fetch if shape == "method" else load

    def exchange_defaults() -> None:
        if shape == "default":
            function.__defaults__ = (Evil(1, act), 0)

    def again() -> None:
        try:
            function.__code__ = function.__code__.replace()
        except RecursionError:
            pass

    acts: list[Callable[[], object]] = [
        lambda: load.cache.clear(), lambda: load.cache.resize(20 + turn % 3), exchange_defaults, again, gc.collect,
        lambda: [load(Evil(number, lambda: None), *extra) for number in range(30)],
        own.clear, lambda: layer.write_anew(),
    ]  # fmt: skip
    extra = (0,) if shape == "of two" else ()
    layer: Any = layer_of(function)
    for turn in range(12 * len(acts)):
        depth = 0
        args = () if shape == "default" else (Evil(turn % 3, act), *extra)
        assert load(*args) == (1 if shape == "default" else turn % 3, 0)
    depth = 1
    layer.cache.store._check()


def test_what_a_comparison_raises_is_raised(own: Registry) -> None:
    """An error of a key's own comes out of the call as it does in Python; it does not pass for a miss."""

    class Angry:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            raise error

    @bounded(max=20, registry=own)
    def load(key: Any) -> int:
        return 1

    error: BaseException = ValueError("no")
    load(Angry())
    for error in (ValueError("no"), KeyboardInterrupt(), RecursionError("deep")):
        with pytest.raises(type(error)):
            load(Angry())


def test_a_value_may_end_the_function_that_returns_it(own: Registry) -> None:
    """A hit whose value is the last that holds the function, or that is told of its own end, is answered."""

    class Last:
        function: Any

    @bounded(max=20)
    def load(key: int) -> Last:
        return Last()

    load(1).function = load
    held = [load]
    del load
    value = held.pop()(1)
    assert value.function(1) is value
    del value.function
    gc.collect()


WEAKLY_HELD = ValueError()

SHAPES: dict[str, tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]] = {
    "one": ({}, (1,), {}),
    "told": ({}, (1.5,), {}),
    "named": ({}, (), {"b": 2, "a": 1}),
    "ttl": ({"ttl": "1h"}, ("x", 3), {}),
    "idle": ({"idle": "1h"}, (1,), {}),
    "typed": ({"typed": True}, (1, True), {"d": 9}),
    "key": ({"key": lambda a, b, *c, d: a}, (1,), {}),
    "copy": ({"copy": copy.copy}, (1,), {}),
    "scope": ({"scope": "loop"}, (1,), {}),
    "weak": ({"weak": ("a",)}, (WEAKLY_HELD,), {}),
    "lru": ({"policy": "lru"}, (1,), {}),
    "stale": ({"ttl": "1h", "stale_while_revalidate": "1h"}, (1,), {}),
    "wrong": ({}, (), {}),
    "unhashable": ({}, ([],), {}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_hits_keep_no_reference(own: Registry, shape: str) -> None:
    """After many hits, arguments, defaults, values and what C reads have as many references as before."""
    options, args, kwargs = SHAPES[shape]
    default, value = object(), [1]

    def load(a: Any, b: Any = default, *, d: Any = default) -> Any:
        return value

    function = bounded(max=20, registry=own, **options)(load)

    def call() -> None:
        try:
            function(*args, **kwargs)
        except TypeError:
            pass

    for _ in range(10):
        call()
    layer: Any = layer_of(function)
    wrapper = layer.wrapper
    watched = [default, value, args, wrapper, wrapper.__globals__, wrapper.__defaults__, function, *args]
    gc.collect()
    before = [sys.getrefcount(one) for one in watched]
    for _ in range(3000):
        call()
    gc.collect()  # errors hold what they passed by
    after = [sys.getrefcount(one) for one in watched]
    assert [b - a for a, b in zip(before, after, strict=True) if abs(b - a) > 2] == []


def test_threads_lose_no_hit(own: Registry) -> None:
    """Hits of eight threads, through functions and instances, are all counted."""

    class Service:
        @bounded(max=20, ttl="1h", policy="lru", registry=own)
        def fetch(self, key: int, more: int = 0) -> int:
            return key

    service = Service()
    for key in range(10):
        service.fetch(key)
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        for number in range(2000):
            service.fetch(number % 10)
            service.fetch(key=number % 10)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    stats = service.fetch.cache.stats()
    assert (stats.hits, stats.misses) == (8 * 4000, 10)


@bounded(max=20, ttl="1h")
def of_the_module(key: int) -> int:
    return key


def test_a_decorated_function_is_sent_and_copied_as_it_is() -> None:
    """By name, and as itself: what answers its calls in C goes nowhere."""
    assert of_the_module(1) == of_the_module(1) == 1
    assert pickle.loads(pickle.dumps(of_the_module)) is of_the_module
    assert copy.copy(of_the_module) is copy.deepcopy(of_the_module) is of_the_module


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on_answering(own: Registry) -> None:
    """A child of a fork has the entries that it inherited, and its own from then on."""

    @bounded(max=20, ttl="1h", registry=own)
    def load(key: int) -> int:
        return os.getpid() if key else 0

    parent = load(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.write(writing, f"{load(1)} {load(2)} {load(2)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode().split() == [str(parent), str(child), str(child)]
    os.close(reading), os.close(writing)
    assert load(1) == load(2) == parent


def test_garbage_that_answered_calls_is_collected() -> None:
    """A function that only its own values hold, and what answers its calls in C, go with the collector."""

    class Dies:
        function: Any

        def __del__(self) -> None:
            gone.append(1)

    gone: list[int] = []
    for options in ({}, {"ttl": "1h"}, {"key": lambda key: key}, {"policy": "lru"}):

        @bounded(max=20, registry=Registry(), **options)
        def load(key: int) -> Dies:
            return Dies()

        value = load(1)
        value.function = load
        assert load(1) is value
        del load, value
    gc.collect()
    assert len(gone) == 4
