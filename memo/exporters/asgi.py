"""A registry's figures as an ASGI application: to be mounted in a service that has a port already.

ASGI 3, without a framework: it works alone under uvicorn or hypercorn, and mounted in Starlette or FastAPI.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from memo import Registry
from memo._base import given_text
from memo.exporters._guard import Token, check_token
from memo.exporters._options import host_names
from memo.exporters._routes import LARGEST_BODY, Request, Response, Routes, refused

__all__ = ("Application", "app")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application:
    """What ``app()`` makes.  Called as ASGI 3 says, any number of times at once."""

    def __init__(self, routes: Routes, prefix: str) -> None:
        self._routes = routes
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; begin and end with a server; refuse websockets.

        Raises:
            ValueError: The scope is of another type, as the specification wants it.
        """
        kind = scope["type"]
        if kind == "http":
            await _answer(self._routes, self._prefix, scope, receive, send)
        elif kind == "lifespan":
            await _live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            raise ValueError(f"memo.exporters.asgi: a scope of type {given_text(kind)} is not served; send 'http'.")

    def __repr__(self) -> str:
        return f"<application of memo.exporters at {self._prefix or '/'}>"


def app(
    registry: Registry,
    *,
    token: str,
    prefix: str = "/memo",
    show_keys: bool = False,
    actions: bool = False,
    hosts: Iterable[str] | None = None,
) -> Application:
    """An ASGI 3 application that shows the figures of *registry*: the page and the paths of ``registry.serve()``.

    Figures are collected in threads, so that the event loop goes on.  If the registry is served at a socket as well
    (``registry.serve()`` in each worker), any worker shows all; else the one that answers shows itself.

    Args:
        registry: Whose functions are shown; kept alive.
        token: What is asked for of everything but the empty page, as ``Authorization: Bearer``: 16 visible ASCII
            characters or more.  Whoever reaches the service reaches this, so there is no doing without.
        prefix: Where it is found by who did not mount it: "/memo" has the page at ``/memo/``.  Mounted, it goes by the
            place where it is mounted instead.
        show_keys: Whether keys of running calls are shown.  Values, arguments and messages of errors never are.
        actions: Whether caches may be cleaned up, cleared and invalidated from outside.
        hosts: Names by which it may be asked, beside those of the loopback; None: any, as the token is needed anyway.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: token is too short, or prefix is no path.
    """
    if not isinstance(registry, Registry):
        raise TypeError(f"app: {given_text(registry)} is no registry; give memo.registry, or another Registry().")
    check_token("app", token)
    for option, flag in (("show_keys", show_keys), ("actions", actions)):
        if not isinstance(flag, bool):
            raise TypeError(f"app: {option}={given_text(flag)} is neither True nor False.")
    if not isinstance(prefix, str):
        raise TypeError(f"app: prefix={given_text(prefix)} is not text.")
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f"app: prefix={given_text(prefix)} is no path; write one such as '/memo', or '' for none.")
    known = None if hosts is None else host_names("app", hosts)
    routes = Routes(registry, token=Token(token), hosts=known, show_keys=show_keys, actions=actions)
    return Application(routes, prefix)


async def _live(receive: Receive, send: Send) -> None:
    """Begin and end with a server that has no other application."""
    while True:
        event = (await receive())["type"]
        if event == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _answer(routes: Routes, prefix: str, scope: Scope, receive: Receive, send: Send) -> None:
    path = _path(scope, prefix)
    if path is None:
        response = refused(404, f"there is nothing here; the page is at {prefix}/")
    elif not path:  # the page asks for what stands beside it
        here = scope["path"].rpartition("/")[2]
        response = refused(308, "the page is one level below", ("Location", f"{here}/"))
    else:
        headers = _headers(scope)
        body = await _body(receive, headers.get("content-length", ""))
        if body is None:
            response = refused(413, f"the body has more than {LARGEST_BODY} bytes")
        else:
            query = bytes(scope.get("query_string") or b"").decode("latin-1")
            response = await _in_thread(routes, Request(scope["method"], path, query, headers, body))
    await _send(scope, response, send)


def _path(scope: Scope, prefix: str) -> str | None:
    """The path as routes know it, empty for where it is mounted; None if it is of nothing here."""
    path: str = scope["path"]
    mounted: str = (scope.get("root_path") or "").rstrip("/")
    if mounted and _is_below(path, mounted):  # the whole path, as it is now; formerly that was taken off
        path = path[len(mounted) :]
    if prefix and _is_below(path, prefix):
        return path[len(prefix) :]
    return path if mounted or not prefix else None


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        # what is there twice is not what either says
        headers[key] = f"{headers[key]}, {value.decode('latin-1')}" if key in headers else value.decode("latin-1")
    return headers


async def _body(receive: Receive, told: str) -> bytes | None:
    """What is sent, or None if that is too much; a client that goes is one that sent what it has."""
    if told.isascii() and told.isdecimal() and (len(told) > 9 or int(told) > LARGEST_BODY):
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _in_thread(routes: Routes, request: Request) -> Response:
    """The answer, made in a thread: it takes long where there are many functions."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio: Any = sys.modules.get("trio.to_thread") or sys.modules.get("trio")
        if trio is None:
            return routes.answer(request)
        to_thread = getattr(trio, "to_thread", trio)
        answer: Response = await to_thread.run_sync(routes.answer, request)
        return answer
    return await asyncio.to_thread(routes.answer, request)


async def _send(scope: Scope, response: Response, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})
