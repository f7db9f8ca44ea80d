"""Files that are replaced whole, or not at all.

What is written goes to a hidden file beside the place, which takes that place once it is finished.  So whoever looks
there finds either all of it or what was there before; a process that is killed leaves the hidden file behind.
"""

import errno
import functools
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

__all__ = ("Path", "WholeFile")

Path = str | os.PathLike[str]
"""Where a file is."""


class WholeFile:
    """A file that is written, and takes its place once it is finished.

    What is there already keeps its permissions; a new file is readable by its owner alone.  A symbolic link is
    followed.  First comes ``open()``, last ``finish()``, or if anything before raises, that included, ``abandon()``.

    Args:
        path: The place; its directory must exist.
        where: The method, for messages.
        buffered: Whether what is written is collected into larger pieces.
    """

    __slots__ = ("_buffered", "_made", "_mode", "_target", "_temporary", "_where")

    def __init__(self, path: Path, where: str, *, buffered: bool = True) -> None:
        self._target = os.path.realpath(os.fsdecode(path))
        self._where = where
        self._buffered = buffered
        self._mode: int | None = None
        directory, name = os.path.split(self._target)
        self._temporary = os.path.join(directory, f".{name[:100]}.{os.urandom(8).hex()}.tmp")
        self._made: list[BinaryIO] = []

    @property
    def file(self) -> BinaryIO:
        """Where to write."""
        return self._made[0]

    def open(self) -> None:
        """Make the file.

        Raises:
            OSError: It cannot be made.
        """
        self._mode = _present_mode(self._target, self._where)
        make: Callable[[str], BinaryIO] = functools.partial(
            open, mode="xb", buffering=-1 if self._buffered else 0, opener=functools.partial(os.open, mode=0o600)
        )  # type: ignore[assignment]
        try:
            self._made.extend(map(make, (self._temporary,)))  # one step, in C, that also notes it
        except OSError as error:
            if error.filename == self._temporary:  # of which nobody outside knows
                error.filename = self._target
            raise

    def finish(self) -> None:
        """Put it in its place, so that it lasts.

        Raises:
            OSError: What was there before is there still; the file is to be abandoned.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        if self._mode is not None:
            os.chmod(self._temporary, self._mode)
        os.replace(self._temporary, self._target)
        _sync_directory(os.path.dirname(self._target))

    def abandon(self) -> None:
        """Leave what was there before, and nothing else."""
        for file in self._made:
            with suppress(OSError):  # what is still to be written, where there is no room
                file.close()
        with suppress(OSError):  # that it is not there: an interrupt may strike after the replacement
            os.unlink(self._temporary)


def _present_mode(target: str, where: str) -> int | None:
    """Permissions of the file that is to be replaced; None if there is none."""
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found):  # a device, a pipe: replacing it would destroy it
        raise OSError(errno.EINVAL, f"{where}: not a regular file, so it cannot be replaced; give another path", target)
    return stat.S_IMODE(found)


def _sync_directory(directory: str) -> None:
    """Make the new name last beyond a power failure, where the system lets us."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no directories
        return
    try:
        os.fsync(descriptor)
    except OSError:  # nor do all file systems sync them
        pass
    finally:
        os.close(descriptor)
