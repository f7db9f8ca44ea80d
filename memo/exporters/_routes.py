"""What is answered to a request, whatever carries it: a Unix socket, HTTP on a port, or an ASGI server."""

import json
import logging
import secrets
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from memo import Registry
from memo.errors import InflightTimeout, MissingExtra
from memo.exporters._actions import ACTIONS, BadRequest, act, act_in_all
from memo.exporters._figures_json import PARTS, as_json
from memo.exporters._guard import Token, is_of_here, is_same_origin
from memo.exporters._metrics import exposition
from memo.exporters._page import page, policy
from memo.exporters._view import Asked, view_of

__all__ = ("LARGEST_BODY", "Request", "Response", "Routes", "refused")

log = logging.getLogger("memo")

LARGEST_BODY = 4_096
"""Bytes of a request's body, at most."""

_SAFE = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_TRUE = frozenset({"1", "true"})


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks."""

    method: str
    path: str
    """Without what stands in front of the routes, and without the query."""
    query: str
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes = b""
    is_trusted: bool = False
    """It came over the user's own socket, who was looked at there: it needs neither token nor host."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    kind: str
    body: bytes
    more: tuple[tuple[str, str], ...] = ()
    policy: str = field(default=_NOTHING)
    """The Content-Security-Policy."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers, but those of the connection."""
        return [
            ("Content-Type", self.kind),
            ("Content-Length", str(len(self.body))),
            ("Content-Security-Policy", self.policy),
            *_SAFE,
            *self.more,
        ]


def refused(status: int, reason: str, *more: tuple[str, str]) -> Response:
    """An answer that says why there is none."""
    return Response(status, "application/json", as_json({"error": reason}), more)


class Routes:
    """The answers that one server gives.  Safe from any thread.

    Args:
        registry: Whose functions are shown.
        token: What is asked for of everything but the page; None: nothing is.
        hosts: What the server is called, beside the loopback; None: that is for others to check.
        show_keys: Whether keys are told.
        actions: Whether anything may be changed.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        token: Token | None = None,
        hosts: Collection[str] | None = frozenset(),
        show_keys: bool = False,
        actions: bool = False,
    ) -> None:
        self._registry = registry
        self._token = token
        self._hosts = hosts
        self._show_keys = show_keys
        self._actions = actions
        self._routes: dict[str, Callable[[Request, dict[str, str]], Response]] = {
            "/stats.json": self._stats,
            "/report.json": self._report,
            "/metrics": self._metrics,
            "/healthz": lambda request, query: Response(200, "text/plain; charset=utf-8", b"ok\n"),
        }

    def answer(self, request: Request) -> Response:
        """The answer to *request*; what goes wrong is logged, and told as such without details.  Blocking."""
        try:
            return self._guarded(request)
        except BadRequest as error:
            return refused(error.status, str(error))
        except InflightTimeout:
            return refused(503, "the figures are still being collected after half a minute; a clock or policy hangs")
        except Exception:
            log.exception("serve: a request for %s failed", request.path[:200])
            return refused(500, "this failed; the program's log, under the name memo, says how")

    def _guarded(self, request: Request) -> Response:
        if not self._is_addressed(request):
            return refused(421, "this server is not called so; use 127.0.0.1, or give serve() that name in hosts=")
        if request.path.startswith("/actions/"):
            return self._action(request)
        if request.method not in ("GET", "HEAD"):
            return refused(405, "nothing can be changed there", ("Allow", "GET, HEAD"))
        if request.path == "/":
            nonce = secrets.token_urlsafe(18)
            return Response(200, "text/html; charset=utf-8", page(nonce), policy=policy(nonce))
        if request.path == "/favicon.ico":
            return Response(204, "image/x-icon", b"")
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        # a page of elsewhere could not read it, but measure how long it takes
        if request.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            return refused(403, "another site asks for this")
        route = self._routes.get(request.path)
        if route is None:
            known = ", ".join(["/", *self._routes])
            return refused(404, f"there is nothing here; these are: {known}")
        return route(request, _query(request.query))

    def _is_addressed(self, request: Request) -> bool:
        if request.is_trusted or self._hosts is None:
            return True
        return is_of_here(request.headers.get("host"), self._hosts)

    def _unauthorized(self, request: Request) -> Response | None:
        if request.is_trusted or self._token is None:
            return None
        status = self._token.refusal(request.headers.get("authorization"))
        if status is None:
            return None
        if status == 429:
            return refused(429, "too many wrong tokens; wait a second", ("Retry-After", "1"))
        return refused(401, "this needs the server's token: Authorization: Bearer …", ("WWW-Authenticate", "Bearer"))

    # -- what is told

    def _stats(self, request: Request, query: dict[str, str]) -> Response:
        parts = [part for part in query.get("fields", ",".join(PARTS)).split(",") if part]
        if unknown := [part for part in parts if part not in PARTS]:
            raise BadRequest(f"fields={unknown[0][:50]!r} is none of {', '.join(PARTS)}")
        if query.get("by", "process") != "process":
            raise BadRequest("by= is 'process', or not given")
        asked = Asked(
            since=query.get("since", ""),
            select=query.get("select") or None,
            parts=parts,
            own=query.get("own") in _TRUE,
            by_process="by" in query,
        )
        told = view_of(self._registry).stats(asked, show_keys=self._show_keys, actions=self._actions)
        return Response(200, "application/json", as_json(told))

    def _report(self, request: Request, query: dict[str, str]) -> Response:
        return Response(200, "application/json", as_json(view_of(self._registry).report()))

    def _metrics(self, request: Request, query: dict[str, str]) -> Response:
        try:
            kind, text = exposition(self._registry, request.headers.get("accept", ""))
        except MissingExtra as error:
            return refused(501, str(error))
        return Response(200, kind, text)

    # -- what is done

    def _action(self, request: Request) -> Response:
        action = request.path.removeprefix("/actions/")
        if action not in ACTIONS:
            return refused(404, f"there is no such action; these are: {', '.join(ACTIONS)}")
        if request.method != "POST":
            return refused(405, "an action is a POST", ("Allow", "POST"))
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        if not self._actions:
            return refused(403, "this server only shows; give serve() actions=True to have it change something")
        if not request.is_trusted and self._token is None:
            return refused(403, "without a token nothing can be changed here; use the socket, or give serve() a token=")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return refused(415, "send the body as Content-Type: application/json")
        if not is_same_origin(request.headers):
            return refused(403, "another site asks for this")
        try:
            body: Any = json.loads(request.body)
        except (ValueError, RecursionError):
            return refused(400, "the body is no JSON")
        if _query(request.query).get("own") in _TRUE:
            return Response(200, "application/json", as_json({"done": act(self._registry, action, body)}))
        siblings = view_of(self._registry).find_siblings(now=True)
        return Response(200, "application/json", as_json(act_in_all(self._registry, action, body, siblings)))


def _query(text: str) -> dict[str, str]:
    try:
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise BadRequest("the query cannot be read") from None
    query = dict(pairs)
    if "token" in query:
        raise BadRequest("a token does not belong into an address, which is logged and kept; send it in Authorization")
    return query
