"""A registry's figures for people and programs outside: a page, JSON and metrics, at a Unix socket and over HTTP.

``registry.serve()`` is the short form.  Nothing here is imported, and no thread started, before it is called.

Rules

- By itself a server lets in its own user alone: at a socket that is his, or on the loopback.
- Whatever an exception strikes, what was opened is closed.
- A forked child has none of its parent's sockets.  If the parent served, the child does, at a socket of its own.
"""

import atexit
import errno
import json
import logging
import os
import socket as sockets
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from memo import Registry
from memo._base import EnteredByWith, Stage, given_text, hold, renew, rlock
from memo.exporters._connection import Limits
from memo.exporters._guard import Token
from memo.exporters._listener import Door, Listener
from memo.exporters._options import Options, checked
from memo.exporters._process import default_name
from memo.exporters._routes import Routes
from memo.exporters._snapshot import Snapshots
from memo.exporters._sockets import (
    UNIX,
    Place,
    free_place,
    listening,
    new_token,
    of_name,
    remove_stale,
)
from memo.exporters._view import view_of

__all__ = ("Server", "serve")

log: logging.Logger = logging.getLogger("memo")

_BACKLOG = 64
_ANY = ("", "0.0.0.0", "::")


class Server:
    """What serves a registry's figures: ``registry.serve()``.

    Runs in daemon threads until ``close()``, the end of a ``with`` block, another ``serve()`` of the same registry, or
    the interpreter's end; until then it keeps the registry alive.  A forked child serves at a socket of its own; over
    HTTP only if it was told ``http=0``, since its parent has the port.
    """

    def __init__(self, registry: Registry, options: Options, limits: Limits) -> None:
        self._registry = registry
        self._options = options
        self._limits = limits
        self._is_closed = False
        self._listener: Listener | None = None
        self._place: Place | None = None
        self._inode: tuple[int, int] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str | None:
        """The page's address; None without ``http=``, once closed, and where a sibling has the port."""
        return self._url

    @property
    def path(self) -> str | None:
        """The Unix socket (where there are none, a file that tells port and token); None without one, once closed."""
        return None if self._place is None else self._place.path

    def close(self) -> None:
        """Stop serving: close sockets and connections, and remove the socket's file.

        What is being answered is cut off.  Waits two seconds at most.  Closing twice is no error.
        """
        self._is_closed = True
        try:
            if self._place is not None:
                view_of(self._registry).leave(self._place)
            self._remove_file()
        finally:
            if self._listener is not None:
                self._listener.close()
            self._url = self._place = self._listener = None
            with _lock:  # last: as long as it is there, whoever serves the registry anew closes it again
                if _running.get(id(self._registry)) is self:
                    del _running[id(self._registry)]

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("serve: a server")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        at = " and ".join(filter(None, (self.path, self.url)))
        return f"<server of {self._registry!r} at {at}>" if at else f"<closed server of {self._registry!r}>"

    # -- opening

    def _begin(self) -> None:
        """Begin to serve; cut short, it is to be closed."""
        renew(Stage.SERVERS, self)
        Snapshots.of(self._registry).expire()  # what another server showed a moment ago
        self._open(self._options.address)

    def _open(self, address: tuple[str, int] | None, at_first: Callable[[], object] | None = None) -> None:
        doors: list[Door] = []
        try:
            if self._options.socket:
                doors.append(self._open_socket())
            if address is not None and (door := self._open_port(address)) is not None:
                doors.append(door)
            if doors:
                view_of(self._registry).serve_at(self._place, self._options.name)
                self._listener = Listener(doors, self._limits, at_first)
                self._listener.start()
        except BaseException:
            for door in doors:
                door.listener.close()
            self._remove_file()
            self._url = self._place = None
            raise

    def _open_socket(self) -> Door:
        place = free_place(self._options.name or default_name(), os.getpid())
        if not UNIX:
            return self._open_loopback(place)
        listener = listening(place.path, _BACKLOG)
        try:
            self._note(place)
            return Door(listener, self._routes(None, None), is_unix=True)
        except BaseException:
            listener.close()
            raise

    def _open_loopback(self, place: Place) -> Door:
        """Where there are no Unix sockets: a port of the loopback, and a token in a file for this user alone."""
        token = new_token()
        listener = _bound(("127.0.0.1", 0))
        try:
            with open(place.path, "x", encoding="utf-8", opener=_for_the_user_alone) as file:
                json.dump({"port": listener.getsockname()[1], "token": token}, file)
            self._note(place)
            return Door(listener, self._routes(token, frozenset()), is_unix=False)
        except BaseException:
            listener.close()
            raise

    def _note(self, place: Place) -> None:
        found = os.lstat(place.path)
        self._place, self._inode = place, (found.st_dev, found.st_ino)

    def _open_port(self, address: tuple[str, int]) -> Door | None:
        try:
            listener = _bound(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and self._has_siblings():
                log.info("serve: port %d is taken, by a sibling presumably, which shows this process", address[1])
                return None
            raise OSError(
                error.errno,
                f"serve: http={given_text(address)} cannot be listened at ({error.strerror}); give another, or 0",
            ) from error
        host, port = listener.getsockname()[:2]
        named = "127.0.0.1" if address[0] in _ANY else host
        self._url = f"http://[{named}]:{port}/" if ":" in named else f"http://{named}:{port}/"
        hosts = {host.lower(), address[0].lower(), *self._options.hosts}
        if address[0] in _ANY:
            hosts |= {"*", sockets.gethostname().lower()}
        return Door(listener, self._routes(self._options.token, frozenset(hosts)), is_unix=False)

    def _has_siblings(self) -> bool:
        place = self._place
        return place is not None and any(one.path != place.path for one in of_name(place.name))

    def _routes(self, token: str | None, hosts: frozenset[str] | None) -> Routes:
        return Routes(
            self._registry,
            token=None if token is None else Token(token, self._limits.clock),
            hosts=hosts,
            show_keys=self._options.show_keys,
            actions=self._options.actions,
        )

    def _remove_file(self) -> None:
        """Remove the socket's file, if it is still ours."""
        if self._place is None or self._inode is None:
            return
        try:
            found = os.lstat(self._place.path)
            if (found.st_dev, found.st_ino) == self._inode:
                Path(self._place.path).unlink(missing_ok=True)
        except OSError:
            pass

    # -- forks

    def renew(self) -> None:
        """Serve in a forked child, with sockets of its own; those that it inherited are its parent's."""
        listener, self._listener = self._listener, None
        self._url = self._place = self._inode = None
        if listener is not None:
            listener.abandon()
        if self._is_closed:
            return
        address = self._options.address
        if address is not None and address[1] != 0:  # the parent has that port
            address = None
        try:
            # children that live for a moment leave much behind, if nobody looks; but a fork is not to wait for that
            self._open(address, at_first=remove_stale)
        except Exception:
            log.exception("serve: the forked process %d cannot be asked; call registry.serve() in it", os.getpid())


def serve(
    registry: Registry,
    *,
    http: int | tuple[str, int] | None = None,
    socket: bool = True,
    token: str | None = None,
    show_keys: bool = False,
    actions: bool = False,
    name: str | None = None,
    hosts: Iterable[str] = (),
) -> Server:
    """Show the figures of a registry to people and programs outside, until it is closed.

    At a Unix socket of this user (``python -m memo top`` finds it), and with ``http=`` over HTTP, too: a page,
    ``/stats.json``, ``/report.json``, ``/metrics``, ``/healthz``.  Works in daemon threads; calls of decorated
    functions are not held up.  Of the processes of one name and user each shows all.  One server to a registry: a
    second call replaces the first.  Safe from any thread.

    Args:
        registry: Whose functions are shown.
        http: A port of the loopback (0: any that is free), or an address and a port; None: no HTTP.
        socket: Whether there is a socket.  Where the system has no Unix sockets, that is a port of the loopback whose
            token lies in a file of this user.
        token: What is asked for over HTTP of everything but the empty page, as ``Authorization: Bearer``: 16 visible
            ASCII characters or more.  An address that other machines reach needs one.
        show_keys: Whether keys of running calls are shown.  Values, arguments and messages of errors never are.
        actions: Whether caches may be cleaned up, cleared and invalidated from outside.
        name: What the service is called, at most 40 letters, digits, "_", "." and "-"; default: the script or module
            that was started.
        hosts: Names by which a browser may ask, beside the address and those of the loopback.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option has a wrong value; another machine could ask, or anybody here change something, without a
            token; or another registry of this process serves under that name.
        OSError: The port or the socket cannot be had.  A port that a sibling of the same name has is no error: that one
            shows this process, too.
    """
    if not isinstance(registry, Registry):
        raise TypeError(f"serve: {given_text(registry)} is no registry; give memo.registry, or another Registry().")
    options = checked(
        http=http, socket=socket, token=token, show_keys=show_keys, actions=actions, name=name, hosts=hosts
    )
    return _serve(registry, options, Limits())


def _serve(registry: Registry, options: Options, limits: Limits) -> Server:
    with _lock:
        former = _running.get(id(registry))
        there = list(_running.values())
    others = [one._options.name or default_name() for one in there if one._registry is not registry]
    if others:
        options = _told_apart(options, others)
    if former is not None:
        former.close()  # before another is opened: they may want the same port
    remove_stale()
    server = Server(registry, options, limits)
    try:
        server._begin()
        with _lock:
            former = _running.get(id(registry))  # of another thread that came at the same time
            _running[id(registry)] = server
        if former is not None:
            former.close()
    except BaseException:
        server.close()
        raise
    return server


def _told_apart(options: Options, taken: list[str]) -> Options:
    """Another registry of this process serves already: under another name."""
    name = options.name
    if name is None:
        if default_name() not in taken:
            return options
        number = 2
        while (name := f"{default_name()[:36]}.{number}") in taken:
            number += 1
    elif name in taken:
        raise ValueError(f"serve: another registry of this process serves as {given_text(name)}; give another name=.")
    return replace(options, name=name)


def _bound(address: tuple[str, int]) -> sockets.socket:
    """A socket that listens there."""
    host, port = address
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    listener = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _for_the_user_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


_lock = rlock()
_running: dict[int, Server] = {}
"""What serves now, by the identity of its registry, which it keeps alive.  Guarded by _lock."""
hold(Stage.SERVERS, sys.modules[__name__], _lock)


def _at_exit() -> None:
    for server in list(_running.values()):
        server.close()


atexit.register(_at_exit)
