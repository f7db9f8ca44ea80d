"""What the tests of freshness share."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kit.threads import Gate, Running, until
from memo import Registry, bounded
from memo.testing import FakeClock

__all__ = (
    "BOTH",
    "COUNTERS",
    "ERRORS",
    "EVERY",
    "SIE",
    "SWR",
    "TTL",
    "Awaited",
    "Body",
    "Make",
    "Scene",
    "failing",
    "on_async_class_method",
    "on_async_method",
    "on_async_static_method",
    "on_class_method",
    "on_coroutine",
    "on_function",
    "on_method",
    "on_static_method",
    "warned",
)

TTL = 10


SWR = {"ttl": TTL, "stale_while_revalidate": 20}

SIE = {"ttl": TTL, "stale_if_error": 20}

COUNTERS = ("hits", "misses", "joins", "stale_hits", "error_hits")


class Body:
    """What the decorated function does: counts, waits at a gate, fails or returns."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.error: BaseException | None = None
        self.gate: Gate | None = None
        self.result: Callable[[str, int], Any] = lambda name, number: f"{name}{number}"

    def __call__(self, name: str) -> Any:
        self.calls.append(name)
        number, gate = len(self.calls), self.gate
        if gate is not None:
            gate.wait()
        if self.error is not None:
            raise self.error
        return self.result(name, number)

    async def awaited(self, name: str) -> Any:
        self.calls.append(name)
        number, gate = len(self.calls), self.gate
        if gate is not None:
            gate.entered.set()
            while not gate.opened.is_set():
                await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.result(name, number)


class Scene:
    """One decorated function in one placement, its clock, and (for coroutines) its loop."""

    def __init__(self, place: "Callable[[Body, Any], Any]", is_async: bool, **options: Any) -> None:
        self.body = Body()
        self.clock = FakeClock()
        self.registry = Registry()
        self.is_async = is_async
        self.loop = asyncio.new_event_loop() if is_async else None
        self.reach = place(self.body, bounded(**{"max": 8, **options}, clock=self.clock, registry=self.registry))

    @property
    def cache(self) -> Any:
        return self.reach().cache

    def run(self, call: Callable[[], Any]) -> Any:
        """The result of *call*, awaited if it has to be."""
        return call() if self.loop is None else self.loop.run_until_complete(self._as_task(call))

    async def _as_task(self, call: Callable[[], Any]) -> Any:
        return await call()

    def __call__(self, name: str = "a") -> Any:
        return self.run(lambda: self.reach()(name))

    def begin(self, call: Callable[[], Any] | None = None) -> Any:
        """A call of its own thread or task: ``result()`` of what is returned gives its end."""
        made = call or (lambda: self.reach()("a"))
        if self.loop is None:
            return Running(made)
        return Awaited(self.loop, self.loop.create_task(self._as_task(made)))

    def until(self, condition: Callable[[], object]) -> None:
        if self.loop is None:
            until(condition)
            return

        async def turn() -> None:
            for _ in range(5000):
                if condition():
                    return
                await asyncio.sleep(0)
            pytest.fail("the condition never came true")

        self.loop.run_until_complete(turn())

    def hold(self) -> Gate:
        """Have loads that begin from now on stand at a gate."""
        self.body.gate = Gate()
        return self.body.gate

    def settle(self) -> None:
        """Let all background loads end."""
        results, pool = self.cache._cache, self.registry.pool
        self.until(lambda: not (results.jobs or results.table or pool.busy or pool.queued))

    @property
    def counts(self) -> tuple[int, ...]:
        stats = self.cache.stats()
        return tuple(getattr(stats, name) for name in COUNTERS)

    def close(self) -> None:
        if self.body.gate is not None:
            self.body.gate.open()
        if self.loop is not None and not self.loop.is_closed():
            self.settle()
            self.loop.close()


class Awaited:
    """A task of a loop that runs only when asked to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
        self.loop, self.task = loop, task

    def result(self) -> Any:
        return self.loop.run_until_complete(self.task)

    def error(self) -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
            self.loop.run_until_complete(self.task)
        return caught.value


def on_function(body: Body, decorate: Any) -> Any:
    @decorate
    def fetch(name: str) -> Any:
        return body(name)

    return lambda: fetch


def on_coroutine(body: Body, decorate: Any) -> Any:
    @decorate
    async def fetch(name: str) -> Any:
        return await body.awaited(name)

    return lambda: fetch


def on_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        def fetch(self, name: str) -> Any:
            return body(name)

    service = Service()
    return lambda: service.fetch


def on_async_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        async def fetch(self, name: str) -> Any:
            return await body.awaited(name)

    service = Service()
    return lambda: service.fetch


def on_class_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @classmethod
        def fetch(cls, name: str) -> Any:
            return body(name)

    return lambda: Service.fetch


def on_async_class_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @classmethod
        async def fetch(cls, name: str) -> Any:
            return await body.awaited(name)

    return lambda: Service.fetch


def on_static_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @staticmethod
        def fetch(name: str) -> Any:
            return body(name)

    return lambda: Service.fetch


def on_async_static_method(body: Body, decorate: Any) -> Any:
    class Service:
        @staticmethod
        @decorate
        async def fetch(name: str) -> Any:
            return await body.awaited(name)

    service = Service()
    return lambda: service.fetch


BOTH = [on_function, on_coroutine]

EVERY = [
    *BOTH, on_method, on_async_method, on_class_method, on_async_class_method, on_static_method, on_async_static_method,
]  # fmt: skip

Make = Callable[..., Scene]


def failing(make: Make, **options: Any) -> Scene:
    """A function whose loads fail."""
    scene = make(**options)
    scene.body.error = LookupError("down")
    return scene


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "memo"]


ERRORS = {"cache_errors": LookupError, "error_ttl": 5}
