"""Processes that read and change the same keys as fast as they can never see what was changed long before."""

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from kit.servers import Server

pytest.importorskip("redis")

from kit.torture import tortured
from kit.ways import AwaitedMemo, Make, Memo, Naive

pytestmark = pytest.mark.outside  # servers of their own, and processes: once for all versions


def test_nothing_stale_is_left_where_the_naive_way_leaves_it(own_valkey: Server, tmp_path: Path) -> None:
    """Each process reads its own changes; when all is quiet, nobody has an older version of anything."""
    url = own_valkey.url_of("redis")
    naive = tortured(Naive, url, "naive", tmp_path, processes=3, seconds=0.7, threads=2)
    # nothing is the matter with the server, and a busy machine is not to be taken for that
    patient = partial(Memo, timeout="5s")
    found = tortured(patient, url, "memo", tmp_path, processes=5, seconds=2, threads=2)
    assert (found.errors, found.own_lost, found.left) == ([], 0, 0)
    assert found.latest_s < 1.0, found  # the machine may be busy; benchmarks/shared_tier.py has the bar
    assert found.changes > 0
    assert naive.stale + naive.left > 0, "the torture would not show a fault"


@pytest.mark.stress
@pytest.mark.parametrize("make", [Memo, AwaitedMemo])
def test_nothing_stale_is_left_by_outages(own_valkey: Server, tmp_path: Path, make: Make) -> None:
    """Likewise where the server is killed, stopped, flushed, filled up and cut off meanwhile, time and again."""
    url = own_valkey.url_of("redis")
    found = tortured(make, url, "memo", tmp_path, 4, 10, 3, lambda: hurt(own_valkey, 9))
    assert (found.errors, found.own_lost, found.left) == ([], 0, 0)
    assert found.changes > 0


def hurt(server: Server, seconds: float) -> None:
    """Do to the server whatever there is, by chance, for so long."""
    kinds: list[Callable[[], object]] = [
        lambda: (server.kill(), idle(0.5), server.restart(empty=True)),
        lambda: (server.pause(), idle(1.0), server.go_on()),
        lambda: (server.fill_up(), idle(0.3), server.make_room()),
        lambda: server.cut(random.choice(("line", "callers", "all"))),
        server.flush,
    ]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        random.choice(kinds)()
        idle(1.0)


def idle(most_s: float) -> None:
    """Let the others go on, for any time up to this."""
    time.sleep(random.random() * most_s)
