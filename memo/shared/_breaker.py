"""When the server is left alone: after failures in a row, until the tier's thread has found it well again.

While the breaker is open no caller asks the server, so that an outage costs callers nothing; the thread alone does.

An error of the server that is not known here (``Reason.OTHERS``) may be of one key, or value, and tell nothing of the
others; or the server, or a proxy in front of it, may have no other answer for anybody.

- One that a caller gets does not count.  It is logged, once a minute at most.
- One that the tier's thread gets does: what it asks concerns all keys, or is taken whatever lies under a key.  After
  three in a row changes are not delivered, or not heard.  A caller's success in between tells nothing about that.
"""

import logging
from collections.abc import Callable

from memo._base import ReadClock, Seldom, format_seconds, real, rlock
from memo.shared._unreachable import Reason, Unreachable

__all__ = ("Breaker",)

log = logging.getLogger("memo")

_MOST = 3
"""So many operations fail in a row before it opens."""
_PROBES_S = (0.25, 0.6)
"""Seconds between probes, first and at most: whatever the outage took, a second after it the tier is used again."""
_FINAL_PROBES_S = (30.0, 30.0)


class Breaker:
    """Counts failures in a row.  Safe from any thread; holds no lock while it calls or logs.

    An operation takes ``era`` when it begins, and gives it back with what came of it: what began before the breaker
    opened, or before it closed, says nothing about what is now.

    Args:
        shown: What the server is called in messages, without a secret.
        on_open: Called once it has opened, and when a server was found to have lost something, from the thread of the
            operation that failed: the tier's thread is to see to it.
        read: What reads the time.
    """

    __slots__ = (
        "__weakref__",
        "_failed",
        "_fails_thread",
        "_lock",
        "_on_open",
        "_opened_at",
        "_read",
        "_shown",
        "_takes_nothing",
        "_told_final",
        "_told_unknown",
        "era",
        "opened",
        "reason",
    )

    def __init__(
        self,
        shown: Callable[[], str],
        *,
        on_open: Callable[[], object] | None = None,
        read: ReadClock | None = None,
    ) -> None:
        self._shown = shown
        self._on_open = on_open
        self._read: ReadClock = real.monotonic if read is None else read
        self._lock = rlock()
        self._failed = 0  # in a row; guarded by _lock
        self._takes_nothing = False  # that was one of them; guarded by _lock
        self._fails_thread = False  # one of them was an unknown error that the thread got; guarded by _lock
        self._told_unknown = Seldom()
        self._opened_at = 0.0  # guarded by _lock
        self._told_final = False  # that somebody has to do something, since it opened; guarded by _lock
        self.era = 0  # raised when it opens and when it closes; guarded by _lock
        self.opened = 0
        """How often it has opened; guarded by ``_lock``."""
        self.reason: Reason | None = None
        """Why it is open; None: it is closed.  Guarded by ``_lock``."""

    def __repr__(self) -> str:
        return f"<Breaker of {self._shown()}: {'closed' if self.reason is None else self.reason.name}>"

    @property
    def is_open(self) -> bool:
        """Whether the server is to be left alone."""
        return self.reason is not None

    @property
    def probe_s(self) -> tuple[float, float]:
        """In how many seconds the thread looks after the server first, and at most."""
        reason = self.reason
        return _FINAL_PROBES_S if reason is not None and reason.is_final else _PROBES_S

    def on_open(self, call: Callable[[], object]) -> None:
        """Have *call* called once it has opened, in place of what was given before."""
        self._on_open = call

    def ok(self, era: int, *, has_room: bool = False, by_thread: bool = False) -> None:
        """An operation that began in *era* came to its end; *by_thread*: all that the tier's thread had to do.

        Of a server that is full, or takes no changes, it tells nothing, unless it was one that such a server refuses
        (*has_room*): between three loads that cannot be stored there may be any number of leases given back.
        """
        if self._failed and era == self.era:
            with self._lock:
                is_better = (has_room or not self._takes_nothing) and (by_thread or not self._fails_thread)
                if era == self.era and is_better:
                    self._begin_count()

    def failed(self, error: Unreachable, era: int, *, by_thread: bool = False) -> None:
        """An operation that began in *era* came to nothing; *by_thread*: one of the tier's thread."""
        reason = error.reason
        is_unknown = reason is Reason.OTHERS
        if reason is Reason.LOST and self._on_open is not None:
            self._on_open()
        if not reason.counts and not (is_unknown and by_thread):
            if is_unknown:
                self._tell_unknown(error)
            return
        with self._lock:
            if era != self.era or self.reason is not None:
                return
            self._failed += 1
            self._takes_nothing |= reason in (Reason.FULL, Reason.READ_ONLY)
            self._fails_thread |= is_unknown
            if self._failed < _MOST and not reason.is_final:
                return
            self.reason = reason
            self.era += 1
            self.opened += 1
            self._begin_count()
            self._opened_at = self._read()
            self._told_final = reason.is_final
        self._tell(error)
        if self._on_open is not None:
            self._on_open()

    def probe_failed(self, error: Unreachable) -> None:
        """The thread looked after the server in vain; it may be for another reason than before."""
        reason = error.reason
        with self._lock:
            is_known = reason.counts or reason is Reason.OTHERS
            if self.reason is None or self.reason.is_final == reason.is_final or not is_known:
                return
            self.reason = reason
            is_news = reason.is_final and not self._told_final
            self._told_final |= is_news
        if is_news:
            self._tell(error)

    def close(self) -> None:
        """The server is well, and has been told what it missed: for the tier's thread alone."""
        with self._lock:
            if self.reason is None:
                return
            self.reason = None
            self.era += 1
            self._begin_count()
            lasted_s = self._read() - self._opened_at
        log.info("tier: %s is used again, after %s.", self._shown(), format_seconds(lasted_s))

    def renew(self) -> None:
        """Begin anew in a forked child: an open breaker stays open."""
        self._lock = rlock()
        self._begin_count()

    def _begin_count(self) -> None:
        """Lock held."""
        self._failed = 0
        self._takes_nothing = self._fails_thread = False

    def _tell_unknown(self, error: Unreachable) -> None:
        if self.reason is None and self._told_unknown.is_due():
            log.warning(
                "tier: %s %s; what it was asked for is loaded in this process. Its own log, or that of a proxy in "
                "front of it, may tell why.",
                self._shown(),
                error.said,
            )

    def _tell(self, error: Unreachable) -> None:
        if error.reason.is_final:
            log.error(
                "tier: %s %s; results are kept in this process alone until that is mended. It is tried again every "
                "30 seconds.",
                self._shown(),
                error.said,
            )
        else:
            log.warning(
                "tier: %s %s; results are kept in this process alone until it is back.", self._shown(), error.said
            )
