"""The example service, as its users start it: four workers under gunicorn, in a process of its own."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.places import ROOT

__all__ = ("FOLDER", "NAME", "TOKEN", "WORKERS", "Service", "started")

FOLDER = ROOT / "examples" / "service"
WORKERS = 4
TOKEN = "only-for-these-tests"
NAME = f"example-{os.getpid()}"  # of no other that this user runs meanwhile: all of one name belong together


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    url: str
    runtime: Path
    """XDG_RUNTIME_DIR, in which its sockets are."""
    log: list[str]
    """What it has said, line by line."""

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is to find its sockets."""
        return _environment(self.runtime)


def _environment(runtime: Path) -> dict[str, str]:
    own = {"XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT), "BIND": "127.0.0.1:0", "MEMO_TOKEN": TOKEN}
    return {**os.environ, **own, "NAME": NAME}


@contextlib.contextmanager
def started() -> Iterator[Service]:
    """Start it at a free port, wait until each worker listens, and kill it with its workers."""
    runtime = Path(tempfile.mkdtemp(prefix="memo-", dir="/tmp"))  # paths of sockets are to be short
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(FOLDER / "gunicorn.conf.py")],
        cwd=ROOT,
        env=_environment(runtime),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    listening = 0
    reader = None
    try:
        for line in process.stderr:
            log.append(line)
            listening += "ASGI server listening" in line
            if listening == WORKERS:
                break
        found = re.search(r"Listening at: (http://\S+)", "".join(log))
        assert found, "".join(log)
        reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
        reader.start()
        yield Service(found[1], runtime, log)
        assert "Traceback" not in "".join(log), "".join(log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # how it ends by itself takes seconds, and is gunicorn's business
        process.wait()
        if reader is not None:
            reader.join(20)
        process.stderr.close()
        shutil.rmtree(runtime)
