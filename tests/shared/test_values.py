"""Values come back from bytes as they were, and bytes that stand for none are refused."""

import json
import math
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.dumps import Name, nested, shown, values
from kit.shared_keys import Level, Point

from memo.shared._values import Unencodable, Unreadable, decoded_value, encoded_value

ROWS = [{"id": n, "name": f"person {n}", "score": n / 7, "active": n % 2 == 0, "note": None} for n in range(100)]
PI = "31415926535" * 100  # a text of more digits than a number may have
ODD: list[Any] = [
    {"!tuple": [1, 2]}, {"!": 1}, {"!dict": []}, [{"!bytes": 3}, (b"abc",)], {"!tuple": [1], "a": ()},
    {1: "a", "1": "b"},
    {(1, (2.0, True)): {3}, None: frozenset()}, (), [()], ((),), {(): ()}, {"a": {True: 1.0}},
    0, -0.0, True, 1e-320, 5e300,
    math.nan, [math.inf, (-math.inf,)], {"a": [math.nan]}, 10**700, [-(10**5000)], {2**64: 2**63}, PI, [PI, 10**700],
    (PI, b"x"), {PI: PI}, "\ud83d\ude00", ["\ud800"], {"\udc00": 1}, {"\ud800": {"\udc00": ("\ud800",)}},
    "\x00\n\"\\\u2028",
    b"", b"J1", bytearray(b"ab"), [b"", b"a", bytearray(b"b"), {b"c": b"d"}], (b"x" * 70_000, {"a": b"y"}),
    {"a": b"1" * 1000},
    [Decimal("1.10"), Decimal("NaN"), Decimal("1E+999999"), UUID(int=7), 1j, complex(math.nan, -0.0), timedelta(-1)],
    [int, type(None)], datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1), "\ud800")),
    [{"d": date(2026, 1, 2)}] * 3,
]  # fmt: skip


@pytest.fixture(params=[0, 640, 4300])
def digits(request: pytest.FixtureRequest) -> Iterator[None]:
    """How many digits the interpreter makes numbers of; 0: as many as there are."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(request.param)
    yield
    sys.set_int_max_str_digits(before)


@settings(deadline=None, max_examples=80)
@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Any nesting of values comes back with its types, its order and its text unharmed."""
    data = encoded_value(value)
    assert shown(decoded_value(data)) == shown(decoded_value(memoryview(data))) == shown(value)


@pytest.mark.usefixtures("digits")
def test_odd_values_come_back_as_they_were() -> None:
    """So does what looks like a mark, what JSON cannot hold, and what readers of JSON may refuse."""
    for value in ODD:
        assert shown(decoded_value(encoded_value(value))) == shown(value)


def test_plain_values_are_json() -> None:
    """What JSON can hold as it is stands there as it is, however it is nested; bytes stand behind it as they are."""
    plain = {"rows": ROWS, "deep": [[{"!tuple": [{}, [], "\u00e4"]}]], "": [None, True, -1, 1.5, 2**70]}
    for value in (plain, ROWS, 1, None, "a", [], {}):
        assert encoded_value(value) == b"J" + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert encoded_value(b"abc") == b"Babc"
    assert encoded_value([b"abc", b"de"]) == b'T\0\0\0\x1b[{"!bytes":3},{"!bytes":2}]abcde'
    assert encoded_value({"a": (1, [2])}) == b'M{"a":{"!tuple":[1,[2]]}}'


@pytest.mark.parametrize("value", [Name("a"), Level.ONE, Point(1, 2), OrderedDict(), object(), memoryview(b"a"), Name])
def test_other_types_are_refused(value: Any) -> None:
    """A value of another type, one of a subclass too, is named wherever it stands, with the remedy."""
    named = value.__qualname__ if type(value) is type else type(value).__qualname__
    for where in (value, [value], {"a": [value]}, ({"b": 1, "a": value},), [*ROWS, {"a": value}]):
        with pytest.raises(Unencodable, match=named) as caught:
            encoded_value(where)
        assert "encode=" in str(caught.value)
    with pytest.raises(Unencodable, match="'Name'"):
        encoded_value({Name("a"): 1})


def test_nesting_is_limited() -> None:
    """A hundred containers within each other come back; one more, or one that holds itself, is refused."""
    own: list[Any] = []
    own.append(own)
    for make in (lambda depth: nested(depth), _lists, _dicts, _marked_dicts):
        assert shown(decoded_value(encoded_value(make(100)))) == shown(make(100))
        with pytest.raises(Unencodable, match="nested more than 100 deep, or itself"):
            encoded_value(make(101))
    for value in (own, {"a": own}, (own,)):
        with pytest.raises(Unencodable, match="itself"):
            encoded_value(value)


def _lists(depth: int) -> Any:
    return [] if depth == 1 else [_lists(depth - 1)]


def _dicts(depth: int) -> Any:
    return {} if depth == 1 else {"a": _dicts(depth - 1), "b": 1}


def _marked_dicts(depth: int) -> Any:
    return {} if depth == 1 else {1: _marked_dicts(depth - 1)}


def test_length_is_limited() -> None:
    """What takes more bytes than are shared is refused, also a few lists that are very many when written out."""
    assert len(encoded_value([1] * 500, most=1002)) == 1002
    for value in ([1] * 500, (1,) * 1500, b"a" * 1001, [b"a" * 10**6] * 10**6, {"a": b"b" * 1000}, "a" * 999):
        with pytest.raises(Unencodable, match=r"1001 is the most|more items"):
            encoded_value(value, most=1001)
    for twice in (lambda it: [it, it], lambda it: (it, it), lambda it: {"a": it, "b": it}, lambda it: {1: it, 2: it}):
        doubled: Any = 1
        for _ in range(60):
            doubled = twice(doubled)
        with pytest.raises(Unencodable, match="more items"):
            encoded_value(doubled, most=100_000)


def test_no_stack_is_left() -> None:
    """Where the stack is nearly full a deep value is refused or written, but nothing overflows."""

    def deeper(left: int) -> Any:
        return deeper(left - 1) if left else _outcome(lambda: decoded_value(encoded_value(nested(90))))

    def room() -> int:
        frame, depth = sys._getframe(), 0
        while frame is not None:  # type: ignore[redundant-expr]
            frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
        return sys.getrecursionlimit() - depth

    outcomes = {deeper(max(0, room() - left)) for left in (40, 60, 100, 150, 250, 500)}
    assert outcomes <= {"", "Unencodable", "Unreadable"}
    assert "" in outcomes


def _outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except (Unencodable, Unreadable) as error:
        return type(error).__name__
    return ""


# -- what others may have written


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"J", b"M", b"T", b"B", b"T\0\0\0\5"]), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_value_or_unreadable(kind: bytes, rest: bytes) -> None:
    """No bytes raise anything but the one error."""
    _outcome(lambda: decoded_value(kind + rest))


MARKS = [
    "tuple", "set", "frozenset", "dict", "list", "bytes", "bytearray", "str", "int", "float", "complex", "date",
    "datetime", "time", "timedelta", "timezone", "Decimal", "UUID", "type", "",
]  # fmt: skip
CONTENTS = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.dictionaries(st.sampled_from(MARKS).map("!{}".format), inner, min_size=1, max_size=1)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(CONTENTS, st.binary(max_size=9))
def test_forged_marks_are_a_value_or_unreadable(tree: Any, tail: bytes) -> None:
    """No mark of anything raises anything but the one error."""
    text = json.dumps(tree).encode()
    for data in (b"M" + text, b"T" + len(text).to_bytes(4) + text + tail):
        _outcome(lambda data=data: decoded_value(data))


def test_altered_values_are_a_value_or_unreadable() -> None:
    """So it is where one byte of a value is another, or the end is missing."""
    picked = random.Random(7)
    for value in [*ODD[:-1], ROWS[:3]]:
        data = encoded_value(value)
        for _ in range(20):
            at = picked.randrange(len(data))
            altered = bytearray(data)
            altered[at] = picked.randrange(256)
            _outcome(lambda altered=altered: decoded_value(bytes(altered)))
            _outcome(lambda data=data, at=at: decoded_value(data[:at]))


ALIKE = [*product((-1, -2), repeat=8)]  # tuples of numbers that hash alike

FORGED = [
    b"", b"X1", b"J", b"J ", b"J1 2", b"J[1", b"JNaN", b"J[Infinity]", b"J\xff", b'J"\n"', b"J\xef\xbb\xbf1",
    b"T", b"T\0\0\0\xff1",
    b"T\0\0\0\1" + b"12",
    b'M{"!bytes":1}', b'T\0\0\0\x0e{"!bytes":-1}', b'T\0\0\0\x0d{"!bytes":2}a', b'T\0\0\0\x0d{"!bytes":1}ab',
    b'M{"!set":[[]]}', b'M{"!list":[]}', b'M{"!dict":["ab"]}', b'M{"!tuple":"ab"}', b'M{"!set":{"a":1}}',
    b'M{"!type":"object"}',
    b"J" + b"9" * 5000, b"J[1." + b"0" * 5000 + b"]", b"J1e" + b"9" * 5000,
    b"J" + b"[" * 1_000_000, b"J" + b"[" * 400 + b"]" * 400, b'J{"a":' * 400 + b"1" + b"}" * 400,
    b'J["]",' * 400 + b"1" + b"]" * 400, b'J["\\"]",' * 400 + b"1" + b"]" * 400, b'M{"!tuple":[' * 200 + b"]}" * 200,
    b'M{"!set":[' + b",".join(b'{"!tuple":%b}' % json.dumps(one).encode() for one in ALIKE) + b"]}",
    b'M{"!dict":[' + b",".join(b'[{"!tuple":%b},1]' % json.dumps(one).encode() for one in ALIKE) + b"]}",
]  # fmt: skip


@pytest.mark.usefixtures("digits")
def test_forged_bytes_are_unreadable() -> None:
    """What is cut short, nested, long or colliding beyond measure, or of no type there is, raises the one error."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # which must not be what keeps the parser from overflowing the stack
    try:
        for data in FORGED:
            with pytest.raises(Unreadable):
                decoded_value(data)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_text_are_no_nesting() -> None:
    """Text may hold as many brackets, quotes and backslashes as it likes."""
    for text in ("[" * 50, '"[' * 50, "\\[" * 50, '\\"{' * 50, "]" * 50):
        value = [{text: text}, *[[text]] * 400]
        assert decoded_value(encoded_value(value)) == value
