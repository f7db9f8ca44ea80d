"""Annotations of what is public can be evaluated, as frameworks do: none names what only type checkers know."""

import typing
from collections.abc import Iterator
from typing import Any

import pytest

import memo
import memo.policies
import memo.shared
import memo.testing
from memo import bounded, limit, sliding_window

decorated = bounded(max=3)(sliding_window("1h")(limit("9/s")(lambda x: x)))
THINGS: list[Any] = [
    *[getattr(face, name) for face in (memo, memo.policies, memo.shared, memo.testing) for name in face.__all__],
    *[type(one) for one in (decorated, decorated.cache, decorated.inflight, decorated.window, decorated.limit)],
    *[type(one) for one in (decorated.cache.lease(1), decorated.cache.within("1s"), memo.registry.select("*"))],
    *[type(one) for one in (memo.registry.disabled("none.such"), bounded(max=3))],
]


def annotated(thing: Any) -> Iterator[Any]:
    """*thing*, and what a class of ours has of methods and properties."""
    yield thing
    for base in thing.__mro__ if isinstance(thing, type) else ():
        if base.__module__.partition(".")[0] == "memo":
            for name, attribute in vars(base).items():
                function = (
                    attribute.fget if isinstance(attribute, property) else getattr(attribute, "__func__", attribute)
                )
                if callable(function) and not name.startswith("_"):
                    yield function


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: getattr(thing, "__qualname__", type(thing).__name__))
def test_they_can_be_evaluated(thing: Any) -> None:
    """``typing.get_type_hints()`` finds all that is named in the annotations of a public class or function."""
    if callable(thing):
        for one in annotated(thing):
            typing.get_type_hints(one)


def test_a_record_tells_of_windows_and_limits() -> None:
    """The handles that a record may have are named as what they are."""
    hints = {name: typing.get_type_hints(vars(memo.Record)[name].fget)["return"] for name in ("window", "limit")}
    handles = {"window": type(decorated.window), "limit": type(decorated.limit)}
    assert {name: typing.get_args(hint)[0].__origin__ for name, hint in hints.items()} == handles
