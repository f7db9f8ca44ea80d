"""Decorators of others beneath: one call has one key, by the documented signature, and is passed on as it came."""

import asyncio
import contextlib
import functools
import inspect
import logging
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt
from kit.coroutines import finished

from memo import bounded, dedupe_inflight, freeze, registry, sliding_window

Deco = Callable[[Any], Any]


# -- decorators as others write them; each passes on what it was given


def starred(function: Any) -> Any:
    """Stars of other names than ``args`` and ``kwargs``."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(*a: Any, **kw: Any) -> Any:
            return await function(*a, **kw)

        return inner

    @functools.wraps(function)
    def plain(*a: Any, **kw: Any) -> Any:
        return function(*a, **kw)

    return plain


def positional_first(function: Any) -> Any:
    """The first parameter has a name of its own."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await function(self, *args, **kwargs)

        return inner

    @functools.wraps(function)
    def plain(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return plain


def with_hidden_parameters(function: Any) -> Any:
    """Parameters with defaults that no caller knows of, as code generators add them."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(*args: Any, __hidden: Any = [], **kwargs: Any) -> Any:  # noqa: B006
            return await function(*args, **kwargs)

        return inner

    @functools.wraps(function)
    def plain(*args: Any, __hidden: Any = [], **kwargs: Any) -> Any:  # noqa: B006
        return function(*args, **kwargs)

    return plain


def with_internal_names(function: Any) -> Any:
    """Stars with the names that generated code likes to have for itself."""

    @functools.wraps(function)
    def inner(*_memo_args: Any, **_memo_kwargs: Any) -> Any:
        return function(*_memo_args, **_memo_kwargs)

    return inspect.markcoroutinefunction(inner) if is_marked(function) else inner


def is_marked(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) and hasattr(inspect, "markcoroutinefunction")


@wrapt.decorator
def by_wrapt(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def with_signature(function: Any) -> Any:
    """No ``__wrapped__``: the signature is set by hand."""

    def inner(*everything: Any, **named: Any) -> Any:
        return function(*everything, **named)

    async def inner_async(*everything: Any, **named: Any) -> Any:
        return await function(*everything, **named)

    made: Any = inner_async if inspect.iscoroutinefunction(function) else inner
    made.__signature__ = inspect.signature(function)
    made.__name__, made.__qualname__, made.__module__ = (
        function.__name__, function.__qualname__, function.__module__
    )  # fmt: skip
    return made


class Passing:
    """A decorator that is a class with ``__call__``, and binds like a function."""

    def __init__(self, function: Any, instance: Any = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)


def context(function: Any) -> Any:
    """A context manager as decorator."""

    @contextlib.contextmanager
    def nothing() -> Iterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def nothing_async() -> Any:
        yield

    return (nothing_async() if inspect.iscoroutinefunction(function) else nothing())(function)


def twice(function: Any) -> Any:
    return starred(with_hidden_parameters(function))


def tracing(function: Any) -> Any:
    """A fixed parameter in front, injected by the wrapper."""

    @functools.wraps(function)
    def inner(*parameters: Any, **by_name: Any) -> Any:
        logging.getLogger("tracing").debug("%s", function)
        return function(*parameters, **by_name)

    async def inner_async(*parameters: Any, **by_name: Any) -> Any:
        return await function(*parameters, **by_name)

    return functools.wraps(function)(inner_async) if inspect.iscoroutinefunction(function) else inner


def library(module: str, make: Callable[[Any], Deco]) -> Deco:
    """The decorator of a library, if that is installed."""

    def decorate(function: Any) -> Any:
        return make(pytest.importorskip(module))(function)

    decorate.__name__ = module
    return decorate


LIBRARIES = [
    library("tenacity", lambda m: m.retry(stop=m.stop_after_attempt(2))),
    library("backoff", lambda m: m.on_exception(m.expo, ValueError, max_tries=2)),
    library("stamina", lambda m: m.retry(on=ValueError, attempts=2)),
    library("deprecated", lambda m: m.deprecated(reason="old", action="ignore")),
    library("beartype", lambda m: m.beartype),
    library("pydantic", lambda m: m.validate_call),
    library("typeguard", lambda m: m.typechecked),
    library("decorator", lambda m: m.decorator(lambda f, *args, **kwargs: f(*args, **kwargs))),
    library("opentelemetry.trace", lambda m: m.get_tracer("memo").start_as_current_span("span")),
]
DECORATORS = [
    starred, with_hidden_parameters, with_internal_names, by_wrapt, with_signature, context, twice,
    tracing, *LIBRARIES,
]  # fmt: skip
over = pytest.mark.parametrize("other", DECORATORS, ids=lambda other: other.__name__)
MEMO: list[Callable[[], Deco]] = [
    lambda: bounded(max=8),
    lambda: bounded(max=8, ttl=60, policy="lru"),
    lambda: bounded(max=8, ttl=60, stale_if_error=60, cache_errors=KeyError, error_ttl=60),
    lambda: bounded(max_bytes="1MB", typed=True, idle=60),
    lambda: bounded(max=8, tags=lambda name, lang: [f"lang:{lang}"]),
]


def spellings(call: Callable[..., Any], prefix: tuple[Any, ...] = ()) -> list[Any]:
    """What one call answers in each of its spellings."""
    return [
        finished(call(*prefix, "a")),
        finished(call(*prefix, "a", "en")),
        finished(call(*prefix, "a", lang="en")),
        finished(call(*prefix, name="a")),
        finished(call(*prefix, lang="en", name="a")),
    ]


def check_one_key(call: Any, calls: list[Any]) -> None:
    """Every spelling of a call, by whichever handle, is one key."""
    answers = spellings(call)
    assert all(answer is answers[0] for answer in answers)
    assert calls == [("a", "en")]
    assert [key for key, _ in call.cache.items()] == [("a", "en")]
    assert all(entry.value is answers[0] for entry in spellings(call.cache.entry))
    for spelled in (("a",), ("a", "en")):
        assert call.cache.invalidate(*spelled)
        assert not call.cache.invalidate(name="a", lang="en")
        finished(call(name="a"))
    call.cache.put(["put"], lang="en", name="a")
    assert spellings(call) == [["put"]] * 5
    assert finished(call.cache.refresh("a", lang="en")) == ["a", "en"]
    assert spellings(call) == [["a", "en"]] * 5
    assert len(call.cache) == 1


@over
@pytest.mark.parametrize("make", MEMO)
@pytest.mark.parametrize("is_async", [False, True])
def test_one_call_has_one_key_above_other_decorators(other: Deco, make: Callable[[], Deco], is_async: bool) -> None:
    """A function, plain or coroutine, above a decorator of others, under each kind of store."""
    calls: list[Any] = []

    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    async def load_later(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    below = other(load_later if is_async else load)
    if is_async and not inspect.iscoroutinefunction(below):
        pytest.skip("this decorator makes a plain function of a coroutine function")
    check_one_key(make()(below), calls)


@pytest.mark.parametrize("other", [positional_first, *DECORATORS], ids=lambda other: other.__name__)
@pytest.mark.parametrize("is_async", [False, True])
def test_methods_above_other_decorators(other: Deco, is_async: bool) -> None:
    """A method above a decorator of others has the keys of a method: by the instance's identity."""
    calls: list[Any] = []

    class Service:
        if is_async:

            @bounded(max=8)
            @other
            async def load(self, name: str, lang: str = "en") -> list[str]:
                calls.append((name, lang))
                return [name, lang]

        else:

            @bounded(max=8)
            @other
            def load(self, name: str, lang: str = "en") -> list[str]:
                calls.append((name, lang))
                return [name, lang]

        __hash__ = None  # type: ignore[assignment]

    if is_async and not inspect.iscoroutinefunction(Service.load):
        pytest.skip("this decorator makes a plain function of a coroutine function")
    service = Service()
    check_one_key(service.load, calls)
    first = finished(service.load("a"))
    assert finished(Service().load("a")) is not first
    assert finished(Service.load(service, name="a")) is first
    assert Service.load.cache.invalidate(service, "a")


@over
@pytest.mark.parametrize("wrap", [classmethod, staticmethod])
@pytest.mark.parametrize("outside", [False, True])
def test_class_and_static_methods_above_other_decorators(other: Deco, wrap: Any, outside: bool) -> None:
    """Class and static methods, with their own decorator above or below."""
    calls: list[Any] = []

    def of_class(cls: Any, name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    def static(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    function = other(of_class if wrap is classmethod else static)
    decorated: Any = bounded(max=8)(wrap(function)) if outside else wrap(bounded(max=8)(function))
    service: Any = type("Service", (), {"load": decorated})
    answers = spellings(service.load)
    assert all(answer is answers[0] for answer in answers)
    assert calls == [("a", "en")]


@over
def test_windows_and_flights_above_other_decorators(other: Deco) -> None:
    """A window names one key for one call, and a flight passes the call on as it came."""

    def load(name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    windowed = sliding_window("1h")(other(load))
    deduped = dedupe_inflight(other(load))
    stacked = bounded(max=8)(dedupe_inflight(sliding_window("1h")(other(load))))
    for call in (windowed, deduped, stacked):
        assert spellings(call) == [["a", "en"]] * 5
    assert dict(windowed.window.by_key()) == {"('a', 'en')": 5}
    assert dict(stacked.window.by_key()) == {"('a', 'en')": 1}
    assert deduped.inflight.stats().completed == 5


@over
def test_other_decorators_above(other: Deco) -> None:
    """Below a decorator of others nothing changes."""
    if other.__name__ == "typeguard":
        pytest.skip("typeguard compiles the source of a function anew, and knows no other wrappers than its own")
    calls: list[Any] = []

    @bounded(max=8)
    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    answers = spellings(other(load))
    assert all(answer == answers[0] for answer in answers)
    assert calls == [("a", "en")]


def test_a_call_is_passed_on_as_it_came() -> None:
    """What stands between sees the spelling of the caller, and no default that the caller left out."""
    seen: list[Any] = []

    def watching(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(first: Any, *rest: Any, **named: Any) -> Any:
            seen.append((first, rest, named))
            return function(first, *rest, **named)

        return wrapper

    @bounded(max=8)
    @watching
    def load(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    @dedupe_inflight
    @watching
    def deduped(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    @sliding_window("1h")
    @watching
    def windowed(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    for call in (load, deduped, windowed):
        seen.clear()
        call("a")
        call("b", lang="en")
        call("c", "de", deep=True)
        assert seen == [("a", (), {}), ("b", (), {"lang": "en"}), ("c", ("de",), {"deep": True})]
    seen.clear()
    load.cache.refresh("a", lang="en")
    assert seen == [("a", (), {"lang": "en"})]


@pytest.mark.parametrize("typed", [False, True])
def test_a_call_that_does_not_fit_is_keyed_by_its_spelling(typed: bool) -> None:
    """What a wrapper takes without documenting it is passed on, has keys of its own, and is found again by them."""

    def with_retries(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*a: Any, retries: int = 3, **kw: Any) -> Any:
            return [function(*a, **kw), retries]

        return wrapper

    class Service:
        @bounded(max=8, typed=typed)
        @with_retries
        def load(self, name: str, lang: str = "en") -> str:
            return name

    @bounded(max=8, typed=typed)
    @with_retries
    def load(name: str, lang: str = "en") -> str:
        return name

    service = Service()
    for call in (load, service.load):
        assert call("a", retries=5) is call("a", retries=5)
        assert call("a") == ["a", 3]
        assert sorted(map(str, (key for key, _ in call.cache.items()))) == [
            "('a', 'en')",
            "(('a',), (('retries', 5),))",
        ]
        assert (call("a", retries=5.0) is call("a", retries=5)) is not typed
        assert call.cache.invalidate("a", retries=5)
        assert call.cache.entry("a") is not None
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            call()
        with pytest.raises(TypeError, match=r"^unhashable type: 'list': .*"):
            call([], retries=2)
    assert Service().load("a", retries=5) is not service.load("a", retries=5)


def test_defaults_are_those_that_are_documented() -> None:
    """A wrapper that changes a default says so; its own default, and not what it hides, is in the key."""

    def in_german(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(name: str, lang: str = "de") -> Any:
            return function(name, lang)

        signature = inspect.signature(function)
        lang = signature.parameters["lang"].replace(default="de")
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[signature.parameters["name"], lang]
        )
        return wrapper

    def silently_in_german(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(name: str, lang: str = "de") -> Any:
            return function(name, lang)

        return wrapper

    def load(name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    german = bounded(max=8)(in_german(load))
    assert german("a") is german("a", "de")
    assert german("a") == ["a", "de"]
    silent = bounded(max=8)(silently_in_german(load))
    assert silent("a") == ["a", "de"]  # the call is passed on as it came


def test_parameters_that_no_source_can_name() -> None:
    """A documented parameter that is given by position alone may be called ``from``."""

    def between(*ends: int) -> list[int]:
        return list(ends)

    names = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("from", "to")]
    between.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    decorated = bounded(max=8)(between)
    assert decorated(1, 2) is decorated(1, 2)
    assert decorated.cache.invalidate(1, 2)


def test_a_single_dispatch_function() -> None:
    """The implementation is chosen below; overloads can still be registered."""

    @bounded(max=8)
    @functools.singledispatch
    def shown(value: Any, width: int = 8) -> list[str]:
        return ["any"]

    @shown.register
    def _(value: int, width: int = 8) -> list[str]:
        return ["int"]

    assert shown("a") is shown("a", 8) is shown("a", width=8)
    assert shown(1) == ["int"]
    assert len(shown.cache) == 2


@pytest.mark.parametrize("decorate", [bounded(max=8), bounded(max=8, ttl=60, stale_if_error=60), dedupe_inflight])
def test_a_single_dispatch_of_coroutine_functions(decorate: Deco) -> None:
    """It gives coroutines, as all its implementations do, so its results are awaited and shared."""

    @decorate
    @functools.singledispatch
    async def shown(value: Any, width: int = 8) -> list[str]:
        return ["any"]

    @shown.register
    async def _(value: int, width: int = 8) -> list[str]:
        return ["int"]

    async def use() -> None:
        await asyncio.sleep(0)
        one, other = await asyncio.gather(shown(1), shown(1, width=8))
        assert one is other
        assert one == ["int"]
        assert await shown("a") == ["any"]

    asyncio.run(use())


@pytest.mark.parametrize("decorate", [bounded(max=8), dedupe_inflight, sliding_window("1h")])
def test_what_stands_in_a_class_for_a_function(decorate: Deco) -> None:
    """Partial methods and single dispatches of methods are decorated with and without options."""

    class Service:
        def load(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        first = decorate(functools.partialmethod(load, 1))

        @decorate
        @functools.singledispatchmethod
        def shown(self, value: Any) -> str:
            return "any"

        @shown.register
        def _(self, value: int) -> str:
            return "int"

    service = Service()
    assert service.first() == service.first(y=2) == [1, 2]
    assert [service.shown("a"), service.shown(1)] == ["any", "int"]


def test_a_hidden_coroutine_function_is_refused_with_the_remedy() -> None:
    """A plain wrapper around a coroutine function may make anything of its coroutine, and says that it is plain."""

    def hiding(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*a: Any, **kw: Any) -> Any:
            return function(*a, **kw)

        return inner

    @bounded(max=8)
    @hiding
    async def load(name: str) -> list[str]:
        return [name]

    with pytest.raises(TypeError, match=r"load\(\) returned a coroutine object.*write that decorator on top"):
        load("a")

    @hiding
    @bounded(max=8)
    async def below(name: str) -> list[str]:
        return [name]

    async def use() -> None:
        assert await below("a") is await below(name="a")

    asyncio.run(use())


def test_a_click_command_above_and_below() -> None:
    """A command can be made of a decorated function, and its callback is found in the store."""
    click = pytest.importorskip("click")
    testing = pytest.importorskip("click.testing")
    calls = []

    @click.command()
    @click.option("--name", default="a")
    @bounded(max=8)
    def command(name: str) -> None:
        calls.append(name)
        click.echo(name)

    for _ in range(2):
        result = testing.CliRunner().invoke(command, ["--name", "b"])
        assert result.exception is None
    assert calls == ["b"]


def test_dependency_injection() -> None:
    """What a container injects is not given by the caller, and not in the key."""
    calls = []
    service = object()

    def inject(function: Any) -> Any:
        """As dependency-injector, FastDepends or injector do it: fill in what the caller left out."""

        @functools.wraps(function)
        def patched(*args: Any, **kwargs: Any) -> Any:
            kwargs.setdefault("service", service)
            return function(*args, **kwargs)

        return patched

    @bounded(max=8)
    @inject
    def load(name: str, service: Any = "provided") -> list[str]:
        calls.append(service)
        return [name]

    assert load("a") is load(name="a")
    assert calls == [service]


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12 added the mark")
def test_a_plain_wrapper_marked_as_coroutine_function() -> None:
    """What is marked as a coroutine function is one, whatever parameters it takes."""

    def around(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*a: Any, **kw: Any) -> Any:
            return function(*a, **kw)

        return inspect.markcoroutinefunction(inner)

    @bounded(max=8)
    @around
    async def load(name: str, lang: str = "en") -> list[str]:
        return [name]

    async def use() -> None:
        assert await load("a") is await load(name="a", lang="en")

    asyncio.run(use())


def test_callables_that_document_more_than_they_are() -> None:
    """A wrapper that is an object, of which only ``__wrapped__`` tells the parameters."""
    calls: list[Any] = []

    @bounded(max=8)
    @Passing
    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    check_one_key(load, calls)


# -- what cannot be hashed


def test_messages_for_unhashable_arguments_begin_as_everybody_expects() -> None:
    """Wherever a call is refused for what cannot be hashed, the message begins with the interpreter's own."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

    def load(name: Any, *rest: Any, **more: Any) -> Any:
        return name

    made: list[Any] = [
        bounded(max=8)(load),
        bounded(max=8, policy="lru", typed=True)(load),
        bounded(max=8, ttl=60, stale_if_error=60)(load),
        bounded(max=8, dedupe=False)(load),
        bounded(max=8)(starred(load)),
        bounded(max=8, key=lambda *a, **k: [a])(load),
        dedupe_inflight(load),
        dedupe_inflight(starred(load)),
    ]
    for call in made:
        kinds = [["x"], {}, Odd(), (1, (set(),))] if call is not made[5] else [["x"]]
        for value in kinds:
            with pytest.raises(TypeError) as expected:
                hash(value)
            with pytest.raises(TypeError) as raised:
                call(value)
            assert str(raised.value).startswith(f"{expected.value}: ")
            assert "key=memo.freeze" in str(raised.value)
        assert call.inflight.forget(("x",)) is False if call is not made[5] else True
        with pytest.raises(TypeError, match=r"^unhashable type: 'list': "):
            call.inflight.forget(["x"])
    later = bounded(max=8)(coroutine)
    with pytest.raises(TypeError, match=r"^unhashable type: 'list': "):
        asyncio.run(later([]))


async def coroutine(name: Any) -> Any:
    return name


def test_a_hash_with_a_reason_of_its_own() -> None:
    """What ``__hash__`` says of itself is in the message, behind the usual beginning."""

    class Moody:
        def __hash__(self) -> int:
            raise TypeError("not today")

    @bounded(max=8)
    def load(name: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"^unhashable type: '.*Moody': not today: .*'name'"):
        load(Moody())


# -- key= and tags=


def test_key_is_called_as_the_function_was() -> None:
    """By position what is given by position, by name what the key function takes by name alone."""

    def load(url: str, timeout: int = 10, *parts: str, retries: int = 3, **more: Any) -> list[str]:
        return [url]

    cases: list[tuple[Any, Any]] = [
        (lambda url, timeout, *parts, **more: (url, timeout, parts, sorted(more)), ("u", 10, (), ["retries"])),
        (lambda url, **kw: (url, sorted(kw.items())), ("u", [("retries", 3), ("timeout", 10)])),
        (lambda *a, **kw: (a, sorted(kw.items())), (("u", 10), [("retries", 3)])),
        (lambda url, *, timeout, retries: (url, timeout, retries), ("u", 10, 3)),
        (lambda *, retries, url, timeout: (url, timeout, retries), ("u", 10, 3)),
        (lambda u, t, r: (u, t, r), ("u", 10, 3)),
    ]
    for key, expected in cases:
        seen: list[Any] = []

        @functools.wraps(key)
        def asked(*args: Any, _key: Any = key, _seen: list[Any] = seen, **kwargs: Any) -> str:
            _seen.append(_key(*args, **kwargs))
            return repr(_seen[-1])

        call = bounded(max=8, key=asked)(load)
        assert call("u") is call(url="u", timeout=10) is call("u", retries=3)
        assert seen == [expected] * 3
        assert call.cache.invalidate("u", 10)


def test_key_sees_the_instance_where_it_names_it_first() -> None:
    """``self`` comes first for a key function that names it, and is left out for others."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        @bounded(max=8, key=lambda self: self.pk)
        def name(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda self, x, y: (self.pk, x, y))
        def both(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda x, y: (x, y))
        def without(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda this, x: (this.pk, x))
        def odd(this, x: int) -> list[int]:  # noqa: N805
            return [x]

        @bounded(max=8, key=lambda self: self.pk, ignore=("self",))
        def shared(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda self: self.pk)
        @property
        def seen(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda cls, x: (cls.__name__, x))
        @classmethod
        def of_class(cls, x: int) -> list[int]:
            return [x]

        @bounded(max=8, key=str.lower)
        def lowered(self, name: str) -> list[str]:
            return [name]

        @bounded(max=8, key=lambda self, **kw: (self.pk, *sorted(kw)))
        async def later(self, *, x: int = 1, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda self, *args: (self.pk, args))
        @starred
        def wrapped(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

    one = Service(1)
    cases: list[tuple[Any, Any]] = [
        (one.name, 1), (functools.partial(one.both, 1), (1, 1, 2)), (functools.partial(one.without, 1), (1, 2)),
        (functools.partial(one.odd, 1), (1, 1)), (one.shared, 1), (functools.partial(one.wrapped, 1), (1, (1, 2))),
    ]  # fmt: skip
    for call, key in cases:
        assert call() is call()
        bound: Any = getattr(call, "func", call) if isinstance(call, functools.partial) else call
        handle = bound.cache if hasattr(bound, "cache") else call.cache
        assert [k for k, _ in handle.items()] == [key]
    assert one.seen is one.seen
    assert Service.of_class(1) is Service.of_class(x=1)
    assert Service.of_class.cache.items()[0][0] == ("Service", 1)
    assert one.lowered("A") is one.lowered(name="a")
    assert asyncio.run(one.later()) == [1, 2]
    assert one.later.cache.items()[0][0] == (1, "x", "y")
    assert Service(1).name() is not one.name()  # an instance has entries of its own, whatever key= returns
    assert Service(1).shared() is one.shared()


OF_THE_INSTANCE: dict[str, Any] = {
    "attrgetter": operator.attrgetter("pk"),
    "methodcaller": operator.methodcaller("name"),
    "another name": lambda service: service.pk,
    "partial": functools.partial(lambda suffix, service: (service.pk, suffix), 1),
    "named": lambda self: self.pk,
}


@pytest.mark.parametrize("key", OF_THE_INSTANCE.values(), ids=OF_THE_INSTANCE)
def test_a_call_without_other_arguments_is_keyed_by_its_instance(key: Any) -> None:
    """A key function that needs an argument gets the instance where there is nothing else to call it with."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        def name(self) -> int:
            return self.pk

        @bounded(max=8, key=key, ignore=("self",))
        def load(self) -> list[int]:
            return [self.pk]

        @bounded(max=8, key=key, ignore=("self",))
        async def later(self) -> list[int]:
            return [self.pk]

        @bounded(max=8, key=key, ignore=("self",))
        @property
        def seen(self) -> list[int]:
            return [self.pk]

        @sliding_window("1h", key=key)
        def note(self) -> int:
            return self.pk

        @dedupe_inflight(key=key)
        def joined(self) -> int:
            return self.pk

        @bounded(max=8, tags=lambda service: f"pk:{service.pk}")
        def tagged(self) -> list[int]:
            return [self.pk]

    one, again, two = Service(1), Service(1), Service(2)
    assert one.load() is again.load() is Service.load(one)
    assert two.load() == [2]
    assert (one.seen is again.seen, two.seen) == (True, [2])
    assert [asyncio.run(each.later()) for each in (one, again, two)] == [[1], [1], [2]]
    assert Service.later.cache.stats().hits == 1
    assert [each.note() + each.joined() for each in (one, two)] == [2, 4]
    assert len({event.key for event in Service.note.window.events()}) == 2
    assert [one.tagged(), two.tagged(), registry.invalidate(tag="pk:1")] == [[1], [2], 1]


def test_a_key_function_that_needs_no_argument_gets_no_instance() -> None:
    """One that takes any arguments, or none, is called as before: the instance is for those that name it."""
    seen: list[Any] = []

    class Service:
        @bounded(max=8, key=lambda *args, **kwargs: seen.append((args, kwargs)))
        def load(self) -> int:
            return 1

        @bounded(max=8, key=lambda: 7)
        def fixed(self) -> int:
            return 2

        @bounded(max=8, key=lambda of=None: of)
        def optional(self) -> int:
            return 3

        @bounded(max=8, key=freeze)
        def frozen(self) -> int:
            return 4

    one = Service()
    assert [one.load(), one.fixed(), one.optional(), one.frozen()] == [1, 2, 3, 4]
    assert seen == [((), {})]
    assert one.optional.cache.items()[0][0] is None


def test_tags_are_asked_as_keys_are() -> None:
    """``tags=`` sees the instance where it names it first, and the rest by position or by name."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        @bounded(max=8, tags=lambda self, x, y: [f"pk:{self.pk}", f"y:{y}"])
        def load(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, tags=lambda x, **kw: [f"y:{kw['y']}"])
        @starred
        def wrapped(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

    one, two = Service(1), Service(2)
    for call in (one.load, two.load, functools.partial(one.wrapped, y=7)):
        call(1)
    assert registry.invalidate(tag="pk:1") == 1
    assert registry.invalidate(tag="y:2") == 1
    assert registry.invalidate(tag="y:7") == 1


def test_freeze_above_other_decorators() -> None:
    """``key=memo.freeze`` makes one key of every spelling that fits."""

    @bounded(max=8, key=freeze)
    @starred
    def load(names: list[str], lang: str = "en") -> list[str]:
        return names

    assert load(["a"]) is load(names=["a"], lang="en")
