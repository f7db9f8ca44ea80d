"""Who is told of what happens in functions, as those see it."""

from collections.abc import Set as AbstractSet
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from memo._base.load_observers import LoadObserver
from memo._base.seldom import Seldom

__all__ = ("EVERYTHING", "Audience", "Covers", "Hearer", "Item", "Seat")

Item = tuple[Any, ...]
"""What happened: its kind, the function's name, the wall clock's time, the key as ``stored_key()`` made it, and further
fields of a ``CacheEvent`` as they stand there."""
LOADS = frozenset({"load", "error", "cancelled"})
"""The kinds of what ends an execution."""


class Covers(Protocol):
    """Some decorated functions."""

    def covers(self, record: Any, /) -> bool:
        """Whether *record* is one of them."""
        ...


class _Everything:
    """All functions of a registry, without a reference to that."""

    def covers(self, record: Any, /) -> bool:
        return True


EVERYTHING: Covers = _Everything()


class Hearer(Protocol):
    """Is told what happens, after it has, and holds nobody up."""

    @property
    def kinds(self) -> AbstractSet[str]:
        """What it is told of."""
        ...

    def steps(self, item: Item, /) -> tuple[tuple[Any, ...], ...]:
        """The calls, each with its arguments, that tell of *item*: to be made one after the other, once each."""
        ...


T_co = TypeVar("T_co", covariant=True)


class Seat(Generic[T_co]):
    """One in the audience, and the functions that it is told about."""

    __slots__ = ("__weakref__", "complaints", "covers_all", "view", "who")

    def __init__(self, view: Covers, who: T_co) -> None:
        self.view: Covers = view
        self.covers_all: bool = view is EVERYTHING
        """Whether there is no need to ask *view*."""
        self.who: T_co = who
        self.complaints: Seldom = Seldom()
        """Whether it is time to say that it has failed."""


class Audience(NamedTuple):
    """Who is told of what happens in the functions of one registry; replaced as a whole."""

    observers: tuple[Seat[LoadObserver], ...] = ()
    """Around executions."""
    hearers: tuple[Seat[Hearer], ...] = ()
    """Afterwards."""

    @property
    def is_there(self) -> bool:
        """Whether it is anybody."""
        return bool(self.observers or self.hearers)

    @property
    def minds_loads(self) -> bool:
        """Whether anybody is told of executions."""
        return bool(self.observers) or self._hears(LOADS)

    @property
    def minds_stale(self) -> bool:
        """Whether anybody is told of stale answers."""
        return self._hears({"stale"})

    @property
    def minds_evictions(self) -> bool:
        """Whether anybody is told of what leaves a store."""
        return self._hears({"eviction"})

    def _hears(self, kinds: AbstractSet[str]) -> bool:
        return any(not kinds.isdisjoint(seat.who.kinds) for seat in self.hearers)
