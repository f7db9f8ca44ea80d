"""On a terminal: the bar, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT
from kit.replays import ENVIRONMENT, LIMIT_S, replay, write, zipf

pexpect: Any = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")

# Whoever runs the tests may ignore SIGINT, and children inherit that.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from memo.__main__ import main
sys.exit(main(["replay", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream whose replay takes a second or two."""
    return write(tmp_path_factory.mktemp("keys") / "keys", zipf(30_000, 8_000, seed=5))


def on_a_terminal(*arguments: str | Path, columns: int = 80) -> Any:
    return pexpect.spawn(
        sys.executable,
        ["-c", INTERRUPTIBLE, *map(str, arguments)],
        cwd=str(ROOT),
        env={**ENVIRONMENT, "TERM": "xterm"},
        dimensions=(24, columns),
        timeout=LIMIT_S,
    )


def test_bar_shows_rate_and_time_left(keys: Path) -> None:
    """On a terminal a bar shows how far it is, at what rate, and how long it will take, and goes when it is done."""
    terminal = on_a_terminal(keys)
    terminal.expect(rb"\rreplaying  \[#+\.+\] +\d+%  [\d,]+ requests/s  \d+\S* left")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    *_, last = re.split(rb"\r(?!\n)", terminal.before)
    assert last.startswith(b"\x1b[Kmemo replay: 30,000 requests")


def test_bar_fits_a_narrow_terminal(keys: Path) -> None:
    """The bar is never wider than the terminal."""
    terminal = on_a_terminal(keys, "--sizes", "10", columns=30)
    terminal.expect(pexpect.EOF)
    terminal.close()
    bars = [part.removesuffix(b"\x1b[K") for part in re.split(rb"\r", terminal.before) if part.startswith(b"re")]
    assert bars
    assert max(map(len, bars)) < 30


def test_no_bar_without_a_terminal(keys: Path) -> None:
    """Where standard error is no terminal there is nothing on it."""
    assert replay("--sizes", "10", keys).stderr == b""


def test_ctrl_c_shows_what_is_known(keys: Path) -> None:
    """Interrupted while it replays, it shows the figures that it has and exits with status 130."""
    terminal = on_a_terminal(keys)
    terminal.expect(rb"replaying  \[####*\.+\]")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    shown = terminal.before.decode()
    assert "Traceback" not in shown
    assert "Interrupted; what is known so far" in shown
    assert re.search(r"\n +\d\S* +\d+\.\d\d%", shown)  # a figure that is known
    assert re.search(r" +-\r\n", shown)  # one that is not
    assert "Advice" not in shown


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_ctrl_c_while_reading(form: list[str]) -> None:
    """Interrupted while it reads from a pipe, it tells how much that was."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *form, "-"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=read,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(read)
    try:
        # More than the command and the pipe take at once: when it is written, the command has read some of it.
        with open(write, "wb", buffering=0) as pipe:
            pipe.writelines(b"a\nb\nc\nd\n" * 8192 for _ in range(40))
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert errors == b""
    if form:
        told = json.loads(said)
        assert told["complete"] is False
        assert told["requests"] > 100_000
        assert told["distinct"] == 4
    else:
        assert re.search(rb"Interrupted; what is known so far. memo replay: [\d,]+ requests for\s4\skeys", said)
