"""Loads of ``bounded`` that run in the background: at most one of a key that newcomers may wait for."""

import asyncio
import functools
import logging
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from memo._base import Clock
from memo._cache.jobs import Jobs, TaskJob, ThreadJob
from memo._cache.loads import log_failure
from memo._cache.refresh_pool import RefreshPool, is_ending
from memo._call import Call, comparing_outside
from memo._flight import ANY_TIME, BACKGROUND, Role, TaskFlights, ThreadFlights, outside_work, own_loop

__all__ = ("Background", "Begun")

log = logging.getLogger("memo")


class Begun(NamedTuple):
    """A background load that a caller asked for."""

    job: Any
    """None: none can be begun."""
    mine: bool
    """This call began it."""


class Background:
    """Begins loads that no caller runs himself.

    Args:
        flights: What runs them.
        jobs: Those that newcomers may wait for.
        pool: Gives the threads for loads of a plain function; None: it is a coroutine function.
        foreseen: Errors of which nothing is logged.
    """

    def __init__(
        self,
        flights: ThreadFlights | TaskFlights,
        jobs: Jobs,
        pool: Callable[[], RefreshPool] | None,
        foreseen: tuple[type[Exception], ...],
    ) -> None:
        self.flights = flights
        self.jobs = jobs
        self.pool = pool
        self._foreseen = foreseen
        self.clock: Clock = flights.clock
        self._lock = flights.table.lock

    def job_for(self, key: Hashable, call: Call, watched: bool, after: float = ANY_TIME) -> Begun:
        """The background load of *key*, which this begins if none runs.

        Args:
            key: What to load.
            call: Its arguments.
            watched: The caller waits for it; he must take that back with ``unwatch()``.
            after: What was stored later than this meanwhile will do in place of a load that this begins.
        """
        return comparing_outside(self._lock, self._job_for, key, call, watched, after)

    def _job_for(self, key: Hashable, call: Call, watched: bool, after: float) -> Begun:
        now = self.clock.read()
        loop = own_loop(self.flights.name) if self.pool is None else None
        job: Any = ThreadJob(now, after) if loop is None else TaskJob(now, after, loop)
        running = watching = None
        ended = functools.partial(self._ended, loop, key, job)
        try:
            with self._lock:
                jobs = self.jobs.by_loop.setdefault(loop, {})
                running = jobs.get(key)  # first, since it may begin again
                lost = self.jobs.take_closed()
                # one that is done was cut short on its way out of the table
                if running is not None and (running.done or self._is_past(running, now)):
                    running = None
                watching = running or job
                if running is None:
                    jobs[key] = job
                watching.watchers += watched
            for other in lost:
                other.give_up()
            if running is not None:
                if self.pool is not None:
                    self.pool().stir()  # it may wait for a thread, and a hung one may count no longer
                return Begun(running, False)
            if self._start(job, key, call, watched, ended):
                return Begun(job, True)
        except BaseException:
            try:
                if watching is job:
                    ended()
            except BaseException:  # struck once more: a job that never begins would keep others from beginning one
                ended()
                raise
            finally:
                if watching is not None and watched:
                    self.unwatch(watching)
            raise
        ended()
        if not is_ending():
            log.warning("%s: no thread is free for a background load; it is tried again later", self.flights.name)
        return Begun(None, False)

    def _start(self, job: Any, key: Hashable, call: Call, watched: bool, ended: Callable[[], None]) -> bool:
        """Have *job* run in the present context, and then call *ended*; whether it will."""
        if self.pool is None:
            job.start(self._load_awaited(job.role, key, call, watched), ended)
            return True
        load = functools.partial(self._load, job, key, call)
        return bool(job.start(self.pool(), load, ended, self.flights.timeout_s))

    def _ended(self, loop: asyncio.AbstractEventLoop | None, key: Hashable, job: Any) -> None:
        self.jobs.remove(loop, key, job)
        self.tell(job)

    def _is_past(self, job: Any, now: float) -> bool:
        timeout_s = self.flights.timeout_s
        return timeout_s is not None and bool(now >= job.began + timeout_s)

    def _load(self, job: ThreadJob, key: Hashable, call: Call) -> Any:
        flights: Any = self.flights
        job.begun = True
        role = job.role
        del job  # which keeps an error, whose traceback knows this frame
        return flights.lead(key, *call, purpose=BACKGROUND, role=role)

    async def _load_awaited(self, role: Role, key: Hashable, call: Call, watched: bool) -> Any:
        flights: Any = self.flights
        if not watched:
            outside_work()  # nobody waits for it, so it cannot close a circle
        return await flights.run(key, *call, purpose=BACKGROUND, role=role)

    def tell(self, job: Any) -> None:
        """Log why *job* failed, unless somebody is going to learn of it."""
        with self._lock:
            error = job.error if job.done else None
            if error is None or job.watchers or job.told or not job.led:
                return
            job.told = True
        if not isinstance(error, self._foreseen):
            log_failure(self.flights.name, error)

    def unwatch(self, job: Any) -> None:
        """Take back that a caller waits for *job*."""
        with self._lock:
            job.watchers -= 1
