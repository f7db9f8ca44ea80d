"""Where the processes of one user that serve their figures are found, and who is at the other end of a socket.

Each serves at a Unix socket ``<name>-<pid>.sock`` of its own, in a folder that is its user's alone.  Where there are no
such sockets (Windows), a file of that place tells a port of the loopback and a token, to the same user.

Rules

- The folder is ours, no link, and closed to everybody else (0700); else nothing is put there, nor looked for.
- Whoever connects is asked for his user, too: the user of the serving process, or root.  So is the one that listens.
- A file is removed by whoever finds that its process is dead *and* that nobody answers: an identifier that looks dead
  may live in another container that shares the folder.
"""

import errno
import os
import re
import secrets
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = (
    "LONGEST_PATH", "NAME", "UNIX", "Place", "answers", "connected", "folder", "folders", "free_place", "is_ours",
    "listening", "new_token", "of_name", "peer_uid", "remove_stale", "serving",
)  # fmt: skip

UNIX = hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")
"""Whether this system has Unix sockets."""

LONGEST_PATH = 100
"""Bytes of a socket's path: systems allow 104 to 108."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}\Z")
"""What a service may be called: it is part of a file's name."""
_FILE = re.compile(r"(?P<name>.+)-(?P<pid>[0-9]{1,19})(?:\.[0-9]+)?\.(?:sock|json)\Z")
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process serves its figures."""

    __module__ = "memo.exporters"

    pid: int
    """Its identifier."""
    name: str
    """What the service is called: several processes of one name are its workers."""
    path: str
    """The Unix socket; where there are none, the file that tells port and token."""


# -- folders


def _candidates() -> Iterator[Path]:
    """Folders that sockets may be in, the one to use first on top.

    Who serves and who looks may have another environment (a service of the system, a shell): so whoever looks goes
    through all of them.
    """
    if not UNIX:
        yield Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir(), "memo")
        return
    uid = os.geteuid()
    for runtime in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{uid}"):
        if runtime.startswith("/") and _owner(runtime) == uid:  # under sudo it is that of another user
            yield Path(runtime, "memo")
    for base in (tempfile.gettempdir(), "/tmp"):
        yield Path(base, f"memo-{uid}")


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def folder() -> Path:
    """The folder that sockets of this user are put into; it is made if need be.

    Raises:
        PermissionError: It is a link, another user's, or open to others.
    """
    return next(_made(_candidates()))


def folders() -> list[Path]:
    """All folders of this user in which there may be sockets now; those that are not safe are left out."""
    there = dict.fromkeys(path for path in _candidates() if path.is_dir())
    return [path for path in there if _fault(path) is None]


def _made(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        try:
            path.mkdir(0o700, parents=not UNIX)
        except FileExistsError:
            pass
        if fault := _fault(path):
            raise PermissionError(
                f"serve: the folder {str(path)!r} {fault}, so that others could pass for this process; remove it, or "
                f"point XDG_RUNTIME_DIR or TMPDIR at a folder that is yours alone."
            )
        yield path


def _fault(path: Path) -> str | None:
    """What speaks against putting sockets into the folder *path*."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if UNIX and found.st_uid != os.geteuid():
        return f"belongs to another user (uid {found.st_uid})"
    if UNIX and stat.S_IMODE(found.st_mode) & 0o077:
        return f"is open to others (mode {stat.S_IMODE(found.st_mode):04o} instead of 0700)"
    return None


def free_place(name: str, pid: int) -> Place:
    """A place for this process, at which nothing is.

    Raises:
        OSError: The path is too long in every folder.
        PermissionError: The folder is a link, another user's, or open to others.
    """
    ending = "sock" if UNIX else "json"
    path = Path()
    for base in _made(_candidates()):
        for number in range(1, 100):
            path = base / (f"{name}-{pid}.{ending}" if number == 1 else f"{name}-{pid}.{number}.{ending}")
            if UNIX and len(os.fsencode(path)) > LONGEST_PATH:
                break  # a shorter folder may come
            if not _is_taken(path):
                return Place(pid, name, str(path))
    raise OSError(
        errno.ENAMETOOLONG,
        f"serve: the path of the socket has more than {LONGEST_PATH} bytes; use a shorter folder (XDG_RUNTIME_DIR or "
        f"TMPDIR), or a shorter name=",
        str(path),
    )


def _is_taken(path: Path) -> bool:
    """Whether somebody answers there: one of another container with our identifier; what is left of one goes."""
    if not os.path.lexists(path):
        return False
    if UNIX and answers(str(path)):
        return True
    path.unlink(missing_ok=True)
    return False


# -- who serves


def serving() -> list[Place]:
    """The processes of this user that serve their figures now, newest first; what is left of dead ones is removed.

    Nobody is asked for figures: each socket is connected to, and left.  One that another user listens at does not
    count, nor does anything in a folder that is open to others.
    """
    found = []
    for place, changed in _places():
        if _answers(place):
            found.append((changed, place))
        elif _is_dead(place.pid):
            Path(place.path).unlink(missing_ok=True)
    return [place for _, place in sorted(found, key=lambda one: one[0], reverse=True)]


def remove_stale() -> None:
    """Remove what dead processes left behind, without a look at those that live."""
    for place, _ in _places():
        if _is_dead(place.pid) and not _answers(place):
            Path(place.path).unlink(missing_ok=True)


def of_name(name: str) -> list[Place]:
    """Where processes of that name serve, as far as they live; they are not connected to."""
    there = sorted(place.path for place, _ in _places() if place.name == name and not _is_dead(place.pid))
    return [Place(int(match["pid"]), name, path) for path in there if (match := _FILE.match(Path(path).name))]


def _places() -> Iterator[tuple[Place, float]]:
    """What lies in the folders, and since when."""
    for base in folders():
        try:
            entries = list(os.scandir(base))
        except OSError:
            continue
        for entry in entries:
            match = _FILE.match(entry.name)
            if match is None:
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:  # it has just gone
                continue
            right = stat.S_ISSOCK(found.st_mode) if UNIX else stat.S_ISREG(found.st_mode)
            if right:
                yield Place(int(match["pid"]), match["name"], entry.path), found.st_mtime


def _answers(place: Place) -> bool:
    return answers(place.path) if UNIX else not _is_dead(place.pid)


def answers(path: str) -> bool:
    """Whether somebody of this user, or root, listens at the socket *path*.  One that is too busy to answer does."""
    try:
        connected(path, _PATIENCE_S).close()
    except (BlockingIOError, TimeoutError):
        return True
    except OSError:
        return False
    return True


def _is_dead(pid: int) -> bool:
    if pid == os.getpid():
        return False
    if sys.platform == "win32":
        return _is_dead_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OverflowError, ValueError):  # no process has such an identifier
        return True
    except PermissionError:
        return False
    return False


def _is_dead_on_windows(pid: int) -> bool:
    """``os.kill()`` would end it there.  What cannot be opened for a look is dead, or none of ours."""
    import ctypes

    windows: object = getattr(ctypes, "windll", None)
    kernel = getattr(windows, "kernel32", None)
    if kernel is None:
        return False
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return True
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value != 259  # STILL_ACTIVE


# -- sockets


def listening(path: str, backlog: int) -> socket.socket:
    """A socket that listens at *path*, for this user alone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        os.chmod(path, 0o600)  # before anybody can connect, and in a folder that is closed to others all the while
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def connected(path: str, patience_s: float) -> socket.socket:
    """A connection to the socket *path*, at which this user listens, or root.

    Raises:
        OSError: Nobody listens there, or not in time.
        PermissionError: Another user does.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience_s)
        connection.connect(path)
        uid = peer_uid(connection)
        # root may look at anybody's
        if os.geteuid() != 0 and not is_ours(uid):
            raise PermissionError(errno.EACCES, f"another user (uid {uid}) listens there", path)
    except BaseException:
        connection.close()
        raise
    return connection


def is_ours(uid: int | None) -> bool:
    """Whether *uid* is the user of this process, or root.

    A system that does not tell (None) has the folder alone to keep others out.
    """
    return uid is None or uid in (0, os.geteuid())


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end; None if the system does not tell.

    Raises:
        OSError: The other end has gone.
    """
    if hasattr(socket, "SO_PEERCRED") and sys.platform == "linux":
        size = struct.calcsize("3i")
        _pid, uid, _gid = struct.unpack("3I", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(uid)
    if sys.platform == "darwin" or sys.platform.startswith("freebsd"):
        # struct xucred: a version, the user, and groups; LOCAL_PEERCRED is 1 at level 0 on both
        told = connection.getsockopt(0, 1, 4 + 4 + 2 + 2 + 16 * 4)
        return int(struct.unpack_from("2I", told)[1])
    return None


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(32)


serving.__module__ = "memo.exporters"
