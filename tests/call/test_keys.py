"""One key per call, however it is spelled: generated wrappers, ``key``, ``ignore``, ``typed`` and ``freeze``."""

import asyncio
import functools
import inspect
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo import bounded, freeze

# Names that a careless wrapper would collide with.
NAMES = (
    "a",
    "b",
    "self",
    "cls",
    "args",
    "kwargs",
    "_memo_now",
    "_memo_index",
    "_memo_key",
    "__memo_entry",
    "entry",
    "key",
    "clock",
    "function",
    "index",
    "now",
    "flight",
    "Flight",
    "enter",
    "failed",
    "finish",
    "copy",
    "run",
    "use",
    "id",
    "tuple",
    "type",
    "value",
    "wrapper",
    "Missing",
    "KeyError",
    "BaseException",
    "k",
    "_",
    "ключ",
)


@dataclass
class Signature:
    """A parameter list to be made a function of."""

    parameters: list[tuple[str, Any, Any]] = field(default_factory=list)  # name, kind, default or empty

    def declaration(self) -> str:
        parts: list[str] = []
        starred = False
        kinds = [kind for _, kind, _ in self.parameters]
        for i, (name, kind, default) in enumerate(self.parameters):
            if kind is Parameter.KEYWORD_ONLY and not starred:
                parts.append("*")
            starred = starred or kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_POSITIONAL)
            sign = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}.get(kind, "")
            parts.append(f"{sign}{name}" + ("" if default is Parameter.empty else f"={default!r}"))
            if kind is Parameter.POSITIONAL_ONLY and kinds[i + 1 : i + 2] != [Parameter.POSITIONAL_ONLY]:
                parts.append("/")
        return ", ".join(parts)

    def function(self, colour: str = "") -> tuple[Any, list[Any]]:
        """A function that gives back its arguments, and the list of its executions."""
        calls: list[Any] = []
        names = "".join(f"{name!r}: {name}, " for name, _, _ in self.parameters)
        body = f"    RESULT = {{{names}}}\n    LOG.append(RESULT)\n    return RESULT"
        source = f"{colour}def probe({self.declaration()}):\n{body}"
        namespace: dict[str, Any] = {"LOG": calls, "__name__": __name__}
        exec(source, namespace)
        return namespace["probe"], calls


VALUES = st.sampled_from([0, 1, 2, "0", (0,), (0, 1), (), None])


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = iter(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=9, max_size=9)))
    parameters: list[tuple[str, Any, Any]] = []
    positional_only, ordinary = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    first_default = draw(st.integers(0, positional_only + ordinary))
    for i in range(positional_only + ordinary):
        kind = Parameter.POSITIONAL_ONLY if i < positional_only else Parameter.POSITIONAL_OR_KEYWORD
        parameters.append((next(names), kind, draw(VALUES) if i >= first_default else Parameter.empty))
    if draw(st.booleans()):
        parameters.append((next(names), Parameter.VAR_POSITIONAL, Parameter.empty))
    for _ in range(draw(st.integers(0, 2))):
        default = draw(VALUES) if draw(st.booleans()) else Parameter.empty
        parameters.append((next(names), Parameter.KEYWORD_ONLY, default))
    if draw(st.booleans()):
        parameters.append((next(names), Parameter.VAR_KEYWORD, Parameter.empty))
    return Signature(parameters)


@st.composite
def spellings(draw: st.DrawFn, signature: Signature) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call that mostly fits the signature: some arguments by position, the rest by keyword or left out."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    by_position = True
    for name, kind, default in signature.parameters:
        if kind is Parameter.VAR_POSITIONAL:
            if by_position:
                args += draw(st.lists(VALUES, max_size=2))
        elif kind is Parameter.VAR_KEYWORD:
            extra = draw(st.dictionaries(st.sampled_from(("x", "y", *NAMES[:4])), VALUES, max_size=2))
            kwargs = {**extra, **kwargs} if draw(st.booleans()) else {**kwargs, **extra}
        elif kind is not Parameter.KEYWORD_ONLY and by_position and draw(st.booleans()):
            args.append(draw(VALUES))
        else:
            by_position = False
            if default is Parameter.empty or draw(st.booleans()):
                kwargs[name] = draw(VALUES)
    return tuple(args), dict(draw(st.permutations(list(kwargs.items()))))


def reading(signature: Signature, received: dict[str, Any], typed: bool = False) -> Any:
    """What two calls must have in common to be one, of what the plain function received."""
    parts = []
    for name, kind, _ in signature.parameters:
        value = received[name]
        if kind is Parameter.VAR_KEYWORD:
            value = tuple((key, value[key]) for key in sorted(value))
            types: Any = tuple(type(v) for _, v in value)
        else:
            types = tuple(map(type, value)) if kind is Parameter.VAR_POSITIONAL else type(value)
        parts.append((value, types if typed else None))
    return tuple(parts)


def outcome(plain: Any, args: Any, kwargs: Any) -> Any:
    """What the plain function received, or the error of a call that does not fit it."""
    try:
        return plain(*args, **kwargs)
    except TypeError as error:
        return error


def check_against_inspect(plain: Any, args: Any, kwargs: Any, received: dict[str, Any]) -> None:
    """The plain function and ``inspect`` read a call alike."""
    signature = inspect.signature(plain)
    positional = [p.name for p in signature.parameters.values() if p.kind is Parameter.POSITIONAL_ONLY]
    if kwargs.keys() & positional:
        return  # bpo-87106: inspect refuses, or forgets, **kwargs named like a positional-only parameter
    call = signature.bind(*args, **kwargs)
    call.apply_defaults()
    assert call.arguments == received


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_two_calls_share_a_key_exactly_if_they_bind_alike(data: st.DataObject) -> None:
    signature = data.draw(signatures())
    function, calls = signature.function()
    plain, _ = signature.function()
    decorated = bounded(max=1000)(function)
    results: dict[Any, Any] = {}
    for args, kwargs in data.draw(st.lists(spellings(signature), min_size=1, max_size=8)):
        received = outcome(plain, args, kwargs)
        if isinstance(received, TypeError):
            with pytest.raises(TypeError) as raised:
                decorated(*args, **kwargs)
            assert str(raised.value) == str(received)
            continue
        check_against_inspect(plain, args, kwargs, received)
        result = decorated(*args, **kwargs)
        assert result == received
        assert results.setdefault(reading(signature, received), result) is result
        entry = decorated.cache.entry(*args, **kwargs)
        assert entry is not None
        assert entry.value is result
    assert len(calls) == len(results) == len(decorated.cache)
    assert len({id(result) for result in results.values()}) == len(results)
    assert str(inspect.signature(decorated)) == str(inspect.signature(plain))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_coroutine_functions_have_the_same_keys(data: st.DataObject) -> None:
    signature = data.draw(signatures())
    function, calls = signature.function("async ")
    plain, _ = signature.function()
    decorated = bounded(max=1000)(function)

    async def use() -> None:
        results: dict[Any, Any] = {}
        for args, kwargs in data.draw(st.lists(spellings(signature), min_size=1, max_size=6)):
            received = outcome(plain, args, kwargs)
            if isinstance(received, TypeError):
                with pytest.raises(TypeError) as raised:
                    await decorated(*args, **kwargs)
                assert str(raised.value) == str(received)
                continue
            result = await decorated(*args, **kwargs)
            assert results.setdefault(reading(signature, received), result) is result
        assert len(calls) == len(results)

    asyncio.run(use())


ALIKE = st.sampled_from([1, 1.0, True, 0, False, 0.0])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(ALIKE, min_size=1, max_size=3), st.dictionaries(st.sampled_from("xy"), ALIKE))))
def test_typed_keys_tell_equal_values_of_different_types_apart(made: list[tuple[list[Any], dict[str, Any]]]) -> None:
    signature = Signature(
        [
            ("a", Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty),
            ("rest", Parameter.VAR_POSITIONAL, Parameter.empty),
            ("named", Parameter.VAR_KEYWORD, Parameter.empty),
        ]
    )
    function, calls = signature.function()
    plain, _ = signature.function()
    decorated = bounded(max=1000, typed=True)(function)
    for args, kwargs in made:
        decorated(*args, **kwargs)
    assert len(calls) == len({reading(signature, plain(*args, **kwargs), typed=True) for args, kwargs in made})


def test_typed_and_untyped() -> None:
    def same(x: Any) -> str:
        return type(x).__name__

    untyped, typed = bounded(max=8)(same), bounded(max=8, typed=True)(same)
    assert [untyped(1), untyped(1.0), untyped(True)] == ["int", "int", "int"]
    assert [typed(1), typed(1.0), typed(True)] == ["int", "float", "bool"]
    assert [key for key, _ in typed.cache.items()] == [1, 1.0, True]
    assert typed.cache_parameters() == {"maxsize": 8, "typed": True}
    assert typed.cache.invalidate(True)
    assert len(typed.cache) == 2


def test_typed_default_is_typed_too() -> None:
    @bounded(max=8, typed=True)
    def same(x: Any, y: Any = 1) -> list[Any]:
        return [x, y]

    assert same(0) is same(0, 1)
    assert same(0) is not same(0, True)


# -- the key that users see


def test_shape_of_keys() -> None:
    def keys(function: Callable[..., Any], *calls: Callable[[Any], Any]) -> list[Any]:
        decorated = bounded(max=8)(function)
        for call in calls:
            call(decorated)
        return [key for key, _ in decorated.cache.items()]

    assert keys(lambda: 1, lambda f: f()) == [()]
    assert keys(lambda x: 1, lambda f: f("a")) == ["a"]
    assert keys(lambda x: 1, lambda f: f((1, 2))) == [(1, 2)]
    assert keys(lambda x, y=2: 1, lambda f: f("a"), lambda f: f(y=3, x=1)) == [("a", 2), (1, 3)]
    assert keys(lambda *a: 1, lambda f: f(1, 2), lambda f: f((1, 2)), lambda f: f()) == [(1, 2), ((1, 2),), ()]
    assert keys(lambda **k: 1, lambda f: f(b=1, a=2), lambda f: f(a=2, b=1)) == [(("a", 2), ("b", 1))]
    assert keys(lambda a, *b, c=0, **d: 1, lambda f: f(1, 2, 3, e=4)) == [(1, (2, 3), 0, (("e", 4),))]


def test_keyword_arguments_count_without_their_order() -> None:
    calls = []

    @bounded(max=8)
    def fetch(**filters: Any) -> None:
        calls.append(list(filters))

    fetch(a=1, b=2)
    fetch(b=2, a=1)
    fetch(b=1, a=2)
    assert calls == [["a", "b"], ["b", "a"]]


def test_keyword_values_that_cannot_be_ordered() -> None:
    @bounded(max=8)
    def fetch(**filters: Any) -> int:
        return len(filters)

    assert fetch(a=1j, b=None) == fetch(b=None, a=1j) == 2
    assert fetch.cache_info().misses == 1


# -- defaults of any kind


def test_defaults_reach_the_function_as_the_same_objects() -> None:
    sentinel, nan = object(), math.nan
    seen = []

    @bounded(max=8)
    def fetch(a: Any = sentinel, *, b: Any = nan, c: Any = None) -> list[Any]:
        seen.append((a, b, c))
        return []

    first = fetch()
    assert fetch(sentinel) is first
    assert fetch(b=nan) is first
    assert fetch(a=sentinel, b=nan, c=None) is first
    assert len(seen) == 1
    assert seen[0][0] is sentinel
    assert seen[0][1] is nan
    assert fetch.__defaults__ == (sentinel,)
    assert fetch.__kwdefaults__ == {"b": nan, "c": None}


def test_a_nan_is_found_by_identity_as_in_any_dictionary() -> None:
    @bounded(max=8)
    def fetch(x: float) -> list[float]:
        return [x]

    nan = float("nan")
    assert fetch(nan) is fetch(nan)
    assert fetch(float("nan")) is not fetch(nan)
    assert fetch(math.inf) is fetch(math.inf)


def test_a_mutable_default_is_refused_at_the_call_and_may_be_ignored() -> None:
    @bounded(max=8)
    def fetch(x: int, acc: list[int] = []) -> int:  # noqa: B006  # that is the case
        return x

    with pytest.raises(TypeError, match=r"fetch\(\).*'acc'.*'list'.*memo\.freeze.*ignore=\('acc',\)"):
        fetch(1)
    assert fetch(1, acc=()) == 1  # type: ignore[arg-type]

    default: list[int] = []

    @bounded(max=8, ignore=("acc",))
    def collect(x: int, acc: list[int] = default) -> list[int]:
        acc.append(x)
        return acc

    assert collect(1) is default
    assert collect(1) == [1]
    assert collect(1, []) is default


class Awkward:
    """Compares in a way that no key may depend on."""

    def __eq__(self, other: object) -> Any:
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise AssertionError("nobody has to ask")

    def __repr__(self) -> str:
        raise AssertionError("nobody has to ask")


def test_a_default_that_cannot_be_compared_or_shown_is_no_obstacle() -> None:
    @bounded(max=8, ignore=["options"])
    def fetch(x: int, options: Any = Awkward()) -> list[Any]:  # noqa: B008  # that is the case
        return [x, type(options)]

    assert fetch(1) is fetch(1)
    assert fetch(1) == [1, Awkward]


# -- names of internals


def test_parameters_named_like_internals() -> None:
    @bounded(max=8, ttl=60, idle=60, copy="shallow")
    def fetch(
        _memo_now: int, entry: int, key: int, clock: int, function: int, *, index: int = 5, copy: int = 6
    ) -> list[int]:
        return [_memo_now, entry, key, clock, function, index, copy]

    assert fetch(1, 2, 3, 4, 5) == [1, 2, 3, 4, 5, 5, 6]
    assert fetch(entry=2, _memo_now=1, key=3, clock=4, function=5) == [1, 2, 3, 4, 5, 5, 6]
    assert fetch.cache_info() == (1, 1, 8, 1)


def test_self_may_stand_anywhere() -> None:
    @bounded(max=8)
    def fetch(name: str, self: str = "me") -> list[str]:
        return [name, self]

    @bounded(max=8)
    def first(self: str, name: str) -> list[str]:
        return [self, name]

    assert fetch("a") is fetch(self="me", name="a")
    assert first("x", "y") is first(name="y", self="x")
    assert first(["x"][0], "y") is first("x", "y")
    assert [key for key, _ in first.cache.items()] == [("x", "y")]


def test_mangled_names() -> None:
    class Service:
        @bounded(max=8)
        def fetch(self, __name: str, *, __lang: str = "en") -> list[str]:
            return [__name, __lang]

    service = Service()
    assert service.fetch("a") is service.fetch(_Service__name="a")
    assert service.fetch("a", _Service__lang="de") == ["a", "de"]


def test_a_function_sees_its_own_globals_and_closure() -> None:
    here = 41

    @bounded(max=8)
    def fetch(x: int) -> Any:
        return here + x, globals()["__name__"], len("abc")

    assert fetch(1) == (42, __name__, 3)


def test_many_parameters() -> None:
    names = [f"p{i}" for i in range(300)]
    namespace: dict[str, Any] = {}
    exec(f"def wide({', '.join(names)}):\n    return [p0, p299]", namespace)
    wide = bounded(max=8)(namespace["wide"])
    assert wide(*range(300)) is wide(**dict(zip(names, range(300), strict=True)))


# -- key=


def test_key_gets_the_call_with_its_defaults_and_without_the_instance() -> None:
    seen: list[Any] = []

    def key(*args: Any, **kwargs: Any) -> str:
        seen.append((args, kwargs))
        return "k"

    class Service:
        @bounded(max=8, key=key)
        def fetch(self, a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> list[int]:
            return [a, b, c]

        @bounded(max=8, key=key)
        @classmethod
        def of_class(cls, a: int = 1) -> list[int]:
            return [a]

        @bounded(max=8, key=key)
        @property
        def size(self) -> list[int]:
            return []

    service = Service()
    first = service.fetch(1)
    assert seen == [((1, 2), {"c": 3})]
    assert service.fetch(7, 8, 9, c=10, d=11) is first
    assert seen[1] == ((7, 8, 9), {"c": 10, "d": 11})
    assert Service().fetch(1) is not first
    assert [k for k, _ in service.fetch.cache.items()] == ["k"]
    seen.clear()
    assert Service.of_class() is Service.of_class(2)
    assert seen == [((1,), {}), ((2,), {})]
    seen.clear()
    assert service.size is service.size
    assert seen == [((), {})] * 2


def test_key_is_asked_once_a_call() -> None:
    asked = []

    def key(name: str) -> str:
        asked.append(name)
        return name.lower()

    @bounded(max=8, key=key, ttl=60)
    def fetch(name: str) -> list[str]:
        return [name]

    @bounded(max=8, key=key)
    async def fetch_later(name: str) -> list[str]:
        return [name]

    assert fetch("A") is fetch("a")
    assert asked == ["A", "a"]
    assert [key for key, _ in fetch.cache.items()] == ["a"]
    assert fetch.cache.invalidate("A")
    asked.clear()

    async def use() -> None:
        assert await fetch_later("A") is await fetch_later("a")

    asyncio.run(use())
    assert asked == ["A", "a"]


def test_what_key_raises_reaches_the_caller_and_leaves_nothing() -> None:
    def key(name: str) -> str:
        raise LookupError("no key")

    @bounded(max=8, key=key)
    def fetch(name: str) -> str:
        return name

    for operation in (fetch, fetch.cache.invalidate, fetch.cache.entry, fetch.cache.refresh):
        with pytest.raises(LookupError, match=r"^no key$"):
            operation("a")
    assert len(fetch.inflight) == 0
    assert fetch.cache_info() == (0, 0, 8, 0)


@pytest.mark.parametrize("error", [KeyError, TypeError])
def test_an_error_of_key_is_not_taken_for_a_missing_entry(error: type[Exception]) -> None:
    def key(name: str) -> str:
        raise error("no key")

    @bounded(max=8, key=key)
    def fetch(name: str) -> str:
        return name

    with pytest.raises(error, match="no key"):
        fetch("a")
    assert fetch.cache_info().misses == 0


def test_key_may_be_a_builtin_or_any_callable() -> None:
    @bounded(max=8, key=str.lower)
    def fetch(name: str) -> list[str]:
        return [name]

    @bounded(max=8, key=functools.partial(pow, 2))
    def power(exponent: int) -> list[int]:
        return [exponent]

    assert fetch("A") is fetch(name="a")
    assert power(3) is power(3)
    assert [key for key, _ in power.cache.items()] == [8]


def test_a_tuple_from_key_is_one_key() -> None:
    class Service:
        @bounded(max=8, key=lambda a, b: (b, a))
        def fetch(self, a: int, b: int) -> list[int]:
            return [a, b]

    service = Service()
    service.fetch(1, 2)
    assert [key for key, _ in service.fetch.cache.items()] == [(2, 1)]


# -- ignore=


def test_ignored_parameters_are_passed_but_do_not_count() -> None:
    seen = []

    @bounded(max=8, ignore=("session", "trace"))
    def fetch(session: Any, name: str, *rest: int, trace: str = "", **more: int) -> list[str]:
        seen.append((session, trace))
        return [name]

    assert fetch([], "a", trace="t") is fetch({}, "a", trace="u")
    assert seen == [([], "t")]
    assert fetch(None, "a", 1) is not fetch(None, "a")
    assert [key for key, _ in fetch.cache.items()] == [("a", (), ()), ("a", (1,), ())]


def test_ignored_keywords_among_others() -> None:
    @bounded(max=8, ignore={"trace"})
    def fetch(**named: Any) -> list[Any]:
        return [named]

    assert fetch(a=1, trace="x") is fetch(a=1, trace="y")
    assert fetch(a=1) is fetch(a=1, trace=[])
    assert fetch(a=1) is not fetch(a=2)


def test_ignored_star_parameters() -> None:
    @bounded(max=8, ignore=("rest", "named"))
    def fetch(a: int, *rest: Any, **named: Any) -> list[int]:
        return [a]

    assert fetch(1, [], x={}) is fetch(1)
    assert [key for key, _ in fetch.cache.items()] == [1]


def test_everything_ignored_is_one_key() -> None:
    @bounded(max=8, ignore=("a",))
    def fetch(a: int) -> list[int]:
        return [a]

    assert fetch(1) is fetch(2)
    assert [key for key, _ in fetch.cache.items()] == [()]


def test_ignored_parameters_of_a_typed_key_have_no_type_in_it() -> None:
    @bounded(max=8, ignore=("a",), typed=True)
    def fetch(a: Any, b: Any) -> list[Any]:
        return [a, b]

    assert fetch(1, 1) is fetch(1.0, 1)
    assert fetch(1, 1) is not fetch(1, 1.0)


# -- wrappers of others


def test_a_wrapper_that_takes_anything_has_the_keys_of_what_it_documents() -> None:
    calls = []

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            return function(*args, **kwargs)

        return wrapper

    @bounded(max=8, ttl=60)
    @passing
    def fetch(name: str, /, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name, lang]

    assert fetch("a") is fetch("a", "en")
    assert fetch("a") is fetch("a", deep=False, lang="en")
    assert calls == [(("a",), {})]
    assert [key for key, _ in fetch.cache.items()] == [("a", "en", False)]
    with pytest.raises(TypeError) as raised:
        fetch()
    assert "missing 1 required positional argument: 'name'" in str(raised.value)
    with pytest.raises(TypeError, match=r"'lang'.*'list'"):
        fetch("a", [])
    assert len(fetch.inflight) == 0


def test_a_wrapper_may_take_what_it_does_not_document() -> None:
    def with_retries(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, retries: int = 3, **kwargs: Any) -> Any:
            return [function(*args, **kwargs), retries]

        return wrapper

    def passing_all(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            retries = kwargs.pop("retries", 3)
            return [function(*args, **kwargs), retries]

        return wrapper

    for passing in (with_retries, passing_all):

        @bounded(max=8)
        @passing
        def fetch(name: str, lang: str = "en") -> str:
            return name

        assert fetch("a") == ["a", 3]
        assert fetch("a", retries=5) == ["a", 5]
        assert fetch("a", retries=5) is fetch("a", retries=5)
        assert fetch("a") == ["a", 3]
        assert fetch.cache.invalidate("a", retries=5)
        assert fetch.cache.entry("a") is not None
        assert len(fetch.cache) == 1


def test_a_coroutine_wrapper_has_the_keys_of_what_it_documents() -> None:
    def passing(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    class Service:
        @bounded(max=8)
        @passing
        async def fetch(self, name: str, lang: str = "en") -> list[str]:
            return [name, lang]

    async def use() -> None:
        service = Service()
        assert await service.fetch("a") is await service.fetch(lang="en", name="a")
        assert await service.fetch("a") is not await Service().fetch("a")

    asyncio.run(use())


# -- what cannot be hashed


def test_an_unhashable_argument_is_named_with_the_remedies() -> None:
    @bounded(max=8)
    def fetch(name: str, tags: Any, *rest: Any, **named: Any) -> str:
        return name

    cases: list[tuple[Callable[[Any], Any], str, str]] = [
        (lambda f: f("a", ["x"]), "tags", "list"),
        (lambda f: f("a", tags={}), "tags", "dict"),
        (lambda f: f("a", (1, (2, {3}))), "tags", "set"),
        (lambda f: f("a", 1, 2, [3]), "rest", "list"),
        (lambda f: f("a", 1, x=bytearray()), "named", "bytearray"),
    ]
    for call, parameter, kind in cases:
        for target in (fetch, fetch.cache.invalidate, fetch.cache.entry, fetch.cache.refresh, fetch.inflight.forget):
            with pytest.raises(TypeError) as raised:
                call(target)
            message = str(raised.value)
            assert message.startswith(f"unhashable type: {kind!r}: {fetch.__qualname__}():")
            assert f"'{parameter}'" in message
            assert f"'{kind}'" in message
            for remedy in ("key=memo.freeze", "key=", f"ignore=('{parameter}',)"):
                assert remedy in message
    with pytest.raises(TypeError, match="'list'"):
        fetch.cache.put("value", "a", [])
    assert len(fetch.inflight) == 0
    assert fetch.cache_info() == (0, 0, 8, 0)


def test_an_unhashable_argument_of_a_coroutine_or_method_is_named() -> None:
    class Service:
        @bounded(max=8)
        def fetch(self, tags: Any) -> int:
            return 1

        @bounded(max=8, typed=True)
        async def fetch_later(self, tags: Any) -> int:
            return 1

        @bounded(max=8, policy="lru")
        def fetch_lru(self, tags: Any) -> int:
            return 1

    service = Service()
    with pytest.raises(TypeError, match=r"Service\.fetch\(\).*'tags'.*'list'"):
        service.fetch([])
    with pytest.raises(TypeError, match=r"Service\.fetch_later\(\).*'tags'.*'list'"):
        asyncio.run(service.fetch_later([]))
    with pytest.raises(TypeError, match=r"Service\.fetch_lru\(\).*'tags'.*'list'"):
        service.fetch_lru([])
    assert len(service.fetch.inflight) == len(service.fetch_later.inflight) == len(service.fetch_lru.inflight) == 0


def test_an_unhashable_key_is_named() -> None:
    @bounded(max=8, key=lambda name: [name])  # type: ignore[arg-type, return-value]
    def fetch(name: str) -> str:
        return name

    with pytest.raises(TypeError, match=r"fetch\(\): key= returned \['a'\] of type 'list'.*memo\.freeze"):
        fetch("a")


def test_a_type_error_of_the_function_itself_is_not_taken_for_a_key_error() -> None:
    @bounded(max=8)
    def fetch(name: str) -> str:
        raise TypeError("unhashable type: 'list'")

    with pytest.raises(TypeError, match=r"^unhashable type: 'list'$"):
        fetch("a")


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError])
def test_an_argument_whose_hash_fails_leaves_nothing_behind(policy: str, error: type[Exception]) -> None:
    class Bad:
        def __hash__(self) -> int:
            raise error("no hash")

    @bounded(max=8, policy=policy)
    def fetch(thing: Any) -> int:
        return 1

    with pytest.raises(error):
        fetch(Bad())
    assert len(fetch.inflight) == 0
    assert fetch("a") == 1
    assert fetch.cache_info().currsize == 1


# -- freeze


def test_freeze_makes_nested_arguments_one_key() -> None:
    calls = []

    @bounded(max=8, key=freeze)
    def search(query: dict[str, Any], *more: Any, limit: int = 10) -> list[Any]:
        calls.append(query)
        return [query]

    assert search({"a": [1, {2}], "b": {}}) is search(query={"b": {}, "a": [1, {2}]}, limit=10)
    assert search({"a": [1, {2}]}) is not search({"a": (1, frozenset({2}))})
    assert search({"a": 1}) is not search({"a": 1}, limit=11)
    assert len(calls) == 5
    with pytest.raises(TypeError, match="Awkward"):
        search({"a": Awkward()})


@dataclass
class Query:
    text: str
    tags: list[str]


def test_freeze_of_one_value_is_hashable_and_true_to_structure() -> None:
    values: list[Any] = [
        [1, [2]],
        (1, [2]),
        {"a": [1]},
        {"a": (1,)},
        {1, 2},
        bytearray(b"x"),
        deque([1]),
        Query("a", ["b"]),
        Query("a", ["c"]),
        [[1], 2],
        [1, 2],
        {},
        [],
        (),
        None,
        "text",
    ]
    keys = [freeze(value) for value in values]
    assert len(set(keys)) == len(values)
    assert freeze("text") == "text"
    assert freeze({"a": 1, "b": [2]}) == freeze({"b": [2], "a": 1})
    assert freeze(Query("a", ["b"])) == freeze(Query("a", ["b"]))
    assert hash(freeze({"a": [{1}]})) == hash(freeze({"a": [{1}]}))
    assert freeze(1, x=[2]) == freeze(1, x=[2])
    assert freeze(1, x=[2]) != freeze(1, y=[2])


def test_freeze_refuses_what_has_no_key() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match=r"'list' contains itself"):
        freeze(loop)
    with pytest.raises(TypeError, match=r"'Awkward'.*key=.*ignore="):
        freeze(Awkward())
    shared = [1]
    assert freeze([shared, shared]) == freeze([[1], [1]])
