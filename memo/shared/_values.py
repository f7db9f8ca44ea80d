"""Values as bytes, and back: JSON (RFC 8259) with types; no code is loaded.

The first byte tells how the rest is to be read:

- ``J``: JSON, in which everything stands for itself.
- ``M``: JSON in which an object of one member, whose name begins with ``!``, is a *mark*: ``{"!tuple": [1, 2]}``.
- ``T``: the length of such JSON, in four bytes, the JSON, and the *tail*: the bytes that it mentions by their numbers
  alone, ``{"!bytes": 70000}``, one after the other.
- ``B``: bytes, as they are.

Most values are plain, and to walk through one in Python would take longer than to write it.  So what types there are is
found out level by level, in one step each, and the walk is for those that need marks, in what needs them.  What JSON
can hold of those types, and what it cannot (lone surrogates, NaN, integers beyond measure), shows when it is written.

What is read may be forged.  Reading takes time and memory in proportion to its length: nesting and the digits of
numbers are limited before it is parsed, a container whose members all hash alike is refused, and each byte of the tail
belongs to one mark.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate, chain
from types import NoneType
from typing import Any, NoReturn

from memo._cache import Unsupported, decoded, encoded, refuse_colliding

__all__ = ("Unencodable", "Unreadable", "decoded_value", "encoded_value")

_DEPTH = 100
"""Containers within each other, at most; as in a dump."""

_BRACKETS = 3 * _DEPTH + 1  # a marked dict is an object that holds an array of arrays
_DIGITS = 640  # in a row: no interpreter may be told to refuse so few, and none takes long for them
_LONGEST = 1 << 26  # bytes; as in a dump
_ALIKE = 128  # members of one container that may have the same hash: each is compared with all before it
_LENGTH = 4  # bytes that tell the length of JSON before a tail

_ATOMS = frozenset({str, int, float, bool, NoneType})
_PLAIN = frozenset({*_ATOMS, list, dict})
_TEXT = frozenset({str})

_Hook = Callable[[dict[str, Any]], Any]


class Unencodable(TypeError):
    """A value cannot be shared as it is."""


class Unreadable(ValueError):
    """Bytes stand for no value: they were cut short, altered, forged, or written by another release."""


# -- values to bytes


def encoded_value(value: Any, most: int = _LONGEST) -> bytes:
    """The bytes that stand for *value*.

    Exact types alone: an instance of a subclass would come back as something else.

    Args:
        value: None, a number, text, bytes, a date, a Decimal, a UUID, or a list, tuple, dict or set of these.
        most: Bytes that it may take.

    Raises:
        Unencodable: It is of another type, or one within it is; or it is nested too deeply, or takes too much.
    """
    if type(value) is bytes:
        data = b"B" + value
    else:
        try:
            data = _plain(value, most) or _marked(value, most, exact=False) or _marked(value, most, exact=True)
        except RecursionError:
            _refuse("is nested too deeply for what is left of the stack")
    if len(data) > most:
        _refuse(f"takes {len(data)} bytes, and {most} is the most that is shared; let encode= return less")
    return data


def _refuse(what: str) -> NoReturn:
    raise Unencodable(f"shared: the value {what}.")


def _refuse_number() -> NoReturn:
    _refuse("holds more items than bytes may be shared; let encode= return less")


def _plain(value: Any, most: int) -> bytes:
    """The JSON of *value*; nothing if it is not plain."""
    try:
        return _written(b"J", value) if _is_plain(value, most) else b""
    except RuntimeError:  # a dict was changed meanwhile; to walk through it is to copy it first
        return b""


def _is_plain(value: Any, most: int) -> bool:
    """Whether everything in *value* is of a type that stands for itself in JSON, and nothing is nested too deeply."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict and _TEXT.issuperset(map(type, value)) and _ATOMS.issuperset(map(type, value.values())):
        return True  # the most frequent, at once
    lists: Sequence[Any] = [value] if kind is list else ()
    dicts: Sequence[Any] = [value] if kind is dict else ()
    for _ in range(_DEPTH if kind in _PLAIN else 0):
        within: list[Any] = []
        if dicts:
            if not _TEXT.issuperset(map(type, chain.from_iterable(dicts))):
                return False
            within += chain.from_iterable(map(dict.values, dicts))
        within += chain.from_iterable(lists)
        if len(within) > most:  # few containers that hold each other may be very many when written out
            _refuse_number()
        kinds = set(map(type, within))
        if kinds <= _ATOMS:
            return True
        if not kinds <= _PLAIN:
            return False
        lists = [item for item in within if type(item) is list] if list in kinds else ()
        dicts = [item for item in within if type(item) is dict] if dict in kinds else ()
    return False


def _written(kind: bytes, tree: Any) -> bytes:
    """JSON behind *kind*; nothing if it cannot hold *tree*, or not so that everybody can read it."""
    try:
        data = _json(kind, tree)
    except ValueError:  # a lone surrogate, NaN, an integer that is too long
        return b""
    return b"" if _has_long_number(data) else data


def _json(kind: bytes, tree: Any) -> bytes:
    return f"{kind.decode()}{_ENCODER.encode(tree)}".encode()


def _marked(value: Any, most: int, *, exact: bool) -> bytes:
    """JSON with marks; nothing if something is in *value* that only an *exact* walk marks."""
    walk = _Walk(most, exact)
    try:
        tree = walk.tree(value, _DEPTH)
    except Unsupported as reason:
        _refuse(
            f"is or contains {reason}, and only None, numbers, text, bytes, dates, Decimal, UUID, and lists, tuples, "
            f"dicts and sets of these can be shared; give tier.using() encode= that makes one of these of it, and "
            f"decode="
        )
    data = (_json if exact else _written)(b"T" if walk.tail else b"M", tree)
    if not walk.tail or not data:
        return data
    return b"".join((data[:1], (len(data) - 1).to_bytes(_LENGTH), data[1:], *walk.tail))


class _Walk:
    """Makes JSON of one value.

    Args:
        most: Items, and bytes of its tail, that it may have; each takes a byte or more.
        exact: Look at each number and each text, too.
    """

    def __init__(self, most: int, exact: bool) -> None:
        self._left = most
        self._exact = exact
        self.tail: list[bytes] = []

    def tree(self, value: Any, room: int) -> Any:
        """The JSON of *value*, in *room* for so many containers within each other.

        Raises:
            Unsupported: It has none.
        """
        kind = type(value)
        if kind in _ATOMS:
            return _leaf(value) if self._exact else value
        if kind is bytes or kind is bytearray:
            self._spend(len(value))
            self.tail.append(bytes(value))
            return {f"!{kind.__name__}": len(value)}
        if kind not in _CONTAINERS:
            return _leaf(value)
        if room == 0:
            raise Unsupported(f"containers nested more than {_DEPTH} deep, or itself")
        # copies in one step each, so that no other thread can change the container meanwhile
        if kind is not dict:
            items = self._items([*value], room)
            return items if kind is list else {f"!{kind.__name__}": items}
        pairs = value.copy()
        self._spend(len(pairs))
        if self._stands_for_itself(pairs):
            return dict(zip(pairs, self._items([*pairs.values()], room), strict=True))
        return {"!dict": [[self.tree(key, room - 1), self.tree(item, room - 1)] for key, item in pairs.items()]}

    def _items(self, items: list[Any], room: int) -> list[Any]:
        self._spend(len(items))
        if not self._exact and _ATOMS.issuperset(map(type, items)):
            return items
        return [self.tree(item, room - 1) for item in items]

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            _refuse_number()

    def _stands_for_itself(self, pairs: dict[Any, Any]) -> bool:
        if not _TEXT.issuperset(map(type, pairs)):
            return False
        if self._exact and not all(type(_leaf(key)) is str for key in pairs):
            return False
        return len(pairs) != 1 or next(iter(pairs))[:1] != "!"


def _leaf(value: Any) -> Any:
    tree = encoded(value)
    return {f"!{name}": content for name, content in tree.items()} if type(tree) is dict else tree


_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


# -- bytes to values


def decoded_value(data: bytes | memoryview) -> Any:
    """The value that *data* stands for, made anew.

    Raises:
        Unreadable: It stands for none.
    """
    data = memoryview(data)
    read = _KINDS.get(bytes(data[:1]))
    if read is None:
        raise Unreadable(f"shared: bytes that begin with {bytes(data[:1])!r} are no value of this release")
    try:
        return read(data[1:])
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise Unreadable(f"shared: bytes that stand for no value ({str(error)[:200]})") from None


def _read_tailed(data: memoryview) -> Any:
    end = _LENGTH + int.from_bytes(data[:_LENGTH])
    if end > len(data):
        raise ValueError("cut short")
    tail = _Tail(data[end:])
    value = _parsed(data[_LENGTH:end], tail.unmarked)
    tail.check_end()
    return value


def _read_marked(data: memoryview) -> Any:
    return _parsed(data, _NO_TAIL.unmarked, _MARKED_DECODER)


def _read_plain(data: memoryview) -> Any:
    return _parsed(data, None, _DECODER)


def _parsed(data: memoryview, hook: _Hook | None, decoder: json.JSONDecoder | None = None) -> Any:
    content = bytes(data)
    _check_nesting(content)
    if _has_long_number(content):
        decoder = json.JSONDecoder(
            object_hook=hook,
            parse_int=partial(_number, int),
            parse_float=partial(_number, float),
            parse_constant=_refuse_constant,
        )
    text = content.decode()
    value, end = (decoder or json.JSONDecoder(object_hook=hook, parse_constant=_refuse_constant)).raw_decode(text)
    if end != len(text):
        raise ValueError("more than one value")
    return value


def _number(kind: Callable[[str], Any], text: str) -> Any:
    if len(text) > _DIGITS:
        raise ValueError("a number of too many digits")
    return kind(text)


def _has_long_number(content: bytes) -> bool:
    """Whether more digits follow each other than a number may have; they may be those of a text."""
    return (
        len(content) > _DIGITS
        and _SAMPLES in content[::_STRIDE].translate(_DIGITS_AS_ZEROS)
        and (_TOO_LONG in content.translate(_DIGITS_AS_ZEROS))
    )


_STRIDE = 16  # so many digits in a row that each of the samples is one of them
_SAMPLES = b"0" * (_DIGITS // _STRIDE)
_TOO_LONG = b"0" * (_DIGITS + 1)
_DIGITS_AS_ZEROS = bytes(ord("0") if chr(code) in "0123456789" else ord(" ") for code in range(256))


def _check_nesting(content: bytes) -> None:
    """Raise ValueError if arrays and objects are nested too deeply: the parser recurses, and knows no limit."""
    # replace() finds them in a tenth of the time that count() takes
    if len(content) - len(content.replace(b"[", b"").replace(b"{", b"")) <= _BRACKETS:
        return
    # escaped backslashes first: then each quote with a backslash before it is part of a string
    if b"\\" in content:
        content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    # strings that hold no bracket go in one step; where two touch, what is within them stays within
    outside = b"".join(content.translate(None, _NEITHER).replace(b'""', b"").split(b'"')[::2])
    brackets = outside.replace(b"[]", b"").replace(b"{}", b"")  # the innermost ones, which are most
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > _BRACKETS:
        raise ValueError("nested too deeply")


_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NEITHER = bytes({*range(256)} - {*_STEP, ord('"')})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class _Tail:
    """The bytes that marks mention, in the order of these."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._start = 0

    def unmarked(self, found: dict[str, Any]) -> Any:
        """What an object stands for, whose members are values already."""
        if len(found) != 1:
            return found
        ((name, content),) = found.items()
        if name[:1] != "!":
            return found
        if name == "!bytes":
            return self._taken(content)
        if name == "!bytearray":
            return bytearray(self._taken(content))
        return _READERS[name](content)

    def _taken(self, length: Any) -> bytes:
        start = self._start
        if type(length) is not int or not 0 <= length <= len(self._data) - start:
            raise ValueError("bytes that are not there")
        self._start += length
        return bytes(self._data[start : self._start])

    def check_end(self) -> None:
        """Raise ValueError if something is left."""
        if self._start != len(self._data):
            raise ValueError("bytes that nothing mentions")


def _listed(content: Any) -> list[Any]:
    if type(content) is not list:
        raise TypeError(f"{type(content).__name__} where an array is to be")
    return content


def _members(content: Any) -> Iterable[Any]:
    refuse_colliding(_listed(content), _ALIKE)
    return content  # type: ignore[no-any-return]


def _read_dict(content: Any) -> dict[Any, Any]:
    pairs = [(key, item) for key, item in map(_listed, _listed(content))]
    refuse_colliding([key for key, _ in pairs], _ALIKE)
    return dict(pairs)


def _read_leaf(name: str, content: Any) -> Any:
    return decoded({name: content})


_LEAVES = (
    "str", "int", "float", "complex", "date", "datetime", "time", "timedelta", "timezone", "Decimal", "UUID", "type",
)  # fmt: skip
_READERS: dict[str, Callable[[Any], Any]] = {
    "!tuple": lambda content: tuple(_listed(content)),
    "!set": lambda content: set(_members(content)),
    "!frozenset": lambda content: frozenset(_members(content)),
    "!dict": _read_dict,
    **{f"!{name}": partial(_read_leaf, name) for name in _LEAVES},
}

# made once: each takes longer to make than to use
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_NO_TAIL = _Tail(memoryview(b""))
_MARKED_DECODER = json.JSONDecoder(object_hook=_NO_TAIL.unmarked, parse_constant=_refuse_constant)
_KINDS: dict[bytes, Callable[[memoryview], Any]] = {
    b"J": _read_plain,
    b"M": _read_marked,
    b"T": _read_tailed,
    b"B": bytes,
}
