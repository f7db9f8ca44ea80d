"""Forks whose children cannot hang, and children that are stopped for a while."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

__all__ = ("HANG_S", "fork", "in_a_child", "status_of", "stopped")

HANG_S = 60
"""Seconds after which whatever waits for another process takes it that it hangs; an alarm kills a forked child then."""


def fork(act: Callable[[], object]) -> int:
    """Start a child that acts and exits with 0 if that was true; returns its process identifier."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HANG_S)
        status = 0 if act() else 1
    finally:
        os._exit(status)


def status_of(child: int) -> int:
    """The exit status of a child; -14 if its alarm killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_a_child(act: Callable[[], object]) -> int:
    return status_of(fork(act))


@contextlib.contextmanager
def stopped(child: int) -> Iterator[None]:
    """Within the block a child of this process is stopped, with all its threads.

    The signal alone does not tell that: until one thread of the child has got its turn and seen it, the others go on.
    """
    os.kill(child, signal.SIGSTOP)
    try:
        assert os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
        yield
    finally:
        os.kill(child, signal.SIGCONT)
