"""A replica takes the place of its primary, and may lack what was said last: two real servers, one of which follows."""

from collections.abc import Iterator

import pytest
from kit.lines import FUNCTION, Party, party
from kit.servers import Server
from kit.threads import until
from kit.tiers import Key

from memo.shared import _breaker

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
