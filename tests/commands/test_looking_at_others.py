"""``python -m memo ps``, ``stats``, ``clear`` and ``top --once``, of a service in this process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT

from memo.__main__ import main

Capture = pytest.CaptureFixture[str]
TOKEN = "a token of more than sixteen letters"


def told(capsys: Capture, *arguments: str) -> Any:
    """What a command that ends well prints in JSON."""
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return json.loads(shown.out)


def refused(capsys: Capture, status: int, *arguments: str) -> str:
    """The one line that a command which does not end well says."""
    assert main(arguments) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith(f"memo {arguments[0]}: ")
    return shown.err


def test_ps_lists_who_serves(service: Any, capsys: Capture, alone: Callable[..., None]) -> None:
    """A row a process, with its uptime, its number of functions and its address; nobody is no error."""
    alone(service.name)
    assert main(["ps"]) == 0
    assert "nobody serves" in capsys.readouterr().out
    assert told(capsys, "ps", "--json") == []
    service.serve()
    (one,) = told(capsys, "ps", "--json")
    assert (one["name"], one["functions"], one["error"]) == (service.name, 3, None)
    assert one["uptime"] >= 0
    assert main(["ps"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["pid", "name", "uptime", "functions", "address"]
    assert row.split()[0] == str(one["pid"])
    assert row.endswith(one["address"])


def test_one_table(service: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """``top --once`` prints the table of one interval, as wide as COLUMNS says, by the column that is asked for."""
    service.serve()
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["top", service.name, "--once", "--sort", "entries", "--every", "100ms"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["function", "▼entries", "bytes", "hit", "calls/s", "load", "run", "oldest", "evict"]
    assert [row.split()[0] for row in rows] == ["bot.profile", "svc.price", "bot.ask"]
    assert max(map(len, [head, *rows])) <= 80


def test_one_table_in_json(service: Any, capsys: Capture) -> None:
    """``top --once --json`` prints one object: the process, the interval, and a list of functions in their order."""
    service.serve()
    found = told(capsys, "top", service.name, "--once", "--json", "--sort", "name", "--every", "100ms")
    assert [one["name"] for one in found["functions"]] == ["bot.ask", "bot.profile", "svc.price"]
    profile = found["functions"][1]
    assert (profile["entries"], profile["max"], profile["calls"], profile["hit_ratio"]) == (50, 100, 100, 0.5)
    assert (profile["calls_per_second"], profile["recent_hit_ratio"]) == (0.0, None)
    assert found["functions"][2]["evictions"] == {"size": 15}
    assert found["seconds"] > 0
    assert found["process"]["name"] == service.name


def test_stats(service: Any, capsys: Capture) -> None:
    """All functions by name, those of a pattern, or the figures of one."""
    service.serve()
    assert set(told(capsys, "stats", service.name, "--json")) == {"bot.ask", "bot.profile", "svc.price"}
    assert set(told(capsys, "stats", service.name, "bot.*", "--json")) == {"bot.ask", "bot.profile"}
    assert told(capsys, "stats", service.name, "bot.profile", "--json")["cache"]["hits"] == 50
    assert main(["stats", service.name, "bot.profile"]) == 0
    name, *lines = capsys.readouterr().out.splitlines()
    assert name == "bot.profile"
    assert ["cache.hits", "50"] in [line.split() for line in lines]
    assert ["tags", "bot"] in [line.split() for line in lines]
    assert main(["stats", service.name]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "bot.ask", "bot.profile", "svc.price",
    ]  # fmt: skip
    assert "did you mean 'bot.profile'?" in refused(capsys, 1, "stats", service.name, "bot.profil")


def test_clear(service: Any, capsys: Capture) -> None:
    """It drops a function's entries where the server lets it, and says what is wrong where not."""
    service.serve()
    assert "actions=True" in refused(capsys, 1, "clear", service.name, "bot.profile")
    service.serve(actions=True)
    assert "'bot.nothing'" in refused(capsys, 1, "clear", service.name, "bot.nothing")
    assert main(["clear", service.name, "bot.profile"]) == 0
    assert capsys.readouterr().out == "cleared bot.profile: 50 entries\n"
    assert len(service.profile.cache) == 0
    assert len(service.price.cache) == 10


def test_tokens_are_not_of_the_command_line(
    service: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over HTTP the token of the environment is sent, or that of a file; the help names no option for it itself."""
    monkeypatch.delenv("MEMO_TOKEN", raising=False)
    token = TOKEN.replace(" ", "-")
    url = service.serve(http=0, token=token).url
    for command in (("stats", url, "--json"), ("clear", url, "bot.ask"), ("top", url, "--once")):
        assert "needs the server's token" in (said := refused(capsys, 1, *command))
        assert said.rstrip().endswith("Put it into MEMO_TOKEN, or into a file for --token-file.")
    monkeypatch.setenv("MEMO_TOKEN", token)
    assert "bot.ask" in told(capsys, "stats", url, "--json")
    monkeypatch.setenv("MEMO_TOKEN", "one that is another's")
    path = tmp_path / "token"
    assert "cannot be read" in refused(capsys, 2, "stats", url, "--token-file", str(path))
    path.write_text("\n")
    assert "is empty" in refused(capsys, 2, "stats", url, "--token-file", str(path))
    path.write_text(f"{token}\n")
    assert "bot.ask" in told(capsys, "stats", url, "--json", "--token-file", str(path))
    with pytest.raises(SystemExit):
        main(["top", url, f"--token={token}"])


def test_whom_to_ask(
    service: Any, capsys: Capture, alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a target the only service is asked; nobody, or several, is said, and what is no target too."""
    from memo._commands import targets
    from memo.exporters import Place

    alone(service.name)
    assert "call registry.serve()" in refused(capsys, 1, "stats")
    assert "cannot be reached" in refused(capsys, 1, "stats", "/nowhere/web-1.sock")
    assert "is no URL" in refused(capsys, 2, "stats", "ftp://example.org/")
    service.serve()
    assert "bot.ask" in told(capsys, "stats", "--json")
    monkeypatch.setattr(targets, "serving", lambda: [Place(7, "web", "a"), Place(3, "web", "b"), Place(9, "bot", "c")])
    assert "name one of them: bot  pid 9; web  pids 3, 7." in refused(capsys, 2, "stats")
    # Programs that were given no name may share one: each is a service, asked by its latest process.
    monkeypatch.setattr(targets, "_group_of", lambda place: "one" if place.pid == 7 else "another")
    assert [(one.name, one.target) for one in targets.services()] == [("bot", "bot"), ("web", "7"), ("web", "3")]


def test_a_live_view_needs_a_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none it says what to write instead; intervals that are none are refused before anything starts."""
    assert "--once" in refused(capsys, 2, "top", "anything")
    for every in ("soon", "10ms", "-1s"):
        with pytest.raises(SystemExit) as exited:
            main(["top", f"--every={every}"])
        assert exited.value.code == 2
        assert every in capsys.readouterr().err


WITHOUT = """
import sys
sys.modules["rich"] = None
from memo.__main__ import main
sys.stdin.isatty = sys.stdout.isatty = lambda: True
sys.exit(max(main([*command, sys.argv[1]]) for command in (["stats", "--json"], ["top", "--once", "--every", "100ms"]))
         or main(["top", sys.argv[1]]))
"""


def test_rich_is_for_the_live_view_alone(service: Any) -> None:
    """Without rich everything else works, and the live view names the extra."""
    service.serve()
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, service.name],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert 'pip install "memo-toolkit[top]"' in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "svc.price" in ran.stdout.partition("\n")[2]
    assert ran.returncode == 2
