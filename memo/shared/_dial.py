"""How connections of one tier are made: with the URL that there is now, and a look at who answers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from memo._base import Seldom, rlock
from memo.shared._libraries import Library, import_library, library_for
from memo.shared._unreachable import Reason, Unreachable, reason_of
from memo.shared._url import Address, address, check_together

__all__ = ("HELLO", "Dial", "check_hello", "outlived")

log = logging.getLogger("memo")

HELLO = (b"HELLO",)
"""Asks the server who it is.  Redis has known this since 6.0, which is the oldest that the scripts run on."""


class Dial:
    """Makes connections, with what a user said of the server.  Made, it opens nothing, but imports the library.

    Thread-safe.

    Args:
        url: The URL, or a function that returns it, called for each connection: users and passwords may change.
        options: For the client library, checked.

    Raises:
        ValueError: The URL is malformed, or the options do not fit it.
        MissingExtra: No client library is installed.
    """

    __slots__ = ("_address", "_library", "_lock", "_options", "_told", "_url", "losses", "turns")

    def __init__(self, url: str | Callable[[], str], options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self._lock = rlock()
        self._told = Seldom()
        self._address: Address | None = address(url) if isinstance(url, str) else None
        self.turns = 0
        """Raised when a server has said that it is no primary any more, or lacks what was said, or has cut the line:
        what was connected before may be of another.  Not as another URL is returned: it may have another password each
        time."""
        self.losses = 0
        """How often a server has said that it lacks what was said."""
        self._library: Library | None = None  # of _address; both guarded by _lock
        # at once, since it takes as long as several operations, and callers of the first ones would wait for it
        import_library("redis" if self._address is None else self._address.library)
        if self._address is not None:
            check_together(self._address, options)
            self._check_options(self._address)

    def __repr__(self) -> str:
        return f"<Dial {self.shown()}>"

    def shown(self) -> str:
        """The URL without its secret, as it was when it was last asked for."""
        known = self._address
        return "the server" if known is None else known.shown

    @property
    def asks(self) -> bool:
        """Whether ``library()`` asks a function for the URL, which may take its time."""
        return not isinstance(self._url, str)

    def library(self) -> Library:
        """What makes connections to where the server is now.

        Raises:
            Unreachable: The function that returns the URL failed, or the library does not know an option.
            MissingExtra: No library is installed.
        """
        url = self._url
        found = self._address
        if not isinstance(url, str):
            # never chained: a message about the URL may hold what is in it
            try:
                found = address(url())
                if found != self._address:
                    check_together(found, self._options)
            except Exception as error:
                if self._told.is_due():
                    ours = f": {error}" if isinstance(error, ValueError | TypeError) and "Tier: " in str(error) else ""
                    log.error("tier: the function that returns the URL failed by %s%s", type(error).__name__, ours)
                raise Unreachable(Reason.ADDRESS) from None
        assert found is not None
        with self._lock:
            if self._library is not None and found == self._address:
                return self._library
        made = library_for(found, self._options)
        with self._lock:
            self._address, self._library = found, made
        return made

    def failure(self, error: Exception) -> Unreachable | None:
        """What an exception means that came while a connection was made; None: it tells nothing about the server."""
        known = reason_of(error)
        if known is None and self._options.get("credential_provider") is not None:
            return Unreachable(Reason.ADDRESS)  # it may raise what it likes
        return known

    def _check_options(self, given: Address) -> None:
        try:
            self.library()
        except Unreachable:
            names = ", ".join(sorted({*given.options, *self._options}))
            raise ValueError(
                f"Tier: the client library {given.library} does not take the options that it is given, one of {names}, "
                f"or not these values; see its documentation of connections."
            ) from None

    def renew(self) -> None:
        """Begin anew in a forked child."""
        self._lock = rlock()


def outlived(dial: Dial, error: Unreachable) -> bool:
    """Whether a connection is not to be kept since the server has said this on it.

    A failover leaves the server there, as a replica, or without its data; the URL, or its name, leads elsewhere then.
    """
    if error.reason in (Reason.READ_ONLY, Reason.LOST):
        dial.losses += error.reason is Reason.LOST
        dial.turns += 1  # two at once may be counted as one, which is as good
    return error.reason.counts


def check_hello(reply: Any) -> None:
    """Look at what the server says of itself.

    Raises:
        Unreachable: It is part of a cluster, or a replica, or is something else.
    """
    known = dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}
    if b"version" not in known:
        raise Unreachable(Reason.GARBLED)
    if known.get(b"mode") == b"cluster":
        raise Unreachable(Reason.CLUSTER)
    if known.get(b"role") in (b"replica", b"slave"):  # it may be read, and tell what was, or never hear of anything
        raise Unreachable(Reason.READ_ONLY)
