"""Services to look at."""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.processes import HANG_S

from memo import Registry, bounded, dedupe_inflight

_NUMBERS = itertools.count()


class Service:
    """A registry with a few functions that was called, and what serves it, under a name that no other test has."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.name = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.server: Any = None

        @bounded(max=100, max_bytes="1MB", name="bot.profile", tags=("bot",), registry=registry)
        def profile(number: int) -> int:
            return number

        @bounded(max=10, name="svc.price", registry=registry)
        def price(number: int) -> int:
            return number

        @dedupe_inflight(name="bot.ask", registry=registry)
        def ask(number: int) -> int:
            return number

        self.profile, self.price, self.ask = profile, price, ask
        for number in range(25):
            price(number)
            ask(number)
        for number in (*range(50), *range(50)):
            profile(number)

    def serve(self, **options: Any) -> Any:
        """Begin to serve, or begin anew."""
        self.server = self.registry.serve(name=self.name, **options)
        return self.server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process wait for processes as long as they take, since that depends on the machine."""
    for patience in ("ps._PATIENCE_S", "targets._PATIENCE_S", "targets._SHORT_S"):
        monkeypatch.setattr(f"memo._commands.{patience}", HANG_S)


@pytest.fixture
def service(own: Registry) -> Iterator[Service]:
    """A service that is there, and not served yet."""
    made = Service(own)
    yield made
    if made.server is not None:
        made.server.close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have no other process of this user serve, as far as commands in this process can tell, but services named so."""
    from memo._commands import ps, targets
    from memo.exporters import serving

    def only(*names: str) -> None:
        for module in (ps, targets):
            monkeypatch.setattr(module, "serving", lambda: [place for place in serving() if place.name in names])

    return only
