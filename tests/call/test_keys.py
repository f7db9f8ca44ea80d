"""Equal calls have equal keys, however they are spelled."""

import asyncio
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.keys import Awkward

from memo import bounded

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
    """For any signature, calls share a result exactly when the function would receive the same."""
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
    """For any signature, awaited calls share a result exactly when the function would receive the same."""
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
    """With `typed=True` the function runs once for each distinct reading of values and types."""
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
    """With `typed` 1, 1.0 and True are three keys, shown as passed; without it one, beside another argument."""

    def same(x: Any) -> str:
        return type(x).__name__

    def beside(x: Any, y: Any) -> str:
        return type(x).__name__

    untyped, typed = bounded(max=8)(beside), bounded(max=8, typed=True)(same)
    assert [untyped(1, 0), untyped(1.0, 0), untyped(True, 0)] == ["int", "int", "int"]
    assert [typed(1), typed(1.0), typed(True)] == ["int", "float", "bool"]
    assert [key for key, _ in typed.cache.items()] == [1, 1.0, True]
    assert typed.cache_parameters() == {"maxsize": 8, "typed": True}
    assert typed.cache.invalidate(True)
    assert len(typed.cache) == 2


def test_typed_default_is_typed_too() -> None:
    """With `typed=True` a default counts with its type, as if it had been passed."""

    @bounded(max=8, typed=True)
    def same(x: Any, y: Any = 1) -> list[Any]:
        return [x, y]

    assert same(0) is same(0, 1)
    assert same(0) is not same(0, True)


# -- the key that users see


def test_shape_of_keys() -> None:
    """A lone parameter's key is its value; others make a tuple, with `*` and `**` nested, or flat when alone."""

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
    """`**` arguments in another order are the same call, and with swapped values another one."""
    calls = []

    @bounded(max=8)
    def fetch(**filters: Any) -> None:
        calls.append(list(filters))

    fetch(a=1, b=2)
    fetch(b=2, a=1)
    fetch(b=1, a=2)
    assert calls == [["a", "b"], ["b", "a"]]


def test_keyword_values_that_cannot_be_ordered() -> None:
    """Values of `**` arguments need no order among themselves."""

    @bounded(max=8)
    def fetch(**filters: Any) -> int:
        return len(filters)

    assert fetch(a=1j, b=None) == fetch(b=None, a=1j) == 2
    assert fetch.cache_info().misses == 1


# -- defaults of any kind


def test_defaults_reach_the_function_as_the_same_objects() -> None:
    """A default is passed by identity, equals its being spelled out, and stays where the function has it."""
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
    """The same NaN is a hit and another NaN is not, while equal infinities are."""

    @bounded(max=8)
    def fetch(x: float) -> list[float]:
        return [x]

    nan = float("nan")
    assert fetch(nan) is fetch(nan)
    assert fetch(float("nan")) is not fetch(nan)
    assert fetch(math.inf) is fetch(math.inf)


def test_a_mutable_default_is_refused_at_the_call_and_may_be_ignored() -> None:
    """A call that uses a list as default raises TypeError with advice; ignored, it is passed."""

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


def test_a_default_that_cannot_be_compared_or_shown_is_no_obstacle() -> None:
    """A default without working comparison or repr can be ignored, and reaches the function."""

    @bounded(max=8, ignore=["options"])
    def fetch(x: int, options: Any = Awkward()) -> list[Any]:  # noqa: B008  # that is the case
        return [x, type(options)]

    assert fetch(1) is fetch(1)
    assert fetch(1) == [1, Awkward]


# -- names of internals


def test_parameters_named_like_internals() -> None:
    """Parameters with the names that the generated wrapper might use keep their values."""

    @bounded(max=8, ttl=60, idle=60, copy="shallow")
    def fetch(
        _memo_now: int, entry: int, key: int, clock: int, function: int, *, index: int = 5, copy: int = 6
    ) -> list[int]:
        return [_memo_now, entry, key, clock, function, index, copy]

    assert fetch(1, 2, 3, 4, 5) == [1, 2, 3, 4, 5, 5, 6]
    assert fetch(entry=2, _memo_now=1, key=3, clock=4, function=5) == [1, 2, 3, 4, 5, 5, 6]
    assert fetch.cache_info() == (1, 1, 8, 1)


def test_self_may_stand_anywhere() -> None:
    """In a plain function `self` is a parameter like any other, first or last."""

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
    """A parameter with two leading underscores goes by its mangled name as keyword, as Python has it."""

    class Service:
        @bounded(max=8)
        def fetch(self, __name: str, *, __lang: str = "en") -> list[str]:
            return [__name, __lang]

    service = Service()
    assert service.fetch("a") is service.fetch(_Service__name="a")
    assert service.fetch("a", _Service__lang="de") == ["a", "de"]


def test_a_function_sees_its_own_globals_and_closure() -> None:
    """A decorated function still sees variables of its closure and its module, and builtins."""
    here = 41

    @bounded(max=8)
    def fetch(x: int) -> Any:
        return here + x, globals()["__name__"], len("abc")

    assert fetch(1) == (42, __name__, 3)


def test_many_parameters() -> None:
    """Three hundred parameters make the same key by position and by keyword."""
    names = [f"p{i}" for i in range(300)]
    namespace: dict[str, Any] = {}
    exec(f"def wide({', '.join(names)}):\n    return [p0, p299]", namespace)
    wide = bounded(max=8)(namespace["wide"])
    assert wide(*range(300)) is wide(**dict(zip(names, range(300), strict=True)))
