"""Full stores of which nobody is told what leaves, so that loads end in lines of the wrapper: struck at each point."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.strikes import Struck, StruckError
from kit.struck import Subject, Value, strike_everywhere
from test_struck_store import Key

from memo import bounded

pytestmark = pytest.mark.pure_path("in C such loads end in C")


class Untold(Subject):
    """Its books say of what left how many there were, since nobody is told which."""

    def check_books(self, before: list[Value]) -> None:
        """What left was counted: no less than what is missing of *before*, no more than what was ever made."""
        inside = set(map(id, self.stored()))
        left = sum(self.layers[0].cache.store.evictions().values())
        gone = sum(id(value) not in inside for value in before)
        assert gone <= left + self.uncounted, f"{gone} values are gone, {left} left"
        assert left <= len(self.made) - len(inside) + self.uncounted, f"{left} of {len(self.made)} left"


KINDS: dict[str, dict[str, Any]] = {
    "adaptive": {"max": 4},
    "s3fifo": {"max": 4, "policy": "s3fifo", "ttl": 60},
    "lru": {"max": 4, "policy": "lru", "ttl": 60},
    "lfu": {"max": 4, "policy": "lfu"},
}
KEYS: dict[str, Callable[[int], Any]] = {"plain": int, "tuples": lambda x: (x, x), "of the user's": Key}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_key = pytest.mark.parametrize("keys", KEYS)


def struck(kind: str, keys: str, advance_s: float, *, step: int, **how: Any) -> tuple[int, list[str]]:
    make_key = KEYS[keys]

    def fill(s: Subject) -> None:
        for x in (0, 1, 2, 3, 4, 5, 6, 4, 3, 7):
            s.call(make_key(x))
        s.clock.advance(advance_s)

    def make() -> Subject:
        return Untold(lambda function, given, on_evict: bounded(**KINDS[kind], **given)(function))

    return strike_everywhere(make, fill, lambda s: s.function(make_key(50)), step=step, **how)


@every_kind
@every_key
@pytest.mark.parametrize("advance_s", [0.0, 100.0])
def test_a_miss_struck_where_signals_come(kind: str, keys: str, advance_s: float) -> None:
    """Whatever a signal interrupts, the store is whole and unlocked, no flight is left, and what left was counted."""
    points, wrong = struck(kind, keys, advance_s, step=1)
    assert points > 8
    assert not wrong, "\n".join(wrong)


@every_kind
@every_key
def test_a_miss_struck_by_an_error(kind: str, keys: str) -> None:
    """So it is when what strikes is an ordinary exception of a signal handler."""
    _, wrong = struck(kind, keys, 0.0, step=2, error=StruckError)
    assert not wrong, "\n".join(wrong)


@every_kind
@pytest.mark.parametrize("error", [Struck, StruckError])
def test_a_miss_struck_at_every_instruction(kind: str, error: type[BaseException]) -> None:
    """So it is at every instruction that can fail at all."""
    _, wrong = struck(kind, "plain", 0.0, step=3, error=error, everywhere=True)
    assert not wrong, "\n".join(wrong)
