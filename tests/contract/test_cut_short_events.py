"""Of a call that an exception strikes at any point nothing is told twice, and nothing is left untold."""

import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from kit.operations import DECORATORS, OPERATIONS, store, suits
from kit.strikes import Struck, spared
from kit.struck import Subject, strike_everywhere

from memo import dedupe_inflight
from memo._base import EVERYTHING, Seat

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning"),
]

KINDS = ("lean", "lru", "stale", "tags", "dedupe", "stack")
IN_CALLER: dict[str, Callable[..., Any]] = {
    "lean": store(work="caller"),
    "dedupe": lambda f, common, on_evict: dedupe_inflight(timeout=30, work="caller", **common)(f),
}
LOADS = ("first call", "miss", "miss that evicts", "failure")
STRUCK = (
    "first call", "miss", "miss that evicts", "failure", "expired", "stale", "cache.refresh", "cache.put, old",
    "cache.invalidate", "cache.clear", "cache.cleanup", "cache.resize",
)  # fmt: skip
EACH = 61
"""Every so many points are struck."""


class Ear:
    """Writes down what it is told, around executions and afterwards."""

    kinds = frozenset({"load", "error", "cancelled", "timeout", "stale", "eviction"})

    def __init__(self) -> None:
        self.items: list[tuple[Any, ...]] = []
        self.begun = 0
        self.ended: list[int] = []

    def steps(self, item: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
        return ((self.items.append, item),)

    def begin(self, load: Any) -> int:
        self.begun += 1
        return self.begun

    def end(self, begun: int, outcome: str, joined: int, error: BaseException | None) -> None:
        self.ended += [begun]

    def joined(self, begun: int) -> None: ...

    spared.update({steps.__code__, begin.__code__, end.__code__})


class Watched(Subject):
    """A function that is watched and, unless the observer is *alone*, listened to."""

    def __init__(self, decorate: Callable[..., Any], is_async: bool, alone: bool = False) -> None:
        self.ear = Ear()
        self.alone = alone

        def watched(function: Any, common: dict[str, Any], on_evict: Any) -> Any:
            audiences = common["registry"]._audiences
            audiences.seat("observers", Seat(EVERYTHING, self.ear))
            if not alone:
                audiences.seat("hearers", Seat(EVERYTHING, self.ear))
            return decorate(function, common, on_evict)

        super().__init__(watched, is_async)

    def check_ear(self) -> None:
        """Each execution that begun was told to end, once, and each value that left was told, once."""
        ear = self.ear
        assert sorted(ear.ended) == list(range(1, ear.begun + 1)), f"{ear.begun} begun, and ended: {sorted(ear.ended)}"
        if self.alone:
            return
        kinds = Counter(item[0] for item in ear.items)
        ends = kinds["load"] + kinds["error"] + kinds["cancelled"]
        *_, innermost = [layer for layer in self.layers if layer.kind in ("cache", "inflight")]
        counts = innermost.flights.table.counters
        led = counts.completed + counts.failed + counts.cancelled  # some of which were struck before they could begin
        assert ear.begun <= ends <= led, f"{ear.begun} executions, {led} led, and {ends} events"
        left = sum(
            sum(layer.cache.store.evictions().values()) for layer in self.layers if layer.kind == "cache"
        )  # fmt: skip
        assert kinds["eviction"] == left, f"{left} values left, and {kinds['eviction']} events tell of that"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_of_a_call_that_is_cut_short(kind: str, is_async: bool) -> None:
    """Some points of each operation."""
    strike_some(kind, DECORATORS[kind], STRUCK, is_async)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_an_observer_alone_is_told(is_async: bool) -> None:
    """An observer beside whom there is nobody hears of each end once, too."""
    strike_some("lean", DECORATORS["lean"], LOADS, is_async, alone=True)


@pytest.mark.parametrize("kind", IN_CALLER)
def test_what_is_told_of_work_in_its_callers_task_that_is_cut_short(kind: str) -> None:
    """The same where the wrapper itself leads: some points of each load."""
    strike_some(kind, IN_CALLER[kind], LOADS, is_async=True)


def strike_some(
    kind: str, decorate: Callable[..., Any], names: tuple[str, ...], is_async: bool, alone: bool = False
) -> None:
    each = EACH // 4 if alone else EACH
    for name in names:
        if not suits(kind, name, is_async):
            continue
        prepare, do = OPERATIONS[name]
        _, wrong = strike_everywhere(
            lambda: Watched(decorate, is_async, alone), prepare, do,
            error=Struck, step=each, first=zlib.crc32(f"{kind} {name}".encode()) % each,
            check=Watched.check_ear,  # type: ignore[arg-type]
        )  # fmt: skip
        assert not wrong, f"{kind}, {name}:\n" + "\n".join(wrong)
