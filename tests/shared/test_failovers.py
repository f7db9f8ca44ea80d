"""A replica takes the place of its primary, and may lack what was said last: two real servers, one of which follows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.lines import FUNCTION, Party, party
from kit.proxies import proxy
from kit.servers import Server
from kit.threads import until
from kit.tiers import Key

from memo import Registry, bounded
from memo.shared import Tier, _breaker

pytest.importorskip("redis")

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


class Pair:
    """A primary and its replica, and where programs are led to."""

    def __init__(self, primary: Server, replica: Server) -> None:
        self.primary = primary
        self.replica = replica
        self.leader = primary
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: replica.info("master_link_status") == "up")

    def url(self) -> str:
        return self.leader.url

    def is_even(self) -> bool:
        """Whether the replica has all that the primary was told."""
        return bool(self.primary.info("master_repl_offset") == self.replica.info("slave_repl_offset"))

    def part(self) -> None:
        """Have the replica follow no more: it keeps what it has, and may be led to."""
        self.replica.command("REPLICAOF", "NO", "ONE")

    def change_places(self) -> None:
        """Have the primary be a replica that has lost the way to whom it follows, and does not know."""
        self.part()
        self.primary.command("REPLICAOF", "127.0.0.1", 1)

    def fail_over(self) -> None:
        self.leader = self.replica
        self.primary.kill()


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Both, looked after more often than one does."""
    monkeypatch.setattr(_breaker, "_PROBES_S", (0.02, 0.1))
    with Server(settings={"repl-diskless-sync-delay": 0}) as primary, Server() as replica:
        yield Pair(primary, replica)


def on_the_replica(pair: Pair, *digests: bytes) -> None:
    """Others, who were led there before, say something of these keys."""
    others = Party(pair.replica.url, "p")
    for digest in digests:
        Key(others.wire.run, "p", function=FUNCTION.decode(), digest=digest).drop()
    others.close()


def test_a_replica_that_has_everything_is_no_gap(pair: Pair) -> None:
    """The log goes on there: what is said of it is heard, and nothing else is dropped."""
    with party(pair.url, "p", 1) as (one,):
        on_the_primary = Key(one.wire.run, "p")
        on_the_primary.drop()
        one.line.catch_up(5.0)
        until(pair.is_even)
        pair.part()
        pair.fail_over()
        on_the_replica(pair, C)
        until(lambda: one.line.figures()["received"] + one.line.figures()["sent"] == 2)
        one.line.catch_up(5.0)
        assert one.line.figures()["gaps"] == 0


@pytest.mark.parametrize("said", [(C,), (C, C), (C, C, C), (C, C, C, C)])
def test_a_replica_that_lacks_something_is_a_gap(pair: Pair, said: tuple[bytes, ...]) -> None:
    """However many messages others have said there meanwhile: fewer than it lacks, as many, or more."""
    with party(pair.url, "p", 1) as (one,):
        on_the_primary = Key(one.wire.run, "p", digest=A)
        on_the_primary.drop()
        until(pair.is_even)
        pair.part()
        lacking = Key(one.wire.run, "p", digest=B)
        for _ in range(2):
            lacking.drop()
        one.line.catch_up(5.0)
        on_the_replica(pair, *said)
        pair.fail_over()
        until(lambda: "all" in one.heard.told)
        one.line.catch_up(5.0)
        assert one.line.figures()["gaps"] == 1


class Process:
    """A function of one process, which counts what it loads."""

    def __init__(self, url: str | Callable[[], str], **using: Any) -> None:
        self.loads: list[int] = []
        self.tier = Tier(url, prefix="p", timeout="5s")

        @bounded(max=10, ttl="1h", shared=self.tier.using(**using), name="f", registry=Registry())
        def f(x: int) -> int:
            self.loads.append(x)
            return len(self.loads)

        self.f = f


@pytest.mark.parametrize("by_name", [False, True], ids=["a function", "a name that moves"])
def test_who_only_reads_hears_of_a_new_primary(pair: Pair, by_name: bool) -> None:
    """The old one is a replica now, which says nothing: values are read, and changes heard, where others make them."""
    with proxy(pair.primary.port) as name:
        one = Process(name.url() if by_name else pair.url)
        other = Process(lambda: pair.replica.url)
        with one.tier, other.tier:
            assert (one.f(1), one.f(2)) == (1, 2)
            until(pair.is_even)
            pair.change_places()
            until(lambda: one.tier.stats().reconnects or one.tier.state == "down")  # it was led to the old one again
            pair.leader, name.server_port = pair.replica, pair.replica.port
            assert other.f(1) == 1
            other.f.cache.invalidate(1)
            assert other.f(1) == 1
            assert other.loads == [1]
            until(lambda: one.f.cache.entry(1) is None and one.tier.state == "up")
            assert one.f(2) == 2
            assert one.f(1) == 1
            assert one.loads == [1, 2]


@pytest.mark.parametrize("is_full", [False, True])
def test_who_only_reads_leaves_a_primary_that_was_cut_off(pair: Pair, is_full: bool) -> None:
    """It was told to take no changes without a replica; one that is full takes none either, and is read on."""
    one, other = Process(pair.url), Process(lambda: pair.replica.url)
    with one.tier, other.tier:
        assert one.f(1) == 1
        until(pair.is_even)
        if is_full:
            pair.primary.fill_up()
        else:
            pair.primary.command("CONFIG", "SET", "min-replicas-to-write", 1)
        pair.part()
        pair.leader = pair.replica
        assert other.f(1) == 1
        other.f.cache.invalidate(1)
        if is_full:
            proved_at = one.tier._line._counts.proved_at
            until(lambda: one.tier._line._counts.proved_at > proved_at + 2)
            assert (one.tier.stats().reconnects, one.tier.state) == (0, "up")
        else:
            until(lambda: one.f.cache.entry(1) is None and one.tier.state == "up")
            assert one.f(1) == 2
