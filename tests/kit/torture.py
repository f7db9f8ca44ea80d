"""Processes that read and change the same few keys as fast as they can, and look at what they are given."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from kit.crews import Door, Worker, crew
from kit.threads import LIMIT_S, in_threads
from kit.truths import Truth
from kit.ways import Make

__all__ = ("GRACE_S", "Suffered", "Sufferer", "tortured")

GRACE_S = 0.05
"""How much later than its message, at most, a process may still give what was changed."""
KEYS = 24
LOAD_S = 0.1
"""The longest load."""
CHANGES = 0.04
"""The share of operations that change something."""


@dataclass
class Suffered:
    """What came of it, in one process or in all."""

    reads: int = 0
    changes: int = 0
    loads: int = 0
    stale: int = 0
    """Reads of an older version that began more than ``GRACE_S`` and the lag after it was said to be gone."""
    own_lost: int = 0
    """Reads of an older version by the thread that changed it, right after."""
    latest_s: float = 0.0
    """How long after it was said to be gone an older version was given last."""
    lag_s: float = 0.0
    """The longest that a message of a bare stream took to reach a thread there, in the same turmoil."""
    left: int = 0
    """Keys of which processes give an older version when all is quiet, and all messages are heard."""
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Suffered") -> None:
        for name in ("reads", "changes", "loads", "stale", "own_lost", "left"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latest_s = max(self.latest_s, other.latest_s)
        self.lag_s = max(self.lag_s, other.lag_s)
        self.errors += other.errors


class Canary:
    """A thread that reads a stream, in a process that is busy: what no way to tell of changes can do better."""

    def __init__(self, url: str, name: str, truth: Truth) -> None:
        self._client = redis.Redis.from_url(url, protocol=2, retry=None, socket_timeout=1)
        self._name = name
        self._truth = truth
        self._is_over = False
        self._longest_s = 0.0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def sing(self) -> None:
        try:
            self._client.xadd(self._name, {"at": self._truth.now_s()}, maxlen=1000)
        except redis.RedisError:
            pass

    def _listen(self) -> None:
        position: Any = "$"
        while not self._is_over:
            try:
                heard = self._client.xread({self._name: position}, block=100)
            except redis.RedisError:  # the server is tortured, too
                position = "$"
                continue
            for _, messages in heard:
                for position, fields in messages:
                    self._longest_s = max(self._longest_s, self._truth.now_s() - float(fields[b"at"]))

    def end(self) -> float:
        """The longest that a message was on its way."""
        self._is_over = True
        self._thread.join(LIMIT_S)
        self._client.close()
        return self._longest_s


class Sufferer:
    """One of the processes."""

    def __init__(self, door: Door, make: Make, url: str, prefix: str, truth: Path) -> None:
        self._truth = Truth(truth, KEYS)
        self.found = Suffered()
        self._counting = threading.Lock()
        self._late: list[float] = []
        self._canary = Canary(url, f"{prefix}-canary", self._truth)
        self._way: Any = make(url, prefix, self._load)

    def _load(self, key: int) -> int:
        found = self._truth.read(key)
        with self._counting:
            self.found.loads += 1
        threading.Event().wait(random.choice((0.0, 0.001, 0.01, LOAD_S)))
        return found

    def suffer(self, seconds: float, threads: int) -> None:
        """Read and change for so long."""
        ends = self._truth.now_s() + seconds
        in_threads(lambda: self._go_on_until(ends), threads)

    def _go_on_until(self, ends: float) -> None:
        chance = random.Random()
        found = Suffered()
        late: list[float] = []
        while self._truth.now_s() < ends:
            key = chance.randrange(KEYS)
            try:
                if chance.random() < CHANGES:
                    self._change(key, found)
                else:
                    self._look_at(key, found, late)
            except Exception as error:
                found.errors.append(f"{type(error).__name__}: {error}")
        with self._counting:
            self.found.add(found)
            self._late += late

    def _change(self, key: int, found: Suffered) -> None:
        version = self._truth.change(key)
        self._way.invalidate(key)
        self._truth.announce(key, version)
        self._canary.sing()
        found.changes += 1
        found.own_lost += self._way.read(key) < version

    def _look_at(self, key: int, found: Suffered, late: list[float]) -> None:
        version, at_s = self._truth.announced(key)
        began = self._truth.now_s()
        value = self._way.read(key)
        found.reads += 1
        if value < version:
            late.append(began - at_s)

    def settle(self) -> None:
        self._way.settle()

    def end(self) -> Suffered:
        """What it found, and what it still has that is not true any more."""
        found = self.found
        found.lag_s = self._canary.end()
        found.stale = sum(late_s > GRACE_S + found.lag_s for late_s in self._late)
        found.latest_s = max(self._late, default=0.0)
        found.left = sum(self._way.read(key) < self._truth.read(key) for key in range(KEYS))
        self._way.close()
        return found


def tortured(
    make: Make,
    url: str,
    prefix: str,
    folder: Path,
    processes: int,
    seconds: float,
    threads: int,
    meanwhile: Callable[[], object] = int,
) -> Suffered:
    """Have so many *processes* suffer for so many *seconds*; what all found together.

    What is done to the server *meanwhile* ends before they do.
    """
    found = Suffered()
    with crew(processes, Sufferer, make, url, prefix, folder / f"{prefix}.truth") as workers:
        for worker in workers:
            worker.begin("suffer", seconds, threads)
        meanwhile()
        for worker in workers:
            worker.answer(seconds + LIMIT_S)
        for _ in range(2):  # what others say until the first time is heard at the second
            _all(workers, "settle")
        for one in _all(workers, "end"):
            found.add(one)
    return found


def _all(workers: list[Worker], method: str) -> list[Any]:
    for worker in workers:
        worker.begin(method)
    return [worker.answer() for worker in workers]
