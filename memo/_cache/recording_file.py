"""The file of a recording as it is written: hashes of keys go in, numbers that tell nothing of them come out."""

import hashlib
import os
import zlib
from array import array

from memo._base import Path, WholeFile, recording_seal

__all__ = ("RecordingFile",)

_AT_ONCE = 1 << 20  # bytes that are written together; after each time other threads have their turn
_MOST_KNOWN = 1 << 15  # numbers that are remembered


class RecordingFile:
    """A recording that is being written.  For one thread.

    Args:
        path: Where it is to be once it is finished.
        header: What it begins with.

    First comes ``open()``, last ``finish()``, or if anything before raises, that included, ``abandon()``.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        self._numbers = _Numbers()
        # unbuffered: else a forked child, as it closes its copy, would write what is in the buffer once more
        self._whole = WholeFile(path, "record", buffered=False)
        self._pending = bytearray(header)
        self._crc = zlib.crc32(header)
        self.count: int = 0
        """How many requests are in it."""

    def open(self) -> None:
        """Make it.

        Raises:
            OSError: It cannot be made.
        """
        self._whole.open()

    def add(self, codes: "array[int]") -> None:
        """Add requests, by the hashes of their keys.

        Raises:
            OSError: The file cannot be written.
        """
        numbers = self._numbers
        if len(numbers) > _MOST_KNOWN:
            numbers.clear()
        piece = b"".join(map(numbers.__getitem__, codes))
        self._crc = zlib.crc32(piece, self._crc)
        self._pending += piece
        self.count += len(codes)
        if len(self._pending) >= _AT_ONCE:
            self._write()

    def finish(self, is_full: bool) -> None:
        """Put it in its place.

        Args:
            is_full: It was cut off at its bound.

        Raises:
            OSError: The file cannot be written.
        """
        self._pending += recording_seal(self.count, is_full, self._crc)
        self._write()
        self._whole.finish()

    def abandon(self) -> None:
        """Leave what was there before."""
        self._whole.abandon()

    def leave(self) -> None:
        """Let go of it: another process writes it."""
        self._whole.file.close()

    def _write(self) -> None:
        with memoryview(self._pending) as left:
            done = 0
            while done < len(left):
                done += self._whole.file.write(left[done:])
        self._pending = bytearray()


class _Numbers(dict[int, bytes]):
    """The number of each hash, as it stands in the file.  Remembers: traffic asks for a few keys mostly."""

    __slots__ = ("_secret",)

    def __init__(self) -> None:
        self._secret = os.urandom(hashlib.blake2b.MAX_KEY_SIZE)

    def __missing__(self, code: int) -> bytes:
        raw = code.to_bytes(8, "little", signed=True)
        number = self[code] = hashlib.blake2b(raw, digest_size=8, key=self._secret).digest()
        return number
