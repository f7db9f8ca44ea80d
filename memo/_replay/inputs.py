"""Files and standard input as lines of bytes, unpacked where they are packed."""

import importlib
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from memo._replay.faults import BadInputError, BadLines, shown, spelled
from memo.errors import MissingExtra

__all__ = ("STANDARD_INPUT", "Input")

STANDARD_INPUT = "-"
_BLOCK = 1 << 18
_PACKED_SLICE = 1 << 12
"""What is handed to an unpacker at once: few bytes can become thousands of times as many."""
_LONGEST_LINE = 1 << 20
_KEPT_OF_LONG = 256
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\b\x1b"))
_TEXT_SHARE = 20
"""Text has fewer than one control character in so many; a few NULs are what a crash leaves in a log."""


class Input:
    """One of the files that are named, or standard input, which ``-`` names.

    Args:
        path: Which.
        moved: Called with the number of bytes that were read, packed as they are.
    """

    def __init__(self, path: str, moved: Callable[[int], None]) -> None:
        self.path = path
        self.name = "standard input" if path == STANDARD_INPUT else spelled(path)
        self._moved = moved
        self.head = b""
        """The first bytes as they lie there."""
        self._file: BinaryIO = self._open()

    def _open(self) -> BinaryIO:
        if self.path == STANDARD_INPUT and sys.stdin is None:
            raise BadInputError("standard input is closed; name a file.")
        try:
            # Not closed by leaving a block: close() does it.
            file = sys.stdin.buffer if self.path == STANDARD_INPUT else open(self.path, "rb")  # noqa: SIM115
            try:
                if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                    raise IsADirectoryError
                self.head = file.read(_BLOCK)
            except BaseException:
                file.close()
                raise
        except IsADirectoryError:
            raise BadInputError(f"{self.name} is a directory; name the files in it.") from None
        except (OSError, ValueError) as error:
            raise self.unreadable(error) from error
        return file

    def unreadable(self, error: Exception) -> BadInputError:
        """The error to raise where reading failed."""
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return BadInputError(f"{self.name} cannot be read ({why}); check the name and the permissions.")

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.path != STANDARD_INPUT:
            self._file.close()

    def _raw(self) -> Iterator[bytes]:
        block = self.head
        try:
            while block:
                self._moved(len(block))
                yield block
                block = self._file.read(_BLOCK)
        except OSError as error:
            raise self.unreadable(error) from error

    def _blocks(self) -> Iterator[bytes]:
        """The bytes, unpacked: what is packed is known by its first bytes, whatever its name."""
        if self.head.startswith(_GZIP):
            return self._unpacked("gzip", lambda: zlib.decompressobj(31), zlib.error)
        if self.head.startswith(_ZSTD):
            zstandard = _zstandard(self.name)
            unpacker = zstandard.ZstdDecompressor()
            return self._unpacked("zstd", unpacker.decompressobj, zstandard.ZstdError)
        return self._raw()

    def _unpacked(self, kind: str, make: Callable[[], Any], failure: type[Exception]) -> Iterator[bytes]:
        """The bytes of one packed stream, or of several that follow each other."""
        unpacker, begun = make(), False
        try:
            for block in self._raw():
                for start in range(0, len(block), _PACKED_SLICE):
                    packed = block[start : start + _PACKED_SLICE]
                    while packed:
                        begun = True
                        if plain := unpacker.decompress(packed):
                            yield plain
                        packed = b""
                        if unpacker.eof:
                            packed = unpacker.unused_data.lstrip(b"\0")  # tapes fill up with zeros
                            unpacker, begun = make(), False
        except failure as error:
            raise BadInputError(f"{self.name} is damaged ({kind}: {error}); get it anew.") from error
        if begun:
            raise BadInputError(f"{self.name} is cut short: its {kind} stream has no end; get it anew.")

    def lines(self, bad: BadLines) -> Iterator[tuple[int, list[bytes]]]:
        """Its lines without their ends, many at a time, and the number of the first of them.

        A line that is no text stands there as an empty one, and has been counted as bad.

        Raises:
            BadInputError: It is empty, binary, damaged or cut short, or reading fails.
            MissingExtra: It is packed by zstd, and zstandard is not installed.
        """
        rest, number, too_long, begun = b"", 1, False, False
        for block in self._blocks():
            if not begun:
                self._refuse_binary(block[:_BLOCK])
                block = block.removeprefix(_UTF8_MARK)
                begun = True
            if b"\r" in (data := rest + block):
                data = data.replace(b"\r\n", b"\n")
            *whole, rest = data.split(b"\n")
            if whole:
                self._leave_out(number, whole, too_long or len(whole[0]) > _LONGEST_LINE, bad)
                yield number, whole
                number += len(whole)
                too_long = False
            if too_long or len(rest) > _LONGEST_LINE:
                rest, too_long = rest[:_KEPT_OF_LONG], True
        if not begun:
            raise BadInputError(f"{self.name} is empty; it takes one key a line at least.")
        if rest:
            last = [rest.removesuffix(b"\r")]
            self._leave_out(number, last, too_long, bad)
            yield number, last

    def _leave_out(self, number: int, lines: list[bytes], too_long: bool, bad: BadLines) -> None:
        """Empty those of *lines* that are no text; *too_long*: the first of them is only the beginning of one."""
        if too_long:
            bad.add(self.name, number, lines[0], "is longer than a MiB")
            lines[0] = b""
        if b"" in lines or any(b"\0" in line for line in lines):
            for place, line in enumerate(lines):
                if b"\0" in line:
                    bad.add(self.name, number + place, line, "holds a NUL")
                    lines[place] = b""
                elif not line and not (too_long and place == 0):
                    bad.add(self.name, number + place, line, "is empty")

    def _refuse_binary(self, block: bytes) -> None:
        if block.startswith(_UTF16_MARKS):
            raise BadInputError(f"{self.name} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE.")
        controls = len(block) - len(block.translate(None, _CONTROLS))
        if controls * _TEXT_SHARE > len(block):
            raise BadInputError(
                f"{self.name} is binary (it begins {shown(block[:8])}); give text, gzip, zstd, "
                f"or what f.cache.record() wrote."
            )


def _zstandard(name: str) -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise MissingExtra(
            f"memo replay: {name} is packed by zstd, and the package 'zstandard' cannot be imported ({error}); "
            f'run: pip install "memo-toolkit[zstd]"'
        ) from error
