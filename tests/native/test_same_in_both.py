"""The path in C observes what the path in Python does: random operations tell the same in two processes.

In the environment, MEMO_TEST_SEED is the first seed of what runs; each failure names the seed that it came from.
"""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT

from memo import _native

__all__ = ()

PROGRAM = ROOT / "tests" / "kit" / "random_operations.py"
SEED = int(os.environ.get("MEMO_TEST_SEED", "1"))
STEPS = 4000
pytestmark = pytest.mark.skipif(_native.speed is None, reason=f"there is one path alone: {_native.why}")


def begun(pure: str, told: Path, first: int, last: int) -> "subprocess.Popen[bytes]":
    """The program, which writes what it observes to *told*."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with told.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(PROGRAM), str(first), str(last), str(STEPS)],
            cwd=ROOT,
            env={**os.environ, "MEMO_PURE": pure, "PYTHONHASHSEED": "0", "PYTHONPATH": paths},
            stdout=file,
        )


def compared(folder: Path, first: int, last: int) -> int:
    """How many observations both paths made, once they are found to be the same."""
    ways = {"1": folder / "python.txt", "0": folder / "c.txt"}
    running = [begun(pure, told, first, last) for pure, told in ways.items()]
    ended = [process.wait() for process in running]
    in_python, in_c = (told.read_text(encoding="utf-8").splitlines() for told in ways.values())
    assert (in_python[0], in_c[0]) == ("in Python", "in C")
    seed = ""
    for number, (expected, found) in enumerate(itertools.zip_longest(in_python[1:], in_c[1:]), 1):
        if expected != found:
            before = "\n".join(in_python[max(1, number - 20) : number])
            pytest.fail(f"{seed}: {number} differs; before:\n{before}\nin Python: {expected}\nin C:      {found}")
        if expected.startswith("seed "):
            seed = expected
    assert ended == [0, 0], f"{seed} broke off in both, after:\n{in_c[-1]}"
    return len(in_c)


def test_random_operations_tell_the_same(tmp_path: Path) -> None:
    """Twenty thousand operations, on functions of all shapes with all options, differ in nothing that is observed."""
    assert compared(tmp_path, SEED, SEED + 4) > 20_000


@pytest.mark.stress
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(25))
def test_a_million_random_operations_tell_the_same(tmp_path: Path, part: int) -> None:
    """A million of them, with other seeds."""
    first = 1000 * SEED + 10 * part
    sys.stderr.write(f"seeds {first} to {first + 9}\n")
    assert compared(tmp_path, first, first + 9) > 40_000
