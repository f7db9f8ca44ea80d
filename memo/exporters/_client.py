"""What asks a process for its figures: by its socket, or by HTTP."""

import contextlib
import http.client
import json
import urllib.parse
from types import TracebackType
from typing import Any, Self

from memo._base import seconds_in_words
from memo.errors import MemoError
from memo.exporters._sockets import UNIX, Place, connected, serving

__all__ = ("Source", "SourceError")

_PATIENCE_S = 10.0
_LARGEST = 256 * 1024 * 1024
"""Bytes of an answer that is read: whoever sends more is nobody that serves figures."""


class SourceError(MemoError, ConnectionError):
    """A process cannot be asked for its figures, or refuses.

    Attributes:
        status: The status of its answer, such as 401; None if there was none.
    """

    __module__ = "memo.exporters"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status: int | None = status

    def __str__(self) -> str:
        return str(self.args[0])


class Source:
    """A process that serves its figures: ``Source("web").get("/stats.json")``.

    Connects when first asked, keeps the connection, and connects anew when it was closed; a name or process is looked
    for anew then.  For one thread at a time.

    Args:
        target: A URL such as "http://127.0.0.1:8080/", the identifier of a process, the name that a service was given
            (the one that was started last), or the path of a socket.
        token: That of the server; only sent over HTTP.  A socket asks for the user instead.
        timeout: Seconds to wait for an answer, at most.

    Raises:
        TypeError: target is neither text nor a whole number.
        ValueError: It is empty, or a URL that is none.
    """

    __module__ = "memo.exporters"

    def __init__(self, target: str | int, token: str | None = None, *, timeout: float = _PATIENCE_S) -> None:
        if isinstance(target, bool) or not isinstance(target, str | int):
            raise TypeError(f"Source: target={target!r} is neither text nor the number of a process.")
        self.target: str = str(target).strip()
        """What was given, as text."""
        if not self.target:
            raise ValueError("Source: target='' is empty; give a URL, a process, a name or the path of a socket.")
        self._token = token
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._prefix = ""
        self._url: urllib.parse.SplitResult | None = None
        if "://" in self.target:
            self._url = _checked(self.target)
            self._prefix = self._url.path.rstrip("/")

    def get(self, path: str) -> Any:
        """What it answers under *path*, such as "/stats.json?own=1": parsed if it is JSON, else as text.

        Raises:
            SourceError: It cannot be reached, does not answer in time, or refuses; the message says what to do.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """What it answers to *body*, sent as JSON to *path*, such as "/actions/cleanup".

        Raises:
            SourceError: It cannot be reached, does not answer in time, or refuses; the message says what to do.
        """
        return self._ask("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<source {self.target}>"

    # -- asking

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        was_kept = self._connection is not None
        try:
            try:
                status, kind, text = self._exchange(method, path, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not was_kept:
                    raise
                self.close()  # it closes connections that live long
                status, kind, text = self._exchange(method, path, body)
        except SourceError:
            raise
        except TimeoutError:
            self.close()
            raise SourceError(
                f"{self.target!r} did not answer within {seconds_in_words(self._timeout)}; it may be stopped, or too "
                f"busy: try again."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise SourceError(f"{self.target!r} cannot be reached ({_said(error)}); {self._remedy()}") from error
        except BaseException:
            self.close()  # cut short in the middle of an answer
            raise
        return self._read(status, kind, text)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, str, bytes]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        headers = {"Accept": "application/json, text/plain;q=0.5"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token and not isinstance(connection, _UnixConnection):
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, self._prefix + path, body, headers)
        answer = connection.getresponse()
        if answer.length is None or answer.length > _LARGEST:
            raise http.client.HTTPException("it tells no length, or one that nobody takes in")
        text = answer.read()
        if answer.will_close:
            self.close()
        return answer.status, answer.headers.get_content_type(), text

    def _connect(self) -> http.client.HTTPConnection:
        if self._url is not None:
            host = self._url.hostname or ""
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            return kind(host, self._url.port, timeout=self._timeout)
        path = self._path()
        if UNIX:
            return _UnixConnection(path, self._timeout)
        port, self._token = _port_and_token(path)
        return http.client.HTTPConnection("127.0.0.1", port, timeout=self._timeout)

    def _path(self) -> str:
        if "/" in self.target or "\\" in self.target or self.target.endswith(".sock"):
            return self.target
        there = serving()
        for place in there:
            if self.target in (str(place.pid), place.name):
                return place.path
        raise SourceError(f"no process of this user serves as {self.target!r}; {_offer(there)}")

    def _remedy(self) -> str:
        if self._url is not None:
            return "look whether it runs, and what server.url says there."
        return "look whether it runs: python -m memo ps lists what serves."

    def _read(self, status: int, kind: str, text: bytes) -> Any:
        told: Any = text.decode("utf-8", "replace")
        if kind == "application/json":
            try:
                told = json.loads(text)
            except ValueError:
                raise SourceError(f"{self.target!r} answered with what is no JSON; is it a server of memo?") from None
        if status < 400:
            return told
        reason = told.get("error") if isinstance(told, dict) else None
        raise SourceError(
            f"{self.target!r} refused: {reason or f'status {status}; is it a server of memo?'}{_hint(status)}", status
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket of this user."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._at = path
        self._patience_s = timeout

    def connect(self) -> None:
        self.sock = connected(self._at, self._patience_s)


def _checked(url: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"Source: {url!r} is no URL ({error}); give one such as 'http://127.0.0.1:8080/'.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Source: {url!r} is no URL of a server; give one such as 'http://127.0.0.1:8080/'.")
    return parts


def _port_and_token(path: str) -> tuple[int, str]:
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    return int(told["port"]), str(told["token"])


def _said(error: BaseException) -> str:
    with contextlib.suppress(AttributeError):
        if error.strerror:  # type: ignore[attr-defined]
            return str(error.strerror)  # type: ignore[attr-defined]
    return str(error) or type(error).__name__


def _offer(there: list[Place]) -> str:
    if not there:
        return "none does: call registry.serve() in it."
    named = ", ".join(f"{place.name} ({place.pid})" for place in there[:10])
    return f"these do: {named}{', …' if len(there) > 10 else ''}."


def _hint(status: int) -> str:
    return " Give its token." if status == 401 else ""
