"""What a registry's table and report show of functions that share their results."""

from typing import Any

import pytest
from kit.paper_tier import PaperTier

from memo import Registry, bounded
from memo.testing import FakeClock

__all__ = ()

LINE = "tier paper at paper://desk: up, lag 250ms, 0 pending, 0 leases, 0 gaps"


@pytest.fixture
def tier(clock: FakeClock) -> PaperTier:
    """What the functions of a test share."""
    return PaperTier(clock)


@pytest.fixture
def functions(own: Registry, tier: PaperTier) -> list[Any]:
    """One that shares its results and was asked for, one that was never called, one that shares nothing."""
    elsewhere = bounded(max=9, ttl="1h", shared=tier, name="a", registry=Registry())(str)
    asked = bounded(max=9, ttl="1h", shared=tier, name="a", registry=own)(str)
    fresh = bounded(max=9, ttl="1h", shared=tier, name="b", registry=own)(str)
    alone = bounded(max=9, name="c", registry=own)(str)
    elsewhere(1), asked(1), asked(2), alone(1)
    return [elsewhere, asked, fresh, alone]


def cells(table: str) -> dict[str, list[str]]:
    """The cells of each line of a table by its first, the head's by "function"."""
    return {line.split()[0]: line.split()[1:] for line in table.splitlines() if line[:1] not in ("", "-")}


def test_a_shared_function_has_a_column_and_its_tier_a_line(
    own: Registry, tier: PaperTier, functions: list[Any]
) -> None:
    """The column says what the tier answered of what it was asked, another what went past it, once something did."""
    table = cells(str(own))
    assert table["function"][-1] == "tier"
    assert (table["a"][-1], table["b"][-1], table["c"][-1]) == ("1/2", "-", "-")
    assert str(own).splitlines()[-1] == LINE
    html = own._repr_html_()
    assert "<th>from tier</th>" in html
    assert html.endswith(f"<p>{LINE}</p>")
    tier.is_down = True
    functions[1](3)
    table = cells(str(own))
    assert (table["function"][-2:], table["a"][-2:]) == (["tier", "alone"], ["1/2", "1"])
    assert str(own).splitlines()[-1] == LINE.replace("up", "down")


def test_the_report_has_a_line_for_each_tier(own: Registry, functions: list[Any]) -> None:
    """As text and as HTML, and as its ``stats()``; a report of functions that share nothing has none."""
    report = own.report()
    assert [stats.server for stats in report.tiers] == ["paper://desk"]
    assert LINE in str(report).splitlines()
    assert f"<p>{LINE}</p>" in report._repr_html_()
    assert own.select("c").report().tiers == ()


def test_functions_that_share_nothing_are_shown_as_ever(own: Registry, functions: list[Any]) -> None:
    """A selection without a shared function has neither column nor line; one with some has those of its tiers."""
    assert "tier" not in f"{own.select('c')}{own.select('c').report()}"
    assert str(own.select("b")).splitlines()[-1] == LINE
