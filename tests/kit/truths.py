"""What is true of some keys, for all processes at once: what loads read, and what is told of changes."""

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("Truth",)

_TIME_BITS = 40  # microseconds for twelve days; the rest of a cell is a version


class Truth:
    """Versions of *keys* numbers from 0 on, in a file that processes map.

    A cell is read and written at once.  ``change()`` makes a new version; whoever has then dropped every copy
    announces it: from then on nobody may be given an older one.

    Args:
        path: Made if it is not there, by one process.
    """

    def __init__(self, path: Path, keys: int) -> None:
        self.keys = keys
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        size = 8 * (2 * keys + 1)
        is_new = os.fstat(self._file).st_size < size
        if is_new:
            os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        self._cells = memoryview(self._map).cast("Q")
        self._lock = threading.Lock()  # locks of files are the process's
        if is_new:
            self._cells[2 * keys] = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def now_s(self) -> float:
        """Seconds of a clock that all processes have."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e9 - self._cells[2 * self.keys] / 1e6

    def read(self, key: int) -> int:
        """The present version."""
        return self._cells[key]

    def change(self, key: int) -> int:
        """A new version, which is returned."""
        with self._changing():
            self._cells[key] += 1
            return self._cells[key]

    def announce(self, key: int, version: int) -> None:
        """Say that no copy of an older version is left, unless a newer one was announced."""
        with self._changing():
            if version > self._cells[self.keys + key] >> _TIME_BITS:
                self._cells[self.keys + key] = version << _TIME_BITS | int(self.now_s() * 1e6)

    def announced(self, key: int) -> tuple[int, float]:
        """The version that was announced last, and when, on ``now_s()``'s clock."""
        cell = self._cells[self.keys + key]
        return cell >> _TIME_BITS, (cell & ((1 << _TIME_BITS) - 1)) / 1e6

    def close(self) -> None:
        self._cells.release()
        self._map.close()
        os.close(self._file)
