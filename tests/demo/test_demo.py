"""``python -m memo demo``, run as a user runs it."""

import importlib.util
import os
import re
import signal
import subprocess
import sys

import pytest
from kit.places import ROOT

from memo.__main__ import main
from memo.exporters import Source, serving

LIMIT_S = 90
needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("aiohttp", "rich")),
    reason="aiohttp or rich is not installed; pip install '.[demo]' brings them",
)


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )


def number(text: str) -> int:
    return int(text.replace(",", ""))


def found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    assert match is not None, f"{pattern!r} is not in:\n{text}"
    return match


STUCK = r"([\d,]+) requests? got stuck; timeout='[^']+' gave up each and released the ([\d,]+) callers? who"


def demonstrated() -> str:
    """What a run shows that was long enough for callers to meet: on a busy machine a second may not be."""
    for seconds in ("1", "5", "20"):
        ran = run("-m", "memo", "demo", "--seconds", seconds, "--seed", "1")
        assert ran.stderr == ""
        assert ran.returncode == 0
        told = re.search(STUCK, " ".join(ran.stdout.split()))
        if told is not None and number(told[2]) > number(told[1]):
            break
    return ran.stdout


@needs_extra
def test_demo_shows_table_and_words() -> None:
    """It ends well, and its table and its words tell of every use with figures that fit each other."""
    shown = demonstrated()
    rows: dict[str, list[str]] = {}
    for line in filter(str.strip, shown.splitlines()):
        rows.setdefault(line.split()[0], line.split()[1:])  # what windows tell stands in a table of its own, below
    assert rows["function"][0] == "entries"
    assert {"ask_ai", "avatar", "on_message", "profile", "track_error", "webhook"} <= set(rows)
    kept = {name: number(rows[name][0].partition("/")[0]) for name in ("avatar", "profile", "webhook")}
    assert 0 < kept["avatar"] <= 500
    assert 0 < kept["profile"] <= 1000
    assert 0 < kept["webhook"] <= 100

    words = " ".join(shown.split("kept from growing:")[1].split())
    calls, names = found(r"profiles: ([\d,]+) calls for ([\d,]+) names\.", words).groups()
    assert number(calls) > number(names) > 0
    opened, closed, most, cleared = found(
        r"webhooks: .* counts ([\d,]+) opened, ([\d,]+) closed, never more than ([\d,]+) open at once\."
        r" At the end clear\(\) closed the other ([\d,]+), so that 0 are open now\.",
        words,
    ).groups()
    assert number(opened) == number(closed) + number(cleared)
    assert number(cleared) == kept["webhook"]
    assert number(most) <= 104  # each of four threads opens one before it closes the one that leaves
    found(r"avatars: [\d,]+ calls for [\d,]+ images?\. .* That is [\d.]+k?M?B where there would be [\d.]+k?M?B", words)
    asked, requests, joined = found(
        r"AI requests: ([\d,]+) calls for [\d,]+ questions?, and only ([\d,]+) requests?: ([\d,]+) calls? joined", words
    ).groups()
    assert number(asked) == number(requests) + number(joined)
    assert number(joined) > 0
    stuck, released = found(STUCK, words).groups()
    assert number(released) > number(stuck) > 0  # by this seed some are, and several wait for the same one
    errors, kept_errors = found(
        r"error tracker: ([\d,]+) errors? in the last 24 hours, ([\d,]+) of them kept in full\. The latest: '", words
    ).groups()
    assert number(kept_errors) == min(50, number(errors)) > 0
    came, new, again = found(
        r"message tracker: ([\d,]+) messages? came, ([\d,]+) of them new and handled; ([\d,]+) had been", words
    ).groups()
    assert number(came) == number(new) + number(again)
    assert number(new) > 0
    held, unbounded = found(r"Together they held ([\d,]+) .* it would have been ([\d,]+)\.", words).groups()
    assert number(held) >= sum(kept.values())
    assert number(unbounded) > 0


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
from memo.__main__ import main
sys.exit(main(["demo", "--seconds", "60"]))
"""


@needs_extra
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
def test_ctrl_c_ends_it_cleanly() -> None:
    """Interrupted in the middle, on a terminal, it reports what it has and exits with status 130; until then its
    figures can be seen where it says, and by its name."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE],
        cwd=ROOT,
        env={**ENVIRONMENT, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    interrupted = False
    try:
        while chunk := read(ours):
            seen += chunk
            if not interrupted and re.search(rb"[1-9][\d,]* kept of", seen):
                shown = seen.decode()
                assert shows_its_uses(found(r"live: (\S+)", shown)[1], process.pid)
                name = found(r"terminal: python -m memo top (\S+)", shown)[1]
                assert (process.pid, name) in {(place.pid, place.name) for place in serving()}
                process.send_signal(signal.SIGINT)
                interrupted = True
        assert process.wait(timeout=LIMIT_S) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    shown = seen.decode()
    assert interrupted
    assert "Traceback" not in shown
    assert "Interrupted." in shown
    assert "Together" in shown
    assert "so that 0 are open now" in " ".join(shown.split())


def shows_its_uses(target: str, pid: int) -> bool:
    """Whether process *pid* serves there, and tells of the demonstration's uses."""
    with Source(target) as source:
        told = source.get("/stats.json")
    return {"avatar", "profile"} <= set(told["rows"]) and pid == told["process"]["pid"]


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side was closed
        return b""


@needs_extra
@pytest.mark.parametrize("package", ["aiohttp", "rich"])
def test_missing_extra_is_named(package: str) -> None:
    """Without one of its packages it says what to install, in one line, and exits with status 2."""
    script = f"import sys; sys.modules[{package!r}] = None; from memo.__main__ import main; sys.exit(main(['demo']))"
    ran = run("-c", script)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert repr(package) in ran.stderr
    assert 'pip install "memo-toolkit[demo]"' in ran.stderr


def test_usage_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command it shows what commands there are."""
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m memo")
    assert "demo" in shown


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", ""])
def test_wrong_length_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A length of the run that is no positive number is refused before anything starts."""
    with pytest.raises(SystemExit) as exited:
        main(["demo", f"--seconds={seconds}"])
    assert exited.value.code == 2
    assert repr(seconds) in capsys.readouterr().err
