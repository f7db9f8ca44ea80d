"""Several processes of one service: forks, siblings that show each other, actions that reach all, and the end."""

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kit.greenlets import need
from kit.places import ROOT
from kit.ports import free_port
from kit.processes import fork, status_of, stopped
from kit.served import ask, impatient_with_siblings, served
from kit.threads import until

from memo import Registry, bounded
from memo.exporters import Source, SourceError, serving
from memo.testing import FakeClock

__all__ = ()

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks"),
    pytest.mark.usefixtures("runtime"),
]


@contextlib.contextmanager
def forked(act: Callable[[], object] = lambda: True) -> Iterator[int]:
    """A forked child that acts, and lives until the block ends; it fails if what it did was not true."""
    ready, told = os.pipe()
    gone, leave = os.pipe()

    def run() -> bool:
        os.close(leave)
        done = bool(act())
        os.write(told, b"x")
        return not os.read(gone, 1) and done

    child = fork(run)
    os.close(told)
    try:
        os.read(ready, 1)
        yield child
    finally:
        os.close(leave)
        assert status_of(child) == 0
        for end in (ready, gone):
            os.close(end)


# -- forks


def test_a_child_serves_at_a_socket_of_its_own(own: Registry) -> None:
    """A forked child has none of its parent's sockets, and serves under its own identifier if the parent did."""
    with served(own, http=0) as server:
        parts = urlsplit(server.url or "")
        address = str(parts.hostname), int(parts.port or 0)
        path = server.path or ""
        with forked(lambda: server.url not in (None, f"http://{parts.netloc}/")) as child:
            until(lambda: len(serving()) == 2)
            with Source(child) as source:
                assert source.get("/stats.json?own=1")["process"]["pid"] == child
            assert ask(server, "/healthz").status == 200
            server.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 5)
            assert not Path(path).exists()
            assert [place.pid for place in serving()] == [child]
    until(lambda: serving() == [])


def test_a_child_of_a_closed_server_serves_nothing(own: Registry) -> None:
    """Nor does one whose parent had a port that it chose, and nothing else: the parent has that port still."""
    with served(own):
        pass
    with forked():
        assert serving() == []
    with served(own, http=free_port(), socket=False) as server:
        with forked(lambda: (server.url, server.path) == (None, None)):
            assert serving() == []
        assert ask(server, "/healthz").status == 200


def test_a_child_clears_up_after_others(own: Registry, runtime: Path) -> None:
    """Children that live for a moment leave no more behind than the next one finds."""
    with served(own):
        status_of(fork(lambda: True))
        left = runtime / "memo" / f"web-{os.getpid()}.sock"
        (gone,) = set((runtime / "memo").iterdir()) - {left}
        with forked():
            until(lambda: not gone.exists())


def test_a_child_closes_and_replaces_what_it_serves(own: Registry) -> None:
    """A child may close its server, or call ``serve()`` anew, and the parent's goes on."""

    def act() -> bool:
        first = server.path
        second = own.serve(name="other")
        replaced = server.path is None and second.path is not None and not Path(first or "").exists()
        second.close()
        return replaced

    with served(own) as server, forked(act):
        assert [place.pid for place in serving()] == [os.getpid()]
        assert ask(server, "/healthz", by="unix").status == 200


# -- siblings


def test_any_worker_shows_all(own: Registry, clock: FakeClock) -> None:
    """Rows of one function in several processes are added, or shown one by one; what changed since, likewise."""
    f = bounded(max=10, registry=own, name="f")(lambda x: x)

    def act() -> bool:
        g = bounded(max=10, registry=own, name="g")(lambda x: x)
        kept.append(g)
        return [f(1), f(1), f(1), g(1)] == [1, 1, 1, 1]

    kept: list[Any] = []
    with served(own) as server, Source(server.path or "") as source, forked(act) as child:
        f(1), f(2)
        told = source.get("/stats.json")
        assert {process["pid"]: process["functions"] for process in told["processes"]} == {os.getpid(): 1, child: 2}
        cache = told["rows"]["f"]["cache"]
        figures = {name: cache[name] for name in ("hits", "misses", "size", "max", "requests", "hit_ratio")}
        assert figures == {"hits": 2, "misses": 3, "size": 3, "max": 20, "requests": 5, "hit_ratio": 0.4}
        assert (set(told["rows"]), told["functions"], told["full"]) == ({"f", "g"}, 2, True)
        each = source.get("/stats.json?by=process")["rows"]
        assert {name: (row["process"], row["cache"]["misses"]) for name, row in each.items()} == {
            f"f@{os.getpid()}": (os.getpid(), 2), f"f@{child}": (child, 1), f"g@{child}": (child, 1),
        }  # fmt: skip
        f(1)
        clock.advance(1)
        later = source.get(f"/stats.json?since={told['token']}")
        assert (later["full"], {name: row["cache"]["hits"] for name, row in later["rows"].items()}) == (False, {"f": 3})
        alone = source.get("/stats.json?own=1")
        assert (set(alone["rows"]), len(alone["processes"])) == ({"f"}, 1)
        impatient_with_siblings(own)
        with stopped(child):
            clock.advance(1)
            told = source.get(f"/stats.json?since={later['token']}")
            (error,) = [process["error"] for process in told["processes"] if process["pid"] == child]
            assert "did not answer within" in error
            assert (told["rows"], told["gone"]) == ({}, []), "what it last told stays"
            clock.advance(1)
            source.get("/stats.json")
    with served(own) as server, Source(server.path or "") as source:
        until(lambda: len(serving()) == 1)
        clock.advance(1)
        told = source.get("/stats.json")
        assert (set(told["rows"]), len(told["processes"])) == ({"f"}, 1)


def test_a_sibling_that_goes_takes_its_rows(own: Registry, clock: FakeClock) -> None:
    """Its functions are among the names that went, and figures are of those that are left."""
    f = bounded(max=10, registry=own, name="f")(lambda x: x)
    kept: list[Any] = []

    def act() -> int:
        kept.append(bounded(max=10, registry=own, name="g")(lambda x: x))
        return f(1) and kept[0](1)

    with served(own) as server, Source(server.path or "") as source:
        with forked(act) as child:
            told = source.get("/stats.json")
            assert (set(told["rows"]), told["rows"]["f"]["cache"]["misses"]) == ({"f", "g"}, 1)
        until(lambda: len(serving()) == 1)
        clock.advance(1)
        left = source.get(f"/stats.json?since={told['token']}")
        assert (set(left["rows"]), child in [one["pid"] for one in left["processes"]]) == ({"f"}, False)
        assert left["full"] or left["gone"] == ["g"]


def test_strangers_of_the_same_name_are_left_out(own: Registry, clock: FakeClock) -> None:
    """Without a name, siblings are processes that were started in the same way, from the same folder."""
    with served(own, name=None) as server, Source(server.path or "") as source:

        def act() -> bool:
            os.chdir("/")
            return own.serve().path is not None

        with forked(act), forked() as sibling:
            told = source.get("/stats.json")
            assert [process["pid"] for process in told["processes"]] == [os.getpid(), sibling]


def test_a_port_that_a_sibling_has_is_no_error(own: Registry) -> None:
    """A worker whose sibling has the port serves at its socket alone; nobody else's port is taken so."""
    with served(own, http=0) as server:
        port = urlsplit(server.url or "").port

        def act() -> bool:
            worker = own.serve(name="web", http=port)
            return worker.url is None and worker.path is not None

        with forked(act) as child:
            pids = [process["pid"] for process in ask(server, "/stats.json").json["processes"]]
            assert pids == [os.getpid(), child]
        until(lambda: len(serving()) == 1)
        with pytest.raises(OSError, match=r"cannot be listened at .*; give another, or 0"):
            Registry().serve(name="other", http=port)
        assert [place.name for place in serving()] == ["web"]


# -- actions


def test_actions_reach_all_siblings(own: Registry) -> None:
    """What is cleared, invalidated or cleaned up here is so in every process, and each says what went."""
    f = bounded(max=10, registry=own, name="f", tags=("t",))(lambda x: x)
    f(1)

    def act() -> bool:
        f(2)
        return len(f.cache) == 2

    with served(own, actions=True) as server, Source(server.path or "") as source, forked(act) as child:
        cleared = source.post("/actions/clear", {"function": "f"})
        assert cleared["done"] == {"functions": 2, "entries": 3}
        assert cleared["processes"] == [
            {"pid": os.getpid(), "done": {"functions": 1, "entries": 1}, "error": None},
            {"pid": child, "done": {"functions": 1, "entries": 2}, "error": None},
        ]
        f(1)
        assert source.post("/actions/invalidate", {"tag": "t"})["done"] == {"entries": 1}
        f(1)
        assert source.post("/actions/clear?own=1", {"all": True}) == {"done": {"functions": 1, "entries": 1}}
        cleaned = source.post("/actions/cleanup", {})["done"]
        assert (set(cleaned), cleaned["expired"]) == ({"expired", "flights", "events", "keys", "seconds"}, 0)
        with pytest.raises(SourceError, match="there is no function 'g' in this registry") as caught:
            source.post("/actions/clear", {"function": "g"})
        assert caught.value.status == 404


# -- the end


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *program* in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT, env={**os.environ, "XDG_RUNTIME_DIR": str(folder)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_an_interpreter_ends_with_its_server_running(runtime: Path) -> None:
    """It ends at once, without a word, and its socket is gone, though a client is connected."""
    ran = run(
        """
        import memo, socket
        server = memo.registry.serve(name="web", http=0)
        memo.Registry().serve(name="other")
        client = socket.socket(socket.AF_UNIX)
        client.connect(server.path)
        print(server.path)
        """,
        runtime,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip().startswith(str(runtime / "memo" / "web-"))
    assert list((runtime / "memo").iterdir()) == []


def test_a_killed_process_is_cleared_away(runtime: Path) -> None:
    """What had no time to remove its socket leaves it to the next that looks."""
    ran = run('import memo, os; memo.registry.serve(name="web"); os.kill(os.getpid(), 9)', runtime)
    assert ran.returncode == -9
    assert len(list((runtime / "memo").iterdir())) == 1
    assert serving() == []
    assert list((runtime / "memo").iterdir()) == []


@pytest.mark.outside
@pytest.mark.parametrize("world", ["gevent", "eventlet"])
def test_greenlets_are_answered(runtime: Path, world: str) -> None:
    """In a program whose threads are greenlets, the server is one of them: asked by another, it answers; it forks."""
    need(world)
    patch = {
        "gevent": "from gevent import monkey; monkey.patch_all()",
        "eventlet": "import eventlet; eventlet.monkey_patch()",
    }
    ran = run(
        f"""
        import warnings
        warnings.simplefilter("ignore")
        {patch[world]}
        import os, memo, urllib.request
        f = memo.bounded(max=3, name="f")(len)
        f("x")
        server = memo.registry.serve(name="web", http=0)
        from memo.exporters import Source
        for _ in range(2):
            with Source("web") as source:
                print(list(source.get("/stats.json")["rows"]))
        print(urllib.request.urlopen(server.url + "healthz").read())
        child = os.fork()
        if child == 0:
            with Source(os.getpid()) as source:
                print(source.get("/stats.json?own=1")["process"]["pid"] == os.getpid(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        server.close()
        """,
        runtime,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["['f']", "['f']", "b'ok\\n'", "True"]
    assert ran.returncode == 0
