"""Keys of values that cannot be hashed."""

import dataclasses
from collections import deque
from collections.abc import Hashable
from typing import Any

__all__ = ("freeze",)


def freeze(*values: Any, **named: Any) -> Hashable:
    """A hashable key of nested lists, tuples, dicts, sets, bytearrays, deques and dataclass instances.

    ``freeze(x)`` is the key of one value; several, or named ones, make one key together, so that
    ``key=memo.freeze`` serves any call.  What is hashable is its own key.  Equal keys mean equal
    structure: a list differs from a tuple, the order of a dict or a set does not count.

    Raises:
        TypeError: A part can be neither hashed nor frozen.
        ValueError: The structure contains itself.
    """
    if len(values) == 1 and not named:
        return _frozen(values[0], ())
    parts = tuple(_frozen(value, ()) for value in values)
    if not named:
        return parts
    return (freeze, parts, frozenset((name, _frozen(value, ())) for name, value in named.items()))


def _frozen(value: Any, within: tuple[int, ...]) -> Hashable:
    try:
        hash(value)
    except TypeError:
        pass
    else:
        return value  # type: ignore[no-any-return]
    if id(value) in within:
        raise ValueError(
            f"freeze: a {type(value).__qualname__!r} contains itself, so it has no key; give a key= of your own."
        )
    within = (*within, id(value))
    kind = type(value)
    if isinstance(value, dict):
        return (kind, frozenset((_frozen(k, within), _frozen(v, within)) for k, v in value.items()))
    if isinstance(value, set | frozenset):
        return (kind, frozenset(_frozen(item, within) for item in value))
    if isinstance(value, bytearray):
        return (kind, bytes(value))
    if isinstance(value, list | tuple | deque):
        return (kind, tuple(_frozen(item, within) for item in value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = tuple(_frozen(getattr(value, field.name), within) for field in dataclasses.fields(value))
        return (kind, fields)
    raise TypeError(
        f"freeze: a value of type {kind.__qualname__!r} can be neither hashed nor frozen; give a key= of your own, "
        f"or leave its parameter out of the key with ignore=."
    )
