"""How long an operation keeps other threads up: two that call all the while, and what of their waits was its doing."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from _stalls import Stalls, now_s, waited_s

from memo._base import Pace

__all__ = ("Pauses", "while_it_runs")

NAP_S = 0.0003
LATE_S = 0.001
LONG_S = 0.005
"""What counts as a long wait."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """What an operation took, and the longest that a hit and a miss of two other threads waited meanwhile.

    Also the longest that it worked between two rests, by its own processor time: a lock, or a call of C, may have kept
    others up for all of that, while between the instructions of Python they get the interpreter after 5 ms.

    And how many of how many calls of either thread were late by more than 5 ms.

    All of that less what one of the threads waited for a processor that other programs had, or the machine stood still,
    if that was longer.  It did so that often, for so long at most; and calls were late by so much, with all of that.
    """

    operation: str
    ms: float
    hit_ms: float
    miss_ms: float
    stretch_ms: float = 0.0
    long_waits: int = 0
    calls: int = 0
    stalls: int = 0
    stall_ms: float = 0.0
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Delay:
    """From when to when, by ``now_s()``; what of that it should not have taken; what it waited for others."""

    began: float
    ended: float
    late_s: float
    waited_s: float = 0.0

    def own_s(self, stalls: Stalls) -> float:
        return self.late_s - max(self.waited_s, stalls.within_s(self.began, self.ended))


class _Waits:
    """For how long threads waited for a processor, as the kernel counts it; nothing where it does not."""

    def __init__(self, *threads: int) -> None:
        try:
            self._files = [os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY) for thread in threads]
        except OSError:
            self._files = []

    def read(self) -> list[float]:
        """Seconds of each."""
        return [waited_s(file) for file in self._files]

    def since(self, before: list[float]) -> float:
        """Seconds of the one that has waited for longest: two may have waited at the same time."""
        return max((after - earlier for after, earlier in zip(self.read(), before, strict=True)), default=0.0)

    def close(self) -> None:
        for file in self._files:
            os.close(file)


class _Caller(threading.Thread):
    """Naps and calls, and notes by how much the end of that is late: a pause strikes the nap as well as the call."""

    def __init__(self, call: Callable[[], object], together: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._together = together
        self.threads = {threading.get_native_id()}
        """All whose waits for a processor make others late: each may have the interpreter meanwhile."""
        self.longest_s = 0.0
        """Of those that are not listed."""
        self.delays: list[_Delay] = []
        self.calls = 0
        self.ready = threading.Event()
        self.over = False

    def run(self) -> None:
        self.threads.add(threading.get_native_id())
        self._together.wait()
        waits = _Waits(*self.threads)
        before = waits.read()
        ended = now_s()
        self.ready.set()
        while not self.over:
            began = ended  # so that no time is left out
            time.sleep(NAP_S)
            self._call()
            ended = now_s()
            late = ended - began - NAP_S
            if late > LATE_S:
                self.delays.append(_Delay(began, ended, late, waits.since(before)))
            else:
                self.longest_s = max(self.longest_s, late)
            self.calls += 1
            before = waits.read()
        self._together.wait()  # none of them is gone while another asks for its waits
        waits.close()


class _Stretches:
    """The longest that this thread works between two rests, by its processor time."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        """Of those that are not listed."""
        self.delays: list[_Delay] = []
        self._thread = threading.get_ident()
        self._pause = Pace.pause

    def begin(self) -> None:
        self._began = now_s()
        self._since = time.thread_time()

    def note(self) -> None:
        took = time.thread_time() - self._since
        if took > LATE_S:
            self.delays.append(_Delay(self._began, now_s(), took))
        else:
            self.longest_s = max(self.longest_s, took)

    def __enter__(self) -> "_Stretches":
        pause = self._pause

        def noted(pace: Pace) -> None:
            mine = threading.get_ident() == self._thread
            if mine:
                self.note()
            pause(pace)
            if mine:
                self.begin()

        Pace.pause = noted  # type: ignore[method-assign]
        self.begin()
        return self

    def __exit__(self, *exception: object) -> None:
        self.note()
        Pace.pause = self._pause  # type: ignore[method-assign]


def while_it_runs(
    operation: str, run: Callable[[], Any], hit: Callable[[], object], miss: Callable[[], object]
) -> Pauses:
    """Run that, while one thread makes hits and another one misses."""
    together = threading.Barrier(2)
    callers = [_Caller(hit, together), _Caller(miss, together)]
    callers[1].threads = callers[0].threads
    with Stalls() as stalls:
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.ready.wait()
        time.sleep(0.02)
        began = time.perf_counter()
        with _Stretches() as stretches:
            run()
        took = time.perf_counter() - began
        time.sleep(0.01)
        for caller in callers:
            caller.over = True
        for caller in callers:
            caller.join()
    hit, miss, stretch = (_longest(noted, stalls) for noted in (*callers, stretches))
    delays = [delay for caller in callers for delay in caller.delays]
    return Pauses(
        operation,
        *[seconds * 1e3 for seconds in (took, hit, miss, stretch)],
        long_waits=sum(delay.own_s(stalls) > LONG_S for delay in delays),
        calls=sum(caller.calls for caller in callers),
        stalls=len(stalls.intervals),
        stall_ms=stalls.longest_s() * 1e3,
        late_ms=max((delay.late_s for delay in delays), default=0.0) * 1e3,
    )


def _longest(noted: "_Caller | _Stretches", stalls: Stalls) -> float:
    return max([noted.longest_s, *(delay.own_s(stalls) for delay in noted.delays)])
