"""A server that has lost what a process changed never answers that process: two real servers, one of which lags."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.servers import Server
from kit.threads import until

from memo import Registry, bounded
from memo.shared import Tier, _breaker

pytest.importorskip("redis")


class Pair:
    """A primary, a replica that follows it until told otherwise, and where programs are led to."""

    def __init__(self, primary: Server, replica: Server) -> None:
        self.primary = primary
        self.replica = replica
        self.leader = primary
        self.follow(replica, primary)

    def follow(self, one: Server, other: Server) -> None:
        one.command("REPLICAOF", "127.0.0.1", other.port)
        until(lambda: one.info("master_link_status") == "up")
        until(lambda: one.info("slave_repl_offset") == other.info("master_repl_offset"))

    def url(self) -> str:
        return self.leader.url

    def part(self) -> None:
        """From now on the replica hears nothing of what is said on the primary."""
        until(lambda: self.primary.info("master_repl_offset") == self.replica.info("slave_repl_offset"))
        self.replica.command("REPLICAOF", "NO", "ONE")

    def lead_to(self, other: Server) -> None:
        """Have connections be cut, and lead to *other*, while both servers take changes."""
        former, self.leader = self.leader, other
        former.cut()


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Both, looked after more often than one does."""
    monkeypatch.setattr(_breaker, "_PROBES_S", (0.02, 0.1))
    with Server(settings={"repl-diskless-sync-delay": 0}) as primary, Server() as replica:
        yield Pair(primary, replica)


class Process:
    """Two functions of one process, called or awaited, which return what is true as they are run."""

    def __init__(self, url: Callable[[], str], awaited: bool, truth: dict[int, int]) -> None:
        self.loads = 0
        self.awaited = awaited
        self.tier = Tier(url, prefix="p", timeout="5s")
        self.truth = truth
        self.registry = registry = Registry()

        def load(x: int) -> int:
            self.loads += 1
            return truth[x]

        async def load_awaited(x: int) -> int:
            return load(x)

        given: Any = {"max": 1, "ttl": "1h", "shared": self.tier, "tags": ["t"], "name": "f", "registry": registry}
        self.f: Any = bounded(**given)(load_awaited if awaited else load)

    def __call__(self, x: int) -> int:
        answer: int = asyncio.run(self.f(x)) if self.awaited else self.f(x)
        return answer

    def change(self, how: str, x: int) -> None:
        """Have *x* be one more, and say so: in an event loop's thread, where the function is awaited."""
        self.truth[x] += 1
        change = CHANGES[how]

        async def changed() -> None:
            answer = change(self, x, self.truth[x])
            if answer is not None:
                await answer

        if self.awaited:
            asyncio.run(changed())
            self.tier.flush("20s")
        else:
            change(self, x, self.truth[x])


def _lacking(pair: Pair, one: Process) -> None:
    """Have *one* change something that the replica, which it is then led to, does not hear of."""
    pair.part()
    one.change("invalidate", 1)
    pair.lead_to(pair.replica)


def _clear(one: Process, x: int, value: int) -> None:
    one.f.cache.clear()


def _invalidate(one: Process, x: int, value: int) -> None:
    one.f.cache.invalidate(x)


def _invalidate_tag(one: Process, x: int, value: int) -> None:
    one.registry.invalidate(tag="t")


def _put(one: Process, x: int, value: int) -> None:
    one.f.cache.put(value, x)


def _refresh(one: Process, x: int, value: int) -> Any:
    answer = one.f.cache.refresh(x)
    return answer if asyncio.iscoroutine(answer) else None


CHANGES: dict[str, Callable[[Process, int, int], Any]] = {
    "invalidate": _invalidate, "clear": _clear, "tag": _invalidate_tag, "put": _put, "refresh": _refresh,
}  # fmt: skip


@pytest.fixture(params=["called", "awaited"])
def processes(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []
    truth = {1: 10, 2: 20}

    def make() -> Process:
        made.append(Process(pair.url, request.param == "awaited", truth))
        return made[-1]

    yield make
    for one in made:
        one.tier.close()


@pytest.mark.parametrize("how", CHANGES)
def test_who_changed_something_is_never_answered_with_what_was_before(
    pair: Pair, processes: Callable[[], Process], how: str
) -> None:
    """The server that it is led to has the former value under generations that count, and takes changes."""
    one = processes()
    assert (one(1), one(2)) == (10, 20)
    pair.part()
    one.change(how, 1)
    assert one(2) in (20, 21)  # which takes the place of the other in the process's own store
    pair.lead_to(pair.replica)
    assert [one(1) for _ in range(3)] == [11, 11, 11]
    until(lambda: one.tier.stats().gaps == 1 and one.tier.state == "up")
    one(2)
    assert one(1) == 11


def test_nobody_is_answered_with_it_once_somebody_has_noticed(pair: Pair, processes: Callable[[], Process]) -> None:
    """Not even a process that never heard of the change, nor one that begins later."""
    one, other = processes(), processes()
    assert (one(1), other(2)) == (10, 20)
    _lacking(pair, one)
    until(lambda: one(1) == 11 and one.tier.stats().gaps == 1 and one.tier.state == "up")
    until(lambda: other.tier.stats().gaps == 1 and other.tier.state == "up")
    assert (other(1), processes()(1)) == (11, 11)


def test_what_is_missed_by_several_is_void_once(pair: Pair, processes: Callable[[], Process]) -> None:
    """The first one who misses it has values be void: those who miss the same drop what they have, and read on."""
    one, other = processes(), processes()
    assert (one(1), other(2)) == (10, 20)
    pair.part()
    one.change("invalidate", 1)
    other.tier.catch_up("20s")
    pair.lead_to(pair.replica)
    until(lambda: one.tier.stats().gaps == other.tier.stats().gaps == 1)
    assert pair.replica.command("HGET", "p:1:seq", "v").count(b" ") == 1
    assert pair.replica.command("XLEN", "p:1:log") == 1


def test_what_was_said_where_nobody_is_led_any_more_is_said_once_more(
    pair: Pair, processes: Callable[[], Process]
) -> None:
    """A change that the former server takes after the process has noticed counts as not delivered."""
    one = processes()
    assert one(1) == 10
    pair.part()
    one.change("invalidate", 1)
    line = one.tier._line
    before = line.log
    pair.lead_to(pair.replica)
    until(lambda: line.log.known.era == 1)
    assert not line.told(before, b"9999999999999-0")
    assert line.told(line.log, b"9999999999999-0")


def test_a_replica_that_has_everything_voids_nothing(pair: Pair, processes: Callable[[], Process]) -> None:
    """What was stored before is read on it, as if it were the server of before."""
    one = processes()
    assert (one(1), one(2)) == (10, 20)
    one.change("invalidate", 1)
    assert (one(1), one(2), one.loads) == (11, 20, 3)
    pair.part()
    pair.lead_to(pair.replica)
    assert (one(1), one(2), one.loads) == (11, 20, 3)
    one.tier.catch_up("20s")
    assert one.tier.stats().gaps == 0


def test_who_asks_waits_until_it_was_noticed(pair: Pair, processes: Callable[[], Process]) -> None:
    """A call on a connection of its own, before the line knows: what another has loaded there since is read."""
    one, other = processes(), processes()
    assert (one(1), other(1)) == (10, 10)
    pair.part()
    one.change("invalidate", 1)
    other.tier.catch_up("20s")
    later = processes()  # led there from the beginning, it knows of nothing that was lost
    former, pair.leader = pair.leader, pair.replica
    assert later(1) == 10
    former.cut("callers")
    assert other(1) == 11
    assert other.tier.stats().gaps == 1
    assert other(1) == 11  # and is stored, as a load that the gap has overtaken is not
    assert (one(1), one.loads) == (11, 1)
