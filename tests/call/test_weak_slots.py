"""Methods of instances that allow no weak reference and have no hash: the error names the way of their library."""

import dataclasses
from typing import Any

import pytest

from memo import Registry, bounded


def method(function: Any) -> Any:
    return bounded(max=5, registry=Registry())(function)


@dataclasses.dataclass(slots=True)
class Point:
    x: int

    @method
    def double(self) -> int:
        return 2 * self.x


@dataclasses.dataclass(slots=True, weakref_slot=True)
class Referable:
    x: int

    @method
    def double(self) -> int:
        return 2 * self.x


class Plain:
    __slots__ = ("x",)
    __hash__ = None  # type: ignore[assignment]

    @method
    def double(self) -> int:
        return 2


def test_dataclasses() -> None:
    """A dataclass with slots is told of ``weakref_slot=True``, and with that it works."""
    with pytest.raises(TypeError, match=r"write @dataclass\(slots=True, weakref_slot=True\) for Point, or"):
        Point(1).double()
    one, two = Referable(1), Referable(1)
    assert [one.double(), one.double(), two.double()] == [2, 2, 2]
    assert one.double.cache.stats().misses == 2  # type: ignore[attr-defined]


def test_slots() -> None:
    """A plain class with slots is told of ``__weakref__``."""
    with pytest.raises(TypeError, match=r"add '__weakref__' to Plain.__slots__, or leave it out of the key"):
        Plain().double()


def test_structs_and_attrs() -> None:
    """Structs of msgspec and classes of attrs have options of their own."""
    msgspec, attr = pytest.importorskip("msgspec"), pytest.importorskip("attr")

    class Struct(msgspec.Struct):  # type: ignore[misc, name-defined]
        x: int

        @method
        def double(self) -> int:
            return 2 * self.x

    class Weak(msgspec.Struct, weakref=True):  # type: ignore[misc, name-defined, call-arg]
        x: int

        @method
        def double(self) -> int:
            return 2 * self.x

    @attr.define(weakref_slot=False)
    class Defined:
        x: int

        @method
        def double(self) -> int:
            return 2 * self.x

    with pytest.raises(TypeError, match=r"class Struct\(Struct, weakref=True\), or leave it out of the key"):
        Struct(1).double()
    with pytest.raises(TypeError, match=r"@define\(weakref_slot=True\) for .*Defined, or leave it out of the key"):
        Defined(1).double()
    assert Weak(1).double() == 2
