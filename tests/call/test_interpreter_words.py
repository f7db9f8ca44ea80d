"""What is written in C and called by a generated wrapper finds the interpreter's own words in its frame."""

import datetime as dt
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, limit, sliding_window

NEW = dt.datetime(2020, 2, 3)  # noqa: DTZ001  # what strptime() returns

DECORATORS: dict[str, Callable[..., Any]] = {
    "bounded": lambda **o: bounded(max=3, **o),
    "lru": lambda **o: bounded(max=3, policy="lru", **o),
    "ttl": lambda **o: bounded(max=3, ttl=60, stale_if_error=60, **o),
    "alone": lambda **o: bounded(max=3, dedupe=False, **o),
    "dedupe": dedupe_inflight,
    "window": lambda **o: sliding_window("1h", **o),
    "limit": lambda **o: limit("1000/1h", **o),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=list(DECORATORS))


@every_decorator
def test_a_function_of_c_that_imports(decorate: Callable[..., Any], own: Registry) -> None:
    """Such a function is decorated itself, and imports by the words of the frame that calls it."""
    assert decorate(registry=own)(dt.datetime.strptime)("2020-02-03", "%Y-%m-%d") == NEW
    assert decorate(registry=own)(time.strptime)("2020", "%Y").tm_year == 2020


@every_decorator
def test_a_function_of_c_that_pickles(decorate: Callable[..., Any], own: Registry) -> None:
    """What builtins are pickled by is found by name in the frame, too."""
    dumps = decorate(registry=own)(pickle.dumps)
    assert pickle.loads(dumps("ab".upper))() == "AB"
    assert list(pickle.loads(dumps(iter((1, 2))))) == [1, 2]


@every_decorator
def test_a_key_that_c_makes(decorate: Callable[..., Any], own: Registry) -> None:
    """A key function of C is called by a generated one, whose frame has them as well."""

    @decorate(registry=own, key=dt.datetime.strptime)
    def weekday(text: str, layout: str) -> int:
        return dt.datetime.strptime(text, layout).weekday()  # noqa: DTZ007

    assert weekday("2020-02-03", "%Y-%m-%d") == 0
    assert weekday("2020-02-03", "%Y-%m-%d") == 0
