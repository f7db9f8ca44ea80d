"""What changes a shared result changes it here and everywhere, and nothing old comes back."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kit.paper_tier import PaperTier, quiet
from kit.shared_functions import MakeProcess, Process
from kit.threads import Gate, Running

from memo import Registry, bounded, dedupe_inflight
from memo.testing import FakeClock


def clear(one: Process) -> None:
    one.cache.clear()


def clear_the_registry(one: Process) -> None:
    one.registry.clear()


def clear_as_functools(one: Process) -> None:
    one.f.cache_clear()


def invalidate(one: Process) -> None:
    one.cache.invalidate("a")


def invalidate_where(one: Process) -> None:
    one.cache.invalidate_where(lambda key, value: key == "a")


def invalidate_the_tag(one: Process) -> None:
    one.registry.invalidate(tag="users")


CHANGES: tuple[Callable[[Process], None], ...] = (
    clear,
    clear_the_registry,
    clear_as_functools,
    invalidate,
    invalidate_where,
    invalidate_the_tag,
)
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@each_change
def test_a_change_reaches_every_process(process: MakeProcess, change: Callable[[Process], None]) -> None:
    """What was dropped in one is dropped in all, and in the tier; others load anew, once."""
    one, other, third = (process(tags="users") for _ in range(3))
    assert (one("a"), other("a"), third("a")) == ("a1", "a1", "a1")
    change(one)
    assert [each.has("a") for each in (one, other, third)] == [None] * 3
    assert (other("a"), one("a"), third("a")) == ("a1", "a1", "a1")
    assert (one.calls, other.calls, third.calls) == (["a"], ["a"], [])


@each_change
def test_what_is_read_meanwhile_is_not_kept(process: MakeProcess, change: Callable[[Process], None]) -> None:
    """A load that begins here, and finds the old value before the tier knows of the change, stores nothing."""
    one, other = process(tags="users"), process(tags="users")
    one("a")
    if change is invalidate_where:
        assert one.has("a") == "a1"  # a predicate is about what is here
    read: list[Any] = []
    one.link.before = lambda step: "invalidate" in step and not read and read.append(_beside(lambda: one("a")))
    change(one)
    assert read == ["a1"]
    assert one.has("a") is None
    assert one("a") == "a2"
    assert other("a") == "a2"


def _beside(call: Callable[[], Any]) -> Any:
    return Running(call).result()


@each_change
def test_a_load_that_is_under_way_is_not_kept_anywhere(process: MakeProcess, change: Callable[[Process], None]) -> None:
    """Neither where it runs, nor on the server; whoever waited gets its value."""
    one, other = process(tags="users"), process(tags="users")
    if change is invalidate_where:
        other("a")
        one("a")
        other.cache.invalidate("a")
        one.cache.put("old", "a")
    gate = Gate()
    other.inside = gate.wait
    first = Running(lambda: other.refresh("a") if change is invalidate_where else other("a"))
    gate.reached()
    change(one)
    gate.open()
    assert first.result() in ("a1", "a2")
    assert other.has("a") is None
    assert other.link.grants[-1] in (["released"], ["lost"], ["refused"])
    other.inside = int
    before = len(other.calls)
    assert one("a") == f"a{len(one.calls)}"
    assert other("a") == one("a")
    assert len(other.calls) == before


def test_a_message_that_comes_while_the_tier_is_asked_fences_the_load(process: MakeProcess) -> None:
    """The old value that is on its way reaches those who waited, and no store."""
    one, other = process(), process()
    one("a")
    other.link.after = lambda step: step == "ask" and one.cache.invalidate("a")
    assert other("a") == "a1"
    other.link.after = quiet
    assert other.has("a") is None
    assert other("a") == "a1"
    assert other.calls == ["a"]


def test_a_message_that_comes_while_a_result_is_stored_fences_it_here(process: MakeProcess) -> None:
    """It was stored there, then dropped there, before it was to be stored here."""
    one, other = process(), process()
    other.link.after = lambda step: step == "store" and one.cache.invalidate("a")
    assert other("a") == "a1"
    other.link.after = quiet
    assert other.has("a") is None


def test_what_is_put_is_everywhere(process: MakeProcess, paper_clock: FakeClock) -> None:
    """Others drop their copies, and find it; what ``ttl(value)`` and tags say of it travels along."""
    one, other = (process(tags=lambda x: (f"of {x}",), ttl=lambda value: 7) for _ in range(2))
    other("a")
    one.cache.put("new", "a")
    assert other.has("a") is None
    paper_clock.advance(2)
    assert (other("a"), other.cache.entry("a").expires_in) == ("new", 5)
    one.registry.invalidate(tag="of a")
    assert (one.has("a"), other.has("a")) == (None, None)
    assert one("a") == "a1"


def test_a_put_that_is_not_kept_drops_the_old_value(process: MakeProcess) -> None:
    """What ``cache_if`` refuses, and what has no end, replaces nothing elsewhere, but outdates it."""
    one = process(ttl=lambda value: None if value == "endless" else 60, cache_if=lambda value: value != "bad")
    other = process()
    for value, here in (("bad", None), ("endless", "endless")):
        one.cache.put("old", "a")
        other("a")
        one.cache.put(value, "a")
        assert (one.has("a"), other.has("a")) == (here, None)
        assert other("a") == f"a{len(other.calls)}"
        other.cache.clear()


def test_a_put_value_that_is_evicted_at_once_leaves_no_old_one(process: MakeProcess) -> None:
    """A load that begins before the tier has the new value, and after it left here, keeps nothing."""
    one = process(max=1)
    one("a")

    def evict_and_load(step: str) -> None:
        if step == "put":
            one.link.before = quiet
            _beside(lambda: one("b"))
            assert _beside(lambda: one("a")) == "a1"

    one.link.before = evict_and_load
    one.cache.put("new", "a")
    assert one("a") == "new"


def test_a_refresh_is_everywhere(process: MakeProcess) -> None:
    """It takes the leave over from a load under way elsewhere, which is refused."""
    one, other = process(), process()
    one("a")
    other("a")
    assert one.refresh("a") == "a2"
    one.link.invalidate(["a"])  # as the link does of a refresh: see tests of it
    gate = Gate()
    other.inside = gate.wait
    first = Running(lambda: other("a"))
    gate.reached()
    assert one.refresh("a") == "a3"
    gate.open()
    assert first.result() == "a1"
    assert other.link.grants[-1] == ["lost"]
    assert (other.has("a"), other("a")) == (None, "a3")


def test_a_tag_reaches_functions_that_were_never_called_here(process: MakeProcess) -> None:
    """The tier is told by whoever is tied to it, also of other functions, once."""
    one, writer = process(tags="users"), process(name="another")
    one("a")
    writer.registry.invalidate(tag="users")
    assert writer.link.steps == ["invalidate tag users"]
    assert one.has("a") is None
    assert one("a") == "a2"
    second = process(name="a third", home=writer.registry)
    writer.registry.clear()
    assert second.link.steps == ["invalidate all"]
    writer.registry.select("another").invalidate(tag="users")
    writer.registry.invalidate(tag="users")
    assert sum(step.startswith("invalidate tag") for step in writer.link.steps + second.link.steps) == 3


def test_what_concerns_this_store_alone_is_not_said(process: MakeProcess, paper_clock: FakeClock) -> None:
    """Bounds, evictions and clean-ups are each process's own."""
    one, other = process(max=2), process()
    for x in ("a", "b", "c"):
        one(x)
    one.cache.resize(1)
    one.cache.cleanup()
    one.registry.cleanup()
    one.f.inflight.forget("a")
    paper_clock.advance(1)
    assert set(one.link.steps) == {"ask", "store"}
    assert other("a") == "a1"


def test_functions_of_several_layers_fence_all_of_them(paper: PaperTier) -> None:
    """A message keeps newcomers from joining a call further out that was given the old value."""
    registry = Registry()
    calls: list[str] = []
    gate = Gate()

    def load(x: str) -> str:
        calls.append(x)
        number = len(calls)
        if number == 1:
            gate.wait()
        return f"{x}{number}"

    inner = bounded(max=3, ttl=60, shared=paper, name="load", registry=registry)(load)
    f = dedupe_inflight(registry=registry)(inner)
    one = Process(paper)
    first = Running(lambda: f("a"))
    gate.reached()
    one.cache.invalidate("a")
    assert f("a") == "a2"
    gate.open()
    assert first.result() == "a1"
    assert f("a") == "a2"


def test_tiers_are_found(process: MakeProcess, paper: PaperTier, paper_clock: FakeClock) -> None:
    """``registry.tiers`` has each once, in the order of names, and those of functions that were never called."""
    one = process()
    process(name="another", home=one.registry)
    second = PaperTier(paper_clock)
    kept = Process(second, home=one.registry, name="a third")
    assert one.registry.tiers == (second, paper)
    assert one.registry.select("a third").tiers == (second,)
    assert Registry().tiers == ()
    del kept


def test_a_function_goes_with_its_last_reference(paper: PaperTier) -> None:
    """Its link and its local side do not hold it."""
    one = Process(paper)
    one("a")
    local = one.link.local
    one.f = None
    local.drop(["a"])
    local.drop_all()
    local.drop_tag("x")
    assert (local.holds("a"), list(local.tags())) == (False, [])
    assert one.registry.tiers == ()


# -- what cannot be shared is refused when it is decorated


def test_options_that_do_not_go_together_are_refused(paper: PaperTier) -> None:
    """Each says what, with what, and what to do; none shows a URL, which may have a password in it."""
    options: dict[str, Any] = {"max": 3, "ttl": 60, "registry": Registry()}

    def refused(function: Any = lambda x: x, **more: Any) -> str:
        with pytest.raises(TypeError) as met:
            bounded(**{**options, **more})(function)
        assert str(met.value).startswith("bounded: ")
        return str(met.value)

    text = refused(shared="redis://:secret@host")
    assert "type 'str'" in text
    assert "secret" not in text
    assert "Tier('valkey://localhost')" in text
    assert "type 'type'" in refused(shared=PaperTier)
    assert "give ttl= as well" in refused(shared=paper, ttl=None)
    assert "dedupe=False" in refused(shared=paper, dedupe=False)
    assert "weak=('x',)" in refused(shared=paper, weak=("x",))

    async def load(x: int) -> int:
        return x

    assert "scope='loop'" in refused(load, shared=paper, scope="loop")
    assert paper.links == []


def test_methods_are_shared_without_their_instances(paper: PaperTier) -> None:
    """Keys that hold instances are refused where the class is defined; ``ignore`` leaves the instance out."""
    make: Any = bounded(max=3, ttl=60, shared=paper, registry=Registry())

    def named(this: Any, x: int) -> int:
        return x

    for place in (lambda f: f, classmethod, property):
        with pytest.raises(TypeError, match=r"give ignore=\('self',\) as well"):

            class Refused:
                @make
                @place
                def load(self, x: int = 1) -> int:
                    return x

    for place in (lambda f: f, classmethod, staticmethod, property):
        calls: list[int] = []

        class Shop:
            @bounded(max=3, ttl=60, shared=paper, registry=Registry(), ignore=("self",), name=f"{place}")  # type: ignore[type-var]
            @place
            def load(self=1, x: int = 1) -> int:  # type: ignore[assignment]
                calls.append(x)  # noqa: B023
                return x

        for shop in (Shop(), Shop()):
            value: Any = shop.load
            assert (value if place is property else value(1)) == 1
        assert calls == [1], place
        assert paper.links[-1].grants == [["stored"]]


def test_each_loop_asks_for_itself(paper: PaperTier) -> None:
    """Calls from several loops share one question and one load."""
    one = Process(paper, "coroutine")
    gate = Gate()
    one.link.before = lambda step: step == "ask" and gate.wait()
    first = Running(lambda: asyncio.run(_call(one)))
    gate.reached()
    second = Running(lambda: asyncio.run(_call(one)))
    while not any(flight.waiters for flight in one.f.inflight.pending()):
        second.thread.join(0.001)
    gate.open()
    assert (first.result(), second.result()) == ("a1", "a1")
    assert one.link.steps == ["ask", "store"]


async def _call(one: Process) -> Any:
    return await one.f("a")
