"""When the machine itself stood still: for a while no program ran on one of its processors.

A virtual machine runs when its host lets it.  What it misses then its own kernel does not know of: a clock goes on
meanwhile, also the one that tells a thread's processor time, so that whatever ran there seems to have taken long.

So a witness sits at each processor: a process that shares nothing with the one that is measured, and naps for half a
millisecond, time and again.  Linux wakes it before all others, where it may be told so, and tells else for how long it
had to wait for the processor.  By what it was late beyond that, the machine stood still.

As a script: ``_stalls.py PROCESSOR``, until its input ends.
"""

import json
import os
import select
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterable

__all__ = ("Stalls", "now_s", "waited_s")

NAP_S = 0.0005
LATE_S = 0.001
"""By less a witness may be late of itself: the timer, its own instructions."""


def now_s() -> float:
    """By a clock that all processes share, which ``time.monotonic()`` need not be: a program may replace that."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime") else time.monotonic()


def waited_s(file: int) -> float:
    """For how many seconds the thread of that ``schedstat`` has waited for a processor."""
    return int(os.pread(file, 100, 0).split()[1]) / 1e9


class Stalls:
    """When the machine stood still, from entering to leaving; nothing is known of one that is not Linux.

    Attributes:
        intervals: When it did, by ``now_s()``, from the first to the last; no two of them meet.
    """

    def __init__(self) -> None:
        self.intervals: list[tuple[float, float]] = []
        self._witnesses: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Stalls":
        if os.path.exists("/proc/self/schedstat"):
            for processor in sorted(os.sched_getaffinity(0)):
                self._witnesses.append(_witness(processor))
            for witness in self._witnesses:  # each says so when it has begun
                assert witness.stdout is not None
                witness.stdout.readline()
        return self

    def __exit__(self, *exception: object) -> None:
        told = [witness.communicate()[0] for witness in self._witnesses]
        self._witnesses.clear()
        self.intervals = _united(tuple(interval) for text in told for interval in json.loads(text))

    def longest_s(self) -> float:
        """Of all intervals; 0 if there are none."""
        return max((end - begin for begin, end in self.intervals), default=0.0)

    def within_s(self, begin: float, end: float) -> float:
        """For how many of these seconds it stood still."""
        total = 0.0
        for first, last in self.intervals[max(0, bisect_right(self.intervals, (begin,)) - 1) :]:
            if first >= end:
                break
            total += max(0.0, min(last, end) - max(first, begin))
        return total


def _witness(processor: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-S", "-E", __file__, str(processor)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _united(intervals: Iterable[tuple[float, ...]]) -> list[tuple[float, float]]:
    """The same time in intervals of which no two meet."""
    united: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if united and begin <= united[-1][1]:
            united[-1] = united[-1][0], max(end, united[-1][1])
        else:
            united.append((begin, end))
    return united


def _sit(processor: int) -> list[tuple[float, float]]:
    """When that processor stood still, until the input ends."""
    os.sched_setaffinity(0, {processor})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass  # then it waits for the processor as others do, and says for how long
    print("begun", flush=True)
    intervals = []
    file = os.open("/proc/self/schedstat", os.O_RDONLY)
    waited = waited_s(file)
    while not select.select([0], [], [], 0)[0]:
        began = now_s()
        time.sleep(NAP_S)
        ended = now_s()
        before, waited = waited, waited_s(file)
        awake = ended - (waited - before)
        if awake - began - NAP_S > LATE_S:
            intervals.append((began + NAP_S, awake))
    return intervals


if __name__ == "__main__":
    print(json.dumps(_sit(int(sys.argv[1]))))
