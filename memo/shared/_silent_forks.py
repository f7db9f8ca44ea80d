"""Forks that nobody tells Python of: a program in C, such as uWSGI, makes them, and no hook runs in the child."""

import os
from collections.abc import Callable

from memo._base import rlock

__all__ = ("SilentForks",)


class SilentForks:
    """Notices that this process is another one than before.  Safe from any thread."""

    __slots__ = ("_lock", "_process")

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = rlock()

    def told(self) -> None:
        """This process is known, and all is made for it."""
        self._process = os.getpid()

    def look(self, renew: Callable[[], object]) -> None:
        """Call *renew*, which calls ``told()`` at its end, in a child that nobody knows of yet.

        Whoever comes first finds it out, and others wait until all is made.
        """
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():  # nobody else has done it meanwhile
                    renew()
