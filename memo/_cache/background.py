"""Loads of ``bounded`` that run in the background: at most one of a key that newcomers may wait for."""

import asyncio
import functools
import logging
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import Aside, Clock
from memo._cache.jobs import TaskJob, ThreadJob
from memo._cache.loads import Loads
from memo._cache.options import CacheOptions
from memo._cache.refresh_pool import RefreshPool, is_ending
from memo._flight import InFlight, Role, outside_work, own_loop

__all__ = ("BackgroundLoads", "Call")

log = logging.getLogger("memo")

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of a call."""


class BackgroundLoads(Loads):
    """The loads of one function, some of which no caller runs himself."""

    def __init__(
        self,
        where: str,
        name: str,
        call: Callable[..., Any],
        clock: Clock,
        options: CacheOptions,
        pool: Callable[[], RefreshPool] | None,
    ) -> None:
        super().__init__(where, name, call, clock, options)
        self.pool = pool
        """Gives the threads for background loads of a plain function; None: it is a coroutine function."""
        self._jobs: dict[asyncio.AbstractEventLoop | None, dict[Hashable, Any]] = {}
        """Background loads that newcomers may wait for, by loop (None: in threads) and key; guarded by ``lock``."""

    def job_for(self, key: Hashable, call: Call, watched: bool) -> tuple[Any, bool]:
        """The background load of *key* (None: none can be begun), and whether this call began it.

        Args:
            key: What to load.
            call: Its arguments.
            watched: The caller waits for it; he must take that back with ``unwatch()``.
        """
        now = self.clock.read()
        loop = own_loop(self.name) if self.pool is None else None
        job: Any = ThreadJob(now) if loop is None else TaskJob(now, loop)
        running: Any = None

        def ended() -> None:
            with self.lock:
                jobs = self._jobs.get(loop, {})
                if jobs.get(key) is job:
                    del jobs[key]
                    if not jobs:
                        del self._jobs[loop]
            self.tell(job)

        watching: Any = None
        try:
            with self.lock:
                lost = [self._jobs.pop(other) for other in list(self._jobs) if other is not None and other.is_closed()]
                jobs = self._jobs.setdefault(loop, {})
                running = jobs.get(key)
                # one that is done was cut short on its way out of the table
                if running is not None and (running.done or self._is_past(running, now)):
                    running = None
                watching = running or job
                if running is None:
                    jobs[key] = job
                watching.watchers += watched
            for jobs in lost:
                for other_job in jobs.values():
                    other_job.give_up()
            if running is not None:
                if self.pool is not None:
                    self.pool().stir()  # it may wait for a thread, and a hung one may count no longer
                return running, False
            if self.pool is None:
                load = self._load_awaited(job.role, key, call, watched)
                job.start(load, ended)
                return job, True
            if job.start(self.pool(), functools.partial(self._load, job, key, call), ended, self.timeout_s):
                return job, True
        except BaseException:
            if watching is not None:
                self._give_up(watching, watched)
            if watching is job:
                ended()
            raise
        ended()
        if not is_ending():
            log.warning("%s: no thread is free for a background load; it is tried again later", self.name)
        return None, False

    def _is_past(self, job: Any, now: float) -> bool:
        return self.timeout_s is not None and bool(now >= job.began + self.timeout_s)

    def _give_up(self, job: Any, watched: bool) -> None:
        with self.lock:
            job.watchers -= watched

    def _load(self, job: ThreadJob, key: Hashable, call: Call) -> Any:
        job.begun = True
        mine = InFlight()
        try:
            return self.lead(key, *call, background=True, mine=mine)
        finally:
            job.led = getattr(mine, "led", False)
            del job  # which keeps an error, whose traceback knows this frame

    async def _load_awaited(self, role: Role, key: Hashable, call: Call, watched: bool) -> Any:
        if not watched:
            outside_work()  # nobody waits for it, so it cannot close a circle
        return await self.run(key, *call, background=True, role=role)

    def asked_for(self) -> list[InFlight]:
        with self.lock:
            waiting = [(key, job) for key, job in self._jobs.get(None, {}).items() if not job.begun]
        flights = []
        for key, job in waiting:
            flight = InFlight()
            flight.key, flight.started, flight.joined, flight.leader = key, job.began, job.watchers, None
            flights.append(flight)
        return flights

    def tell(self, job: Any) -> None:
        """Log why *job* failed, unless somebody is going to learn of it."""
        with self.lock:
            error = job.error if job.done else None
            if error is None or job.watchers or job.told or not job.led:
                return
            job.told = True
        self.log_failure(error)

    def log_failure(self, error: BaseException) -> None:
        """Log why a load failed, of which no caller learns otherwise."""
        if is_ending() or isinstance(error, asyncio.CancelledError):
            return
        log.warning("%s: a load failed; the stale value, if there is one, stays for now", self.name, exc_info=error)

    def unwatch(self, job: Any) -> None:
        """Take back that a caller waits for *job*."""
        with self.lock:
            job.watchers -= 1

    # -- fencing: a background load that newcomers must not wait for any more is forgotten, and ends alone

    def detach(self, key: Hashable) -> bool:
        key = self.at_hand(key)
        with self.lock:
            for loop, jobs in list(self._jobs.items()):
                if jobs.pop(key, None) is not None and not jobs:
                    del self._jobs[loop]
            entry = self.index.get(key) if self.store.rich else None
            if entry is not None:
                entry.retry = entry.paused  # the next call may begin another at once
            return super().detach(key)

    def detach_all(self) -> int:
        with self.lock:
            self._jobs.clear()
            return super().detach_all()

    def detach_tagged(self, tag: str) -> None:
        with self.lock:
            self._jobs.clear()
            super().detach_tagged(tag)

    def _fence(self, scope: Hashable | None) -> None:
        with self.lock:
            self._jobs.clear()
            super()._fence(scope)

    def follow(self, read: Callable[[], float]) -> None:
        super().follow(read)
        now = read()
        with self.lock:
            for jobs in self._jobs.values():
                for job in jobs.values():
                    job.began = min(job.began, now)

    def set_aside(self, aside: Aside) -> None:
        with self.lock:
            self._jobs.clear()
        super().set_aside(aside)

    def put_back(self, aside: Aside) -> None:
        if aside.is_out:
            with self.lock:
                self._jobs.clear()
        super().put_back(aside)

    def forget_work(self) -> None:
        super().forget_work()
        self._jobs.clear()
