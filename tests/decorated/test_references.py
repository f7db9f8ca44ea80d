"""A class that merely refers to a decorated function leaves it as it is: how the attribute binds is its own affair."""

import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished
from kit.tools import stacked

from memo import EvictionReason, bounded, dedupe_inflight, registry, sliding_window

Decorate = Callable[[Any], Any]


DECORATORS: list[Decorate] = [
    bounded(max=8),
    bounded(max=8, ttl=60, policy="lru"),
    bounded(max=8, ttl=60, stale_if_error=60),
    bounded(max_bytes="1MB", idle=60, typed=True),
    bounded(max=8, tags=lambda *args, **kwargs: ["tag"]),
    bounded(max=8, dedupe=False),
    stacked,
]
over = pytest.mark.parametrize("decorate", DECORATORS)
colours = pytest.mark.parametrize("is_async", [False, True])


def make(decorate: Decorate, is_async: bool = False) -> tuple[Any, list[Any]]:
    """A decorated plain function of two arguments, and the calls that reached the function."""
    calls: list[Any] = []

    def load(subject: Any, lang: str = "en") -> list[Any]:
        calls.append((subject, lang))
        return [lang]

    async def load_later(subject: Any, lang: str = "en") -> list[Any]:
        calls.append((subject, lang))
        return [lang]

    return decorate(load_later if is_async else load), calls


class Thing:
    """An instance that nobody can hash."""

    __hash__ = None  # type: ignore[assignment]


def refer_in_body(function: Any) -> Any:
    class Holder(Thing):
        alias = function

    return Holder


def refer_later(function: Any) -> Any:
    class Holder(Thing):
        pass

    Holder.alias = function  # type: ignore[attr-defined]
    return Holder


def refer_as_default(function: Any) -> Any:
    @dataclasses.dataclass
    class Holder:
        plain: Callable[..., Any] = function

    return Holder


@over
@colours
@pytest.mark.parametrize("refer", [refer_in_body, refer_later, refer_as_default])
def test_plain_calls_go_on_as_they_were(decorate: Decorate, is_async: bool, refer: Callable[[Any], Any]) -> None:
    """Entries of before are found, equal arguments share, and items() shows what it showed."""
    function, calls = make(decorate, is_async)
    before = finished(function("a"))
    holder = refer(function)
    for name in ("alias", "plain"):
        if hasattr(holder, name):
            getattr(holder, name)
            getattr(holder(), name)
    inspect.getmembers(holder)
    inspect.getmembers(holder())
    assert finished(function("a")) is before
    assert finished(function(subject="a", lang="en")) is before
    assert [key for key, _ in function.cache.items()] == [("a", "en")]
    assert len(calls) == 1
    assert function.cache.invalidate("a")


def test_looking_changes_nothing() -> None:
    """An attribute of the class is the function itself."""
    function, _ = make(bounded(max=8))
    assert refer_in_body(function).alias is function
    assert refer_later(function).alias is function
    assert refer_as_default(function).plain is function
    assert refer_as_default(function)().plain is function
    assert inspect.isfunction(refer_in_body(function).alias)
    assert inspect.ismethod(refer_in_body(function)().alias)
    assert refer_in_body(function)().alias.__func__ is function


@over
@colours
@pytest.mark.parametrize("refer", [refer_in_body, refer_later])
def test_calls_through_an_instance_are_its_own(decorate: Decorate, is_async: bool, refer: Callable[[Any], Any]) -> None:
    """By the instance's identity, in the same store, beside those of plain calls; handles know both."""
    function, calls = make(decorate, is_async)
    plain = finished(function("a"))
    holder = refer(function)
    one, two = holder(), holder()
    mine = finished(one.alias())
    assert finished(one.alias()) is finished(one.alias("en")) is finished(one.alias(lang="en")) is mine
    assert finished(two.alias()) is not mine
    assert calls == [("a", "en"), (one, "en"), (two, "en")]
    assert len(function.cache) == 3
    assert sorted(map(repr, (key for key, _ in function.cache.items()))) == ["'en'", "'en'", "('a', 'en')"]
    assert [key for key, _ in one.alias.cache.items()] == ["en"]
    assert len(one.alias.cache) == len(two.alias.cache) == 1
    assert one.alias.cache.entry().value is mine
    assert one.alias.cache.entry(lang="en").value is mine
    assert one.alias.inflight.pending() == []
    assert one.alias.cache.invalidate(lang="en")
    assert not one.alias.cache.invalidate()
    one.alias.cache.put(["put"])
    assert finished(one.alias()) == ["put"]
    assert finished(one.alias.cache.refresh()) == ["en"]
    assert one.alias.cache.clear() == 1
    assert finished(function("a")) is plain
    assert len(function.cache) == 2
    function.cache._check()
    assert function.cache.invalidate_where(lambda key, value: key == "en") == 1
    assert function.cache.clear() == 1
    assert one.alias.cache_info().currsize == 0


@over
def test_an_instance_is_not_kept_alive(decorate: Decorate) -> None:
    """Its entries go with it, and tell so; those of plain calls stay."""
    function, calls = make(decorate)
    holder = refer_in_body(function)
    one = holder()
    function("a")
    one.alias()
    calls.clear()
    alive = weakref.ref(one)
    assert len(function.cache) == 2
    del one
    gc.collect()
    assert alive() is None
    assert [key for key, _ in function.cache.items()] == [("a", "en")]
    function.cache._check()


def test_on_evict_is_told_of_both() -> None:
    """With the keys that users see of each."""
    told: list[Any] = []

    @bounded(max=2, on_evict=lambda key, value, reason: told.append((key, reason)))
    def load(subject: Any) -> list[Any]:
        return []

    class Holder:
        alias = load

    one = Holder()
    load("a")
    one.alias()
    assert told == []
    load.cache.invalidate("a")
    one.alias.cache.clear()
    one.alias()
    del one
    gc.collect()
    assert told == [
        ("a", EvictionReason.INVALIDATED), ((), EvictionReason.CLEARED), ((), EvictionReason.COLLECTED),
    ]  # fmt: skip


def test_an_instance_that_allows_no_weak_reference() -> None:
    """It counts by its equality, and is not taken for the tuple of a plain call."""

    @bounded(max=8)
    def load(value: Any) -> list[Any]:
        return [type(value).__name__]

    class Number(int):
        alias = load

    assert Number(5).alias() == ["Number"]
    assert Number(5).alias() is Number(5).alias()
    assert load((5,)) == ["tuple"]
    assert load(5) == ["int"]
    assert [key for key, _ in load.cache.items()] == [(), (5,), 5]


def test_tags_and_keys_of_calls_through_an_instance() -> None:
    """``key=`` and ``tags=`` are asked without the instance, unless they name it first."""
    asked: list[Any] = []

    @bounded(max=8, key=lambda *args: asked.append(args) or args[-1], tags=lambda *args: [f"t:{args[-1]}"])
    def load(subject: Any, lang: str) -> list[Any]:
        return [lang]

    class Holder:
        alias = load

    one = Holder()
    one.alias("de")
    load("a", "en")
    assert asked == [("de",), ("a", "en")]
    assert registry[load].invalidate("t:de") == 1
    assert registry[load].invalidate("t:en") == 1


def test_running_calls_are_shared_by_identity() -> None:
    """Calls through one instance join, calls through another do not; ``forget()`` finds them."""
    entered, release = threading.Semaphore(0), threading.Event()

    @dedupe_inflight
    def load(subject: Any) -> list[Any]:
        entered.release()
        assert release.wait(60)
        return []

    class Holder(Thing):
        alias = load

    one, two = Holder(), Holder()
    results: list[Any] = []
    threads = [threading.Thread(target=lambda holder=holder: results.append(holder.alias())) for holder in (one, two)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=60)
    assert len(load.inflight) == 2
    assert len(one.alias.inflight) == len(two.alias.inflight) == 1
    assert [flight.key for flight in load.inflight.pending()] == [(), ()]
    assert one.alias.inflight.forget()
    assert not one.alias.inflight.forget()
    release.set()
    for thread in threads:
        thread.join(60)
    assert len(results) == 2


def test_windows_show_the_arguments_without_the_instance() -> None:
    """A window records calls of both ways."""

    @sliding_window("1h")
    def load(subject: Any, lang: str) -> None:
        pass

    class Holder:
        alias = load

    load("a", "en")
    Holder().alias("de")
    assert [event.key for event in load.window.events()] == ["'de'", "('a', 'en')"]
    assert Holder().alias.window.count() == 2


def test_switched_off_through_an_instance() -> None:
    """The off switch reaches calls of both ways, however late."""
    function, calls = make(bounded(max=8))
    one = refer_in_body(function)()
    one.alias()
    with registry.disabled():
        one.alias()
        function(one)
    one.alias()
    assert len(calls) == 3
    other, calls = make(bounded(max=8))
    one = refer_in_body(other)()
    with registry.disabled():
        one.alias()
        one.alias()
    assert len(calls) == 2


def test_a_function_defined_in_the_class_is_a_method() -> None:
    """Whatever its first parameter is called, and under whichever other names the class knows it."""

    class Service(Thing):
        @bounded(max=8)
        def load(this, name: str) -> list[str]:  # noqa: N805
            return [name]

        also = load
        short = bounded(max=8)(lambda this, name: [name])

    one = Service()
    assert one.load("a") is one.also(name="a") is Service.load(one, "a")
    assert one.short("a") is one.short("a") is Service.short(one, "a")
    assert Service().load("a") is not one.load("a")
    assert [key for key, _ in Service.load.cache.items()] == ["a"]


def test_a_method_called_before_its_class_was_complete() -> None:
    """What was stored while it was a plain function leaves, since nobody could find it again."""

    class Service:
        @bounded(max=8)
        def load(this, name: str) -> list[str]:  # noqa: N805
            return [name]

        early = load(1, "a")

    assert len(Service.load.cache) == 0
    assert Service().load("a") == ["a"]


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor")  # said for undecorated ones as well
def test_what_does_not_bind_stays_unbound() -> None:
    """A partial, a builtin or a callable object in a class is what it is elsewhere."""

    class Shouter:
        def __call__(self, name: str) -> list[str]:
            return [name]

    class Holder:
        partial = bounded(max=8)(functools.partial(divmod, 7))
        builtin = bounded(max=8)(len)
        thing = bounded(max=8)(Shouter())

    holder = Holder()
    assert holder.partial(2) == (3, 1)
    assert holder.builtin("abc") == 3
    assert holder.thing("a") is Holder.thing("a")


def test_bound_references_behave_like_bound_methods() -> None:
    """Equality, hash, copies, and the original behind them."""
    function, calls = make(bounded(max=8))

    class Holder:
        alias = function

    one, two = Holder(), Holder()
    assert one.alias == one.alias != two.alias
    assert hash(one.alias) == hash(one.alias)
    assert one.alias.__self__ is one
    assert isinstance(one.alias, types.MethodType)
    assert one.alias.__wrapped__() == ["en"]
    assert one.alias.__wrapped__.__self__ is one
    assert copy.copy(one.alias) == one.alias
    assert copy.deepcopy(one.alias).__self__ is not one
    assert str(inspect.signature(one.alias)) == "(lang: str = 'en') -> list[typing.Any]"
    assert len(calls) == 1


class Known:
    """Pickled by reference."""


@bounded(max=8)
def known(subject: Any) -> list[Any]:
    return []


Known.known = known  # type: ignore[attr-defined]


def test_bound_references_pickle() -> None:
    """As bound methods do, by the instance and the name."""
    again = pickle.loads(pickle.dumps(Known().known))  # type: ignore[attr-defined]
    assert again() is again()
    assert again.__func__ is known
