"""All that is promised of large stores and of many functions, each figure beside its bar: ``scale.py --bars``.

Each part is a process of its own, since memory that one has left in pieces costs the next; what has not been measured
when the time is over is said to be missing.  One runs at a time: two take turns in the caches and in what memory takes
in, and let a call grow by half as much again.

Waits are those of two threads beside an operation.  What the same two wait beside nothing, beside a thread that rests
as the library does, and beside one that never rests, is told with them: so much is the machine's and the interpreter's.
A wait is told less what other programs had of it and what the machine stood still meanwhile, for which ``_stalls.py``
looks; where that matters, with it, too.

By how much a call grows is told beyond what a dictionary of tuples grows by, and beyond ``functools.lru_cache`` of the
same size, the plain structure that touches about as much memory: the table, the key, a record linked with its
neighbours, the value.  Keys are integers whose hashes are scattered, as those of text are: of integers in a row a
dictionary finds the next one where it found the last.  They are asked for at random: at regular distances the
processor has fetched a record before it is asked for.  The least of ten batches counts: memory that is touched for the
first time, as that is in which keys that left are remembered, costs more, and once.  What is not the structure's own,
such as a call of Python around a look-up or the making of a key, is left out: it costs the same at any size, and would
hide by how much the rest grows.
"""

import functools
import gc
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _pauses import Pauses, while_it_runs
from registry_stats import BOUND_MS, BOUND_OF_MANY_MS, measured, measured_many

from memo import Registry, bounded
from memo._base import Pace
from memo.testing import isolated

__all__ = ("HIT_MS", "MISS_MS", "PARTS", "Figure", "bars", "print_part")

HIT_MS, MISS_MS, GROWTH, OF_DICT = 5.0, 10.0, 1.5, 0.5
BATCH, BATCHES = 50_000, 10
CUT_S = 15.0
"""Seconds after which a dump is cut short: all of it would take longer than all else."""
LOADED = 300_000
"""Rows that are loaded, likewise."""
_PRIME = 2**61 - 1
"""What the interpreter takes hashes of integers by."""
CONTROL_S = 4.0
"""So long are the controls: the longest of the machine's own waits is the longer, the longer one looks."""
CONTROL = ""
"""The bar of what is told for comparison alone."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, and its bar."""

    what: str
    told: str
    bar: str
    within: bool


class _Cut(Exception):
    """It has gone on for long enough."""


def _key(number: int) -> int:
    """A key of that number; no two have the same."""
    return number * 11_400_714_819_323_198_485 % _PRIME


def _keys(numbers: Iterable[int]) -> list[int]:
    return list(map(_key, numbers))


def _some_keys(entries: int) -> list[int]:
    """Keys at random of those of so many numbers."""
    return _keys(random.Random(14).choices(range(entries), k=BATCHES * BATCH))


def _controls(hit: Callable[[], object], miss: Callable[[], object]) -> Iterator[Figure]:
    """What others wait for beside what is not the library's."""

    def compute(rests: bool) -> None:
        pace = Pace()
        end = time.perf_counter() + CONTROL_S
        while time.perf_counter() < end:
            sum(range(500))
            if rests:
                pace.rest()

    for name, run in (
        ("nothing", lambda: time.sleep(CONTROL_S)),
        ("a thread that rests as the library does", lambda: compute(True)),
        ("a thread that never rests", lambda: compute(False)),
    ):
        found = _waits(while_it_runs(f"control: {name}", run, hit, miss))
        yield Figure(found.what, found.told, CONTROL, True)


def _waits(found: Pauses) -> Figure:
    """What others waited for an operation."""
    told = f"hit {found.hit_ms:.2f}, miss {found.miss_ms:.2f}, stretch {found.stretch_ms:.2f} ms"
    if found.long_waits:
        told += f"; {found.long_waits} of {found.calls:,} calls late by 5 ms"
    if found.late_ms > HIT_MS:
        told += f"; {found.late_ms:.2f} with what others, or a machine that stood still ({found.stalls} times, for "
        told += f"{found.stall_ms:.2f} ms at most), had part in"
    told += f"; took {found.ms / 1e3:,.2f} s"
    within = found.hit_ms <= HIT_MS and found.miss_ms <= MISS_MS
    return Figure(found.operation, told, f"hit {HIT_MS:g} ms, miss {MISS_MS:g} ms", within)


def _most(what: str, figure: float, bar: float, unit: str) -> Figure:
    return Figure(what, f"{figure:.2f} {unit}", f"{bar:g} {unit}", figure <= bar)


def _median(figures: list[float]) -> float:
    return sorted(figures)[len(figures) // 2]


def _nanoseconds(call: Callable[[int], object], keys: list[int]) -> float:
    """Of each call, by processor time."""
    found = []
    for begin in range(0, len(keys), BATCH):
        began = time.thread_time()
        for key in keys[begin : begin + BATCH]:
            call(key)
        found.append((time.thread_time() - began) / len(keys[begin : begin + BATCH]) * 1e9)
    return min(found)


def _collection() -> float:
    """Milliseconds of a full collection, the least of three."""
    found = []
    for _ in range(3):
        began = time.thread_time()
        gc.collect()
        found.append((time.thread_time() - began) * 1e3)
    return min(found)


def _let_go(items: Any) -> None:
    while items:
        if type(items) is dict:
            for _ in range(min(1000, len(items))):
                items.popitem()
        else:
            del items[-1000:]


# -- ten thousand functions


def _functions(entries: int) -> Iterator[Figure]:
    yield _most("stats() of 1,000 functions of 500 entries", _median(measured(1_000, 500, 7)), BOUND_MS, "ms")
    for look, figures in measured_many(10_000, 7).items():
        yield _most(f"{look} of 10,000 functions", _median(figures), BOUND_OF_MANY_MS, "ms")
    registry = Registry()
    functions = [bounded(max=10, ttl="1h", registry=registry)(lambda x: x) for _ in range(10_000)]
    for function in functions:
        function(1)
    new = iter(range(10**9))
    held: list[Any] = []  # to let go of ten thousand figures in one go is the caller's affair
    for look, run in (("stats()", lambda: held.append(registry.stats())), ("print()", registry.__str__)):
        yield _waits(
            while_it_runs(f"{look} of 10,000 functions", run, lambda: functions[0](1), lambda: functions[1](next(new)))
        )


# -- one function


def _listed(x: int) -> list[int]:
    return [x]


def _made(entries: int, function: Callable[..., Any] = _listed, **options: Any) -> Any:
    return bounded(max=entries, ttl="24h", registry=Registry(), name="bars", **options)(function)


def _cost(entries: int) -> tuple[float, float]:
    """Nanoseconds of a hit and of a miss in a dictionary of tuples of so many items."""
    plain: dict[int, tuple[list[int], float]] = {x: ([x], 0.0) for x in map(_key, range(entries))}
    oldest = iter(_keys(range(BATCHES * BATCH)))

    def exchange(x: int) -> None:
        plain[x] = ([x], 0.0)
        plain.pop(next(oldest), None)

    hit = _nanoseconds(plain.__getitem__, _some_keys(entries))
    miss = _nanoseconds(exchange, _keys(range(entries, entries + BATCHES * BATCH)))
    _let_go(plain)
    return hit, miss


def _of_calls(function: Any, entries: int) -> tuple[float, float]:
    """The same of a function that has the keys of so many numbers."""
    hit = _nanoseconds(function, _some_keys(entries))
    return hit, _nanoseconds(function, _keys(range(2 * entries, 2 * entries + BATCHES * BATCH)))


def _of_lru_cache(entries: int) -> tuple[float, float]:
    """The same of ``functools.lru_cache``."""
    function = functools.lru_cache(maxsize=entries)(_listed)
    for x in map(_key, range(entries)):
        function(x)
    return _of_calls(function, entries)


def _growth(entries: int, function: Any) -> Iterator[Figure]:
    few = _made(500)
    for x in map(_key, range(500)):
        few(x)
    ours = _of_calls(few, 500), _of_calls(function, entries)
    others = {"a dict's": (_cost(500), _cost(entries)), "lru_cache's": (_of_lru_cache(500), _of_lru_cache(entries))}
    for call, name in enumerate(("hit", "miss")):
        at_few, at_many = ours[0][call], ours[1][call]
        for whose, (few_ns, many_ns) in others.items():
            first, last = few_ns[call], many_ns[call]
            grew = at_many / at_few / max(1.0, last / first)
            told = f"{grew:.2f} times ({at_few:.0f} to {at_many:.0f} ns; {whose} {first:.0f} to {last:.0f})"
            what = f"a {name}, from 500 to {entries:,}, beyond {whose}"
            yield Figure(what, told, f"{GROWTH:g} times", grew <= GROWTH)


def _collector(entries: int, fill: Callable[[], object]) -> Iterator[Figure]:
    values: Any = [[x] for x in range(entries)]
    alone = _collection()
    _let_go(values)
    values = {x: ([x], 0.0) for x in range(entries)}
    tuples = _collection() - alone
    _let_go(values)
    fill()
    store = _collection() - alone
    share = store / tuples
    told = f"{share:.2f} of a dict's ({store:,.0f} ms; dict of tuples {tuples:,.0f}, values alone {alone:,.0f})"
    yield Figure(f"a full collection of {entries:,}, beyond the values", told, f"{OF_DICT:g}", share <= OF_DICT)


def _plain(entries: int) -> Iterator[Figure]:
    box = [_made(entries)]
    new = iter(range(10 * entries, 10**12))

    def fill() -> None:
        function = box[0]
        for x in map(_key, range(entries)):
            function(x)

    yield from _collector(entries, fill)
    yield from _growth(entries, box[0])
    yield from _operations(entries, box[0], new)
    other = _made(1_000)
    other(-1)
    yield _waits(
        while_it_runs(
            f"death of the function, of {entries // 4:,}", box.clear, lambda: other(-1), lambda: other(next(new))
        )
    )


def _operations(entries: int, function: Any, new: Iterator[int]) -> Iterator[Figure]:
    cache, own = function.cache, function.__memo_record__.registry

    def measured_beside(name: str, run: Callable[[], object]) -> Figure:
        function(-1)
        return _waits(while_it_runs(name, run, lambda: function(-1), lambda: function(next(new))))

    function(-1)
    yield from _controls(lambda: function(-1), lambda: function(next(new)))
    held: list[Any] = []
    yield measured_beside("len()", lambda: len(cache))
    yield measured_beside("stats()", cache.stats)
    yield measured_beside("print(registry)", lambda: str(own))
    yield measured_beside("items()", lambda: held.append(cache.items()))
    _let_go(held.pop())
    yield measured_beside("report()", lambda: str(own.report()))
    yield measured_beside("cleanup()", cache.cleanup)
    yield measured_beside("invalidate_where(), a tenth", lambda: cache.invalidate_where(lambda key, _: key % 10 == 3))
    yield measured_beside("resize(), to four fifths", lambda: cache.resize(max=entries * 4 // 5))
    cache.resize(max=entries)
    aside = isolated(function)
    yield measured_beside("isolated(), entered", aside.__enter__)
    yield measured_beside("isolated(), left", lambda: aside.__exit__(None, None, None))
    with tempfile.TemporaryDirectory() as folder:
        yield from _dumps(entries, cache, Path(folder), measured_beside)
    yield measured_beside("clear()", cache.clear)
    for x in range(entries // 4):  # for its death; all of them would take too long once more
        function(x)
    str(own)  # so that the figures are in the middle of it


def _dumps(entries: int, cache: Any, folder: Path, measured_beside: Callable[..., Figure]) -> Iterator[Figure]:
    source = _made(LOADED)
    for x in range(LOADED):
        source(-2 - x)
    source.cache.dump(folder / "some")
    until = [0.0]

    def encode(value: Any) -> Any:
        if time.perf_counter() > until[0]:
            raise _Cut
        return value

    def dump() -> None:
        until[0] = time.perf_counter() + CUT_S
        try:
            cache.dump(folder / "all", encode=encode)
        except _Cut:
            pass

    yield measured_beside(f"dump(), of {len(cache):,}, cut short after {CUT_S:g} s", dump)
    yield measured_beside(f"load(), of {LOADED:,} into {len(cache):,}", lambda: cache.load(folder / "some"))


# -- what is listed elsewhere, too


def _methods(entries: int) -> Iterator[Figure]:
    class Owner:
        fetch = _made(entries, lambda self, x: [x])

    small, large, other = Owner(), [Owner()], Owner()
    for x in range(entries // 10):
        small.fetch(x)
    for x in range(entries - entries // 10):
        large[0].fetch(x)
    new = iter(range(10**12))

    def measured_beside(name: str, run: Callable[[], object]) -> Figure:
        other.fetch(-1)
        return _waits(while_it_runs(name, run, lambda: other.fetch(-1), lambda: other.fetch(next(new))))

    aside = isolated(Owner.fetch)
    yield measured_beside(f"isolated() of a method of {entries:,}, entered", aside.__enter__)
    yield measured_beside("isolated() of that, left", lambda: aside.__exit__(None, None, None))
    yield measured_beside(f"clear(), of an instance of {len(small.fetch.cache):,}", small.fetch.cache.clear)
    yield measured_beside(f"death of an instance of {len(large[0].fetch.cache):,}", large.clear)


def _instances(entries: int) -> Iterator[Figure]:
    """A method that was called once on each of many instances: what is known of these is large, too."""
    entries //= 5

    class Owner:
        fetch = _made(entries, lambda self, x: [x])

    other, new, pace = Owner(), iter(range(10**12)), Pace()
    owners: list[Owner] = []

    def call_on_more(most: int) -> None:
        while len(owners) < most:
            owners.append(Owner())
            owners[-1].fetch(0)
            pace.rest()

    def let_go() -> None:
        while len(owners) > entries // 2:
            del owners[-10:]
            pace.rest()

    def measured_beside(name: str, run: Callable[[], object]) -> Figure:
        other.fetch(-1)
        return _waits(while_it_runs(name, run, lambda: other.fetch(-1), lambda: other.fetch(next(new))))

    call_on_more(entries // 2)
    yield measured_beside(f"first calls on {entries // 2:,} more instances", lambda: call_on_more(entries))
    yield measured_beside(f"clear(), of a method of {entries:,} instances", Owner.fetch.cache.clear)
    yield measured_beside(f"death of {entries // 2:,} of {entries:,} instances", let_go)
    beside = _made(1_000)
    beside(-1)
    name = f"death of a method of {len(owners):,} instances"
    forget = functools.partial(delattr, Owner, "fetch")
    yield _waits(while_it_runs(name, forget, lambda: beside(-1), lambda: beside(next(new))))


def _tags(entries: int) -> Iterator[Figure]:
    entries //= 2
    function = _made(entries, tags=lambda x: ("few",) if x % 10 == 3 else ("many",))
    own = function.__memo_record__.registry
    for x in range(entries):
        function(x)
    new = iter(range(10**9 + 1, 10**12, 10))

    def measured_beside(name: str, run: Callable[[], object]) -> Figure:
        function(-1)
        return _waits(while_it_runs(name, run, lambda: function(-1), lambda: function(next(new))))

    yield measured_beside(f"a tag of a tenth of {entries:,}", lambda: own.invalidate(tag="few"))
    yield measured_beside("the tag of the others", lambda: own.invalidate(tag="many"))


PARTS: dict[str, Callable[[int], Iterator[Figure]]] = {
    "functions": _functions,
    "plain": _plain,
    "methods": _methods,
    "instances": _instances,
    "tags": _tags,
}


# -- one after another


def _tell(figure: Figure) -> None:
    print(json.dumps(asdict(figure)), flush=True)


def print_part(name: str, entries: int) -> None:
    """Measure one part in this process, and print each figure as a line of JSON."""
    gc.collect()
    gc.freeze()
    gc.disable()
    for figure in PARTS[name](entries):
        _tell(figure)


def bars(entries: int, seconds: float) -> bool:
    """Measure all parts, print each figure beside its bar, and say whether all are within.

    Args:
        entries: Of the large stores.
        seconds: When all of it ends; what has not been measured then is missing.
    """
    end = time.monotonic() + seconds
    kept = True
    for name in PARTS:
        for figure in _measured(name, entries, end):
            if figure is None:
                print(f"MISSING the rest of the part {name!r}: it failed, or its time was over", flush=True)
            elif figure.bar == CONTROL:
                print(f"        {figure.what}: {figure.told}", flush=True)
            else:
                verdict = "within" if figure.within else "OVER  "
                print(f"{verdict}  {figure.what}: {figure.told}  (bar: {figure.bar})", flush=True)
            kept &= figure is not None and figure.within
    return kept


def _measured(name: str, entries: int, end: float) -> Iterator[Figure | None]:
    """The figures of one part, each as soon as it is there; None at last if some are missing."""
    command = [sys.executable, str(Path(__file__).with_name("scale.py")), "--part", name, "--most", str(entries)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        alarm = threading.Timer(max(0.0, end - time.monotonic()), process.kill)
        alarm.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.endswith("\n"):  # else it was killed in the midst of it
                    yield Figure(**json.loads(line))
        except BaseException:  # who reads has stopped
            process.kill()
            raise
        finally:
            alarm.cancel()
    if process.returncode:
        yield None
