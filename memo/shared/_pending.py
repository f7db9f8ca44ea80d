"""Changes that are still to be sent: said while the server was down, or by those who must not wait for it.

Rules

- Of each key, tag and function the latest change is kept.  They are sent in the order in which they were said.
- There are ``MOST`` at most.  What comes then widens: the function with most keys here becomes one change of the whole
  function.  Where there are no keys, tags become changes of every function of the tier in this process.
- A value that somebody put is sent while the server answers.  It becomes a mere drop of its key once it could not be
  sent, in a forked child, whose parent sends it, and beyond ``MOST_PUT_BYTES`` of such values together.
- A change is pending until it was delivered: whoever reads what he changed himself waits for that.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from memo._base import Stage, hold, rlock
from memo.shared._messages import Log
from memo.shared._scripts import MOST_DROPPED, Command

__all__ = ("MOST", "MOST_PUT_BYTES", "Change", "Entry", "Pending", "Put", "Run", "Send")

MOST = 10_000
MOST_PUT_BYTES = 16_000_000


Run = Callable[[Command[Any]], Any]
"""Runs a command, and returns what its reply means; raises ``Unreachable``."""


Send = Callable[[Run, Log], bytes]
"""Sends one change by means of what runs commands, and raises what that raises; the log is as it is known now.

Returns where the message of it lies; nothing: there is none."""


class Put(NamedTuple):
    """A value that somebody put, to be stored."""

    send: Send
    """Stores it."""
    size: int
    """Bytes of the value."""


class Change(NamedTuple):
    """What is not any more as others have it: a key, a whole function, or all that bears a tag."""

    function: bytes = b""
    """Its ``function_label()``; empty for a tag."""
    digest: bytes | None = None
    """Of a key; None: the whole function, or a tag."""
    value: bytes = b""
    """The name of the key's value."""
    tag: bytes | None = None
    """The tag's digest."""
    put: Put | None = None
    """What is stored in place of a mere drop of the key."""

    @property
    def subject(self) -> tuple[bytes, bytes | None, bytes | None]:
        """What it is about."""
        return self.function, self.digest, self.tag


class Entry(NamedTuple):
    """A change that is pending."""

    number: int
    """In which order it was said."""
    change: Change


_Subject = tuple[bytes, bytes | None, bytes | None]


class Pending:
    """The changes of one tier that are still to be sent.  Safe from any thread; held whole by forks.

    Args:
        functions: Tells the functions of the tier in this process.
    """

    def __init__(self, functions: Callable[[], Iterable[bytes]]) -> None:
        self._functions = functions
        self._numbers = itertools.count()
        self._lock = rlock()  # guards what follows, and is held for steps that are few, but for those that widen
        self._entries: dict[_Subject, Entry] = {}
        self._put_bytes = 0
        """About how much is to be put: more, if somebody was struck."""
        self.overflowed = 0
        """Changes that came when there was no room, and so became changes of more than they were."""
        hold(Stage.TIERS, self, self._lock)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, change: Change) -> None:
        """Note *change*, in place of an earlier one of the same."""
        known = list(self._functions()) if len(self._entries) >= MOST else ()
        with self._lock:
            self._add(change, known)

    def is_settled(self, function: bytes, digest: bytes | None, tags: Iterable[bytes]) -> bool:
        """Whether nothing is pending that a key of *function* with these tags depends on; None: any of its keys."""
        entries = self._entries
        if not entries:
            return True
        if any((b"", None, tag) in entries for tag in tags):
            return False
        if digest is None:
            return function not in [subject[0] for subject in list(entries)]
        return (function, digest, None) not in entries and (function, None, None) not in entries

    def is_settled_up_to(self, number: int) -> bool:
        """Whether nothing is pending that was said before ``latest()`` told *number*."""
        with self._lock:
            return all(map(number.__le__, [entry.number for entry in self._entries.values()]))

    def latest(self) -> int:
        """A number above those of all that were said until now."""
        return next(self._numbers)

    # -- for the thread that sends

    def batches(self) -> Iterator[Sequence[Entry]]:
        """All that is pending, in its order: keys of one function together that were said in a row, all else alone."""
        batch: list[Entry] = []
        for entry in sorted(self._entries.values()):
            change = entry.change
            is_drop = change.digest is not None and change.put is None
            if batch and not (is_drop and batch[0].change.function == change.function and len(batch) < MOST_DROPPED):
                yield batch
                batch = []
            batch.append(entry)
            if not is_drop:
                yield batch
                batch = []
        if batch:
            yield batch

    def delivered(self, batch: Sequence[Entry]) -> None:
        """These have been sent: they are pending no more, but for those that were said once more meanwhile."""
        with self._lock:
            self._delivered(batch)

    def put_no_more(self) -> None:
        """Of the values that are to be put only drop the keys."""
        with self._lock:
            self._drop_puts()
            self._put_bytes = 0

    # -- lock held

    def _add(self, change: Change, known: Iterable[bytes]) -> None:
        if change.put is not None:
            change = self._with_room(change, change.put)
        if len(self._entries) >= MOST and change.subject not in self._entries:
            self.overflowed += 1
            self._widen(known)
        self._entries[change.subject] = Entry(next(self._numbers), change)

    def _delivered(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            subject, put = entry.change.subject, entry.change.put
            if self._entries.get(subject) is entry:
                del self._entries[subject]
                self._put_bytes -= 0 if put is None else put.size

    def _drop_puts(self) -> None:
        for subject, (number, change) in list(self._entries.items()):
            if change.put is not None:
                self._entries[subject] = Entry(number, change._replace(put=None))

    def _with_room(self, change: Change, put: Put) -> Change:
        if self._put_bytes + put.size > MOST_PUT_BYTES:
            others = [one.put for key, (_, one) in self._entries.items() if key != change.subject]
            self._put_bytes = sum([one.size for one in others if one is not None])
            if self._put_bytes + put.size > MOST_PUT_BYTES:
                return change._replace(put=None)
        self._put_bytes += put.size
        return change

    def _widen(self, known: Iterable[bytes]) -> None:
        """Make room, as far as there is something that can be widened: functions are as many as the program has."""
        keys = Counter([function for function, digest, _ in self._entries if digest is not None])
        if keys:
            widest = max(keys, key=keys.__getitem__)  # most_common() imports something, as late as at the end
            narrow = [subject for subject in self._entries if subject[0] == widest and subject[1] is not None]
            self._add_function(widest)  # before they go: whoever is struck in between has lost nothing
            self._take(narrow)
            return
        tags = [subject for subject in self._entries if subject[2] is not None]
        for function in known if tags else ():
            self._add_function(function)
        self._take(tags)

    def _take(self, subjects: Iterable[_Subject]) -> None:
        for subject in subjects:
            del self._entries[subject]

    def _add_function(self, function: bytes) -> None:
        change = Change(function)
        self._entries[change.subject] = Entry(next(self._numbers), change)
