"""What ``memo top``, ``ps`` and ``stats`` show of tiers, also of servers that know of none."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kit.commands import answer, cached, screen, taken
from kit.paper_tier import PaperTier

from memo import Registry, bounded
from memo.__main__ import main
from memo._commands.tiers import tiers_of

__all__ = ()

SHOP: dict[str, Any] = {
    "name": "shop", "server": "valkey://h:6379/0", "state": "up", "states": {"up": 2}, "lag": 0.4, "pending": 0,
    "leases": 3, "gaps": 1, "process": None,
}  # fmt: skip
SHARED = cached(hits=5, misses=4, l2_hits=3, l2_misses=1, l2_errors=0)


def test_top_has_a_line_for_each_tier_and_a_column() -> None:
    """The share of loads that the tier answered; a tier that is not well comes first, and its state is in words."""
    mail = {**SHOP, "name": "mail", "state": "down", "states": {"up": 1, "down": 1}}
    lines = screen(taken(answer(1, {"f": SHARED, "g": cached(hits=1)}, tiers=[SHOP, mail])), width=120)
    assert lines[2] == "tier mail at valkey://h:6379/0: up in 1, down in 1, lag 400ms, 0 pending, 3 leases, 1 gap"
    assert lines[3] == "tier shop at valkey://h:6379/0: up, lag 400ms, 0 pending, 3 leases, 1 gap"
    head = next(line for line in lines if line.startswith("function"))
    at = head.index("shared")
    told = {line.split()[0]: line[at : at + 6].strip() for line in lines if line[:2] in ("f ", "g ")}
    assert told == {"f": "75%", "g": "-"}
    many = screen(taken(answer(1, {"f": SHARED}, tiers=[SHOP, mail, {**SHOP, "name": "post"}])), width=120)
    assert many[3].endswith("and 1 tier more")


def test_a_server_without_tiers_is_shown_as_ever() -> None:
    """No line, no column: of an earlier version, or of a program that shares nothing."""
    lines = screen(taken(answer(1, {"g": cached(hits=1)})), width=200)
    assert not [line for line in lines if "tier" in line or "shared" in line]
    assert (
        taken(answer(1, {"g": cached(hits=1)})).rows[0].as_dict().keys()
        == taken(answer(1, {"g": cached(hits=1, l2_hits=None)})).rows[0].as_dict().keys()
    )
    assert taken(answer(1, {"f": SHARED})).rows[0].as_dict()["tier_ratio"] == 0.75


def test_what_another_version_does_not_tell_is_left_out() -> None:
    """A tier with its name alone is a line all the same, and what a terminal would obey is shown."""
    assert tiers_of(None) == []
    (one,) = tiers_of([{"name": "a\x1b[2J", "process": 12}])
    assert one.line == r"tier a\x1b[2J in 12: ?"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")
def test_ps_and_stats_tell_of_tiers(own: Registry, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``ps`` has a column where some process has a tier, ``stats`` a line for each below its table."""
    shared = bounded(max=9, ttl="1h", shared=PaperTier(time.monotonic), registry=own, name="f")(str)
    shared(1)
    with own.serve(name="shop"):
        assert main(["ps"]) == 0
        head, row = capsys.readouterr().out.splitlines()
        assert head.split() == ["pid", "name", "uptime", "functions", "tiers", "address"]
        assert "  paper up  " in row
        assert main(["stats", "shop"]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("tier paper at paper://desk: up, lag 250ms")
        assert main(["stats", "shop", "f"]) == 0
        assert "cache.l2_misses" in capsys.readouterr().out
