"""The keys of calls as they come, noted for a recording.

A call that is noted takes one step more: it puts the hash of its key where the writer of the recording takes it from.
It waits for nobody, also not for the disk: there is no lock, and what is not written yet waits in memory, at 8 bytes a
call, and never more than the whole recording may have.
"""

from array import array
from collections.abc import Callable, Hashable, Iterator
from operator import length_hint
from typing import Any

from memo._call import ArgumentRef, InstanceRef

__all__ = ("KeyNotes", "not_noted")


_TOKENS = frozenset({ArgumentRef, InstanceRef})


class KeyNotes:
    """The hashes of the keys of one function's calls, until they are written.

    Args:
        path: Where they are to be written, for messages.
        most: How many to note.

    Attributes:
        path: That path.
        note: Notes the key of a call.  It may be called by any thread; a key that cannot be hashed is no request.
    """

    __slots__ = ("_codes", "_most", "_places", "note", "path")

    def __init__(self, path: str, most: int) -> None:
        self.path: str = path
        self._most = most
        self._places = iter(range(most))
        # of machine numbers; changed by single calls of C alone, so that no thread sees another's half
        self._codes = array("q")
        self.note: Callable[[Hashable], None] = _noting(self._codes.append, self._places)

    @property
    def count(self) -> int:
        """How many were noted."""
        return self._most - length_hint(self._places)

    @property
    def is_full(self) -> bool:
        """Whether no other is noted any more."""
        return length_hint(self._places) == 0

    @property
    def waiting(self) -> int:
        """How many wait to be written."""
        return len(self._codes)

    def take(self, most: int) -> "array[int]":
        """The oldest ones, taken out, which moves all that stay: to be called for many at a time, by one thread."""
        taken = self._codes[:most]
        del self._codes[: len(taken)]
        return taken


def _noting(append: Callable[[int], None], places: Iterator[int]) -> Callable[[Hashable], None]:
    def note(key: Any) -> None:
        try:
            if type(key) is tuple and not _TOKENS.isdisjoint(map(type, key)):
                # by their numbers: an address is used again when what was there has died
                code = hash(tuple([part.number if type(part) in _TOKENS else part for part in key]))
            else:
                code = hash(key)
        except TypeError:  # of which the call itself will tell
            return
        for _ in places:
            append(code)
            return

    return note


def not_noted(key: Hashable) -> None:
    """Stands for ``KeyNotes.note`` while nothing is recorded."""
