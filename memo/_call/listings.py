"""Listings: the lines of generated code, which stand in ``linecache`` as long as the code is there.

Invariants:

- What ends with a listing ends without a line of Python: nothing runs in between, and no exception strikes there.
- The collector ends listings at any moment, so also while the standard library goes through the names that it found in
  ``linecache``: ``checkcache()``, which debuggers call, asks for each of them.  So a listing's end empties its entry
  and leaves the name, for the next listing that would have it.  Names go where new ones come, in lots, and not while a
  thread is within ``checkcache()``.
- Functions of one name whose lines are the same share a listing; otherwise their file names are numbered.
"""

import functools
import itertools
import linecache
import operator
import sys
import weakref
from collections import deque
from typing import Any

from memo._base import Stage, hold, is_running, rlock

__all__ = ("Listing", "listed")

_GONE: tuple[int, None, list[str], str] = (0, None, [], "")
"""The entry of a name that is free.  It has no time, so that ``linecache`` looks for no file, and no lines."""

_changing = rlock()
"""Held while a free name is taken, by a listing or out of ``linecache``."""
hold(Stage.LISTINGS, sys.modules[__name__], _changing)


class Listing:
    """Lines that are shown under a file name; they go when it goes."""

    __slots__ = ("__weakref__", "file")

    def __init__(self, file: str) -> None:
        self.file: str = file


class _Lines(list[str]):
    """Lines in ``linecache``, which know their listing."""

    __slots__ = ("listing",)

    listing: weakref.ref[Listing]


class _ToListing(weakref.ref[Listing]):
    """Refers to a listing; the end of that calls ``put``, through what is written in C."""

    __slots__ = ()
    put = linecache.cache.__setitem__


def listed(file: str, source: str) -> Listing:
    """The listing of *source* under a name that begins with *file*."""
    _free_names.drop_where_many()
    lines = _Lines(_split(source))
    for number in itertools.count(1):
        name = f"<{file}>" if number == 1 else f"<{file} #{number}>"
        entry = (len(source), None, lines, name)  # without a time: linecache then looks for no file
        made = Listing(name)
        # before others can see it: struck at the next line, it takes out again what it has put in
        lines.listing = _ToListing(made, operator.methodcaller("put", name, _GONE))
        known: Any = linecache.cache.setdefault(name, entry)
        if known is entry or (known == _GONE and _took(name, entry)):
            return made
        del lines.listing  # else its end would empty what is another's
        found = getattr(known[2], "listing", _nothing)()  # a stranger's lines have none
        if found is not None and known[2] == lines:
            return found  # type: ignore[no-any-return]
    raise AssertionError("unreachable")


@functools.lru_cache(maxsize=512)  # functions of one shape share the text of each line
def _split(source: str) -> tuple[str, ...]:
    return tuple(source.splitlines(keepends=True))


def _nothing() -> None: ...


def _took(name: str, entry: Any) -> bool:
    """Whether the name was free, and has this entry now."""
    with _changing:
        if linecache.cache.get(name, _GONE) != _GONE:
            return False
        linecache.cache[name] = entry
        return True


# -- names that are free


class _FreeNames:
    """Names whose listing has ended: never more than there are others, and a few."""

    __slots__ = ("_enough",)

    def __init__(self) -> None:
        self._enough = _FEW

    def drop_where_many(self) -> None:
        """Take them out of ``linecache`` where it has become twice as large as it was without them."""
        if len(linecache.cache) >= self._enough and _dropped():
            self._enough = 2 * len(linecache.cache) + _FEW


_FEW = 64
_free_names = _FreeNames()


def _dropped() -> bool:
    """Take all free names out, unless a thread is going through what it has found."""
    with _changing:
        names = _free()
        if is_running(linecache.checkcache):
            return False
        deque(map(linecache.cache.pop, names, itertools.repeat(None)), maxlen=0)  # in one step
        return True


def _free() -> list[str]:
    return [name for name, entry in list(linecache.cache.items()) if entry == _GONE]
