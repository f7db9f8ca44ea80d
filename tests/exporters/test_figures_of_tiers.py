"""What exporters tell of functions that share their results, and of tiers; of other functions nothing more."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.interpreters import Interpreter
from kit.paper_tier import PaperTier
from kit.places import ROOT

from memo import Registry, bounded
from memo.exporters import Source
from memo.exporters._figures_json import merged
from memo.exporters._tiers import together
from memo.exporters._view import Asked, View
from memo.testing import FakeClock

__all__ = ()

L2 = ("hits", "misses", "waits", "errors", "skipped", "refused", "rejected", "seconds", "served")


@pytest.fixture
def tier(clock: FakeClock) -> PaperTier:
    """What the functions of a test share."""
    return PaperTier(clock)


@pytest.fixture
def shared(own: Registry, tier: PaperTier) -> Any:
    """A function that shares its results, and one that does not, each called."""
    elsewhere = bounded(max=9, ttl="1h", shared=tier, name="shared", registry=Registry())(str)
    here = bounded(max=9, ttl="1h", shared=tier, name="shared", registry=own)(str)
    alone = bounded(max=9, ttl="1h", name="alone", registry=own)(str)
    elsewhere(1), here(1), here(1), here(2), alone(1)
    return [elsewhere, here, alone]


def told_by(registry: Registry, **asked: Any) -> dict[str, Any]:
    return View(registry).stats(Asked(**asked), show_keys=False, actions=False)


def test_json_has_them_where_results_are_shared(own: Registry, shared: list[Any]) -> None:
    """A shared function's row has all figures of the tier, another's none of them; tiers stand beside the rows."""
    told = told_by(own)
    cache, alone = (told["rows"][name]["cache"] for name in ("shared", "alone"))
    assert (cache["l2_hits"], cache["l2_misses"], cache["l2_served"], cache["served_ratio"]) == (1, 1, 1, 2 / 3)
    assert set(cache) - set(alone) == {"served_ratio", *(f"l2_{name}" for name in L2)}
    (one,) = told["tiers"]
    assert (one["name"], one["server"], one["state"], one["states"], one["lag"]) == (
        "paper", "paper://desk", "up", {"up": 1}, 0.25,
    )  # fmt: skip
    assert [one["process"] for one in told_by(own, own=True)["tiers"]] == [os.getpid()]


def test_without_a_tier_nothing_is_told_of_any(own: Registry) -> None:
    """Neither the answer nor a row has a word of tiers, and no tier is looked for."""
    alone = bounded(max=9, name="alone", registry=own)(str)
    alone(1)
    told = told_by(own)
    assert "tiers" not in told
    assert not [name for name in told["rows"]["alone"]["cache"] if name.startswith("l2_") or name == "served_ratio"]


def test_rows_of_several_processes_are_added(own: Registry, shared: list[Any]) -> None:
    """Figures of the tier are added, those of a process that does not know them left out; the ratio is of the sums."""
    row = told_by(own)["rows"]["shared"]
    earlier = {
        **row,
        "cache": {key: of for key, of in row["cache"].items() if key[:3] != "l2_" and "served" not in key},
    }
    unshared = {**row, "cache": {**row["cache"], **dict.fromkeys([f"l2_{name}" for name in L2]), "served_ratio": 1 / 3}}
    for rows in ([row, row, earlier], [earlier, row, row], [row, unshared, row], [unshared, row, row]):
        cache = merged(rows)["cache"]
        assert (cache["requests"], cache["l2_hits"], cache["l2_served"]) == (9, 2, 2)
        assert cache["served_ratio"] == (9 - 6 + 2) / 9
    assert "served_ratio" not in merged([earlier, earlier])["cache"]


def test_tiers_of_several_processes_are_taken_together() -> None:
    """What each process did is added, of lag and state the worst is told; one of another version hides nothing."""
    one = {"name": "shop", "server": "valkey://h/0", "state": "up", "lag": 0.1, "leases": 2, "gaps": 1, "process": 1}
    two = {**one, "state": "down", "lag": None, "leases": 3, "process": 2}
    older = {"name": "shop", "server": "valkey://h/0", "state": "up", "lag": 4.0, "process": 3}
    newer = {**one, "state": "asleep", "lag": None, "rest": 5, "process": 4}
    other = {**one, "server": "valkey://i/0", "process": 1}
    first, second = together([two, one, other, older, newer])
    assert first == {
        "name": "shop", "server": "valkey://h/0", "state": "asleep", "lag": 4.0, "leases": 7, "gaps": 3, "rest": 5,
        "process": None, "processes": 4, "states": {"up": 2, "down": 1, "asleep": 1},
    }  # fmt: skip
    assert (second["server"], second["states"], second["processes"]) == ("valkey://i/0", {"up": 1}, 1)
    assert together([two, one])[0]["state"] == "down"


def test_a_tier_whose_figures_cannot_be_read_is_left_out(
    own: Registry, shared: list[Any], tier: PaperTier, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything else is told, by exporters and as text, and the log says so."""
    tier.stats = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    told = told_by(own)
    assert set(told["rows"]) == {"shared", "alone"}
    assert "tiers" not in told
    assert [one.message.partition(":")[0] for one in caplog.records] == ["<paper tier> is left out of what is exported"]
    assert "tier paper" not in str(own)
    assert caplog.records[-1].message.startswith("<paper tier> is left out: its figures")


def test_prometheus_has_a_series_for_each_tier(own: Registry, shared: list[Any], tier: PaperTier) -> None:
    """The state is that of one of three samples; two tiers of one prefix have two labels; functions alone have none."""
    pytest.importorskip("prometheus_client")
    from kit.scrapes import OPENMETRICS, scraped, scraper

    from memo.exporters.prometheus import MemoCollector

    second = PaperTier(tier.clock)
    second.is_down = True
    also = bounded(max=9, ttl="1h", shared=second, name="also", registry=own)(str)
    also(1)
    with scraper(MemoCollector(own)) as url:
        for accept in ("text/plain", OPENMETRICS):
            told = scraped(url, accept)
            assert told.value("memo_cache_l2_hits_total", function="shared") == 1
            assert told.value("memo_cache_l2_skipped_total", function="also") == 1
            assert told.value("memo_cache_l2_hits_total", function="alone") is None
            states = {(found["tier"], found["state"]) for found, on in told.values("memo_tier_state") if on}
            assert {state for _, state in states} == {"up", "down"}
            assert {label for label, _ in states} == {"paper", "paper#2"}
            assert len(told.values("memo_tier_state")) == 6
            assert told.value("memo_tier_lag_seconds", tier="paper") == 0.25


def test_a_meter_is_told_of_tiers(own: Registry, shared: list[Any], tier: PaperTier) -> None:
    """Of each tier once, though two registries share by it; of functions that share nothing there is no series."""
    pytest.importorskip("opentelemetry.sdk")
    from kit.telemetry import Meters

    from memo.exporters.opentelemetry import instrument

    meters, other = Meters(), Registry()
    instrument(own, meters.provider)
    instrument(other, meters.provider)
    third = bounded(max=9, ttl="1h", shared=tier, name="third", registry=other)(str)
    third(1)
    told = meters.read()
    assert [one.attributes["memo.function.name"] for one in told["memo.cache.l2_misses"].data.data_points] == [
        "shared", "third",
    ]  # fmt: skip
    assert [one.value for one in told["memo.cache.l2_hits"].data.data_points] == [1]
    assert {one.attributes["memo.tier.state"]: one.value for one in told["memo.tier.state"].data.data_points} == {
        "up": 1, "behind": 0, "down": 0,
    }  # fmt: skip
    assert {name: told[name].unit for name in ("memo.tier.leases", "memo.tier.lag", "memo.cache.l2_hits")} == {
        "memo.tier.leases": "{lease}", "memo.tier.lag": "s", "memo.cache.l2_hits": "{load}",
    }  # fmt: skip


SIBLING = f"""
import sys
import time

sys.path.insert(0, {str(ROOT / "tests")!r})

import memo
from kit.paper_tier import PaperTier

def shared(x):
    return x

shared = memo.bounded(max=9, ttl="1h", shared=PaperTier(time.monotonic), name="shared")(shared)
shared(1), shared(2)
server = memo.registry.serve(name="test-tiers")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes find each other by Unix sockets")
def test_workers_are_taken_together(
    own: Registry, shared: list[Any], runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever worker is asked tells of the tier in all of them, or of each; a scrape has a series for each."""
    pytest.importorskip("prometheus_client")
    from kit.scrapes import scraped, scraper

    from memo.exporters.prometheus import MemoCollector

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    sibling = Interpreter(SIBLING)
    try:
        with own.serve(name="test-tiers") as server, Source(str(server.path)) as source:
            told = source.get("/stats.json")
            (tier,) = told["tiers"]
            assert (tier["processes"], tier["states"], tier["process"]) == (2, {"up": 2}, None)
            cache = told["rows"]["shared"]["cache"]
            assert (cache["requests"], cache["l2_hits"], cache["l2_misses"]) == (5, 1, 3)
            pids = {one["process"] for one in source.get("/stats.json?by=process")["tiers"]}
            assert len(pids) == 2
            with scraper(MemoCollector(own, per_process=True)) as url:
                states = scraped(url).values("memo_tier_state")
            assert {(found["process"], found["tier"]) for found, _ in states} == {(str(pid), "paper") for pid in pids}
    finally:
        sibling.end()
