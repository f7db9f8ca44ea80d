"""When nobody holds a decorated function it goes at once, by reference counts alone, with all that it works with."""

import asyncio
import functools
import inspect
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished
from kit.processes import counts_alone
from kit.tools import stacked

from memo import bounded, dedupe_inflight, limit, lru_cache, registry, sliding_window
from memo._decorated.layer import layer_of
from memo._native import speed
from memo.testing import FakeClock, isolated

pytestmark = pytest.mark.usefixtures("nothing_collected")

Decorate = Callable[[Any], Any]

DECORATORS: dict[str, Decorate] = {
    "bounded": bounded(max=8),
    "ttl": bounded(max=8, ttl=60, jitter=0.1),
    "lru": bounded(max=8, policy="lru"),
    "lfu": bounded(max=8, policy="lfu"),
    "fifo": bounded(max=8, policy="fifo"),
    "random": bounded(max=8, policy="random"),
    "stale": bounded(max=8, ttl=60, stale_if_error=60, stale_while_revalidate=9, cache_errors=KeyError, error_ttl=3),
    "bytes": bounded(max_bytes="1MB", idle=60),
    "tags": bounded(max=8, tags=lambda *args: ["tag"]),
    "key": bounded(max=8, key=lambda *args: args),
    "scope": bounded(max=8, scope="loop"),
    "typed": bounded(max=8, typed=True, dedupe=False, timeout=60),
    "lru_cache": lru_cache,
    "unbounded": lru_cache(maxsize=None),
    "dedupe": dedupe_inflight,
    "window": sliding_window("1h", keys=5),
    "limit": limit("1000/1h", key=lambda *args: args),
    "delay": limit("1000/1h", when_full="delay"),
    "stack": stacked,
}
over = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
colours = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])


LIVE: "weakref.WeakSet[Any]" = weakref.WeakSet()


def watched(value: Any) -> Any:
    LIVE.add(value)
    return value


class Result:
    """What functions here return, and the test watches."""


def make(decorate: Decorate, is_async: bool) -> Any:
    """A decorated closure."""

    def load(name: Any, lang: str = "en") -> Any:
        return watched(Result())

    async def load_later(name: Any, lang: str = "en") -> Any:
        return watched(Result())

    return decorate(load_later if is_async else load)


def all_of(function: Any) -> list[weakref.ref[Any]]:
    """Weak references on a decorated function and on what it works with, in each layer."""
    found: list[Any] = [function]
    layer = layer_of(function)
    while layer is not None:
        found += [layer, layer.record, layer.shape.function]
        if layer.is_made:
            found += [layer.clock, layer.works.engine, getattr(layer.works.engine, "store", layer)]
        layer = layer_of(layer.shape.function)
    return [weakref.ref(one) for one in found]


def survivors(refs: list[weakref.ref[Any]]) -> list[Any]:
    return [type(ref()) for ref in refs if ref() is not None]


def use_nothing(function: Any) -> None:
    pass


def use_calls(function: Any) -> None:
    for name in ("a", "a", "b"):
        finished(function(name))
    finished(function(name="a", lang="en"))


def use_handles(function: Any) -> None:
    use_calls(function)
    if hasattr(function, "cache"):
        cache = function.cache
        cache.put(["put"], "c")
        finished(cache.refresh("a"))
        assert cache.invalidate("a")
        assert cache.entry("c") is not None
        cache.invalidate_where(lambda key, value: False)
        cache.items()
        cache.stats()
        function.cache_info()
        cache.cleanup()
        cache.clear()
        finished(function("a"))
    if hasattr(function, "inflight"):
        function.inflight.pending()
        function.inflight.forget("a")
        function.inflight.cleanup()
    if hasattr(function, "window"):
        function.window.count()
        function.window.events()
        function.window.by_key()
        function.window.top()
    if hasattr(function, "limit"):
        function.limit.remaining("a")
        function.limit.forget("a")
        function.limit.reset()
    record = registry[function]
    record.stats()
    record.cleanup()
    record.invalidate("tag")
    str(registry)


def use_clock(function: Any) -> None:
    use_calls(function)
    with FakeClock() as clock:
        use_calls(function)
        clock.advance(100)
        use_calls(function)
    use_calls(function)


def use_isolated(function: Any) -> None:
    use_calls(function)
    with isolated(function):
        use_calls(function)


def use_switch(function: Any) -> None:
    with registry.disabled():
        use_calls(function)
    use_calls(function)


def use_reference(function: Any) -> None:
    class Holder:
        __slots__ = ("__weakref__",)

    holder = Holder()
    Holder.alias = function  # type: ignore[attr-defined]
    finished(holder.alias())  # type: ignore[attr-defined]
    finished(holder.alias())  # type: ignore[attr-defined]
    use_calls(function)
    del Holder.alias  # type: ignore[attr-defined]


def use_looks(function: Any) -> None:
    inspect.signature(function)
    repr(function)
    vars(function)
    functools.wraps(function)(lambda: None).__wrapped__ = None  # type: ignore[attr-defined]


USES = [
    use_nothing, use_calls, use_handles, use_clock, use_isolated, use_switch, use_reference, use_looks,
]  # fmt: skip


@over
@colours
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_dropped_function_is_gone_at_once(decorate: Decorate, is_async: bool, use: Callable[[Any], None]) -> None:
    """Whatever was done with it before."""
    function = make(decorate, is_async)
    use(function)
    refs = all_of(function)
    del function
    assert survivors(refs) == []
    assert list(LIVE) == []


@over
def test_after_errors(decorate: Decorate) -> None:
    """An exception that left it holds nothing, once it is gone itself."""

    class Failed(Exception):
        pass

    def load(name: str) -> None:
        raise Failed

    function = decorate(load)
    del load
    for name in ("a", "a", "b"):
        with pytest.raises(Failed):
            function(name)
    refs = all_of(function)
    del function
    assert survivors(refs) == []


@over
def test_after_joins(decorate: Decorate) -> None:
    """Threads that waited for each other are let go of."""
    entered, release = threading.Event(), threading.Event()

    def load(name: str) -> list[str]:
        entered.set()
        assert release.wait(60)
        return [name]

    function = decorate(load)
    del load
    threads = [threading.Thread(target=function, args=("a",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert entered.wait(60)
    release.set()
    for thread in threads:
        thread.join(60)
    del thread, threads
    refs = all_of(function)
    del function
    assert survivors(refs) == []


@over
@colours
def test_methods(decorate: Decorate, is_async: bool) -> None:
    """A method goes with its class's attribute, though instances live on."""

    class Service:
        if is_async:

            async def load(self, name: str, lang: str = "en") -> Any:
                return watched(Result())

        else:

            def load(self, name: str, lang: str = "en") -> Any:
                return watched(Result())

    Service.load = decorate(Service.load)  # type: ignore[method-assign]
    if layer_of(Service.load).shape.takes_instance is False:  # type: ignore[union-attr]
        layer_of(Service.load).take_instance()  # type: ignore[union-attr]
    one, two = Service(), Service()
    for service in (one, two, one):
        finished(service.load("a"))
        finished(Service.load(service, "b"))
    bound = one.load
    del bound
    refs = all_of(Service.load)
    del Service.load
    assert survivors(refs) == []
    assert list(LIVE) == []


@over
def test_instances(decorate: Decorate) -> None:
    """An instance goes at once, and with it what was stored for it."""

    class Service:
        def load(self, name: str) -> Any:
            return watched(Result())

        also = decorate(load)

    one = Service()
    one.also("a")
    alive = weakref.ref(one)
    del one
    assert alive() is None
    assert list(LIVE) == []


@over
def test_a_handle_or_a_record_that_is_kept(decorate: Decorate) -> None:
    """A handle goes on working; a record of what is gone has no parts."""
    function = make(decorate, is_async=False)
    function("a")
    record = registry[function]
    handle = next(
        handle for name in ("cache", "inflight", "window", "limit") if (handle := getattr(function, name, None))
    )
    del function
    assert handle.stats() is not None
    if hasattr(handle, "call"):
        assert isinstance(handle.call("a"), Result)
        assert handle.invalidate("a")
    del handle
    assert record.parts == ()
    assert record.cache is record.inflight is record.window is record.limit is None
    assert record.is_gone()
    assert record not in list(registry)


@over
def test_a_coroutine_outlives_its_function(decorate: Decorate) -> None:
    """Whoever holds the call can still await it."""

    async def load(name: str) -> list[str]:
        return [name]

    assert asyncio.run(decorate(load)("a")) == ["a"]


@over
@counts_alone
def test_decorating_makes_nothing_that_no_call_needs(decorate: Decorate) -> None:
    """At most 3 kB for each decorator, until the first call or the first use of a handle; a look is neither."""
    decorate(lambda name: None)
    functions = [lambda name: [name] for _ in range(64)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    decorated = [decorate(function) for function in functions]
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held / len(functions) < 3_000 * (3 if decorate is stacked else 1)
    use_looks(decorated[0])
    assert not layer_of(decorated[0]).is_made  # type: ignore[union-attr]


def test_first_calls_at_once() -> None:
    """Of threads that make the first call at once, all get what one load made."""
    for decorate in DECORATORS.values():
        function = make(decorate, is_async=False)
        barrier = threading.Barrier(4)
        results: list[Any] = []

        def call(function: Any = function, barrier: threading.Barrier = barrier, to: list[Any] = results) -> None:
            barrier.wait(60)
            to.append(function("a"))

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [type(result) for result in results] == [Result] * 4
        if hasattr(function, "cache"):
            assert len(function.cache) == 1


def test_a_first_call_that_is_cut_short() -> None:
    """An interrupt while the wrapper is made leaves a function that works."""
    function = make(bounded(max=8), is_async=False)
    layer = layer_of(function)
    assert layer is not None
    whole = layer.template
    for _ in range(2):

        def cut(call: Any) -> Any:
            raise KeyboardInterrupt

        layer.template = cut  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            function("a")
    layer.template = whole  # type: ignore[method-assign]
    assert function("a") is function("a")


def test_the_switch_and_a_clock_before_the_first_call() -> None:
    """What is changed before anything is made holds for the first call."""
    function = make(bounded(max=8, ttl=60), is_async=False)
    with FakeClock() as clock:
        with registry.disabled():
            assert function("a") is not function("a")
        first = function("a")
        assert function("a") is first
        clock.advance(60)
        assert function("a") is not first
    with isolated(function):
        assert len(function.cache) == 0


def test_no_frame_stands_between_caller_and_wrapper_at_the_first_call() -> None:
    """The first traceback is as short as the second; where C leads the call, the second is by the wrapper shorter.

    C leads no call once something in the process, such as SQLAlchemy, has imported greenlet.
    """

    @bounded(max=8)
    def load(name: str) -> None:
        raise LookupError

    lengths = []
    for _ in range(2):
        with pytest.raises(LookupError) as raised:
            load("a")
        lengths.append(len(raised.traceback))
    in_c = speed is not None and "greenlet" not in sys.modules
    assert lengths == ([3, 2] if in_c else [3, 3])


OPTIMISED = """
import asyncio
from memo import bounded, dedupe_inflight, sliding_window

@bounded(max=8)
@dedupe_inflight
@sliding_window("1h")
def load(x, *, y=2):
    return [x]

@bounded(max=8, ttl=60, policy="lru")
async def load_later(x, **more):
    return [x]

assert_same = load(1) is load(x=1, y=2), asyncio.run(load_later(1)), load.window.count()
print(*assert_same)
"""


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_without_assertions(flag: str) -> None:
    """Nothing that wrappers need is made in an assertion."""
    command = [sys.executable, flag, "-c", OPTIMISED]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["True", "[1]", "1"]
