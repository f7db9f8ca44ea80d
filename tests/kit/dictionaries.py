"""What a table is asked that is a dictionary in all but its type, beside one that is."""

from collections.abc import Callable, Hashable, MutableMapping
from typing import Any

import pytest

__all__ = ("KEYS", "delete", "look")

KEYS: dict[str, Callable[[int], Hashable]] = {
    "numbers": lambda n: n,
    "negative numbers": lambda n: -n,
    "even numbers": lambda n: 2 * n,
    "addresses": lambda n: 4096 * n,
    "far numbers": lambda n: n << 40,
    "large numbers": lambda n: n << 200,
    "fractions": lambda n: n / 8,
    "texts": lambda n: f"user:{n}",
    "wide texts": lambda n: f"\u20ac:{n}",
    "tuples": lambda n: (n % 10, n // 10),
}
"""A key for each number."""


def look(table: MutableMapping[Any, Any], model: dict[Any, Any], key: Any) -> None:
    """Look *key* up in all ways, in both."""
    assert (key in table) == (key in model)
    assert table.get(key, "none") == model.get(key, "none")
    assert table.get(key) == model.get(key)
    if key in model:
        assert table[key] == model[key]
    else:
        with pytest.raises(KeyError) as raised:
            table[key]
        assert raised.value.args == (key,)


def delete(table: MutableMapping[Any, Any], model: dict[Any, Any], key: Any) -> None:
    """Delete *key* from both."""
    if key in model:
        del model[key], table[key]
    else:
        with pytest.raises(KeyError) as raised:
            del table[key]
        assert raised.value.args == (key,)
