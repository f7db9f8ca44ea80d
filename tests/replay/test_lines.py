"""What a line says, in each format, and which lines are left out."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from kit.replays import replay, replayed

# Three requests for a, one for b, whichever way they are written.
CSV = b'when,"user",what\n1,a,x\n2,b,y\n3,a,"x, with\na line end"\n4,a,z\n'
LINES = {
    "plain": (b"a\nb\na\na\n", []),
    "plain without an end": (b"a\nb\na\na", []),
    "plain with carriage returns": (b"a\r\nb\r\na\r\na\r\n", []),
    "plain with a mark": (b"\xef\xbb\xbfa\nb\na\na\n", []),
    "no text": (b"\xff\xfd\n\xe9\n\xff\xfd\n\xff\xfd\n", []),
    "csv by name": (CSV, ["--column", "user"]),
    "csv by number": (CSV.partition(b"\n")[2], ["--column", "2"]),
    "csv, said so": (CSV.replace(b"a", b"{"), ["--column", "user", "--format", "csv"]),
    "csv in Latin-1": ("nom\né\nè\né\né\n".encode("latin-1"), ["--column", "nom"]),
    "tsv": (CSV.replace(b",", b"\t"), ["--column", "user"]),
    "json lines": (
        b'{"user": "a"}\n{"user": "b", "x": [1]}\n{"x": 2, "user": "a"}\n{"user":"a"}\n',
        ["--column", "user"],
    ),
    "json numbers": (b'{"n": 1}\n{"n": null}\n{"n": 1}\n{"n":  1}\n', ["--column", "n"]),
    "json objects": (
        b'{"n": {"a": 1, "b": 2}}\n{"n": []}\n{"n": {"b": 2, "a": 1}}\n{"n": {"a":1,"b":2}}\n',
        ["--column", "n"],
    ),
    "json rows": (b'[0, "a"]\n[1, "b"]\n[2, "a"]\n[3, "a", 1]\n', ["--column", "2"]),
    "json with odd text": (b'{"u": "\\ud800"}\n{"u": "\xff"}\n{"u": "\\ud800"}\n{"u": "\\ud800"}\n', ["--column", "u"]),
}


@pytest.mark.parametrize("name", LINES)
def test_formats_name_the_same_keys(name: str) -> None:
    """However three requests for one key and one for another are written, they are seen to be that."""
    text, options = LINES[name]
    told = replayed(*options, "--sizes", "1,2", "-", given=text)
    assert (told["requests"], told["distinct"]) == (4, 2)
    assert told["hit_ratio"]["lru"] == [0.25, 0.5]
    assert told["bad_lines"]["count"] == 0


LOG = rb"""127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "http://x/" "Mozilla/4.08 [en] (Win98)"
::1 - frank smith [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 304 - "-" "-"
127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "POST /a HTTP/1.0" 200 2326 "-" "curl"
127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "GET /a?x=1 HTTP/1.0" 200 2326
127.0.0.1 - - [10/Oct/2000:13:55:39 -0700] "GET /a\"b HTTP/1.0" 404 12 "-" "-"
127.0.0.1 - - [10/Oct/2000:13:55:39 -0700] "-" 408 0 "-" "-"
127.0.0.1 - - [10/Oct/2000:13:55:39 -0700] "\x16\x03\x01" 400 226 "-" "-"
127.0.0.1 - - [10/Oct/2000:13:55:40 -0700] "GET /a" 200 5 "-" "-"
"""


def test_access_log_is_asked_for_method_and_path() -> None:
    """A web server's log names method and path with its query; what is no request is left out."""
    told = replayed("--format", "combined", "-", given=LOG)
    assert told["lines"] == 8
    assert told["requests"] == 6
    assert told["distinct"] == 4
    assert told["bad_lines"]["count"] == 2
    assert [line["number"] for line in told["bad_lines"]["first"]] == [6, 7]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".json"])
@pytest.mark.parametrize("packed", [False, True])
def test_names_tell_the_format(suffix: str, packed: bool, tmp_path: Path) -> None:
    """With a column the ending of the file's name tells the format, past .gz, in capitals too."""
    texts = {".csv": b"a\tb,user\nx,k\nx,k\n", ".tsv": b"a,b\tuser\nx\tk\nx\tk\n"}
    text = texts.get(suffix, b'\n{"user": "k"}\n{"user": "k"}')
    path = tmp_path / f"calls{suffix.upper()}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(text) if packed else text)
    told = replayed("--column", "user", path)
    assert (told["requests"], told["distinct"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "column", "keys"),
    [
        (b"user;price\nk;1,5\nk;2,5\nm;1\n", "user", 2),
        (b"k;1;5\nk;2;5\n", "1", 1),
        (b"user,tags\nk;1,a\nk;2,a\n", "user", 2),
        (b"user\nk;1\nk;2\n", "user", 2),
    ],
    ids=["named", "numbered", "comma too", "neither"],
)
def test_semicolons_part_cells_where_the_first_line_has_no_comma(text: bytes, column: str, keys: int) -> None:
    """Cells are parted by semicolons if the first line has some and no comma, and else by commas."""
    assert replayed("--format", "csv", "--column", column, "-", given=text)["distinct"] == keys


def bad(given: bytes, *options: str) -> tuple[int, list[dict[str, Any]]]:
    told = replayed(*options, "-", given=given)
    return told["bad_lines"]["count"], told["bad_lines"]["first"]


@pytest.mark.parametrize(
    ("line", "options", "why"),
    [
        (b"", [], "is empty"),
        (b"  \t", [], "is blank"),
        (b"x\0y", [], "holds a NUL"),
        (b"x" * (1 << 20) + b"yz", [], "is longer than a MiB"),
        (b"x" * (3 << 20), [], "is longer than a MiB"),
        (b"1,2,3", ["--column", "4"], "has no such column"),
        (b"1,2,3,", ["--column", "4"], "has nothing in that column"),
        (b"{", ["--column", "n", "--format", "jsonl"], "is no JSON"),
        (b"[" * 100_000, ["--column", "n", "--format", "jsonl"], "is no JSON"),
        (b"5", ["--column", "n", "--format", "jsonl"], "is no JSON object"),
        (b'{"m": 1}', ["--column", "n", "--format", "jsonl"], "has no column 'n'; it has 'm'"),
        (b"[1, 2]", ["--column", "4", "--format", "jsonl"], "has no column 4, but 2"),
        (b"good", ["--format", "combined"], "is no request as the combined log format has it"),
    ],
    ids=[
        "empty",
        "blank",
        "nul",
        "long",
        "longer",
        "short row",
        "empty cell",
        "json",
        "deep",
        "number",
        "object",
        "list",
        "log",
    ],
)
def test_bad_lines_are_left_out(line: bytes, options: list[str], why: str) -> None:
    """A line that names no key is counted and shown with its number and the reason, and the rest goes on."""
    good = {"n": b'{"n": "k"}', "4": b"0,0,0,k"}.get(options[1] if len(options) > 1 else "", b"k")
    if "combined" in options:
        good = LOG.splitlines()[0]
    if "4" in options and "jsonl" in options:
        good = b'[0, 0, 0, "k"]'
    # Not at the beginning, from which it is told whether the whole file is binary.
    text = (good + b"\n") * 30_000 + line + b"\n" + good + b"\n"
    count, first = bad(text, *options, "--sizes", "1")
    assert count == 1
    assert first[0]["number"] == 30_001
    assert first[0]["source"] == "standard input"
    assert first[0]["why"].startswith(why)


def test_a_row_that_is_none_is_left_out(tmp_path: Path) -> None:
    """A quote that is never closed costs the rows up to the longest cell, not the file."""
    text = b"k,1\n" * 10 + b'"open,1\n' + b"k,1\n" * 50_000
    count, first = bad(text, "--column", "1", "--format", "csv", "--sizes", "1")
    assert count == 1
    assert first[0]["why"].startswith("is no row")


def test_only_three_bad_lines_are_shown_and_nothing_is_obeyed() -> None:
    """Of many bad lines three are shown, shortened, with control characters spelled out."""
    lines = [b"\x1b[2J\x9b\xff\xe2\x80\xae" + b"x" * 300, *[b"bad"] * 5]
    ran = replay("--format", "combined", "-", given=LOG + b"\n".join(lines))
    assert ran.returncode == 0
    text = ran.stdout.decode()
    assert "8 lines of 14 left out, as no key is in them; the first are:" in text
    assert text.count("  line ") == 3
    assert text.isprintable() or not {c for c in text if not c.isprintable()} - {"\n"}
    assert max(map(len, text.splitlines())) <= 80
    ran = replay("--format", "combined", "-", given=b"\n".join([lines[0], LOG]))
    assert rb"line 1: '\x1b[2J\x9b\xff\u202exx" in ran.stdout
    assert "…' is no request".encode() in ran.stdout.replace(b"\n ", b"")


def test_files_are_one_stream(tmp_path: Path) -> None:
    """Several files are read one after the other, as if they were one; bad lines name theirs."""
    one, two = tmp_path / "one", tmp_path / "two.gz"
    one.write_bytes(b"a\nb\n \n")
    two.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0\0")
    told = replayed(one, two, "-", "--sizes", "2", given=b"c\n")
    assert told["requests"] == 5
    assert told["distinct"] == 4  # a, b, bc, c
    assert told["files"] == [str(one), str(two), "standard input"]
    assert b"one, line 3: ' ' is blank" in b" ".join(replay(one, two).stdout.split())


def test_output_is_the_same_whatever_the_hash_seed(tmp_path: Path) -> None:
    """Neither figures nor the sample depend on the seed that the hashes of text have in a process."""
    path = tmp_path / "keys"
    path.write_text("".join(f"{number * number % 997}\n" for number in range(5000)))
    told = [replayed("--sample", "2000", path, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    for each in told:
        del each["seconds"], each["lines_per_second"]
    assert told[0] == told[1]
    assert told[0]["sample"]["rate"] < 1


def test_output_need_not_be_able_to_say_everything() -> None:
    """Where the output has no character for what a bad line holds, its escape is shown."""
    ran = replay("--format", "combined", "-", given="ü…\n".encode() + LOG, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert rb"'\xfc\u2026'" in ran.stdout
    assert json.loads(replay("--json", "-", given=b"k", PYTHONIOENCODING="ascii").stdout)["requests"] == 1


def test_hostile_lines_take_no_time() -> None:
    """A long line full of what a log begins with is left out, and not tried in every way that there is."""
    line = b"a b " + b"[" * 500_000
    assert bad(LOG + line, "--format", "combined")[0] == 3


def test_many_bad_lines_take_no_time() -> None:
    """What was probably meant is looked for where it is shown, not for each of very many lines."""
    text = b'{"m": 1, "n": 2}\n' + b'{"m": 1, "some": 2, "more": 3}\n' * 100_000
    count, first = bad(text, "--column", "n", "--format", "jsonl")
    assert count == 100_000
    assert first[0]["why"] == "has no column 'n'; it has 'm', 'some', 'more'"
    assert len(first) == 3
