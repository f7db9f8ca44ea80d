"""Callers who wait for a background load so long and no longer."""

from collections.abc import Hashable
from typing import Any, NamedTuple

from memo._base import real, seconds_in_words, shared_copy
from memo._cache.background import Background
from memo._cache.cache import Cache
from memo._cache.fallback import Fallback
from memo._cache.jobs import ThreadJob
from memo._cache.stale_values import StaleValues
from memo._cache.terms import Terms
from memo._call import Call
from memo.errors import InflightTimeout

__all__ = ("Answer", "Waits")


class Answer(NamedTuple):
    """What a wait came to."""

    found: bool
    """There is an answer; without one the call is counted nowhere yet."""
    value: Any = None
    led: bool = False
    """Without one: this call began the load, and that has not joined another's."""


class Waits:
    """Waits for background loads of one function.

    Args:
        cache: Its results.
        background: Begins the loads.
        stale: What stale values may do.
        fallback: What stands in for errors.
    """

    def __init__(self, cache: Cache, background: Background, stale: StaleValues, fallback: Fallback) -> None:
        self._cache = cache
        self._background = background
        self._stale = stale
        self._fallback = fallback
        self._clock = cache.clock
        self._counts = cache.counts
        self._lock = cache.store.lock
        self._timeout_s = cache.options.timeout_s

    def wait(self, key: Hashable, call: Call, seconds: float, terms: Terms) -> Answer:
        """Wait for a background load of *key*, as a call of a plain function.

        Args:
            key: What to load.
            call: Its arguments.
            seconds: How long to wait at most.
            terms: What will do for the caller: which stale value, if the load fails or takes longer.

        Raises:
            Exception: What the load raised, if nothing stale answers for it.
        """
        ends = real.monotonic() + seconds
        after = terms.after(self._clock.read())
        while True:
            job, began = self._background.job_for(key, call, watched=True, after=after)
            if job is not None:
                try:
                    left_s = ends - real.monotonic()
                    if self._timeout_s is not None:
                        left_s = min(left_s, job.began + self._timeout_s - self._clock.read())
                    job.wait(left_s, self._clock.read)
                except BaseException:
                    self._leave(job, began)
                    raise
                self._background.unwatch(job)
                if self._is_overdue(key, job):
                    error = self._cache.flights.timed_out(key)
                    return Answer(True, self._failed_or_stale(key, job, error, began and not job.has_joined, terms))
            if job is None or not (_is_another_s(job, began) or _is_too_old(job, began, terms)):
                return self._outcome(key, job, began, terms)

    async def wait_awaited(self, key: Hashable, call: Call, seconds: float, terms: Terms) -> Answer:
        """Wait for a background load of *key*, as a call of a coroutine function; else as ``wait()`` does."""
        ends = real.monotonic() + seconds
        after = terms.after(self._clock.read())
        while True:
            job, began = self._background.job_for(key, call, watched=True, after=after)
            try:
                await job.wait(ends - real.monotonic(), self._clock.read)
            except BaseException:
                self._leave(job, began)
                raise
            self._background.unwatch(job)
            if not (_is_another_s(job, began) or _is_too_old(job, began, terms)):
                return self._outcome(key, job, began, terms)

    def too_late(self, key: Hashable, seconds: float, led: bool) -> InflightTimeout:
        """The error of a call that got no answer in time, which this counts: a miss if it led the load, or a join."""
        self._counts.count(led)
        return InflightTimeout(
            f"{self._cache.name}(): no result within the {seconds_in_words(seconds)} that this caller allows; a load "
            f"that has begun goes on for others. Give more time, allow a stale value with stale_if_error=, or say what "
            f"to answer with default=.",
            key,
            seconds,
        )

    def _leave(self, job: Any, began: bool) -> None:
        """Let a caller go who was cancelled or interrupted."""
        self._background.unwatch(job)
        if began and not job.has_joined:
            self._counts.count(led=True)  # else it waited for a load that another led, and counts as nothing
        self._background.tell(job)

    def _is_overdue(self, key: Hashable, job: ThreadJob) -> bool:
        """Whether *job* is past the timeout; detaches what hangs."""
        if job.done or self._timeout_s is None or self._clock.read() < job.began + self._timeout_s:
            return False
        flights = self._cache.flights
        flight = flights.table.by_key.get(key)
        if flight is not None and flights.is_stuck(flight):
            flights.expire(flight)
        return True

    def _outcome(self, key: Hashable, job: Any, began: bool, terms: Terms) -> Answer:
        if job is not None and job.done:
            if job.error is not None:
                return Answer(True, self._failed_or_stale(key, job, job.error, began and job.led, terms))
            self._counts.count(began and job.led, job.role.found)
            return Answer(True, self._cache.handed(job.value))
        now = self._clock.read()
        fresh = self._cache.store.use(key, now, terms.after(now))  # put meanwhile
        if fresh is not None:
            return Answer(True, self._cache.handed(fresh.value))
        entry = self._stale.still(key, now, terms)
        if entry is None:
            return Answer(False, led=began and job is not None and not job.has_joined)
        return Answer(True, self._stale.serve(entry, now))

    def _failed_or_stale(self, key: Hashable, job: Any, error: BaseException, led: bool, terms: Terms) -> Any:
        entry = self._stale.instead(key, error, terms)
        if entry is None:
            if self._fallback.covers(error, terms):
                self._background.tell(job)
            else:
                with self._lock:
                    job.told = True
            self._counts.count(led)
            try:
                raise shared_copy(error, error.__traceback__)
            finally:
                del error, job  # the traceback holds this frame
        self._background.tell(job)
        return self._stale.serve(entry, self._clock.read())


def _is_another_s(job: Any, began: bool) -> bool:
    """Whether *job* ended by what is no failure and strikes only the caller who began it: the others go on."""
    return job.done and job.error is not None and not isinstance(job.error, Exception) and not began


def _is_too_old(job: Any, began: bool, terms: Terms) -> bool:
    """Whether *job*, which was begun for callers whom any age will do, found a value that may be too old for this."""
    return terms.max_age_s is not None and not began and job.done and job.error is None and job.found
