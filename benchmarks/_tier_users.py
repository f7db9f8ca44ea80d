"""Processes that share results in some way, while the server does well and while it does not."""

import itertools
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kit.crews import Door, crew
from kit.servers import Server
from kit.threads import in_threads, until
from kit.ways import Make

__all__ = ("PATTERNS", "Outage", "User", "outage", "stampede")

PATTERNS = {"memo": "{prefix}:1:{{*}}"}
"""How a value's name on the server looks; of other ways it begins with the prefix."""
THREADS = 4


@dataclass
class Calls:
    """That ended in some seconds: what each took, and what was raised."""

    seconds: list[float] = field(default_factory=list)
    errors: "Counter[str]" = field(default_factory=Counter)

    def add(self, other: "Calls") -> None:
        self.seconds += other.seconds
        self.errors += other.errors

    def part(self, share: float) -> float:
        """The time in milliseconds that so large a share of the calls took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3 if ordered else float("nan")

    def __str__(self) -> str:
        told = f"{len(self.seconds):,} calls, p50 {self.part(0.5):.2f}, p99 {self.part(0.99):.1f}, "
        told += f"max {self.part(1):.1f} ms; errors {self.errors.total():,}"
        common = self.errors.most_common(1)
        return f"{told} ({common[0][0]})" if common else told


class User:
    """One process.  Loads take *load_s*."""

    def __init__(self, door: Door, make: Make, url: str, prefix: str, load_s: float) -> None:
        self._load_s = load_s
        self._loads = itertools.count()
        self._numbers = itertools.count()
        logging.disable()  # some say of each call that it failed
        threading.excepthook = lambda _: None  # and threads of others end so
        self._way: Any = make(url, prefix, self._load)

    def _load(self, key: int) -> int:
        next(self._loads)
        if self._load_s:
            time.sleep(self._load_s)
        return key

    def loads(self) -> int:
        return next(self._loads)

    def crowd(self, key: int, callers: int) -> list[float]:
        """What each of so many callers at once takes."""
        barrier = threading.Barrier(callers)
        found: list[float] = []

        def call() -> None:
            barrier.wait()
            began = time.perf_counter()
            assert self._way.read(key) == key
            found.append(time.perf_counter() - began)

        in_threads(call, callers)
        return found

    def begin(self) -> None:
        """Have threads call for one new key after the other."""
        self._is_over = threading.Event()
        self._calls = Calls()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _go_on(self) -> None:
        while not self._is_over.is_set():
            began = time.perf_counter()
            try:
                self._way.read(next(self._numbers))
            except Exception as error:
                self._calls.errors[type(error).__name__] += 1
            self._calls.seconds.append(time.perf_counter() - began)
            self._is_over.wait(0.001)

    def so_far(self) -> Calls:
        """The calls that ended since this was asked last."""
        calls, self._calls = self._calls, Calls()
        return calls

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(20)


def stampede(make: Make, url: str, prefix: str, processes: int, threads: int, load_s: float) -> tuple[int, list[float]]:
    """How often the function ran for all of them, and what each call took in seconds."""
    with crew(processes, User, make, url, prefix, load_s) as workers:
        for worker in workers:
            worker.begin("crowd", 7, threads)
        taken = [seconds for worker in workers for seconds in worker.answer()]
        return sum(worker.call("loads") for worker in workers), taken


@dataclass
class Outage:
    """What callers had of it."""

    before: Calls
    meanwhile: Calls
    recovery_s: float
    """From when the server answered again until a value was stored there."""


def outage(name: str, make: Make, kind: str, lasts_s: float) -> Outage:
    """Kill or pause a server under load for a while; a server that was killed begins empty."""
    prefix = name[:4].strip().lower()
    with Server() as server, crew(1, User, make, server.url_of("redis"), prefix, 0.0) as (user,):
        user.call("begin")
        _wait(lasts_s / 2)
        before = user.call("so_far")
        getattr(server, kind)()
        _wait(lasts_s)
        meanwhile = user.call("so_far")
        if kind == "kill":
            server.restart(empty=True)
        else:
            server.go_on()
        pattern = PATTERNS.get(name, "{prefix}*").format(prefix=prefix)
        recovery_s = _until_stored(server, pattern)
        meanwhile.add(user.call("so_far"))  # what had waited all the while, too
        return Outage(before, meanwhile, recovery_s)


def _until_stored(server: Server, pattern: str) -> float:
    began = time.perf_counter()
    before = len(server.command("KEYS", pattern))
    until(lambda: len(server.command("KEYS", pattern)) > before, 30)
    return time.perf_counter() - began


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
