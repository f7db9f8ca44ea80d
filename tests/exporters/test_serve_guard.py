"""Who is let in over HTTP: by address, by name, by token, from which site; and what an answer may never have."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.served import Answer, ask, connect, read_answer, request, served

from memo import Registry, bounded, sliding_window
from memo.exporters import Source, SourceError
from memo.exporters._connection import Limits
from memo.exporters._guard import Token
from memo.exporters.http import serve

__all__ = ()

pytestmark = pytest.mark.usefixtures("runtime")

TOKEN = "correct-horse-battery"
WRONG = "Bearer wrong-horse-battery-wrong"
RIGHT = f"Bearer {TOKEN}"


# -- another host


@pytest.mark.parametrize("address", ["0.0.0.0", "", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"])
def test_an_address_for_others_needs_a_token(own: Registry, address: str) -> None:
    """Where other machines may ask there is no serving without a token."""
    with pytest.raises(ValueError, match=r"can be reached by other machines; give token="):
        own.serve(http=(address, 0))


def test_with_a_token_others_may_ask(own: Registry) -> None:
    """At every address of the machine, the figures need the token, and the page is told to whom no name is forged."""
    with own.serve(http=("0.0.0.0", 0), token=TOKEN) as server:
        assert server.url is not None
        assert server.url.startswith("http://127.0.0.1:")
        assert ask(server, "/stats.json", host="192.0.2.7").status == 401
        assert ask(server, "/stats.json", host="192.0.2.7:80", Authorization=RIGHT).status == 200
        assert ask(server, "/stats.json", host="evil.example", Authorization=RIGHT).status == 421


def test_the_loopback_has_two_families(own: Registry) -> None:
    """An address of version 6 has brackets in its URL."""
    try:
        server = own.serve(http=("::1", 0))
    except OSError:
        pytest.skip("this machine has no loopback of version 6")
    with server, Source(server.url or "") as source:
        assert (server.url or "").startswith("http://[::1]:")
        assert source.get("/healthz") == "ok\n"


# -- a name that was made to point here


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8080", 200), ("localhost:8080", 200), ("LOCALHOST", 200), ("[::1]:80", 200),
        ("127.8.8.8", 200), ("[::ffff:127.0.0.1]", 200), ("web.example.org", 200), ("Web.Example.Org.:80", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421), ("192.0.2.7", 421),
        ("", 421), ("127.0.0.1@evil.example", 421), ("2130706433", 421), ("[::ffff:192.0.2.7]", 421), ("[::1", 421),
    ],
)  # fmt: skip
def test_only_known_names_are_answered(own: Registry, host: str, status: int) -> None:
    """A request is for the loopback, or for a name that was listed; a page of elsewhere has another one."""
    with own.serve(http=0, hosts=["web.example.org"]) as server:
        for path in ("/", "/healthz", "/nothing"):
            answer = ask(server, path, host=host)
            assert (answer.status == 421) == (status == 421), (path, answer)
    if status == 421:
        assert answer.error == "this server is not called so; use 127.0.0.1, or give serve() that name in hosts="


# -- a page of elsewhere in the operator's browser


ACTION: dict[str, Any] = {
    "method": "POST", "body": b"{}", "Content_Type": "application/json", "Authorization": RIGHT,
    "Origin": "http://127.0.0.1", "Sec_Fetch_Site": "same-origin",
}  # fmt: skip


def changed(**headers: str | None) -> dict[str, Any]:
    """An action with some headers exchanged, or without them."""
    return {name: value for name, value in {**ACTION, **headers}.items() if value is not None}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": None, "Sec_Fetch_Site": None}, 200),  # no browser
        ({"Origin": "https://127.0.0.1"}, 200),  # a proxy speaks TLS
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[", "Sec_Fetch_Site": None}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Origin": None}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": None}, 415),
        ({"Authorization": None}, 401),
        ({"Authorization": None, "Cookie": f"token={TOKEN}"}, 401),
        ({"Authorization": WRONG}, 401),
        ({"method": "GET", "body": None}, 405),
        ({"method": "PUT"}, 405),
        ({"method": "OPTIONS", "body": None}, 405),
    ],
)
def test_another_site_changes_nothing(own: Registry, headers: dict[str, Any], status: int) -> None:
    """What changes something comes from the page itself, with a token that no browser sends by itself."""
    f = bounded(max=3, registry=own, name="f")(len)
    f("x")
    with own.serve(http=0, token=TOKEN, actions=True) as server:
        asked = changed(**headers)
        if asked.get("method") == "POST":
            asked["body"] = b'{"all": true}'
        assert ask(server, "/actions/clear", **asked).status == status
    assert len(f.cache) == (0 if status == 200 else 1)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_reads_nothing(own: Registry, site: str) -> None:
    """A browser that says that another site asks gets the page, to which a link may lead, and no figures."""
    with own.serve(http=0) as server:
        assert ask(server, "/", Sec_Fetch_Site=site).status == 200
        assert ask(server, "/stats.json", Sec_Fetch_Site=site).status == 403
        assert ask(server, "/stats.json", Sec_Fetch_Site="same-origin").status == 200


def test_nothing_is_changed_by_looking(own: Registry) -> None:
    """No address changes anything by a GET; and what only shows refuses what would change."""
    f = bounded(max=3, registry=own, name="f")(len)
    f("x")
    with own.serve(http=0, token=TOKEN) as server:
        for path in (
            "/",
            "/stats.json",
            "/report.json",
            "/metrics",
            "/healthz",
            "/actions/clear",
            "/actions/clear?all=1",
        ):
            ask(server, path, Authorization=RIGHT)
        assert ask(server, "/stats.json", method="POST", body=b"{}", Authorization=RIGHT).status == 405
        refusal = ask(server, "/actions/clear", **ACTION | {"body": b'{"all": true}'})
        assert (refusal.status, refusal.error) == (
            403, "this server only shows; give serve() actions=True to have it change something",
        )  # fmt: skip
    assert len(f.cache) == 1
    with pytest.raises(ValueError, match=r"every page and user of this machine clear caches; give token="):
        own.serve(http=0, actions=True)


def test_answers_are_safe_in_a_browser(own: Registry) -> None:
    """Every answer forbids framing, sniffing, keeping and referring; none lets another origin read it."""
    answers: dict[str, Answer] = {}
    with own.serve(http=0, token=TOKEN, actions=True) as server:
        for path in ("/", "/healthz", "/stats.json", "/metrics", "/nothing", "/favicon.ico"):
            answers[path] = ask(server, path, Authorization=RIGHT, Origin="http://evil.example")
        answers["refused"] = ask(server, "/stats.json")
        answers["host"] = ask(server, "/", host="evil.example")
        answers["preflight"] = ask(server, "/actions/clear", method="OPTIONS", Origin="http://evil.example")
        answers["malformed"] = ask(server, "/ HTTP/9.9\r\nx")
        pages = {ask(server, "/").headers["content-security-policy"] for _ in range(3)}
    for name, answer in answers.items():
        headers = answer.headers
        assert not [header for header in headers if header.startswith("access-control")], name
        assert "server" not in headers, "it tells no versions"
        assert "set-cookie" not in headers
        assert "default-src 'none'" in headers["content-security-policy"], name
        assert "frame-ancestors 'none'" in headers["content-security-policy"], name
        told = [headers[header] for header in ("x-content-type-options", "cache-control", "referrer-policy")]
        assert told == ["nosniff", "no-store", "no-referrer"], name
    assert len(pages) == 3, "each page has another nonce"


def test_names_are_no_markup(own: Registry) -> None:
    """A name that is a script reaches nothing but JSON, whole; the page has no figure in it."""
    name = '</script><script>harm("1")</script>\u2028'
    f = bounded(max=3, registry=own, name=name)(len)
    f("x")
    with own.serve(http=0) as server:
        assert list(ask(server, "/stats.json").json["rows"]) == [name]
        page = ask(server, "/")
    assert b"harm" not in page.body


def test_no_value_argument_or_message_is_told(own: Registry) -> None:
    """Whatever is stored, called with or raised: without ``show_keys`` none of its text leaves."""

    @bounded(max=3, registry=own, name="f", cache_errors=(ValueError,), error_ttl=60)
    @sliding_window("1h", registry=own, keys=10)
    def f(argument: str) -> str:
        if argument == "argument-2":
            raise ValueError("message-3")
        return "value-4"

    f("argument-1")
    with pytest.raises(ValueError, match="message-3"):
        f("argument-2")
    with own.serve(http=0) as server:
        told = [ask(server, path).body for path in ("/", "/stats.json", "/report.json", "/metrics")]
    assert all(text for text in told)
    for secret in (b"argument-", b"message-", b"value-"):
        assert not [text for text in told if secret in text]


# -- the token


def test_everything_but_the_page_needs_the_token(own: Registry) -> None:
    """The shell has no figures; all else asks for the token, in a header, over HTTP."""
    with own.serve(http=0, token=TOKEN, name="web") as server:
        assert ask(server, "/").status == 200
        for path in ("/stats.json", "/report.json", "/metrics", "/healthz", "/nothing"):
            refusal = ask(server, path)
            assert (refusal.status, refusal.headers["www-authenticate"]) == (401, "Bearer")
        for header in (WRONG, f"bearer  {TOKEN} ", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x"):
            expected = 200 if header.startswith("bearer") else 401
            assert ask(server, "/healthz", Authorization=header).status == expected, header
        in_address = ask(server, f"/healthz?token={TOKEN}", Authorization=RIGHT)
        assert (in_address.status, in_address.error.partition(",")[0]) == (
            400, "a token does not belong into an address",
        )  # fmt: skip
        with Source(server.path or "") as source:
            assert source.get("/healthz") == "ok\n", "over the socket the user is the permission"
        with Source(server.url or "", TOKEN) as source:
            assert source.get("/healthz") == "ok\n"
            assert TOKEN not in repr(source)
        with pytest.raises(SourceError, match="Give its token") as caught, Source(server.url or "") as source:
            source.get("/healthz")
        assert caught.value.status == 401


def test_guessing_is_slow() -> None:
    """After five wrong tokens in a second none is looked at before it is over, the right one neither."""
    now = [100.0]
    token = Token(TOKEN, lambda: now[0])
    assert [token.refusal(RIGHT), token.refusal(None)] == [None, 401]
    assert [token.refusal(WRONG) for _ in range(6)] == [401, 401, 401, 401, 401, 429]
    assert token.refusal(RIGHT) == 429
    now[0] += 0.9
    assert token.refusal(RIGHT) == 429
    now[0] += 0.1
    assert [token.refusal(RIGHT), token.refusal(WRONG)] == [None, 401]
    assert [token.refusal("Bearer \udcff"), repr(token)] == [401, "<token>"]


def test_guessing_is_slow_over_http(own: Registry) -> None:
    """The sixth wrong token in a second is answered with when to come again."""
    with served(own, Limits(clock=lambda: 0.0), http=0, token=TOKEN) as server:
        assert [ask(server, "/healthz", Authorization=WRONG).status for _ in range(5)] == [401] * 5
        late = ask(server, "/healthz", Authorization=RIGHT)
        assert (late.status, late.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    ("token", "error", "said"),
    [
        ("x" * 15, ValueError, "token= has 15 characters; give at least 16"),
        ("", ValueError, "token= has 0 characters"),
        ("sixteen letters, and spaces", ValueError, "token= has spaces or characters outside ASCII"),
        ("sechzehnBuchstabenÄ", ValueError, "outside ASCII"),
        (b"x" * 16, TypeError, "token= is of type bytes, not text"),
    ],
)
def test_bad_tokens_are_refused(own: Registry, token: Any, error: type[Exception], said: str) -> None:
    """What is short or no token is refused at once, in words that do not tell it."""
    with pytest.raises(error, match=said) as caught:
        own.serve(http=0, token=token)
    assert not token or str(token) not in str(caught.value)


def test_the_token_is_never_shown(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """It is in no text of the server, in no log, and in no address."""
    with caplog.at_level(logging.DEBUG), serve(own, http=0, token=TOKEN, name="web") as server:
        told = ask(server, "/stats.json", Authorization=RIGHT)
        shown = [repr(server), server.url or "", told.body.decode(), repr(vars(server)), caplog.text]
        assert told.status == 200
        listener: Any = server._listener
        shown += [repr(door) for door in listener._doors]
    assert not [text for text in shown if TOKEN in text]


def test_an_error_tells_nothing_of_the_program(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong within is logged, and told as such."""
    breaking: Callable[[], object] = lambda: 1 / 0  # noqa: E731
    own.notes = breaking  # type: ignore[assignment, method-assign]
    with own.serve(http=0) as server:
        answer = ask(server, "/stats.json")
    assert (answer.status, json.loads(answer.body)) == (
        500, {"error": "this failed; the program's log, under the name memo, says how"},
    )  # fmt: skip
    assert "ZeroDivisionError" in caplog.text


def test_a_connection_is_kept_between_questions(own: Registry, runtime: Path) -> None:
    """A client that asks time and again needs no other connection; one of HTTP/1.0 gets its own."""
    with own.serve(http=0) as server, connect(server) as connection:
        for _ in range(3):
            connection.sendall(request("/healthz"))
            answer = read_answer(connection)
            assert answer is not None
            assert (answer.status, answer.headers["connection"]) == (200, "keep-alive")
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        answer = read_answer(connection)
        assert answer is not None
        assert answer.headers["connection"] == "close"
        assert connection.recv(1) == b""
