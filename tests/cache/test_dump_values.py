"""Values come back from a dump as they were, and what cannot is refused."""

import enum
import json
from collections import OrderedDict, namedtuple
from datetime import datetime, time, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.dumps import Name, dump, load, make, nested, shown, values

from memo._cache.dump_files import parsed, read_lines, write_rows
from memo._cache.dump_values import Unsupported, decoded, encoded

# -- values


@settings(deadline=None)
@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Any nesting of plain values comes back through JSON with its types, its order and its text unharmed."""
    line = json.dumps(encoded(value), ensure_ascii=False, allow_nan=False).encode()
    assert shown(decoded(json.loads(line))) == shown(value)


@settings(deadline=None)  # files are synced to the disk
@given(rows=st.lists(st.lists(values, max_size=3), max_size=4))
def test_rows_come_back_from_a_file(rows: list[list[Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows come back from a file as they were written, in their order."""
    path = tmp_path_factory.mktemp("rows") / "rows.memo"
    assert write_rows(path, {}, [list(map(encoded, row)) for row in rows]) == len(rows)
    _, lines = read_lines(path, None)
    back = [list(map(decoded, parsed(line))) for _, line in lines]
    assert shown(back) == shown(rows)


@pytest.mark.parametrize("value", ["\ud83d\ude00", "\ud800", "a\udcffb", "line\n\u2028", '"\\', "\U0001f600", ""])
def test_odd_text_comes_back(value: str) -> None:
    """Two lone surrogates do not become one character, and no text breaks a line."""
    line = json.dumps(encoded({value: value}), ensure_ascii=False)
    assert "\n" not in line
    assert decoded(json.loads(line.encode())) == {value: value}


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN12"), Decimal("-0.00"), Decimal("1E+999999")])
def test_odd_decimals_come_back(value: Decimal) -> None:
    """Decimals keep their sign, their exponent and what sort of NaN they are."""
    assert repr(decoded(encoded(value))) == repr(value)


class Colour(enum.IntEnum):
    RED = 1


class HourOff(tzinfo):
    """A zone whose rules are code."""


Point = namedtuple("Point", "x y")

REFUSED = [
    (Name("a"), "'Name'"), (Colour.RED, "'Colour'"), (Point(1, 2), "'Point'"), (OrderedDict(), "'OrderedDict'"),
    (object(), "'object'"), (Fraction(1, 2), "'Fraction'"), (print, "'builtin_function_or_method'"),
    (datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), "time zone of type 'ZoneInfo'"), (Name, "class 'Name'"),
    (time(1, tzinfo=HourOff()), "time zone of type 'HourOff'"), (HourOff(), "'HourOff'"), (type, "class 'type'"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_other_types_are_refused(value: Any, named: str, path: Path) -> None:
    """A value of another type, a subclass of a built-in one too, fails the dump and is named with the remedy."""
    with pytest.raises(Unsupported):
        encoded([{"a": (value,)}])
    function = make()
    function.cache.put([{"a": value}], "alice")
    with pytest.raises(TypeError, match=r"work\(\): the value of key 'alice' is or contains") as caught:
        dump(function, path)
    assert named in str(caught.value)
    assert "encode=" in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize("key", [Colour.RED, ("a", Name("b")), Name], ids=repr)
def test_keys_of_other_types_are_refused(key: Any, path: Path) -> None:
    """A key of another type fails the dump, and the message says to give key=."""
    function = make()
    function.cache.put(1, key)
    with pytest.raises(TypeError, match=r"work\(\): the key .* is or contains .* key= "):
        dump(function, path)
    assert not path.exists()


def test_depth_is_limited(path: Path) -> None:
    """A hundred containers within each other come back; one more, or one that holds itself, is refused."""
    function = make()
    function.cache.put(nested(100), "deep")
    dump(function, path)
    again = make()
    assert load(again, path) == 1
    assert again.cache.entry("deep").value == nested(100)
    own: list[Any] = []
    own.append(own)
    for value in (nested(101), own):
        function.cache.put(value, "deep")
        with pytest.raises(TypeError, match="nested more than 100 deep, or itself"):
            dump(function, path)
