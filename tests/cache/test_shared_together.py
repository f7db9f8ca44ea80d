"""Shared results together with what else there is: isolation, switches, observers, tags, bounds, dumps, leases."""

import weakref
from pathlib import Path
from typing import Any

from kit.paper_tier import Deaf, PaperTier
from kit.shared_functions import MakeProcess, Process

from memo import Registry, bounded, sliding_window
from memo.testing import isolated

# -- down, apart, switched off


def test_without_its_tier_a_function_is_what_it_is_without_one(process: MakeProcess, paper: PaperTier) -> None:
    """Each loads by itself, and stores that."""
    one, other = process(), process()
    paper.is_down = True
    assert (one(), one(), other()) == ("a1", "a1", "a1")
    assert (one.calls, other.calls, one.stats.l2_skipped) == (["a"], ["a"], 1)


def test_a_refresh_without_the_tier_has_others_drop_theirs(process: MakeProcess, paper: PaperTier) -> None:
    """What it cannot store there is said to be changed."""
    one, other = process(), process()
    one("a")
    other("a")
    paper.is_down = True
    assert one.refresh("a") == "a2"
    assert (one.has("a"), other.has("a")) == ("a2", None)
    other("a")
    one.inside = one.link.local.drop_all  # the tier is back, and a gap fences what runs
    assert one.refresh("a") == "a3"
    assert (one.has("a"), other.has("a")) == (None, None)


def test_nothing_is_asked_or_said_while_results_are_set_aside(process: MakeProcess) -> None:
    """Within ``isolated()``, also of functions that were never called, or are decorated inside."""
    one, other = process(), process()
    one("a")
    with isolated(one.registry):
        assert one("a") == "a2"
        one.cache.invalidate("a")
        one.cache.put("b", "b")
        one.cache.clear()
        one.refresh("a")
        one.registry.invalidate(tag="x")
        one.registry.clear()
        assert one.stats.l2_hits == one.stats.l2_misses == 0
    assert one.link.steps == ["ask", "store"]
    assert (one.has("a"), one.stats.l2_misses) == ("a1", 1)
    with isolated(other.registry):
        other("a")
        inside = process(home=other.registry, name="inside")
        inside("a")
        other.registry.clear()
    assert other.link.steps == inside.link.steps == []
    assert other("a") == "a1"
    assert other.link.steps == ["ask"]


def test_what_others_change_meanwhile_is_done_to_what_comes_back(process: MakeProcess) -> None:
    """Messages that come while results are set aside reach those results."""
    one, other = process(), process()
    for x in ("a", "b"):
        one(x)
        other(x)
    with isolated(one.registry):
        one("a")
        other.cache.invalidate("a")
        assert one.has("a") is None
    assert (one.has("a"), one.has("b")) == (None, "b2")


def test_a_function_that_is_switched_off_asks_nothing(process: MakeProcess) -> None:
    """Calls go straight to it; its handles keep working, and tell the tier."""
    one, other = process(), process()
    other("a")
    with one.registry.disabled():
        assert one("a") == "a1"
        one.cache.invalidate("a")
    assert (one.link.steps, other.has("a")) == (["invalidate"], None)


# -- who else is told, and what else goes by


def test_observers_hear_of_executions_alone(process: MakeProcess) -> None:
    """What the tier answered is no load, and no event."""
    one, other = process(), process()
    heard: list[str] = []
    with other.registry.subscribe(lambda event: heard.append(event.kind)) as told:
        one("a")
        other("a")
        other("b")
        told.close()
    assert heard == ["load"]


def test_the_tags_of_other_decorators_are_told(paper: PaperTier) -> None:
    """Results bear what the whole stack bears."""
    registry = Registry()
    asked: list[Any] = []
    inner = bounded(max=3, ttl=60, tags="inner", shared=paper, registry=registry)(lambda x: x)
    outer = sliding_window("1m", tags=("outer", "inner"), registry=registry)(inner)
    paper.links[-1].ask = lambda key, tags, newer=False: asked.append(tags)  # type: ignore[method-assign, assignment]
    outer(1)
    assert [sorted(tags) for tags in asked] == [["inner", "outer"]]


def test_a_value_from_the_tier_is_weighed_and_copied(process: MakeProcess) -> None:
    """As any other: it counts against ``max_bytes``, and nobody alters the stored one."""
    copies: list[Any] = []

    def copy(value: Any) -> Any:
        copies.append(value)
        return [value]

    one, other = process(), process(max=None, max_bytes="1kB", copy=copy)
    one("a")
    assert other("a") == [["a1"]]
    assert other.cache.entry("a").bytes > 0
    one.cache.put("x" * 2000, "b")
    assert other("b") == [["x" * 2000]]
    assert (other.has("b"), other.stats.rejected) == (None, 1)


def test_a_dump_is_of_this_process_alone(process: MakeProcess, tmp_path: Path) -> None:
    """What is restored is told to the link, so that messages find it, and to nobody else."""
    one, other = process(tags=lambda x: (f"of {x}",)), process(tags=lambda x: (f"of {x}",))
    one("a")
    one.cache.dump(tmp_path / "dump")
    one.cache.clear()
    one.cache.load(tmp_path / "dump")
    assert one.has("a") == "a1"
    assert one.link.known == [("a", ("of a",))]
    assert one.link.steps[-1] == "invalidate all"
    other.cache.invalidate("a")
    assert one.has("a") is None


def test_a_lease_holds_a_value_of_the_tier(paper: PaperTier) -> None:
    """``on_evict`` waits for who uses it, also where the tier refused it."""
    left: list[Any] = []
    one = Process(paper, on_evict=lambda key, value, reason: left.append((value, reason.value)))
    other = Process(paper)
    other("a")
    with one.cache.lease("a") as value:
        other.cache.invalidate("a")
        assert (value, left) == ("a1", [])
    assert left == [("a1", "invalidated")]
    one.link.local = other.link.local = Deaf()
    one.inside = lambda: other.cache.invalidate("b")
    with one.cache.lease("b") as value:
        assert left[1:] == []
    assert left[1:] == [("b1", "invalidated")]


def test_nothing_is_held_of_a_load_that_has_ended(process: MakeProcess, paper: PaperTier) -> None:
    """Neither by a flight that somebody holds still, nor by what the tier answered."""

    class Value:
        pass

    one, other = process(), process()
    held: list[Any] = []
    for each in (one, other):
        each.link.before = lambda step, each=each: held.extend(each.cache._cache.table.by_key.values())
    value = Value()
    ref = weakref.ref(value)
    one.result = value
    one("a")
    assert other("a") is value
    one.result = None
    one.cache.clear()
    other.cache.clear()
    paper.stored.clear()
    del value
    for flight in held:
        flight.value = None  # what whoever joined it gets
        if hasattr(flight, "task"):
            flight.task = None  # that of its leader, which has the result
    assert ref() is None
    assert held
