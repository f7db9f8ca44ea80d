"""An argument that a call may consist of alone counts with its type."""

import asyncio
import json
from collections import namedtuple
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import cachetools
import pytest
import wrapt
from kit.bounded import POLICIES
from kit.threads import Gate, Running

from memo import Registry, bounded, dedupe_inflight, freeze, sliding_window
from memo._call.key_types import BARE


class Safe(str):
    """Text that was escaped, as that of markupsafe or Django."""

    __slots__ = ()


class Level(IntEnum):
    ONE = 1


class Letter(StrEnum):
    A = "a"


Pair = namedtuple("Pair", "x y")
ALIKE = ((1, True, 1.0, Decimal(1), 1 + 0j, Level.ONE), ("a", Safe("a"), Letter.A), ((1, 2), Pair(1, 2)))
"""In each, values that are equal and hash alike."""


def kind_of(x: Any) -> str:
    return type(x).__name__


def plain(own: Registry, **options: Any) -> Callable[[Any], Any]:
    return bounded(max=50, registry=own, **options)(kind_of)


def awaited(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @bounded(max=50, registry=own, **options)
    async def load(x: Any) -> str:
        return type(x).__name__

    return lambda x: asyncio.run(load(x))


def method(own: Registry, **options: Any) -> Callable[[Any], Any]:
    class Service:
        @bounded(max=50, registry=own, **options)
        def load(self, x: Any) -> str:
            return type(x).__name__

    service = Service()
    return lambda x: service.load(x)


def class_method(own: Registry, **options: Any) -> Callable[[Any], Any]:
    class Service:
        @bounded(max=50, registry=own, **options)
        @classmethod
        def load(cls, x: Any) -> str:
            return type(x).__name__

    return Service.load


def beside_a_default(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @bounded(max=50, registry=own, **options)
    def load(x: Any, quote: bool = True) -> str:
        return type(x).__name__

    return load


def of_any_number(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @bounded(max=50, registry=own, **options)
    def load(*args: Any, **kwargs: Any) -> str:
        return type(args[0]).__name__

    return load


def named(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @bounded(max=50, registry=own, **options)
    def load(*, x: Any) -> str:
        return type(x).__name__

    return lambda x: load(x=x)


def beside_an_ignored_one(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @bounded(max=50, registry=own, ignore=("session",), **options)
    def load(session: Any, x: Any) -> str:
        return type(x).__name__

    return lambda x: load(object(), x)


def under_another_decorator(own: Registry, **options: Any) -> Callable[[Any], Any]:
    @wrapt.decorator
    def passed_on(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return bounded(max=50, registry=own, **options)(passed_on(kind_of))


PLACES = (
    plain, awaited, method, class_method, beside_a_default, of_any_number, named, beside_an_ignored_one,
    under_another_decorator,
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_equal_arguments_of_different_types_have_entries_of_their_own(place: Any, own: Registry) -> None:
    """Whichever comes first, none is answered with what was made of another that is equal to it."""
    for values in ALIKE:
        for order in (values, values[::-1]):
            load = place(own)
            for _ in range(2):
                assert [load(x) for x in order] == [type(x).__name__ for x in order]


@pytest.mark.parametrize("policy", [*POLICIES, cachetools.LRUCache])
@pytest.mark.parametrize("place", [plain, awaited, method])
def test_so_it_is_under_every_policy(place: Any, policy: Any, own: Registry) -> None:
    """Entries of equal arguments are apart under every policy, and with options about time too."""
    for options in ({}, {"ttl": "1h", "stale_if_error": "1h", "idle": "1h"}):
        load = place(own, policy=policy, **options)
        for _ in range(2):
            assert [load(x) for x in ALIKE[0]] == [type(x).__name__ for x in ALIKE[0]]


def test_hits_are_counted_whatever_the_type(own: Registry) -> None:
    """A call after others of the same, or of another type is a hit if there is an entry of its type."""
    load = bounded(max=50, registry=own)(kind_of)
    for _ in range(3):
        for x in (*ALIKE[0], *ALIKE[1], None, b"a", [].__class__, frozenset()):
            load(x)
    info = load.cache_info()
    assert (info.misses, info.hits, info.currsize) == (13, 26, 13)


def test_arguments_that_cannot_stand_alone_count_as_they_compare(own: Registry) -> None:
    """Where a call needs more arguments, and in what key= returns, equal values are one key, as in functools."""

    @bounded(max=8, registry=own)
    def several(x: Any, y: Any) -> str:
        return type(x).__name__

    assert [several(1, 0), several(True, 0), several(1.0, False)] == ["int"] * 3
    for key in (lambda x: x, freeze):
        made = bounded(max=8, key=key, registry=own)(kind_of)
        assert [made("a"), made(Safe("a"))] == ["str", "str"]


def test_a_proxy_counts_as_what_it_stands_for(own: Registry) -> None:
    """The type that counts is the one that the argument says it is."""
    load = bounded(max=8, registry=own)(lambda x: f"{x.__class__.__name__} {x}")
    assert load(wrapt.ObjectProxy("a")) == load("a") == "str a"
    assert load(wrapt.ObjectProxy(Safe("a"))) == load(Safe("a")) == "Safe a"
    assert load.cache_info().misses == 2


def test_scalars_of_numpy_are_apart(own: Registry) -> None:
    """Scalars of numpy are apart from the numbers that they are equal to."""
    numpy = pytest.importorskip("numpy")
    load = bounded(max=8, registry=own)(kind_of)
    ones = [numpy.int64(1), 1, numpy.float64(1), 1.0, numpy.bool_(True), True]
    assert [load(x) for x in ones * 2] == [type(x).__name__ for x in ones * 2]


def test_types_that_stand_for_themselves_are_never_equal() -> None:
    """No instance of one of these types equals one of another that hashes like it."""
    values: list[Any] = [kind() for kind in BARE if kind.__module__ == "builtins"]
    for value in values:
        assert [other for other in values if other == value] == [value]


# -- handles, callbacks, dumps


@pytest.mark.parametrize("place", ["function", "method", "beside"])
def test_handles_tell_types_apart_and_show_arguments_as_they_were(place: str, own: Registry) -> None:
    """put(), entry(), `in`, items(), invalidate() and on_evict speak of the argument as it was passed, by its type."""
    gone: list[Any] = []
    options: Any = {"max": 8, "registry": own, "on_evict": lambda key, value, reason: gone.append((key, value))}

    class Service:
        @bounded(**options)
        def load(self, x: Any) -> str:
            return "loaded"

    @bounded(**options)
    def beside(x: Any, lang: str = "en") -> str:
        return "loaded"

    service = Service()
    load: Any = {"function": bounded(**options)(kind_of), "method": service.load, "beside": beside}[place]
    values = [*ALIKE[0], *ALIKE[1]]
    assert load.cache.put_many([(x, type(x).__name__) for x in values[:3]]) == 3
    for x in values[3:]:
        load.cache.put(type(x).__name__, x)
    shown = [key[0] if place == "beside" else key for key, _ in load.cache.items()]
    assert [(x, type(x)) for x in shown] == [(x, type(x)) for x in values[-8:]]
    for x in values[-8:]:
        assert load.cache.entry(x).value == load(x) == type(x).__name__
    assert ((True, "en") if place == "beside" else True) in load.cache
    assert load.cache.invalidate(True)
    assert ((True, "en") if place == "beside" else True) not in load.cache
    assert load(1.0) == "float"
    assert load.cache.invalidate_where(lambda key, value: isinstance(key[0] if place == "beside" else key, Safe)) == 1
    assert [(key[0] if place == "beside" else key, value) for key, value in gone][1:] == [(True, "bool"), ("a", "Safe")]


def test_an_unhashable_argument_is_explained(own: Registry) -> None:
    """The error about an unhashable argument names it and its type, as before."""
    load = bounded(max=8, registry=own)(kind_of)
    with pytest.raises(TypeError, match=r"^unhashable type: 'list': kind_of\(\): the value of parameter 'x'"):
        load([1])


@pytest.mark.parametrize("beside", [False, True])
def test_dumps_restore_the_types(beside: bool, tmp_path: Path, own: Registry) -> None:
    """A dump holds arguments as they were, as those of former versions do; restored, each answers for its own type."""

    def make() -> Any:
        if beside:
            return bounded(max=8, name="load", registry=Registry())(lambda x, lang="en": type(x).__name__)
        return bounded(max=8, name="load", registry=Registry())(kind_of)

    load, path = make(), tmp_path / "load.memo"
    values = [1, True, 1.0, Decimal(1), (1, 2), "a"]
    for x in values:
        load(x)
    assert load.cache.dump(path) == 6
    keys = [json.loads(line)[0] for line in path.read_text().splitlines()[1:7]]
    assert (keys[2]["tuple"][0] if beside else keys[2]) == 1.0
    again = make()
    assert again.cache.load(path) == 6
    assert [again(x) for x in values] == [type(x).__name__ for x in values]
    assert again.cache_info().misses == 0


def test_the_hash_of_an_argument_is_asked_once_in_a_hit(own: Registry) -> None:
    """An argument of a class of the user's is hashed once in a hit."""
    asked: list[object] = []

    class Point:
        def __hash__(self) -> int:
            asked.append(self)
            return 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Point)

    load = bounded(max=8, registry=own)(kind_of)
    load(Point())
    asked.clear()
    assert load(Point()) == "Point"
    assert len(asked) == 1
    assert load.cache_info().hits == 1


# -- the other decorators


def test_calls_under_way_are_shared_by_type(own: Registry) -> None:
    """A call with safe text neither waits for one with equal plain text nor is answered by it."""
    gate = Gate()

    @dedupe_inflight(timeout=60, registry=own)
    def escape(text: str) -> str:
        if type(text) is str:
            gate.wait()
        return type(text).__name__

    first = Running(lambda: escape("a"))
    gate.reached()
    assert escape(Safe("a")) == "Safe"
    assert [flight.key for flight in escape.inflight.pending()] == ["a"]
    gate.open()
    assert first.result() == "str"


def test_awaited_calls_under_way_are_shared_by_type(own: Registry) -> None:
    """Coroutine functions share executions by type as well, under both decorators."""
    for decorator in (dedupe_inflight(timeout=60, registry=own), bounded(max=8, registry=own)):

        @decorator
        async def escape(text: str) -> str:
            await asyncio.sleep(0)
            return type(text).__name__

        async def both(escape: Any = escape) -> list[str]:
            return await asyncio.gather(escape("a"), escape(Safe("a")), escape("a"))  # type: ignore[no-any-return]

        assert asyncio.run(both()) == ["str", "Safe", "str"]


def test_windows_show_keys_without_their_types(own: Registry) -> None:
    """The keys of a window are text, in which an argument stands alone."""
    load = sliding_window("1h", registry=own)(kind_of)
    load(2.5)
    assert load.window.by_key() == [("2.5", 1)]


def test_what_is_taken_by_any_name_counts_as_it_compares(own: Registry) -> None:
    """An argument of ``**`` arguments is told by its type under ``typed=True`` alone, also where it stands alone."""

    def load(**named: Any) -> str:
        return type(named["a"]).__name__

    plain, typed = bounded(max=8, registry=own)(load), bounded(max=8, typed=True, registry=own)(load)
    assert (plain(a=1), plain(a=True), plain(a=1.0)) == ("int", "int", "int")
    assert (typed(a=1), typed(a=True), typed(a=1.0)) == ("int", "bool", "float")
