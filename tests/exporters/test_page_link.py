"""The live page and its server: gone and back, hidden and paused, locked by a token, and told to change something."""

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from kit.browsers import Begin, Visit, asks, pass_time
from kit.places import ROOT
from kit.ports import free_port

from memo import Registry, bounded
from memo.testing import FakeClock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.outside

TOKEN = "correct-horse-battery"


@pytest.fixture
def loads(own: Registry) -> object:
    """A function of the registry, called a few times."""
    function = bounded(max=9, tags=("users",), registry=own, name="shop.load")(str)
    for key in range(5):
        function(key)
    return function


def polls(visited: Visit) -> int:
    """How often the page has asked for figures."""
    return sum("stats.json" in asked for asked in visited.asked)


def has_polled(page: "Page") -> None:
    """Have the page's clock pass two seconds, and wait until it has taken in the answer that it then asks for."""
    with asks(page):
        page.clock.run_for(2_000)


def test_the_server_goes_and_comes_back(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """While there is no answer the page says so, keeps what it has, asks less and less often, and sees it come back."""
    port = free_port()
    visited = visit(own, http=port)
    page = visited.go_by_clock()
    has_polled(page)
    expect(page.locator("#report-age")).not_to_be_empty()
    own.serve(http=0, socket=False).close()  # in the place of the first, which it closes
    pass_time(page, 2_000)
    expect(page.locator("#gone")).to_contain_text("No answer from the server.")
    expect(page.locator("#gone")).to_contain_text("next try is in 2")
    expect(page.locator("#status")).to_have_text("No answer from the server. What is shown is old.")
    assert page.locator("#rows tr").count() == 1
    assert page.title().startswith("no answer: ")

    for expected in ("4", "8", "16", "30", "30"):
        pass_time(page, 31_000 if expected == "30" else int(expected) * 500 + 300)
        expect(page.locator("#gone-next")).to_contain_text(f"in {expected}")
    with own.serve(http=port, socket=False):
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator("#gone")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("The server answers again.")
        assert page.locator("#rows tr").count() == 1
    visited.forgive("ERR_CONNECTION_REFUSED")


def test_a_hidden_page_does_not_ask(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """Hidden it asks for nothing; seen again it asks at once."""
    visited = visit(own)
    page = visited.go_by_clock()
    has_polled(page)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    before = len(visited.asked)
    pass_time(page, 200_000)
    assert len(visited.asked) == before
    with asks(page):
        page.evaluate(hide, False)
    has_polled(page)


def test_a_paused_page_does_not_ask(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """The key p pauses it and says so, and has it go on; in a field, and with single keys off, it is a letter."""
    visited = visit(own)
    page = visited.go_by_clock()
    expect(page.locator("#report-age")).not_to_be_empty()
    page.keyboard.press("p")
    expect(page.locator("#link")).to_have_text("Paused")
    assert page.get_by_role("button", name="Go on").get_attribute("aria-pressed") == "true"
    before = polls(visited)
    pass_time(page, 60_000)
    assert polls(visited) == before
    page.keyboard.press("/")
    page.keyboard.press("p")
    assert page.input_value("#filter") == "p"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    with asks(page):
        page.keyboard.press("p")
    expect(page.locator("#link")).to_have_text("Live")

    page.keyboard.press("?")
    page.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(page.locator("#link")).to_have_text("Live")


def test_the_page_asks_for_the_token(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """Without the token there are no figures but a field; a wrong one is told; the right one is kept nowhere."""
    visited = visit(own, token=TOKEN)
    page = visited.go(rows=False)
    field = page.get_by_label("Token")
    expect(field).to_be_focused()
    expect(page.locator("#shown")).to_be_hidden()
    page.keyboard.type("something else, as long")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    expect(field).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tr")
    assert field.input_value() == ""
    assert not any(TOKEN in asked for asked in visited.asked)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert TOKEN not in kept
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()
    visited.forgive("401")


def test_actions_ask_first(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """Each action says what it will do and waits for a yes; Escape leaves everything as it was."""
    visited = visit(own, token=TOKEN, actions=True)
    page = visited.go(rows=False)
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.locator("button.name").click()
    clear = page.get_by_role("button", name="Clear this function")
    clear.click()
    dialog = page.get_by_role("dialog", name="Clear this function?")
    expect(dialog).to_contain_text("shop.load")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(clear).to_be_focused()
    assert len(own["shop.load"].cache or ()) == 5
    assert not any("actions" in asked for asked in visited.asked)

    clear.click()
    dialog.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Clear: done.")
    expect(page.locator("#told")).to_contain_text("entries: 5")
    assert len(own["shop.load"].cache or ()) == 0

    for button, yes in (("Invalidate tag users", "Invalidate"), ("Clean up", "Clean up"), ("Clear all", "Clear all")):
        page.get_by_role("button", name=button).click()
        page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()
        expect(page.locator("#status")).to_contain_text(f"{yes}: done.")
    assert [asked for asked in visited.asked if "actions" in asked] == [
        "POST /actions/clear",
        "POST /actions/invalidate",
        "POST /actions/cleanup",
        "POST /actions/clear",
    ]
    visited.forgive("401")


def test_what_has_the_focus_keeps_it(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """Figures of other kinds come to an opened function, and its button that would clear it is still the same."""
    load = bounded(max=3, registry=own, name="shop.load")(str)
    visited = visit(own, token=TOKEN, actions=True)
    page = visited.go_by_clock(rows=False)
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.locator("button.name").click()
    expect(page.locator("tr.details")).to_contain_text("Leak report")
    button = page.get_by_role("button", name="Clear this function")
    button.focus()
    for key in range(5):
        load(key)
    clock.advance(2)
    has_polled(page)
    expect(page.locator("tr.details")).to_contain_text("Evicted, by reason")
    expect(button).to_be_focused()
    visited.forgive("401")


def test_functions_come_and_go(own: Registry, clock: FakeClock, loads: object, visit: Begin) -> None:
    """A function that is decorated later gets a row, one that is gone loses it, and what is opened stays open."""
    visited = visit(own)
    page = visited.go_by_clock()
    page.locator("button.name").click()
    later = bounded(max=2, registry=own, name="shop.later")(str)
    later(1)
    clock.advance(2)
    pass_time(page, 2_000)
    expect(page.locator('tr[data-name="shop.later"]')).to_contain_text("1 / 2")
    assert page.locator("tr.details").count() == 1
    del later
    clock.advance(2)
    pass_time(page, 2_000)
    expect(page.locator('tr[data-name="shop.later"]')).to_have_count(0)
    assert page.locator("tr.details").count() == 1


SIBLING = """
import sys
from memo import bounded, registry

load = bounded(max=9, name="shop.load")(str)
for key in range(3):
    load(key)
with registry.serve(name="shop"):
    print("serving", flush=True)
    sys.stdin.read()
"""


def test_several_processes_are_one_table(
    own: Registry, loads: object, visit: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures of all processes are added, or told one by one; what only one of them knows is said to be its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with subprocess.Popen(
            [sys.executable, "-c", SIBLING], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sibling:
            assert sibling.stdin is not None
            assert sibling.stdout is not None
            assert sibling.stdout.readline() == "serving\n"
            page = visit(own, name="shop", socket=True).go()
            expect(page.locator("#process-rows tr")).to_have_count(2)
            expect(page.locator('tr[data-name="shop.load"] .c-entries')).to_have_text("8 / 18")
            expect(page.locator("#report-age")).to_contain_text("leak report of pid")
            page.get_by_role("button", name="By process").click()
            row = page.locator(f'tr[data-name="shop.load@{sibling.pid}"]')
            expect(row.locator(".c-entries")).to_have_text("3 / 9")
            assert page.locator("#rows tr").count() == 2
            sibling.stdin.close()


def test_an_empty_registry_says_so(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """Without any function there is a sentence instead of an empty table."""
    page = visit(own).go(rows=False)
    expect(page.locator("#empty")).to_have_text("This registry has no decorated function yet.")
    expect(page.get_by_role("heading", name="Nothing to look at")).to_be_visible()
