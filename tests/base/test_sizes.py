"""``sizeof``: what holds something counts it, once."""

import collections
import enum
import functools
import itertools
import operator
import sys
import types
import xml.etree.ElementTree as ET
from sys import getsizeof
from typing import Any, NamedTuple

import pytest
from kit.sizes import BIG, Plain, Point

from memo._base.sizes import sizeof


class Slotted:
    __slots__ = ("__hidden", "first", "second")

    def hide(self, value: Any) -> None:
        self.__hidden = value


class SlottedMore(Slotted):
    __slots__ = ("third",)


class SlottedAndDict(Slotted):
    pass


class OneSlot:
    __slots__ = "only"


class Pair(NamedTuple):
    left: Any
    right: Any


class Colour(enum.Enum):
    RED = "red" * 1000


@pytest.mark.parametrize("value", ["", "text", "\u20ac" * 10, b"bytes", 0, 10**50, 1.5, True, None, 1j, bytearray(9)])
def test_plain_values(value: object) -> None:
    """A value that holds nothing takes what the interpreter says."""
    assert sizeof(value) == getsizeof(value)


def test_containers() -> None:
    """A container takes its own bytes and those of what it holds."""
    a, b = "alpha" * 10, 10**40
    both = getsizeof(a) + getsizeof(b)
    for container in ([a, b], (a, b), {a, b}, frozenset((a, b)), {a: b}, collections.deque([a, b])):
        assert sizeof(container) == getsizeof(container) + both


@pytest.mark.parametrize(
    "kind",
    [collections.OrderedDict, collections.Counter, lambda d: collections.defaultdict(list, d), types.MappingProxyType],
)
def test_mappings(kind: Any) -> None:
    """Keys and values of every kind of dict count, text among the keys too."""
    content = {"key" * 10: 10**30, 7: 10**31}
    value = kind(content)
    held = sum(map(getsizeof, [*content, *content.values()]))
    if kind is types.MappingProxyType:
        held += getsizeof(content)
    if hasattr(value, "__dict__"):  # empty, but it is there
        held += getsizeof(vars(value))
    assert sizeof(value) == getsizeof(value) + held


def test_sharing_counts_once() -> None:
    """What is reached twice counts once."""
    one = "one" * 100
    inner = [one]
    value = [inner, inner, one, {"a": inner}]
    expected = sum(map(getsizeof, [value, inner, one, value[3], "a"]))
    assert sizeof(value) == expected


def test_equal_objects_count_apart() -> None:
    """Identity counts, not equality."""
    texts = ["".join(["same", " ", "text"]) for _ in range(3)]
    assert sizeof(texts) == getsizeof(texts) + 3 * getsizeof(texts[0])


def test_cycles_end() -> None:
    """A value that contains itself counts once."""
    value: list[Any] = []
    value.append(value)
    assert sizeof(value) == getsizeof(value)
    mapping: dict[str, Any] = {"self": value}
    value.append(mapping)
    mapping["me"] = mapping
    assert sizeof(mapping) == sum(map(getsizeof, [mapping, value, "self", "me"]))
    instance = Plain()
    instance.me = instance  # type: ignore[attr-defined]
    assert sizeof(instance) == sum(map(getsizeof, [instance, instance.__dict__, "me"]))


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: Plain(next=v)])
def test_depth_does_not_matter(wrap: Any) -> None:
    """A hundred thousand levels are measured like one."""
    value: Any = None
    for _ in range(100_000):
        value = wrap(value)
    one = sizeof(wrap(None)) - sizeof(None)
    assert sizeof(value) >= 100_000 * getsizeof(value)
    assert sizeof(value) <= 100_000 * one + sizeof(None)


def test_attributes() -> None:
    """The attributes of an instance count, with the dict that keeps them."""
    value = Plain(name="n" * 50, data=BIG)
    expected = sum(map(getsizeof, [value, value.__dict__, "name", "data", "n" * 50, BIG]))
    assert sizeof(value) == expected


def test_slots() -> None:
    """Slots count: inherited ones, private ones, the one of a single name; empty ones do no harm."""
    empty = SlottedMore()
    assert sizeof(empty) == getsizeof(empty)
    full = SlottedMore()
    full.first, full.third = "f" * 70, "t" * 90
    full.hide(BIG)
    assert sizeof(full) == sum(map(getsizeof, [full, full.first, full.third, BIG]))
    mixed = SlottedAndDict()
    mixed.first = "f" * 70
    mixed.extra = BIG  # type: ignore[attr-defined]
    assert sizeof(mixed) == sum(map(getsizeof, [mixed, mixed.first, mixed.__dict__, "extra", BIG]))
    single = OneSlot()
    single.only = BIG
    assert sizeof(single) == getsizeof(single) + getsizeof(BIG)
    point = Point(BIG, 10**30)
    assert sizeof(point) == getsizeof(point) + getsizeof(BIG) + getsizeof(10**30)


def test_subclasses_of_containers() -> None:
    """The content of a subclass counts, and its attributes."""

    class Named(list[Any]):
        pass

    named = Named([BIG])
    named.label = "l" * 60  # type: ignore[attr-defined]
    assert sizeof(named) == sum(map(getsizeof, [named, BIG, named.__dict__, "label", "l" * 60]))
    pair = Pair(BIG, "r" * 60)
    assert sizeof(pair) == sum(map(getsizeof, [pair, BIG, "r" * 60]))
    user = collections.UserDict({"key": BIG})
    assert sizeof(user) > getsizeof(BIG)


def test_what_the_program_shares_is_not_followed() -> None:
    """Classes, modules and enum members count as themselves where they are the value, and else as references."""

    class Class:
        attribute = BIG

    shared = [sys, Class, int, str.upper, str.__add__, dict.fromkeys, vars(dict)["fromkeys"], Colour.RED, Colour]
    for value in shared:
        assert 0 < sizeof(value) < 10_000
    for value in (sys, Class, int, Colour.RED, Colour):
        assert sizeof(value) == getsizeof(value)
        assert sizeof([value]) == getsizeof([value])
    assert sizeof(Plain(c=Class, m=sys, e=Colour.RED)) < 2_000
    assert sizeof(collections.defaultdict(Class)) == getsizeof(collections.defaultdict(Class))


def test_functions_count_what_they_alone_hold() -> None:
    """A closure, defaults and attributes count; globals and constants, which the module shares, do not."""

    def plain() -> bytes:
        return BIG

    def make(data: bytes) -> Any:
        return lambda: data

    def with_default(data: bytes = bytes(50_000)) -> bytes:
        return data

    def with_keyword(*, data: bytes = bytes(50_000)) -> bytes:
        return data

    assert getsizeof(plain) <= sizeof(plain) < 1_000
    assert 0 < sizeof(len) < 1_000
    for function in (make(bytes(50_000)), with_default, with_keyword):
        assert 50_000 < sizeof(function) < 52_000
        assert sizeof([function, function]) < 52_000
    plain.attribute = bytes(50_000)  # type: ignore[attr-defined]
    assert 50_000 < sizeof(plain) < 52_000


def _bound_builtin() -> Any:
    return [bytes(50_000)].append


def _callable_object() -> Any:
    class Call:
        __slots__ = ("data",)

        def __call__(self) -> bytes:
            return self.data  # type: ignore[no-any-return]

    call = Call()
    call.data = bytes(50_000)
    return call


def _element() -> Any:
    root = ET.Element("root")
    ET.SubElement(root, "leaf").text = "x" * 50_000
    return root


def _caused() -> Any:
    error = ValueError("short")
    error.__cause__ = KeyError("x" * 50_000)
    return error


@pytest.mark.parametrize(
    "make",
    [
        lambda: Plain(data=bytes(50_000)).__init__,
        lambda: types.MethodType(print, bytes(50_000)),
        _bound_builtin,
        lambda: bytes(50_000).__len__,
        _callable_object,
        lambda: functools.partial(print, bytes(50_000)),
        lambda: functools.partial(print, end=bytes(50_000)),
        lambda: type("Partial", (functools.partial,), {})(print, bytes(50_000)),
        lambda: {"key": bytes(50_000)}.values(),
        lambda: {bytes(50_000): 1}.keys(),
        lambda: {1: bytes(50_000)}.items(),
        lambda: itertools.cycle([bytes(50_000)]),
        lambda: iter([bytes(50_000)]),
        lambda: types.SimpleNamespace(data=bytes(50_000)),
        lambda: slice(bytes(50_000)),
        lambda: operator.attrgetter("x" * 50_000),
        lambda: collections.ChainMap({"key": bytes(50_000)}),
        _element,
        _caused,
    ],
)
def test_what_holds_something_counts_it(make: Any) -> None:
    """Whatever an object holds on to counts with it."""
    value = make()
    assert 50_000 < sizeof(value) < 60_000
    assert 50_000 < sizeof([value]) < 60_000


def test_views_of_arrays_count_the_array() -> None:
    """A numpy array counts its numbers, and a view of one those of the array that it keeps alive."""
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(100_000)
    assert 800_000 < sizeof(array) < 801_000
    for view in (array[:10], array[::2], array.reshape(100, 1_000).T, memoryview(array)):
        assert 800_000 < sizeof(view) < 801_000
    assert sizeof([array, array[:10]]) < 802_000
    assert 0 < sizeof(numpy.float64(1.5)) < 100


def test_arrays_of_objects_count_these() -> None:
    """An array of objects counts them, each once, however it is shaped."""
    numpy = pytest.importorskip("numpy")
    one = bytes(50_000)
    assert 50_000 < sizeof(numpy.array([one, one], dtype=object)) < 51_000
    assert 100_000 < sizeof(numpy.array([[[bytes(50_000)]], [[bytes(50_001)]]], dtype=object)) < 101_000
    rows = numpy.array([(1, bytes(50_000))], dtype=[("a", int), ("b", object)])
    assert 50_000 < sizeof(rows) < 51_000


def test_frames_count_what_they_hold_once() -> None:
    """What pandas' own ``__sizeof__`` counts is not counted twice; a part of a frame counts what it keeps alive."""
    pandas = pytest.importorskip("pandas")
    numpy = pytest.importorskip("numpy")
    frame = pandas.DataFrame(numpy.zeros((10_000, 10)))
    for value in (frame, frame[:10], frame[0], frame.iloc[5]):
        assert 800_000 < sizeof(value) < 820_000
    text = pandas.Series(["x" * 1_000 + str(number) for number in range(100)], dtype=object)
    assert 100_000 < sizeof(text) < 120_000


def test_buffers_and_arguments_of_exceptions() -> None:
    """The buffer that a view keeps alive counts, and what an exception was raised with."""
    view = memoryview(BIG)[:10]
    assert sizeof(view) == getsizeof(view) + getsizeof(BIG)
    view.release()
    assert sizeof(view) == getsizeof(view)
    error = ValueError(BIG)
    assert sizeof(error) >= getsizeof(error) + getsizeof(BIG)


def test_a_traceback_is_not_followed() -> None:
    """An exception does not count the frames it passed."""

    def fail() -> None:
        local = bytes(1_000_000)
        raise ValueError(len(local))

    with pytest.raises(ValueError, match="1000000") as caught:
        fail()
    assert caught.value.__traceback__ is not None
    assert sizeof(caught.value) < 10_000
