"""How deep a recursion through C goes where the interpreter's limit allows it: the stack is what ends it then."""

import subprocess
import sys

import pytest
from kit.places import ROOT

from memo._native import speed, why

pytestmark = pytest.mark.skipif(speed is None, reason=why)

PROGRAM = """
import sys, threading
from memo import bounded
sys.setrecursionlimit(10**6)
fetch = bounded(max=10**6)(lambda n: n and 1 + fetch(n - 1))
found = []
threading.stack_size(8 << 20)  # whatever the shell allows
thread = threading.Thread(target=lambda: found.append(fetch(9500)))
thread.start()
thread.join()
print(*found)
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on the interpreter itself bounds how deep C goes")
def test_a_recursion_needs_little_of_the_stack() -> None:
    """Misses within misses take some 750 bytes of the stack each: 8 MB last for more than 9,500."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "9500\n"), ran.stderr[-500:]
