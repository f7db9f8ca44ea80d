"""One function's way to its tier: ``_cache.tier_link`` says what it promises.

- A question or a storing consists of steps (see ``_steps``), so that threads and coroutines do the same.
- What may leave a lease on the server is a ``HeldGrant``, which gives it back however it is left.
- What changes results is sent by its caller at once, unless he is in an event loop's thread, something that he said
  before is still to be sent, or the server is away: then the line's thread sends it, and what is asked meanwhile waits
  for that, or does without the tier.
"""

import weakref
from asyncio import get_running_loop
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from hashlib import sha1
from typing import Any, NamedTuple

from memo._base import real, runs_a_loop
from memo._cache import Found, Grant, LinkFigures, LinkTerms
from memo.shared._changes import Changes
from memo.shared._coding import Coding
from memo.shared._counts import Counts
from memo.shared._envelope import Life, milliseconds
from memo.shared._follower import Follower
from memo.shared._grants import HeldGrant
from memo.shared._held import Lease
from memo.shared._known_keys import KnownKeys
from memo.shared._marks import Mark, Marks
from memo.shared._messages import Log
from memo.shared._others import AwaitedTurn, Turn
from memo.shared._own_leases import OwnLeases
from memo.shared._parts import LinkOptions, TierParts
from memo.shared._pending import Change
from memo.shared._scripts import Command, Granted, Stored, Value, ask, new_id, store
from memo.shared._steps import Steps, taken, taken_awaited
from memo.shared._unreachable import Reason, Skipped, Unreachable

__all__ = ("FunctionLink",)

_NOT_GRANTED = (Reason.REFUSED, Reason.LOADING, Reason.READ_ONLY, Reason.FULL, Reason.DENIED)
"""Why a question fails that the server has surely granted no lease for; in all other cases it may have."""
_BEHIND_S = 1.0
"""How long what was found may be kept while nothing is heard of what others change."""


class _Colour(NamedTuple):
    """How to wait: as a thread, or as a coroutine."""

    turn: Callable[..., Any]
    settled: Callable[..., Any]
    noticed: Callable[..., Any]
    is_thread: bool


class FunctionLink:
    """The link of one function.

    Args:
        tier: The public ``Tier``.
        parts: What it consists of.
        terms: Of the function.
        options: Of ``Tier.using()``.
        label: The function's ``function_label()``.
    """

    def __init__(self, tier: Any, parts: TierParts, terms: LinkTerms, options: LinkOptions, label: bytes) -> None:
        self.tier: Any = tier
        self.local_s = options.local_ttl_s
        self._parts = parts
        self._line = line = parts.line
        self._wire = parts.wire
        self._options = options
        self._label = label
        self._lease_ms = max(1, milliseconds(options.lease_s or parts.lease_s))
        self._counts = Counts()
        self._marks = Marks(
            parts.names, label, terms.name, terms.signature, options.version, readable_keys=parts.readable_keys
        )
        stale_ms = milliseconds(terms.stale_s)
        self._stale_ms = stale_ms
        self._coding = coding = Coding(
            terms.name, options.encode, options.decode, parts.seal, stale_ms=stale_ms, max_value=parts.max_value
        )
        self._known = KnownKeys(terms.local.holds)
        self._leases = OwnLeases(line)
        self._changes = Changes(parts, label, self._counts, coding, stale_ms)
        self._in_thread = _Colour(Turn, line.settled, line.noticed, is_thread=True)
        self._in_loop = _Colour(AwaitedTurn, line.settled_awaited, line.noticed_awaited, is_thread=False)
        self.follower = Follower(self._known, terms.local)
        """For the line."""

    # -- loads

    def ask(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Found | Grant | None:
        """See ``Link``."""
        grant = self._question(key, tags, newer)
        if grant is None:
            self._line.attend(self._parts.timeout_s)
            return None
        answer: Found | Grant | None = taken(self._asked(grant, self._in_thread), self._wire.run)
        return answer

    async def ask_awaited(self, key: Hashable, tags: Sequence[str], *, newer: bool = False) -> Found | Grant | None:
        """See ``Link``."""
        grant = self._question(key, tags, newer, weakref.ref(get_running_loop()))
        if grant is None:
            await self._line.attend_awaited(self._parts.timeout_s)
            return None
        answer: Found | Grant | None = await taken_awaited(
            self._asked(grant, self._in_loop), self._wire.run_awaited, grant.give_back_late
        )
        return answer

    def store(self, grant: Any, value: Any, life_s: float) -> bool:
        """See ``Link``."""
        is_kept: bool = taken(self._stored(grant, value, life_s), self._wire.run)
        return is_kept

    async def store_awaited(self, grant: Any, value: Any, life_s: float) -> bool:
        """See ``Link``."""
        is_kept: bool = await taken_awaited(
            self._stored(grant, value, life_s), self._wire.run_awaited, grant.give_back_late
        )
        return is_kept

    def release(self, grant: Any) -> None:
        """See ``Link``."""
        grant.give_back()

    # -- changes

    def put(self, key: Hashable, value: Any, life_s: float, tags: Sequence[str]) -> None:
        """See ``Link``."""
        mark = self._marked(key, tags)
        if mark is None or self._options.read_only:
            self._line.attend(0.0 if runs_a_loop() else self._parts.timeout_s)
        else:
            self._changes.put(mark, value, milliseconds(life_s))

    def invalidate(self, keys: Sequence[Hashable]) -> None:
        """See ``Link``."""
        if not self._options.read_only:
            self._changes.drop([mark for mark in map(self._marks.of, keys) if mark is not None])

    def invalidate_all(self) -> None:
        """See ``Link``."""
        if not self._options.read_only:
            self._changes.drop_all()

    def invalidate_tag(self, tag: str) -> None:
        """See ``Link``."""
        if not self._options.read_only:
            self._changes.drop_tag(tag)

    # -- what is known

    def know(self, key: Hashable, tags: Sequence[str]) -> None:
        """See ``Link``."""
        self._marked(key, tags)
        self._line.begin()

    def figures(self) -> LinkFigures:
        """See ``Link``."""
        return self._counts.figures()

    # -- steps

    def _asked(self, grant: HeldGrant, colour: _Colour) -> Steps:
        """A question, and as many more as it takes."""
        answer = None
        try:
            answer = yield from self._answered(grant, colour)
        except Skipped:
            grant.is_open = False  # the server never saw it
            self._counts.skipped += 1
        except Unreachable as failure:
            self._counts.errors += 1
            if failure.reason in _NOT_GRANTED:
                grant.is_open = False
        finally:
            if answer is not grant:
                grant.give_back()
        return answer

    def _answered(self, grant: HeldGrant, colour: _Colour) -> Steps:
        mark, counts, turn = grant.mark, self._counts, None
        newer, unreadable, has_noticed = grant.is_newer, b"", False
        try:
            if not (yield colour.settled, self._label, mark.digest, mark.tags, self._parts.timeout_s):
                counts.skipped += 1
                return None
            while True:
                log = self._line.log
                command = self._asking(grant, log, newer=newer, tell_done=turn is not None, unreadable=unreadable)
                began = real.monotonic()
                try:
                    reply = yield command
                except Skipped as skipped:
                    if has_noticed or skipped.reason is not Reason.LOST:
                        raise
                    grant.is_open = False
                    has_noticed = yield colour.noticed, log, self._parts.timeout_s
                    if has_noticed:
                        continue
                    raise
                took = real.monotonic() - began
                counts.seconds += took
                if type(reply) is Granted:
                    return self._had(grant, reply)
                grant.is_open = False
                if type(reply) is Value:
                    found = self._found(mark, reply)
                    if found is not None:
                        counts.hits += 1
                        return found
                    if unreadable:  # somebody writes such values all the time
                        counts.misses += 1
                        return None
                    unreadable = sha1(reply.data, usedforsecurity=False).hexdigest().encode()
                elif self._leases.holds(mark.digest):  # a load that goes on here, for which nobody waits
                    newer = True
                else:
                    if turn is None:
                        if colour.is_thread and runs_a_loop():  # the other load may need that very loop
                            counts.misses += 1
                            return None
                        counts.waits += 1
                        turn = colour.turn(self._line, self._label, mark.digest, self._options.wait_s)
                    elif not (yield turn.wait, reply.left_ms / 1000):
                        counts.misses += 1
                        return None
                    turn.listen()  # and ask once more: it may have ended meanwhile
        finally:
            if turn is not None:
                turn.cancel()

    def _stored(self, grant: HeldGrant, value: Any, life_s: float) -> Steps:
        """The storing of what a load returned."""
        counts = self._counts
        life = Life.of(milliseconds(life_s) + self._stale_ms)
        try:
            if not grant.is_open:
                return False
            if life.ms <= self._stale_ms:
                return self._kept_alone(grant)
            log = self._line.log
            command = self._storing(grant, value, life, log)
            if command is None:
                counts.rejected += 1
                return self._kept_alone(grant)
            began = real.monotonic()
            stored: Stored = yield command
            took = real.monotonic() - began
            counts.seconds += took
            grant.close()
            if not stored.is_stored:
                counts.refused += 1
            if stored.position and not self._line.told(log, stored.position):
                self._say_dropped(grant.mark)
            return stored.is_stored
        except Skipped:
            counts.skipped += 1
            return self._kept_alone(grant)
        except Unreachable:
            counts.errors += 1
            return self._kept_alone(grant)
        finally:
            grant.give_back()

    # -- parts of them

    def _question(self, key: Hashable, tags: Sequence[str], newer: bool, loop: Any = None) -> HeldGrant | None:
        """What may become a grant; None if the key cannot be shared, or nobody is to be asked."""
        mark = self._marked(key, tags)
        if mark is None:
            return None
        token = b"" if self._options.read_only else new_id()
        lease = Lease(mark.lease, token, self._label, mark.digest, self._lease_ms, loop)
        return HeldGrant(self._leases, mark, lease, is_newer=newer)

    def _marked(self, key: Hashable, tags: Sequence[str]) -> Mark | None:
        """The mark of a key that is loaded or stored now; None, and counted, if it cannot be shared."""
        mark = self._marks.of(key, tags)
        if mark is None:
            self._known.are_all = False
            self._counts.rejected += 1
        else:
            self._known.add(mark.digest, key, tags)
        return mark

    def _asking(self, grant: HeldGrant, log: Log, *, newer: bool, tell_done: bool, unreadable: bytes) -> Command[Any]:
        grant.is_open = not self._options.read_only
        mark = grant.mark
        return ask(
            mark.place,
            mark.lease,
            mark.generations,
            log,
            token=grant.lease.token,
            lease_ms=grant.lease.lease_ms,
            max_value=self._parts.max_value,
            newer=newer,
            tell_done=tell_done,
            unreadable=unreadable,
        )

    def _had(self, grant: HeldGrant, reply: Granted) -> HeldGrant | None:
        """The server had no value; *grant*, if it is one now."""
        if reply.too_large:
            self._counts.errors += 1
            self._coding.say_unread("it is larger than max_value")
        if not grant.is_newer:
            self._counts.misses += 1
        if self._options.read_only:
            return None
        if reply.stale is not None and not grant.is_newer:
            grant.have_stale(partial(self._found, grant.mark, Value(reply.stale, reply.left_ms)))
        grant.begin(reply.generations)
        return grant

    def _kept_alone(self, grant: HeldGrant) -> bool:
        """True: the result is kept here, and not stored.  What the server has is dropped, if that was to replace it."""
        if grant.is_newer:
            self._say_dropped(grant.mark)
        return True

    def _say_dropped(self, mark: Mark) -> None:
        """Have what the server has of a key be dropped, as soon as that can be."""
        self._line.say(Change(self._label, mark.digest, mark.place))

    def _storing(self, grant: HeldGrant, value: Any, life: Life, log: Log) -> Command[Stored] | None:
        """What stores *value*; None if that cannot be written."""
        mark = grant.mark
        written = self._coding.written(mark, value)
        if written is None:
            return None
        return store(
            mark.place,
            mark.lease,
            mark.generations,
            log,
            token=grant.lease.token,
            under=grant.under,
            data=self._coding.sealed(mark, grant.under, life.ms, written),
            life_ms=life.left_ms(),
            function=self._label,
            digest=mark.digest,
            tell_drop=grant.is_newer,
        )

    def _found(self, mark: Mark, reply: Value) -> Found | None:
        """What was found; None, and counted, if it is no value of that key that can be read."""
        found = self._coding.opened(mark, reply.data, reply.left_ms)
        if found is None:
            self._counts.errors += 1
            return None
        most_s = self.local_s
        if self._line.state == "behind":
            most_s = _BEHIND_S if most_s is None else min(most_s, _BEHIND_S)
        return found if most_s is None or found.left_s <= most_s else found._replace(left_s=most_s)
