"""How the live page looks and is read out: contrast in both schemes, names of what can be used, figures as text."""

import functools
import itertools
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from kit.browsers import NARROW, WIDE, Begin, asks
from kit.threads import Gate, Running

from memo import Registry, bounded, dedupe_inflight
from memo._base import format_bytes, format_seconds
from memo.testing import FakeClock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.outside

FAINT = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const seen = new Map();
    const parsed = colour => {
        if (!seen.has(colour)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
            seen.set(colour, [r, g, b, a / 255]);
        }
        return seen.get(colour);
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const ground = node => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            layers.push(parsed(getComputedStyle(at).backgroundColor));
            if (layers.at(-1)[3] === 1) break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
    };
    const light = ([r, g, b]) => [r, g, b].map(it => it / 255)
        .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
        .reduce((sum, it, i) => sum + it * [0.2126, 0.7152, 0.0722][i], 0);
    const faint = new Map(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement, style = getComputedStyle(node);
        if (!texts.currentNode.data.trim() || !node.checkVisibility({visibilityProperty: true})) continue;
        if (node.closest(".unseen, script, style, noscript, svg, :disabled")) continue;
        let opacity = 1;
        for (let at = node; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
        const below = ground(node), ink = parsed(style.color);
        const [a, b] = [light(over([...ink.slice(0, 3), ink[3] * opacity], below)), light(below)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        looked++;
        const name = `${node.tagName}.${node.className}: ${texts.currentNode.data.trim()}`;
        if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.set(name, ratio);
    }
    return [looked, [...faint]];
}"""


@pytest.fixture
def everything(own: Registry, clock: FakeClock) -> Any:
    """A registry in which there is something of each kind and state that the page has a look for."""

    class Owner:
        @bounded(max=5, registry=own, name="shop.Owner.itself", tags=("owners",))
        def itself(self) -> "Owner":
            return self

    owner = Owner()
    owner.itself()
    unused = bounded(max=500, registry=own, name="shop.unused")(str)
    for key in range(200):
        unused(key)
    unbounded = functools.cache(len)
    own.adopt(unbounded, name="shop.unbounded")
    gate = Gate()
    pending = dedupe_inflight(timeout=600, registry=own, name="shop.pending")(gate.wait)
    running = Running(pending)
    gate.reached()
    clock.advance(3)
    yield own, owner, unused, unbounded
    gate.open()
    running.result()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_text_can_be_read(everything: Any, visit: Begin, size: tuple[int, int]) -> None:
    """In both schemes all text stands out by 4.5 to 1, large text by 3 to 1 (WCAG AA), in every state of the page."""
    visited = visit(everything[0], size=size, token="a" * 16, actions=True)
    page = visited.go(rows=False)
    page.fill("#token", "b" * 16)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    _is_clear(page, 8)
    page.fill("#token", "a" * 16)
    page.keyboard.press("Enter")
    words = page.locator("#findings-list .severity")
    expect(words.first).to_be_visible()
    assert {word.rpartition(" ")[2].lower() for word in words.all_inner_texts()} == {"high", "medium", "low"}
    page.locator('[data-name="shop.Owner.itself"] button').click()
    page.locator("#pause").click()
    page.locator('[data-name="shop.unused"] td').first.hover()
    _is_clear(page, 90)
    page.locator("#cleanup").click()
    _is_clear(page, 95)
    page.get_by_role("dialog").get_by_role("button", name="Clean up").click()
    expect(page.locator("#told")).to_be_visible()
    _is_clear(page, 90)
    page.locator("#keys").click()
    _is_clear(page, 95)
    page.keyboard.press("Escape")
    page.route("**/stats.json*", lambda route: route.abort())
    page.locator("#pause").click()
    expect(page.locator("#gone")).to_be_visible()
    _is_clear(page, 90)
    visited.forgive("401")
    visited.forgive("ERR_FAILED")


def _is_clear(page: "Page", least: int) -> None:
    """Whether each of at least so many texts can be read, in the light and in the dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        red, *_ = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert (int(red) > 128) == (scheme == "light")
        looked, faint = page.evaluate(FAINT)
        assert looked >= least, f"only {looked} texts were looked at"
        assert faint == [], scheme


USABLE = ("button", "link", "textbox", "searchbox", "combobox", "checkbox", "dialog", "table", "rowheader", "heading")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["table", "cards"])
def test_a_screen_reader_finds_names_and_a_table(everything: Any, visit: Begin, size: tuple[int, int]) -> None:
    """All that can be used has a name, headings are in order, and functions are rows of a table, as cards too."""
    page = visit(everything[0], size=size).go()
    expect(page.locator("#findings-list li").first).to_be_visible()
    page.locator("#rows button.name").first.click()
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""), node)
        for node in nodes
        if not node["ignored"] and "role" in node
    ]
    names = {role: [name for one, name, _ in found if one == role] for role in USABLE}
    for role, given in names.items():
        assert all(given), f"a {role} has no name: {given}"
    assert "Filter functions by name or tag" in names["searchbox"]
    assert names["table"][:2] == ["Functions", "In the air"]
    assert {"shop.Owner.itself", "shop.unused", "shop.unbounded", "shop.pending"} <= {*names["rowheader"]}
    levels = [
        int(prop["value"]["value"])
        for role, _, node in found
        if role == "heading"
        for prop in node["properties"]
        if prop["name"] == "level"
    ]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in itertools.pairwise(levels))
    landmarks = {role for role, _, _ in found}
    assert {"banner", "main", "contentinfo", "status"} <= landmarks
    if size == WIDE:
        columns = page.locator("#table").get_by_role("columnheader")
        assert columns.all_inner_texts()[:3] == ["Function", "Memory", "Entries"]
        assert columns.count() == 10
    assert page.locator("#rows").get_by_role("row").count() == 5
    assert page.locator('#rows [data-name="shop.unused"]').get_by_role("cell").count() == 9


def test_the_status_does_not_chatter(everything: Any, clock: FakeClock, visit: Begin) -> None:
    """Figures change all the time, and only what somebody did, or the server's going, is read out."""
    page = visit(everything[0]).go()
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => said.push(document.querySelector("#status").textContent))
            .observe(document.querySelector("#status"), {childList: true, characterData: true, subtree: true});
    }""")
    for key in range(3):
        everything[2](key)
        clock.advance(2)
        with asks(page):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.focus("th.c-out button")
    page.keyboard.press("Enter")
    assert page.evaluate("said") == ["Sorted by Evicted, falling."]
    assert page.locator("[aria-live], [role=log], [role=timer]").count() == 0


def test_figures_are_written_as_the_registry_writes_them(chrome: "Browser") -> None:
    """Sizes and durations on the page are those of print(registry), but for the space before a spelt-out unit."""
    page = chrome.new_page()
    source = files("memo.exporters._page").joinpath("figures.js").read_text(encoding="utf-8")
    page.add_script_tag(content=source)
    sizes = [0, 1, 999, 1000, 1536, 18_315, 999_499, 999_900, 64_000_000, 123_456_789, 10**13, 7 * 10**16]
    spans = [k * 10.0**power for power in range(-8, 7) for k in (1, 1.234, 2.518, 5.999, 9.997)] + [59.994, 3599.7]
    texts = page.evaluate("([sizes, spans]) => [sizes.map(bytes), spans.map(seconds)]", [sizes, spans])
    assert texts[0] == [_spaced(format_bytes(size)) for size in sizes]
    assert texts[1] == [_spaced(format_seconds(span)) for span in spans]
    shares = [0, 0.0001, 0.5, 0.12345, 0.99999, 1]
    assert page.evaluate("shares => shares.map(percent)", shares) == [
        _spaced(text) for text in ("0%", "0.1%", "50.0%", "12.3%", "99.9%", "100%")
    ]
    names = page.evaluate(
        "names => names.map(name => Object.values(nameParts(name)).join('|'))",
        ["fetch", "bot.fetch", "a.b.Client.get", "shop.services.catalogue.prices.fetch_article", "not a path (v1.2)"],
    )
    assert names == [
        "|fetch",
        "bot.|fetch",
        "a.b.|Client.get",
        "s.s.catalogue.prices.|fetch_article",
        "|not a path (v1.2)",
    ]
    page.close()


def test_calls_a_second_of_workers_that_answer_in_turns(chrome: "Browser") -> None:
    """One that is a little behind is passed over; one that counts anew, as after a restart, begins anew."""
    page = chrome.new_page()
    page.add_script_tag(content=files("memo.exporters._page").joinpath("figures.js").read_text(encoding="utf-8"))
    rates = """points => {
        const pace = new Pace(3);
        return points.map(([at, calls]) => (pace.add(at, calls), pace.rate));
    }"""
    points = [(0, 0), (2, 20), (1.5, 18), (3, 19), (4, 60), (6, 80), (8, 5), (10, 7), (11, None), (12, 8)]
    assert page.evaluate(rates, points) == [None, 10, 10, 10, 15, 15, None, 1, None, None]
    page.close()


def _spaced(text: str) -> str:
    """The same with the page's space before units, and its words for minutes and microseconds."""
    spaced = re.sub(r"(?<=\d)(?=[a-zA-Z%])", "\u202f", text)
    spaced = re.sub(r"m(?= |$)", "min", spaced).replace("us", "µs")
    return re.sub(r"(?<![\d.])\d{4,}", lambda digits: f"{int(digits[0]):,}", spaced)
