"""Forks: what a forked child finds whole, what it begins anew, and the order in which locks are taken.

A fork copies a lock that another thread holds, in the middle of what it guards, and in the child nobody would release
it.  There are two ways out.  What the child is to find whole has its lock *held* by the forking thread, which so waits
until nobody is at work there.  What the child begins anew, since it is about threads that are not there, or can mend
from any state, is *renewed* in it, with another lock.

Whoever takes several locks of this package takes them in the order of ``Stage``; a fork, which takes many, too.  So
none of two threads waits for the other.  Of one stage nobody but a fork holds two.
"""

import enum
import logging
import os
import sys
import weakref
from typing import Any, Protocol

from memo._base.gates import Held
from memo._base.thread_locks import rlock

__all__ = ("Renewable", "Stage", "hold", "renew")

log = logging.getLogger("memo")


class Stage(enum.IntEnum):
    """Where a lock stands in the order; what is renewed is so in the same order.

    Also of locks that no fork holds or renews, those of ``memo.testing``: whoever takes them keeps to the order, too.
    """

    TESTS = enum.auto()
    """Which clocks tests have installed."""
    CLOCKS = enum.auto()
    """Which clock functions read; held while everybody who follows a clock is told of another one."""
    FORKS = enum.auto()
    """The tables of this module.  Above it all is there from the start, so that a fork may look without it."""
    EXPORTERS = enum.auto()
    """Which registries an exporter tells of."""
    REGISTRIES = enum.auto()
    """The names of one registry."""
    CIRCLES = enum.auto()
    """Who waits for whom."""
    FLIGHTS = enum.auto()
    """The running calls of one function, and its store."""
    POOLS = enum.auto()
    """The threads that load in the background for one registry."""
    RECORDINGS = enum.auto()
    """The thread that writes which keys one function is asked for.  It is not in the child, and holds no lock."""
    WINDOWS = enum.auto()
    """The events of one window."""
    LIMITS = enum.auto()
    """The latest calls of one function, and who waits for a turn."""
    JANITORS = enum.auto()
    """The thread that cleans one registry up.  Late in a child: that begins another thread."""
    TIERS = enum.auto()
    """What is still to be told to a shared tier.  In a child it begins a thread, which changes what is above."""
    SERVERS = enum.auto()
    """What shows one registry outside.  It begins threads in a child as well, which look at all of the above."""
    LISTINGS = enum.auto()
    """The names under which generated code can be shown."""
    CALLERS = enum.auto()
    """A look at the frames of all threads."""
    WAITS = enum.auto()
    """Who waits for a clock that is advanced by hand."""


class Renewable(Protocol):
    """What begins anew in a forked child."""

    def renew(self) -> None:
        """Make it fit for a process in which this is the only thread.  May be called again when it was cut short."""


_adding = rlock()
"""Guards what follows.  The tables are weak: what nobody uses any more is none of a fork's business."""
_locks: dict[Stage, "weakref.WeakKeyDictionary[Any, Any]"] = {stage: weakref.WeakKeyDictionary() for stage in Stage}
_renewed: dict[Stage, "weakref.WeakSet[Any]"] = {stage: weakref.WeakSet() for stage in Stage}

_held = Held()
_left: list[Renewable] = []
"""What is still to be renewed in the child; only while a fork goes on."""


def hold(stage: Stage, owner: object, lock: Any) -> None:
    """Have forks wait for *lock*, a re-entrant one, for as long as *owner* lives."""
    with _adding:
        _locks[stage][owner] = lock


def renew(stage: Stage, thing: Renewable) -> None:
    """Have *thing* renewed in each forked child, for as long as it lives."""
    with _adding:
        _renewed[stage].add(thing)


hold(Stage.FORKS, sys.modules[__name__], _adding)


def _before() -> None:
    for stage in Stage:
        for lock in list(_locks[stage].values()):
            _held.take(lock)
    _left[:] = [thing for stage in Stage for thing in _renewed[stage]]


def _in_parent() -> None:
    _left.clear()
    _held.give_back()


def _in_child() -> None:
    try:
        while _left:
            try:
                _left[0].renew()
            except Exception:
                log.exception("fork: %r could not be renewed in the child", _left[0])
            del _left[0]
    finally:
        _held.give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    # once more, for what is left: an exception that strikes in the middle of the first is told to nobody
    os.register_at_fork(after_in_parent=_in_parent, after_in_child=_in_child)
