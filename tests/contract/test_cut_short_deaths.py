"""What an exception that strikes as an instance, or a weak argument, dies leaves: no lock, no entry for long."""

from typing import Any

import pytest
from kit.large import all_large
from kit.strikes import Struck, StruckError, held_locks, locks_of, strike

from memo import Registry, bounded
from memo._decorated.stack import layers_of


class Value:
    """What is stored."""


def die_in_part(
    policy: str, error: type[BaseException], everywhere: bool, each: int, weak: bool = False, sliced: bool = False
) -> None:
    at = 0
    while strike_one(policy, error, everywhere, at, weak, sliced):
        at += each


def strike_one(policy: str, error: type[BaseException], everywhere: bool, at: int, weak: bool, sliced: bool) -> bool:
    here, told = Registry(), []  # type: ignore[var-annotated]
    options: Any = {"policy": policy, "registry": here, "on_evict": lambda key, value, reason: told.append(value)}

    class Bot:
        """An instance of it is part of keys."""

        @bounded(max=9, **options)
        def method(self, x: Any) -> Value:
            return Value()

        if weak:

            def method(self, x: Any) -> Value:
                return of_bots(x, self)

    @bounded(max=9, weak=("bot",), **options)
    def of_bots(x: Any, bot: Any) -> Value:
        return Value()

    one, other = Bot(), Bot()
    mortal = [one.method(x) for x in range(3)]
    kept = other.method(1)
    layer: Any = next(iter(layers_of(of_bots if weak else Bot.__dict__["method"])))
    instances, store = layer.tokens.arguments if weak else layer.tokens.instances, layer.cache.store
    address = id(one)
    bots = [one]
    del one
    where, raised = strike(bots.clear, at, error, everywhere)
    assert raised is None or where is not None
    del raised
    if where is not None and "Store.bury at" in where and store.lock._is_owned():
        store.lock.release()  # in its ``finally``, ahead of the release: nothing strikes or fails there
        return True
    assert not held_locks(locks_of(here, layer)), where
    assert address not in instances.refs, where  # which another instance may have now
    after = Bot()
    assert after.method(1) not in (*mortal, kept), where
    other.method(2)  # the next change
    if sliced:
        list(layer.cache.expire_entries())
    store._check()
    assert len(store.index) == 3, where
    assert not instances.dead, where
    # a listener that was struck has been told, whatever it made of it
    assert "<lambda>" in (where or "") or sorted(map(id, told)) == sorted(map(id, mortal)), where
    assert other.method(1) is kept, where
    return where is not None


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random"])
def test_every_point(policy: str) -> None:
    """Whatever a signal interrupts, the address is free for another, and the entries go, told."""
    die_in_part(policy, Struck, everywhere=False, each=1)


@pytest.mark.parametrize("policy", ["adaptive", "lfu"])
def test_every_point_of_a_weak_argument(policy: str) -> None:
    """The death of a weak argument is as that of an instance."""
    die_in_part(policy, Struck, everywhere=False, each=1, weak=True)


@pytest.mark.parametrize("weak", [False, True])
def test_points_where_entries_leave_in_slices(weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is where they are too many to leave in one step, and the rest goes with a clean-up."""
    all_large(monkeypatch)
    die_in_part("adaptive", Struck, everywhere=False, each=7, weak=weak, sliced=True)


@pytest.mark.parametrize("error", [Struck, StruckError])
def test_some_instructions(error: type[BaseException]) -> None:
    """So it is at instructions that can fail at all."""
    die_in_part("lru", error, everywhere=True, each=11)


@pytest.mark.stress
@pytest.mark.timeout(900)
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random"])
def test_every_instruction(policy: str) -> None:
    """So it is at every one."""
    die_in_part(policy, Struck, everywhere=True, each=1)
