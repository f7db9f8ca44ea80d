"""Clients that are slow, huge, malformed or many: each gets an answer or the end, and calls go on."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kit.served import Answer, ask, connect, read_answer, request, served
from kit.threads import LIMIT_S, Running, until

from memo import Registry, bounded
from memo.exporters._connection import Connection, Limits
from memo.exporters._routes import Response
from memo.exporters.http import Server

__all__ = ()

pytestmark = pytest.mark.usefixtures("runtime")


class Late:
    """Limits of a server that reads nothing before the test has sent all, and then waits so long for more.

    Its clock stands still: no pause of its own threads counts, only what it waits for a client.
    """

    def __init__(self) -> None:
        self.begin = threading.Event()
        self.limits = Limits(headers_s=0.15, clock=self._clock)

    def _clock(self) -> float:
        assert self.begin.wait(LIMIT_S), "the test never began"
        return 0.0


@pytest.fixture
def server(own: Registry) -> Iterator[Server]:
    """A server with its usual limits that may be told to act."""
    with own.serve(http=0, token="x" * 16, actions=True, name="web") as server:
        yield server


def sent(own: Registry, text: bytes) -> Answer | None:
    """What is answered, in a short time, to a part of a request; after that the connection is closed."""
    late = Late()
    with served(own, late.limits, http=0) as server, connect(server) as connection:
        connection.sendall(text)
        late.begin.set()
        answer = read_answer(connection)
        if answer is not None:
            assert answer.headers["connection"] == "close"
            assert connection.recv(1) == b""
        return answer


# -- slow


@pytest.mark.parametrize("text", [b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_headers_are_there_in_time(own: Registry, text: bytes) -> None:
    """Who sends a part of a request and no more is told so when the time is up, and let go."""
    answer = sent(own, text)
    assert answer is not None
    assert (answer.status, answer.error) == (408, "the request took too long to come")


def test_who_says_nothing_is_let_go(own: Registry) -> None:
    """A connection on which nothing comes is closed, at first and between questions."""
    late = Late()
    with served(own, late.limits, http=0) as server, connect(server) as silent, connect(server) as asking:
        asking.sendall(request("/healthz"))
        late.begin.set()
        assert silent.recv(1) == b""
        assert read_answer(asking) is not None
        assert asking.recv(1) == b""


def test_a_body_comes_in_time(own: Registry) -> None:
    """So does a body, of which a part came."""
    answer = sent(own, b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx")
    assert answer is not None
    assert answer.status == 408


def test_a_connection_lasts_so_long(own: Registry) -> None:
    """However busy a client is, its connection ends after half a minute, with an answer that says that it does."""
    now = [100.0]
    with served(own, Limits(clock=lambda: now[0]), http=0) as server, connect(server) as connection:
        for second, kept in ((0.0, "keep-alive"), (27.0, "keep-alive"), (28.0, "close")):
            now[0] = 100.0 + second
            connection.sendall(request("/healthz"))
            answer = read_answer(connection)
            assert answer is not None
            assert answer.headers["connection"] == kept
        assert connection.recv(1) == b""


class Large:
    """Routes with one answer that is larger than any buffer on its way."""

    def answer(self, request: object) -> Response:
        return Response(200, "text/plain", b"x" * 32_000_000)


def test_who_does_not_read_is_let_go() -> None:
    """A client that asks and does not take the answer holds a thread as long as a connection lasts."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(request("/"))
        routes: Any = Large()
        Running(lambda: Connection(near, routes, True, Limits(connection_s=0.3))).join()


# -- huge and malformed


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /" + b"x" * 9_000, 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 9_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 120 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9_000, 431),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4097\r\n\r\n" + b"x" * 4_097, 413),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 505),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"no request at all\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
    ],
    ids=lambda value: value[:40].decode("latin-1").replace("\r\n", "|") if isinstance(value, bytes) else str(value),
)
def test_what_is_malformed_is_refused(server: Server, text: bytes, status: int) -> None:
    """Each is told what is wrong, without its own words, and no more is read of it."""
    with connect(server) as connection:
        connection.sendall(text)
        answer = read_answer(connection)
    assert answer is not None
    assert answer.status == status
    assert answer.json.keys() == {"error"}
    assert ask(server, "/").status == 200


@pytest.mark.parametrize("text", [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nx"])
def test_who_goes_away_is_no_trouble(server: Server, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A client that sends nothing, or half of it, and leaves, is let go without a word."""
    with connect(server) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = read_answer(connection)
        assert answer is None or answer.status == 400
    assert ask(server, "/").status == 200
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"[" * 4_000, "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[]", "the body is no object"),
        (b"{}", 'send {"function": NAME} or {"all": true}'),
        (b'{"all": 1}', 'send {"function": NAME} or {"all": true}'),
        (b'{"function": "f", "all": true}', 'send {"function": NAME} or {"all": true}'),
        (b'{"function": ["f"]}', 'send {"function": NAME} or {"all": true}'),
        (b'{"funktion": "f"}', "'funktion' is not understood"),
        (b'{"function": "nowhere"}', "there is no function 'nowhere' in this registry"),
    ],
)
def test_bodies_are_read_with_care(server: Server, body: bytes, said: str) -> None:
    """What is no order to clear something is refused with what one looks like."""
    headers = {"Authorization": f"Bearer {'x' * 16}", "Content_Type": "application/json"}
    answer = ask(server, "/actions/clear", method="POST", body=body, **headers)
    assert answer.status in (400, 404)
    assert said in answer.error


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a=1&" * 30, "the query cannot be read"),
        ("since=%ff", "the query cannot be read"),
        ("by=function", "by= is 'process', or not given"),
        ("fields=cache,x" + "y" * 100, "is none of cache, inflight, window, limit, adopted"),
    ],
)
def test_queries_are_read_with_care(server: Server, query: str, said: str) -> None:
    """What cannot be understood is refused."""
    answer = ask(server, f"/stats.json?{query}", Authorization=f"Bearer {'x' * 16}")
    assert (answer.status, said in answer.error) == (400, True)
    assert len(answer.error) < 200


# -- many


def test_beyond_so_many_it_is_said(own: Registry) -> None:
    """Who comes while as many as may are connected is told so at once; when one leaves, there is room."""
    f = bounded(max=3, registry=own, name="f")(len)
    with served(own, Limits(connections=2), http=0) as server, connect(server) as second:
        with connect(server) as first:
            for connection in (first, second):
                connection.sendall(request("/healthz"))
                assert read_answer(connection) is not None
            for _ in range(5):
                with connect(server) as third:
                    answer = read_answer(third)
                assert answer is not None
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.error == "2 clients are connected already; try again"
            assert [f("x"), f("x")] == [1, 1]
            assert ask(server, "/healthz", by="unix").status == 200, "who crowds the port does not crowd the socket"
        until(lambda: ask(server, "/healthz").status == 200)


def test_closing_lets_everybody_go(own: Registry) -> None:
    """Connections under way end with the server, and its threads."""
    server = served(own, http=0)
    with connect(server) as connection, connect(server, by="unix") as other:
        other.sendall(request("/healthz"))
        assert read_answer(other) is not None
        server.close()
        assert connection.recv(1) == b""
        assert other.recv(1) == b""
