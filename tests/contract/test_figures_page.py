"""The page that says what the figures count names each of them."""

import dataclasses
import re

import pytest
from kit.places import ROOT

from memo import CacheStats, InflightStats, LimitStats, WindowStats

PAGE = (ROOT / "docs" / "figures_counted.md").read_text(encoding="utf-8")
HANDLES = {"cache": CacheStats, "inflight": InflightStats, "limit": LimitStats, "window": WindowStats}


@pytest.mark.parametrize("handle", HANDLES)
def test_each_figure_is_explained(handle: str) -> None:
    """The table of a handle has a row for each field and property of its figures, and for nothing else."""
    kind = HANDLES[handle]
    figures = {field.name for field in dataclasses.fields(kind)}
    figures |= {name for name, value in vars(kind).items() if isinstance(value, property)}
    (table,) = re.findall(rf"\| `{handle}` \| \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    told = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(figures - {"name"})
