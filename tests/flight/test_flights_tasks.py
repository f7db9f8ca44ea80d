"""Single flight between coroutines of one event loop: the work runs in a task of its own, and no task is left."""

import asyncio
import contextvars
import gc
import itertools
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, quietly, some_turns, until_async, until_elsewhere
from kit.flights import Make, assert_idle, check_circle, every_make, remembered_deduped, single_make, tables, waiters
from kit.threads import LIMIT_S, Running, depth_of

from memo import InflightTimeout, Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock


class Work:
    """A coroutine function's body that can be watched and held."""

    def __init__(self, result: Callable[[], Any] = lambda: ["result"]) -> None:
        self.result = result
        self.opened = asyncio.Event()
        self.started = 0
        self.ended = 0
        self.cancelled = 0
        self.tasks: list[asyncio.Task[Any] | None] = []

    async def __call__(self, name: str = "a") -> Any:
        self.started += 1
        self.tasks.append(asyncio.current_task())
        try:
            await self.opened.wait()
            return self.result()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # its end takes a while, and must be waited for
            await asyncio.sleep(0)
            raise
        finally:
            self.ended += 1


def function_of(work: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def fetch(name: str = "a") -> Any:
        return await work(name)

    return fetch


def raising(error: BaseException) -> Callable[[], Any]:
    def result() -> Any:
        raise error

    return result


# -- one execution


@every_loop
@every_make
def test_equal_calls_share_one_execution(make: Make, kind: str) -> None:
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
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 10_000, "a")
        work.opened.set()
        results = await asyncio.gather(*tasks)
        assert len({id(result) for result in results}) == 1

    play(main)


def test_methods_of_two_instances_do_not_share() -> None:
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


# -- cancellation


@every_loop
@every_make
@pytest.mark.parametrize("who", [0, 1, 4])
def test_a_cancelled_caller_leaves_alone(make: Make, kind: str, who: int) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 5, "a")
        tasks[who].cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await tasks[who]
        assert work.cancelled == 0
        # waiters counts joiners, not the leader, who may be the one that left
        assert waiters(fetch) == [4 if who == 0 else 3]
        work.opened.set()
        rest = tasks[:who] + tasks[who + 1 :]
        results = await asyncio.gather(*rest)
        assert all(result is results[0] for result in results)
        assert (work.started, work.cancelled) == (1, 0)
        assert_idle(fetch)
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", ["result"])]

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("order", ["at once", "first last", "first first"])
def test_when_the_last_caller_leaves_the_work_is_cancelled_and_awaited(
    make: Make, kind: str, number: int, order: str
) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, number, "a")
        if order == "at once":
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * number
        else:
            for task in tasks if order == "first first" else reversed(tasks):
                assert work.cancelled == 0
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        # Its end took some turns of the loop: that of the last caller did not come before it.
        assert (work.started, work.cancelled, work.ended) == (1, 1, 1)
        assert work.tasks[0] is not None
        assert work.tasks[0].done()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert_idle(fetch)
        stats = fetch.inflight.stats()
        assert (stats.started, stats.completed, stats.failed, stats.cancelled) == (1, 0, 0, 1)
        work.opened.set()
        assert await fetch("a") == ["result"]
        assert work.started == 2

    play(main, kind)


@every_loop
@single_make
def test_whoever_comes_while_the_abandoned_work_ends_starts_anew(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        (task,) = await calls_of(fetch, 1, "a")
        task.cancel()
        await until_async(lambda: work.cancelled == 1)
        assert work.ended == 0
        assert_idle(fetch)
        newcomer = asyncio.create_task(fetch("a"))
        await until_async(lambda: work.started == 2)
        work.opened.set()
        assert await newcomer == ["result"]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.ended == 2

    play(main, kind)


@every_loop
@every_make
def test_abandoned_work_may_raise_or_return_what_it_likes(make: Make, kind: str) -> None:
    async def main() -> None:
        for name in ("raises", "returns"):

            async def work(name: str) -> str:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await asyncio.sleep(0)
                    if name == "raises":
                        raise LookupError(name) from None
                return name

            fetch = make(work)
            tasks = await calls_of(fetch, 2, name)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
            if hasattr(fetch, "cache"):
                assert fetch.cache.items() == []
            assert_idle(fetch)

    play(main, kind)


@every_loop
@single_make
def test_a_caller_cancelled_twice_ends_at_once(make: Make, kind: str) -> None:
    async def main() -> None:
        stubborn = asyncio.Event()

        async def work(name: str) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                await stubborn.wait()
            return name

        fetch = make(work)
        (task,) = await calls_of(fetch, 1, "a")
        task.cancel()
        await some_turns()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stubborn.set()
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_caller_cancelled_before_it_began_starts_nothing(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        task = asyncio.create_task(fetch("a"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.started == (1 if kind == "eager" else 0)
        assert work.ended == work.started
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_cancelled_in_the_very_turn_of_the_result(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 4, "a")
        work.opened.set()
        for turns in range(6):
            for index, task in enumerate(tasks):
                if index == turns:
                    task.cancel()
            await asyncio.sleep(0)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert end == ["result"] or isinstance(end, asyncio.CancelledError)
        assert work.started == 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_cancelled_at_every_turn(make: Make, kind: str) -> None:
    """A call and a joiner, each cancelled after so many turns of the loop, whatever happens in them."""

    async def main() -> None:
        executions: list[str] = []

        async def work(name: str) -> str:
            executions.append("begun")
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
            finally:
                executions.append("ended")
            return name

        for leader_turns, joiner_turns in itertools.product(range(8), repeat=2):
            executions.clear()
            fetch = make(work)
            tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
            for turn in range(8):
                if turn == leader_turns:
                    tasks[0].cancel()
                if turn == joiner_turns:
                    tasks[1].cancel()
                await asyncio.sleep(0)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert ends[2] == "a"
            assert all(end == "a" or isinstance(end, asyncio.CancelledError) for end in ends)
            assert executions == ["begun", "ended"]
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_timeout_around_one_caller_hurts_no_other(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        async def impatient() -> str:
            try:
                async with asyncio.timeout(0):
                    await fetch("a")
            except TimeoutError as error:
                assert not isinstance(error, InflightTimeout)
                return "timed out"
            return "no"

        first = asyncio.create_task(impatient())
        if kind != "eager":
            await asyncio.sleep(0)
        others = [asyncio.create_task(fetch("a")) for _ in range(3)]
        others.append(asyncio.create_task(impatient()))
        assert await first == "timed out"
        assert await others.pop() == "timed out"
        work.opened.set()
        assert await asyncio.gather(*others) == [["result"]] * 3
        assert (work.started, work.cancelled) == (1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fetch("b" if work.opened.clear() is None else ""), 0.001)
        assert work.ended == work.started == 2
        assert work.cancelled == 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_task_group_that_fails_takes_its_callers_along(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        async def fail() -> None:
            await until_async(lambda: waiters(fetch) == [2])
            raise LookupError

        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(fetch("a"))
                group.create_task(fail())
        assert [type(error) for error in raised.value.exceptions] == [LookupError]
        assert (work.started, work.cancelled, work.ended) == (1, 1, 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("how", ["cancel", "raise"])
def test_a_cancellation_of_the_work_strikes_its_first_caller_and_a_joiner_takes_over(
    make: Make, kind: str, how: str
) -> None:
    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> list[str]:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine == 1:
                if how == "raise":
                    raise asyncio.CancelledError
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return [name]

        fetch = make(work)
        tasks = await calls_of(fetch, 5, "a")
        opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        assert ends[1:] == [["a"]] * 4
        assert all(end is ends[1] for end in ends[1:])
        assert executions == 2
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.cancelled) == (2, 3, 1, 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_generator_exit_stays_with_the_first_caller(make: Make, kind: str) -> None:
    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> str:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine == 1:
                raise GeneratorExit
            return name

        fetch = make(work)
        tasks = await calls_of(fetch, 4, "a")
        opened.set()
        await asyncio.wait(tasks)
        assert isinstance(tasks[0].exception(), GeneratorExit)
        assert [task.result() for task in tasks[1:]] == ["a"] * 3
        assert executions == 2
        assert_idle(fetch)

    play(main, kind)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@every_make
def test_what_ends_the_loop_ends_it_and_the_next_loop_starts_anew(make: Make, stop: type[BaseException]) -> None:
    executions = 0

    async def work(name: str) -> str:
        nonlocal executions
        executions += 1
        mine = executions
        await asyncio.sleep(0)
        if mine == 1:
            raise stop
        return name

    fetch = make(work)

    async def main() -> list[str]:
        return list(await asyncio.gather(fetch("a"), fetch("a")))

    with quietly():
        with pytest.raises(stop):
            asyncio.run(main())
        assert_idle(fetch)
        assert asyncio.run(main()) == ["a", "a"]
    assert_idle(fetch)


@every_loop
@single_make
def test_a_caller_that_is_closed_leaves_like_a_cancelled_one(make: Make, kind: str) -> None:
    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        def begun() -> Any:
            coroutine = fetch("a")
            coroutine.send(None)
            return coroutine

        closed = begun()
        other = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        closed.close()
        work.opened.set()
        assert await other == ["result"]
        work.opened.clear()
        alone = begun() if not hasattr(fetch, "cache") or fetch.cache.clear() is not None else None
        await until_async(lambda: work.started == 2)
        alone.close()
        await until_async(lambda: work.ended == 2)
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert work.cancelled == 1
        assert_idle(fetch)

    play(main, kind)


@every_make
def test_a_loop_that_ends_with_calls_pending_says_nothing(make: Make) -> None:
    work_ends: list[str] = []

    async def work(name: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            work_ends.append(name)
        return name

    fetch = make(work)

    async def main() -> None:
        tasks = [asyncio.create_task(fetch(name)) for name in "aabbb"]
        await until_async(lambda: sorted(waiters(fetch)) == [1, 2])
        await some_turns()
        assert not any(task.done() for task in tasks)

    with quietly():
        for _ in range(3):
            asyncio.run(main())
            assert_idle(fetch)
    assert sorted(work_ends) == ["a"] * 3 + ["b"] * 3


# -- failure


@every_loop
@every_make
def test_all_see_the_failure_of_one_execution(make: Make, kind: str) -> None:
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
        assert results == [("first", "first"), ("first", "second"), ("first", "third")]
        assert who.get() == "nobody"

    play(main, kind)


# -- recursion


@every_loop
@every_make
@pytest.mark.parametrize("through", ["await", "gather", "task", "group"])
def test_recursion_with_the_same_key_runs_straight_through(make: Make, kind: str, through: str) -> None:
    async def main() -> None:
        opened = asyncio.Event()
        depth = 0

        async def work(name: str) -> int:
            nonlocal depth
            depth += 1
            if depth >= 5:
                await opened.wait()
                return 0
            if through == "await":
                return int(await fetch(name)) + 1
            if through == "gather":
                return int((await asyncio.gather(fetch(name)))[0]) + 1
            if through == "task":
                return int(await asyncio.create_task(fetch(name))) + 1
            async with asyncio.TaskGroup() as group:
                task = group.create_task(fetch(name))
            return int(task.result()) + 1

        fetch = make(work)
        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        await until_async(lambda: depth >= 5)
        await until_async(lambda: sum(waiters(fetch)) == 2)
        opened.set()
        # A stack may run the layers below through at another level, so it may come out one shorter.
        results = await asyncio.gather(*tasks)
        assert results == [4, 4, 4]
        assert depth == 5
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_recursion_that_gathers_the_same_key_several_times(make: Make, kind: str) -> None:
    async def main() -> None:
        executions = 0

        async def work(name: str) -> int:
            nonlocal executions
            executions += 1
            if executions > 1:
                await asyncio.sleep(0)
                return 1
            return sum(await asyncio.gather(*(fetch(name) for _ in range(3))))

        fetch = make(work)
        assert await asyncio.gather(fetch("a"), fetch("a")) == [3, 3]
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_two_functions_that_call_each_other(make: Make, kind: str) -> None:
    async def even_work(n: int) -> bool:
        return n == 0 or bool(await odd(n - 1))

    async def odd_work(n: int) -> bool:
        return n != 0 and bool(await even(n - 1))

    even, odd = make(even_work), make(odd_work)

    async def main() -> None:
        results = await asyncio.gather(*(even(n) for n in range(30)))
        assert results == [n % 2 == 0 for n in range(30)]
        assert_idle(even)
        assert_idle(odd)

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("size", [2, 3, 5])
def test_tasks_that_would_wait_for_each_other_in_a_circle(make: Make, kind: str, size: int) -> None:
    inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)

    async def main() -> None:
        entered = 0

        async def work(number: int) -> int:
            nonlocal entered
            if inside.get():
                return number
            inside.set(True)
            entered += 1
            await until_async(lambda: entered == size)
            return number + 10 * int(await fetch(number % size + 1))

        fetch = make(work)
        results = await asyncio.gather(*(fetch(number) for number in range(1, size + 1)))
        check_circle(results)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_circles_through_gather(make: Make, kind: str) -> None:
    """Each of four keys needs the three others at once; every one gets an answer."""
    inside: contextvars.ContextVar[int] = contextvars.ContextVar("inside", default=0)

    async def main() -> None:
        entered = 0

        async def work(number: int) -> int:
            nonlocal entered
            depth = inside.get()
            inside.set(depth + 1)
            if depth == 0:
                entered += 1
                await until_async(lambda: entered == 4)
            if depth == 2:
                await asyncio.sleep(0)
                return number
            others = await asyncio.gather(*(fetch(other) for other in range(4) if other != number))
            return number + 0 * sum(others)

        fetch = make(work)
        assert await asyncio.gather(*(fetch(number) for number in range(4))) == [0, 1, 2, 3]
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_chain_of_240_nested_decorated_calls(make: Make, kind: str) -> None:
    async def work(n: int) -> int:
        return 0 if n == 0 else int(await fetch(n - 1)) + 1

    fetch = make(work)
    levels = 240 // len(tables(fetch))
    if kind == "eager":
        levels //= 2  # a bare chain of eager tasks, each started by the one before, ends soon after 240

    async def main() -> int:
        return int(await fetch(levels))

    assert sys.getrecursionlimit() == 1000
    assert Running(lambda: play(main, kind) if kind == "asyncio" else None).result() in (levels, None)
    if kind != "asyncio":
        assert play(main, kind) == levels
    assert_idle(fetch)


@every_loop
@every_make
def test_a_recursion_error_inside_leaves_nothing_stuck(make: Make, kind: str) -> None:
    def deep(n: int) -> int:
        return deep(n + 1)

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> int:
            await opened.wait()
            return deep(0)

        fetch = make(work)
        tasks = await calls_of(fetch, 3, "a")
        opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [RecursionError] * 3
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_the_recursion_limit_at_any_depth_leaves_nothing_stuck(make: Make, kind: str) -> None:
    async def main() -> None:
        async def work(name: str) -> str:
            await asyncio.sleep(0)
            return name

        fetch = make(work)

        async def at(depth: int) -> Any:
            return await (at(depth - 1) if depth else fetch("a"))

        failures = 0
        limit = sys.getrecursionlimit()
        for depth in range(limit - 150, limit, 1):
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            try:
                assert await at(depth) == "a"
            except RecursionError:
                failures += 1
            await until_async(lambda: len(asyncio.all_tasks()) == 1)
            assert [len(table) for table in tables(fetch)] == [0] * len(tables(fetch)), depth
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            assert await asyncio.gather(fetch("a"), fetch("a")) == ["a", "a"]
        assert 0 < failures < 150

    play(main, kind)


# -- timeout


@every_loop
@every_make
def test_at_the_deadline_all_callers_are_released_and_the_work_is_cancelled(make: Make, kind: str) -> None:
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        tasks = await calls_of(fetch, 4, "a")
        clock.advance(29.75)
        await some_turns()
        assert waiters(fetch) == [3]
        clock.advance(0.25)
        assert_idle(fetch)
        newcomer = asyncio.create_task(fetch("a"))
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert isinstance(end, InflightTimeout)
            assert (end.key, end.timeout) == ("a", 30.0)
        await until_async(lambda: work.ended == 1 and work.started == 2)
        assert work.cancelled == 1
        work.opened.set()
        assert await newcomer == ["result"]
        assert work.cancelled == 1
        stats = fetch.inflight.stats()
        assert (stats.timeouts, stats.completed) == (1, 1)
        assert clock.waiting() == 0
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


@every_loop
@every_make
def test_work_that_will_not_be_cancelled_is_fenced_off(make: Make, kind: str) -> None:
    clock = FakeClock()

    async def main() -> None:
        opened = [asyncio.Event(), asyncio.Event()]
        numbers = itertools.count()

        async def work(name: str) -> int:
            number = next(numbers)
            while not opened[number].is_set():
                try:
                    await opened[number].wait()
                except asyncio.CancelledError:
                    pass
            return number

        fetch = make(work, clock=clock)
        tasks = await calls_of(fetch, 2, "a")
        clock.advance(30)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2
        newcomers = await calls_of(fetch, 2, "a")
        opened[0].set()
        await some_turns()
        assert waiters(fetch) == [1]
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == []
        opened[1].set()
        assert await asyncio.gather(*newcomers) == [1, 1]
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", 1)]
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


@every_loop
@single_make
def test_cleanup_reaps_what_no_caller_touches(make: Make, kind: str) -> None:
    now = [1000.0]

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=lambda: now[0])
        tasks = await calls_of(fetch, 3, "a")
        assert fetch.inflight.cleanup() == 0
        now[0] += 30
        assert fetch.inflight.cleanup() == 1
        assert fetch.inflight.cleanup() == 0
        assert_idle(fetch)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 3
        await until_async(lambda: work.ended == 1)
        assert work.cancelled == 1
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


def test_cleanup_of_a_registry_from_another_thread_wakes_the_loop() -> None:
    now = [1000.0]
    registry = Registry()

    async def main() -> None:
        never = asyncio.Event()

        @dedupe_inflight(timeout=30, registry=registry, clock=lambda: now[0])
        async def single(name: str) -> None:
            await never.wait()

        @bounded(max=8, timeout=30, registry=registry, clock=lambda: now[0])
        async def cache(name: str) -> None:
            await never.wait()

        tasks = [*(await calls_of(single, 2, "a")), *(await calls_of(cache, 2, "a"))]
        now[0] += 31
        report = await asyncio.to_thread(registry.cleanup)
        assert report.flights == 2
        async with asyncio.timeout(LIMIT_S):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 4
        await until_elsewhere(lambda: len(asyncio.all_tasks()) == 1)

    play(main)


@every_loop
@single_make
def test_a_newcomer_detaches_what_is_stuck_by_the_clock_alone(make: Make, kind: str) -> None:
    now = [1000.0]

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=lambda: now[0])
        tasks = await calls_of(fetch, 2, "a")
        now[0] += 30
        newcomer = asyncio.create_task(fetch("a"))
        await until_async(lambda: work.started == 2)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2
        work.opened.set()
        assert await newcomer == ["result"]
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert fetch.inflight.stats().timeouts == 1

    play(main, kind)


@every_loop
@every_make
def test_a_wait_follows_real_time(make: Make, kind: str) -> None:
    clock = FakeClock()  # stands still

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), timeout="30ms", clock=clock)
        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        async with asyncio.timeout(LIMIT_S):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 3
        await until_elsewhere(lambda: len(asyncio.all_tasks()) == 1)
        assert (work.started, work.cancelled) == (1, 1)
        await some_turns()
        assert clock.waiting() == 0

    play(main, kind)


@every_loop
@single_make
def test_what_a_flight_no_longer_needs_is_taken_back_from_clock_and_loop(make: Make, kind: str) -> None:
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        tasks = await calls_of(fetch, 3, "a")
        assert clock.waiting() == 1
        work.opened.set()
        await asyncio.gather(*tasks)
        assert clock.waiting() == 0
        work.opened.clear()
        (task,) = await calls_of(fetch, 1, "b")
        task.cancel()
        await asyncio.wait([task])
        assert clock.waiting() == 0

    play(main, kind)


@every_loop
@every_make
def test_a_timeout_inside_the_work_is_a_failure_like_any(make: Make, kind: str) -> None:
    async def main() -> None:
        async def work(name: str) -> None:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

        fetch = make(work)
        ends = await asyncio.gather(*(fetch("a") for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [TimeoutError] * 3
        assert fetch.inflight.stats().failed == 1
        assert fetch.inflight.stats().timeouts == 0

    play(main, kind)


# -- handle and stacks


@every_loop
@single_make
def test_forget_detaches_and_fences(make: Make, kind: str) -> None:
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


# -- what the engine's own steps must not let slip


@every_make
def test_a_flight_found_too_old_before_it_has_a_task_is_cancelled_all_the_same(make: Make) -> None:
    """Whoever detaches it finds no task to cancel yet; the work ends, and nothing is said of its end."""
    now = [1000.0]
    work = Work()

    class Failed(BaseException):
        pass

    async def stubborn(name: str = "a") -> Any:
        try:
            return await work(name)
        except asyncio.CancelledError:
            raise Failed from None

    fetch = make(stubborn, clock=lambda: now[0])

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        if coroutine.__name__ == "_work" and now[0] == 1000.0:
            now[0] += 31
            cleaned = [table.cleanup() for table in tables(fetch)]
            assert cleaned[0] == 1
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        with pytest.raises(InflightTimeout):
            await fetch("a")
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert work.started == work.cancelled
        assert_idle(fetch)

    play(main)


@every_loop
@single_make
def test_every_execution_that_began_is_counted_once_when_it_ends(make: Make, kind: str) -> None:
    """Whether it returned, was abandoned before or after its first step, or was cancelled at its deadline."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        for turns in range(5):
            task = asyncio.create_task(fetch("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        for turns in range(5):
            task = asyncio.create_task(fetch("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            clock.advance(30)
            task.cancel()
            await asyncio.wait([task])
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        work.opened.set()
        assert await fetch("a") == ["result"]
        stats = fetch.inflight.stats()
        assert stats.completed == 1
        assert stats.started == stats.completed + stats.cancelled

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("struck", [1, 2, 3])
def test_successors_may_be_struck_in_their_turn(make: Make, kind: str, struck: int) -> None:
    """Each time the next of those who wait takes over, at once or later, and the others get what that one made."""

    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> list[str]:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine <= struck:
                raise GeneratorExit
            return [name]

        fetch = make(work)
        tasks = await calls_of(fetch, 7, "a")
        opened.set()
        await asyncio.wait(tasks)
        ends = [task.exception() or task.result() for task in tasks]
        assert [type(end) for end in ends].count(GeneratorExit) == struck
        assert [end for end in ends if not isinstance(end, GeneratorExit)] == [["a"]] * (7 - struck)
        assert executions == struck + 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_chain_of_240_calls_of_two_functions_in_turn(make: Make, kind: str) -> None:
    """Mutual recursion is no deeper than recursion."""

    async def even_work(n: int) -> bool:
        return n == 0 or bool(await odd(n - 1))

    async def odd_work(n: int) -> bool:
        return n != 0 and bool(await even(n - 1))

    even, odd = make(even_work), make(odd_work)
    levels = 240 // len(tables(even))
    if kind == "eager":
        levels //= 2

    async def main() -> bool:
        return bool(await even(levels))

    assert sys.getrecursionlimit() == 1000
    assert play(main, kind) is (levels % 2 == 0)
    assert_idle(even)
    assert_idle(odd)


@every_loop
def test_a_window_in_the_stack_changes_nothing(kind: str) -> None:
    """In any order of the three decorators, those who call at the same time share one execution."""

    async def main() -> None:
        registry = Registry()
        orders = itertools.permutations(
            [
                bounded(max=8, registry=registry),
                dedupe_inflight(timeout=30, registry=registry),
                sliding_window("24h", registry=registry),
            ]
        )
        for order in orders:
            work = Work()
            fetch: Any = function_of(work)
            for decorator in order:
                fetch = decorator(fetch)
            tasks = [asyncio.create_task(fetch("a")) for _ in range(4)]
            await until_async(lambda work=work: work.started == 1)  # type: ignore[misc]
            await some_turns()
            assert len(fetch.inflight) == 1
            work.opened.set()
            results = await asyncio.gather(*tasks)
            assert all(result is results[0] for result in results)
            assert work.started == 1
            assert_idle(fetch)

    play(main, kind)
