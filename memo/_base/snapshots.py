"""What every snapshot has in common: it is frozen, copies, pickles, hashes, and turns into what JSON can tell.

A snapshot is a frozen dataclass whose fields are numbers, text, other snapshots, tuples and ``FrozenDict`` of these
(the value of an ``EntryInfo`` and the key of a ``Flight`` excepted, which are the user's).  Pickles name it by its
public path and its fields by their order: so they outlive a move of its class within the package, and fields that are
added at the end with a default.
"""

import enum
import math
import reprlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from memo._base.shortened import encodable, short_text
from memo._base.units import format_bytes, format_seconds, is_of

__all__ = (
    "Frozen", "FrozenDict", "Snapshot", "counter", "counter_where_there", "freeze_fields", "in_lines", "plain",
)  # fmt: skip

K = TypeVar("K")
V = TypeVar("V")

_COUNTER = "counter"
_WHERE_THERE = "where there"
_WRITTEN = {("decimal", "Decimal"), ("uuid", "UUID")}  # whose str() says it all; by name: they take long to import
_DEEPEST = 50  # containers within each other that are turned into plain ones
_LONGEST_BITS = 512  # of an integer that is written out: thousands of digits take long, and then are refused


class FrozenDict(dict[K, V]):
    """A dictionary that nobody changes, and so one that can be hashed (if its values can).

    A ``dict``, since that is what ``json``, ``dataclasses.asdict()`` and whoever turns snapshots into something else
    know.  Its copies are itself; it pickles as a plain dictionary, which the snapshot it belongs to freezes again.
    """

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("this dictionary belongs to a frozen snapshot and cannot be changed; change dict(...) of it.")

    if not TYPE_CHECKING:  # where these are what they are in a dict
        __setitem__ = __delitem__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc, override]
        return type(self)(self | other)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Any:
        return dict, (dict(self),)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def counter(default: Any = 0) -> Any:
    """A dataclass field that only grows, so that snapshots subtract it; other fields are gauges."""
    return field(default=default, metadata={_COUNTER: True})


def counter_where_there() -> Any:
    """A counter of what few have: None of the others, where the lines for people leave it out."""
    return field(default=None, metadata={_COUNTER: True, _WHERE_THERE: True})


def freeze_fields(snapshot: Any, *names: str) -> None:
    """Exchange the mappings that a new snapshot was given for frozen ones."""
    for name in names:
        given = getattr(snapshot, name)
        if type(given) is not FrozenDict:
            object.__setattr__(snapshot, name, FrozenDict(given))


class Frozen:
    """Base of all snapshots, each a ``frozen_dataclass``.

    What these would write for each class by itself stands here once, as ``frozen_dataclass`` has it.
    """

    __slots__ = ()

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join([f'{n}={getattr(self, n)!r}' for n in _field_names(self)])})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = _field_names(self)
        return tuple([getattr(self, n) for n in names]) == tuple([getattr(other, n) for n in names])

    def __hash__(self) -> int:
        return hash(tuple([getattr(self, f.name) for f in fields(self) if f.hash is not False]))  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """Its fields and derived figures (ratios, means, totals), as ``json.dumps`` takes them.

        Snapshots in it become dictionaries in the same way.
        Members of an enumeration become their values, dates and times ISO text, spans seconds, tuples and sets lists,
        and what is no finite number None.  Of a value or key of the user's own, the built-in scalars and containers
        become what they are in JSON; everything else, and what lies more than 50 deep or within itself, a text of at
        most 200 characters.
        """
        return {name: plain(getattr(self, name)) for name in (*_field_names(self), *_derived_names(type(self)))}

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, name) for name in _field_names(self))


def _field_names(snapshot: Any) -> list[str]:
    return [f.name for f in fields(snapshot)]


def _derived_names(kind: type) -> list[str]:
    """The public properties of a class, those of its bases first."""
    return [
        name
        for base in reversed(kind.__mro__)
        for name, attribute in vars(base).items()
        if isinstance(attribute, property) and not name.startswith("_")
    ]


class Snapshot(Frozen):
    """Base of the snapshots that subtract."""

    __slots__ = ()

    def __sub__(self, earlier: Self) -> Self:
        """What happened between two snapshots of one function; gauges keep the later value.

        Raises:
            ValueError: The snapshots are of different functions.
        """
        if type(earlier) is not type(self):
            return NotImplemented
        mine, theirs = getattr(self, "name", None), getattr(earlier, "name", None)
        if mine != theirs:
            raise ValueError(f"snapshots of {mine!r} and {theirs!r} do not subtract; take both of one function.")
        changes = {
            f.name: _difference(getattr(self, f.name), getattr(earlier, f.name))
            for f in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if f.metadata.get(_COUNTER)
        }
        return replace(self, **changes)  # type: ignore[type-var]

    def __str__(self) -> str:
        """A line for each figure; ``repr()`` is one line."""
        return in_lines(self)


def _difference(later: Any, earlier: Any) -> Any:
    if later is None or earlier is None:
        return None  # a figure that only one of the two knows
    if isinstance(later, Mapping):
        return FrozenDict({key: count - earlier.get(key, 0) for key, count in later.items()})
    return later - earlier


# -- as JSON tells it


def plain(value: Any) -> Any:
    """*value* as ``json.dumps`` takes it; ``Frozen.as_dict`` says what becomes of what."""
    return _plain(value, ())


def _plain(value: Any, around: tuple[int, ...]) -> Any:
    try:
        if isinstance(value, list | tuple | set | frozenset | deque | dict):
            if id(value) in around or len(around) >= _DEEPEST:
                return short_text(value)
            around = (*around, id(value))
            if isinstance(value, dict):
                return {_key(key): _plain(item, around) for key, item in value.items()}
            return [_plain(item, around) for item in value]
        return _scalar(value)
    except Exception:  # of a stranger's class: what it is has no plain form
        return short_text(value)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return encodable(str.__str__(value))
    if isinstance(value, Frozen):
        return value.as_dict()
    if isinstance(value, int) or is_of("numbers", "Integral", value):
        number = int(value)
        return number if number.bit_length() <= _LONGEST_BITS else short_text(number)
    if isinstance(value, float) or is_of("numbers", "Real", value):
        figure = float(value)
        return figure if math.isfinite(figure) else None  # JSON has no sign for what is not
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if (type(value).__module__, type(value).__name__) in _WRITTEN:
        return str(value)
    return short_text(value)


def _key(key: Any) -> str:
    told = None if isinstance(key, bool) else _scalar(key)
    return str(told) if isinstance(told, str | int) else short_text(key)


# -- as people read it

_FORMS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(
        (
            "load_seconds",
            "load_mean",
            "delay_seconds",
            "lag",
            "oldest",
            "l2_seconds",
            "oldest_lease",
            "seconds",
            "span",
            "p50",
            "p95",
            "p99",
        ),
        format_seconds,
    ),
    **dict.fromkeys(("bytes", "max_bytes"), format_bytes),
    **dict.fromkeys(("hit_ratio", "error_ratio", "served_ratio"), lambda share: f"{share:.1%}"),
    "rate": lambda per_second: f"{per_second:.3g}/s",
}
"""How figures are shown, by their name: a name has one unit everywhere."""


def in_lines(snapshot: Frozen) -> str:
    """A snapshot as a title and a line for each figure, aligned; a snapshot in it with its own lines, indented."""
    missing = {f.name for f in fields(snapshot) if f.metadata.get(_WHERE_THERE) and getattr(snapshot, f.name) is None}  # type: ignore[arg-type]
    names = [
        name
        for name in (*_field_names(snapshot), *_derived_names(type(snapshot)))
        if name != "name" and name not in missing
    ]
    title = (
        f"{type(snapshot).__name__} of {name}" if (name := getattr(snapshot, "name", None)) else type(snapshot).__name__
    )
    width = max(map(len, names))
    lines = [title]
    for name in names:
        value = getattr(snapshot, name)
        if isinstance(value, Snapshot):
            lines += [f"  {name}", *(f"  {line}" for line in in_lines(value).splitlines()[1:])]
        else:
            lines.append(f"  {name:<{width}}  {_shown(name, value)}")
    return "\n".join(lines)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {what}" for what, count in value.items() if count) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return _FORMS.get(name, str)(value)
