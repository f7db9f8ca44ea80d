"""A shop with a day behind it, as the live page shows it, and pictures of that for the documentation.

PYTHONPATH=.:tests python -m kit.pictured docs
"""

import functools
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.browsers import NARROW, WIDE, Visit, asks, browser
from kit.threads import Gate, Running
from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock

if TYPE_CHECKING:
    from playwright.sync_api import Route

__all__ = ("Shop", "open_shop")


class Shop:
    """Functions of a shop with their figures; calls under way end when it is closed."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.opened = clock()
        self.registry = Registry()
        self.chance = random.Random(11)
        self.gate = Gate()
        self.calls: list[tuple[Callable[..., object], int, float]] = []
        self.slow = 0.0
        self._make()

    def _cached(self, name: str, seconds: float, size: int, keys: int, share: float, **options: Any) -> None:
        """A function that takes so many seconds, whose values have that size, asked for so many keys."""

        @sliding_window("24h", registry=self.registry, name=name)
        @bounded(registry=self.registry, **options)
        def load(key: int) -> str:
            self.clock.advance(seconds * self.chance.uniform(0.6, 1.8))
            return "x" * self.chance.randrange(size // 2, 2 * size)

        self.calls.append((load, keys, share))

    def _make(self) -> None:
        cached = self._cached
        cached("shop.catalogue.prices.fetch", 0.002, 900, 900, 1.0, max=500, ttl="2h", tags=("prices",))
        cached("shop.catalogue.articles.load", 0.006, 9_000, 800, 0.8, max=1_000, max_bytes="8MB", ttl="24h")
        cached("shop.search.suggest", 0.004, 2_500, 60, 0.9, max=200, ttl="1h")
        cached("shop.media.avatars.resize", 0.03, 24_000, 90, 0.3, max=64, max_bytes="2MB")
        cached("shop.users.sessions.Sessions.of", 0.001, 700, 300, 0.7, max=1_000, ttl="30m", tags=("users",))
        cached("shop.billing.rates.convert", 0.09, 300, 24, 0.2, max=100, ttl="1h", stale_while_revalidate="10m")
        cached("shop.shipping.quotes.ask", 0.04, 600, 100_000, 0.25, max=250, ttl="15m")

        @functools.cache
        def country_of(address: int) -> str:
            return f"country of {address}"

        self.calls.append((country_of, 100_000, 0.2))
        self.registry.adopt(country_of, name="shop.geo.country_of")

    def live_a_day(self, calls: int = 40) -> None:
        """A day of calls: few at night, most in the evening."""
        for busy in (2, 1, 1, 2, 4, 6, 7, 6, 8, 10, 9, 5):
            for _ in range(busy):
                for function, keys, share in self.calls:
                    for _ in range(int(calls * share * self.chance.uniform(0.3, 1.7))):
                        function(int(keys * self.chance.random() ** 4))
                self.clock.advance(7200 / busy)
        self.registry.cleanup()

    def live(self, calls: int) -> None:
        """A moment of calls."""
        for function, keys, share in self.calls:
            for _ in range(int(calls * share * self.chance.uniform(0.5, 1.5))):
                function(int(keys * self.chance.random() ** 4))

    def tell_its_age(self, route: "Route") -> None:
        """Answer as the server does, for a process as old as the day that it has lived by its own clock."""
        told = route.fetch().json()
        told["process"] |= {"pid": 4242, "uptime": self.clock() - self.opened}
        told["processes"][0] |= {"pid": 4242, "uptime": self.clock() - self.opened}
        route.fulfill(json=told)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Within the block two calls are under way."""
        pending = dedupe_inflight(timeout=900, registry=self.registry, name="shop.assistant.answer")(self.gate.wait)
        other = dedupe_inflight(timeout=900, registry=self.registry, name="shop.stock.reserve")(self.gate.wait)
        running = [Running(pending)]
        self.gate.reached()
        self.clock.advance(11)
        running.append(Running(other))
        self.gate.reached()
        self.clock.advance(1.4)
        try:
            yield
        finally:
            self.gate.open()
            for one in running:
                one.result()


@contextmanager
def open_shop() -> Iterator[Shop]:
    """A shop with a day behind it, and two calls under way."""
    with FakeClock() as clock:
        shop = Shop(clock)
        shop.live_a_day()
        with shop.registry.janitor(every="1h"), shop.busy():
            yield shop


def take_pictures(folder: Path) -> None:
    """Save the page, wide and light, narrow and dark."""
    with open_shop() as shop, shop.registry.serve(http=0, socket=False, name="shop") as server, browser() as found:
        assert server.url is not None
        wide, narrow = Visit(found, server.url, WIDE, "light"), Visit(found, server.url, NARROW, "dark")
        for one in (wide, narrow):
            one.page.route("**/stats.json*", shop.tell_its_age)
            one.page.clock.install()
            one.go()
        for _ in range(45):
            shop.live(12)
            shop.clock.advance(2)
            for one in (wide, narrow):
                with asks(one.page):
                    one.page.clock.run_for(2_000)
        narrow.page.evaluate("document.querySelector('#functions').scrollIntoView()")
        for one, name in ((wide, "live_page_wide.png"), (narrow, "live_page_narrow.png")):
            one.page.screenshot(path=folder / name)
            one.close()


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
