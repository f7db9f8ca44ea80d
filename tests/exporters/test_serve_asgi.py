"""The figures as an ASGI application: alone under a server, mounted in frameworks, and what else it may be sent."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from memo import Registry, bounded
from memo.exporters.asgi import app

__all__ = ()

TOKEN = "correct-horse-battery"


def get(url: str, **headers: str) -> tuple[int, Any]:
    """Status and body of a request with the token; redirections are followed."""
    asked = Request(url, headers={"Authorization": f"Bearer {TOKEN}", **headers})
    try:
        with urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


@contextmanager
def uvicorn_with(application: Any, **options: Any) -> Iterator[str]:
    """The address of a uvicorn server that runs *application* in a thread."""
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", ws="none", **options))
    started = threading.Event()
    startup = server.startup

    async def start(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = start
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def test_it_runs_alone_under_uvicorn(own: Registry) -> None:
    """Below its prefix are the page and the figures, after a lifespan that is as it should be."""
    f = bounded(max=3, registry=own, name="f")(len)
    f("x")
    with uvicorn_with(app(own, token=TOKEN), lifespan="on") as url:
        assert json.loads(get(f"{url}/memo/stats.json")[1])["rows"].keys() == {"f"}
        status, page = get(f"{url}/memo")
        assert (status, page[:15].lower()) == (200, b"<!doctype html>"), "redirected to where its paths are below it"
        assert get(f"{url}/memo/stats.json", Authorization="Bearer wrong-horse-battery")[0] == 401
        assert get(f"{url}/stats.json")[0] == 404
        assert get(f"{url}/memory/stats.json")[0] == 404


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_it_is_mounted_in_frameworks(own: Registry, framework: str) -> None:
    """Mounted it is found below the place where it is mounted, whatever its prefix."""
    if framework == "starlette":
        applications = pytest.importorskip("starlette.applications")
        service = applications.Starlette()
    else:
        service = pytest.importorskip("fastapi").FastAPI()
    service.mount("/memo", app(own, token=TOKEN))
    service.mount("/inner/caches", app(own, token=TOKEN))
    with uvicorn_with(service) as url:
        for place in ("memo", "inner/caches"):
            assert get(f"{url}/{place}/healthz") == (200, b"ok\n")
            assert get(f"{url}/{place}/")[0] == 200
            assert get(f"{url}/{place}")[0] == 200
            assert get(f"{url}/{place}/nothing")[0] == 404


def run(application: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends when it receives these messages."""
    sent: list[dict[str, Any]] = []
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent


def http(path: str, *, method: str = "GET", root: str = "", **headers: str) -> dict[str, Any]:
    """A scope of a request."""
    named = {"host": "example.org", "authorization": f"Bearer {TOKEN}", **headers}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": root,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
    }


def status_of(sent: list[dict[str, Any]]) -> int:
    status: int = sent[0]["status"]
    return status


END = {"type": "http.request", "body": b"", "more_body": False}


def test_paths_are_found_by_every_custom(own: Registry) -> None:
    """Servers and frameworks leave the place of mounting in the path, or take it off."""
    application = app(own, token=TOKEN)
    for path, root in (
        ("/memo/healthz", ""),
        ("/api/memo/healthz", "/api"),
        ("/memo/healthz", "/api"),
        ("/caches/healthz", "/caches"),
        ("/healthz", "/caches"),
    ):
        assert status_of(run(application, http(path, root=root), END)) == 200, (path, root)
    assert status_of(run(app(own, token=TOKEN, prefix=""), http("/healthz"), END)) == 200


def test_unknown_scopes_are_refused(own: Registry) -> None:
    """Websockets are closed, and what is no scope that it knows raises, as the specification wants."""
    application = app(own, token=TOKEN)
    sent = run(application, {"type": "websocket", "path": "/memo/"}, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1008}]
    with pytest.raises(ValueError, match="a scope of type 'smtp' is not served"):
        run(application, {"type": "smtp"})
    lifespan = run(application, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in lifespan] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_bodies_are_bounded(own: Registry) -> None:
    """A body that is too large is refused, whether its length was told before or not; a client may go away."""
    application = app(own, token=TOKEN, actions=True)
    scope = http("/memo/actions/cleanup", method="POST", content_type="application/json")
    part = {"type": "http.request", "body": b" " * 3000, "more_body": True}
    assert status_of(run(application, scope, part, part)) == 413
    told = http("/memo/actions/cleanup", method="POST", content_type="application/json", content_length="5000")
    assert status_of(run(application, told)) == 413
    assert status_of(run(application, scope, {"type": "http.disconnect"})) == 400
    assert status_of(run(application, scope, {"type": "http.request", "body": b"{}"})) == 200
    head = run(application, http("/memo/healthz", method="HEAD"), END)
    assert (status_of(head), head[1]["body"]) == (200, b"")


def test_it_guards_as_the_server_does(own: Registry) -> None:
    """Token, origin and, where they are given, hosts are looked at; there is no application without a token."""
    application = app(own, token=TOKEN, hosts=["example.org"], actions=True)
    assert status_of(run(application, http("/memo/healthz", host="evil.example"), END)) == 421
    assert status_of(run(application, http("/memo/healthz", authorization="Bearer x"), END)) == 401
    scope = http("/memo/actions/cleanup", method="POST", content_type="application/json", origin="https://evil.example")
    assert status_of(run(application, scope, {"type": "http.request", "body": b"{}"})) == 403
    scope["headers"][-1] = (b"origin", b"https://example.org")
    assert status_of(run(application, scope, {"type": "http.request", "body": b"{}"})) == 200
    assert TOKEN not in repr(application)
    with pytest.raises(ValueError, match="token= has 5 characters"):
        app(own, token="short")
    with pytest.raises(TypeError, match="token= is of type NoneType"):
        app(own, token=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is no path"):
        app(own, token=TOKEN, prefix="memo/")


def test_the_loop_goes_on(own: Registry) -> None:
    """Figures are collected in a thread, of asyncio as of trio."""
    trio = pytest.importorskip("trio")
    application = app(own, token=TOKEN)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return END

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    trio.run(application, http("/memo/stats.json"), receive, send)
    assert status_of(sent) == 200
    assert sent[0]["headers"].count((b"x-content-type-options", b"nosniff")) == 1
