"""Files as they come: packed, empty, binary, damaged, not there; and recordings."""

import bz2
import gzip
import os
import struct
import sys
import zlib
from pathlib import Path
from random import Random

import pytest
from kit.replays import replay, replayed

from memo._base.recordings import recording_header, recording_seal

KEYS = b"".join(b"a key of some length, number %d\n" % (number * number % 97) for number in range(5_000))


def expected() -> tuple[int, int]:
    lines = KEYS.splitlines()
    return len(lines), len(set(lines))


def packed(kind: str, data: bytes) -> bytes:
    """The data packed, in two streams that follow each other."""
    half = len(data) // 2
    if kind == "gzip":
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    zstandard = pytest.importorskip("zstandard")
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:]))


@pytest.mark.parametrize("name", ["keys", "keys.gz", "keys.zst", "-"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_packed_input_is_unpacked_whatever_its_name(kind: str, name: str, tmp_path: Path) -> None:
    """What is packed by gzip or zstd is known by its beginning, in a file and on standard input."""
    data = packed(kind, KEYS)
    if name == "-":
        told = replayed("--sizes", "5", "-", given=data)
    else:
        (tmp_path / name).write_bytes(data)
        told = replayed("--sizes", "5", tmp_path / name)
    assert (told["requests"], told["distinct"]) == expected()


def refused(*arguments: str | Path, given: bytes = b"") -> str:
    """The one line of the error; the command ends with status 2 and prints nothing else."""
    ran = replay(*arguments, given=given)
    assert ran.stdout == b""
    assert ran.returncode == 2
    text = ran.stderr.decode()
    assert text.count("\n") == 1
    assert text.startswith("memo replay: ")
    return text


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("end", [-1, -7, 20, 5000])
def test_cut_short_is_an_error(kind: str, end: int, tmp_path: Path) -> None:
    """A packed file that ends too early is refused, wherever it was cut."""
    path = tmp_path / "keys"
    path.write_bytes(packed(kind, Random(1).randbytes(8000).hex().encode() + b"\n" + KEYS)[:end])
    text = refused(path)
    assert "cut short" in text
    assert str(path) in text


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_damaged_is_an_error(kind: str, tmp_path: Path) -> None:
    """A packed file of which bytes were altered is refused."""
    data = bytearray(packed(kind, Random(1).randbytes(8000).hex().encode()))
    data[20:40] = bytes(20)
    path = tmp_path / "keys"
    path.write_bytes(data)
    text = refused(path)
    assert "damaged" in text or "cut short" in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"\n\n\n", "has 3 lines and no key: line 1, '', is empty"),
        (struct.pack("<100I", *range(100)), "is binary"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1", "is binary"),
        (gzip.compress(bytes(1000)), "is binary"),
        (bz2.compress(KEYS), "is binary"),
        (KEYS.decode().encode("utf-16"), "is UTF-16"),
    ],
    ids=["empty", "empty gzip", "blank", "numbers", "png", "zeros", "bzip2", "utf-16"],
)
@pytest.mark.parametrize("standard_input", [False, True])
def test_no_text_is_an_error(data: bytes, words: str, standard_input: bool, tmp_path: Path) -> None:
    """What is empty or binary is refused and says so, in a file and on standard input."""
    path = tmp_path / "some file"
    path.write_bytes(data)
    text = refused("-", given=data) if standard_input else refused(path)
    assert words in text
    assert ("standard input" if standard_input else "some file") in text


def test_no_file_is_an_error(tmp_path: Path) -> None:
    """A name that there is not, a directory, and a name that no file can have are refused."""
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "nothing")
    assert "is a directory" in refused(tmp_path)
    assert "cannot be read" in refused("x" * 5000)
    odd = refused(tmp_path / "\x1b[2J")
    assert "\x1b" not in odd
    assert r"\x1b[2J" in odd


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="everything is readable to root")
def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """A file that may not be read is refused."""
    path = tmp_path / "secret"
    path.write_bytes(KEYS)
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refused(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no file that can be opened and not read")
def test_file_that_fails_is_an_error() -> None:
    """A file whose reading fails is refused."""
    assert "cannot be read (Input/output error)" in refused("/proc/self/mem")


def test_one_bad_file_ends_all(tmp_path: Path) -> None:
    """An error in the second file is an error, though the first one is good."""
    (tmp_path / "one").write_bytes(KEYS)
    assert "nothing" in refused(tmp_path / "one", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["--column", "usr"], b"id,user,x\n1,a,2\n", "has no column 'usr' in its first line; it has 'id', 'user', 'x'"),
        (["--column", "usr"], b"id,user,x\n1,a,2\n", "did you mean 'user'? A column"),
        (["--column", "9"], b"1,a,2\n", "has 1 line and no key: line 1, '1,a,2', has no such column"),
        (
            ["--column", "usr"],
            b'{"id": 1, "user": 2}\n',
            "has no column 'usr'; it has 'id', 'user'; did you mean 'user'?",
        ),
        (["--column", "0"], b"1,a,2\n", "columns are counted from 1"),
        (["--format", "csv"], b"1,a,2\n", "needs --column"),
        (["--format", "combined", "--column", "2"], b"1\n", "has no columns"),
        (["--format", "combined"], b"1\n", "no request as the combined log format has it"),
        (["--plot", "x.pdf"], b"1\n", "neither .svg nor .png"),
        (["--plot", "/nowhere/at/all/x.svg"], b"1\n", "a folder that exists"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], given: bytes, words: str) -> None:
    """A column that is missing and options that make no sense are refused, with what there is instead."""
    assert words in refused(*arguments, "-", given=given)


@pytest.mark.parametrize("options", [["--sizes", "0"], ["--sizes", "1,x"], ["--sizes", ""], ["--sample", "-3"], []])
def test_wrong_command_line_is_told(options: list[str]) -> None:
    """Options that cannot be read, and no file at all, show how the command is used."""
    ran = replay(*options, *(["-"] if options else []), given=KEYS)
    assert ran.returncode == 2
    assert ran.stdout == b""
    assert ran.stderr.startswith(b"usage: python -m memo replay")


def test_help_teaches() -> None:
    """The help has a command to copy for each kind of input."""
    ran = replay("--help", COLUMNS="80")
    assert ran.returncode == 0
    text = ran.stdout.decode()
    for words in ("--column user calls.csv", "--format combined access.log", "replay -", "traffic.keys", "--exact"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [("zstandard", ["-"], "zstd"), ("matplotlib", ["--plot", "x.svg", "-"], "plot")],
)
def test_missing_extra_is_named(package: str, arguments: list[str], extra: str, tmp_path: Path) -> None:
    """Without a package that is needed it names the extra to install, in one line, and exits with status 2."""
    (tmp_path / f"{package}.py").write_text("raise ImportError('set aside')\n")
    given = b"\x28\xb5\x2f\xfd" + bytes(20) if extra == "zstd" else KEYS
    path = os.pathsep.join([str(tmp_path), os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = replay(*arguments, given=given, PYTHONPATH=path)
    assert ran.returncode == 2
    assert ran.stdout == b""
    assert ran.stderr.count(b"\n") == 1
    assert f"'{package}'".encode() in ran.stderr
    assert f'pip install "memo-toolkit[{extra}]"'.encode() in ran.stderr


def recording(numbers: list[int], is_full: bool = False) -> bytes:
    """A file as ``f.cache.record()`` writes it."""
    text = recording_header("bot.fetch", 1.5, 500, None) + struct.pack(f"<{len(numbers)}Q", *numbers)
    return text + recording_seal(len(numbers), is_full, zlib.crc32(text))


def test_recording_is_read(tmp_path: Path) -> None:
    """A recording is known by its beginning, tells what it is of, and is as good as a list of its numbers."""
    numbers = [number * number % 97 << 57 for number in range(2000)]
    path, plain = tmp_path / "traffic", tmp_path / "plain"
    path.write_bytes(recording(numbers, is_full=True))
    plain.write_text("".join(f"{number}\n" for number in numbers))
    told, expected = replayed(path), replayed(plain)
    assert told["hit_ratio"] == expected["hit_ratio"]
    assert told["requests"] == 2000
    shown = replay(path).stdout.decode()
    assert "has 2,000 requests of 'bot.fetch', with max=500 then, until the recording was full." in " ".join(
        shown.split()
    )


def test_recording_that_is_of_no_use_is_refused(tmp_path: Path) -> None:
    """A recording that is cut short, altered, without requests, or on standard input is refused."""
    whole = recording([1, 2, 3])
    path = tmp_path / "traffic"
    for data, words in ((whole[:-1], "cut short"), (whole[:-20] + bytes(20), "record anew"), (recording([]), "longer")):
        path.write_bytes(data)
        assert words in refused(path)
    assert "name the file instead of -" in refused("-", given=whole)
