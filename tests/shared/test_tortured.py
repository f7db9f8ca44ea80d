"""Processes that read and change the same keys as fast as they can never see what was changed long before."""

from pathlib import Path

import pytest
from kit.servers import Server
from kit.torture import tortured
from kit.ways import Memo, Naive

pytest.importorskip("redis")

pytestmark = pytest.mark.outside  # servers of their own, and processes: once for all versions


def test_nothing_stale_is_left_where_the_naive_way_leaves_it(own_valkey: Server, tmp_path: Path) -> None:
    """Each process reads its own changes; when all is quiet, nobody has an older version of anything."""
    url = own_valkey.url_of("redis")
    naive = tortured(Naive, url, "naive", tmp_path, processes=3, seconds=0.7, threads=2)
    found = tortured(Memo, url, "memo", tmp_path, processes=5, seconds=2, threads=2)
    assert (found.errors, found.own_lost, found.left) == ([], 0, 0)
    assert found.latest_s < 1.0, found  # the machine may be busy; benchmarks/shared_tier.py has the bar
    assert found.changes > 0
    assert naive.stale + naive.left > 0, "the torture would not show a fault"
