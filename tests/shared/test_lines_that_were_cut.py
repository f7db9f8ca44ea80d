"""A process that was away from the log hears what it missed, or gives up all that it has."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.crews import Worker, crew
from kit.servers import Server
from kit.shops import Shop
from kit.threads import until

pytest.importorskip("redis")

pytestmark = pytest.mark.outside  # servers of their own, and processes: once for all versions

MANY = range(100)
CHANGED = range(30)


def fill(workers: list[Worker]) -> None:
    for worker in workers:
        assert worker.call("each", MANY).errors == []
        assert worker.call("size") == len(MANY)


def change(worker: Worker, numbers: range = CHANGED) -> None:
    for number in numbers:
        worker.call("invalidate", number)


def test_a_process_that_was_stopped_hears_what_it_missed(own_valkey: Server) -> None:
    """It drops those keys, and no others."""
    with crew(2, Shop, own_valkey.url, "shop") as (one, other):
        fill([one, other])
        other.pause()
        change(one)
        other.go_on()
        other.call("catch_up")
        assert (other.call("size"), other.call("tier_stats", "gaps")) == (len(MANY) - len(CHANGED), 0)


def test_a_line_that_was_cut_hears_what_it_missed(own_valkey: Server) -> None:
    """A new connection goes on where the old one was."""
    with crew(2, Shop, own_valkey.url, "shop") as (one, other):
        fill([one, other])
        lines = own_valkey.lines(2)
        other.pause()
        assert own_valkey.cut_off(lines) == 2
        change(one)
        other.go_on()
        other.call("catch_up")
        assert (other.call("size"), other.call("tier_stats", "gaps")) == (len(MANY) - len(CHANGED), 0)
        assert other.call("tier_stats", "reconnects") >= 1
        assert other.call("state") == "up"


LOST: dict[str, Callable[[Server, Worker], Any]] = {
    "flushed": lambda server, one: server.flush(),
    "begun anew, empty": lambda server, one: server.restart(empty=True),
    "fallen back to a snapshot": lambda server, one: fall_back(server, one),
    "more said than the log holds": lambda server, one: change(one, range(1000, 1400)),
}


def fall_back(server: Server, one: Worker) -> None:
    server.save()
    change(one)
    server.kill()
    server.restart(empty=False)
    until(lambda: one.call("tier_stats", "gaps") == 1)  # else the other may hear of it later, as it has loaded some


@pytest.mark.parametrize("lost", LOST)
def test_who_cannot_know_what_was_missed_keeps_nothing(own_valkey: Server, lost: str) -> None:
    """A log that does not go on where it was is a gap: every entry goes, once."""
    with crew(2, Shop, own_valkey.url, "shop", log_size=100) as (one, other):
        fill([one, other])
        other.pause()
        LOST[lost](own_valkey, one)
        other.go_on()
        until(lambda: other.call("size") == 0)
        assert other.call("tier_stats", "gaps") == 1
        until(lambda: other.call("state") == "up")
        assert other.call("each", MANY).errors == []
        assert other.call("size") == len(MANY)
        change(one)
        until(lambda: one.call("state") == "up")
        one.call("flush")
        other.call("catch_up")
        assert (other.call("size"), other.call("tier_stats", "gaps")) == (len(MANY) - len(CHANGED), 1)


def test_who_does_not_listen_costs_the_server_nothing(own_valkey: Server) -> None:
    """Of a process that is stopped the server keeps no messages but those of the log."""
    with crew(2, Shop, own_valkey.url, "shop") as (one, other):
        fill([one, other])
        other.pause()
        before = own_valkey.info("used_memory")
        one.call("invalidate_many", range(1_000))
        assert own_valkey.info("used_memory") - before < 1_000_000
        assert max(int(client["omem"]) for client in own_valkey.clients()) < 100_000
