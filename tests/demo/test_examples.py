"""The programs in examples/ run as their README says, and print what they are there to show."""

import os
import re
import subprocess
import sys

import pytest
from kit.places import ROOT

SHOWN = {
    "ai_requests.py": (
        "'why?': one asks, 49 wait for it",
        "150 answers from 4 requests; 1 request was given up",
        "0 are running now",
    ),
    "avatars.py": ("20,000 avatars asked for", "of 1,000,000 bytes", "without its painter an avatar is not kept: True"),
    "errors.py": ("errors in 24 hours", "1,000 kept in full", "came from '/search'", "a quiet day later: 0 errors"),
    "messages.py": (
        "2,000 messages; 2,000 handled, none twice: True",
        "alice: ",
        "2,000 identifiers are remembered, never more than 5,000",
    ),
    "profiles.py": ("5,000 messages", "shared the request of another", "100 profiles kept", "100/100"),
    "webhooks.py": ("never more than 10", "at the end, 0 are open"),
}
"""What each program prints, among other things."""


@pytest.mark.parametrize("program", SHOWN)
def test_example_runs(program: str) -> None:
    """The program ends by itself, without a warning, and shows what it is about."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", f"examples/{program}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [text for text in SHOWN[program] if text not in ran.stdout] == []


def test_every_example_is_listed_and_tested() -> None:
    """The README of the examples names each program, and each is tested above."""
    listed = re.findall(
        r"^python examples/(\w+\.py)", (ROOT / "examples" / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(SHOWN) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))
