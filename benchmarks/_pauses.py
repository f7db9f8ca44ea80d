"""How long an operation keeps other threads up: two that call all the while, and what of their waits was its doing."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ("Pauses", "while_it_runs")

NAP_S = 0.0003
LATE_S = 0.002


@dataclass(frozen=True, slots=True)
class Pauses:
    """What an operation took, and the longest that a hit and a miss of two other threads waited meanwhile."""

    operation: str
    ms: float
    hit_ms: float
    miss_ms: float


class _Waits:
    """Seconds for which two threads waited for a processor, as the kernel counts them; nothing where it does not."""

    def __init__(self, *threads: int) -> None:
        try:
            self._files = [os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY) for thread in threads]
        except OSError:
            self._files = []

    def read(self) -> float:
        return sum(int(os.pread(file, 100, 0).split()[1]) for file in self._files) / 1e9

    def close(self) -> None:
        for file in self._files:
            os.close(file)


class _Caller(threading.Thread):
    """Naps and calls, and notes by how much the end of that is late: a pause strikes the nap as well as the call."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._main = threading.get_native_id()
        self.longest_s = 0.0
        self.ready = threading.Event()
        self.over = False

    def run(self) -> None:
        waits = _Waits(threading.get_native_id(), self._main)
        before = waits.read()
        self.ready.set()
        while not self.over:
            began = time.perf_counter()
            time.sleep(NAP_S)
            self._call()
            late = time.perf_counter() - began - NAP_S
            if late > LATE_S:  # less what either waited for a processor that other programs had
                late -= waits.read() - before
            self.longest_s = max(self.longest_s, late)
            before = waits.read()
        waits.close()


def while_it_runs(
    operation: str, run: Callable[[], Any], hit: Callable[[], object], miss: Callable[[], object]
) -> Pauses:
    """Run that, while one thread makes hits and another one misses."""
    callers = [_Caller(hit), _Caller(miss)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.ready.wait()
    time.sleep(0.02)
    began = time.perf_counter()
    run()
    took = time.perf_counter() - began
    time.sleep(0.01)
    for caller in callers:
        caller.over = True
    for caller in callers:
        caller.join()
    return Pauses(operation, took * 1e3, callers[0].longest_s * 1e3, callers[1].longest_s * 1e3)
