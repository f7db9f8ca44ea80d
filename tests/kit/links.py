"""Links of functions to a tier, without the functions: each member stands for a process, with a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any

from kit.threads import until
from memo._cache import Found, LinkTerms
from memo.shared._envelope import Seal
from memo.shared._line import Line
from memo.shared._links import Links
from memo.shared._names import Names
from memo.shared._parts import TierParts
from memo.shared._shared import Shared
from memo.shared._wire import Wire

__all__ = ("Caller", "MakeMember", "Member", "Results", "Somewhere", "note_in")


class Somewhere:
    """Where a function was decorated: it is the same again as one that says so."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def replaces(self, holder: "Somewhere", *, explicit: bool) -> bool:
        return bool(self.name) and self.name == holder.name


class Results:
    """What a function has in its process: keys, and what was dropped of them."""

    def __init__(self) -> None:
        self.held: set[Hashable] = set()
        self.dropped: list[Any] = []

    def drop(self, keys: Sequence[Hashable]) -> None:
        self.held.difference_update(keys)
        self.dropped.extend(keys)

    def drop_tag(self, tag: str) -> None:
        self.dropped.append(("tag", tag))

    def drop_all(self) -> None:
        self.held.clear()
        self.dropped.append("all")

    def holds(self, key: Hashable) -> bool:
        return key in self.held

    def tags(self) -> Sequence[str]:
        return ()


class Member:
    """A tier as one process has it."""

    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        timeout_s: float = 5.0,
        lease_s: float = 10.0,
        secret: Any = None,
        max_value: int = 100_000,
        readable_keys: bool = False,
        connections: int = 4,
    ) -> None:
        names = Names(prefix)
        self.wire = Wire(url, timeout_s=timeout_s, connections=connections)
        self.line = Line(self, prefix, self.wire, self.wire.breaker, names, log_size=1_000, timeout_s=timeout_s)
        self._parts = TierParts(
            names, self.wire, self.line, Seal(secret), Links(), timeout_s, lease_s, max_value, readable_keys
        )

    def link(
        self,
        name: str = "bot.f",
        *,
        results: Results | None = None,
        stale_s: float = 0.0,
        ttl_s: float | None = 600.0,
        place: Somewhere | None = None,
        is_named: bool = False,
        signature: str = "x",
        **using: Any,
    ) -> Any:
        terms = LinkTerms(
            name=name,
            is_named=is_named,
            signature=signature,
            place=Somewhere() if place is None else place,
            local=Results() if results is None else results,
            ttl_s=ttl_s,
            stale_s=stale_s,
        )
        return Shared(self, **using).link(terms)

    def begin(self) -> "Member":
        """Have it know its place in the log, however long a busy machine takes for that."""
        self.line.begin()
        until(lambda: self.line.place is not None)
        return self

    def close(self) -> None:
        self.line.close()
        self.wire.close()


MakeMember = Callable[..., Member]


class Caller:
    """Calls links as a thread does, or as coroutines do, each in a loop of its own, which goes on as loads do."""

    def __init__(self, colour: str) -> None:
        self.is_async = colour == "async"
        self._loops: list[asyncio.AbstractEventLoop] = []

    def _run(self, awaited: Coroutine[Any, Any, Any]) -> Any:
        self._loops.append(loop := asyncio.new_event_loop())
        return loop.run_until_complete(awaited)

    def close(self) -> None:
        for loop in self._loops:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def ask(self, link: Any, key: Hashable = "k", tags: Sequence[str] = (), **how: Any) -> Any:
        return self._run(link.ask_awaited(key, tags, **how)) if self.is_async else link.ask(key, tags, **how)

    def store(self, link: Any, grant: Any, value: Any, life_s: float = 60.0) -> bool:
        return (
            self._run(link.store_awaited(grant, value, life_s)) if self.is_async else link.store(grant, value, life_s)
        )

    def load(self, link: Any, value: Any, key: Hashable = "k", tags: Sequence[str] = (), life_s: float = 60.0) -> None:
        """Be granted the key, and store *value*."""
        grant = self.ask(link, key, tags)
        assert not isinstance(grant, Found | None)
        assert self.store(link, grant, value, life_s)


def note_in(sent: list[Any], run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What runs commands as *run* does, and notes those of this thread in *sent*."""
    here = threading.current_thread()

    def noted(command: Any) -> Any:
        if threading.current_thread() is here:
            sent.append(command)
        return run(command)

    return noted
