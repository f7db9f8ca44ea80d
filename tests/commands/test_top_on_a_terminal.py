"""``python -m memo top`` in a pseudo-terminal, as a user runs it."""

import re
import signal
import sys
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)
for package in ("pexpect", "pyte", "rich"):
    pytest.importorskip(package)

from kit.terminals import OnTerminal  # noqa: E402 (which needs those)

pytestmark = pytest.mark.outside

TABLE = r"^bot\.profile +50/100"


def top(*arguments: str, **options: Any) -> OnTerminal:
    return OnTerminal("-m", "memo", "top", "--every", "100ms", *arguments, **options)


def order(text: str) -> list[str]:
    return re.findall(r"^(?:bot|svc)\.\w+", text, re.MULTILINE)


def test_a_session(service: Any) -> None:
    """At 80x24 the table stands there, sorts, filters, turns to totals and help, follows the size, and q gives back."""
    service.serve()
    with top(service.name) as terminal:
        terminal.shows(TABLE)
        assert terminal.lines[0].startswith(f"memo top  {service.name}  pid ")
        assert "3 functions" in terminal.lines[0]
        assert terminal.lines[-1] == "r reverse  / filter  t since start  m by process  space pause  ? help  q quit"
        terminal.press("n")
        terminal.shows(lambda text: order(text) == ["bot.ask", "bot.profile", "svc.price"])
        terminal.press("e")
        terminal.shows(lambda text: order(text) == ["bot.profile", "svc.price", "bot.ask"])
        terminal.press("r")
        terminal.shows(lambda text: order(text) == ["svc.price", "bot.profile", "bot.ask"])
        terminal.press("th")
        terminal.shows(r"^bot\.profile +50/100 .* ███··· +50%")
        terminal.press("/SVC\r")
        terminal.shows(lambda text: order(text) == ["svc.price"])
        terminal.press("\x1b")
        terminal.shows(lambda text: len(order(text)) == 3)
        terminal.press("m")
        terminal.shows(r"^bot\.p.*@\d+ +50/100")
        terminal.press("m")
        terminal.shows(TABLE)
        terminal.press("?")
        terminal.shows("sort by name: the function's name")
        terminal.press("?")

        terminal.resize(40, 10)
        terminal.shows(r"^bot\.profile +50/100 +50% +100$")
        terminal.shows(r"^\? help  q quit  r reverse  / filter$")
        terminal.resize(120, 30)
        terminal.shows(r"function .* bytes .* errors")
        terminal.shows("^r reverse .* q quit$")

        service.profile(1)
        terminal.shows(r"^bot\.profile .* 101 ")  # calls since the start
        terminal.press("q")
        assert terminal.status() == 0
        assert terminal.is_as_before()
        assert terminal.after == ""
        assert b"\x1b[32m" in terminal.sent or b"\x1b[1;36m" in terminal.sent  # in colours


def test_a_server_that_goes_and_comes_back(service: Any) -> None:
    """What was known stays on the screen while the server is gone, which is said, and moves on when it is back."""
    service.serve()
    with top(service.name, "--sort", "name", NO_COLOR="1") as terminal:
        terminal.shows(TABLE)
        service.server.close()
        terminal.shows("^gone, last heard of")
        assert order(terminal.text) == ["bot.ask", "bot.profile", "svc.price"]
        terminal.press("\x1a")  # there is no shell that would have it go on, so the system does not stop it
        for number in (signal.SIGSTOP, signal.SIGCONT):
            terminal.signal(number)
        terminal.press(" ")
        terminal.shows("^paused; space goes on")
        service.profile(1_000)
        service.serve()
        terminal.press(" ")
        terminal.shows(r"^bot\.profile +51/100")
        assert "gone" not in terminal.text
        terminal.press("q")
        assert terminal.status() == 0
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", terminal.sent)  # no colours


BROKEN = """
import sys
from memo._commands import top
from memo.__main__ import main

drawn = iter(range(2))
draw = top.draw
def broken(*given, **options):
    if next(drawn, None) is None:
        raise RuntimeError("while drawing")
    return draw(*given, **options)
top.draw = broken
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("way", ["ctrl-c", "sigterm", "error", "hang-up"])
def test_every_way_out_gives_the_terminal_back(service: Any, way: str) -> None:
    """Ctrl-C, a signal, an error of its own and the loss of the terminal end it with their status, in order."""
    service.serve()
    command = ["-c", BROKEN, "top"] if way == "error" else ["-m", "memo", "top"]
    with OnTerminal(*command, service.name, "--every", "100ms") as terminal:
        if way != "error":
            terminal.shows(TABLE)
        if way == "hang-up":
            assert terminal.hang_up() == 129
            return
        if way == "ctrl-c":
            terminal.press("\x03")
        elif way == "sigterm":
            terminal.signal(signal.SIGTERM)
        assert terminal.status() == {"ctrl-c": 130, "sigterm": 143, "error": 1}[way]
        assert terminal.is_as_before()
        assert ("while drawing" in terminal.after) == (way == "error")
        assert ("Traceback" in terminal.after) == (way == "error")


def pointed_at(text: str) -> list[str]:
    """The name that is pointed at."""
    return re.findall(r"^> (\S+)", text, re.MULTILINE)


def test_one_of_several_is_chosen(service: Any, own: Any) -> None:
    """Without a target, where several serve, it asks which; a name that nobody has ends it with a sentence."""
    from memo import Registry, bounded

    other = Registry()

    @bounded(max=5, registry=other, name="other.one")
    def one(number: int) -> int:
        return number

    service.serve()
    name = f"{service.name}-z"
    with other.serve(name=name), top() as terminal:
        terminal.shows("^> ")
        while (was := pointed_at(terminal.text)) != [name]:
            terminal.press("\x1b[B")
            terminal.shows(lambda text, was=was: pointed_at(text) != was)
        terminal.press("\r")
        terminal.shows(r"^other\.one +0/5")
        terminal.press("q")
        assert terminal.status() == 0
    with top(f"{service.name}-nobody") as terminal:
        assert terminal.status() == 1
        assert terminal.is_as_before()
        assert f"memo top: no process of this user serves as '{service.name}-nobody'" in terminal.after
