"""A program of random operations that prints what all of them told: the same whichever path runs, in C or in Python.

    python tests/kit/random_operations.py FIRST_SEED LAST_SEED STEPS

The first line of what it prints names the path; each further one is an observation: a result, a message, a run of a
function, an eviction, figures.  It depends on nothing else: time is a number that the program moves (in one of four
programs it is the machine's, and nothing is observed of it), threads take turns as the program says, and each source of
chance has its seed.  (PYTHONHASHSEED must be fixed: a policy's memory of keys goes by their hashes.)
"""

import asyncio
import contextlib
import copy
import gc
import logging
import pickle
import random
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kit.random_subjects import MADE, Held, Subject
from kit.refresh_pool import rests
from kit.threads import Running, until
from memo import Registry, _native
from memo._cache.dump_entries import restore, save
from memo.testing import FakeClock, isolated

__all__ = ("Play", "main")

ADDRESS = re.compile("0x[0-9a-f]+")
OF_TIME = ("load_seconds", "load_mean", "oldest", "oldest_lease")
"""Figures of the machine's time."""


class Play:
    """So many random operations on eight functions."""

    def __init__(self, seed: int) -> None:
        random.seed(seed)
        self.dice = random.Random(seed)
        self.now = 0.0
        self.fake: FakeClock | None = None
        self.clock: Any = self.read
        kind = self.dice.choice(["a function", "a fake clock", "installed", "the machine's"])
        self.runs_by_itself = kind == "the machine's"
        if kind == "a fake clock":
            self.clock = self.fake = FakeClock(now=0.0)
        elif kind == "installed":
            self.clock, self.fake = None, FakeClock(now=2.0**32).install()
        elif kind == "the machine's":
            self.clock = None
        self.installed = kind == "installed"
        self.elsewhere: dict[str, list[str]] = {}
        """What was observed in other threads, which is told when they have ended."""
        self.told: list[str] = []
        self.leases: list[tuple[Subject, Any]] = []
        self.registry = Registry()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="memo-"))
        self.subjects: list[Subject] = []
        self.subjects += [Subject(self, number) for number in range(8)]
        self.events: list[Any] = []
        self.subscription = self.registry.subscribe(self.events.append) if self.dice.random() < 0.2 else None

    def read(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.fake is not None:
            self.fake.advance(seconds)

    def note(self, *what: Any) -> None:
        text = repr(what)
        text = "0x".join(ADDRESS.split(text)) if "0x" in text else text
        if threading.current_thread() is threading.main_thread():
            self.told.append(text)
        else:
            self.elsewhere.setdefault(threading.current_thread().name, []).append(text)

    def come_together(self) -> None:
        """Tell what was observed in other threads."""
        for name, told in sorted(self.elsewhere.items()):
            self.told += [f"{name}: {text}" for text in told]
        self.elsewhere.clear()

    def wait_for_the_pool(self) -> None:
        """Let what loads in the background end."""
        until(lambda: rests(self.registry.pool))
        self.come_together()

    def emit(self, record: logging.LogRecord) -> None:
        """Observe what is logged, as a handler of the package's logger does."""
        self.note("logged", record.getMessage(), str(record.exc_info and record.exc_info[1]))

    def run(self, steps: int) -> list[str]:
        """What was observed, in order."""
        log, handler = logging.getLogger("memo"), logging.Handler()
        handler.emit = self.emit  # type: ignore[method-assign]
        propagates = log.propagate
        log.addHandler(handler)
        log.propagate = False
        try:
            self.steps(steps)
        finally:
            log.propagate = propagates
            log.removeHandler(handler)
            self.close()
        return self.told

    def close(self) -> None:
        if self.subscription is not None:
            self.subscription.close()
        for _ in range(20):  # what runs in tasks of its own ends
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        if self.fake is not None and self.installed:
            self.fake.uninstall()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
        MADE.__dict__.clear()
        MADE.__name__ = "made_at_random"

    def steps(self, count: int) -> None:
        """So many operations."""
        for step in range(count):
            subject = self.dice.choice(self.subjects)
            with self.mistakes():
                self.step(step, subject)
            if "weak" in subject.options:
                gc.collect()  # errors may refer to an argument in circles
            if step % 3 == 0:
                self.hidden(subject)
            if step % 10 == 0:
                self.hear()
            if step % 200 == 199:
                self.check()
        self.check()

    @contextlib.contextmanager
    def mistakes(self) -> Iterator[None]:
        """Observe what is raised."""
        try:
            yield
        except AssertionError:  # it is this program that is wrong
            raise
        except Exception as error:
            self.note("raised", type(error).__name__, str(error)[:300], getattr(error, "__notes__", None))
            error.__traceback__ = None  # it refers to what is to go

    def step(self, step: int, subject: Subject) -> None:
        """One operation."""
        chance = self.dice.random()
        call, handles = subject.seen()
        args, kwargs = subject.spelled()
        if chance < 0.75:
            value = subject.finished(call(*args, **kwargs))
            self.note("got", step, subject.name, value)
            if type(value) is list and subject.options.get("copy"):
                value.append("altered")
        elif chance < 0.78:
            self.advance(self.dice.choice([0.5, 1, 3, 7, 60]))
        elif chance < 0.79:
            self.figures(subject)
        elif chance < 0.793:
            with self.registry.disabled(
                self.dice.choice([None, None if subject.kind == "lru_cache" else subject.name])
            ):
                value = subject.finished(call(*args, **kwargs))
                self.note("off", subject.name, "one-shot" if hasattr(value, "__next__") else value)
        elif chance < 0.803 and subject.is_async:
            self.together(subject, call)
        elif chance < 0.813 and subject.can_wait:
            self.in_turns(step, subject, call, handles)
        elif chance < 0.823:
            self.on_all(subject, handles)
        elif chance < 0.84:
            self.on_function(subject, call, handles)
        elif subject.has_store:
            if self.dice.random() < 0.75:
                self.on_cache(step, subject, handles.cache, args, kwargs)
            else:
                self.on_calls(step, subject, handles, args, kwargs)
        elif subject.kind == "window":
            self.on_window(handles.window)
        elif subject.kind == "lru_cache":
            self.note("info", subject.function.cache_info(), subject.function.cache_parameters())
        else:
            self.on_inflight(handles.inflight, args, kwargs)

    # -- operations

    def on_cache(self, step: int, subject: Subject, cache: Any, args: Any, kwargs: Any) -> None:
        """One of the operations of a cache's handle."""
        what = self.dice.choice([
            "invalidate", "put", "put", "entry", "entry", "cleanup", "clear", "resize", "where", "items", "refresh",
            "contains", "copied", "many", "stats", "by hand",
        ])  # fmt: skip
        found: Any = None
        if what == "invalidate":
            found = cache.invalidate(*args, **kwargs)
        elif what == "put":
            found = cache.put(("put", step), *args, **kwargs)
        elif what == "entry":
            found = self.seen(cache.entry(*args, **kwargs))
        elif what == "cleanup":
            found = cache.cleanup()
        elif what == "clear":
            found = cache.clear() if self.dice.random() < 0.3 else None
        elif what == "resize":
            found = cache.resize(max=self.dice.choice(subject.sizes)) if self.dice.random() < 0.3 else None
        elif what == "where":
            found = cache.invalidate_where(lambda key, value: len(str(key)) % 3 == 0)
        elif what == "items":
            found = sorted("0x".join(ADDRESS.split(str(item))) for item in cache.items()), len(cache)
        elif what == "refresh":
            found = subject.finished(cache.refresh(*args, **kwargs))
        elif what == "contains":
            found = [str(key) for key in cache]
        elif what == "many":
            found = cache.put_many([(number, ("many", step)) for number in (3, 30, 31)])
        elif what == "stats":
            found = self.timeless(cache.stats().as_dict())
        elif what == "by hand":
            found = self.by_hand(cache.store)
        else:
            found = len(cache.store), list(map(str, cache.store))
        self.note(what, subject.name, found)

    def by_hand(self, store: Any) -> Any:
        """What the store itself tells, which is a mapping."""
        keys = list(store)
        if not keys:
            return "empty"
        key = self.dice.choice(keys)
        return key in store, store.get("nowhere"), store.currsize, str(store[key].value), store[key].hits

    def on_calls(self, step: int, subject: Subject, handles: Any, args: Any, kwargs: Any) -> None:
        """One of the other ways to call, of what belongs to calls, or of what lasts."""
        cache = handles.cache
        what = self.dice.choice(
            ["call", "fresh", "within", "default", "lease", "end of lease", "dump", "load", "recorded", "info"]
        )
        found: Any = None
        if what == "call":
            found = subject.finished(cache.call(*args, **kwargs))
        elif what == "fresh":
            found = subject.finished(cache.fresh(*args, **kwargs))
        elif what == "within":
            ages = [0, 2, 10_000] if not self.runs_by_itself else [0, 5000, 10_000]  # how slow it is must not decide
            found = subject.finished(cache.within(max_age=self.dice.choice(ages)).call(*args, **kwargs))
        elif what == "default":
            found = subject.finished(cache.within(default="default").call(*args, **kwargs))
        elif what == "lease":
            lease = cache.lease(*args, **kwargs)
            found = subject.finished(lease.__aenter__() if subject.is_async else lease.__enter__())
            self.leases.append((subject, lease))
        elif what == "end of lease":
            self.end_a_lease()
        elif what == "dump":
            found = cache.dump(self.folder / subject.name)
        elif what == "load":
            if (self.folder / subject.name).exists() and not self.runs_by_itself:  # how old it is decides
                found = cache.load(self.folder / subject.name)
        elif what == "recorded":
            if self.dice.random() < 0.7:  # it waits for the disk
                return
            with cache.record(self.folder / "keys") as recording:
                for _ in range(6):
                    spelled, named = subject.spelled()
                    with self.mistakes():
                        self.note("recorded", subject.finished(subject.function(*spelled, **named)))
            found = recording.requests
        else:
            found = handles.cache_info(), handles.cache_parameters(), repr(cache)
            if self.dice.random() < 0.1:
                subject.function.cache_clear()
        self.note(what, subject.name, found)

    def end_a_lease(self) -> None:
        if self.leases:
            subject, lease = self.leases.pop(self.dice.randrange(len(self.leases)))
            if self.dice.random() < 0.8:  # else it is forgotten
                subject.finished(lease.__aexit__(None, None, None) if subject.is_async else lease.__exit__())

    def on_inflight(self, inflight: Any, args: Any, kwargs: Any) -> None:
        """One of the operations of the handle of what runs."""
        what = self.dice.choice(["stats", "pending", "forget", "cleanup"])
        if what == "stats":
            self.note("inflight", self.timeless(inflight.stats().as_dict()))
        elif what == "pending":
            self.note("inflight", len(inflight), list(map(str, inflight.pending())))
        elif what == "forget":
            self.note("inflight", inflight.forget(*args, **kwargs))
        else:
            self.note("inflight", inflight.cleanup())

    def on_window(self, window: Any) -> None:
        """All that a window tells."""
        self.note("window", window.count(), len(window), [(e.outcome, e.key, e.message) for e in window.events()])
        if not self.runs_by_itself:
            self.note("window", window.rate(), window.error_ratio(), window.percentile(50), window.series(4)[-1].count)
        self.note("window", window.by_key(3), [(e.error, e.key) for e in window.errors(5)])
        if self.dice.random() < 0.1:
            window.clear()

    def on_all(self, subject: Subject, handles: Any) -> None:
        """One of the operations on all functions together."""
        chance = self.dice.random()
        if chance < 0.2:
            swept = self.registry.cleanup()
            self.note("cleaned", swept.expired, swept.flights)
        elif chance < 0.6:
            self.note("tagged", self.registry.invalidate(tag=self.dice.choice(["some", "all"])))
        elif chance < 0.65:
            self.registry.clear()
        elif chance < 0.75:
            table = str(self.registry) if not self.runs_by_itself else ""
            self.note(
                "table",
                [line for line in table.splitlines() if not line.startswith(("refresh threads", "subscription"))],
            )
        elif subject.kind != "lru_cache":
            with isolated(*self.dice.choice([[self.registry], [subject.function]])):
                for _ in range(5):
                    call, _ = subject.seen()
                    args, kwargs = subject.spelled()
                    with self.mistakes():
                        self.note("apart", subject.finished(call(*args, **kwargs)))
                self.hidden(subject)

    def on_function(self, subject: Subject, call: Callable[..., Any], handles: Any) -> None:
        """Pickle, copy or alter a function or its instances, or let one go."""
        chance = self.dice.random()
        function: Any = subject.function
        if chance < 0.3:
            seen = function if "method" not in subject.shape else subject.owner.fetch
            again = pickle.loads(pickle.dumps(seen))
            self.note("pickled", again is function, again == seen, copy.copy(seen) is seen, copy.deepcopy(seen) is seen)
        elif chance < 0.5 and subject.instances and not subject.remembers:
            place = self.dice.randrange(3)
            subject.instances[place] = copy.copy(subject.instances[place])
            gc.collect()
            self.note("copied", subject.name)
        elif chance < 0.8 and subject.instances and not subject.remembers:
            subject.begin_anew(self.dice.randrange(3))
            gc.collect()  # errors may refer to it in circles
            self.note("begun anew", subject.name)
        elif function.__defaults__:
            function.__defaults__ = (*function.__defaults__[:-1], self.dice.choice([1, 2, "en"]))
            self.note("default", function.__defaults__[-1])
        elif function.__kwdefaults__:
            function.__kwdefaults__ = {**function.__kwdefaults__, "lang": self.dice.choice(["en", "it"])}
            self.note("default", function.__kwdefaults__)

    # -- several at the same time

    def together(self, subject: Subject, call: Callable[..., Any]) -> None:
        """Calls of coroutines at the same time, one of which may be cancelled."""
        spelled = [subject.spelled() for _ in range(4)]
        spelled[3] = spelled[self.dice.randrange(4)]
        cancelled = self.dice.random() < 0.4
        meanwhile = self.dice.random()

        async def crowd() -> list[Any]:
            tasks = []
            for args, kwargs in spelled:
                try:
                    tasks.append(asyncio.ensure_future(call(*args, **kwargs)))
                except TypeError as error:
                    self.note("raised", str(error))
            if cancelled and tasks:
                await asyncio.sleep(0)
                tasks[0].cancel()
            if subject.has_store and meanwhile < 0.5:
                await asyncio.sleep(0)
                self.change(subject, meanwhile * 2, spelled[0])
            return await asyncio.gather(*tasks, return_exceptions=True)

        self.note("together", subject.name, list(map(repr, self.loop.run_until_complete(crowd()))))

    def change(self, subject: Subject, chance: float, spelled: Any) -> None:
        """Change what a running load is about to change."""
        args, kwargs = spelled
        with self.mistakes():
            cache = subject.seen()[1].cache
            if chance < 0.2:
                self.note("meanwhile", cache.clear())
            elif chance < 0.5:
                self.note("meanwhile", cache.invalidate(*args, **kwargs))
            elif chance < 0.7:
                self.note("meanwhile", cache.put("meanwhile", *args, **kwargs))
            elif chance < 0.8:
                self.note("meanwhile", cache.resize(max=self.dice.choice(subject.sizes)))
            elif chance < 0.9:
                self.note("meanwhile", cache.inflight.forget(*args, **kwargs))
            else:
                self.note("meanwhile", cache.invalidate_where(lambda key, value: False))

    def in_turns(self, step: int, subject: Subject, call: Callable[..., Any], handles: Any) -> None:
        """Two threads that ask for the same, the second while the first runs: which ends before the second goes on."""
        held = Held(step)
        held.opened = {"first": threading.Event(), "second": threading.Event()}
        first = Running(lambda: call(held), "first")
        until(lambda: held.entered or not first.thread.is_alive())
        if subject.has_store and self.dice.random() < 0.5:
            self.change(subject, self.dice.random(), ((held,), {}))
        tables = [getattr(handles, "inflight", None), getattr(getattr(handles, "cache", None), "inflight", None)]
        second = Running(lambda: call(held), "second")
        until(
            lambda: (
                "second" in held.entered
                or not second.thread.is_alive()
                or any(table is not None and table.stats().waiting for table in tables)
            )
        )
        if tables[0] is not None:
            self.note("pending", [flight.waiters for flight in tables[0].pending()])
        for name, running in (("first", first), ("second", second)):
            held.opened[name].set()
            with self.mistakes():
                self.note(name, running.result())
        self.come_together()

    # -- what is looked at

    def timeless(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Figures, without those of the machine's time."""
        return {name: figure for name, figure in figures.items() if not self.runs_by_itself or name not in OF_TIME}

    def seen(self, entry: Any) -> Any:
        """What is known of an entry."""
        ages = () if entry is None or self.runs_by_itself else (entry.age, entry.expires_in)
        return entry and (entry.value, entry.hits, entry.bytes, entry.stale, *ages)

    def figures(self, subject: Subject) -> None:
        """All that is counted."""
        if subject.kind == "lru_cache":
            return
        stats = self.registry[subject.name].stats()
        for part in (stats.cache, stats.inflight):
            self.note("figures", part and self.timeless(part.as_dict()))
        if stats.window is not None and not self.runs_by_itself:
            self.note("window", [line for line in str(stats.window).splitlines() if "dropped" not in line])

    def hear(self) -> None:
        """What a subscription was told since the last time."""
        if self.subscription is not None:
            self.subscription.drain()
            racing = [subject.name for subject in self.subjects if subject.background]
            for event in sorted(self.events, key=lambda event: event.kind if event.function in racing else ""):
                seconds = None if self.runs_by_itself else event.seconds
                key = "0x".join(ADDRESS.split(event.key))
                self.note(event.kind, event.function, key, seconds, event.trigger, event.reason, event.error)
            self.events.clear()

    def hidden(self, subject: Subject) -> None:
        """What is kept, in the order of the index, if that is little."""
        if subject.has_store:
            entries = list(subject.function.cache.store)
            self.note("kept", subject.name, list(map(str, entries if len(entries) <= 10 else entries[::7])))

    def check(self) -> None:
        """The invariants of all stores, and what is counted of them."""
        for subject in self.subjects:
            if subject.has_store:
                try:
                    subject.function.cache._check()
                except ZeroDivisionError:
                    self.note("a comparison raised")
                self.note("counted", self.timeless(subject.function.cache.stats().as_dict()))


def main(first: int, last: int, steps: int) -> None:
    """Print which path runs, and for each seed what was observed."""
    save.__defaults__ = restore.__defaults__ = (lambda: 1.7e9,)  # a dump says when it was made
    sys.stdout.write("in Python\n" if _native.speed is None else "in C\n")
    for seed in range(first, last + 1):
        told = Play(seed).run(steps)
        sys.stdout.write("".join(f"{line}\n" for line in (f"seed {seed}", *told)))


if __name__ == "__main__":
    # A key in garbage is compared with until that is collected, and each path collects at another time: at once, then.
    gc.freeze()
    gc.set_threshold(1)
    main(*map(int, sys.argv[1:]))
