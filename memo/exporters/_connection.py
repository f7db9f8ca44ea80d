"""One connection of a client: HTTP/1.1, with a limit on everything that the client chooses.

Limits

- Headers are there within 5 s, each time, and have 8 kB; a body has 4 kB and takes 5 s more; a connection lasts 30 s.
- What is malformed gets an answer that says so, and the connection is closed.
- Nothing is logged: a path may tell what nobody should read in a log, and a client could fill it.
"""

import http.server
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from memo._base import real
from memo.exporters._routes import LARGEST_BODY, Request, Response, Routes, refused

__all__ = ("Connection", "Limits", "refuse_crowded")

_LINGER_S = 0.5
_LINGER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take."""

    headers_s: float = 5.0
    """Seconds for the headers of a request, from when it may begin; and as many for a body."""
    connection_s: float = 30.0
    """Seconds that a connection lasts."""
    header_bytes: int = 8_192
    """Bytes of a request's first line and headers."""
    connections: int = 16
    """Connections at a time, each with a thread."""
    clock: Callable[[], float] = real.monotonic


class _TooMuch(Exception):
    """The client sent more than it may."""


class _Input:
    """What a client sends, as ``http.server`` reads it, until a deadline and no more than so many bytes."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._got = bytearray()
        self._until_s = 0.0
        self._left = 0

    def allow(self, size: int, until_s: float) -> None:
        """Allow so many bytes from now on, until then."""
        self._left, self._until_s = size, until_s

    @property
    def has_begun(self) -> bool:
        """Whether something has come that was not read."""
        return bool(self._got)

    def readline(self, limit: int = -1) -> bytes:
        """The next line; less at the end of what is sent."""
        begin = 0
        while (end := self._got.find(b"\n", begin)) < 0:
            begin = len(self._got)
            if begin > self._left:
                raise _TooMuch
            if not self._receive():
                break
        return self._taken(len(self._got) if end < 0 else end + 1)

    def read(self, size: int) -> bytes:
        """So many bytes; less at the end of what is sent."""
        while len(self._got) < size and self._receive():
            pass
        return self._taken(min(size, len(self._got)))

    def _taken(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise _TooMuch
        taken = bytes(self._got[:size])
        del self._got[:size]
        return taken

    def _receive(self) -> bool:
        left_s = self._until_s - self._clock()
        if left_s <= 0:
            raise TimeoutError
        self._connection.settimeout(left_s)
        came = self._connection.recv(4096)
        self._got += came
        return bool(came)


class _Output:
    """What is sent to a client, until a deadline."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self.until_s = 0.0

    def write(self, data: bytes) -> None:
        """Send it all.

        Raises:
            OSError: The client has gone, or does not read: there is no telling it anything more.
        """
        left_s = self.until_s - self._clock()
        try:
            if left_s <= 0:
                raise TimeoutError
            self._connection.settimeout(left_s)
            self._connection.sendall(data)
        except TimeoutError:
            raise ConnectionAbortedError from None

    def flush(self) -> None:
        """Nothing is kept back."""


class Connection(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one client, in the thread that makes it, and returns when that is over.

    Args:
        connection: The client's; closed by whoever opened it.
        routes: What is answered.
        is_trusted: The client has been looked at: it is the user himself.
        limits: What it may take.
    """

    protocol_version = "HTTP/1.1"
    rfile: Any
    wfile: Any

    def __init__(self, connection: socket.socket, routes: Routes, is_trusted: bool, limits: Limits) -> None:
        self._routes = routes
        self._is_trusted = is_trusted
        self._limits = limits
        self._closes_s = limits.clock() + limits.connection_s
        self._lingers = False
        super().__init__(connection, "", None)  # type: ignore[arg-type]  # handles it, and returns

    def setup(self) -> None:
        """Read and write by way of the limits."""
        self.connection = self.request
        self.rfile = _Input(self.connection, self._limits.clock)
        self.wfile = _Output(self.connection, self._limits.clock)
        self.wfile.until_s = self._closes_s

    def handle(self) -> None:
        """Answer requests until the client or a limit ends it."""
        self.close_connection = False
        try:
            while not self.close_connection:
                self._handle_next()
        except OSError:  # it has gone
            return
        if self._lingers:
            self._linger()

    def finish(self) -> None:
        """Nothing: whoever opened the connection closes it."""

    def _handle_next(self) -> None:
        limits = self._limits
        until_s = min(limits.clock() + limits.headers_s, self._closes_s)
        self.rfile.allow(limits.header_bytes, until_s)
        self.close_connection = True
        self.request_version = "HTTP/1.1"
        self.requestline = self.command = ""
        begun = False
        try:
            self.raw_requestline = self.rfile.readline()
            begun = bool(self.raw_requestline)
            if begun and self.parse_request():
                self._answer()
        except TimeoutError:
            if begun or self.rfile.has_begun:
                self._refuse(408, "the request took too long to come")
        except _TooMuch:
            self._refuse(431, f"the headers have more than {limits.header_bytes} bytes")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what ``http.server`` cannot read, without repeating any of it."""
        self._refuse(int(code), HTTPStatus(code).phrase.lower())

    def _answer(self) -> None:
        if (refusal := self._fault()) is not None:
            self._refuse(refusal.status, "", refusal)
            return
        size = int(self.headers.get("Content-Length", "0"))
        self.rfile.allow(size, min(self._limits.clock() + self._limits.headers_s, self._closes_s))
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body, self._is_trusted)
        self._send(self._routes.answer(request), with_body=self.command != "HEAD")

    def _fault(self) -> Response | None:
        """What speaks against reading on."""
        headers = self.headers
        if self.request_version not in ("HTTP/1.0", "HTTP/1.1"):
            return refused(505, "this server speaks HTTP/1.1")
        if not self.path.startswith("/"):
            return refused(400, "the request's target is no path")
        if len(headers.get_all("Host", [])) > 1 or len(headers.get_all("Authorization", [])) > 1:
            return refused(400, "a header is there twice")
        if "Transfer-Encoding" in headers:
            return refused(501, "send a body with Content-Length")
        sizes = headers.get_all("Content-Length", [])
        if not sizes:
            return refused(411, "send a body with Content-Length") if self.command == "POST" else None
        size = sizes[0].strip()
        if len(sizes) > 1 or not (size.isascii() and size.isdecimal()):
            return refused(400, "Content-Length is no number")
        if len(size) > 9 or int(size) > LARGEST_BODY:
            return refused(413, f"the body has more than {LARGEST_BODY} bytes")
        return None

    # -- answering

    def _refuse(self, status: int, reason: str, response: Response | None = None) -> None:
        """Answer with an error, and close: what else the client sent is not read."""
        self.close_connection = True
        self._lingers = True
        self._send(response or refused(status, reason), with_body=self.command != "HEAD")

    def _send(self, response: Response, *, with_body: bool) -> None:
        if self._limits.clock() >= self._closes_s - self._limits.headers_s / 2:
            self.close_connection = True
        self.wfile.write(_head(response, self.close_connection) + (response.body if with_body else b""))

    def _linger(self) -> None:
        """Have the client read the answer: closed with something unread, the connection would be cut off before."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            until_s, left = real.monotonic() + _LINGER_S, _LINGER_BYTES
            while left > 0 and (left_s := until_s - real.monotonic()) > 0:
                self.connection.settimeout(left_s)
                came = len(self.connection.recv(16_384))
                if not came:
                    break
                left -= came
        except OSError:
            pass


def _head(response: Response, closes: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append(f"Connection: {'close' if closes else 'keep-alive'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def refuse_crowded(connection: socket.socket, limits: Limits) -> None:
    """Tell a client, without waiting for it, that there are too many."""
    response = refused(503, f"{limits.connections} clients are connected already; try again", ("Retry-After", "1"))
    connection.setblocking(False)
    try:
        connection.send(_head(response, closes=True) + response.body)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass
