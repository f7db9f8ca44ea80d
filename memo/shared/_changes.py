"""What changes results of one function, on its way to the server and to other processes.

Who changes something sends it himself, at once, and it has happened everywhere else within the line's lag.  The line's
thread sends it where the caller must not wait, in an event loop's thread; where the server is away; and where something
that was said before about the same is still to be sent, so that the order stays.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from memo._base import runs_a_loop
from memo.shared._coding import Coding
from memo.shared._counts import Counts
from memo.shared._envelope import Life
from memo.shared._marks import Mark
from memo.shared._messages import Log
from memo.shared._names import tag_digest
from memo.shared._parts import TierParts
from memo.shared._pending import Change, Put, Run, Send
from memo.shared._scripts import (
    MOST_DROPPED,
    Command,
    Granted,
    Stored,
    ask,
    bump_function,
    bump_tag,
    drop,
    new_id,
    store,
)
from memo.shared._unreachable import Skipped, Unreachable

__all__ = ("Changes",)

_LEASE_MS = 1000
"""How long the lease of a put lasts, which takes two commands where values are signed."""


class Changes:
    """Those of one function.

    Args:
        parts: The tier.
        label: The function's.
        counts: What is counted.
        coding: Writes values.
        stale_ms: For how long past their ttl values may be of use.
    """

    __slots__ = ("_coding", "_counts", "_label", "_parts", "_stale_ms")

    def __init__(self, parts: TierParts, label: bytes, counts: Counts, coding: Coding, stale_ms: int) -> None:
        self._parts = parts
        self._label = label
        self._counts = counts
        self._coding = coding
        self._stale_ms = stale_ms

    def drop(self, marks: Sequence[Mark]) -> None:
        """Delete values and leases, and have others drop their copies."""
        start = 0
        try:
            while start < len(marks):
                self._drop(marks[start : start + MOST_DROPPED])
                start += MOST_DROPPED
        except BaseException:  # the rest is dropped all the same, if later
            self._say([Change(self._label, mark.digest, mark.place) for mark in marks[start:]])
            raise

    def _drop(self, marks: Sequence[Mark]) -> None:
        places, leases = [mark.place for mark in marks], [mark.lease for mark in marks]
        digests = [mark.digest for mark in marks]
        self._send(
            lambda run, log: run(drop(places, leases, log, function=self._label, digests=digests)),
            [Change(self._label, mark.digest, mark.place) for mark in marks],
        )

    def drop_all(self) -> None:
        """Make all values of the function void."""
        generation = self._parts.names.generation(self._label)
        self._send(lambda run, log: run(bump_function(generation, log, function=self._label)), [Change(self._label)])

    def drop_tag(self, tag: str) -> None:
        """Make all values void that bear *tag*, of whichever function."""
        digest = tag_digest(tag)
        generation = self._parts.names.tag(digest)
        self._send(lambda run, log: run(bump_tag(generation, log, tag=digest)), [Change(tag=digest)])

    def put(self, mark: Mark, value: Any, life_ms: int) -> None:
        """Store a value whatever happens meanwhile, and have others drop their copies."""
        life = Life.of(max(1, life_ms) + self._stale_ms)
        written = self._coding.written(mark, value)
        if written is None:
            self._counts.rejected += 1
            self.drop([mark])
            return
        is_signed = self._parts.seal.is_signed
        send = partial(self._put_signed if is_signed else self._put, mark, written, life)
        self._send(send, [Change(self._label, mark.digest, mark.place, put=Put(send, len(written)))])

    def _put(self, mark: Mark, written: bytes, life: Life, run: Run, log: Log) -> bytes:
        stored: Stored = run(self._storing(mark, written, life, log, b"", b""))
        return stored.position

    def _put_signed(self, mark: Mark, written: bytes, life: Life, run: Run, log: Log) -> bytes:
        """Ask for the generations, which are signed, too, and store under them."""
        token = new_id()
        granted = run(
            ask(
                mark.place, mark.lease, mark.generations, log, token=token, lease_ms=_LEASE_MS, max_value=0,
                newer=True, tell_done=False,
            )
        )  # fmt: skip
        if type(granted) is not Granted:
            return b""
        stored: Stored = run(self._storing(mark, written, life, log, token, granted.generations))
        self._counts.refused += not stored.is_stored
        return stored.position

    def _storing(self, mark: Mark, written: bytes, life: Life, log: Log, token: bytes, under: bytes) -> Command[Stored]:
        return store(
            mark.place,
            mark.lease,
            mark.generations,
            log,
            token=token,
            under=under,
            data=self._coding.sealed(mark, under, life.ms, written),
            life_ms=life.left_ms(),
            function=self._label,
            digest=mark.digest,
            tell_drop=True,
        )

    # -- who sends

    def _send(self, send: Send, changes: Sequence[Change]) -> None:
        """Send what *send* sends, which are these changes, or have the line's thread do it."""
        if runs_a_loop() or not self._are_next(changes):
            self._say(changes)
            return
        line = self._parts.line
        log = line.log
        try:
            position = send(self._parts.wire.run, log)
            if position and not line.told(log, position):
                self._say_dropped(changes)
        except Skipped:
            self._counts.skipped += 1
            self._say_dropped(changes)
        except Unreachable:
            self._counts.errors += 1
            self._say_dropped(changes)
        except BaseException:  # Ctrl-C: it may have been sent, or not
            self._say_dropped(changes)
            raise

    def _are_next(self, changes: Sequence[Change]) -> bool:
        """Whether nothing that was said before about the same is still to be sent."""
        settled, timeout_s = self._parts.line.settled, self._parts.timeout_s
        return all(
            settled(change.function, change.digest, () if change.tag is None else (change.tag,), timeout_s)
            for change in changes
        )

    def _say(self, changes: Sequence[Change]) -> None:
        """Have the line's thread send them."""
        for change in changes:
            self._parts.line.say(change)

    def _say_dropped(self, changes: Sequence[Change]) -> None:
        """Likewise as the server is away: what was to be put is dropped, since its time goes by."""
        self._say([change._replace(put=None) for change in changes])
