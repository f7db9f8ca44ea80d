"""What callers notice of a server that is killed, stopped, empty or full: nothing that raises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.crews import Worker, crew
from kit.servers import PROGRAMS, Server, program
from kit.shops import Shop, Traffic
from kit.threads import until
from kit.truths import Truth

pytest.importorskip("redis")

pytestmark = pytest.mark.outside  # servers of their own, and processes: once for all versions

TIMEOUT_S = 0.25
RECOVERY_S = 5.0
"""Within which callers use the server again: far above what it takes, since the machine may be busy."""


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    """Versions of two hundred numbers."""
    return Truth(tmp_path / "truth", 200)


def of(truth: Truth) -> tuple[Path, int]:
    return truth.path, truth.keys


def all_are(state: str, workers: list[Worker], limit_s: float = 20) -> None:
    for worker in workers:
        until(lambda worker=worker: worker.call("state") == state, limit_s)


def some_calls_more(workers: list[Worker], count: int = 100) -> None:
    for worker in workers:
        before = worker.call("calls_so_far")
        until(lambda worker=worker, before=before: worker.call("calls_so_far") >= before + count)


def ended(workers: list[Worker]) -> Traffic:
    found = Traffic()
    for worker in workers:
        one = worker.call("end_traffic")
        found.errors += one.errors
        found.seconds += one.seconds
    return found


@pytest.mark.parametrize("awaited", [False, True], ids=["threads", "loops"])
@pytest.mark.parametrize("cycles", [1, pytest.param(10, marks=pytest.mark.stress)])
def test_nobody_notices_that_the_server_is_killed(own_valkey: Server, cycles: int, awaited: bool) -> None:
    """While it is away, each call loads; when it is back, it is used within moments, however often that happens."""
    with crew(2, Shop, own_valkey.url, "shop", awaited=awaited, bounds={"max": 1}) as workers:
        for worker in workers:
            worker.call("begin_traffic", range(50), 4)
        for _ in range(cycles):
            some_calls_more(workers)
            own_valkey.kill()
            all_are("down", workers)
            some_calls_more(workers)
            own_valkey.restart(empty=True)
            all_are("up", workers, RECOVERY_S)
            for worker in workers:
                before = worker.call("stats", "l2_hits")
                until(lambda worker=worker, before=before: worker.call("stats", "l2_hits") > before)
        found = ended(workers)
        assert found.errors == []
        assert found.longest_s < 20 * TIMEOUT_S


def test_a_server_that_is_stopped_delays_three_calls(own_valkey: Server) -> None:
    """Packets that vanish cost the first callers their time limit, and the others nothing."""
    with crew(1, Shop, own_valkey.url, "shop", timeout=TIMEOUT_S) as (worker,):
        worker.call("read", 0)
        own_valkey.pause()
        found = [worker.call("timed", number) for number in range(1, 20)]
        assert [value for value, _ in found] == [*range(1, 20)]
        assert sum(seconds > TIMEOUT_S / 2 for _, seconds in found) <= 3
        assert worker.call("state") == "down"
        assert worker.call("stats", "l2_skipped") >= 16
        own_valkey.go_on()
        all_are("up", [worker])


@pytest.mark.parametrize("outage", ["kill", "pause"])
def test_what_is_invalidated_meanwhile_is_so_everywhere_afterwards(
    own_valkey: Server, truth: Truth, outage: str
) -> None:
    """Here at once, elsewhere when the server is back, and what the server kept from before is given to nobody."""
    with crew(3, Shop, own_valkey.url, "shop", of(truth), timeout=TIMEOUT_S) as (one, other, late):
        assert [worker.call("read", 1) for worker in (one, other)] == [0, 0]
        if outage == "kill":
            own_valkey.save()
        getattr(own_valkey, outage)()
        truth.change(1)
        one.call("invalidate", 1)
        assert one.call("read", 1) == 1
        if outage == "kill":
            own_valkey.restart(empty=False)
        else:
            own_valkey.go_on()
        all_are("up", [one])
        one.call("flush")
        until(lambda: other.call("read", 1) == 1)
        assert late.call("read", 1) == 1
        assert one.call("read", 1) == 1


def test_a_herd_after_a_restart_loads_each_key_once(own_valkey: Server) -> None:
    """All processes have lost all, and all of their threads want all of it: there is one load of each."""
    numbers = range(80)
    with crew(3, Shop, own_valkey.url, "shop") as workers:
        for worker in workers:
            worker.call("each", numbers)
        own_valkey.restart(empty=True)
        for worker in workers:
            until(lambda worker=worker: worker.call("size") == 0)
        all_are("up", workers)
        before = sum(worker.call("loads") for worker in workers)
        for worker in workers:
            worker.begin("each", numbers, 4)
        found = [worker.answer() for worker in workers]
        assert [one.errors for one in found] == [[]] * 3
        assert sum(worker.call("loads") for worker in workers) - before == len(numbers)


REFUSALS: dict[str, tuple[Callable[[Server], Any], Callable[[Server], Any]]] = {
    "full": (Server.fill_up, Server.make_room),
    "a replica": (
        lambda server: server.command("REPLICAOF", "127.0.0.1", "1"),
        lambda server: server.command("REPLICAOF", "NO", "ONE"),
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_takes_nothing_is_done_without(own_valkey: Server, refusal: str) -> None:
    """What it refuses to store is kept in the process, and the server is used again when it takes it."""
    refuse, take = REFUSALS[refusal]
    with crew(2, Shop, own_valkey.url, "shop") as (one, other):
        one.call("read", 0)
        refuse(own_valkey)
        assert one.call("each", range(100)).errors == []
        assert one.call("size") == 100
        assert one.call("each", range(100)).errors == []
        assert one.call("loads") == 100
        all_are("down", [one])
        take(own_valkey)
        all_are("up", [one, other])
        one.call("read", 200)
        assert other.call("read", 200) == 200
        assert other.call("loads") == 0


def test_what_others_wrote_is_a_miss(own_valkey: Server) -> None:
    """A value that was forged, or cut short, or signed by nobody, is loaded anew, and counted."""
    with crew(2, Shop, own_valkey.url, "shop", secret=b"of the shop") as (one, other):
        for number in range(3):
            one.call("read", number)
        names = own_valkey.command("KEYS", "shop:1:{*}")
        values = [own_valkey.command("GET", name) for name in names]
        assert len(names) == 3
        own_valkey.command("SET", names[0], b"nothing of ours", "EX", 100)
        own_valkey.command("SET", names[1], values[1][:-1], "EX", 100)
        own_valkey.command("SET", names[2], values[1], "EX", 100)
        assert other.call("each", range(3)).errors == []
        assert other.call("loads") == 3
        assert other.call("stats", "l2_errors") >= 2


@pytest.mark.parametrize(
    ("name", "scheme"), [(PROGRAMS[0], "redis"), (PROGRAMS[1], "valkey"), (PROGRAMS[1], "redis"), (PROGRAMS[0], "unix")]
)
def test_each_library_goes_with_each_server(name: str, scheme: str) -> None:
    """Sharing, changes and outages are alike with both libraries and both servers, on ports and sockets."""
    pytest.importorskip("valkey" if scheme == "valkey" else "redis")
    path = program(name)
    if path is None:
        pytest.skip(f"no {name} here")
    with Server(path) as server, crew(2, Shop, server.url_of(scheme), "shop") as (one, other):
        assert (one.call("read", 1), other.call("read", 1)) == (1, 1)
        assert (one.call("loads"), other.call("loads")) == (1, 0)
        one.call("invalidate", 1)
        other.call("catch_up")
        assert not other.call("has", 1)
        server.kill()
        assert one.call("each", range(10)).errors == []
        server.restart(empty=True)
        all_are("up", [one, other])
        one.call("read", 20)
        assert (other.call("read", 20), other.call("loads")) == (20, 0)
