"""What is done for the first time as the interpreter ends, when nothing can be imported any more: calls of decorated
functions are answered, whatever their options; what else needs a module that is not there says that it is too late."""

import os
import subprocess
import sys

import pytest
from kit.places import ROOT

from memo._decorated.inner_class_methods import _limit_of_every_class

PROGRAM = """
import asyncio, os, sys
import numpy
import memo.policies
from memo import bounded, bounded_many, cached_property, dedupe_inflight, freeze, freeze_typed, limit, lru_cache
from memo import registry, sliding_window

path = sys.argv[1]
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)


def later(function):
    async def coroutine(x):
        return function(x)
    return coroutine


def work(x):
    return [x]


CALLED = {
    **{policy: bounded(max=1, policy=policy) for policy in POLICIES},
    "deep copies": bounded(max=1, copy="deep"),
    "jitter": bounded(max=1, ttl=60, jitter=0.1),
    "bytes": bounded(max_bytes="1MB"),
    "idle": bounded(max=1, idle=60),
    "scope": bounded(max=1, scope="loop"),
    "errors": bounded(max=1, cache_errors=KeyError, error_ttl=3),
    "frozen": bounded(max=1, key=freeze),
    "frozen typed": bounded(max=1, key=freeze_typed),
    "told": bounded(max=1, on_evict=lambda *what: None, lease_timeout=3),
    "weak": bounded(max=1, weak=("x",)),
    "tags": bounded(max=1, tags=lambda x: ["a"]),
    "ttl of values": bounded(max=1, ttl=lambda value: 3),
    "caller": bounded(max=1, work="caller"),
    "apart": bounded(max=1, dedupe=False),
    "stale": bounded(max=1, ttl=60, stale_if_error=60, soft_timeout=1),
    "lru_cache": lru_cache,
    "dedupe": dedupe_inflight,
    "window": sliding_window("1h", keys=5),
    "limit": limit("99/s"),
    "delay": limit("99/s", when_full="delay"),
    "each key": limit("99/s", key=lambda x: 1),
}
functions = {name: (decorate(lambda x: [x]), decorate(later(work))) for name, decorate in CALLED.items()}
many = bounded_many(max=1)(lambda xs: {x: x for x in xs})


class Host:
    @classmethod
    @limit("9/s")
    def limited(cls, x):
        return [x]

    @cached_property
    def once(self):
        return 1


Array = type("Array", (numpy.ndarray,), {})
arguments = [Host(), Host()]
freeze(numpy.zeros(9))  # has it found, and nothing imported
arrays = [numpy.zeros(9), numpy.zeros(9999)]


def call(plain, awaited, arguments):
    for x in arguments:
        assert plain(x)[0] is x and plain(x)[0] is not None
        if hasattr(plain, "cache"):
            plain.cache.lease(x), plain.cache.fresh(x)


def frozen(decorated):
    assert all(decorated(x) is not None for x in arrays)
    hits = decorated.cache.stats().hits
    assert decorated(numpy.zeros(9999)) is not None and decorated.cache.stats().hits == hits + 1


WORKS = {
    **{name: lambda made=made: call(*made, arguments) for name, made in functions.items() if name != "deep copies"},
    "deep copies": lambda: functions["deep copies"][0](3),
    "arrays": lambda: frozen(functions["frozen"][0]),
    "arrays typed": lambda: frozen(functions["frozen typed"][0]),
    "many": lambda: (many([1, 2, 3]), many.one(4)),
    "class method": lambda: Host.limited(1),
    "property": lambda: Host().once,
}
lru = functions["jitter"][0]
TOO_LATE = {
    "dump": lambda: lru.cache.dump(path),
    "load": lambda: lru.cache.load(path),
    "record": lambda: lru.cache.record(path).__enter__(),
    "serve": lambda: registry.serve(),
    "a policy": lambda: bounded(max=1, policy="sieve")(work),
    "a policy's class": lambda: memo.policies.SieveCache,
}


def run(write=os.write, sys=sys, works=WORKS, late=TOO_LATE):
    assert sys.meta_path is None
    for name, operation in works.items():
        try:
            operation()
        except BaseException as error:
            write(1, f"{name}: {error!r}\\n".encode())
    for name, operation in late.items():
        try:
            operation()
        except RuntimeError as error:
            if " comes too late: the interpreter ends and can import nothing any more" not in str(error):
                write(1, f"{name} says {error}\\n".encode())
        except BaseException as error:
            write(1, f"{name}: {error!r}\\n".encode())
        else:
            write(1, f"{name} works\\n".encode())
    write(1, b"ended\\n")


class Finalized:
    def __del__(self, run=run):
        run()


kept = Finalized()
"""


@pytest.mark.parametrize("pure", ["", "1"], ids=["in C", "pure"])
@pytest.mark.parametrize("policies", ["adaptive,s3fifo,lru,lfu,fifo,random", "adaptive", "lirs"])
def test_first_calls_work_and_the_rest_says_that_it_is_too_late(policies: str, pure: str, tmp_path: object) -> None:
    """First calls in a finalizer are answered; a first dump, recording, policy or page there raises RuntimeError."""
    program = PROGRAM.replace("in POLICIES", f"in {policies.split(',')}")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "MEMO_PURE": pure, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)


def test_so_says_the_limit_of_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handle on the limit of a class method that does not know its class says so, too; what is no end is no end."""
    name = "memo._decorated.limit_of_every_class"
    made = _limit_of_every_class.__wrapped__()
    monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(sys, "meta_path", None)
        with pytest.raises(RuntimeError, match=r"^the limit of a class method comes too late: the interpreter ends"):
            _limit_of_every_class.__wrapped__()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"halted; None in sys.modules"):
        _limit_of_every_class.__wrapped__()
    monkeypatch.undo()
    assert _limit_of_every_class.__wrapped__() is made
