"""Runs of ``python -m memo replay``, as a user starts them, and streams of keys to give them."""

import json
import os
import subprocess
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from kit.places import ROOT

__all__ = ("ENVIRONMENT", "LIMIT_S", "Ran", "numbers", "replay", "replayed", "write", "zipf")

LIMIT_S = 100
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}

Ran = subprocess.CompletedProcess[bytes]


def replay(*arguments: str | Path, given: bytes = b"", **environment: str) -> Ran:
    """Run the command; *given* is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "memo", "replay", *map(str, arguments)],
        cwd=ROOT,
        env={**ENVIRONMENT, **environment},
        input=given,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )


def replayed(*arguments: str | Path, given: bytes = b"", **environment: str) -> dict[str, Any]:
    """What the command tells in JSON, once it has ended well and without a word on standard error."""
    ran = replay("--json", *arguments, given=given, **environment)
    assert ran.stderr == b""
    assert ran.returncode == 0
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def zipf(requests: int, keys: int, seed: int = 1, exponent: float = 0.9) -> list[int]:
    """Requests whose keys are asked for as words are used: the n-th in proportion to 1/n**exponent."""
    return Random(seed).choices(range(keys), weights=[1 / rank**exponent for rank in range(1, keys + 1)], k=requests)


def numbers(order: Sequence[Hashable]) -> list[int]:
    """The keys as numbers by first appearance."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(key, len(known)) for key in order]


def write(path: Path, order: list[int]) -> Path:
    """One key a line."""
    path.write_text("".join(f"key-{key}\n" for key in order))
    return path
