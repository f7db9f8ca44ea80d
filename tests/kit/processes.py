"""Forks whose children cannot hang, and processes that are stopped for a while."""

import contextlib
import ctypes
import functools
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kit.threads import until

__all__ = ("HANG_S", "counts_alone", "fork", "in_a_child", "status_of", "stop", "stopped")

HANG_S = 60
"""Seconds after which whatever waits for another process takes it that it hangs; an alarm kills a forked child then."""


def fork(act: Callable[[], object], *, untold: bool = False) -> int:
    """Start a child that acts and exits with 0 if that was true; returns its process identifier.

    Args:
        act: What it does.
        untold: The system forks, as a program in C does, and Python is not told.
    """
    child = _fork_untold() if untold else os.fork()
    if child:
        return child
    status = 3
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HANG_S)
        status = 0 if act() else 1
    finally:
        os._exit(status)


def _fork_untold() -> int:
    """Fork while no thread asks for the interpreter: the child would wait for that one, which it lacks, to take it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(HANG_S)  # after which it is asked for
    try:
        threading.Event().wait(0.01)  # those who wait have it now: they ask after the time that held as they began
        return int(ctypes.PyDLL(None).fork())
    finally:
        sys.setswitchinterval(before)  # in both


def status_of(child: int) -> int:
    """The exit status of a child; -14 if its alarm killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_a_child(act: Callable[[], object]) -> int:
    return status_of(fork(act))


def counts_alone(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a forked child without the collector.

    Memory is counted of a process: also of its other threads, such as that of the test's runner, which now and then is
    given the numbers of the next thousand tests, and of the garbage of other tests.
    """

    @functools.wraps(test)
    def forked(*args: Any, **kwargs: Any) -> None:
        def passes() -> bool:
            gc.disable()
            try:
                test(*args, **kwargs)
            except BaseException:
                traceback.print_exc()
                return False
            return True

        assert in_a_child(passes) == 0, "what the child says of it is in its output"

    return forked


def stop(process: int) -> None:
    """Stop another process, with all its threads; ``SIGCONT`` has it go on.

    The signal alone does not: until one thread of the process has got its turn and seen it, the others go on.
    """
    os.kill(process, signal.SIGSTOP)
    try:
        assert os.waitid(os.P_PID, process, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
    except ChildProcessError:  # of another parent, such as a fork server
        until(lambda: _states(process) == {"T"}, HANG_S)


def _states(process: int) -> set[str]:
    """The states of all threads of a process, as Linux calls them."""
    states = set()
    for path in Path(f"/proc/{process}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            states.add(path.read_text().rpartition(")")[2].split()[0])
    return states


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    """Within the block another process is stopped."""
    try:
        stop(process)
        yield
    finally:
        os.kill(process, signal.SIGCONT)
