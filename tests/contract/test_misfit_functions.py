"""Functions that users give are refused where they are given, if they surely cannot be called as they will be."""

import enum
import functools
import inspect
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
import wrapt

import memo
from memo import Registry, bounded, bounded_many, dedupe_inflight, limit, sliding_window

DECORATORS: dict[str, Callable[..., Any]] = {
    "bounded": functools.partial(bounded, max=8),
    "bounded_many": functools.partial(bounded_many, max=8),
    "dedupe_inflight": dedupe_inflight,
    "sliding_window": functools.partial(sliding_window, "1h"),
    "limit": functools.partial(limit, "9/1h"),
}


def plain(names: list[str], lang: str = "en") -> dict[str, str]:
    return dict.fromkeys(names, lang)


async def awaited(names: list[str], lang: str = "en") -> dict[str, str]:
    return dict.fromkeys(names, lang)


class Two:
    def __init__(self, one: object, two: object) -> None:
        self.one, self.two = one, two

    def __call__(self) -> int:
        return 1

    def of_three(self, one: object, two: object, three: object) -> int:
        return 3


MISFITS = {
    "none": lambda: 1,
    "three": lambda one, two, three: 1,
    "another name": lambda *, other: 1,
    "bound": Two(1, 2).of_three,
    "object": Two(1, 2),
    "partial": functools.partial(lambda one, two: 1, 1),
    "class": type("Empty", (), {"__init__": lambda self: None}),
    "in C": abs,
    "item": operator.itemgetter(0),
}


@pytest.mark.parametrize("function", [plain, awaited])
@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_key_that_fits_no_call_is_refused_at_decoration(
    decorator: str, misfit: str, function: Callable[..., Any]
) -> None:
    """With the function, why, and what to write, whatever kind of callable it is and whichever decorator gets it."""
    with pytest.raises(TypeError, match=rf"^{decorator}: key=.* cannot be called as \w+\(\) is: .*; give it the param"):
        DECORATORS[decorator](key=MISFITS[misfit])(function)


@pytest.mark.parametrize("option", ["tags", "fallback"])
@pytest.mark.parametrize("function", [plain, awaited])
def test_what_is_asked_as_key_is_must_fit_as_key_does(option: str, function: Callable[..., Any]) -> None:
    """As ``tags=`` and ``fallback=`` are."""
    with pytest.raises(TypeError, match=rf"^bounded: {option}=.* cannot be called as \w+\(\) is: .*\(names, lang\)"):
        bounded(max=8, **{option: lambda names, lang, more: ()})(function)


def test_a_call_of_any_number_of_arguments_must_have_a_place_for_those_before_them() -> None:
    """What is written before ``*args`` is given always; of what stands for several, any number may come."""

    def some(first: int, *rest: int, size: int = 1, **more: int) -> int:
        return first

    for misfit in (lambda: 1, lambda *, other: 1):
        with pytest.raises(TypeError, match="cannot be called as"):
            bounded(max=8, key=misfit)(some)
    for fit in (lambda first, *rest, size: first, lambda *a, **k: 0, lambda first, second, size: first):
        assert bounded(max=8, key=fit)(some)(1, 2) == 1


def test_what_is_called_by_position_must_take_that(tmp_path: Path) -> None:
    """``copy=``, ``sizeof=``, ``ttl=``, ``cache_if=``, ``on_evict=``, ``evict_loop=``, and what methods are given."""

    async def close(key: object, value: object, reason: object) -> None: ...

    for options in (
        {"copy": lambda: 1},
        {"copy": lambda one, two: 1},
        {"sizeof": lambda: 1, "max_bytes": 999},
        {"sizeof": lambda one, two: 1, "max_bytes": 999},
        {"ttl": lambda: 1},
        {"ttl": lambda one, two, three: 1},
        {"cache_if": lambda *, value: 1},
        {"on_evict": lambda value: None},
        {"on_evict": close, "evict_loop": lambda value: None},
    ):
        with pytest.raises(TypeError, match=r"^bounded: \w+=.* takes \(.*, but is called .*; write \w+=lambda"):
            bounded(max=8, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^subscribe: callback=.* takes \(\), but .*; write callback=lambda event: "):
        Registry().subscribe(lambda: None)  # type: ignore[call-arg, arg-type, misc]
    kept = bounded(max=8)(plain)
    with pytest.raises(TypeError, match=r"^invalidate_where: .* takes \(key\), but .*; write lambda key, value: ...$"):
        kept.cache.invalidate_where(lambda key: True)  # type: ignore[call-arg, arg-type, misc]
    with pytest.raises(TypeError, match=r"^dump: encode=.* takes \(\), but"):
        kept.cache.dump(tmp_path / "dump", encode=lambda: 1)  # type: ignore[call-arg, arg-type, misc]
    with pytest.raises(TypeError, match=r"^load: decode=.* takes \(\), but"):
        kept.cache.load(tmp_path / "dump", decode=lambda: 1)  # type: ignore[call-arg, arg-type, misc]


# -- what works is never refused


def _with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """As libraries do that inject something: shows what it wraps, and fills in a part of it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return call


@_with_session
def _of_session(session: str, names: object, lang: str) -> Any:
    return session, len(names), lang  # type: ignore[arg-type]


def _lies(names: object, lang: str) -> Any:
    return lang


_lies.__signature__ = inspect.Signature()  # type: ignore[attr-defined]


def _lies_less(*args: Any) -> Any:
    return args[1]


_lies_less.__signature__ = inspect.Signature()  # type: ignore[attr-defined]


@wrapt.decorator
def _injects(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, "more", **kwargs)


@_injects
def _of_more(names: object, lang: object, more: object) -> Any:
    return lang, more


class Maker(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return args[1]


class Made(metaclass=Maker):
    def __init__(self) -> None: ...


class Anew:
    def __new__(cls, *args: object) -> Any:
        return args[1]

    def __init__(self) -> None: ...


class Lang(enum.Enum):
    EN = "en"


class Asks:
    def __call__(self, *args: object) -> object:
        return args[1]

    @classmethod
    def of_class(cls, names: object, lang: object) -> object:
        return lang

    @staticmethod
    def of_none(names: object, lang: object) -> object:
        return lang


class OfAnything:
    def method(*args: Any) -> Any:  # type: ignore[misc]
        return args[2]


FITS = {
    "any": lambda *args: args[1],
    "defaults": lambda names, lang, more=1: lang,
    "by name": lambda names, *, lang: lang,
    "names": lambda **given: given["lang"],
    "partial": functools.partial(lambda more, names, lang: lang, 1),
    "partial by name": functools.partial(lambda names, lang, more: lang, more=1),
    "bound": Asks().of_class,
    "of none": Asks.of_none,
    "bound to anything": OfAnything().method,
    "object": Asks(),
    "in C": operator.is_,
    "mock": Mock(return_value=1),
    "spec": create_autospec(lambda names, lang: lang, return_value=1),
    "of a session": _of_session,
    "lies": _lies,
    "lies less": _lies_less,
    "injects": _of_more,
    "metaclass": Made,
    "new": Anew,
    "freeze": memo.freeze,
    "decorated": bounded(max=8, key=lambda *args: 1)(lambda names, lang: lang),
}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_key_that_takes_the_call_is_taken(decorator: str, fit: str) -> None:
    """Also where it shows other parameters than it takes, as decorators do that fill in some."""

    def load(names: tuple[str, ...], lang: str = "en") -> Any:
        return dict.fromkeys(names, lang)

    assert DECORATORS[decorator](key=FITS[fit])(load)(("a",)) == {"a": "en"}


def test_what_shows_less_than_it_takes_is_taken() -> None:
    """By every option that calls a function by position."""
    seen: list[object] = []

    def told(one: object, *others: object) -> int:
        seen.append(one)
        return 1

    @functools.wraps(lambda: 1)
    def shown(*args: Any) -> Any:
        return told(*args)

    load = bounded(max=1, max_bytes=9_999, ttl=shown, cache_if=shown, sizeof=shown, copy=shown, on_evict=shown)(str)
    assert (load(1), load(2)) == (1, 1)
    assert len(seen) > 8
    with Registry().subscribe(shown):
        pass


def test_a_function_that_shows_other_parameters_than_it_takes_gets_keys_of_its_calls() -> None:
    """As they are spelled: what fits these is not known before."""

    @bounded(max=8, key=lambda names, lang: lang)
    @_with_session
    def load(session: str, names: str, lang: str) -> tuple[str, str, str]:
        return session, names, lang

    assert load("a", "en") == ("session", "a", "en")
    assert load("b", "en") == ("session", "a", "en")


def test_a_method_whose_first_parameter_has_another_name_may_have_a_key_without_it() -> None:
    """Though it looks like a function of two until its class is there, or for as long as none has it."""

    class Shop:
        @bounded(max=8, key=lambda thing: thing)
        def price(this, item: str) -> str:  # noqa: N805
            return item

    assert Shop().price("tea") == "tea"

    @bounded(max=8, key=lambda thing: thing)
    def stock(self: Shop, item: str) -> str:
        return item

    @bounded(max=8, key=lambda item: item)
    def weigh(shop: Shop, item: str) -> str:
        return item

    Shop.stock, Shop.weigh = stock, weigh  # type: ignore[attr-defined]
    assert (Shop().stock("tea"), Shop().weigh("tea")) == ("tea", "tea")  # type: ignore[attr-defined]


def test_a_key_of_all_but_the_first_argument_is_refused() -> None:
    """Of a function that does not look like a method to be."""
    with pytest.raises(TypeError, match=r"missing a required argument|too many positional"):
        bounded(max=8, key=lambda names: names)(plain)
    with pytest.raises(TypeError, match=r"too many positional"):
        bounded(max=8, key=lambda thing: thing)(plain)
    with pytest.raises(TypeError, match=r"too many positional"):
        bounded(max=8, key=lambda: 1)(lambda name: name)
