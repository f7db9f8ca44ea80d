"""Sockets are their user's alone: folders, modes, who is at the other end, what dead processes leave behind."""

import json
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from kit.processes import fork, in_a_child, status_of
from kit.served import ask, served

from memo import Registry
from memo.exporters import Place, Source, SourceError, _sockets, serving
from memo.exporters._sockets import answers, connected, folder, folders, listening, peer_uid

__all__ = ()

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no Unix sockets")

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user, to be refused"
)
NOBODY, SOMEBODY = 65_534, 65_533


def as_user(uid: int, act: Callable[[], object]) -> Callable[[], object]:
    """*act* as that user, for good: for a child of its own."""

    def turned() -> object:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        return act()

    return turned


def refused(act: Callable[[], object], error: type[BaseException]) -> bool:
    """Whether it raises that."""
    try:
        act()
    except error:
        return True
    return False


# -- folders


def test_folder_and_socket_are_the_users_alone(own: Registry, runtime: Path) -> None:
    """The folder is made with mode 0700, and the socket in it has 0600."""
    before = os.umask(0)
    try:
        with served(own) as server:
            path = Path(server.path or "")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("fault", ["link", "open", "file", "other"])
def test_a_folder_that_is_not_ours_is_refused(own: Registry, runtime: Path, fault: str) -> None:
    """Nothing is put where others might, nor is anything looked for there."""
    place = runtime / "memo"
    if fault == "link":
        (runtime / "target").mkdir(mode=0o700)
        place.symlink_to(runtime / "target")
    elif fault == "file":
        place.write_text("")
    else:
        place.mkdir(mode=0o700)
        if fault == "open":
            place.chmod(0o750)
        elif os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        else:
            pytest.skip("only root can give a folder to another user")
    said = {
        "link": "is a link", "open": "is open to others (mode 0750 instead of 0700)", "file": "is no folder",
        "other": f"belongs to another user (uid {NOBODY})",
    }  # fmt: skip
    with pytest.raises(PermissionError) as caught:
        own.serve()
    assert said[fault] in str(caught.value)
    assert "remove it, or point XDG_RUNTIME_DIR or TMPDIR at a folder that is yours alone" in str(caught.value)
    assert (folders(), serving()) == ([], [])


def test_folders_are_those_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The runtime folder is used if it is the user's own; else one of his among the temporary ones."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folder() == tmp_path / "memo"
    assert folder() in folders()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative/folder")
    monkeypatch.setattr(_sockets, "_owner", lambda path: os.geteuid() if path.startswith(str(tmp_path)) else None)
    assert folder() == tmp_path / f"memo-{os.geteuid()}"
    monkeypatch.setattr(_sockets, "_owner", lambda path: os.geteuid() + 1)  # as under sudo
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folder() == tmp_path / f"memo-{os.geteuid()}"


def test_long_paths_lead_to_a_shorter_folder(own: Registry, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a path is too long for a socket, the next folder is used; where there is none, the error says so."""
    deep = runtime / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(_sockets, "_candidates", lambda: iter([deep / "memo", runtime / "memo"]))
    with served(own) as server:
        assert Path(server.path or "").parent == runtime / "memo"
        assert serving()[0].path == server.path
    monkeypatch.setattr(_sockets, "_candidates", lambda: iter([deep / "memo"]))
    with pytest.raises(OSError, match="more than 100 bytes; use a shorter folder"):
        own.serve()


@pytest.mark.parametrize("name", ["", "a/b", "../web", "-web", "a b", "wéb", "x" * 41, "web\n", 3])
def test_names_are_parts_of_file_names(own: Registry, name: Any) -> None:
    """A name cannot lead out of the folder."""
    with pytest.raises((ValueError, TypeError), match="serve: name="):
        own.serve(name=name)


# -- who is at the other end


@as_root
def test_another_user_gets_no_answer(own: Registry, runtime: Path) -> None:
    """Even where folder and socket were opened to all, another user's question is not answered; root's is."""
    with served(own) as server:
        path = server.path or ""
        assert in_a_child(as_user(NOBODY, lambda: refused(lambda: connected(path, 5.0), PermissionError))) == 0
        for opened in (runtime, runtime / "memo"):
            opened.chmod(0o777)
        os.chmod(path, 0o666)

        def unanswered() -> bool:
            with connected(path, 5.0) as connection:
                try:
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    return not connection.recv(1)
                except (BrokenPipeError, ConnectionResetError):  # closed before it was read
                    return True

        assert in_a_child(as_user(NOBODY, unanswered)) == 0
        assert ask(server, "/healthz", by="unix").status == 200


@as_root
def test_a_socket_of_another_user_is_not_asked(runtime: Path) -> None:
    """Who looks for figures asks none but his own processes, whatever lies in his folder; root may ask all."""
    runtime.chmod(0o777)
    path = str(runtime / "web-1.sock")
    ready, told = os.pipe()
    gone, leave = os.pipe()

    def listen() -> bool:
        with listening(path, 5):
            os.chmod(path, 0o666)
            os.write(told, b"x")
            os.close(leave)
            return not os.read(gone, 1)

    other = fork(as_user(NOBODY, listen))
    try:
        os.read(ready, 1)
        assert in_a_child(as_user(SOMEBODY, lambda: refused(lambda: connected(path, 5.0), PermissionError))) == 0
        assert in_a_child(as_user(SOMEBODY, lambda: not answers(path))) == 0
        assert answers(path)
    finally:
        os.close(leave)
        assert status_of(other) == 0
        for end in (ready, told, gone):
            os.close(end)


def test_peers_are_known() -> None:
    """The system tells who is at the other end of a socket."""
    near, far = socket.socketpair()
    with near, far:
        assert peer_uid(near) == os.geteuid()


# -- what is left


@pytest.fixture
def dead() -> int:
    """The identifier of a process that is no more."""
    child = fork(lambda: True)
    status_of(child)
    return child


def test_what_a_dead_process_left_is_removed(own: Registry, runtime: Path, dead: int) -> None:
    """A socket goes if its process is dead and nobody answers; else it stays: it may be another container's."""
    with served(own):  # makes the folder
        pass
    place = runtime / "memo"
    left, answered, alive = (place / f"web-{pid}.sock" for pid in (dead, 2**40, os.getppid()))
    listening(str(left), 1).close()
    listening(str(alive), 1).close()
    (place / f"note-{dead}.sock").write_text("no socket")
    with listening(str(answered), 5):
        assert [found.path for found in serving()] == [str(answered)]
        assert not left.exists()
        assert alive.exists()
        listening(str(left), 1).close()
        with served(own, name="other"):
            assert not left.exists(), "and whoever serves clears up"
    assert [found.path for found in serving()] == []
    assert sorted(path.name for path in place.iterdir()) == sorted([alive.name, f"note-{dead}.sock"])


def test_a_socket_of_ours_that_was_left_is_replaced(own: Registry, runtime: Path) -> None:
    """One that an earlier process with this identifier left goes; one that answers, of another container, stays."""
    (runtime / "memo").mkdir(mode=0o700)
    path = runtime / "memo" / f"web-{os.getpid()}.sock"
    listening(str(path), 1).close()
    with served(own) as server:
        assert server.path == str(path)
    with listening(str(path), 5), served(own) as server:
        assert server.path == str(path.with_name(f"web-{os.getpid()}.2.sock"))
        assert Place(os.getpid(), "web", server.path or "") in serving()


def test_closing_removes_no_other_socket(own: Registry, runtime: Path) -> None:
    """What lies at the server's path by then, and is not its own, stays."""
    with served(own) as server:
        path = Path(server.path or "")
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


# -- who asks


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere", "no process of this user serves as 'nowhere'; none does: call registry.serve() in it."),
        ("/nowhere/web-1.sock", "look whether it runs: python -m memo ps lists what serves."),
        ("http://127.0.0.1:1/", "look whether it runs, and what server.url says there."),
    ],
)
def test_who_cannot_be_asked_is_told_of(runtime: Path, target: str, said: str) -> None:
    """An error says whom it was about and what to do."""
    with pytest.raises(SourceError, match=r"nowhere|cannot be reached") as caught:
        Source(target).get("/stats.json")
    assert said in str(caught.value)
    assert target in str(caught.value)
    assert caught.value.status is None


@pytest.mark.parametrize("target", ["", "ftp://x", "http://", "http://x:y/", "http://[", True, 1.5, None])
def test_bad_targets_are_refused(target: Any) -> None:
    """What is no target is refused before anybody is asked."""
    with pytest.raises((ValueError, TypeError), match="Source: "):
        Source(target)


def test_a_source_finds_its_process_again(own: Registry, runtime: Path) -> None:
    """It connects anew when a server went and came back, also when its connection was closed meanwhile."""
    with Source("web") as source:
        with served(own):
            assert source.get("/healthz") == "ok\n"
        with pytest.raises(SourceError):
            source.get("/healthz")
        with served(own):
            assert source.get("/healthz") == "ok\n"
            own.serve(name="web")
            assert source.get("/healthz") == "ok\n"
            own.serve(name="other").close()


def test_what_answers_otherwise_is_told_of(runtime: Path) -> None:
    """What is no server of figures, or none that answers in time, is told as such."""
    path = str(runtime / "x.sock")
    with listening(path, 5) as listener, Source(path, timeout=0.05) as source:
        with pytest.raises(SourceError, match=r"did not answer within 0.05 s"):
            source.get("/stats.json")
        listener.accept()[0].close()


@pytest.mark.parametrize(("timeout", "words"), [(0.05, "0.05 s"), (7, "7 s"), (90, "1m 30s")])
def test_how_long_it_waited_is_told_in_words(timeout: float, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that ran out is told as durations are elsewhere."""

    def exchange(*_: object) -> None:
        raise TimeoutError

    source = Source("web", timeout=timeout)
    monkeypatch.setattr(source, "_exchange", exchange)
    with pytest.raises(SourceError, match=rf"^'web' did not answer within {words}; it may be stopped"):
        source.get("/stats.json")


# -- where there are no Unix sockets


@pytest.fixture
def without_unix_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As it is on Windows, as far as that can be had elsewhere."""
    for module in ("_sockets", "_client", "http"):
        monkeypatch.setattr(f"memo.exporters.{module}.UNIX", False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    return tmp_path / "local" / "memo"


def test_without_unix_sockets_there_is_a_port_and_a_token(own: Registry, without_unix_sockets: Path) -> None:
    """A file for the user alone tells both; who has read it is answered, nobody else."""
    with served(own, actions=True) as server:
        path = Path(server.path or "")
        assert path == without_unix_sockets / f"web-{os.getpid()}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert serving() == [Place(os.getpid(), "web", str(path))]
        for target in ("web", str(path)):
            with Source(target) as source:
                assert source.get("/stats.json")["functions"] == 0
                assert source.post("/actions/cleanup", {})["done"]["expired"] == 0
        told = json.loads(path.read_text())
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"http://127.0.0.1:{told['port']}/stats.json", timeout=30)
        assert told["token"] not in repr(server)
    assert not path.exists()
