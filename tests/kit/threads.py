"""Calls in threads of their own, gates they stand at, and waits that turn a hang into a failure."""

import contextlib
import gc
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

__all__ = (
    "LIMIT_S",
    "Gate",
    "Running",
    "depth_of",
    "in_threads",
    "interrupt_main",
    "of_the_library",
    "switching_often",
    "until",
)

LIMIT_S = 20
"""Turns a hang into a failure."""
_LOOK_S = 0.05
"""A signal that comes as the main thread has begun to wait, but does not sleep yet, is looked at when it wakes."""


class Running:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any], name: str | None = None) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True, name=name)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive(), "the call hangs"

    def result(self) -> Any:
        self.join()
        if self._error is not None:
            raise self._error
        return self._result

    def error(self) -> BaseException:
        self.join()
        assert self._error is not None, f"the call returned {self._result!r}"
        return self._error

    def stands_in(self) -> str | None:
        """The name of the function that runs there; None: it has ended."""
        collects = gc.isenabled()
        gc.disable()  # a collection while the frames are listed may hang 3.11
        try:
            frame = sys._current_frames().get(self.thread.ident or 0)
        finally:
            if collects:
                gc.enable()
        return None if frame is None else frame.f_code.co_name


class Gate:
    """A place where a function stands until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def wait(self) -> None:
        self.entered.set()
        assert any(self.opened.wait(_LOOK_S) for _ in range(int(LIMIT_S / _LOOK_S))), "nobody opened the gate"

    def reached(self) -> None:
        assert self.entered.wait(LIMIT_S), "nobody came to the gate"

    def open(self) -> None:
        self.opened.set()


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Give way to other threads until they have made the condition true."""
    ends = time.monotonic() + limit_s
    pause = threading.Event()
    pause_s = 0.00002  # most have little to do until then; whoever has more is not disturbed so often
    while not condition():
        assert time.monotonic() < ends, "the condition never came true"
        pause.wait(pause_s)
        pause_s = min(2 * pause_s, 0.0005)


def in_threads(call: Callable[[], object], count: int) -> None:
    """Make the call in so many threads at once, and wait until all have ended, however long each of them takes."""
    threads = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def of_the_library() -> set[threading.Thread]:
    """The threads that the library runs for somebody who is to end them: its janitor and its workers end unasked."""
    return {
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("memo-") and thread.name not in {"memo-janitor", "memo-refresh"}
    }


def interrupt_main() -> None:
    """Press Ctrl-C: a real signal, which ends a wait of the main thread for a lock."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextlib.contextmanager
def switching_often() -> Iterator[None]:
    """Let threads be interrupted at nearly every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def depth_of(error: BaseException) -> int:
    """Frames in the traceback of *error*."""
    return len(traceback.extract_tb(error.__traceback__))
