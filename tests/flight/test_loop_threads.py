"""A plain function in a thread that runs an event loop waits for no other thread's execution."""

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo._flight.flight import CALL, InFlight, born
from memo.testing import FakeClock

LIMIT_S = 20
"""Turns a hang into a failure."""


def run_asyncio(main: Callable[[], Any]) -> Any:
    async def run() -> Any:
        return await main()

    return asyncio.run(run())


def run_uvloop(main: Callable[[], Any]) -> Any:
    return importlib.import_module("uvloop").run(main())


def run_trio(main: Callable[[], Any]) -> Any:
    return importlib.import_module("trio").run(main)


def run_curio(main: Callable[[], Any]) -> Any:
    return importlib.import_module("curio").run(main)


@pytest.fixture(params=["asyncio", "uvloop", "trio", "curio"])
def run_loop(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Any]:
    """Runs a coroutine function in a loop of each kind."""
    try:
        importlib.import_module(request.param)
    except Exception as error:  # curio breaks on its import under later versions of Python
        pytest.skip(f"{request.param}: {error!r}")
    return globals()[f"run_{request.param}"]  # type: ignore[no-any-return]


class Worker:
    """A thread that is in an execution until it is let go; whoever else calls the function passes."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.calls: list[str] = []
        self.result: Any = None
        self._thread: threading.Thread | None = None

    def work(self, x: Any) -> str:
        name = threading.current_thread().name
        self.calls.append(name)
        if name == "worker":
            self.entered.set()
            assert self.let_go.wait(LIMIT_S), "nobody let the worker go"
        return f"{x} by {name}"

    def begin(self, call: Callable[[], Any]) -> None:
        def run() -> None:
            self.result = call()

        self._thread = threading.Thread(target=run, name="worker", daemon=True)
        self._thread.start()
        assert self.entered.wait(LIMIT_S), "the worker did not begin"

    def end(self) -> Any:
        self.let_go.set()
        assert self._thread is not None
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "the worker hangs"
        return self.result


@pytest.fixture
def worker() -> Iterator[Worker]:
    it = Worker()
    yield it
    it.let_go.set()


def place(kind: str, decorate: Callable[[Any], Any], work: Callable[[Any], Any]) -> Callable[[int], Any]:
    """A decorated callable of one argument, in each place where there may be one."""
    if kind == "function":
        return decorate(lambda x: work(x))  # type: ignore[no-any-return]

    class Host:
        @decorate
        def method(self, x: int) -> Any:
            return work(x)

        @classmethod
        @decorate
        def of_class(cls, x: int) -> Any:
            return work(x)

        @staticmethod
        @decorate
        def static(x: int) -> Any:
            return work(x)

        @property
        @decorate
        def prop(self) -> Any:
            return work(1)

    host = Host()
    if kind == "property":
        return lambda x: host.prop
    return getattr(host, kind)  # type: ignore[no-any-return]


DECORATORS = {
    "dedupe_inflight": lambda: dedupe_inflight(timeout=60, registry=Registry()),
    "bounded": lambda: bounded(max=10, registry=Registry()),
    "bounded, timeout": lambda: bounded(max=10, timeout=60, registry=Registry()),
    "bounded, lru": lambda: bounded(max=10, policy="lru", registry=Registry()),
    "bounded, stale": lambda: bounded(max=10, ttl=60, stale_if_error=60, registry=Registry()),
}


@pytest.mark.parametrize("kind", ["function", "method", "of_class", "static", "property"])
@pytest.mark.parametrize("decorator", DECORATORS)
def test_the_loops_thread_runs_straight_through(worker: Worker, decorator: str, kind: str) -> None:
    """A plain function called in a coroutine does not join the execution of another thread, which ends as it would."""
    f = place(kind, DECORATORS[decorator](), worker.work)

    async def main() -> Any:
        worker.begin(lambda: f(1))
        return f(1)

    assert asyncio.run(main()) == "1 by MainThread"
    assert worker.end() == "1 by worker"
    assert worker.calls == ["worker", "MainThread"]


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_worker_that_needs_the_loop_gets_it(decorator: str) -> None:
    """An execution in a thread may ask for the loop that runs the same function meanwhile."""
    begun = threading.Event()

    @DECORATORS[decorator]()
    def f(x: int) -> str:
        if threading.current_thread() is threading.main_thread():
            return "the loop's"
        begun.set()
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "the worker's"), loop).result(LIMIT_S)

    async def main() -> tuple[Any, Any]:
        nonlocal loop
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(None, f, 1)
        assert begun.wait(LIMIT_S)  # the loop stands still until the call below
        return f(1), await task

    loop: Any = None
    assert asyncio.run(main()) == ("the loop's", "the worker's")


def test_every_kind_of_loop(run_loop: Callable[[Callable[[], Any]], Any], worker: Worker) -> None:
    """The rule holds for each kind of loop, and ends with the loop."""
    f = dedupe_inflight(timeout=60, registry=Registry())(worker.work)

    async def main() -> Any:
        worker.begin(lambda: f(1))
        return f(1)

    assert run_loop(main) == "1 by MainThread"
    worker.let_go.set()  # without a loop this thread joins, or finds that execution over
    assert f(1) in ("1 by worker", "1 by MainThread")
    worker.end()


def test_callbacks_of_a_loop(worker: Worker) -> None:
    """What a loop calls back is in its thread as well."""
    f = bounded(max=10, registry=Registry())(worker.work)
    loop = asyncio.new_event_loop()
    answers: list[str] = []
    worker.begin(lambda: f(1))
    loop.call_soon(lambda: (answers.append(f(1)), loop.stop()))
    loop.run_forever()
    loop.close()
    worker.end()
    assert answers == ["1 by MainThread"]


def test_only_the_load_in_the_table_is_stored(worker: Worker) -> None:
    """The result of the call that ran straight through is returned, and the load that it passed by is stored."""
    f = bounded(max=10, registry=Registry())(worker.work)

    async def main() -> Any:
        worker.begin(lambda: f(1))
        return f(1)

    assert asyncio.run(main()) == "1 by MainThread"
    worker.end()
    assert f(1) == "1 by worker"
    stats = f.cache.stats()
    assert (stats.misses, stats.joins, stats.hits) == (2, 0, 1)


def test_refresh_on_the_loops_thread(worker: Worker) -> None:
    """A refresh that would share with one of another thread runs straight through too."""
    f = bounded(max=10, registry=Registry())(worker.work)

    async def main() -> Any:
        worker.begin(lambda: f.cache.refresh(1))
        return f.cache.refresh(1)

    assert asyncio.run(main()) == "1 by MainThread"
    assert worker.end() == "1 by worker"


def test_fresh_on_the_loops_thread(worker: Worker) -> None:
    """``cache.fresh()``, which loads as a call does, does not wait either."""
    f = bounded(max=10, ttl=60, registry=Registry())(worker.work)

    async def main() -> Any:
        worker.begin(lambda: f(1))
        return f.cache.fresh(1)

    assert asyncio.run(main()) == "1 by MainThread"
    worker.end()


def test_a_limit_of_the_callers_own_is_a_bound(worker: Worker) -> None:
    """A wait that ``within()`` limits ends by its limit on the loop's thread as anywhere."""
    f = bounded(max=10, registry=Registry())(worker.work)

    async def main() -> None:
        worker.begin(lambda: f(1))
        with pytest.raises(InflightTimeout):
            f.cache.within("10ms").call(1)

    asyncio.run(main())
    worker.end()


def test_soft_timeout_is_a_bound() -> None:
    """A stale value is answered on the loop's thread after ``soft_timeout``, though the load needs that loop."""
    clock = FakeClock()
    answers: list[Any] = []

    @bounded(max=10, ttl=10, stale_if_error=60, soft_timeout="10ms", clock=clock, registry=Registry())
    def f(x: int) -> Any:
        if not answers:
            return "old"
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "new"), loop).result(LIMIT_S)

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        answers.append(f(1))
        clock.advance(20)
        answers.append(f(1))
        while f.cache.stats().loads < 2:
            await asyncio.sleep(0)

    loop: Any = None
    asyncio.run(main())
    assert answers == ["old", "old"]


def test_a_worker_still_waits_for_the_loops_thread() -> None:
    """An execution that the loop's thread leads is joined by other threads, as ever."""
    joiner: threading.Thread | None = None
    answers: list[Any] = []
    calls: list[str] = []

    @dedupe_inflight(timeout=60, registry=Registry())
    def f(x: int) -> str:
        nonlocal joiner
        calls.append(threading.current_thread().name)
        if joiner is None:
            joiner = threading.Thread(target=lambda: answers.append(f(1)), daemon=True)
            joiner.start()
            while not f.inflight.stats().waiting and joiner.is_alive():
                threading.Event().wait(0.001)
        return "shared"

    async def main() -> str:
        return f(1)

    assert asyncio.run(main()) == "shared"
    assert joiner is not None
    joiner.join(LIMIT_S)
    assert (answers, calls) == (["shared"], ["MainThread"])


def test_a_dead_leader_is_succeeded_on_the_loops_thread() -> None:
    """The flight of a thread that died is given up there too, so that results are stored again."""
    f = bounded(max=10, registry=Registry())(lambda x: "loaded")
    flights = f.cache.inflight._flights
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()

    mine: Any = born(InFlight(), CALL)
    assert flights.enter(mine, 1, flights.clock.read())
    mine.leader = thread.ident

    async def main() -> str:
        return f(1)

    assert asyncio.run(main()) == "loaded"
    assert f.cache.entry(1) is not None


def test_hits_and_loads_of_ones_own_look_for_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who is about to wait asks whether a loop runs."""
    asked: list[None] = []
    monkeypatch.setattr("memo._base.callers.runs_a_loop", lambda: asked.append(None))
    cached = bounded(max=10, registry=Registry())(lambda x: x)
    shared = dedupe_inflight(timeout=60, registry=Registry())(lambda x: x)

    async def main() -> None:
        for _ in range(3):
            cached(1)
            shared(1)

    asyncio.run(main())
    assert not asked


def test_stopping_the_janitor_on_the_loops_thread_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Janitor.stop()`` in a coroutine does not wait for a callback that needs the loop."""
    monkeypatch.setattr("memo._registry.janitor._PARTING_S", 0.01)
    clock = FakeClock()
    registry = Registry()
    entered = threading.Event()
    told: list[Any] = []

    def on_evict(key: Any, value: Any, reason: Any) -> None:
        entered.set()
        told.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(0, value), loop).result(LIMIT_S))

    @bounded(max=10, ttl=10, clock=clock, on_evict=on_evict, registry=registry)
    def f(x: int) -> int:
        return x

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        f(1)
        clock.advance(20)
        janitor = registry.janitor(every="10ms")
        await asyncio.to_thread(entered.wait, LIMIT_S)
        janitor.stop()
        while not told:
            await asyncio.sleep(0)

    loop: Any = None
    asyncio.run(main())
    assert told == [1]
