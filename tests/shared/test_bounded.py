"""Functions that share results through a real server: what the engine, the link and the line make together."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.servers import Room
from kit.shared_functions import KINDS, Process
from kit.threads import Gate, Running, until

from memo import Registry, bounded
from memo.shared import Tier
from memo.testing import isolated


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, valkey: Room) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Makes one function in two processes."""
    tiers: list[Any] = [Tier(valkey.url, prefix=valkey.prefix, timeout="5s", lease="60s") for _ in range(2)]

    def make(**options: Any) -> tuple[Process, Process]:
        return Process(tiers[0], request.param, **options), Process(tiers[1], request.param, **options)

    yield make
    for tier in tiers:
        tier.close()


def heard(*processes: Any) -> None:
    """All messages have come."""
    for process in processes:
        process.registry.tiers[0].flush("5s")
    for process in processes:
        process.registry.tiers[0].catch_up("5s")


def test_one_load_and_what_changes_it(pair: Any) -> None:
    """What one loaded, put, refreshed or dropped holds for the other."""
    one, other = pair(tags=lambda x: (f"of {x}",))
    assert (one("a"), other("a")) == ("a1", "a1")
    assert (one.calls, other.calls) == (["a"], [])
    one.cache.put("new", "a")
    heard(one, other)
    assert (other.has("a"), other("a")) == (None, "new")
    assert one.refresh("a") == "a2"
    heard(one, other)
    assert (other.has("a"), other("a")) == (None, "a2")
    changes: list[Callable[[], object]] = [
        lambda: one.cache.invalidate("a"),
        lambda: one.cache.invalidate_where(lambda key, value: key == "a"),
        lambda: one.registry.invalidate(tag="of a"),
        one.cache.clear,
        one.f.cache_clear,
        one.registry.clear,
    ]
    for change in changes:
        assert one("a") == other("a")
        change()
        heard(one, other)
        assert (one.has("a"), other.has("a")) == (None, None)
        before = len(one.calls) + len(other.calls)
        assert other("a") == one("a")
        assert len(one.calls) + len(other.calls) == before + 1
    stats = other.stats
    assert stats.loads == len(other.calls)
    assert stats.l2_hits == stats.l2_served == stats.misses - stats.loads


def test_a_load_is_waited_for_and_fenced(pair: Any) -> None:
    """The other process waits for it; what was invalidated meanwhile is stored in neither, and on no server."""
    one, other = pair()
    gate = Gate()
    one.inside = gate.wait
    first = Running(lambda: one("a"))
    gate.reached()
    second = Running(lambda: other("a"))
    until(lambda: other.stats.l2_waits == 1)
    gate.open()
    assert first.result() == second.result() == "a1"
    gate = Gate()
    one.inside = gate.wait
    third = Running(lambda: one("b"))
    gate.reached()
    other.cache.invalidate("b")
    gate.open()
    assert third.result() == "b2"
    heard(one, other)
    assert one.has("b") is None
    assert other("b") == "b1"


def test_a_leave_of_ones_own_is_no_reason_to_wait(pair: Any) -> None:
    """What was forgotten and runs still keeps nobody waiting; neither does a load that failed or was cancelled."""
    one, other = pair()
    gate = Gate()
    one.inside = lambda: len(one.calls) == 1 and gate.wait()
    first = Running(lambda: one("a"))
    gate.reached()
    one.f.inflight.forget("a")
    assert one("a") == "a2"
    assert one.stats.l2_waits == 0, "it waited for its own lease"
    gate.open()
    first.result()
    assert (one.has("a"), other("a")) == ("a2", "a2")
    one.error = LookupError("down")
    with pytest.raises(LookupError):
        one("b")
    one.error = None
    assert (other("b"), one("b")) == ("b1", "b1")


def test_a_stale_value_answers_for_a_failing_load(pair: Any, valkey: Room) -> None:
    """Of another process, past its ``ttl``."""
    one, other = pair(ttl=0.2, stale_if_error=60)
    one("a")
    (value,) = [name for name in valkey.keys() if name.endswith("}")]  # noqa: SIM118  # of a server
    until(lambda: one.cache.entry("a").stale and valkey.command("PTTL", value) < 60_000)
    other.error = LookupError("down")
    assert other("a") == "a1"
    assert (other.stats.stale_hits, other.cache.entry("a").stale) == (1, True)


def test_isolation_keeps_the_tier_out(pair: Any) -> None:
    """Within it the server is neither asked nor told, and what others say meanwhile is heard."""
    one, other = pair()
    assert (one("a"), other("a"), one("b"), other("b")) == ("a1", "a1", "b2", "b2")
    with isolated(one.registry):
        assert one("a") == "a3"
        one.cache.clear()
        other.cache.invalidate("b")
        heard(one, other)
    assert (one.has("a"), other.has("a"), one.has("b")) == ("a1", "a1", None)


def test_isolation_forgets_no_key(pair: Any) -> None:
    """What was set aside hears of changes by key and by tag once it is back, however long that took."""
    one, other = pair(tags=lambda x: (f"of {x}",))
    for key in ("a", "b", "c"):
        one(key)
    with isolated(one.f):
        for follower in one.registry.tiers[0]._line._reader.followers():
            follower.tidy(100)  # as it is done each second
    other.cache.invalidate("a")
    other.registry.invalidate(tag="of b")
    heard(other, one)
    assert [one.has(key) for key in ("a", "b", "c")] == [None, None, "c3"]


def test_only_tags_reach_functions_of_another_version(pair: Any) -> None:
    """Two releases of one program share no values; of keys and whole functions they do not hear, of tags they do."""
    one, other = pair(tags=lambda x: (f"of {x}",))
    theirs = Process(other.registry.tiers[0].using(version="2"), other.kind, tags=lambda x: (f"of {x}",))
    assert (one("a"), theirs("a")) == ("a1", "a1")
    assert (one.calls, theirs.calls) == (["a"], ["a"])
    one.cache.invalidate("a")
    one.cache.clear()
    heard(one, theirs)
    assert (one.has("a"), theirs.has("a")) == (None, "a1")
    one.registry.invalidate(tag="of a")
    heard(one, theirs)
    assert theirs.has("a") is None
    assert theirs("a") == "a2"


def test_cancelled_callers_leave_no_lease(valkey: Room) -> None:
    """Whoever is cancelled while a load waits, asks or stores gives it back at once."""

    async def main(tier: Any) -> None:
        begun = asyncio.Event()

        async def load(x: int) -> int:
            begun.set()
            await asyncio.Event().wait()
            return x

        for work in ("shared", "caller"):
            begun.clear()
            made: Any = bounded(max=3, ttl=60, shared=tier, work=work, name=work, registry=Registry())
            f = made(load)
            task = asyncio.ensure_future(f(1))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with Tier(valkey.url, prefix=valkey.prefix, timeout="5s") as tier:
        asyncio.run(main(tier))
        until(lambda: not [key for key in valkey.keys() if key.endswith(":l")])  # noqa: SIM118  # of a server
