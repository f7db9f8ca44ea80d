"""The live page in a real browser, with a real server behind it: what it shows, and how one finds one's way."""

import functools
from typing import TYPE_CHECKING, Any

import pytest
from kit.browsers import NARROW, WIDE, Begin, asks
from kit.paper_tier import PaperTier
from kit.threads import Gate, Running

from memo import Registry, bounded, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.outside

NARROW_GAP = "\u202f"
NONE = "\u2013"


def cells(page: "Page", name: str) -> dict[str, str]:
    """What stands in the row of that name, by the words of the columns."""
    read = """row => Object.fromEntries([...row.querySelectorAll("td")].map(cell =>
        [cell.dataset.label, cell.innerText.trim().replaceAll("\\u202f", " ")]))"""
    found: dict[str, str] = page.locator(f'#rows tr[data-name="{name}"]').evaluate(read)
    return found


def order(page: "Page") -> list[str]:
    """The names of the rows that are shown, in their order."""
    names: list[str] = page.evaluate(
        "[...document.querySelectorAll('#rows tr[data-name]')].filter(row => !row.hidden).map(row => row.dataset.name)"
    )
    return names


def asks_now(page: "Page") -> None:
    """Have the page ask at once, as it does when it is seen again, and wait for the answer."""
    with asks(page):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def many(registry: Registry, count: int) -> list[Any]:
    """So many functions with figures."""

    def load(key: int) -> str:
        return "x" * key

    functions = [
        bounded(max=50, max_bytes="1MB", name=f"shop.part_{i % 7}.load_{i:04}", registry=registry)(load)
        for i in range(count)
    ]
    for i, function in enumerate(functions):
        for key in range(i % 5):
            function(key)
            function(key)
    return functions


def test_each_kind_of_figure_is_shown(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """A row has what its function has, a dash for what it has not; above and below is what concerns them all."""

    @sliding_window("24h", registry=own, name="shop.prices.fetch")
    @bounded(max=100, max_bytes="1MB", ttl="1h", tags=("prices",), registry=own)
    def fetch(article: int) -> str:
        return "x" * 10_000

    for article in (*range(20), *range(20), *range(20), 0, 1):
        fetch(article)
    fetch.cache.invalidate(7)

    @functools.cache
    def rates(day: int) -> int:
        return day

    own.adopt(rates, name="billing.rates")
    for day in range(3):
        rates(day)

    @limit("3/1h", registry=own, name="mail.send")
    def send(address: str) -> None: ...

    send("a")
    gate = Gate()
    waiting = dedupe_inflight(timeout=600, registry=own, name="geo.locate")(gate.wait)
    running = Running(waiting)
    gate.reached()
    clock.advance(75)
    own.janitor(every="1h")
    page = visit(own, name="the-shop").go()
    page.wait_for_selector("#findings-list li")

    price = cells(page, "shop.prices.fetch")
    assert price["Hit ratio"] == "67.7 %"
    assert price["Entries"] == "19 / 100"
    assert price["Memory"].endswith("kB")
    assert price["Evicted"] == "1 invalidated"
    assert price["Window"] == "24 h"
    assert price["p95"] != NONE
    assert page.locator('tr[data-name="shop.prices.fetch"] .spark path').get_attribute("d")
    old = cells(page, "billing.rates")
    assert old["Entries"] == "3 / ∞"
    assert (old["Calls/s"], old["Load"], old["p95"], old["Running"], old["Evicted"]) == (NONE,) * 5
    assert cells(page, "geo.locate")["Running"] == "1, 1 min"

    assert page.inner_text("#t-functions") == "4"
    assert page.inner_text("#t-running") == "1"
    assert "1 min 15 s" in page.inner_text("#air-rows").replace(NARROW_GAP, " ")
    assert "janitor: every 1h" in page.inner_text("#notes-list")
    first = page.locator("#findings-list li").first.inner_text()
    assert "high" in first.lower()
    assert "billing.rates" in first
    assert "unbounded" in first
    assert page.title() == "(1 high) the-shop · memo"
    own.janitor().stop()
    gate.open()
    running.result()


def test_a_function_opens_with_all_its_figures(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """Enter opens the details with every figure, Escape closes them, and the focus stays at the name."""
    function = bounded(max=3, tags=("users",), registry=own, name="shop.load")(str)
    for key in range(9):
        function(key)
    page = visit(own).go()
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    details = page.locator("#rows tr.details")
    text = details.inner_text()
    assert "users" in text
    for words in ("stale hits", "Evicted, by reason", "Running calls", "share of all memory"):
        assert words in text, words
    assert page.locator("button.name").get_attribute("aria-expanded") == "true"
    assert not details.get_by_role("button").all(), "nothing can be cleared where actions are off"
    page.keyboard.press("Escape")
    assert details.count() == 0
    assert page.evaluate("document.activeElement.className") == "name"


def test_a_thousand_functions_by_keyboard(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """They are drawn at once; the keyboard alone sorts, filters and walks; a call changes its own row and no other."""
    functions = many(own, 1_000)
    visited = visit(own)
    layouts = visited.count_layouts()
    page = visited.go()
    assert layouts() <= 10, "the page is laid out once it is drawn, not row by row"
    assert page.locator("#rows tr").count() == 1_000

    page.focus("th.c-entries button")
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").evaluate_all(
        "heads => heads.map(it => [it.innerText.trim(), it.ariaSort])"
    ) == [["Entries", "descending"]]
    assert order(page)[:2] == ["shop.part_0.load_0014", "shop.part_0.load_0049"]
    page.keyboard.press("Enter")
    assert page.get_attribute("th.c-entries", "aria-sort") == "ascending"
    assert order(page)[:2] == ["shop.part_0.load_0000", "shop.part_0.load_0035"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert order(page)[0] == "shop.part_0.load_0000"
    assert page.get_attribute("th.c-name", "aria-sort") == "ascending"

    page.keyboard.press("/")
    page.keyboard.type("PART_3 load_0")
    assert len(order(page)) == 143
    assert page.inner_text("#matches") == "143 of 1,000"
    expect(page.locator("#status")).to_have_text("143 of 1,000 functions.")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('tr').dataset.name") == order(page)[2]
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('tr').dataset.name") == order(page)[-1]
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert len(order(page)) == 1_000
    assert page.locator("#rows button[tabindex='0']").count() == 1, "Tab stops once at the rows, not a thousand times"

    clock.advance(2)
    asks_now(page)
    expect(page.locator('tr[data-name="shop.part_3.load_0500"] .c-rate')).to_have_text("0")
    page.evaluate("""() => {
        const rows = document.querySelector("#rows");
        window.touched = new Set();
        new MutationObserver(all => all.forEach(one => {
            const node = one.target.nodeType === 1 ? one.target : one.target.parentElement;
            touched.add(node.closest("tr")?.dataset.name ?? node.id);
        })).observe(rows, {subtree: true, childList: true, characterData: true, attributes: true});
    }""")
    before = layouts()
    functions[500](49)
    clock.advance(2)
    asks_now(page)
    expect(page.locator('tr[data-name="shop.part_3.load_0500"]')).to_contain_text("1 / 50")
    touched = set(page.evaluate("[...touched]"))
    assert touched == {"shop.part_3.load_0500"}
    assert layouts() <= before + 10


HOSTILE = {
    "script": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "quotes": "a\"b'c`d&lt;e</td></tr></table>",
    "long": "long." + "n" * 10_000,
    "unbroken": "x" * 300,
    "reversed": "abc\u202egnp.exe\u2066 ﷽",
    "hebrew": "חנות.מחירים.טען",
    "lines": "line\nfeed\x00nul\x1b[31m\u2028sep",
    "surrogate": "half \ud800 pair",
    "marks": "z" + "\u0301" * 500,
    "empty part": "..a..",
    "prototype": "__proto__",
    "constructor": "constructor",
}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_hostile_names_are_text(own: Registry, clock: FakeClock, visit: Begin, size: tuple[int, int]) -> None:
    """A name is shown as text, whatever stands in it; none runs, breaks the page, or makes it wider than it is."""
    kept = [bounded(max=3, registry=own, name=name, tags=(name[:500],))(str) for name in HOSTILE.values()]
    for function in kept:
        for key in range(4):
            function(key)
    page = visit(own, size=size).go()
    assert sorted(order(page)) == sorted(page.evaluate("names => names", list(HOSTILE.values())))
    while page.locator("button.name[aria-expanded=false]").count():
        page.locator("button.name[aria-expanded=false]").first.click()
    assert page.locator("#rows tr.details").count() == len(HOSTILE)
    assert page.locator("main :is(img, script, iframe)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    tall = page.evaluate(
        "Math.max(...[...document.querySelectorAll('#rows tr[data-name]')].map(it => it.offsetHeight))"
    )
    assert tall < (60 if size == WIDE else 250)
    shown = page.inner_text("#rows")
    assert HOSTILE["script"] in shown
    assert "\\u{202e}" in shown
    assert "\u202e" not in shown
    assert "\\u{d800}" in shown
    named = page.locator("button.name").evaluate_all("all => all.map(it => it.ariaLabel)")
    assert any(HOSTILE["hebrew"] in name for name in named)
    assert any(HOSTILE["unbroken"] in name for name in named)


@pytest.mark.parametrize("size", [WIDE, (1000, 800), NARROW], ids=["wide", "middle", "narrow"])
def test_nothing_scrolls_sideways(own: Registry, clock: FakeClock, visit: Begin, size: tuple[int, int]) -> None:
    """At any width each row lies within the page, as a row or as a card with the words of its figures."""
    functions = many(own, 10)
    page = visit(own, size=size).go()
    page.locator("button.name").first.click()
    assert page.locator("#rows tr.details").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    inner = page.locator("#rows tr[data-name]").first.evaluate("row => [row.clientWidth, row.scrollWidth]")
    assert inner[0] >= inner[1]
    wide = page.locator("#rows tr.details").evaluate("row => row.getBoundingClientRect().right")
    assert wide <= size[0]
    is_card = page.locator("#rows tr[data-name]").first.evaluate("row => getComputedStyle(row).display") == "grid"
    assert is_card == (size == NARROW)
    if is_card:
        words = "td => getComputedStyle(td, '::before').content"
        assert page.locator("#rows td.c-entries").first.evaluate(words) == '"Entries"' or "attr" in words
        page.select_option("#sort", "name")
        page.click("#turn")
        assert order(page)[0] == "shop.part_6.load_0006"
    assert len(functions) == 10, "they are held, weakly as the registry has them"


def test_tiers_are_a_section_of_their_own(own: Registry, clock: FakeClock, visit: Begin) -> None:
    """It is there only where results are shared, says each tier's state in words, and goes with the last function."""
    alone = bounded(max=3, name="shop.alone", registry=own)(str)
    alone(1)
    tier = PaperTier(clock)
    page = visit(own).go()
    assert page.locator("#tiers").is_hidden()
    shared = bounded(max=3, ttl="1h", shared=tier, name="shop.shared", registry=own)(str)
    shared(1)
    clock.advance(1)
    asks_now(page)
    assert page.locator("#tiers").is_visible()
    read = page.inner_text("#tiers-rows").replace(NARROW_GAP, " ").split()
    assert read == ["paper", "at", "paper://desk", "up", "250", "ms", "0", "0", "0", "0", "0"]
    tier.is_down = True
    clock.advance(1)
    asks_now(page)
    assert page.inner_text("#tiers-more") == "1 of 1 not up"
    assert "down" in page.inner_text("#tiers-rows")
    page.locator('button.name[aria-label="shop.shared"], button.name', has_text="shared").first.click()
    assert "tier misses" in page.locator("#rows tr.details").inner_text()
