"""A browser of this machine, and pages that tell what went wrong in them."""

import functools
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

    from memo import Registry

__all__ = ("NARROW", "WIDE", "Begin", "Visit", "asks", "browser", "chromium", "pass_time")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 10_000
FIGURES = "**/stats.json*"
WIDE = (1280, 900)
NARROW = (390, 844)

TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", event =>
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@functools.cache
def chromium() -> str | None:
    """A Chromium that runs here, by its path; None if there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path is None:
            continue
        try:  # what is called so may only tell how it could be installed
            asked = subprocess.run([path, "--version"], capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            return path
    return None


@contextmanager
def browser() -> "Iterator[Browser]":
    """A headless browser; the test that asks is skipped where there is none, and the reason says so."""
    from playwright.sync_api import sync_playwright  # the modules of tests that need it skip where it is not

    path = chromium()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} runs; .ci/run installs one where it can")
    with sync_playwright() as playwright:
        # Its own sandbox needs rights that root and containers do not have; the pages are our own.
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield found
        finally:
            found.close()


class Visit:
    """A visit to a page: its tab, and what was wrong there.

    Attributes:
        page: The tab.
        wrong: Errors of scripts, violations of the policy, what the browser complained of.
        asked: Each request's method and path.
    """

    def __init__(self, browser: "Browser", url: str, size: tuple[int, int], scheme: str) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.add_init_script(TELL_VIOLATIONS)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self.asked.append(f"{request.method} {request.url[len(url) - 1 :]}"))

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def go(self, *, rows: bool = True) -> "Page":
        """Open the page, and wait until it shows rows."""
        self.page.goto(self.url)
        if rows:
            self.page.wait_for_selector("#rows tr")
        return self.page

    def go_by_clock(self, *, rows: bool = True) -> "Page":
        """Open the page such that its time goes on only by ``page.clock.run_for()``."""
        begun = time.time()
        self.page.clock.install(time=begun - 3_600)  # until it is paused it goes on, and it is never put back
        self.page.clock.pause_at(begun)  # before the page is there: no timer of it ends by the time that really passes
        return self.go(rows=rows)

    def count_layouts(self) -> Callable[[], int]:
        """Have the browser count how often it lays the page out; what is returned tells how often it has."""
        session = self._context.new_cdp_session(self.page)
        session.send("Performance.enable")

        def count() -> int:
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            return int(metrics["LayoutCount"])

        return count

    def forgive(self, text: str) -> None:
        """Take back complaints that have *text* in them: there is one at least."""
        kept = [one for one in self.wrong if text not in one]
        assert len(kept) < len(self.wrong), f"no complaint about {text!r}: {self.wrong}"
        self.wrong[:] = kept

    def close(self) -> None:
        """End the visit; whatever was wrong and not forgiven fails the test."""
        self._context.close()
        assert self.wrong == []


@contextmanager
def asks(page: "Page") -> Iterator[None]:
    """Within the block the page asks for figures, once; after it, it has done all that follows from the answer.

    The answer's arrival does not tell that: the page's scripts take it in later, and only then set the timer of their
    next question.  A clock that was moved on before would not reach that timer, and the page would ask no more.
    """
    with page.expect_response(FIGURES):
        yield
    _is_done(page)


def pass_time(page: "Page", ms: int) -> None:
    """Have the page's clock go on, and wait until what the page then asks for is answered, or refused, and taken in."""
    page.clock.run_for(ms)
    _is_done(page)


def _is_done(page: "Page") -> None:
    page.wait_for_selector("#link:not([data-asking])", state="attached")


class Begin(Protocol):
    """Serves a registry and visits its page."""

    def __call__(
        self, registry: "Registry", size: tuple[int, int] = WIDE, scheme: str = "light", **options: Any
    ) -> Visit: ...
