"""Where a benchmark ran: the line that says so, under figures of any kind."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from memo._native import speed, why

__all__ = ("where",)


def where() -> str:
    """The interpreter, the machine, the day, and how memo's calls run."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} processors,"
        f" {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}; memo's calls run in"
        f" {f'Python: {why}' if speed is None else 'C'}."
    )
