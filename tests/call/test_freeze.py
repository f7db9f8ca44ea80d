"""``freeze``: keys are equal exactly where values are, and failures say what to do."""

import collections
import copy
import dataclasses
import itertools
import pickle
import sys
from collections.abc import Hashable, Iterator
from datetime import date
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo._call.freezing import freeze


@dataclasses.dataclass
class Query:
    words: Any
    limit: Any = 10
    cache: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class OtherQuery:
    words: Any
    limit: Any = 10
    cache: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Fixed:
    content: Any


@dataclasses.dataclass(slots=True)
class Lean:
    content: Any


class Pair(NamedTuple):
    left: Any
    right: Any


class Names(list[Any]):
    pass


PLAIN: list[Any] = ["a", 1, 1.5, True, None, b"x", 1j, ..., range(3), date(2020, 1, 1), int, len, object(), Fixed(1)]


@pytest.mark.parametrize("value", [*PLAIN, frozenset({1}), (), (1, ("a", None)), Pair(1, 2), (Fixed((1,)),)])
def test_hashables_stay(value: Any) -> None:
    """What can be hashed is returned itself."""
    assert freeze(value) is value
    assert freeze([value]) == freeze([value])


def test_a_tuple_that_holds_something_unhashable_is_replaced() -> None:
    """The key of a tuple is a tuple, with the keys of what it holds."""
    assert freeze((1, [2])) == (1, freeze([2]))
    assert freeze((1, [2])) != freeze((1, (2,)))
    assert freeze(Pair([1], 2)) == freeze(([1], 2))


DIFFERENT: list[Any] = [
    [1], (1,), {1}, {1: 1}, {1: 2}, [[1]], [(1,)], ([1],), [1, 1], [], (), {}, set(), [[]], [{}],
    {"a": 1}, [("a", 1)], (("a", 1),), {("a", 1)}, {"a": [1]}, {"a": (1,)}, {"a": {1}},
    collections.deque([1]), collections.deque(), bytearray(b"a"), "a", 1, None, [None],
    [1, 2], [2, 1], (1, 2), {1, 2}, {1: 2, 3: 4}, [1, 2, 3, 4],
    Query([1]), Query((1,)), Query([1], 11), OtherQuery([1]), Lean([1]), Fixed([1]), [Query([1])],
    [[1], 10], (Query, [1], 10), (list, 1), ("list", 1),
]  # fmt: skip


def test_different_values_have_different_keys() -> None:
    """No two of these share a key, though many hold the same things."""
    keys = [freeze(value) for value in DIFFERENT]
    for (i, a), (j, b) in itertools.combinations(enumerate(keys), 2):
        assert a != b, (DIFFERENT[i], DIFFERENT[j])
    assert len(set(keys)) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({"a": 1}, collections.OrderedDict(a=1)),
        ({"a": [1]}, collections.defaultdict(list, a=[1])),
        ({1, 2}, {2, 1}),
        ({1, 2}, frozenset((2, 1))),
        (bytearray(b"a"), b"a"),
        ([1], Names([1])),
        ([1], [1.0]),
        ([1], [True]),
        (collections.deque([1], maxlen=5), collections.deque([1])),
        (Query([1], cache=[1]), Query([1], cache=[2])),
        (Fixed([1]), Fixed([1])),
        (Lean({"a": {1}}), Lean({"a": {1}})),
    ],
)
def test_equal_values_have_equal_keys(first: Any, second: Any) -> None:
    """Where Python finds two values equal, so are their keys."""
    assert first == second
    assert freeze(first) == freeze(second)
    assert hash(freeze(first)) == hash(freeze(second))


def test_calls() -> None:
    """One value gives its key; every other way to call gives a key of its own."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((1,), {}),
        ((1, 2), {}),
        ((2, 1), {}),
        (((1, 2),), {}),
        (([1, 2],), {}),
        (([1], [2]), {}),
        ((), {"a": 1}),
        ((), {"b": 1}),
        ((1,), {"a": 1}),
        (({"a": 1},), {}),
        ((1, {"a": 1}), {}),
        ((), {"a": [1]}),
        ((), {"a": (1,)}),
        (((),), {}),
        (({},), {}),
        (((), {}), {}),
    ]
    keys = [freeze(*values, **named) for values, named in calls]
    assert len(set(keys)) == len(calls)
    assert freeze(a=1, b=[2]) == freeze(b=[2], a=1)
    assert freeze(1) == 1


def test_parameters_of_any_name() -> None:
    """No name of a parameter collides with one of freeze's own."""
    names = ("values", "named", "value", "self", "key", "path", "kind", "where")
    assert len({freeze(**{name: [1]}) for name in names}) == len(names)


def test_keys_are_copies() -> None:
    """A container that changes later has another key then, and the old key stays."""
    value: dict[str, Any] = {"a": [1, {2}]}
    before, again = freeze(value), freeze(copy.deepcopy(value))
    value["a"][1].add(3)
    assert before == again
    assert freeze(value) != before


def test_freezing_twice_changes_nothing() -> None:
    """A key is a hashable value, so it is its own key."""
    for value in DIFFERENT:
        key = freeze(value)
        assert freeze(key) is key


def test_keys_can_be_pickled_and_copied() -> None:
    """A key that was pickled or copied equals the original."""
    key = freeze([1, {"a": {2}}, Query([1]), collections.deque([3])], named=[4])
    assert pickle.loads(pickle.dumps(key)) == key
    assert copy.deepcopy(key) == key
    assert copy.copy(key) == key


def test_keys_can_be_read() -> None:
    """A key shows what it was made of."""
    assert repr(freeze([1, "a"])) == "(<list>, 1, 'a')"
    assert repr(freeze({"a": [1]})) == "(<dict>, frozenset({('a', (<list>, 1))}))"


def test_cycles() -> None:
    """A value that contains itself is refused with what to do, whatever it consists of."""
    inner: list[Any] = []
    inner.append(inner)
    mapping: dict[str, Any] = {}
    mapping["me"] = [mapping]
    query = Query(None)
    query.words = [query]
    queue: collections.deque[Any] = collections.deque()
    queue.append((queue,))
    listed: list[Any] = []
    around = (1, listed)
    listed.append(around)
    for value, kind in ((inner, "list"), (mapping, "dict"), (query, "Query"), (queue, "deque"), (around, "tuple")):
        for call in (freeze, lambda v: freeze(1, v), lambda v: freeze(a=v)):
            with pytest.raises(ValueError, match=rf"^freeze: .* of type '{kind}' contains itself; give a key= that "):
                call(value)


def test_cycles_among_hashables() -> None:
    """A cycle that only hashing would meet is refused too."""
    value = Fixed(None)
    object.__setattr__(value, "content", (value,))
    with pytest.raises(ValueError, match=r"^freeze: .* contains itself or is nested too deeply; give a key= that "):
        freeze(value)


def test_sharing_is_no_cycle() -> None:
    """What is reached twice, but not from within itself, is frozen twice."""
    shared = [1]
    assert freeze([shared, shared, (shared,)]) == freeze([[1], [1], ([1],)])


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: (v, [])])
def test_too_deep(wrap: Any) -> None:
    """A value too deep to be hashed is refused, and the interpreter lives on."""
    value: Any = None
    for _ in range(50):
        value = wrap(value)
    assert isinstance(freeze(value), Hashable)
    for _ in range(100_000):
        value = wrap(value)
    with pytest.raises(ValueError, match=r"^freeze: .* is nested too deeply; give a key= that ") as caught:
        freeze(value)
    assert len(str(caught.value)) < 500
    assert caught.value.__suppress_context__


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class RaisingHash:
    def __hash__(self) -> int:
        raise LookupError("inside")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (v,), lambda v: {"k": v}, Query])
@pytest.mark.parametrize(
    ("value", "kind"),
    [(Unhashable(), "Unhashable"), (RaisingHash(), "RaisingHash"), (memoryview(bytearray(1)), "memoryview"),
     ({}.keys(), "dict_keys"), (collections.UserList(), "UserList")],
)  # fmt: skip
def test_what_cannot_be_frozen(value: Any, kind: str, wrap: Any) -> None:
    """The message names the type that is the obstacle, however deep, and both remedies."""
    with pytest.raises(TypeError) as caught:
        freeze(wrap(value))
    message = str(caught.value)
    assert message.startswith("unhashable type: ")
    assert ": freeze: " in message
    assert f" of type '{kind}' can neither be hashed nor be taken apart; " in message
    assert "key=" in message
    assert "ignore=" in message
    assert isinstance(caught.value.__cause__, Exception)


def test_messages_are_short() -> None:
    """A large value is not written out in the message."""
    value: list[Any] = list(range(100_000))
    value.append(value)
    with pytest.raises(ValueError, match="contains itself") as caught:
        freeze(value)
    assert len(str(caught.value)) < 500


def test_subclasses_are_read_as_what_they_hold() -> None:
    """A container that shows something else than it holds is frozen by what it holds, as it is compared."""

    class Showy(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter("lies")

    class ShowyDict(dict[Any, Any]):
        def items(self) -> Any:
            return [("lies", 1)]

    assert freeze(Showy([1])) == freeze([1])
    assert freeze(ShowyDict(a=1)) == freeze({"a": 1})


def test_a_container_with_its_own_hash_stays() -> None:
    """A subclass that defines a hash is hashable like any other value."""

    class Hashed(list[Any]):
        def __hash__(self) -> int:
            return 7

    value = Hashed([1])
    assert freeze(value) is value


def test_dataclasses_that_are_containers() -> None:
    """A dataclass is compared by its fields even where it derives from a container."""

    @dataclasses.dataclass
    class Tagged(list[Any]):
        tag: str

    one, other = Tagged("a"), Tagged("b")
    one.append(1)
    assert freeze(one) == freeze(Tagged("a"))
    assert freeze(one) != freeze(other)


def test_metaclasses_without_hash() -> None:
    """Instances of a class that cannot itself be hashed are hashable all the same."""

    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            return cls is other

        __hash__ = None  # type: ignore[assignment]

    class Odd(metaclass=Meta):
        pass

    value = Odd()
    assert freeze(value) is value


# No NaN, which does not equal itself.
plain = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "a", "b", "", b"a", b""])
hashable = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=2).map(tuple) | st.frozensets(inner, max_size=2), max_leaves=3
)
nested = st.recursive(
    plain | st.sets(hashable, max_size=2) | st.sampled_from([b"a", b""]).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.builds(Query, inner, inner, inner)
        | st.builds(OtherQuery, inner)
        | st.builds(Fixed, inner)
        | st.builds(Lean, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


def is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def are_alike(first: Any, second: Any) -> bool:
    """Whether two values are equal, and of instances in the same place both can be hashed, or neither."""
    if first != second:
        return False
    if isinstance(first, dict):
        return all(are_alike(content, second[key]) for key, content in first.items())
    if isinstance(first, list | tuple | collections.deque):
        return all(map(are_alike, first, second))
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first) if field.compare]
        each = all(are_alike(getattr(first, name), getattr(second, name)) for name in names)
        return each and is_hashable(first) == is_hashable(second)
    return True


@settings(deadline=None)
@given(nested, nested)
def test_keys_are_equal_exactly_where_values_are(first: Any, second: Any) -> None:
    """Equality of keys is equality of values."""
    assert (freeze(first) == freeze(second)) is are_alike(first, second)
    if are_alike(first, second):
        assert hash(freeze(first)) == hash(freeze(second))


def test_an_instance_that_can_be_hashed_is_its_own_key() -> None:
    """One that cannot, though it is equal, has another: hash and equality of the first may be the user's own."""
    first, second = Fixed(b"a"), Fixed(bytearray(b"a"))
    assert first == second
    assert freeze(first) is first
    assert freeze(first) != freeze(second)


def similar(value: Any, draw: Any) -> Any:
    """A copy with dicts in another order and, here and there, another kind of container or another value."""
    change = draw(st.integers(0, 11))
    if change == 0:
        return draw(plain)
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        return {key: similar(content, draw) for key, content in items}
    if isinstance(value, list | tuple | collections.deque):
        kind = draw(st.sampled_from([list, tuple, collections.deque])) if change == 1 else type(value)
        items = [similar(item, draw) for item in value]
        return kind(*items) if kind is Pair else kind(items)
    if dataclasses.is_dataclass(value):
        kind = OtherQuery if change == 1 and type(value) is Query else type(value)
        return kind(*[similar(getattr(value, field.name), draw) for field in dataclasses.fields(value)])
    return copy.copy(value)


@settings(deadline=None)
@given(nested, st.data())
def test_keys_of_similar_values(first: Any, data: st.DataObject) -> None:
    """The same for values that differ in little or in nothing, which chance alone would hardly find."""
    second = similar(first, data.draw)
    assert (freeze(first) == freeze(second)) is are_alike(first, second)
    assert freeze(copy.deepcopy(first)) == freeze(first)


names = st.sampled_from(["a", "b", "values"])


@settings(deadline=None)
@given(st.lists(nested, max_size=3), st.dictionaries(names, nested, max_size=2), st.data())
def test_keys_of_calls(values: list[Any], named: dict[str, Any], data: st.DataObject) -> None:
    """Calls have equal keys exactly if they pass equal values in the same way."""
    others = [similar(value, data.draw) for value in values]
    other_named = {name: similar(named[name], data.draw) for name in reversed(named)}
    alike = are_alike((values, named), (others, other_named))
    assert (freeze(*values, **named) == freeze(*others, **other_named)) is alike


def test_the_recursion_limit_is_left_alone() -> None:
    """Refusing a deep value changes nothing in the interpreter's settings."""
    before = sys.getrecursionlimit()
    value: Any = []
    for _ in range(10_000):
        value = [value]
    with pytest.raises(ValueError, match="too deeply"):
        freeze(value)
    assert sys.getrecursionlimit() == before
