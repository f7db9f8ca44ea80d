"""A dictionary in parts, in which no insertion takes long, however much it holds: where there is no C.

Once in as many insertions as a dictionary has places to spare, the interpreter builds it anew, in one piece: with ten
thousand keys that takes half a millisecond, with five million a fifth of a second.  Here each of many dictionaries has
the keys of some remainders of their hashes, and one that has many keys is divided into two.

Invariants, checked by ``_check()``:

- A key lies in the part at its *place*, the remainder of its hash.  A part has a run of places: all of them, or half
  of those that another had.
- A part that an insertion finds with more than ``MOST`` keys, and several places, is divided.  So parts stay small
  until each has one place, unless the keys' hashes agree in their remainders, which is a matter of bad luck.
- Whoever changes it holds a lock.  Who reads needs none: between finding the part and looking there is no call, but for
  a ``__hash__`` of the key's own.  What a part had is in its halves before these take its places, in one step, and it
  is emptied then: who looks there still finds nothing, rather than what has left since.
- A change that is cut short is done or it is not; the keys are counted anew then.
- A part that has lost its last key gives its memory back: a dictionary would keep it, and a table from which millions
  of keys were taken one by one would give back all of it in one go, at its end.
"""

from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from itertools import chain
from typing import Any, TypeVar

__all__ = ("MOST", "PLACES", "WHOLE", "Parted")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

WHOLE = 10_000
"""What can never have more keys is left whole: a look-up there takes some 70 ns less."""
MOST = 500
"""A part of more keys is divided, which takes up to 0.4 ms."""
PLACES = 4093
"""How many places there are: a prime, so that numbers at regular distances spread over all of them."""


class Parted(MutableMapping[K, V]):
    """A dictionary in parts.

    Keys, values and items come in one order, which is not that in which the keys came.

    Args:
        first: The first part, with the keys that it has; from now on it is this dictionary's own.
    """

    __slots__ = ("_places", "_size")

    def __init__(self, first: dict[K, V]) -> None:
        self._places = [first] * PLACES
        """The part at each place."""
        self._size: int | None = len(first)
        """How many keys there are; None while that changes."""

    # -- look-ups, which need no lock

    def __getitem__(self, key: K) -> V:
        return self._places[hash(key) % PLACES][key]

    def get(self, key: K, default: Any = None) -> Any:
        return self._places[hash(key) % PLACES].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._places[hash(key) % PLACES]

    def __len__(self) -> int:
        size = self._size
        return sum(map(len, self.parts())) if size is None else size

    # -- changes

    def __setitem__(self, key: K, value: V) -> None:
        place = hash(key) % PLACES
        part = self._places[place]
        size = self._size
        if size is None:
            size = len(self)
        had = len(part)
        self._size = None
        part[key] = value
        has = len(part)
        self._size = size + has - had
        if has > MOST:
            self._divide(place)

    def __delitem__(self, key: K) -> None:
        part = self._places[hash(key) % PLACES]
        size = self._size
        if size is None:
            size = len(self)
        self._size = None
        del part[key]  # no call from here on: it has left when this returns, or it has not
        self._size = size - 1
        if not part:
            part.clear()

    def clear(self) -> None:
        heirs = self.heirs()
        self.give_away(heirs)
        for part in heirs:
            part.clear()

    def heirs(self) -> list[dict[K, V]]:
        """What is to get all that is here, once ``give_away()`` has done its step: the parts."""
        return self.parts()

    def give_away(self, heirs: list[dict[K, V]]) -> None:
        """Begin anew, empty, in one step, however much it held: *heirs*, of this moment, have what was here.

        Who looks there at this moment may find one of them.
        """
        first: dict[K, V] = {}
        self._size = None
        self._places[:] = [first] * PLACES
        self._size = 0

    def gave_away(self, heirs: list[dict[K, V]]) -> bool:
        """Whether *heirs*, of a table that had something, have got it."""
        return self._places[0] is not heirs[0]

    def divide(self) -> None:
        """Divide every part that is too large; insertions do that too, each the one that it meets, once."""
        place = 0
        while place < PLACES:
            if len(self._places[place]) <= MOST or not self._divide(place):
                _, place = self._run(place)

    def _divide(self, place: int) -> bool:
        """Divide the part at *place*; whether it has more places than that."""
        places = self._places
        part = places[place]
        if places[place - 1] is not part is not places[place + 1 - PLACES]:
            return False
        first, end = self._run(place)
        middle = (first + end) // 2
        lower: dict[K, V] = {}
        upper: dict[K, V] = {}
        for key, value in part.items():
            (lower if hash(key) % PLACES < middle else upper)[key] = value
        places[first:end] = [lower] * (middle - first) + [upper] * (end - middle)
        part.clear()
        return True

    def _run(self, place: int) -> tuple[int, int]:
        """The first place of the part at *place*, and the one behind its last."""
        places = self._places
        part = places[place]
        first, end = 0, PLACES
        while places[first] is not part or places[end - 1] is not part:
            middle = (first + end) // 2
            first, end = (first, middle) if place < middle else (middle, end)
        return first, end

    # -- all of it

    def parts(self) -> list[dict[K, V]]:
        """The parts, each once.  It calls nothing in Python."""
        places = self._places
        return list(dict(zip(map(id, places), places, strict=True)).values())

    def lots(self) -> Iterator[list[V]]:
        """The values, part by part; between two of them the dictionary may change in any way, and no lock is needed.

        What is there from beginning to end is met, once; what comes or leaves meanwhile may be.
        """
        places = self._places
        count = len(places)  # none, if a finalizer asks and the collector has been here
        begin = 0
        while begin < count:
            part = places[begin]
            values = list(part.values())
            end = begin + 1
            while end < count and places[end] is part:
                end += 1
            if places[begin] is not part:  # it was divided, or given away: there may have been nothing in it any more
                continue
            if begin and places[begin - 1] is part:  # all were given away: of the part that is new, what lies ahead
                values = [value for key, value in list(part.items()) if hash(key) % count >= begin]
            begin = end
            yield values

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self.parts())

    def values(self) -> Iterable[V]:  # type: ignore[override]  # no view: it is gone through once
        return chain.from_iterable(map(dict.values, self.parts()))

    def items(self) -> Iterable[tuple[K, V]]:  # type: ignore[override]
        return chain.from_iterable(map(dict.items, self.parts()))

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        assert len(self) == sum(map(len, self.parts())), "keys are miscounted"
        end = 0
        for part in self.parts():
            first = end
            begin, end = self._run(first)
            run = self._places[first:end]
            assert begin == first and all(other is part for other in run), "a part has other places than it should"
            assert all(first <= hash(key) % PLACES < end for key in part), "a key lies in another part"
