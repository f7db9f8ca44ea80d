"""Forks whose children cannot hang."""

import os
import signal
from collections.abc import Callable

__all__ = (
    "ALARM_S",
    "fork",
    "in_a_child",
    "status_of",
)

ALARM_S = 15
"""Seconds after which a child that hangs is killed by its alarm."""


def fork(act: Callable[[], object]) -> int:
    """Start a child that acts and exits with 0 if that was true; returns its process identifier."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(ALARM_S)
        status = 0 if act() else 1
    finally:
        os._exit(status)


def status_of(child: int) -> int:
    """The exit status of a child; -14 if its alarm killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_a_child(act: Callable[[], object]) -> int:
    return status_of(fork(act))
