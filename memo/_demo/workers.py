"""The processes of the demonstration, each a worker of one service: what they do, and how they are told to."""

import contextlib
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self

from memo import bounded, registry
from memo._demo.server import Failed
from memo.shared import Tier

__all__ = ("LOAD_S", "PREFIX", "Called", "Worker", "all_of")

LOAD_S = 0.3
"""What a load takes."""
PREFIX = "demo"
_LIMIT_S = 60.0
_TIMEOUT_S = 0.5
"""Of the tier: twice what is usual, since all of this may run on one busy core."""
_LOOK_S = 0.001
_START_S = 0.05
"""For how long a round is announced, so that all have heard of it when it begins."""


class Called(NamedTuple):
    """What came of one call."""

    seconds: float
    ran: bool
    """Whether the function ran in the worker that called."""
    error: str | None


class Worker:
    """One process, from outside.  It ends with the block, and when the process that made it is gone.

    Args:
        url: Where the server is.
    """

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")  # a worker that knows nothing yet, as elsewhere
        self._ours, self._theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self._theirs, url), daemon=True)

    def __enter__(self) -> Self:
        # Ctrl-C reaches all processes of a terminal, and is for the one that ends the others.  What multiprocessing
        # starts for itself lets signals through again, so that comes first.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join(5.0)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def begin(self, what: str, *args: object) -> None:
        """Tell it to do something."""
        self._ours.send((what, args))

    def answer(self) -> Any:
        """What came of it.

        Raises:
            Failed: It does not answer.
        """
        try:
            if self._ours.poll(_LIMIT_S):
                return self._ours.recv()
        except (EOFError, OSError):
            pass
        raise Failed("one of its processes has ended, or hangs; try again.")

    def ask(self, what: str, *args: object) -> Any:
        """Tell it to do something, and wait until it has."""
        self.begin(what, *args)
        return self.answer()


def all_of(workers: Sequence[Worker], what: str, *args: object) -> list[Any]:
    """Have all of them do something at the same moment; what came of it in each."""
    at = time.monotonic() + _START_S  # one clock for all processes of a machine
    for worker in workers:
        worker.begin(what, at, *args)
    return [worker.answer() for worker in workers]


# -- in the process itself


def _work(orders: Connection, url: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Tier(url, prefix=PREFIX, timeout=_TIMEOUT_S) as tier:
        does = _Deeds(tier).does()
        with contextlib.suppress(EOFError, OSError):  # nobody orders any more, or waits for what came of it
            while True:
                what, args = orders.recv()
                orders.send(does[what](*args))


class _Kept(logging.Handler):
    """Keeps what is logged, for the one who shows it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


class _Deeds:
    """What a worker can be told to do."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._runs = 0
        self._logged: list[str] = []
        log = logging.getLogger("memo")
        log.setLevel(logging.INFO)
        log.addHandler(_Kept(self._logged))
        self.alone = bounded(max=1_000, ttl="10m", name="demo.alone")(self._load)
        self.shared = bounded(max=1_000, ttl="10m", shared=tier, name="demo.shared")(self._load_shared)

    def does(self) -> dict[str, Callable[..., Any]]:
        return {
            "ready": lambda: self._tier.catch_up(_LIMIT_S / 2),  # connected, before times are taken
            "alone": lambda at, key: self._call(self.alone, at, key),
            "shared": lambda at, key: self._call(self.shared, at, key),
            "invalidate": self._invalidate,
            "gone": self._gone,
            "state": lambda: self._tier.state,
            "logged": lambda: self._logged,
            "table": lambda: str(registry),
        }

    def _load(self, key: str) -> str:
        self._runs += 1
        time.sleep(LOAD_S)  # a query, say
        return f"the report of {key}"

    def _load_shared(self, key: str) -> str:
        return self._load(key)

    def _call(self, function: Callable[[str], str], at: float, key: str) -> Called:
        _until(at)
        runs, began, error = self._runs, time.perf_counter(), None
        try:
            function(key)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        return Called(time.perf_counter() - began, self._runs > runs, error)

    def _invalidate(self, key: str) -> float:
        began = time.monotonic()
        self.shared.cache.invalidate(key)
        return began

    def _gone(self, key: str) -> float | None:
        """When the entry is gone; None if it stays."""
        until = time.monotonic() + _LIMIT_S / 2
        while time.monotonic() < until:
            if self.shared.cache.entry(key) is None:
                return time.monotonic()
            time.sleep(_LOOK_S)
        return None


def _until(at: float) -> None:
    left_s = at - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)
