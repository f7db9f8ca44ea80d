"""The path in C observes what the path in Python does: random operations tell the same in two processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT

from memo import _native

__all__ = ()

PROGRAM = ROOT / "tests" / "kit" / "random_operations.py"
pytestmark = pytest.mark.skipif(_native.speed is None, reason=f"there is one path alone: {_native.why}")


def begun(pure: str, told: Path, first: int, last: int, steps: int) -> "subprocess.Popen[bytes]":
    """The program, which writes what it observes to *told*."""
    with told.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(PROGRAM), str(first), str(last), str(steps)],
            cwd=ROOT,
            env={**os.environ, "MEMO_PURE": pure, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
            stdout=file,
        )


def compared(folder: Path, first: int, last: int, steps: int) -> int:
    """How many observations both paths made, once they are found to be the same."""
    ways = {"1": folder / "python.txt", "0": folder / "c.txt"}
    running = [begun(pure, told, first, last, steps) for pure, told in ways.items()]
    assert [process.wait() for process in running] == [0, 0]
    in_python, in_c = (told.read_text(encoding="utf-8").split("\n") for told in ways.values())
    assert (in_python[0], in_c[0]) == ("in Python", "in C")
    for number, (expected, found) in enumerate(zip(in_python[1:], in_c[1:], strict=False)):
        if expected != found:
            before = "\n".join(in_python[max(1, number - 20) : number + 1])
            pytest.fail(f"observation {number} differs; before:\n{before}\nin Python: {expected}\nin C:      {found}")
    assert len(in_python) == len(in_c)
    return len(in_c)


def test_random_operations_tell_the_same(tmp_path: Path) -> None:
    """Twenty thousand operations, on functions of all shapes with all options, differ in nothing that is observed."""
    assert compared(tmp_path, 1, 5, 4000) > 20_000


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
def test_a_million_random_operations_tell_the_same(tmp_path: Path, part: int) -> None:
    """A million of them, with other seeds."""
    assert compared(tmp_path, 1000 + 25 * part, 1024 + 25 * part, 4000) > 100_000
