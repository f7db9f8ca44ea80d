"""Files of key hashes: the order in which the keys of one function were asked for, without the keys.

What ``f.cache.record()`` writes and ``python -m memo replay`` reads.  All numbers are little-endian:

===========  =========================================================================================================
bytes        what
===========  =========================================================================================================
8            ``RECORDING_MAGIC``
2, 2, 4      version (1), flags (0, kept for later), length of the header in bytes
that many    the header, an object of JSON in ASCII, filled up with spaces to a multiple of 8 bytes: ``function``, its
             name in the registry; ``started``, seconds of the wall clock; ``max`` and ``max_bytes``, the function's
             bounds then, null where there is none
8 each       one number for each request, oldest first; of several threads, about in their order
8, 4, 4, 8   the seal: how many requests, flags (1: the recording ended since it was full), CRC-32 of all before this
             number, ``memo.end``
===========  =========================================================================================================

Equal keys have equal numbers.  A number is the keyed BLAKE2b (64 bits) of the key's hash; the secret, made anew for
each file, is in no file, so that neither can keys be found by their numbers, nor be known again in another recording.
What does not tell keys apart: equal hashes (``hash(-1) == hash(-2)``, a ``__hash__`` that is too simple, an object
that hashes by its address, once another has come to live there), and chance: of 100 million keys, one pair in 3,700
recordings.
"""

import functools
import math
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from types import ModuleType
from typing import IO, Any, NamedTuple

from memo._base.shortened import given_text
from memo._base.units import counted
from memo._late import in_time
from memo.errors import RecordingError

__all__ = ("RECORDING_MAGIC", "RecordedKeys", "read_recording", "recording_header", "recording_seal")

RECORDING_MAGIC = b"\x89memokey"
"""What a file begins with."""

_VERSION = 1  # raised with every change after which older releases would misread a file
_START = struct.Struct("<8sHHI")
_SEAL = struct.Struct("<QI")
_SEAL_END = struct.Struct("<I8s")
_END = b"memo.end"
_FULL = 1
_SEAL_SIZE = _SEAL.size + _SEAL_END.size
_LONGEST_HEADER = 1 << 16  # bytes
_CHUNK = 1 << 18  # bytes


@functools.cache  # held, since nothing can be imported any more as the interpreter ends
def _json() -> ModuleType:
    with in_time("recording, and reading one,"):
        import json  # here: few programs record, and it takes as long to import as eight modules of this package

    return json


def recording_header(function: str, started: float, most: int | None, most_bytes: int | None) -> bytes:
    """What a file begins with, its header included."""
    fields = {"function": function, "started": started, "max": most, "max_bytes": most_bytes}
    text: bytes = _json().dumps(fields, separators=(",", ":")).encode()  # names may hold lone surrogates: as ASCII
    text += b" " * (-len(text) % 8)
    return _START.pack(RECORDING_MAGIC, _VERSION, 0, len(text)) + text


def recording_seal(count: int, is_full: bool, crc: int) -> bytes:
    """What a file ends with.

    Args:
        count: How many requests are in it.
        is_full: Whether it was cut off at its bound.
        crc: CRC-32 of all that is before this.
    """
    seal = _SEAL.pack(count, _FULL if is_full else 0)
    return seal + _SEAL_END.pack(zlib.crc32(seal, crc), _END)


class _Header(NamedTuple):
    """What the header of a file says."""

    function: str
    started: float
    max: int | None
    max_bytes: int | None


class RecordedKeys:
    """The requests of a recording, each a number that stands for its key: what ``read_recording()`` returns.

    To be iterated as often as one likes; ``len()`` is how many there are.  Each iteration reads the file anew, in
    pieces, so that its size does not matter.

    Attributes:
        function: The name of the function that was recorded, in its registry.
        started: When the recording was asked for, in seconds since the epoch.
        max: The function's bound of entries then; None: it had none.
        max_bytes: Its bound of bytes then; None: it had none.
        is_full: The recording ended since it had reached its own bound.
    """

    __slots__ = ("_begin", "_count", "_path", "function", "is_full", "max", "max_bytes", "started")

    __module__ = "memo"

    def __init__(self, path: str, header: _Header, begin: int, count: int, is_full: bool) -> None:
        self._path = path
        self._begin = begin
        self._count = count
        self.function: str = header.function
        self.started: float = header.started
        self.max: int | None = header.max
        self.max_bytes: int | None = header.max_bytes
        self.is_full: bool = is_full

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        """The numbers, from 0 to 2**64 - 1, oldest first.

        Raises:
            OSError: The file cannot be read.
            RecordingError: It is shorter than it was.
        """
        left = self._count * 8
        with open(self._path, "rb") as file:
            file.seek(self._begin)
            while left:
                piece = file.read(min(left, _CHUNK))
                if len(piece) < min(left, _CHUNK):
                    raise RecordingError(
                        f"read_recording: {self._path!r} was cut short while it was read; leave it as it is until then."
                    )
                left -= len(piece)
                numbers = array("Q", piece)
                if sys.byteorder == "big":
                    numbers.byteswap()
                yield from numbers

    def __repr__(self) -> str:
        full = ", full" if self.is_full else ""
        return f"<recording of {self.function}: {counted(self._count, 'request')}{full}>"


def read_recording(path: str | os.PathLike[str]) -> RecordedKeys:
    """The requests that ``f.cache.record()`` has written to a file.

    All of the file is verified first.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
        RecordingError: It is no recording, was cut short or altered, or is of another version.
    """
    where = os.fsdecode(path)
    shown = f"read_recording: {given_text(where)}"
    with open(path, "rb") as file:
        start = file.read(_START.size)
        header_size = _header_size(start, shown)
        text = file.read(header_size)
        begin = len(start) + len(text)
        body = os.fstat(file.fileno()).st_size - begin - _SEAL_SIZE
        if len(text) < header_size or body < 0 or body % 8:
            raise _cut_short(shown)
        crc = _crc_of(file, body, zlib.crc32(text, zlib.crc32(start)))
        seal = file.read(_SEAL_SIZE)
    if len(seal) < _SEAL_SIZE or not seal.endswith(_END):
        raise _cut_short(shown)
    count, flags = _SEAL.unpack_from(seal)
    if count * 8 != body or seal != recording_seal(count, bool(flags & _FULL), crc):
        raise RecordingError(
            f"{shown} was altered after it was written: its contents do not match the checksum at its end; record anew."
        )
    return RecordedKeys(where, _header(text, shown), begin, count, bool(flags & _FULL))


def _header_size(start: bytes, shown: str) -> int:
    if not start.startswith(RECORDING_MAGIC):
        raise RecordingError(
            f"{shown} is no recording (it begins with {start[:8]!r}); give a file that f.cache.record() has written."
        )
    if len(start) < _START.size:
        raise _cut_short(shown)
    _, version, flags, size = _START.unpack(start)
    if version != _VERSION or flags:
        raise RecordingError(
            f"{shown} has format version {version}{f' with flags {flags}' if flags else ''}, but this release reads "
            f"version {_VERSION}; record anew with this release."
        )
    if size > _LONGEST_HEADER:
        raise RecordingError(f"{shown} has a header of {size:,} bytes, which is too long for one; record anew.")
    return int(size)


def _crc_of(file: IO[bytes], size: int, crc: int) -> int:
    """The CRC-32 of *crc*'s bytes and the next *size* of *file*."""
    while size > 0 and (piece := file.read(min(size, _CHUNK))):
        crc = zlib.crc32(piece, crc)
        size -= len(piece)
    return crc


def _header(text: bytes, shown: str) -> _Header:
    try:
        fields: Any = _json().loads(text)
        header = _Header(fields["function"], float(fields["started"]), fields["max"], fields["max_bytes"])
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        header = None
    bounds = () if header is None else (header.max, header.max_bytes)
    whole = all(bound is None or (type(bound) is int and bound > 0) for bound in bounds)
    if header is None or not whole or type(header.function) is not str or not math.isfinite(header.started):
        raise RecordingError(
            f"{shown} has a header that says {text[:80]!r}, which record() does not write; record anew."
        )
    return header


def _cut_short(shown: str) -> RecordingError:
    return RecordingError(
        f"{shown} is cut short: it does not end as a recording does (was the process killed, or the copy not "
        f"finished?); record anew, or copy it again."
    )
