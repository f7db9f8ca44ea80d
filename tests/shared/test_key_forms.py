"""Equal keys have equal forms, and unequal ones unequal forms, whatever kind they are of."""

import enum
import itertools
import math
from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Interface
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.shared_keys import BERLIN, SHARED_KEYS, Number, Point, Word

from memo import bounded, freeze
from memo.shared._key_forms import Formless, form

KEYS = st.recursive(
    st.integers(0, len(SHARED_KEYS) - 1).map(lambda number: SHARED_KEYS[number]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
        st.frozensets(inner, max_size=3),
    ),
    max_leaves=6,
)


def are_one(one: Hashable, other: Hashable) -> bool:
    """Whether a dict takes one for the other."""
    return one == other and hash(one) == hash(other)


def test_forms_are_equal_as_keys_are() -> None:
    """Of each two keys, the forms are equal if and only if a dict takes one for the other."""
    forms = list(map(form, SHARED_KEYS))
    for (one, first), (other, second) in itertools.product(zip(SHARED_KEYS, forms, strict=True), repeat=2):
        assert (first == second) is are_one(one, other), (one, other)


@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, min_size=2, max_size=8))
def test_forms_of_nested_keys_are_equal_as_keys_are(keys: list[Any]) -> None:
    """So it is of keys that hold others, however deep."""
    forms = list(map(form, keys))
    for (one, first), (other, second) in itertools.combinations(zip(keys, forms, strict=True), 2):
        assert (first == second) is are_one(one, other), (one, other)


@settings(max_examples=150, deadline=None)
@given(st.integers(), st.floats(allow_nan=False), st.decimals(allow_nan=False, places=3), st.text(), st.binary())
def test_numbers_and_text_of_any_kind(integer: int, number: float, decimal: Decimal, text: str, data: bytes) -> None:
    """A number has the form of what it equals, whatever its type; text and bytes have forms of their own."""
    assert form(integer) == form(Fraction(integer)) == form(Number(integer))
    if math.isfinite(number):
        assert form(number) == form(Fraction(number)) == form(Decimal(number)) == form(complex(number, -0.0))
    if decimal.is_finite():
        assert form(decimal) == form(Fraction(decimal)) == form(Decimal(f"{decimal}00"))
    assert form(text) == form(Word(text))
    assert form((text,)) != form(text) != form(data) == form(memoryview(data))


class Pair:
    """Decides itself what it equals."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair)

    def __hash__(self) -> int:
        return 1


class Sly(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Upper(enum.Enum):
    """Its members equal what is spelled like them."""

    A = "a"

    def __eq__(self, other: object) -> bool:
        return str(other).upper() == "A"

    __hash__ = enum.Enum.__hash__


def hidden() -> type:
    class Hidden:
        pass

    return Hidden


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (Pair(), "Pair"),
        (("a", Sly("a")), "Sly"),
        (frozenset({Upper.A}), "Upper"),
        (object(), "object"),
        (len, "builtin"),
        (IPv4Interface("1.2.3.4/8"), "IPv4Interface"),
        (math.nan, "float"),
        ((1, complex(0, math.nan)), "float"),
        (Decimal("nan"), "Decimal"),
        (Decimal("1E20000"), "Decimal"),
        (Decimal("1E-20000"), "Decimal"),
        (hidden(), "Hidden"),
        (memoryview(b"a").cast("b"), "memoryview"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "datetime"),
        (datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=BERLIN), "datetime"),
        (ZoneInfo.no_cache("Europe/Berlin"), "ZoneInfo"),
    ],
)
def test_what_has_no_form_is_refused(key: Any, named: str) -> None:
    """What is unknown elsewhere, or equals nothing there, raises an error that names its type and the remedy."""
    with pytest.raises(Formless, match=named) as caught:
        form(key)
    assert "key=" in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_nesting_and_length_are_limited() -> None:
    """A key of deep tuples is refused, and so is one of few sets that are many when written out."""
    deep: Any = 1
    for _ in range(100):
        deep = (deep,)
    assert form(deep) == b"(" * 100 + b"1" + b")" * 100
    with pytest.raises(Formless, match="100 deep"):
        form((deep,))
    for _ in range(100_000):
        deep = (deep,)
    with pytest.raises(Formless, match="100 deep"):
        form(deep)
    doubled: Any = frozenset({"x" * 200_000})
    for _ in range(49):
        doubled = frozenset({(doubled, 1), (doubled, 2)})
    with pytest.raises(Formless, match="characters"):
        form(doubled)


def test_keys_of_calls_have_forms() -> None:
    """Calls that a function tells apart have different forms; those that it does not have the same."""

    @bounded(max=9)
    def one(x: Any, *more: Any, y: Any = None) -> None: ...

    @bounded(max=9, typed=True)
    def typed(x: Any, y: Any) -> None: ...

    @bounded(max=9, key=freeze)
    def frozen(x: Any) -> None: ...

    def forms(function: Any, *calls: tuple[Any, ...]) -> int:
        for call in calls:
            function(*call)
        held = list(function.cache._cache.store.index)
        found = set(map(form, held))
        assert len(found) == len(held)
        return len(found)

    assert forms(one, (1,), (True,), (1.0,), (1, 1), (1, True), (1, 1.0), (Word("1"),), ("1",)) == 6
    assert forms(typed, (1, 1), (1, True), (1.0, 1), (1, 1)) == 3
    assert forms(frozen, ([1, {"a": {2, 3}, "b": 1}],), ([1.0, {"b": True, "a": {3, 2}}],), ([1],)) == 2
