"""Who may ask: what is checked of a request before anything is told.

Against another host, another user, and a web page that is open in the operator's browser:

- ``Host`` is this machine's loopback, or what the server was told it is called.  A page of elsewhere whose name was
  made to point here (DNS rebinding) has another one.
- With a token, everything but the page itself, which has no data, needs it, in a header that no browser sends by
  itself.  It is compared in constant time; after five wrong ones in a second nothing is compared for the rest of it.
- What changes something is a POST with a token (or over the user's own socket), of type ``application/json``, and of
  the same origin.  No answer ever has a header of CORS.
"""

import hmac
import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Collection, Mapping

from memo._base import Stage, real, renew, rlock

__all__ = ("SHORTEST_TOKEN", "Token", "check_token", "host_of", "is_loopback", "is_of_here", "is_same_origin")

SHORTEST_TOKEN = 16
"""Characters of a token, at least."""
_WRONG_A_SECOND = 5
_VISIBLE = re.compile(r"[!-~]+\Z")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?\Z")


def check_token(where: str, token: object) -> None:
    """Refuse what is no good token, without telling it.

    Raises:
        TypeError: It is no text.
        ValueError: It is too short, or has characters that a header cannot carry.
    """
    if not isinstance(token, str):
        raise TypeError(f"{where}: token= is of type {type(token).__name__}, not text.")
    if len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"{where}: token= has {len(token)} characters; give at least {SHORTEST_TOKEN}, such as those of "
            f"secrets.token_urlsafe()."
        )
    if not _VISIBLE.match(token):
        raise ValueError(f"{where}: token= has spaces or characters outside ASCII; give one without.")


class Token:
    """A token, and how often it was guessed at.  Safe from any thread."""

    __slots__ = ("__weakref__", "_clock", "_lock", "_second", "_token", "_wrong")

    def __init__(self, token: str, clock: Callable[[], float] = real.monotonic) -> None:
        self._token = token.encode()
        self._clock = clock
        self._lock = rlock()  # guards what follows
        self._second = float("-inf")
        self._wrong = 0
        renew(Stage.SERVERS, self)

    def renew(self) -> None:
        """In a forked child: no other thread is at it."""
        self._lock = rlock()

    def refusal(self, header: str | None) -> int | None:
        """The status to refuse with who sends this ``Authorization``; None: it is the token.

        Of more than five wrong ones in a second the right one is refused, too: else guessing went on.
        """
        if header is None:
            return 401
        kind, _, given = header.partition(" ")
        if kind.lower() != "bearer":
            return 401
        with self._lock:
            now = self._clock()
            if now - self._second >= 1.0:
                self._second, self._wrong = now, 0
            if self._wrong >= _WRONG_A_SECOND:
                return 429
            if hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token):
                return None
            self._wrong += 1
            return 401

    def __repr__(self) -> str:
        return "<token>"


# -- where a request is addressed to, and where it comes from


def host_of(header: str) -> str | None:
    """The name or address in a ``Host`` header, in small letters and without brackets; None if it is none."""
    match = _HOST.match(header.strip())
    return None if match is None else match["name"].strip("[]").lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether *host* is a name or an address of this machine that no other reaches."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool(address.is_loopback or (mapped is not None and mapped.is_loopback))


def is_of_here(header: str | None, hosts: Collection[str]) -> bool:
    """Whether a request with this ``Host`` is for us: for the loopback, or one of *hosts*.

    "*" among them stands for every address that is a number: no name was needed to come here, and so none was forged.
    """
    host = None if header is None else host_of(header)
    if host is None:
        return False
    if is_loopback(host) or host in hosts:
        return True
    if "*" not in hosts:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something comes from no other site, as far as a browser tells."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urllib.parse.urlsplit(origin)
    except ValueError:
        return False
    # a proxy in front may have another scheme than we have; never another host
    return parts.scheme in ("http", "https") and parts.netloc.lower() == headers.get("host", "").strip().lower()
