"""A registry is shown at a Unix socket and over HTTP: what is told, from when to when, and how its format is."""

import os
from pathlib import Path

import pytest
from kit.ports import free_port
from kit.served import ask
from kit.threads import Gate, Running

from memo import Registry, bounded, sliding_window
from memo.exporters import Place, Source, SourceError, serving
from memo.exporters._process import default_name
from memo.exporters.http import serve
from memo.testing import FakeClock

__all__ = ()

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no Unix sockets")


def test_it_is_found_asked_and_closed(own: Registry, runtime: Path) -> None:
    """A server is found by its name, answers over both ways, and leaves nothing behind once it is closed."""
    with own.serve(http=0, name="web") as server:
        assert server.url is not None
        assert server.path == str(runtime / "memo" / f"web-{os.getpid()}.sock")
        assert serving() == [Place(os.getpid(), "web", server.path)]
        for target in ("web", os.getpid(), server.path, server.url):
            with Source(target) as source:
                assert source.get("/healthz") == "ok\n"
        assert server.path in repr(server)
        assert server.url in repr(server)
    server.close()
    assert (server.url, server.path, serving(), list((runtime / "memo").iterdir())) == (None, None, [], [])
    with pytest.raises(SourceError, match=r"no process of this user serves as 'web'; none does: call registry.serve"):
        Source("web").get("/healthz")


def test_a_second_server_replaces_the_first(own: Registry, runtime: Path) -> None:
    """There is one server to a registry; bad options leave it as it is."""
    port = free_port()
    first = own.serve(name="web", http=port)
    with pytest.raises(ValueError, match="nothing to serve at"):
        own.serve(socket=False)
    assert first.path is not None
    with serve(own, name="other", http=port) as second:
        assert first.path is None
        assert second.url == f"http://127.0.0.1:{port}/"
        assert [place.name for place in serving()] == ["other"]
        first.close()
        assert ask(second, "/healthz").body == b"ok\n"


def test_registries_of_one_process_have_names_of_their_own(own: Registry, runtime: Path) -> None:
    """Two registries serve at once, under two names."""
    with own.serve(name="web"), Registry().serve() as other, Registry().serve() as another:
        first, second = default_name(), f"{default_name()[:36]}.2"
        assert {place.name for place in serving()} == {"web", first, second}
        assert ask(other, "/stats.json", by="unix").json["processes"][0]["functions"] == 0
        with pytest.raises(ValueError, match="another registry of this process serves as 'web'"):
            Registry().serve(name="web")
        another.close()
        assert len(serving()) == 2


def test_a_server_begins_with_every_function(own: Registry, runtime: Path, clock: FakeClock) -> None:
    """What the one before it showed within the same second does not hide a function that has come since."""
    with own.serve(name="web") as server:
        assert ask(server, "/stats.json", by="unix").json["rows"] == {}
    late = bounded(max=8, registry=own, name="late")(str)
    with own.serve(name="web") as server:
        assert list(ask(server, "/stats.json", by="unix").json["rows"]) == ["late"]
    assert late("a") == "a"


def test_figures_have_their_format(own: Registry, runtime: Path) -> None:
    """Each function has what ``as_dict()`` of its snapshots tells, and null for what it does not have.

    Of a tier nothing, not even null, where results are not shared.
    """
    f = bounded(max=3, registry=own, name="f", tags=("t",))(sliding_window("1h", registry=own)(lambda x: x))
    f(1), f(1)
    with own.serve(name="web", http=0) as server:
        told = ask(server, "/stats.json").json
        assert {name: type(value) for name, value in told.items()} == {
            "format": int, "token": str, "full": bool, "process": dict, "processes": list, "taken": float,
            "functions": int, "rows": dict, "gone": list, "flights": list, "flying": int, "actions": bool,
            "show_keys": bool, "notes": list,
        }  # fmt: skip
        assert set(told["process"]) == {"pid", "name", "group", "started", "uptime", "python", "memo", "path"}
        assert told["processes"] == [
            {"pid": os.getpid(), "uptime": told["processes"][0]["uptime"], "functions": 1, "error": None}
        ]
        (row,) = told["rows"].values()
        stats = own["f"].stats().as_dict()
        stats["cache"] = {name: of for name, of in stats["cache"].items() if name[:3] != "l2_" and "served" not in name}
        assert {part: row[part] for part in ("cache", "inflight", "window", "limit", "adopted")} == {
            part: stats[part] for part in ("cache", "inflight", "window", "limit", "adopted")
        }
        assert (row["process"], row["tags"], len(row["sparkline"])) == (None, ["t"], 12)
        parts = ask(server, "/stats.json?fields=cache,limit&select=?").json["rows"]["f"]
        assert set(parts) == {"process", "tags", "cache", "limit", "sparkline"}
        assert ask(server, "/stats.json?select=g*").json["rows"] == {}
        assert ask(server, "/stats.json?fields=cash").error == (
            "fields='cash' is none of cache, inflight, window, limit, adopted"
        )
        by_process = ask(server, "/stats.json?by=process").json["rows"]
        assert {name: row["process"] for name, row in by_process.items()} == {f"f@{os.getpid()}": os.getpid()}


def test_only_changed_rows_are_sent(own: Registry, runtime: Path, clock: FakeClock) -> None:
    """With the token of an answer the next one has what changed since, and the names that went."""
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    g = bounded(max=3, registry=own, name="g")(lambda x: x)
    f(1), g(1)
    with own.serve(name="web") as server, Source(server.path or "") as source:
        first = source.get("/stats.json")
        assert (first["full"], set(first["rows"])) == (True, {"f", "g"})
        f(2)
        again = source.get(f"/stats.json?since={first['token']}")
        assert (again["full"], again["rows"], again["gone"]) == (False, {}, []), "a second has one snapshot"
        clock.advance(1)
        later = source.get(f"/stats.json?since={first['token']}")
        assert (later["full"], set(later["rows"])) == (False, {"f"})
        del g
        clock.advance(1)
        last = source.get(f"/stats.json?since={first['token']}")
        assert (set(last["rows"]), last["gone"], last["functions"]) == ({"f"}, ["g"], 1)
        for foreign in ("x", "1.2.3", f"{first['token']}0", first["token"].replace(".", ".9", 1)):
            assert source.get(f"/stats.json?since={foreign}")["full"], foreign
        other = source.get(f"/stats.json?fields=cache&since={first['token']}")
        assert other["full"], "what it was given was of another question"


def test_running_calls_are_told_without_their_keys(own: Registry, runtime: Path, clock: FakeClock) -> None:
    """Keys of running calls are told to those alone who were promised them."""
    gate = Gate()

    @bounded(max=3, registry=own, name="f")
    def f(secret: str) -> str:
        gate.wait()
        return secret

    running = Running(lambda: f("hush"))
    gate.reached()
    clock.advance(5)
    for show_keys in (False, True):
        with own.serve(name="web", show_keys=show_keys) as server:
            told = ask(server, "/stats.json", by="unix")
        (flight,) = told.json["flights"]
        assert (flight["function"], flight["age"], flight["waiters"], told.json["flying"]) == ("f", 5.0, 0, 1)
        assert flight.get("key") == ("'hush'" if show_keys else None)
        assert (b"hush" in told.body, told.json["show_keys"]) == (show_keys, show_keys)
    before = ask_since(own, "")
    clock.advance(5)
    assert ask_since(own, before["token"])["rows"] == {}, "growing older is no change"
    gate.open()
    running.join()


def ask_since(registry: Registry, token: str) -> dict[str, object]:
    """The figures, by way of a server for this one question."""
    with registry.serve(name="web") as server, Source(server.path or "") as source:
        told: dict[str, object] = source.get(f"/stats.json?since={token}")
        return told


def test_the_report_is_half_a_minute_old_at_most(own: Registry, runtime: Path, clock: FakeClock) -> None:
    """The leak report, which takes long, is made once in half a minute for all who ask."""
    f = bounded(max=300, registry=own, name="f")(lambda x: x)
    with own.serve(name="web") as server, Source(server.path or "") as source:
        assert source.get("/report.json")["findings"] == []
        for x in range(50):
            f(x)
        clock.advance(29)
        assert source.get("/report.json")["findings"] == []
        clock.advance(1)
        told = source.get("/report.json")
        assert [finding["severity"] for finding in told["findings"]] == ["low"]
        assert set(told["findings"][0]) == {"store", "severity", "what", "advice"}
        assert [store["entries"] for store in told["stores"]] == [50]
