"""Random operations in many threads and loops at once; then nothing may be stuck, lost, wrong or out of bounds.

The long run is behind the marker ``stress``.  In its environment, MEMO_STRESS_OPERATIONS changes its
length and MEMO_STRESS_SEED repeats the draws of an earlier run (not how its threads took turns).
"""

import asyncio
import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import quietly, until_elsewhere
from kit.flights import assert_idle, tables
from kit.refresh_pool import rests
from kit.threads import Running, switching_often, until

from memo import EvictionReason, InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock

THREADS = 8
OPERATIONS = 200_000
KEYS = 12
MAX = 7
BYTES = 3_000
"""Of values that weigh from 10 to 31."""
TTL_S = 50.0
TIMEOUT_S = 1000.0
"""By a clock that only the operations advance, and by far less than that in all but a few."""
LIMIT_S = 1500
EVERYTHING = (
    "started", "joined", "completed", "failed", "cancelled", "timeouts", "hits", "refreshes", "stale_hits", "error_hits"
)  # fmt: skip
"""What must happen at least once in a long run."""

Result = tuple[int, int, str]
"""Key, number, and whether an execution returned it or somebody put it."""


class Boom(Exception):
    """What an execution raises for all who share it."""


class Struck(BaseException):
    """What an execution raises for the one who leads it."""


class Subject:
    """A decorated function, plain or a coroutine function, whose every result can be checked.

    Numbers come from one counter: an execution draws one when it begins, and so does whoever
    invalidates.  So a result can be told that is older than an invalidation which had ended before
    the call began.
    """

    def __init__(self, name: str, decorate: Callable[[Any, dict[str, Any]], Any], is_async: bool) -> None:
        self.name = name
        self.is_async = is_async
        self.serves_stale = "stale" in name
        self.numbers = itertools.count()
        # Plain additions to attributes, as safe here as the package's own.
        self.executions = 0
        self.answered = 0
        """Calls that returned, or raised an Exception."""
        self.interrupted = 0
        """Calls that ended otherwise; of coroutines, also those that were cancelled before they began."""
        self.refreshed = 0
        self.struck = 0
        """Executions that ended otherwise without having been asked to."""
        self.hurt = 0
        """Callers who were hurt by that."""
        self.left: list[tuple[Any, Result, EvictionReason]] = []

        def on_evict(key: Any, value: Result, reason: EvictionReason) -> None:
            self.left.append((key, value, reason))

        self.call = decorate(self._coroutine() if is_async else self._function(), {"on_evict": on_evict})
        self.cache = self.call.cache if hasattr(self.call, "cache") else None

    def _function(self) -> Callable[[int], Result]:
        def plain(key: int) -> Result:
            self.executions += 1
            number = next(self.numbers)
            for _ in range(number % 7 * 40):  # long enough for others to come in between
                pass
            if number % 13 == 5:
                self.check((key * 5 + 1) % KEYS, -1, self.call)
            return self.end(key, number)

        return plain

    def _coroutine(self) -> Callable[[int], Any]:
        async def work(key: int) -> Result:
            self.executions += 1
            number = next(self.numbers)
            for _ in range(number % 4):
                await asyncio.sleep(0)
            if number % 59 == 7:
                self.struck += 1
                raise asyncio.CancelledError
            if number % 13 == 5:
                await self.nested((key * 5 + 1) % KEYS)
            return self.end(key, number)

        return work

    async def nested(self, key: int) -> None:
        """What ``check`` does, from within an execution."""
        try:
            result = await self.call(key)
        except asyncio.CancelledError:
            self.interrupted += 1
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # the nested one was struck, and takes this one along
                self.struck += 1
            raise
        except BaseException as error:
            self.check_error(key, -1, error)
        else:
            self.check_result(key, -1, result)

    def end(self, key: int, number: int) -> Result:
        if number % 11 == 10:
            raise Boom(key, number, "raised")
        if number % 53 == 17:
            self.struck += 1
            raise Struck(key, number, threading.get_ident())
        return key, number, "returned"

    def check(self, key: int, after: int, act: Callable[[int], Any], counts: bool = True) -> None:
        """Call, and check what comes: for *key*, and of an execution begun after *after*."""
        try:
            result = act(key)
        except BaseException as error:
            self.check_error(key, after, error, counts)
        else:
            self.check_result(key, after, result, counts)

    def check_error(self, key: int, after: int, error: BaseException, counts: bool = True) -> None:
        if isinstance(error, Boom):
            self.check_result(key, after, error.args, counts)
        elif isinstance(error, InflightTimeout):
            assert error.key == key
            self.answered += counts
        elif isinstance(error, Struck):
            assert error.args[0] == key
            if not self.is_async:
                assert error.args[2] == threading.get_ident(), "an interruption went to another thread"
            self.interrupted += counts
            self.hurt += 1
        else:
            raise error

    def check_result(self, key: int, after: int, result: Any, counts: bool = True) -> None:
        assert result[0] == key, f"{self.name}({key}) got the result of {result[0]}"
        if result[2] != "put":  # its number was drawn some time before it was put
            assert result[1] > after, (
                f"{self.name}({key}) got execution {result[1]}, begun before it was invalidated at {after}"
            )
        self.answered += counts

    def drop(self, key: int, how: int) -> None:
        """Make every execution of *key* begun so far outdated."""
        if self.cache is None:
            self.call.inflight.forget(key)
        elif how == 0:
            self.cache.clear()
        elif how == 1:
            self.cache.invalidate_where(lambda other, value: other == key)
        else:
            self.cache.invalidate(key)

    def put(self, key: int) -> None:
        self.cache.put((key, next(self.numbers), "put"), key)

    def look(self) -> None:
        """Read what can be read at any moment."""
        for table in tables(self.call):
            for flight in table.pending():
                assert flight.key in range(KEYS)
                assert flight.waiters >= 0
            stats = table.stats()
            assert stats.active >= 0
            assert stats.waiting >= 0
        if self.cache is not None:
            for key, value in self.cache.items():
                assert value[0] == key

    def check_bounds(self) -> None:
        """They hold at every moment, for whoever looks with or without the lock."""
        if self.cache is None:
            return
        assert len(self.cache.store) <= MAX
        stats = self.cache.stats()
        assert stats.size <= MAX
        if stats.max_bytes is not None:
            assert stats.bytes <= stats.max_bytes == BYTES
        self.cache._check()

    def check_at_the_end(self) -> None:
        assert_idle(self.call)
        self.check_bounds()
        self.check_counters()
        if self.cache is not None:
            self.check_what_left()

    def check_counters(self) -> None:
        """Each call raised exactly one counter, and each execution that began has ended."""
        layers = [table.stats() for table in tables(self.call)]
        outer, inner = layers[0], layers[-1]
        stats = None if self.cache is None else self.cache.stats()
        if stats is not None and self.cache._cache.flights is self.call.inflight._flights:  # the cache sees all calls
            calls = stats.requests
        else:
            calls = outer.started + outer.joined
        if self.is_async:  # who was cancelled while it waited for another's execution raised no counter
            assert self.answered <= calls <= self.answered + self.interrupted
            assert self.executions <= inner.started  # one that is cancelled at once has not begun
        else:
            assert calls == self.answered + self.interrupted
            assert self.executions == inner.started
        for layer in layers:
            assert layer.started == layer.completed + layer.failed + layer.cancelled
        if stats is not None:
            loads = stats.loads + stats.load_errors
            called_off = self.cache.inflight.stats().cancelled if self.is_async else 0  # are neither, or not all
            led = stats.misses + stats.refreshes
            if self.serves_stale:  # some of those who led a load count as having been answered stale
                assert led - called_off <= loads <= led + stats.stale_hits
            else:
                assert stats.stale_hits == stats.error_hits == 0
                assert led - called_off <= loads <= led
                assert stats.refreshes <= self.refreshed
        assert self.hurt <= self.struck * len(layers), "somebody was hurt by what struck another"

    def check_what_left(self) -> None:
        """Each value left once, for the reasons that the counters tell."""
        stored = {value for _, value in self.cache.items()}
        values = [value for _, value, _ in self.left]
        assert all(value[0] == key for key, value, _ in self.left)
        assert len(set(values)) == len(values), "a value left twice"
        assert not stored.intersection(values), "a value left and is still there"
        evictions = self.cache.stats().evictions
        told = Counter(reason for _, _, reason in self.left)
        assert {reason: told[reason] for reason in EvictionReason} == dict(evictions)


def subjects(registry: Registry, clock: FakeClock) -> list[Subject]:
    common: dict[str, Any] = {"registry": registry, "clock": clock, "timeout": TIMEOUT_S}

    def single(function: Any, options: dict[str, Any]) -> Any:
        return dedupe_inflight(**common)(function)

    def cache(**more: Any) -> Callable[[Any, dict[str, Any]], Any]:
        return lambda function, options: bounded(max=MAX, **{"ttl": TTL_S, **more}, **common, **options)(function)

    def above(function: Any, options: dict[str, Any]) -> Any:
        return cache()(single(function, options), options)

    def below(function: Any, options: dict[str, Any]) -> Any:
        return single(cache()(function, options), options)

    decorators = {
        "single flight": single,
        "adaptive": cache(policy="adaptive"),
        "adaptive without ttl": cache(policy="adaptive", ttl=None),
        "s3fifo": cache(policy="s3fifo"),
        "s3fifo without ttl": cache(policy="s3fifo", ttl=None),
        "lru": cache(policy="lru"),
        "lfu, idle": cache(policy="lfu", idle=20.0),
        "max_bytes": cache(max_bytes=BYTES, sizeof=lambda value: 10 + value[1] % 22 * 30),
        "stale and failures": cache(
            stale_while_revalidate=30.0, stale_if_error=100.0, cache_errors=(Boom,), error_ttl=5.0
        ),
        "cache above single flight": above,
        "cache below single flight": below,
    }
    return [
        Subject(f"{kind}, {name}", decorate, is_async)
        for is_async, kind in ((False, "function"), (True, "coroutine"))
        for name, decorate in decorators.items()
    ]


class Thread:
    """One thread's share of the operations, drawn from a seed."""

    def __init__(self, seed: int, operations: int, every: list[Subject], registry: Registry, clock: FakeClock) -> None:
        self.draw = random.Random(seed)
        self.operations = operations
        self.registry = registry
        self.clock = clock
        self.plain = [subject for subject in every if not subject.is_async]
        self.coroutines = [subject for subject in every if subject.is_async]
        self.failed = threading.Event()
        """Set when another thread failed: there is no use in going on."""

    def besides(self, subject: Subject, key: int) -> None:
        """One of the operations that are no calls."""
        chance = self.draw.random()
        if chance < 0.4:
            subject.drop(key, self.draw.randrange(5))
        elif chance < 0.5:
            subject.call.inflight.forget(key)
        elif chance < 0.6:
            subject.call.inflight.cleanup()
        elif chance < 0.7:
            subject.look()
        elif chance < 0.74:
            self.registry.cleanup()
        elif chance < 0.75:
            self.registry.clear()
        elif chance < 0.8:
            self.clock.advance(self.draw.choice([0.1, 1, 15, 60]))
        elif chance < 0.82:
            self.clock.advance(TIMEOUT_S)
        elif subject.cache is not None:
            if chance < 0.9:
                subject.put(key)
            else:
                subject.cache.cleanup()

    def use_functions(self) -> int:
        for done in range(self.operations):
            if self.failed.is_set():
                return done
            subject = self.draw.choice(self.plain)
            key = self.draw.randrange(KEYS)
            chance = self.draw.random()
            if chance < 0.6:
                subject.check(key, -1, subject.call)
            elif chance < 0.7:
                after = next(subject.numbers)
                subject.drop(key, self.draw.randrange(5))
                subject.check(key, after, subject.call)
            elif chance < 0.75 and subject.cache is not None:
                subject.refreshed += 1
                subject.check(key, -1, subject.cache.refresh, counts=False)
            else:
                self.besides(subject, key)
        return self.operations

    def use_coroutines(self) -> int:
        done = 0
        while done < self.operations and not self.failed.is_set():
            done += asyncio.run(self.one_loop(min(self.operations - done, 400)))
        return done

    async def one_loop(self, operations: int) -> int:
        """Four operations at a time: three calls at once, of which some are cancelled, and one other."""
        for _ in range(0, operations, 4):
            subject = self.draw.choice(self.coroutines)
            keys = [self.draw.randrange(KEYS) for _ in range(3)]
            after = -1
            if self.draw.random() < 0.2:
                keys = keys[:1] * 3
                after = next(subject.numbers)
                subject.drop(keys[0], self.draw.randrange(5))
            else:
                self.besides(subject, keys[0])
            await self.call_at_once(subject, keys, after)
        # What was detached may still run.  Either it comes to its end, or the loop that ends cancels it.
        if self.draw.random() < 0.5:
            await until_elsewhere(lambda: len(asyncio.all_tasks()) == 1)
        return operations

    async def call_at_once(self, subject: Subject, keys: list[int], after: int) -> None:
        refreshing = subject.cache is not None and self.draw.random() < 0.1
        if refreshing:
            subject.refreshed += len(keys)
            after = -1
        act = subject.cache.refresh if refreshing else subject.call
        tasks = [asyncio.create_task(act(key)) for key in keys]
        doomed = self.draw.sample(tasks, self.draw.choice([0, 0, 0, 1, 2, 3]))
        for _ in range(self.draw.randrange(5)):
            await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        await asyncio.wait(tasks)
        for key, task in zip(keys, tasks, strict=True):
            if task.cancelled():
                subject.interrupted += not refreshing
                subject.hurt += task not in doomed
            else:
                subject.check(key, after, lambda key, task=task: task.result(), counts=not refreshing)


def watch(every: list[Subject], stop: threading.Event) -> int:
    """Look at the bounds until told to stop; returns how often."""
    looks = 0
    while not stop.wait(0.001):
        for subject in every:
            subject.check_bounds()
        looks += 1
    return looks


def stress(operations: int, seed: int) -> Counter[str]:
    """Run so many operations and check the invariants; returns how often things happened."""
    registry, clock = Registry(), FakeClock()
    every = subjects(registry, clock)
    stop = threading.Event()
    before = set(threading.enumerate())
    share = operations // THREADS
    threads = [Thread(seed * 100 + number, share, every, registry, clock) for number in range(THREADS)]
    with quietly(), switching_often():
        watcher = Running(lambda: watch(every, stop))
        running = [
            Running(thread.use_functions if number % 2 else thread.use_coroutines)
            for number, thread in enumerate(threads)
        ]
        try:
            until(lambda: not watcher.thread.is_alive() or not all(call.thread.is_alive() for call in running), LIMIT_S)
            if not watcher.thread.is_alive() or any(call._error for call in running):
                for thread in threads:
                    thread.failed.set()
            until(lambda: not any(call.thread.is_alive() for call in running), LIMIT_S)
        finally:
            stop.set()
        done = [call.result() for call in running]
        assert watcher.result() > 0
        until(lambda: rests(registry.pool))  # background loads come to their ends
        registry.pool.resize(0)  # instead of waiting until its idle threads end
        until(lambda: registry.pool.threads == 0 and not set(threading.enumerate()) - before)
    assert done == [share] * THREADS
    for subject in every:
        try:
            subject.check_at_the_end()
        except AssertionError as error:
            error.add_note(f"of {subject.name}: {subject.call.inflight.stats()}")
            raise
    assert registry.cleanup().flights == 0
    assert not set(threading.enumerate()) - before, "threads were left behind"
    seen: Counter[str] = Counter()
    for subject in every:
        for table in tables(subject.call):
            stats = table.stats()
            for what in ("started", "joined", "completed", "failed", "cancelled", "timeouts"):
                seen[what] += getattr(stats, what)
        if subject.cache is not None:
            figures = subject.cache.stats()
            seen["hits"] += figures.hits
            seen["refreshes"] += figures.refreshes
            seen["stale_hits"] += figures.stale_hits
            seen["error_hits"] += figures.error_hits
            seen.update({f"left, {reason}": number for reason, number in figures.evictions.items()})
    return seen


def stress_telling_the_seed(operations: int, seed: int) -> Counter[str]:
    try:
        return stress(operations, seed)
    except BaseException as error:
        error.add_note(f"stress: {operations} operations; run again with MEMO_STRESS_SEED={seed}")
        raise


@pytest.mark.parametrize("seed", [1, 2])
def test_a_few_random_operations(seed: int) -> None:
    """The invariants hold after a run that is short enough for every day."""
    seen = stress_telling_the_seed(4_000, seed)
    assert seen["started"] > 0


@pytest.mark.stress
@pytest.mark.timeout(2 * LIMIT_S + 60)
def test_many_random_operations() -> None:
    """The invariants hold after a long run, in which everything happened that can."""
    seed = int(os.environ.get("MEMO_STRESS_SEED") or random.SystemRandom().randrange(1_000_000))
    seen = stress_telling_the_seed(int(os.environ.get("MEMO_STRESS_OPERATIONS") or OPERATIONS), seed)
    missing = [what for what in EVERYTHING if not seen[what]]
    assert not missing, f"never happened: {missing}; seen: {seen}"
