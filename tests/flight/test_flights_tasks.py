"""Single flight between coroutines: one execution, one failure, no task left."""

import asyncio
import contextvars
import gc
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, until_async
from kit.flights import Make, assert_idle, every_make, remembered_deduped, single_make, waiters
from kit.flights_tasks import Work, function_of
from kit.threads import depth_of

from memo import bounded, dedupe_inflight


def raising(error: BaseException) -> Callable[[], Any]:
    def result() -> Any:
        raise error

    return result


# -- one execution


@every_loop
@every_make
def test_equal_calls_share_one_execution(make: Make, kind: str) -> None:
    """Tasks with equal calls get one object of one execution, which runs in a task of its own."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 50, "a")
        tasks.append(asyncio.create_task(fetch(name="a")))
        await until_async(lambda: waiters(fetch) == [50])
        work.opened.set()
        results = await asyncio.gather(*tasks)
        assert all(result is results[0] for result in results)
        assert work.started == 1
        assert work.tasks[0] not in tasks
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.cancelled) == (1, 50, 1, 0)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_other_keys_run_beside(make: Make, kind: str) -> None:
    """Calls of five keys run five executions side by side, none of them joined."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = [asyncio.create_task(fetch(str(number))) for number in range(5)]
        await until_async(lambda: len(fetch.inflight) == 5)
        assert waiters(fetch) == [0] * 5
        work.opened.set()
        await asyncio.gather(*tasks)
        assert work.started == 5

    play(main, kind)


@every_loop
def test_nothing_is_remembered(kind: str) -> None:
    """An await after another runs the function anew, and awaits at one time share a run."""
    numbers = itertools.count()

    @dedupe_inflight
    async def fetch(name: str) -> int:
        await asyncio.sleep(0)
        return next(numbers)

    async def main() -> None:
        assert [await fetch("a"), await fetch("a")] == [0, 1]
        assert await asyncio.gather(fetch("a"), fetch("a")) == [2, 2]

    play(main, kind)


@every_loop
@every_make
def test_work_that_never_waits(make: Make, kind: str) -> None:
    """Work that ends without waiting answers or fails for every caller, in the caller's loop."""

    async def main() -> None:
        loop_of: list[Any] = []

        async def work(name: str) -> str:
            loop_of.append(asyncio.get_running_loop())
            if name == "bad":
                raise LookupError(name)
            return name

        fetch = make(work)
        assert await asyncio.gather(*(fetch("a") for _ in range(5))) == ["a"] * 5
        for _ in range(2):
            with pytest.raises(LookupError, match="bad"):
                await fetch("bad")
        ends = await asyncio.gather(*(fetch("bad") for _ in range(5)), return_exceptions=True)
        assert [type(end) for end in ends] == [LookupError] * 5
        assert set(loop_of) == {asyncio.get_running_loop()}
        assert_idle(fetch)

    play(main, kind)


@every_loop
@single_make
def test_pending_names_the_task_of_the_work(make: Make, kind: str) -> None:
    """A row of pending() has the key, the number of joiners, and the name of the task that runs the work."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 3, "a")
        (row,) = fetch.inflight.pending()
        assert work.tasks[0] is not None
        assert (row.key, row.waiters, row.leader) == ("a", 2, work.tasks[0].get_name())
        work.opened.set()
        await asyncio.gather(*tasks)

    play(main, kind)


@single_make
def test_ten_thousand_join_one_flight(make: Make) -> None:
    """Ten thousand tasks get the same object."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 10_000, "a")
        work.opened.set()
        results = await asyncio.gather(*tasks)
        assert len({id(result) for result in results}) == 1

    play(main)


def test_methods_of_two_instances_do_not_share() -> None:
    """Equal calls of one instance's method share a result, and another instance gets its own."""

    async def main() -> None:
        class Client:
            @dedupe_inflight
            async def fetch(self, name: str) -> tuple[object, str]:
                await asyncio.sleep(0)
                return self, name

        one, other = Client(), Client()
        results = await asyncio.gather(one.fetch("a"), other.fetch("a"), one.fetch("a"))
        assert results == [(one, "a"), (other, "a"), (one, "a")]
        assert results[0] is results[2]

    play(main)


def test_an_unhashable_argument_is_refused() -> None:
    """Awaiting a call with a list raises TypeError, which names function, parameter and type, and advises `key=`."""

    @dedupe_inflight
    async def fetch(names: list[str]) -> None:
        raise NotImplementedError

    async def main() -> None:
        with pytest.raises(TypeError, match=r"fetch.*names.*list.*key="):
            await fetch(["a"])
        assert_idle(fetch)

    play(main)


@every_make
def test_a_call_with_wrong_arguments_leaves_nothing(make: Make) -> None:
    """A missing or superfluous argument raises TypeError, and no flight is left."""

    async def work(name: str) -> str:
        return name

    fetch = make(work)

    async def main() -> None:
        with pytest.raises(TypeError, match="argument"):
            await fetch()
        with pytest.raises(TypeError, match="argument"):
            await fetch("a", "b")
        assert_idle(fetch)
        assert await fetch("a") == "a"

    play(main)


# -- failure


@every_loop
@every_make
def test_all_see_the_failure_of_one_execution(make: Make, kind: str) -> None:
    """The first caller gets the error object, the others an equal one with its notes, of one execution."""

    async def main() -> None:
        error = LookupError("a", 7)
        error.add_note("a note")
        work = Work(raising(error))
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 6, "a")
        work.opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert ends[0] is error
        for end in ends:
            assert type(end) is LookupError
            assert end.args == ("a", 7)
            assert end.__notes__ == ["a note"]
        assert work.started == 1
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.failed) == (1, 5, 0, 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_traceback_is_as_deep_with_fifty_waiters_as_with_one(make: Make, kind: str) -> None:
    """Neither leader's nor joiners' tracebacks grow with the number of callers."""

    async def depths(callers: int) -> list[int]:
        work = Work(lambda: raising(LookupError())())
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, callers, "a")
        work.opened.set()
        await asyncio.wait(tasks)
        found = []
        for task in tasks:
            error = task.exception()
            assert error is not None
            found.append(depth_of(error))
        assert len(set(found[1:])) == 1
        return found[:2]

    async def main() -> None:
        few = await depths(2)
        assert await depths(51) == few
        assert max(few) <= 12

    play(main, kind)


@every_loop
@every_make
def test_a_failure_that_nobody_waits_for_is_not_complained_of(make: Make, kind: str) -> None:
    """Work that fails after all its callers were cancelled leaves them cancelled and is not reported."""

    async def main() -> None:
        async def work(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise LookupError(name)

        fetch = make(work)
        tasks = await calls_of(fetch, 2, "a")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    play(main, kind)


@every_make
def test_a_failure_is_let_go_once_all_have_it(make: Make) -> None:
    """The locals of failed work are freed once its callers dropped the error."""

    class Big:
        pass

    refs: list[weakref.ref[Big]] = []

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> None:
            big = Big()
            refs.append(weakref.ref(big))
            await opened.wait()
            raise LookupError

        fetch = make(work)
        tasks = await calls_of(fetch, 3, "a")
        opened.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.clear()
        await asyncio.sleep(0)  # gather() itself keeps what it returned until the next step
        gc.collect()
        assert refs[0]() is None

    play(main)


def test_a_result_is_let_go_though_a_task_of_the_work_lives_on() -> None:
    """A result is freed while a background task that its work started still runs."""

    class Big:
        pass

    refs: list[weakref.ref[Big]] = []
    background: list[asyncio.Task[Any]] = []

    async def main() -> None:
        never = asyncio.Event()

        @dedupe_inflight
        async def fetch(name: str) -> Big:
            background.append(asyncio.create_task(never.wait()))
            big = Big()
            refs.append(weakref.ref(big))
            await asyncio.sleep(0)
            return big

        await fetch("a")
        gc.collect()
        assert refs[0]() is None
        never.set()
        await background[0]

    play(main)


# -- context


@every_loop
@every_make
def test_context_variables_are_those_of_the_first_caller(make: Make, kind: str) -> None:
    """The work sees the first caller's context, who sees what it bound there; no other caller does."""
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> str:
            before = who.get()
            who.set("the work")
            await opened.wait()
            return before

        fetch = make(work)

        async def caller(name: str) -> tuple[str, str]:
            who.set(name)
            return await fetch("a"), who.get()

        tasks = [asyncio.create_task(caller(name)) for name in ("first", "second", "third")]
        await until_async(lambda: waiters(fetch) == [2])
        opened.set()
        results = await asyncio.gather(*tasks)
        assert results == [("first", "the work"), ("first", "second"), ("first", "third")]
        assert who.get() == "nobody"

    play(main, kind)


# -- handle and stacks


@every_loop
@single_make
def test_forget_detaches_and_fences(make: Make, kind: str) -> None:
    """After forget() new callers start a new execution, whose result is the one stored."""

    async def main() -> None:
        numbers = itertools.count()
        work = Work(lambda: [next(numbers)])
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 2, "a")
        assert fetch.inflight.forget("a") is True
        assert fetch.inflight.forget("a") is False
        newcomers = await calls_of(fetch, 2, "a")
        assert work.started == 2
        work.opened.set()
        results = await asyncio.gather(*tasks, *newcomers)
        assert results == [[0], [0], [1], [1]]
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", [1])]
        assert_idle(fetch)

    play(main, kind)


@every_loop
def test_a_stack_has_one_flight(kind: str) -> None:
    """A cache above single flight runs the work once for five tasks and remembers it."""

    async def main() -> None:
        work = Work()
        fetch = remembered_deduped(function_of(work))
        tasks = await calls_of(fetch, 5, "a")
        assert len(fetch.inflight) == 1
        assert work.started == 1
        work.opened.set()
        results = await asyncio.gather(*tasks)
        assert all(result is results[0] for result in results)
        assert await fetch("a") is results[0]
        assert work.started == 1

    play(main, kind)


@pytest.mark.parametrize("option", [{"max": 8}, {"max": 8, "ttl": 60}, {"max": 8, "policy": "lru"}])
def test_runs_one_after_the_other_use_one_function(option: dict[str, Any]) -> None:
    """A cache filled in one event loop answers in the next ones without loading."""

    @bounded(**option)
    async def fetch(name: str) -> str:
        await asyncio.sleep(0)
        return name

    async def main() -> None:
        assert await asyncio.gather(*(fetch(name) for name in "aab")) == ["a", "a", "b"]

    for _ in range(10):
        play(main)
    assert fetch.cache.stats().misses == 2


def test_threads_and_tasks_of_two_functions_do_not_disturb_each_other() -> None:
    """A deduplicated coroutine may run a deduplicated function in a thread, which runs once for ten tasks."""
    numbers = itertools.count()
    seen: list[str] = []

    @dedupe_inflight
    def blocking(name: str) -> str:
        seen.append(threading.current_thread().name)
        return f"{name}{next(numbers)}"

    @dedupe_inflight
    async def fetch(name: str) -> str:
        return await asyncio.to_thread(blocking, name)

    async def main() -> None:
        results = await asyncio.gather(*(fetch("a") for _ in range(10)))
        assert results == ["a0"] * 10

    play(main)
    assert len(seen) == 1
