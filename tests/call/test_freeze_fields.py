"""``freeze`` of instances with fields and of arrays, by the libraries that make them, and ``freeze_typed``."""

import collections
import dataclasses
import enum
import functools
import pickle
import sys
import types
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from memo import Registry, bounded, freeze, freeze_typed

BOTH = pytest.mark.parametrize("frozen", [freeze, freeze_typed])


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any


@dataclasses.dataclass
class Open:
    x: Any
    note: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(eq=False)
class Identical:
    x: Any


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


# -- attrs


@BOTH
def test_attrs(frozen: Any) -> None:
    """Instances of attrs classes are equal by the fields that attrs compares, with slots or without."""
    attr = pytest.importorskip("attr")

    @attr.define
    class Point:
        x: Any
        y: Any = attr.field(default=0, eq=False)

    @attr.s
    class Old:
        x = attr.ib()
        name = attr.ib(default="", eq=str.lower)

    @attr.define
    class Sub(Point):
        z: Any = 0

    assert frozen(Point([1])) == frozen(Point([1], y=5)) != frozen(Point([2]))
    assert frozen(Old([1], "A")) == frozen(Old([1], "a")) != frozen(Old([1], "b"))
    assert frozen(Point(1)) != frozen(Sub(1)) != frozen(Old(1))
    assert frozen({"p": [Point({"a": 1})]}) == frozen({"p": [Point({"a": 1})]})
    assert hash(frozen(Point([1]))) == hash(frozen(Point([1])))


@BOTH
def test_attrs_with_arrays(frozen: Any) -> None:
    """A field that compares with a function of its own is taken by its content."""
    attr, numpy = pytest.importorskip("attr"), pytest.importorskip("numpy")

    @attr.define
    class Picture:
        pixels: Any = attr.field(eq=attr.cmp_using(eq=numpy.array_equal))

    assert frozen(Picture(numpy.zeros(3))) == frozen(Picture(numpy.zeros(3))) != frozen(Picture(numpy.ones(3)))


# -- pydantic


@BOTH
def test_pydantic(frozen: Any) -> None:
    """Models are equal by type, fields, extra fields and private attributes, as pydantic compares them."""
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str
        tags: list[Any] = []  # noqa: RUF012

        @functools.cached_property
        def upper(self) -> str:
            return self.name.upper()

    class Other(User):
        pass

    class Open(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = {"extra": "allow"}  # noqa: RUF012
        x: int
        _secret: Any = pydantic.PrivateAttr(default=0)

    class Closed(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = {"frozen": True}  # noqa: RUF012
        parts: Any

    class Names(pydantic.RootModel):  # type: ignore[misc, name-defined]
        root: list[str]

    one, two = User(name="a", tags=[{"x": 1}]), User(name="a", tags=[{"x": 1}])
    assert one.upper == "A"
    assert frozen(one) == frozen(two) != frozen(User(name="b"))
    assert frozen(User(name="a")) == frozen(User(name="a", tags=[])) != frozen(Other(name="a"))
    assert frozen(Open(x=1, y=[2])) == frozen(Open(x=1, y=[2])) != frozen(Open(x=1, y=[3]))
    secret = Open(x=1)
    secret._secret = [5]
    assert frozen(secret) != frozen(Open(x=1))
    assert frozen(Closed(parts=(1, 2))) == frozen(Closed(parts=(1, 2)))
    assert frozen(Closed(parts=[1, 2])) == frozen(Closed(parts=[1, 2])) != frozen(Closed(parts=[1]))
    assert frozen(Names(["a"])) == frozen(Names(["a"])) != frozen(Names(["b"]))


def test_pydantic_in_calls() -> None:
    """Requests that are models make keys of calls."""
    pydantic = pytest.importorskip("pydantic")

    class Query(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        text: str
        limits: dict[str, int] = {}  # noqa: RUF012

    search = bounded(max=5, key=freeze, registry=Registry())(lambda query: query.text.upper())
    assert search(Query(text="a", limits={"n": 1})) == search(Query(text="a", limits={"n": 1})) == "A"
    assert search(Query(text="a", limits={"n": 2})) == "A"
    assert (search.cache.stats().hits, search.cache.stats().misses) == (1, 2)


# -- msgspec


@BOTH
def test_msgspec(frozen: Any) -> None:
    """Structs are equal by type and fields."""
    msgspec = pytest.importorskip("msgspec")

    class Point(msgspec.Struct):  # type: ignore[misc, name-defined]
        x: Any
        y: Any = None

    class Closed(msgspec.Struct, frozen=True):  # type: ignore[misc, name-defined, call-arg]
        x: Any

    assert frozen(Point([1])) == frozen(Point([1])) != frozen(Point([2]))
    assert frozen(Closed([1])) == frozen(Closed([1])) != frozen(Closed((1,)))
    assert frozen(Point(1)) != frozen(Closed(1))


@BOTH
def test_a_library_that_was_imported_anew(frozen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances are known by the library that is imported now, also where another copy of it was asked before."""

    def imported() -> Any:
        class Struct:
            __struct_fields__ = ("x",)

            def __init__(self, x: Any) -> None:
                self.x = x

            def __eq__(self, other: object) -> bool:
                return type(other) is type(self) and other.x == self.x

            __hash__ = None  # type: ignore[assignment]

        monkeypatch.setitem(sys.modules, "msgspec", types.SimpleNamespace(Struct=Struct))
        return Struct

    for _ in range(2):
        kind = imported()
        assert frozen(kind([1])) == frozen(kind([1])) != frozen(kind([2]))


# -- numpy


@BOTH
def test_arrays(frozen: Any) -> None:
    """Arrays are equal by dtype, shape and content, however they lie in memory, small or large."""
    numpy = pytest.importorskip("numpy")
    for size in (6, 6_000):
        array = numpy.arange(size)
        assert frozen(array) == frozen(numpy.arange(2 * size)[:size]) != frozen(numpy.arange(size) + 1)
        assert frozen(array) != frozen(array.reshape(2, -1)) != frozen(array.astype(float))
        assert frozen(numpy.asfortranarray(array.reshape(2, -1))) == frozen(array.reshape(2, -1))
        assert frozen([array]) == frozen([array.copy()])
        assert hash(frozen(array)) == hash(frozen(array.copy()))
        assert pickle.loads(pickle.dumps(frozen(array))) == frozen(array)
    assert len(repr(frozen(numpy.zeros(1_000_000)))) < 1_000
    assert frozen(numpy.array(5)) == frozen(numpy.array(5)) != frozen(numpy.array([5]))
    assert frozen(numpy.array(["2024-01-01"], "M8[D]")) != frozen(numpy.array(["2024-01-02"], "M8[D]"))
    assert frozen(numpy.array([numpy.nan])) == frozen(numpy.array([numpy.nan]))


@BOTH
def test_arrays_of_objects_and_fields(frozen: Any) -> None:
    """Objects in arrays count by their value, fields without the gaps between them, and what is masked not at all."""
    numpy = pytest.importorskip("numpy")
    one, two = (numpy.array([[1], {"a": [2]}, "x" * 50], dtype=object) for _ in range(2))
    assert frozen(one) == frozen(two) != frozen(numpy.array([[1], {"a": [3]}, "x"], dtype=object))
    kind = numpy.dtype([("a", "i1"), ("b", "f8")], align=True)
    rows, others = numpy.zeros(3, kind), numpy.frombuffer(b"\1" * 3 * kind.itemsize, kind).copy()
    others["a"], others["b"] = 0, 0.0
    assert frozen(rows) == frozen(others)
    assert frozen(rows[0]) == frozen(others[0])
    rows["a"][1] = 1
    assert frozen(rows) != frozen(others)
    assert frozen(rows[1]) != frozen(others[1])
    masked = numpy.ma.array([1, 2], mask=[False, True])
    assert frozen(masked) == frozen(numpy.ma.array([1, 3], mask=[False, True])) != frozen(numpy.ma.array([1, 2]))


def test_scalars() -> None:
    """Scalars of numpy are hashable, and equal to the numbers that they are; ``freeze_typed`` tells them apart."""
    numpy = pytest.importorskip("numpy")
    assert freeze(numpy.int64(1)) == freeze(1) == freeze(numpy.float32(1))
    ones = (numpy.int64(1), 1, numpy.float32(1), numpy.int8(1), numpy.bool_(True))
    assert len({freeze_typed(one) for one in ones}) == 5
    assert freeze([numpy.int64(1)]) == freeze([1])
    assert freeze_typed([numpy.int64(1)]) != freeze_typed([1])


# -- the typed form

ALIKE: list[list[Any]] = [
    [1, 1.0, True, 1 + 0j, Decimal(1), Fraction(1), Colour.RED],
    ["a", Text("a")],
    [b"a", bytearray(b"a")],
    [(1, 2), Pair(1, 2), (1.0, 2), (True, 2)],
    [[1], [1.0], [True], collections.UserList([1])],
    [{1: "a"}, {1.0: "a"}, collections.OrderedDict({1: "a"}), collections.defaultdict(int, {1: "a"})],
    [{"a": 1}, {"a": 1.0}, {"a": True}, {Text("a"): 1}],
    [{1}, {1.0}, frozenset({1}), frozenset({True})],
    [Frozen(1), Frozen(1.0), Frozen((1,)), Frozen((1.0,))],
    [Open([1]), Open([1.0])],
    [collections.deque([1]), collections.deque([1.0])],
    [([{1: (1,)}],), ([{1: (1.0,)}],), ([{1: (True,)}],)],
]


@pytest.mark.parametrize("values", ALIKE, ids=repr)
def test_types_are_told_apart(values: list[Any]) -> None:
    """Values that are equal, but not of one type, have different keys, however deep the difference lies."""
    values = [value for value in values if not isinstance(value, collections.UserList)]
    assert len({freeze_typed(value) for value in values}) == len(values)
    assert len({freeze_typed(value, x=1) for value in values}) == len(values)
    assert len({freeze_typed(x=value) for value in values}) == len(values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, {"a": {2, 3.0}}, (True, None)],
        lambda: Open([1]),
        lambda: Frozen([1]),
        lambda: Pair([1], {}),
        lambda: {(1, 2.0): [Frozen(3)]},
        lambda: bytearray(b"x"),
    ],
)
def test_equal_values_have_equal_typed_keys(make: Any) -> None:
    """Values that are equal in content and types have one key, which can be pickled."""
    key = freeze_typed(make())
    assert key == freeze_typed(make())
    assert hash(key) == hash(freeze_typed(make()))
    assert pickle.loads(pickle.dumps(key)) == key


def test_order_and_identity() -> None:
    """Dicts and sets count without their order; what compares by identity goes on doing so."""
    assert freeze_typed({1: 2, 3: 4}) == freeze_typed({3: 4, 1: 2})
    assert freeze_typed(a=1, b=2) == freeze_typed(b=2, a=1) != freeze_typed(a=1)
    one, two = Identical([1]), Identical([1])
    assert freeze_typed(one) == freeze_typed(one) != freeze_typed(two)
    held = Identical(memoryview(bytearray(b"x")))
    assert freeze_typed(held) == freeze_typed(held)
    assert freeze_typed("a") == "a"


def test_typed_keys_of_calls() -> None:
    """As ``key=`` it does for nested arguments what ``typed=True`` does for plain ones."""
    fetch = bounded(max=9, key=freeze_typed, registry=Registry())(lambda values: [type(value) for value in values])
    assert fetch([1]) == [int]
    assert fetch([1.0]) == [float]
    assert fetch([True]) == [bool]
    assert fetch([1]) == [int]
    assert (fetch.cache.stats().hits, fetch.cache.stats().misses) == (1, 3)


# -- what cannot be frozen


@BOTH
def test_what_cannot_be_frozen(frozen: Any) -> None:
    """The message names the type; cycles and depth end."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

    for value in (Odd(), [Odd()], {"a": Odd()}, Open(Odd())):
        with pytest.raises(TypeError, match=r"^unhashable type: .*: freeze: .*Odd' can neither be hashed.*give a key="):
            frozen(value)
    with pytest.raises(TypeError, match=r"^unhashable type: .*: freeze: .*'memoryview' can neither be hashed nor"):
        frozen(memoryview(bytearray(b"x")))
    circle: list[Any] = []
    circle.append((circle,))
    with pytest.raises(ValueError, match="contains itself"):
        frozen(circle)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        frozen(deep)
