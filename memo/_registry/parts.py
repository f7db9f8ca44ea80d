"""What registry, record and layer ask of each other, so that none of their modules needs another's.

A registry is the *home* of records; a record *has parts*: the layers that decorators put around one function, or the
one part that stands for an adopted cache.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from memo._base import Audience, Covers, LoadObserver, Swept, Tags, Tracked
from memo._cache import Link, RefreshPool
from memo._call import Call
from memo._flight import InflightStats
from memo._registry.names import Named
from memo._registry.subscriptions import Subscription

__all__ = ("HasParts", "Home", "Part")


class Part(Protocol):
    """One layer of a decorated function, or an adopted cache, as its record sees it."""

    kind: str
    """The handle that it adds, and the field of ``FunctionStats`` that its figures are for."""

    @property
    def tags(self) -> Tags:
        """What the decorator was told about tags."""
        ...

    @property
    def is_made(self) -> bool:
        """Whether there is anything yet that holds or counts something."""
        ...

    @property
    def link(self) -> Link | None:
        """Its way to the tier that its results are shared through; None: they are not."""
        ...

    def handle(self) -> Any:
        """The handle that this part adds."""

    def stats(self, name: str) -> Any:
        """Its figures now, as those of *name*.  For them nothing is made that is not there yet, no handle either."""

    def load_stats(self, name: str) -> InflightStats | None:
        """Those of the loads that it runs, in the same way; None if it runs none, or they are all that it counts."""
        ...

    def sparkline(self, width: int) -> str:
        """What of late happened, as one line of so many characters; empty if it does not keep that."""
        ...

    def tracked(self) -> Tracked | None:
        """The keys whose calls it counts; None if it counts none by key."""
        ...

    def sweep(self) -> Iterator[Swept]:
        """Drop what is expired or stuck, slice by slice; how much went in each."""
        ...

    def empty(self) -> None:
        """Drop everything."""

    def forget_inherited(self) -> int:
        """Drop what a forked child inherited, and tell nobody; how many values."""
        ...

    def fence(self, call: Call | None) -> None:
        """Let no running call of this part serve newcomers any more: those of one call, or all (None)."""

    def drop_tagged(self, tag: str | None) -> int:
        """Drop what bears *tag*, or (None) everything, and fence what runs with it; how many entries went."""
        ...

    def watch_switch(self, on: bool) -> None:
        """Look at each call whether the function is switched off, or stop that."""

    def be_watched(self, audience: Audience | None) -> None:
        """Tell *audience* what happens from now on, or (None) nobody."""


class HasParts(Protocol):
    """A record, for what goes through its parts."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts, outermost first."""
        ...


class Home(Protocol):
    """A registry, as its records and views see it."""

    pool: RefreshPool

    def enter(self, record: Any, name: str, *, explicit: bool) -> None:
        """Give *record* its place there, under a name that somebody chose explicitly, or not."""

    def leave(self, record: Named) -> None:
        """Forget *record*."""

    def admit(self, part: Part) -> None:
        """Have *part*, of a function that joins, look at the switch if others do, and be watched as they are."""

    def watch_switch(self, mark: object, on: bool) -> None:
        """Note that a ``disabled()`` block begins or ends; functions look at the switch while there is one."""

    def observe(self, view: Covers, observer: LoadObserver) -> Callable[[], None]:
        """Have *observer* told of the executions of *view*'s functions; returns what ends that."""
        ...

    def tell(self, view: Covers, subscription: Subscription) -> None:
        """Have *subscription*, which is new, told of what happens in *view*'s functions, and begin it."""
