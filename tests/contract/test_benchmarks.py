"""The benchmarks run where what they need is installed, and their figures can be read."""

import os
import subprocess
import sys

import pytest
from kit.places import ROOT


def test_they_run_and_fit_100_columns() -> None:
    """``pytest benchmarks`` passes, and no line of what it prints is longer than 100 characters."""
    pytest.importorskip("pytest_benchmark")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # xdist's, above all
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", "--benchmark-max-time=0.001"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "hit[bounded]" in ran.stdout
    assert [line for line in ran.stdout.splitlines() if len(line) > 100] == []
