"""What finalizers call as the interpreter ends, when at last nothing can be imported any more, works as ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT

PROGRAM = """
import asyncio, atexit, functools, os, sys, weakref
import memo

when, used, path = sys.argv[1:]
loop = asyncio.new_event_loop()


def work(x):
    return [x]


async def later(x):
    return [x]


class Host:
    @memo.bounded(max=4)
    def method(self, x):
        return [x]

    @memo.bounded(max=4)
    async def coroutine(self, x):
        return [x]

    @memo.cached_property
    def once(self):
        return 1

    class_method = memo.bounded(max=4)(classmethod(lambda cls, x: [x]))
    static_method = memo.bounded(max=4)(staticmethod(lambda x: [x]))


host = Host()
each = {
    "bounded": memo.bounded(max=5, ttl=60, tags=("t",), name="bounded")(work),
    "lru": memo.bounded(max=5, policy="lru", name="lru")(memo.sliding_window("1h", keys=8)(work)),
    "dedupe_inflight": memo.dedupe_inflight(timeout=30, name="dedupe_inflight")(work),
    "sliding_window": memo.sliding_window("1h", name="sliding_window")(work),
    "limit": memo.limit("100/s", name="limit")(work),
    "method": host.method,
    "class method": Host.class_method,
    "static method": Host.static_method,
    "bounded coroutine": memo.bounded(max=5, name="bounded coroutine")(later),
    "dedupe coroutine": memo.dedupe_inflight(timeout=30, name="dedupe coroutine")(later),
    "windowed coroutine": memo.sliding_window("1h", name="windowed coroutine")(later),
    "method coroutine": host.coroutine,
}
many = memo.bounded_many(max=5, name="many")(lambda xs: {x: x for x in xs})
window = each["sliding_window"].window
cache = each["bounded"].cache


def call(name, x):
    found = each[name](x)
    return found if type(found) is list else loop.run_until_complete(found)


operations = {
    "stats": lambda: memo.registry.stats(),
    "as_dict": lambda: memo.registry.as_dict(),
    "cleanup": lambda: memo.registry.cleanup(),
    "print": lambda: str(memo.registry),
    "html": lambda: memo.registry._repr_html_(),
    "report": lambda: (str(memo.registry.report()), memo.registry.report()._repr_html_()),
    "look up": lambda: (memo.registry["bounded"], len(memo.registry), list(memo.registry)),
    "select": lambda: memo.registry.select("bound*").stats(),
    "invalidate a tag": lambda: memo.registry.invalidate(tag="t"),
    "a property": lambda: host.once,
    "many": lambda: (many([1, 2]), many([2, 3]), many.cache.stats(), many.cache.items()),
    "bounded handle": lambda: (
        cache.put(3, 4), cache.entry(4), cache.invalidate(4), cache.invalidate_where(lambda key, value: False),
        cache.refresh(4), cache.items(), len(cache), cache.cleanup(), cache.resize(max=3), cache.stats(), repr(cache),
        each["bounded"].cache_info(), each["bounded"].cache_parameters(), cache.clear(),
    ),
    "flight handle": lambda: [
        (one.inflight.stats(), one.inflight.pending(), one.inflight.forget(1), one.inflight.cleanup())
        for one in (each["dedupe_inflight"], each["dedupe coroutine"])
    ],
    "window handle": lambda: (
        window.stats(), window.count(), window.events(), window.errors(), window.rate(), window.error_ratio(),
        window.percentile(50), window.by_key(), window.top(), window.series(), window.cleanup(), window.clear(),
        each["lru"].window.top(), each["lru"].window.by_key(),
    ),
    "limit handle": lambda: each["limit"].limit.stats(),
    "decorating": lambda: [
        decorate(made)(-1)
        for made in (abs, functools.partial(abs))
        for decorate in (memo.bounded(max=3), memo.dedupe_inflight, memo.sliding_window("1h"), memo.limit("9/s"))
    ],
    "names": lambda: [memo.freeze([1]), memo.sizeof([1]), memo.CacheStats, memo.EvictionReason, memo.InflightTimeout],
    "clear": lambda: memo.registry.clear(),
}
for name in each:
    operations[f"miss of {name}"] = lambda name=name: call(name, 7)
    operations[f"hit of {name}"] = lambda name=name: call(name, 1)
if used == "used":
    operations["dump"] = lambda: cache.dump(path)
    operations["load"] = lambda: cache.load(path)


def slip():
    for mistake in (lambda: memo.registry["bound"], lambda: memo.bounded(maxx=3)):
        try:
            mistake()
        except (KeyError, TypeError):
            continue
        raise AssertionError


operations["slips"] = slip


in_garbage = when in ("del", "circle")  # with the functions, to which weak references are gone before finalizers run
if in_garbage:
    of_registry = ("stats", "as_dict", "cleanup", "print", "html", "report", "select", "invalidate a tag", "clear")
    operations = {name: operations[name] for name in (*of_registry, "names", "slips", "decorating")}


def run(write=os.write, sys=sys):
    for name, operation in operations.items():
        try:
            operation()
        except BaseException as error:
            write(1, f"{name}: {error!r}\\n".encode())
    write(1, b"ended without imports\\n" if sys.meta_path is None else b"ended with imports\\n")


class Finalized:
    def __del__(self):
        run()


if used == "used":
    for operation in operations.values():
        operation()
if in_garbage:
    loop.close()
else:
    atexit.register(loop.close)  # the first to come is the last to be called
if when == "atexit":
    atexit.register(run)
elif when == "finalize":
    kept = Finalized.__new__(type("Plain", (), {}))
    weakref.finalize(kept, run)
elif when == "del":
    kept = Finalized()
else:
    kept = Finalized()
    kept.circle = kept
"""


@pytest.mark.parametrize("pure", ["", "1"], ids=["in C", "pure"])
@pytest.mark.parametrize("used", ["used", "unused"])
@pytest.mark.parametrize("when", ["atexit", "finalize", "del", "circle"])
def test_operations_work_as_the_interpreter_ends(when: str, used: str, pure: str, tmp_path: Path) -> None:
    """Calls, handles and the registry do in a finalizer what they do before, and say nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, when, used, str(tmp_path / "dump")],
        env={**os.environ, "MEMO_PURE": pure, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    imports = "with imports" if when in ("atexit", "finalize") else "without imports"
    assert (done.stdout, done.stderr, done.returncode) == (f"ended {imports}\n", "", 0)
