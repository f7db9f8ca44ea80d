"""Files of key hashes: what a reader makes of whole, cut, altered and forged ones."""

import random
import struct
import sys
import zlib
from array import array
from pathlib import Path

import pytest

from memo import MemoError, RecordingError, read_recording
from memo._base.recordings import RECORDING_MAGIC, recording_header, recording_seal

STARTED = 1_790_000_000.25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traffic.keys"


def written(numbers: list[int], is_full: bool = False, header: bytes | None = None) -> bytes:
    """A whole file, made from the table in the module's docstring."""
    body = (recording_header("bot.load", STARTED, 500, None) if header is None else header) + b"".join(
        number.to_bytes(8, "little") for number in numbers
    )
    return body + recording_seal(len(numbers), is_full, zlib.crc32(body))


NUMBERS = [0, 1, 2**64 - 1, 1, 0x0123456789ABCDEF]


def test_a_file_is_read_in_order_and_again(path: Path) -> None:
    """The numbers come as they were written, as often as one asks, with what the header and the seal say."""
    path.write_bytes(written(NUMBERS))
    found = read_recording(path)
    assert list(found) == list(found) == NUMBERS
    assert len(found) == 5
    assert (found.function, found.started, found.max, found.max_bytes) == ("bot.load", STARTED, 500, None)
    assert not found.is_full
    assert repr(found) == "<recording of bot.load: 5 requests>"


def test_a_file_is_laid_out_as_its_module_says(path: Path) -> None:
    """The bytes are those of the table in the module's docstring, whichever machine wrote them."""
    raw = written([7], is_full=True)
    size = struct.unpack_from("<I", raw, 12)[0]
    assert raw[:12] == b"\x89memokey\x01\x00\x00\x00"
    assert size % 8 == 0
    assert raw[16 : 16 + size].rstrip(b" ") == (
        b'{"function":"bot.load","started":1790000000.25,"max":500,"max_bytes":null}'
    )
    rest = raw[16 + size :]
    assert rest[:20] == b"\x07" + bytes(7) + b"\x01" + bytes(7) + b"\x01\x00\x00\x00"
    assert rest[20:] == struct.pack("<I", zlib.crc32(raw[:-12])) + b"memo.end"


@pytest.mark.parametrize("name", ["", "größer", "\ud800", "a" * 3_000])
@pytest.mark.parametrize(("most", "most_bytes"), [(None, 10**15), (1, None), (1, 1)])
def test_a_header_holds_any_name_and_bounds(path: Path, name: str, most: int | None, most_bytes: int | None) -> None:
    """Names of any letters and length, and either bound, come back."""
    path.write_bytes(written([], header=recording_header(name, 0.0, most, most_bytes)))
    found = read_recording(path)
    assert (found.function, found.max, found.max_bytes, list(found)) == (name, most, most_bytes, [])


def test_a_long_file_is_read_in_pieces(path: Path) -> None:
    """More numbers than a piece holds, and not a multiple of that, come back whole."""
    numbers = array("Q", random.Random(1).randbytes(8 * 100_001))
    if sys.byteorder == "big":
        numbers.byteswap()
    path.write_bytes(written(numbers.tolist(), is_full=True))
    found = read_recording(str(path))
    assert found.is_full
    assert array("Q", found) == numbers
    assert repr(found) == "<recording of bot.load: 100,001 requests, full>"


def test_the_error_is_a_value_error() -> None:
    """RecordingError can be caught as the package's own error and as a ValueError."""
    assert issubclass(RecordingError, MemoError)
    assert issubclass(RecordingError, ValueError)


def test_a_file_cut_short_is_refused(path: Path) -> None:
    """A file cut at any byte is refused, with its name and what to do."""
    whole = written(NUMBERS)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(RecordingError, match=r"traffic\.keys' (is cut short: .* record anew|is no recording)"):
            read_recording(path)


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_an_altered_file_is_refused(path: Path, bit: int) -> None:
    """A file with any byte changed is refused."""
    whole = written(NUMBERS)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        with pytest.raises(RecordingError, match=r"traffic\.keys"):
            read_recording(path)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 8, b"memo.end", written([1])])
def test_what_was_appended_is_noticed(path: Path, more: bytes) -> None:
    """A file with something behind its seal is refused."""
    path.write_bytes(written(NUMBERS) + more)
    with pytest.raises(RecordingError, match=r"is cut short|was altered"):
        read_recording(path)


@pytest.mark.parametrize("other", [b"", b"\n", b"alice\nbob\n", b"\x1f\x8b\x08", b"(\xb5/\xfd", RECORDING_MAGIC[1:]])
def test_other_files_are_no_recordings(path: Path, other: bytes) -> None:
    """Text, archives and empty files are told from recordings by their first bytes."""
    path.write_bytes(other)
    with pytest.raises(RecordingError, match=r"is no recording \(it begins with b.*give a file that f\.cache\.record"):
        read_recording(path)


def forged(version: int = 1, flags: int = 0, size: int | None = None, text: bytes = b"{}      ") -> bytes:
    return struct.pack("<8sHHI", RECORDING_MAGIC, version, flags, len(text) if size is None else size) + text


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (forged(version=2), "has format version 2, but this release reads version 1"),
        (forged(flags=4), "has format version 1 with flags 4"),
        (forged(size=2**32 - 1), "a header of 4,294,967,295 bytes"),
        (forged(size=65_000), "is cut short"),
        (forged(), "has a header that says"),
        (forged(text=b"[" * 65_000), "has a header that says"),
        (forged(text=b'{"function":1,"started":0,"max":1,"max_bytes":1}'), "has a header that says"),
        (forged(text=b'{"function":"f","started":NaN,"max":1,"max_bytes":1}'), "has a header that says"),
        (forged(text=b'{"function":"f","started":0,"max":0,"max_bytes":1}'), "has a header that says"),
        (forged(text=b'{"function":"f","started":0,"max":1,"max_bytes":true}'), "has a header that says"),
        (forged(text=b'{"function":"f","started":' + b"9" * 400 + b',"max":1,"max_bytes":1}'), "a header that says"),
        (forged(text=b'\xff"'), "has a header that says"),
    ],
)
def test_forged_headers_are_refused(path: Path, header: bytes, match: str) -> None:
    """A header that no recording has is refused, though the seal fits."""
    path.write_bytes(written([1], header=header))
    with pytest.raises(RecordingError, match=match):
        read_recording(path)


def test_a_file_that_cannot_be_read_says_so(path: Path) -> None:
    """What is not there, or a directory, raises the error of the system."""
    with pytest.raises(FileNotFoundError):
        read_recording(path)
    with pytest.raises(OSError, match=r"directory|Permission"):
        read_recording(path.parent)


def test_a_file_that_shrinks_meanwhile_says_so(path: Path) -> None:
    """Numbers are never made up: a file that was cut after it was verified ends an iteration with an error."""
    path.write_bytes(written(NUMBERS))
    found = read_recording(path)
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match="was cut short while it was read"):
        list(found)
