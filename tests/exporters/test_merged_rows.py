"""What several processes tell of one function, taken together."""

import itertools
from typing import Any

import pytest

from memo.exporters._figures_json import merged


def row(sparkline: str, count: int) -> dict[str, Any]:
    """What a process tells of a function that is watched."""
    return {"process": None, "tags": ["t"], "window": {"count": count}, "sparkline": sparkline}


@pytest.mark.parametrize(
    ("lines", "together"),
    [
        ([("▁▁█", 10), ("█▁▁", 10)], "█▁█"),
        ([("▁▁█", 70), ("█▁▁", 10)], "▂▁█"),  # heights are shares of the calls that a process had
        ([("▁▁▁", 0), ("▁▁▁", 0), ("▁▅█", 4)], "▁▅█"),
        ([("▁▁▁", 0), ("▁▁▁", 0)], "▁▁▁"),
        ([("", 0), ("▁█▁", 3), ("", 0)], "▁█▁"),
        ([("", 0), ("", 0)], ""),
        ([("▁█▁", 10_000_000), ("▁▁█", 1)], "▁█▂"),  # the lowest mark always means none
    ],
)
def test_a_sparkline_is_of_all_processes(lines: list[tuple[str, int]], together: str) -> None:
    """Whichever process is asked, and so comes first, the line is the same, with the calls of all in it."""
    for order in itertools.permutations(lines):
        assert merged([row(*one) for one in order])["sparkline"] == together
