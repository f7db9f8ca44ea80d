"""What a user gave never hides what the library has to say of it, and is shown in a few words."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import memo
from memo import Registry, bounded, bounded_many, dedupe_inflight, limit, lru_cache, sliding_window
from memo.exporters import asgi, opentelemetry, prometheus
from memo.shared import Tier
from memo.testing import FakeClock, isolated

LONGEST = 5_000
"""Characters of a message: several values, and what is said of them."""

NOBODY = "redis://127.0.0.1:1"
"""A port on which no server listens."""


class ReprRan(Exception):
    """None that the library raises, nor one that it would take for what a callback does."""


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise ReprRan


class Hostile:
    __repr__ = refuse


class HostileText(str):
    __slots__ = ()
    __repr__ = refuse


class HostileInt(int):
    __repr__ = refuse


class HostileFloat(float):
    __repr__ = refuse


class HostileMeta(type):
    __repr__ = refuse


class HostileClass(metaclass=HostileMeta): ...


class HostileFunction:
    __repr__ = refuse

    def __call__(self, one: int, two: int, three: int, four: int, five: int) -> None: ...


class HostileCoroutineFunction(Hostile):
    async def __call__(self, *args: object) -> None: ...


class HostileGenerator(Hostile):
    def __call__(self, *args: object) -> Iterator[int]:
        yield 1


class HostileParts(Hostile):
    def __iter__(self) -> Iterator[object]:
        return iter([Hostile()])


class NoText:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]


class LongText:
    def __repr__(self) -> str:
        return "x" * 100_000


GIVEN: dict[str, Callable[[], Any]] = {
    "object": Hostile,
    "text": lambda: HostileText("xyz"),
    "no text": lambda: HostileText(""),
    "number": lambda: HostileInt(-3),
    "good number": lambda: HostileInt(3),
    "float": lambda: HostileFloat(-2.5),
    "class": lambda: HostileClass,
    "function": HostileFunction,
    "coroutine function": HostileCoroutineFunction,
    "generator function": HostileGenerator,
    "parts": HostileParts,
    "list": lambda: [Hostile()],
    "dictionary": lambda: {Hostile(): 1},
    "a repr that is none": NoText,
    "a long repr": LongText,
    "long text": lambda: "y" * 100_000,
    "long bytes": lambda: b"z" * 100_000,
    "long list": lambda: [1] * 100_000,
    "a number without end": lambda: 10**5_000,
}


def load(name: str, lang: str = "en") -> dict[str, str]:
    return {name: lang}


def _options(decorator: Callable[..., Any], *first: Any, **given: Any) -> dict[str, Callable[[Any], object]]:
    """A use of each option of a decorator, by a name for it."""
    uses: dict[str, Callable[[Any], object]] = {}
    for p in inspect.signature(decorator).parameters.values():
        if p.kind is p.KEYWORD_ONLY:

            def use(value: Any, option: str = p.name) -> object:
                return decorator(*first, **{**given, option: value})(load)

            uses[f"{decorator.__name__}: {p.name} with {', '.join(given) or 'nothing'}"] = use
    uses[f"{decorator.__name__}: function"] = lambda value: decorator(*first, **given)(value)
    uses[f"{decorator.__name__}: first"] = decorator
    return uses


def _methods(where: str, made: Any, *names: str) -> dict[str, Callable[[Any], object]]:
    """A use of each parameter of methods."""
    uses: dict[str, Callable[[Any], object]] = {}
    for name in names:
        method = getattr(made, name)
        for p in inspect.signature(method).parameters.values():
            if p.kind is p.KEYWORD_ONLY or p.default is not p.empty:

                def use(value: Any, method: Any = method, option: str = p.name) -> object:
                    return method(**{option: value})

            else:

                def use(value: Any, method: Any = method, option: str = p.name) -> object:
                    return method(value)

            uses[f"{where}.{name}: {p.name}"] = use
    return uses


def _all_uses() -> dict[str, Callable[[Any], object]]:
    home = Registry()
    kept = bounded(max=8, tags=("loads",), registry=home)(load)
    seen = sliding_window("1h", registry=home)(load)
    sized = bounded(max_bytes=999, ttl=3, registry=home)(load)
    drawn = bounded(max=8, key=lambda value: value, registry=home)(lambda value: value)
    weakly = bounded(max=8, weak=("value",), registry=home)(lambda value: 1)
    return {
        **_options(bounded, max=8, registry=home),
        **_options(bounded, max_bytes=999, ttl=3, registry=home),
        **_options(bounded_many, max=8, registry=home),
        **_options(dedupe_inflight, registry=home),
        **_options(sliding_window, "1h", registry=home),
        **_options(limit, "1/1h", registry=home),
        "limit: number": lambda value: limit((value, "1h")),
        "limit: span": lambda value: limit((1, value)),
        "lru_cache: maxsize": lambda value: lru_cache(value),
        "lru_cache: typed": lambda value: lru_cache(8, value)(load),
        "lru_cache: function": lambda value: lru_cache(8)(value),
        "cached_property": lambda value: memo.cached_property(value),
        **_methods("registry", home, "select", "invalidate", "adopt", "disabled"),
        "registry.janitor": lambda value: home.janitor(value).stop(),
        "registry.subscribe": lambda value: home.subscribe(value).close(),
        "registry[]": lambda value: home[value],
        "registry.adopt: name given": lambda value: home.adopt({}, value),
        "registry.subscribe: kinds given": lambda value: home.subscribe(print, kinds=value).close(),
        "registry.subscribe: limit given": lambda value: home.subscribe(print, limit=value).close(),
        **_methods("cache", kept.cache, "resize", "invalidate_where", "within", "drain"),
        **_methods("bytes", sized.cache, "resize"),
        "call": kept,
        "key made": drawn,
        "weak": weakly,
        **_methods("window", seen.window, "count", "rate", "error_ratio", "percentile", "errors", "series", "top"),
        "isolated": lambda value: isolated(value),
        "advance": lambda value: FakeClock().advance(value),
        "freeze": memo.freeze,
        **{f"collector: {n}": functools.partial(_named, prometheus.MemoCollector, n) for n in ("registry", "idle")},
        **{f"instrument: {n}": functools.partial(_named, opentelemetry.instrument, n) for n in ("registry", "spans")},
        **{f"app: {n}": functools.partial(_named, asgi.app, n) for n in ("registry", "prefix", "actions")},
        **{f"tier: {name}": functools.partial(_tier_with, name) for name in inspect.signature(Tier).parameters},
        **{
            f"using: {n}": functools.partial(_using_with, n)
            for n in ("encode", "version", "local_ttl", "wait", "lease")
        },
        **{f"using: {n}": functools.partial(_using_with, n) for n in ("decode", "read_only")},
    }


def _named(function: Callable[..., Any], option: str, value: Any) -> object:
    return function(**{option: value})


def _tier_with(option: str, value: Any) -> None:
    Tier(**{"url": NOBODY, option: value}).close()


def _using_with(option: str, value: Any) -> None:
    with Tier(NOBODY) as tier:
        tier.using(**{option: value})


USES = _all_uses()


@pytest.mark.parametrize("given", GIVEN)
def test_a_message_survives_what_it_shows(given: str) -> None:
    """Whichever option or method gets it: what is raised is the library's own, and short."""
    for use, call in USES.items():
        try:
            call(GIVEN[given]())
        except ReprRan:
            pytest.fail(f"{use}: ran the repr of what was given", pytrace=False)
        except (TypeError, ValueError, LookupError) as error:
            length = len(str(error))
            assert length < LONGEST, f"{use}: {length} characters"
            assert "__repr__ returned" not in str(error), use


@pytest.mark.parametrize("option", ["max", "max_bytes"])
def test_a_bound_that_no_float_holds_is_refused(option: str) -> None:
    """At decoration, and by ``resize()``, which leaves the bound that there was."""
    with pytest.raises(ValueError, match=rf"^bounded: {option}=.* is too large for a float; give a smaller number\.$"):
        bounded(**{option: 10**400})  # type: ignore[call-overload]
    kept = bounded(max=2, max_bytes=10_000)(load)
    with pytest.raises(ValueError, match="too large"):
        kept.cache.resize(**{option: 10**400})
    for name in "abc":
        kept(name)
    assert len(kept.cache) == 2


def test_what_is_given_is_shown_as_it_is_where_that_is_harmless(tmp_path: Path) -> None:
    """In the words that it was written in."""
    for value in (True, "soon", [1, 2], {"a": 1}, b"x", tmp_path):
        with pytest.raises((TypeError, ValueError)) as caught:
            bounded(max=8, dedupe=value)  # type: ignore[arg-type]
            bounded(max=8, name=value, fork=value)  # type: ignore[arg-type, call-overload]
        assert repr(value) in str(caught.value)
