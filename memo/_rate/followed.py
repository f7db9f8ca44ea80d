"""The keys whose calls count, in the order of their latest call: which may be forgotten, and for whom there is room.

Everything here happens under the lock of the limiter.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from memo._base import counted, format_seconds, real
from memo._call import InstanceRef, owner_of
from memo._rate.rate import Rate
from memo._rate.starts import Starts, starts_of
from memo._rate.turns import Turn

__all__ = ("Followed", "Full", "KeyTable")

_PATIENCE_S = 1.0


class Full(NamedTuple):
    """Why a call is refused."""

    after_s: float
    """When there will be room, in seconds."""
    crowd: str = ""
    """What there are too many of, if it is not the calls of its key."""


class Followed:
    """One key.

    Attributes:
        key: As the table holds it.
        starts: Its calls within the last span.
        queue: Who waits, in the order of coming.
    """

    __slots__ = ("_rate", "key", "queue", "starts")

    def __init__(self, key: Hashable, rate: Rate) -> None:
        self._rate = rate
        self.key: Hashable = key
        self.starts: Starts = starts_of(rate)
        self.queue: dict[Turn, None] = {}

    def room(self, now: float, turn: Turn | None = None) -> int:
        """For how many calls there is room, beside those that wait before *turn* (None: all of them)."""
        room = self._rate.calls - self.starts.live(now)
        for waiter in self.queue:
            if waiter is turn or room <= 0:
                break
            if waiter.due is None:
                waiter.due = real.monotonic()
            elif real.monotonic() > waiter.due + _PATIENCE_S:
                continue
            room -= 1
        return room

    def earlier(self, turn: Turn | None, loop: asyncio.AbstractEventLoop | None) -> Turn | None:
        """Who waits in *loop* before *turn* (None: who waits there at all), and has its turn; None: nobody.

        To be asked after ``room()``, which notes who has had its turn for too long.
        """
        for waiter in self.queue if loop is not None else ():
            if waiter is turn:
                break
            if waiter.loop is loop and (waiter.due is None or real.monotonic() <= waiter.due + _PATIENCE_S):
                return waiter
        return None

    def planned(self, now: float, turn: Turn | None = None) -> float:
        """When there will be room for a call that comes after those that wait before *turn* (None: all of them)."""
        ends = list(self.starts.ends())
        for waiter in self.queue:
            if waiter is turn:
                break
            ends.append((max(waiter.at, now) + self._rate.span_s, 1))
        ends.sort()
        missing = sum([count for _, count in ends]) - self._rate.calls + 1
        for end, count in ends:
            if missing <= 0:
                break
            now = end
            missing -= count
        return now

    def let_go(self) -> None:
        """Have the calls that began count no more."""
        self.starts = starts_of(self._rate)


class KeyTable:
    """The keys that are followed.

    Args:
        rate: The limit.
        most: Most keys, 1 or more.

    Attributes:
        by_key: The keys, those whose latest call is longest ago first.
        dead: Instances that died since their keys were last dropped; appended to without the lock.  Also those that
            had no key here: so ``find()`` sees to it that there are not many more of them than keys.
    """

    __slots__ = ("by_key", "dead", "most", "rate")

    def __init__(self, rate: Rate, most: int) -> None:
        self.rate: Rate = rate
        self.most: int = most
        self.by_key: OrderedDict[Hashable, Followed] = OrderedDict()
        self.dead: list[InstanceRef] = []

    def find(self, key: Hashable) -> Followed | None:
        """A key, if it is followed."""
        one = self.by_key.get(key)
        if one is None and len(self.dead) > len(self.by_key):
            self.drop_dead()
        return one

    def follow(self, key: Hashable) -> Followed:
        """Follow a key for which room was made."""
        one = self.by_key[key] = Followed(key, self.rate)
        return one

    def make_room(self, now: float) -> Full | None:
        """Forget a key, if there are too many; why that cannot be, if so."""
        by_key = self.by_key
        if len(by_key) < self.most:
            return None
        self.drop_dead()
        soonest = self.drop_idle(now, len(by_key) - self.most + 1)
        if len(by_key) < self.most:
            return None
        span = format_seconds(self.rate.span_s)
        crowd = f"{counted(len(by_key), 'other key')} had calls within the last {span} (keys={self.most})"
        return Full(max(0.0, soonest - now), crowd)

    def drop_idle(self, now: float, most: int) -> float:
        """Forget at most so many keys that are not to be followed any more; when the next one may be forgotten."""
        soonest = now + self.rate.span_s
        gone: list[Hashable] = []
        for one in self.by_key.values():
            if len(gone) == most:
                break
            if one.starts.live(now):
                soonest = max(end for end, _ in one.starts.ends())
                break
            if not one.queue:
                gone.append(one.key)
        for key in gone:
            self.by_key.pop(key, None)
        return soonest

    def drop_dead(self) -> None:
        """Forget the keys of instances that are no more, which nobody can call with."""
        if not self.dead:
            return
        known = self.dead[:]  # others may die meanwhile
        dead = set(map(id, known))
        for key in [key for key in self.by_key if id(owner_of(key)) in dead]:
            self.by_key.pop(key, None)
        del self.dead[: len(known)]

    def let_go(self, found: list[Followed], now: float) -> tuple[int, list[Turn]]:
        """Have the calls of these keys count no more; how many keys had some, and who waits for them."""
        turns: list[Turn] = []
        number = 0
        self.drop_dead()
        for one in found:
            number += one.starts.live(now) > 0
            one.let_go()
            if one.queue:
                turns += one.queue
            elif self.by_key.get(one.key) is one:
                self.by_key.pop(one.key)
        return number, turns

    def check(self, now: float) -> None:
        assert len(self.by_key) <= self.most
        assert all(key is one.key for key, one in self.by_key.items())
        assert all(one.starts.live(now) <= self.rate.calls for one in self.by_key.values())
