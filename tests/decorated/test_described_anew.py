"""What takes no attributes (a builtin, a bound method) can be described anew once it is decorated."""

import functools
import inspect
import math
import operator
import re
from typing import Any

import pytest

from memo import bounded, dedupe_inflight, sliding_window


class Adder:
    """Takes no attributes."""

    __slots__ = ()

    def __call__(self, target: int, real: bool = False) -> Any:
        return [target, real]

    def add(self, target: int, real: bool = False) -> Any:
        return [target, real]


def next_length(target: int, real: bool = False) -> Any:
    """Find the next length."""
    raise NotImplementedError


next_length.marked = True  # type: ignore[attr-defined]
WITHOUT_ATTRIBUTES = [
    len, max, math.gcd, int, dict, str.upper, "abc".count, object().__repr__, re.compile("a").match,
    operator.itemgetter(0), Adder(), Adder().add,
]  # fmt: skip
DECORATORS = [bounded(max=8), bounded(max=8, policy="lru"), dedupe_inflight, sliding_window("1h")]


@pytest.mark.parametrize("original", WITHOUT_ATTRIBUTES, ids=range(12))
@pytest.mark.parametrize("decorate", DECORATORS, ids=["bounded", "lru", "dedupe_inflight", "sliding_window"])
def test_update_wrapper_describes_it(decorate: Any, original: Any) -> None:
    """``functools.update_wrapper()`` above a decorator works as above ``functools.lru_cache``."""
    decorated = decorate(original)
    module = getattr(original, "__module__", None)
    assert functools.update_wrapper(decorated, next_length) is decorated
    assert decorated.__name__ == "next_length"
    assert decorated.__qualname__ == "next_length"
    assert decorated.__doc__ == inspect.getdoc(decorated) == "Find the next length."
    assert decorated.__module__ == __name__
    assert decorated.marked is True
    assert decorated.__wrapped__ is original
    if not isinstance(original, type):
        assert inspect.signature(decorated) == inspect.signature(next_length)
    assert getattr(original, "__module__", None) == module
    assert getattr(original, "__name__", "") != "next_length"


def test_it_is_called_and_keyed_as_before() -> None:
    """Only what is shown changes."""
    decorated: Any = functools.update_wrapper(bounded(max=8)(Adder().add), next_length)
    assert decorated(1) is decorated(target=1, real=False)
    assert decorated.cache.invalidate(1)
    greatest: Any = functools.update_wrapper(bounded(max=8)(math.gcd), next_length)
    assert (greatest(4, 6), greatest(4, 6)) == (2, 2)
    assert greatest.cache.stats().hits == 1


def test_a_description_can_be_taken_back() -> None:
    """Deleting it shows the original's again; what was never assigned cannot be deleted."""
    decorated: Any = bounded(max=8)(math.gcd)
    decorated.__name__ = "greatest"
    del decorated.__name__
    assert decorated.__name__ == "gcd"
    with pytest.raises(AttributeError):
        del decorated.__name__


def test_what_is_no_description_is_refused() -> None:
    """A builtin has no code, and two decorations of one builtin are described apart."""
    one: Any = bounded(max=8)(math.gcd)
    other: Any = bounded(max=8)(math.gcd)
    with pytest.raises(AttributeError):
        one.__code__ = next_length.__code__
    one.__name__ = "greatest"
    assert other.__name__ == math.gcd.__name__ == "gcd"


def test_a_builtin_that_tells_no_signature_has_none() -> None:
    """Whoever asks with ``hasattr()`` is told so, and ``inspect.signature()`` says what it says of the builtin."""
    decorated = bounded(max=8)(max)
    assert not hasattr(decorated, "__signature__")
    with pytest.raises(ValueError, match="no signature found"):
        inspect.signature(decorated)
