"""The names of records in a registry: each once, the second one of a name with a number, found in constant time.

A number is for as long as another has the name.  Once that is gone, the name goes to the *heir*: the latest of those
that it was taken from (by a newcomer that did not stay), or that were defined anew beside it under a name of their own
(as in both branches of a ``try``).  This is done when somebody looks.  Other twins, closures that a factory made, keep
their numbers.

The table holds records weakly.  A record holds its number, and gives it back when it dies, in whatever thread and at
whatever point, so without a lock: it appends to a list.  Whoever wants a number looks at that list first.
"""

import weakref
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, Protocol

from memo._registry.origins import Origin

__all__ = ("Named", "Names", "Number")


class Named(Protocol):
    """What has a name: a record."""

    name: str
    number: "Number | None"
    origin: Origin

    def is_gone(self) -> bool:
        """Whether it is there no longer, although somebody keeps the record."""
        ...


class _Twins:
    """The numbers of those that want one name and do not have it: from 2 on."""

    __slots__ = ("claim", "free", "given_back", "heirs", "next", "run", "until")

    claim: int
    next: int
    until: int

    def __init__(self) -> None:
        self.next = 2
        """No number from here on was ever given."""
        self.free: list[int] = []
        """A heap of those below that nobody has."""
        self.given_back: list[int] = []
        """Those on their way there.  Appended to without a lock."""
        self.run: Any = None
        """The run whose functions take over the names of those of earlier runs, from number ``claim`` to ``until``."""
        self.claim = self.until = 2
        self.heirs: list[weakref.ref[Any]] = []
        """Records with a number that are to have the name once it is free, the first to have it last."""

    def inherit(self, record: Named) -> None:
        """Make *record* the first heir."""
        heirs = self.heirs
        if not len(heirs) & (len(heirs) - 1):  # now and then: a power of two
            heirs[:] = [ref for ref in heirs if ref() is not None]
        heirs.append(weakref.ref(record))

    def collect(self) -> None:
        """Take back what was given back."""
        while self.given_back:
            heappush(self.free, self.given_back.pop())
        if len(self.free) == self.next - 2:
            self.free.clear()
            self.next = 2

    def take(self) -> int:
        """The lowest number that nobody has."""
        self.collect()
        if self.free:
            return heappop(self.free)
        self.next += 1
        return self.next - 1


class Number:
    """The number that a record has of the twins of its name; given back when the record lets go of it."""

    __slots__ = ("_number", "twins")

    def __init__(self, twins: _Twins, number: int) -> None:
        self.twins: _Twins = twins
        self._number = number

    def __del__(self) -> None:
        self.twins.given_back.append(self._number)


class Names:
    """Records by name, held weakly.  To be used under one lock; records may die without it."""

    def __init__(self) -> None:
        self._records: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._twins: dict[str, _Twins] = {}
        self._many = 16
        """When there are more twins than this, those that are idle go."""

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Any]:
        for name in list(self._twins):
            self.get(name)  # which an heir may get
        # a copy, which valuerefs() makes in one step: items() takes a step of Python for each of thousands
        refs = self._records.valuerefs()
        return iter([record for ref in refs if (record := ref()) is not None and record.name == ref.key])

    def get(self, name: str) -> Any:
        """The record of that name; None if there is none."""
        record = self._records.get(name)
        if record is not None and not record.is_gone():
            return record
        twins = self._twins.get(name)
        return None if twins is None else self._pass_on(name, twins)

    def settle(self, record: Named) -> None:
        """See that *record* has the name that it inherits."""
        if record.number is not None:
            self.get(record.name.rpartition("#")[0])

    def add(self, record: Named, name: str, *, explicit: bool) -> None:
        """Give *record* that name, or ``name#2`` and so on if another has it that it does not replace."""
        holder = self.get(name)
        if holder is None:
            self._put(record, name, None)
            return
        heir = record
        if record.origin.replaces(holder.origin, explicit=explicit):
            if name in self._twins:
                self._twins[name].run = None  # the first of a new run, be it of the same code
            self._replace(holder, record, name)
            heir = holder
        elif (twin := self._outdated_twin(record, name, explicit)) is not None:
            self._replace(twin, record, name)
        else:
            self._put_beside(record, name)
        if heir is holder or record.origin.takes_name:
            self._twins[name].inherit(heir)

    def remove(self, record: Named) -> None:
        """Forget *record*."""
        if self._records.get(record.name) is record:
            del self._records[record.name]
        record.number = None

    def _put(self, record: Named, name: str, number: Number | None) -> None:
        record.name = name
        record.number = number
        self._records[name] = record

    def _pass_on(self, name: str, twins: _Twins) -> Any:
        """Give *name*, which is free, to the first heir that lives; None if there is none."""
        while twins.heirs:
            record = twins.heirs.pop()()
            if record is None or record.is_gone() or record.number is None or record.number.twins is not twins:
                continue
            numbered = record.name
            self._put(record, name, None)
            if self._records.get(numbered) is record:
                del self._records[numbered]
            return record
        return None

    def _put_beside(self, record: Named, name: str) -> None:
        twins = self._twins_of(name)
        chosen = []  # numbers in names that somebody gave by name=
        while f"{name}#{(taken := twins.take())}" in self._records:
            chosen.append(taken)
        for number in chosen:
            heappush(twins.free, number)
        self._put(record, f"{name}#{taken}", Number(twins, taken))

    def _replace(self, holder: Named, record: Named, name: str) -> None:
        """Give *record* what *holder* is called, which gets another number of *name*."""
        given_up, number = holder.name, holder.number
        self._put_beside(holder, name)  # first: if it comes to no more than this, nobody is lost
        self._put(record, given_up, number)

    def _outdated_twin(self, record: Named, name: str, explicit: bool) -> Any:
        """The first twin that *record* replaces, if any.

        The functions of one run come in the order in which those of the last one came: each looks on from where the
        one before it found its own, so that together they look at each twin once.
        """
        run = record.origin.run
        twins = self._twins.get(name)
        if twins is None or run is None:
            return None
        if twins.run is not run:
            twins.collect()
            twins.run, twins.claim, twins.until = run, 2, twins.next
        while twins.claim < twins.until:
            twin = self.get(f"{name}#{twins.claim}")
            twins.claim += 1
            if twin is not None and record.origin.replaces(twin.origin, explicit=explicit):
                return twin
        return None

    def _twins_of(self, name: str) -> _Twins:
        found = self._twins.get(name)
        if found is None:
            if len(self._twins) >= self._many:
                for twins in self._twins.values():
                    twins.collect()
                self._twins = {base: twins for base, twins in self._twins.items() if twins.next > 2}
                self._many = max(16, 2 * len(self._twins))
            found = self._twins[name] = _Twins()
        return found
