"""What is printed: the table, the advice, JSON, a picture."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from kit.places import ROOT
from kit.replays import ENVIRONMENT, LIMIT_S, replay, replayed, write, zipf

from memo._replay.contestants import ADVISED, CONTESTANTS


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream of a thousand keys."""
    return write(tmp_path_factory.mktemp("keys") / "keys", zipf(5_000, 1_500, seed=4))


@pytest.fixture(scope="module")
def printed(keys: Path) -> str:
    """What is printed of that stream."""
    ran = replay(keys)
    assert ran.returncode == 0
    assert ran.stderr == b""
    return ran.stdout.decode()


@pytest.fixture(scope="module")
def told(keys: Path) -> dict[str, Any]:
    """What is told of that stream in JSON."""
    return replayed(keys)


def test_table_is_aligned_and_fits(printed: str, told: dict[str, Any]) -> None:
    """The table has a row for each size and a column for each policy, aligned, and says what JSON says."""
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    head = next(line for line in lines if line.lstrip().startswith("max "))
    at = lines.index(head)
    names = [*CONTESTANTS, "optimum"]
    assert head.split() == ["max", *names]
    assert set(lines[at + 1]) == {"-", " "}
    rows = lines[at + 2 : at + 2 + len(told["sizes"])]
    assert {len(row) for row in rows} == {len(head)}
    for place, row in enumerate(rows):
        size, *ratios = row.split()
        assert int(size.replace(",", "")) == told["sizes"][place]
        assert ratios == [f"{told['hit_ratio'][name][place]:.2%}" for name in names]
    assert (
        f"5,000 requests for {told['distinct']:,} keys; without a bound {told['reachable']:.2%} would be"
        in " ".join(lines)
    )


def test_advice_is_one_sentence(printed: str, told: dict[str, Any]) -> None:
    """The advice names the size, what it gives, and what twice and half of it would give."""
    advice = told["advice"]
    text = " ".join(printed.split())
    found = re.search(r"Advice: (.*?%\.) ", text)
    assert found is not None
    assert found[1] == (
        f"max={advice['max']} is the smallest with policy='{ADVISED}' that reaches 95% of what is reachable: it gives "
        f"{advice['hit_ratio']:.1%} of {advice['reachable']:.1%}; half of it, {advice['half']}, would give "
        f"{advice['half_hit_ratio']:.1%}, twice, {advice['twice']}, {advice['twice_hit_ratio']:.1%}."
    )


def test_speed_is_told(printed: str, told: dict[str, Any]) -> None:
    """The output tells how many lines a second were read, and how many requests a second replayed."""
    text = " ".join(printed.split())
    assert re.search(r"Read 5,000 lines in [\d.]+ s \([\d,]+ lines a second\), replayed [\d,]+ requests in", text)
    assert told["lines_per_second"] > 0
    assert set(told["seconds"]) == {"reading", "replaying"}


def test_no_repetition_is_told() -> None:
    """Where no key comes twice it says that no cache is of use."""
    text = replay("-", given=b"a\nb\n").stdout.decode()
    assert "Advice: none; no key came twice" in text
    assert "0.00%" in text


def test_json_is_one_object(told: dict[str, Any]) -> None:
    """JSON has each figure once, and nothing else is printed."""
    assert told["complete"] is True
    assert told["sample"] is None
    assert {len(ratios) for ratios in told["hit_ratio"].values()} == {len(told["sizes"])}


def test_picture_has_every_curve(keys: Path, tmp_path: Path) -> None:
    """The picture names every policy, and the same figures make the same file."""
    pytest.importorskip("matplotlib")
    pictures = []
    for name in ("one.svg", "two.SVG"):
        ran = replay("--plot", tmp_path / name, keys)
        assert ran.returncode == 0
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert ET.fromstring(pictures[0]).tag.endswith("svg")
    comments = re.findall(r"<!-- (.*?) -->", pictures[0].decode())
    assert {*CONTESTANTS, "optimum", "without a bound"} <= set(comments)


def test_picture_may_have_points(keys: Path, tmp_path: Path) -> None:
    """A picture of the other kind is one, too; where it cannot be written, that is an error."""
    pytest.importorskip("matplotlib")
    assert replay("--plot", tmp_path / "curves.png", keys).returncode == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "folder.png").mkdir()
    ran = replay("--plot", tmp_path / "folder.png", keys)
    assert ran.returncode == 2
    assert b"is no place for a file" in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes on Windows")
def test_reader_may_go_away(keys: Path) -> None:
    """Where nobody reads the output to its end there is no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "memo", "replay", str(keys)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(LIMIT_S) == 141
    assert said == b""


def test_page_shows_what_is_printed(tmp_path: Path) -> None:
    """The table in docs/sizing.md is of a stream as words are used; only policies of our own may differ a little."""
    text = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    command, shown = re.findall(
        r"```sh\npython -m memo replay (.*?) keys\.txt\n```\n\n```text\n(.*?)```", text, re.DOTALL
    )[0]
    printed = replay(*command.split(), write(tmp_path / "keys.txt", zipf(100_000, 20_000, seed=1))).stdout.decode()
    theirs, ours = shown.split("\n\n"), printed.split("\n\n")
    assert theirs[0] == ours[0]
    assert len(theirs) == len(ours)
    for left, right in zip(theirs[1].splitlines(), ours[1].splitlines(), strict=True):
        for name, one, other in zip(["max", *CONTESTANTS, "optimum"], left.split(), right.split(), strict=True):
            if one != other:
                assert name in ("adaptive", "s3fifo")
                assert float(one.rstrip("%")) == pytest.approx(float(other.rstrip("%")), abs=2)
    assert theirs[2].startswith("Advice: max=")
    assert theirs[3].startswith("Read 100,000 lines in ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_full_disk_is_told(keys: Path) -> None:
    """Where the output has no room there is one line that says so, and status 2."""
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "memo", "replay", "--sizes", "10", str(keys)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
            check=False,
        )
    assert ran.returncode == 2
    assert ran.stderr == b"memo replay: the output cannot be written (No space left on device); make room for it.\n"


def test_any_size_may_be_asked_for(keys: Path) -> None:
    """A size that is larger than any memory gives what a cache without a bound gives."""
    told = replayed("--sizes", f"1,{10**30}", keys)
    assert told["sizes"] == [1, 10**30]
    assert {ratios[1] for ratios in told["hit_ratio"].values()} == {told["reachable"]}
