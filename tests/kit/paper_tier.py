"""A tier within the process, for tests of what the engine makes of a tier's answers, in any order.

It keeps what a tier promises of a ``Link`` (leases, generations, messages), and no more: what is said of servers is
tested against servers.  Functions of one name that are decorated with ``shared=`` one such tier stand for processes.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from kit.strikes import spared
from kit.threads import LIMIT_S
from memo._cache.tier_link import Found, LinkFigures, LinkTerms
from memo.shared import TierStats

__all__ = ("Deaf", "PaperGrant", "PaperLink", "PaperTier", "quiet")


def quiet(step: str) -> None:
    """What is done at a step where nothing is."""


class _Stored(NamedTuple):
    value: Any
    at: float
    life_s: float
    stale_s: float
    generations: tuple[int, ...]


class _Lease:
    """A key that one function loads for all."""

    def __init__(self, link: "PaperLink", key: Hashable, tags: Sequence[str]) -> None:
        self.link = link
        self.key = key
        self.tags = tags
        self.generations = link.generations(tags)
        self.end: list[str] = []
        """What it came to: "stored", "refused", "released", "lost"."""


class PaperGrant:
    """The leave to load, which goes with whoever drops it."""

    def __init__(self, lease: _Lease, stale: Found | None) -> None:
        self.lease = lease
        self.stale = stale

    def __del__(self) -> None:
        self.lease.link.release(self)


class Deaf:
    """Results of a process that hears nothing: no message comes."""

    def drop(self, keys: Sequence[Hashable]) -> None:
        """Whatever was changed."""


class PaperTier:
    """What all functions of one tier have in common.

    Args:
        clock: Measures what is stored.
        local_s: What ``local_ttl=`` says.
    """

    def __init__(self, clock: Callable[[], float], local_s: float | None = None) -> None:
        self.clock = clock
        self.local_s = local_s
        self.lock = threading.RLock()
        self.stored: dict[tuple[str, Hashable], _Stored] = {}
        self.leases: dict[tuple[str, Hashable], _Lease] = {}
        self.generations: dict[str, int] = {}
        self.links: list[PaperLink] = []
        self.is_down = False
        self.waiting: dict[tuple[str, Hashable], list[Callable[[], object]]] = {}

    def __repr__(self) -> str:
        return "<paper tier>"

    @property
    def state(self) -> str:
        return "down" if self.is_down else "up"

    def stats(self) -> TierStats:
        with self.lock:  # a server whose address holds what must not be a label
            return TierStats("paper", "paper://desk", self.state, lag=0.25, leases=len(self.leases))

    def link(self, terms: LinkTerms) -> "PaperLink":
        link = PaperLink(self, terms)
        self.links.append(link)
        return link

    def end_lease(self, place: tuple[str, Hashable], how: str = "lost") -> None:
        lease = self.leases.pop(place, None)
        if lease is not None:
            lease.end.append(how)
        for wake in self.waiting.pop(place, []):
            wake()

    def tell(self, sender: "PaperLink", change: Callable[["PaperLink"], object]) -> None:
        for link in list(self.links):
            if link is not sender:
                change(link)


class PaperLink:
    """One function's way to the tier.

    Attributes:
        before: Called before each step, with its name; ``on()`` puts something else there for a while.
        steps: The names of the steps so far.
        grants: What each that it was given came to.
    """

    def __init__(self, tier: PaperTier, terms: LinkTerms) -> None:
        self.tier: Any = tier
        self.terms = terms
        self.local: Any = terms.local
        self.local_s = tier.local_s
        self.before: Callable[[str], object] = quiet
        self.after: Callable[[str], object] = quiet
        self.steps: list[str] = []
        self.grants: list[list[str]] = []
        self.known: list[tuple[Hashable, Sequence[str]]] = []
        self.counted: dict[str, int] = dict.fromkeys(LinkFigures._fields, 0)

    # -- loads

    def ask(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Any:
        self._begin(step := "ask newer" if newer else "ask")
        while True:
            answer = self._look(key, tags, newer)
            if not isinstance(answer, _Lease):
                self.after(step)
                return answer
            over = threading.Event()
            if self._waits((self.terms.name, key), answer, over.set):
                assert over.wait(LIMIT_S), "it waits for ever"

    async def ask_awaited(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Any:
        self._begin(step := "ask newer" if newer else "ask")
        await asyncio.sleep(0)
        while True:
            answer = self._look(key, tags, newer)
            if not isinstance(answer, _Lease):
                self.after(step)
                return answer
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            wake = lambda loop=loop, over=over: loop.call_soon_threadsafe(over.set)  # noqa: E731
            if self._waits((self.terms.name, key), answer, wake):
                await asyncio.wait_for(over.wait(), LIMIT_S)

    def _look(self, key: Hashable, tags: Sequence[str], newer: bool) -> Any:
        tier, place = self.tier, (self.terms.name, key)
        with tier.lock:
            if tier.is_down:
                self.counted["skipped"] += 1
                return None
            stored = tier.stored.get(place)
            if stored is not None and stored.generations != self.generations(tags):
                stored = None
            found = None if stored is None else self._found(stored)
            if found is not None and found.left_s > 0 and not newer:
                self.counted["hits"] += 1
                return found
            held = tier.leases.get(place)
            if held is not None and held.link is not self and not newer:
                return held
            self.counted["misses"] += 1
            tier.end_lease(place)
            lease = tier.leases[place] = _Lease(self, key, tags)
            self.grants.append(lease.end)
            return PaperGrant(lease, found if found is not None and found.left_s <= 0 else None)

    def _found(self, stored: _Stored) -> Found | None:
        age_s = self.tier.clock() - stored.at
        left_s = stored.life_s - age_s
        if left_s <= -stored.stale_s:
            return None
        return Found(stored.value, age_s, left_s if self.local_s is None else min(left_s, self.local_s))

    def _waits(self, place: tuple[str, Hashable], held: _Lease, wake: Callable[[], object]) -> bool:
        with self.tier.lock:
            if self.tier.leases.get(place) is not held:
                return False
            self.counted["waits"] += 1
            self.tier.waiting.setdefault(place, []).append(wake)
            return True

    def store(self, grant: Any, value: Any, life_s: float) -> bool:
        self._begin(step := "store")
        stored = self._store(grant, value, life_s)
        self.after(step)
        return stored

    async def store_awaited(self, grant: Any, value: Any, life_s: float) -> bool:
        self._begin(step := "store")
        await asyncio.sleep(0)
        stored = self._store(grant, value, life_s)
        self.after(step)
        return stored

    def _store(self, grant: PaperGrant, value: Any, life_s: float) -> bool:
        tier, lease = self.tier, grant.lease
        place = self.terms.name, lease.key
        with tier.lock:
            if tier.leases.get(place) is not lease or self.generations(lease.tags) != lease.generations:
                self.counted["refused"] += 1
                if tier.leases.get(place) is lease:
                    tier.end_lease(place, "refused")
                return False
            tier.stored[place] = _Stored(value, tier.clock(), life_s, self.terms.stale_s, lease.generations)
            tier.end_lease(place, "stored")
            return True

    def release(self, grant: Any) -> None:
        with self.tier.lock:
            place = self.terms.name, grant.lease.key
            if self.tier.leases.get(place) is grant.lease:
                self.tier.end_lease(place, "released")

    # -- changes

    def put(self, key: Hashable, value: Any, life_s: float, tags: Sequence[str]) -> None:
        self._begin(step := "put")
        tier, name = self.tier, self.terms.name
        with tier.lock:
            stored = _Stored(value, tier.clock(), life_s, self.terms.stale_s, self.generations(tags))
            tier.stored[name, key] = stored
            tier.end_lease((name, key))
        self._drop_elsewhere((key,))
        self.after(step)

    def invalidate(self, keys: Sequence[Hashable]) -> None:
        self._begin(step := "invalidate")
        with self.tier.lock:
            for key in keys:
                self.tier.stored.pop((self.terms.name, key), None)
                self.tier.end_lease((self.terms.name, key))
        self._drop_elsewhere(keys)
        self.after(step)

    def _drop_elsewhere(self, keys: Sequence[Hashable]) -> None:
        self.tier.tell(self, lambda link: link.terms.name == self.terms.name and link.local.drop(keys))

    def invalidate_all(self) -> None:
        self._begin(step := "invalidate all")
        self._next(f"f:{self.terms.name}")
        self.tier.tell(self, lambda link: link.terms.name == self.terms.name and link.local.drop_all())
        self.after(step)

    def invalidate_tag(self, tag: str) -> None:
        self._begin(step := f"invalidate tag {tag}")
        self._next(f"t:{tag}")
        self.tier.tell(self, lambda link: link.local.drop_tag(tag))
        self.after(step)

    def _next(self, generation: str) -> None:
        with self.tier.lock:
            self.tier.generations[generation] = self.tier.generations.get(generation, 0) + 1
            for place in list(self.tier.leases):
                if generation == f"f:{place[0]}":
                    self.tier.end_lease(place)

    def know(self, key: Hashable, tags: Sequence[str]) -> None:
        self.known.append((key, tags))

    def figures(self) -> LinkFigures:
        return LinkFigures(**self.counted)

    def generations(self, tags: Sequence[str]) -> tuple[int, ...]:
        known = self.tier.generations
        return tuple(known.get(one, 0) for one in (f"f:{self.terms.name}", *[f"t:{tag}" for tag in sorted(tags)]))

    # -- for tests

    def _begin(self, step: str) -> None:
        self.steps.append(step)
        self.before(step)


spared.add(quiet.__code__)
for _kind in (PaperGrant, PaperTier, PaperLink, _Lease):
    spared.update(one.__code__ for one in vars(_kind).values() if isinstance(one, FunctionType))
