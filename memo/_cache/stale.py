"""Values past their time to live, failures worth remembering, and callers who wait no longer than they like.

What a call finds, and what it gets, is decided here; the running of loads is the business of
``_flight``, and of ``background`` where no caller runs them.  The models are RFC 5861 (stale-while-revalidate,
stale-if-error), Caffeine's refreshAfterWrite and FusionCache's fail-safe and soft timeouts.

A ``RichEntry`` bears what callers need to decide without a lock:

- until ``retry`` whoever finds it stale is answered at once, and nobody begins a load;
- until ``paused`` (never later than ``retry``) that is because a load has failed.

While a background load runs, ``retry`` lies a lease ahead, so that a load that was lost with its
loop, its thread or its process is noticed by the first call after the lease.
"""

import logging
import math
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import frameless_copy, real, renewed, shared_copy, short_text
from memo._cache.background import BackgroundLoads, Call
from memo._cache.jobs import ThreadJob
from memo._cache.options import LEASE_S
from memo._call import stored_key
from memo._flight import TIMED_OUT, InFlight, Role
from memo._store import Failure, Gone, RichEntry, weight
from memo.errors import InflightTimeout

__all__ = ("FreshLoads",)

log = logging.getLogger("memo")


class FreshLoads(BackgroundLoads):
    """The loads of one function, as far as they know what to do without a fresh value."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.is_off: Callable[[], bool] = _never
        """Whether calls go straight to the function now."""

    # -- calls that found no fresh value

    def answer(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of a plain function."""
        key = self._hashed(key)
        entry = self._late(key, now)
        if entry is not None:
            if self._serves_at_once(entry, key, now, (args, kwargs)):
                return self._serve(key, entry, now)
            if self.options.soft_s is not None:
                found, value, _ = self._wait_for(key, (args, kwargs), self.options.soft_s, stale=True)
                if found:
                    return value  # else its time was over meanwhile: from here as without it
        return self._lead_or_serve(key, args, kwargs)

    async def answer_awaited(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of a coroutine function."""
        key = self._hashed(key)
        entry = self._late(key, now)
        if entry is not None:
            if self._serves_at_once(entry, key, now, (args, kwargs)):
                return self._serve(key, entry, now)
            if self.options.soft_s is not None:
                found, value, _ = await self._wait_for_awaited(key, (args, kwargs), self.options.soft_s, stale=True)
                if found:
                    return value  # else its time was over meanwhile: from here as without it
        role = Role()
        try:
            return await self.run(key, args, kwargs, role=role)
        except Exception as error:
            stale = self._instead(key, error, role.led)
            if stale is None:
                raise
            return self._serve_instead(key, stale, role.led, error)

    def _lead_or_serve(self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Load, or wait for the load that runs; a stale value answers for one that fails."""
        mine = InFlight()
        try:
            return self.lead(key, args, kwargs, mine=mine)
        except Exception as error:
            led = getattr(mine, "led", False)  # unset: it was struck before it entered
            stale = self._instead(key, error, led)
            if stale is None:
                raise
            return self._serve_instead(key, stale, led, error)

    def _hashed(self, key: Hashable) -> Hashable:
        """*key* as tables hold it, so that its hash is asked for once."""
        try:
            return stored_key(key, self.known)
        except TypeError:
            self._refuse_unhashable(key)
            raise

    def _late(self, key: Hashable, now: float) -> RichEntry | None:
        """The stale value of *key* that may still serve, if there is one; raises a remembered failure."""
        entry = self.index.get(key)
        if entry is None or not self.store.rich or self.store.past_life(entry, now):
            return None
        if entry.failure:
            self.store.use_stale(entry, now)
            raise renewed(entry.value.error)
        return None if now < entry.deadline else entry

    def _serves_at_once(self, entry: RichEntry, key: Hashable, now: float, call: Call) -> bool:
        """Whether *entry*, which is stale, answers without waiting; begins the load that this may ask for."""
        if now < entry.deadline + self.options.revalidate_s:
            if now >= entry.retry:
                self._revalidate(entry, key, now, call)
            return True
        return now < entry.paused

    def _serve(self, key: Hashable, entry: RichEntry, now: float) -> Any:
        self.store.use_stale(entry, now)
        return self.handed(entry.value)

    def _serve_instead(self, key: Hashable, entry: RichEntry, led: bool, error: Exception) -> Any:
        """Answer stale a call that the flights have counted already."""
        with self.lock:
            if led:
                self.misses_moved += 1
            else:
                self.joins_moved += 1
        if led:
            self.log_failure(error)
        return self._serve(key, entry, self.clock.read())

    def _instead(self, key: Hashable, error: BaseException, counted: bool = True) -> RichEntry | None:
        """The stale value that answers for a load that failed.

        Args:
            counted: The flights have surely counted the call; if not, only a caller at the recursion limit is
                struck before they do.
        """
        if not isinstance(error, Exception) or not self.options.if_error_s:
            return None
        if not counted and isinstance(error, RecursionError):
            return None
        entry = self.index.get(key)
        now = self.clock.read()
        if entry is None or entry.failure or self.store.past_life(entry, now):
            return None
        inside = entry.deadline <= now < entry.deadline + self.options.if_error_s
        return entry if inside else None

    def load_failed(self, flight: InFlight, error: Exception) -> None:
        """Let a stale value serve for a while before the next attempt, or remember the failure."""
        options = self.options
        if not options.serves_late:
            return
        if flight.state is TIMED_OUT and self.pool is not None and getattr(flight, "background", False):
            self.log_failure(error)  # its job cannot tell: it hangs
        failure = None
        if isinstance(error, options.cache_errors):  # what runs user code, before the lock
            failure = self._failure_entry(flight.key, error, flight.tags if self.tags_of is not None else ())
        self.alter(self._note_failure, flight, failure)

    def _note_failure(self, gone: list[Gone], flight: InFlight, failure: RichEntry | None) -> None:
        key, now = flight.key, self.clock.read()
        entry = self.index.get(key)
        if entry is not None and not entry.failure and not self.store.past_life(entry, now):
            if now >= entry.deadline:
                entry.paused = entry.retry = min(now + self.options.error_s, entry.ends)
            return
        if failure is not None and self._was_current(flight):
            failure.stored = failure.used = now
            failure.ends = now + self.options.error_s
            self._keep(gone, key, failure, now)

    def _was_current(self, flight: InFlight) -> bool:
        """Whether nothing fenced *flight* before it failed."""
        if flight.state is TIMED_OUT:  # it has left the table already
            return flight.was_current and flight.key not in self.table
        return self.table.get(flight.key) is flight

    def _failure_entry(self, key: Hashable, error: Exception, tags: tuple[str, ...] | None) -> RichEntry | None:
        """What to remember of a failure, but for its times; None: nothing."""
        if tags is None:
            return None
        remembered = frameless_copy(error)
        if remembered is None:
            log.warning("%s: %s cannot be copied, and so is not remembered", self.name, short_text(error))
            return None
        entry = RichEntry()
        entry.value = Failure(remembered)
        entry.failure = True
        entry.hits = entry.counted = entry.stale_hits = entry.counted_stale = 0
        entry.deadline = entry.retry = entry.paused = -math.inf
        entry.tags = tags
        if self.options.max_bytes is not None:
            entry.size = weight(key, tags, remembered)
        return entry

    # -- loads in the background

    def _revalidate(self, entry: RichEntry, key: Hashable, now: float, call: Call) -> None:
        """Begin a background load of a stale value, unless one runs or has failed of late."""
        with self.lock:
            if now < entry.retry:
                return
            entry.retry = min(now + LEASE_S, entry.deadline + self.options.revalidate_s)
            flight = self.table.get(key)
        if flight is not None:
            if self._is_stuck(flight):
                self.expire(flight)
                return  # which has failed, so that the next attempt is due after the pause
            if not self._is_dead(flight, None):
                return
        self.job_for(key, call, watched=False)

    # -- callers who wait so long and no longer

    def call_within(self, key: Hashable, call: Call, seconds: float, stale: bool) -> Any:
        """Answer a call of a plain function within so many seconds.

        Args:
            key: What to load.
            call: Its arguments.
            seconds: How long to wait at most.
            stale: Whether a stale value will do.
        """
        if self.is_off():
            return self.call(*call[0], **call[1])
        key = self._hashed(key)
        found, value = self._at_once(key, call, stale)
        if not found:
            found, value, began = self._wait_for(key, call, seconds, stale)
            if not found:
                raise self._too_late(key, seconds, began)
        return value

    async def call_within_awaited(self, key: Hashable, call: Call, seconds: float, stale: bool) -> Any:
        """The same for a coroutine function."""
        if self.is_off():
            return await self.call(*call[0], **call[1])
        key = self._hashed(key)
        found, value = self._at_once(key, call, stale)
        if not found:
            found, value, began = await self._wait_for_awaited(key, call, seconds, stale)
            if not found:
                raise self._too_late(key, seconds, began)
        return value

    def call_fresh(self, key: Hashable, call: Call) -> Any:
        """Answer a call of a plain function with a fresh value."""
        if self.is_off():
            return self.call(*call[0], **call[1])
        key = self._hashed(key)
        found, value = self._at_once(key, call, stale=False)
        return value if found else self.lead(key, *call)

    async def call_fresh_awaited(self, key: Hashable, call: Call) -> Any:
        """The same for a coroutine function."""
        if self.is_off():
            return await self.call(*call[0], **call[1])
        key = self._hashed(key)
        found, value = self._at_once(key, call, stale=False)
        return value if found else await self.run(key, *call)

    def _at_once(self, key: Hashable, call: Call, stale: bool) -> tuple[bool, Any]:
        """Whether the store has an answer that needs no waiting, and which; raises a remembered failure."""
        now = self.clock.read()
        fresh = self.store.use(key, now)
        if fresh is not None:
            return True, self.handed(fresh.value)
        entry = self._late(key, now)
        if entry is not None and stale and self._serves_at_once(entry, key, now, call):
            return True, self._serve(key, entry, now)
        return False, None

    def _wait_for(self, key: Hashable, call: Call, seconds: float, stale: bool) -> tuple[bool, Any, bool]:
        """Wait for a background load of *key*, as a call of a plain function.

        Args:
            key: What to load.
            call: Its arguments.
            seconds: How long to wait at most.
            stale: Whether a stale value will do, if the load fails or takes longer.

        Returns:
            Whether there is an answer, which, and whether this call began the load.  Without an answer the call is
            counted nowhere yet.

        Raises:
            Exception: What the load raised, if nothing stale answers for it.
        """
        ends = real.monotonic() + seconds
        while True:
            job, began = self.job_for(key, call, watched=True)
            if job is not None:
                try:
                    left_s = ends - real.monotonic()
                    if self.timeout_s is not None:
                        left_s = min(left_s, job.began + self.timeout_s - self.clock.read())
                    job.wait(left_s, self.clock.read)
                except BaseException:
                    self._leave_job(job, began)
                    raise
                self.unwatch(job)
                if self._is_overdue(key, job):
                    return True, self._failed_or_stale(key, job, self._overdue(key), began, stale), began
            if job is None or not self._is_another_s(job, began):
                return *self._outcome(key, job, began, stale), began

    async def _wait_for_awaited(self, key: Hashable, call: Call, seconds: float, stale: bool) -> tuple[bool, Any, bool]:
        """The same as a call of a coroutine function."""
        ends = real.monotonic() + seconds
        while True:
            job, began = self.job_for(key, call, watched=True)
            try:
                await job.wait(ends - real.monotonic(), self.clock.read)
            except BaseException:
                self._leave_job(job, began)
                raise
            self.unwatch(job)
            if not self._is_another_s(job, began):
                return *self._outcome(key, job, began, stale), began

    def _leave_job(self, job: Any, began: bool) -> None:
        """Let a caller go who was cancelled or interrupted."""
        self.unwatch(job)
        self._count(began)
        self.tell(job)

    def _is_another_s(self, job: Any, began: bool) -> bool:
        """Whether *job* ended by what is no failure and strikes only the caller who began it: the others go on."""
        return job.done and job.error is not None and not isinstance(job.error, Exception) and not began

    def _is_overdue(self, key: Hashable, job: ThreadJob) -> bool:
        """Whether *job* is past the timeout; detaches what hangs."""
        if job.done or self.timeout_s is None or self.clock.read() < job.began + self.timeout_s:
            return False
        flight = self.table.get(key)
        if flight is not None and self._is_stuck(flight):
            self.expire(flight)
        return True

    def _overdue(self, key: Hashable) -> InflightTimeout:
        flight = InFlight()
        flight.key = key
        return self._timed_out(flight)

    def _outcome(self, key: Hashable, job: Any, began: bool, stale: bool) -> tuple[bool, Any]:
        if job is not None and job.done:
            if job.error is not None:
                return True, self._failed_or_stale(key, job, job.error, began and job.led, stale)
            self._count(began and job.led)
            return True, self.handed(job.value)
        now = self.clock.read()
        fresh = self.store.use(key, now)  # put meanwhile
        if fresh is not None:
            return True, self.handed(fresh.value)
        entry = self.index.get(key) if stale and self.store.rich else None
        if entry is None or entry.failure or self.store.past_life(entry, now):
            return False, None
        return True, self._serve(key, entry, now)

    def _failed_or_stale(self, key: Hashable, job: Any, error: BaseException, led: bool, stale: bool) -> Any:
        entry = self._instead(key, error) if stale else None
        if entry is None:
            with self.lock:
                job.told = True
            self._count(led)
            try:
                raise shared_copy(error, error.__traceback__)
            finally:
                del error, job  # the traceback holds this frame
        self.tell(job)
        return self._serve(key, entry, self.clock.read())

    def _too_late(self, key: Hashable, seconds: float, began: bool) -> InflightTimeout:
        self._count(began)
        return InflightTimeout(
            f"{self.name}(): no result within the {seconds:g} s that this caller allows; a load that has begun goes "
            f"on for others. Give more time, or allow a stale value with stale_if_error=.",
            key,
            seconds,
        )

    def _count(self, led: bool) -> None:
        """Count a call that waited for a background load, which the flights count for nobody's call."""
        with self.lock:
            if led:
                self.misses_moved -= 1
            else:
                self.joins_moved -= 1


def _never() -> bool:
    return False
