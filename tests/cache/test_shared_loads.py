"""A load asks the tier before it runs the function, and shares what that returned."""

import pytest
from kit.paper_tier import PaperTier
from kit.shared_functions import KINDS, MakeProcess, Process
from kit.threads import Gate, Running

from memo.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tier(clock: FakeClock) -> PaperTier:
    return PaperTier(clock)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tier: PaperTier) -> MakeProcess:
    """Makes processes of one tier; each has the function in the colour of this test."""
    return lambda **options: Process(tier, request.param, **options)


def test_what_one_process_loaded_another_finds(make: MakeProcess, clock: FakeClock) -> None:
    """The function runs once; the other stores what it found with its age and the life that is left."""
    one, other = make(), make()
    assert one() == "a1"
    clock.advance(40)
    assert other() == other() == "a1"
    assert (one.calls, other.calls) == (["a"], [])
    info = other.cache.entry()
    assert (info.age, info.expires_in) == (40, 20)
    clock.advance(20)
    assert other() == "a1"
    assert other.calls == ["a"]
    assert [link.ends() for link in (one.link, other.link)] == [[["stored"]], [["stored"]]]


def test_what_the_tier_answers_is_no_execution(make: MakeProcess, clock: FakeClock) -> None:
    """It counts as a miss, and as nothing that the function did."""
    one, other = make(), make()
    one.inside = lambda: clock.advance(2)
    one()
    other()
    other()
    stats = one.stats
    assert (stats.misses, stats.loads, stats.load_seconds, stats.l2_misses, stats.l2_hits) == (1, 1, 2, 1, 0)
    assert (stats.l2_served, stats.served_ratio) == (0, 0)
    stats = other.stats
    assert (stats.hits, stats.misses, stats.loads, stats.load_seconds, stats.l2_hits) == (1, 1, 0, 0, 1)
    assert (stats.l2_served, stats.served_ratio, stats.hit_ratio) == (1, 1, 0.5)


def test_a_load_waits_for_that_of_another_process(make: MakeProcess) -> None:
    """One execution, and each gets its value."""
    one, other = make(), make()
    gate = Gate()
    one.inside = gate.wait
    first = Running(one)
    gate.reached()
    asking = Gate()
    other.link.before = lambda step: asking.entered.set()
    second = Running(other)
    asking.reached()
    gate.open()
    assert first.result() == second.result() == "a1"
    assert other.calls == []
