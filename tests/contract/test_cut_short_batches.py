"""What an exception that strikes a call with many keys at any point leaves: no flight, no lock, nothing half-done."""

import asyncio
import gc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from kit.strikes import Struck, StruckError, every
from kit.struck import Subject, Value, strike_everywhere

from memo import AbsentKey, bounded_many

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    # Struck between the making of a coroutine and its ``await``, where no signal comes, it is not awaited.
    pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning"),
]

EACH = 71
"""Every so many points are struck in a quick run."""


class ManySubject(Subject):
    """A decorated function of many keys with books."""

    def __init__(self, is_async: bool, **options: Any) -> None:
        def decorate(function: Any, common: dict[str, Any], on_evict: Any) -> Any:
            return bounded_many(**{"max": 4, "on_evict": on_evict, **options, **common})(function)

        super().__init__(decorate, is_async)
        self.layers = [self.layers[0].single]  # type: ignore[attr-defined]

    def _function(self) -> Callable[..., Any]:
        def load(xs: list[Any]) -> dict[Any, Value]:
            return {x: self.make(x) for x in xs if x != "absent"}

        async def load_awaited(xs: list[Any]) -> dict[Any, Value]:
            await asyncio.sleep(0)
            return {x: self.make(x) for x in xs if x != "absent"}

        return load_awaited if self.is_async else load

    def call(self, x: Any) -> Any:
        return self.run(self.function([x]))[x]


def full(subject: Subject) -> None:
    subject.run(subject.function([0, 1, 2]))


def failing(subject: Subject) -> None:
    full(subject)
    subject.failing.add("bad")


def one(subject: Subject, key: Any) -> Any:
    if subject.is_async:

        async def ask() -> Any:
            try:
                return await subject.function.one(key)
            except AbsentKey:
                return None

        return ask()
    try:
        return subject.function.one(key)
    except AbsentKey:
        return None


OPERATIONS: dict[str, tuple[Callable[[Any], object], Callable[[Any], Any]]] = {
    "hits": (full, lambda s: s.function([0, 1, 2])),
    "misses": (full, lambda s: s.function([5, 6, 7])),
    "some of both": (full, lambda s: s.function([0, 5, "absent", 1, 6, 7, 8])),
    "failure": (failing, lambda s: s.function([0, 5, "bad", 6])),
    "one": (full, lambda s: one(s, 5)),
    "one that is absent": (full, lambda s: one(s, "absent")),
    "refresh": (full, lambda s: s.function.cache.refresh(1)),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": {"ttl": 60, "absent_ttl": 5, "max_batch": 2, "tags": lambda xs: [str(xs)], "timeout": 30},
    "gathered": {"gather": "1h", "max_batch": 1},
}


def strike_all(operation: str, options: str, is_async: bool, error: type[BaseException], each: int) -> None:
    prepare, do = OPERATIONS[operation]
    if options == "gathered" and not is_async:
        return
    # other points for each operation, but always the same ones
    _, wrong = strike_everywhere(
        lambda: ManySubject(is_async, **OPTIONS[options]), prepare, do,
        error=error, step=each, first=zlib.crc32(operation.encode()) % each,
    )  # fmt: skip
    assert not wrong, f"{operation}, {options}:\n" + "\n".join(wrong)
    if is_async:
        gc.collect()  # coroutines that were never awaited say so here


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "awaited"])
def test_a_batch_that_is_cut_short(operation: str, options: str, is_async: bool) -> None:
    """Some points of each operation."""
    strike_all(operation, options, is_async, Struck, EACH)


@pytest.mark.stress
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "awaited"])
def test_every_batch_that_is_cut_short(is_async: bool, error: type[BaseException]) -> None:
    """Every operation at every point where signals come."""
    for options in OPTIONS:
        for operation in OPERATIONS:
            strike_all(operation, options, is_async, error, every(100_000))
