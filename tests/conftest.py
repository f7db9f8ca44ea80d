"""The machine that the whole suite runs on, as far as its tests can tell."""

import os
import time


def _shift_the_clock(uptime_s: float) -> None:
    """Have ``time.monotonic()`` begin at *uptime_s* now, before anything has taken it from there."""
    true, begun = time.monotonic, time.monotonic()
    time.monotonic = lambda: true() - begun + uptime_s


if uptime := os.environ.get("MEMO_TEST_UPTIME"):  # seconds, such as 0 for a machine that has just started
    _shift_the_clock(float(uptime))
