"""The off switch: in which contexts calls go straight to the function.

A context variable holds what is switched off, so that a switch holds for the thread or task that
turned it, and for the tasks that it starts, until it is turned back.  Which functions a switch
covers is asked of the view of the registry that turned it.
"""

import logging
import os
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memo._base import Covers, EnteredByWith, Staying

__all__ = ("SwitchedOff", "is_off", "off_for_good")


log = logging.getLogger("memo")

_LEAVES_ON = frozenset({"", "0", "false", "no", "off", "n", "f"})
_SWITCHES_OFF = frozenset({"1", "true", "yes", "on", "y", "t"})
_told: set[str] = set()
"""What was warned of: functions are decorated by the hundred."""

_off: "ContextVar[tuple[_Mark, ...]]" = ContextVar("memo_off", default=())


def is_off(record: Any) -> bool:
    """Whether the function of *record* is switched off in the present context."""
    return any(view.covers(record) for view in _off.get())


class SwitchedOff(Staying):
    """A block in which some functions are off: what ``registry.disabled()`` returns.

    To be entered once, with ``with``.  It is no decorator: of a coroutine function it would be over before the work
    began.

    Args:
        view: The functions.
        watch: Told of a mark of the block, and whether that begins or ends.
        complaint: What is wrong with the choice of functions when the block begins; empty if nothing is.
    """

    def __init__(
        self, view: Covers, watch: Callable[[object, bool], object], complaint: Callable[[], str] = lambda: ""
    ) -> None:
        self._view = view
        self._complaint = complaint
        self._watch = watch
        self._mark: _Mark | None = None

    def _stays(self) -> tuple[str, str]:
        return (
            "disabled(): the block is about functions of this process",
            "what to switch off, and call disabled() there",
        )

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("disabled(): the block")

    def __enter__(self) -> None:
        if self._mark is not None:
            raise RuntimeError("disabled(): this block was entered before; call disabled() again for another.")
        if complaint := self._complaint():
            warnings.warn(f"disabled(): {complaint}", UserWarning, stacklevel=2)
        mark = self._mark = _Mark(self._view)
        try:
            self._watch(mark, True)
            _off.set((*_off.get(), mark))
        except BaseException:  # interrupted: the block is not entered, and so has no end
            self._turn_back(mark)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._mark is None or self._mark.covers is _nothing:
            return
        try:
            self._turn_back(self._mark)
        except BaseException:  # interrupted
            self._turn_back(self._mark)
            raise

    def _turn_back(self, mark: "_Mark") -> None:
        """End what the block began, or what is left of it."""
        # a task that outlives the block, or a context that a generator left it in, keeps the mark
        mark.covers = _nothing
        # not reset(): the end may come in another context than the beginning, as in an async fixture
        _off.set(tuple(other for other in _off.get() if other.covers is not _nothing))
        self._watch(mark, False)

    def __repr__(self) -> str:
        state = "off now"
        if self._mark is None:
            state = "not entered"
        elif self._mark.covers is _nothing:
            state = "on again"
        return f"<disabled() of {self._view!r}: {state}>"


class _Mark:
    """One turn of the switch, told from others of the same view."""

    def __init__(self, view: Covers) -> None:
        self.covers: Callable[[Any], bool] = view.covers


def _nothing(record: Any) -> bool:
    return False


def off_for_good() -> bool:
    """Whether ``MEMO_DISABLE`` is set in the environment: to 1, true, yes or on, or to what means nothing of the kind.

    0, false, no, off and nothing leave everything on.  Of what means neither a warning is logged, once.
    """
    given = os.environ.get("MEMO_DISABLE", "").strip()
    word = given.lower()
    if word in _LEAVES_ON:
        return False
    if word not in _SWITCHES_OFF and given not in _told:
        _told.add(given)
        log.warning("MEMO_DISABLE=%r is unknown, and taken to mean 1: nothing is cached or shared; set 1 or 0.", given)
    return True
