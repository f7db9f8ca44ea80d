"""What servers of figures are asked with: sockets, and what is written on them byte by byte."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from memo import Registry
from memo.exporters import Source
from memo.exporters._connection import Limits
from memo.exporters._options import checked
from memo.exporters._view import view_of
from memo.exporters.http import Server, _serve

__all__ = ("Answer", "ask", "connect", "impatient_with_siblings", "read_answer", "request", "served")

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """What it says is wrong."""
        said: str = self.json["error"]
        return said


def connect(server: Server, *, by: str = "http") -> socket.socket:
    """A connection to its port, or to its socket."""
    if by == "http":
        assert server.url is not None
        parts = urlsplit(server.url)
        return socket.create_connection((parts.hostname, parts.port), PATIENCE_S)
    assert server.path is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(server.path)
    return connection


def request(
    path: str, *, method: str = "GET", host: str = "127.0.0.1", body: bytes | None = None, **headers: str
) -> bytes:
    """A request as bytes; of the headers, ``_`` stands for ``-``."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"] if host else [f"{method} {path} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def read_answer(connection: socket.socket) -> Answer | None:
    """The next answer; None if the connection is closed instead."""
    text = b""
    while b"\r\n\r\n" not in text:
        came = connection.recv(65_536)
        if not came:
            return None
        text += came
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        came = connection.recv(65_536)
        assert came, "the connection was closed within an answer"
        body += came
    return Answer(int(first.split()[1]), headers, body)


def ask(server: Server, path: str, *, by: str = "http", **kwargs: Any) -> Answer:
    """The answer to one request on a connection of its own."""
    with connect(server, by=by) as connection:
        connection.sendall(request(path, **kwargs))
        answer = read_answer(connection)
    assert answer is not None, "closed without an answer"
    return answer


def served(registry: Registry, limits: Limits | None = None, **options: Any) -> Server:
    """A server with limits of the test's own."""
    asked: dict[str, Any] = {
        "http": None, "socket": True, "token": None, "show_keys": False, "actions": False, "name": "web", "hosts": (),
    }  # fmt: skip
    return _serve(registry, checked(**asked | options), limits or Limits())


def impatient_with_siblings(registry: Registry) -> None:
    """Have the siblings that *registry*'s view knows be waited for a moment alone: for a test that has them stopped."""
    for sibling in view_of(registry)._workers.siblings:
        sibling.source.close()
        sibling.source = Source(sibling.place.path, timeout=0.1)
