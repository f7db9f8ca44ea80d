"""What the results of one function, and the tier that they are shared through, ask of each other.

A tier is a server behind the stores of several processes; ``memo.shared`` makes it.  A load asks it before it runs the
function, and gives it what the function returned.  What changes results here is told to the tier, and what changes
them elsewhere is told to ``Local``.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ("Found", "Grant", "Link", "LinkFigures", "LinkTerms", "Local", "Place")


class Found(NamedTuple):
    """A value that the tier had."""

    value: Any
    age_s: float
    """Seconds since the load that returned it ended, wherever that ran."""
    left_s: float
    """Seconds for which it is fresh here, as ``ttl`` and ``local_ttl`` say; of a stale one 0 or less."""


class Grant(Protocol):
    """Leave to load a key for all processes, until it is stored, released or lost."""

    @property
    def stale(self) -> Found | None:
        """A value past its ``ttl`` that the tier still has, for the case that the load fails."""
        ...


class LinkFigures(NamedTuple):
    """What came of the questions of one function; see ``CacheStats`` for each."""

    hits: int = 0
    misses: int = 0
    waits: int = 0
    errors: int = 0
    skipped: int = 0
    refused: int = 0
    rejected: int = 0
    seconds: float = 0.0

    def since(self, before: "LinkFigures") -> "LinkFigures":
        """What has been added to *before*."""
        changes: Any = [now - then for now, then in zip(self, before, strict=True)]
        return LinkFigures(*changes)


class Link(Protocol):
    """One function's way to its tier.  Nothing here raises because the server is gone, slow, or has gone mad.

    Thread-safe; may block for as long as the tier's ``timeout``, and ``ask()`` for as long as another process loads.
    Never called under a lock.  In a thread that runs an event loop what changes results is sent by another thread; what
    is asked later waits for that.
    """

    @property
    def tier(self) -> Any:
        """What users know the tier by, a ``memo.shared.Tier``."""
        ...

    @property
    def local_s(self) -> float | None:
        """Most seconds for which a value is fresh here, as ``local_ttl`` says; None: as long as ``ttl`` says."""
        ...

    def ask(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Found | Grant | None:
        """Look for *key*, and wait for another process that loads it.

        Args:
            key: As tables hold it.
            tags: All that its value bears.
            newer: What the tier has will not do (``refresh()``): take the lease over.

        Returns:
            What it has; a leave to load; None: load alone, and keep the result here alone.
        """
        ...

    async def ask_awaited(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Found | Grant | None:
        """The same, in any event loop; cancelled, it holds nothing."""
        ...

    def store(self, grant: Grant, value: Any, life_s: float) -> bool:
        """Share what the function returned, for so many seconds.

        Returns:
            False: refused, since the key was invalidated, put or loaded anew meanwhile: it may not be kept here
            either.  True: stored, or kept here alone, since it cannot be stored.
        """
        ...

    async def store_awaited(self, grant: Grant, value: Any, life_s: float) -> bool:
        """The same, in any event loop; cancelled, the result may be stored or not, and nothing is held."""
        ...

    def release(self, grant: Grant) -> None:
        """Give a leave back: the load failed, or its result is not to be stored.  Never blocks; once more, nothing."""
        ...

    def put(self, key: Hashable, value: Any, life_s: float, tags: Sequence[str]) -> None:
        """Share a value that was put; running loads elsewhere are refused, and copies elsewhere dropped."""
        ...

    def invalidate(self, keys: Sequence[Hashable]) -> None:
        """Drop values and leases, here (of the tier) at once, and the copies of other processes."""
        ...

    def invalidate_all(self) -> None:
        """Drop all that the function has, everywhere."""
        ...

    def invalidate_tag(self, tag: str) -> None:
        """Drop what bears *tag*, of all functions of the tier, everywhere."""
        ...

    def know(self, key: Hashable, tags: Sequence[str]) -> None:
        """Be told of an entry that neither ``ask()`` nor ``put()`` made, so that messages find it: of a dump, say."""
        ...

    def figures(self) -> LinkFigures:
        """What came of its questions so far; called under no lock, as everything here."""
        ...


class Local(Protocol):
    """The results of one function in this process, as the tier sees them.  Each call fences running loads, too.

    Called by the tier's thread, under no lock.  May call ``on_evict``.
    """

    def drop(self, keys: Sequence[Hashable]) -> None:
        """Drop these, which were changed elsewhere."""
        ...

    def drop_tag(self, tag: str) -> None:
        """Drop what bears *tag*."""
        ...

    def drop_all(self) -> None:
        """Drop everything."""
        ...

    def holds(self, key: Hashable) -> bool:
        """Whether *key* has an entry, or a load of it runs."""
        ...

    def tags(self) -> Sequence[str]:
        """Every tag that an entry or a running load bears, the function's own included."""
        ...


class Place(Protocol):
    """Where a function was decorated."""

    def replaces(self, holder: Any, *, explicit: bool) -> bool:
        """Whether this function is the one from *holder* once more, as after a reload.

        Args:
            holder: The place of the earlier one.
            explicit: Whether the name was given by ``name=``.
        """
        ...


class LinkTerms(NamedTuple):
    """What a tier must know of a function to share its results."""

    name: str
    """Equal in all processes: what ``name=`` says, or else the function's module and qualified name."""
    is_named: bool
    """Whether ``name=`` said it."""
    signature: str
    """How calls become keys: functions of one name with unequal ones share nothing."""
    place: Place
    local: Local
    ttl_s: float | None
    """None: each value has its own."""
    stale_s: float
    """For how long past its ttl a value may still be of use: the longest stale window, or 0."""
