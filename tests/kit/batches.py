"""A function of many keys, of either colour, that notes how it is called and can be held up."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from kit.coroutines import play, some_turns, until_async
from memo import bounded_many

__all__ = ("COLOURS", "Held", "Source", "answered")

COLOURS = ("plain", "coroutine")


class Source:
    """What a decorated function of many keys loads from.

    Attributes:
        calls: The keys of each call.
        lacking: Keys that have no value.
        before: Called at the beginning of each call with its keys; what it returns may be awaited.
        many: The decorated function.
    """

    def __init__(self, colour: str, **options: Any) -> None:
        self.calls: list[list[Any]] = []
        self.lacking: set[Any] = set()
        self.before: Callable[[list[Any]], Any] = lambda keys: None
        self.version = 0

        def many(names: list[Any], lang: str = "en") -> dict[Any, Any]:
            self._note(names)
            self.before(names)
            return self._values(names, lang)

        async def many_awaited(names: list[Any], lang: str = "en") -> dict[Any, Any]:
            self._note(names)
            waiting = self.before(names)
            if inspect.isawaitable(waiting):
                await waiting
            else:
                await asyncio.sleep(0)
            return self._values(names, lang)

        options = {"max": 100, **options}
        self.many: Any = bounded_many(**options)(many_awaited if colour == "coroutine" else many)  # type: ignore[call-overload]

    def _note(self, names: list[Any]) -> None:
        assert type(names) is list
        self.calls.append(list(names))

    def _values(self, names: Iterable[Any], lang: str) -> dict[Any, Any]:
        version = self.version
        return {name: f"{name}-{lang}{version or ''}" for name in names if name not in self.lacking}


class Held:
    """Holds up a source's awaited calls, each until its first key is let go, and notes those that were cancelled."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.cancelled: list[list[str]] = []
        self._events: dict[str, asyncio.Event] = {}
        source.before = self._wait

    def let(self, key: str) -> None:
        self._event(key).set()

    def _event(self, key: str) -> asyncio.Event:
        return self._events.setdefault(key, asyncio.Event())

    def _wait(self, keys: list[str]) -> Awaitable[None]:
        async def wait() -> None:
            try:
                await self._event(keys[0]).wait()
            except asyncio.CancelledError:
                self.cancelled.append(keys)
                raise

        return wait()

    async def begun(self, number: int) -> None:
        """Wait until the function has been called so many times."""
        await until_async(lambda: len(self.source.calls) == number)
        await some_turns()


def answered(call: Callable[[], Any]) -> Any:
    """What a call returns, awaited if need be."""

    async def main() -> Any:
        result = call()
        return await result if inspect.isawaitable(result) else result

    return play(main)
