"""The thread of a line: it lives on, and is replaced by those who call where it does not."""

import functools
import threading
from typing import Any

import pytest
from kit.lines import FUNCTION, Party, party
from kit.servers import Room
from kit.strikes import Struck, strike, unstruck
from kit.threads import Gate, Running, until

from memo.shared import _runner
from memo.shared._held import Lease
from memo.shared._pending import Change
from memo.shared._scripts import new_id, where
from memo.testing import FakeClock

A, B = b"a" * 16, b"b" * 16


def threads_of(one: Party) -> tuple[threading.Thread, threading.Thread | None]:
    assert one.line._thread.thread is not None
    return one.line._thread.thread, one.line._thread.given_up


class Hanging:
    """What a follower does: it hangs in the first keys that it is told of, until it is let through."""

    def __init__(self) -> None:
        self.gate = Gate()

    def __call__(self, told: Any) -> None:
        if told == A:
            self.gate.wait()


def doubt(one: Party, clock: FakeClock) -> None:
    """Call for long enough to find out that the thread hangs."""
    clock.advance(10)
    one.line.begin()
    clock.advance(2)
    one.line.begin()


def test_thread_that_hangs_is_replaced_once(valkey: Room) -> None:
    """By whoever calls, with a gap; what the old one does when it comes back counts no more, and no third begins."""
    clock, hanging = FakeClock(), Hanging()
    with party(valkey.url, valkey.prefix, then=hanging, clock=clock) as (one, other):
        old, _ = threads_of(other)
        lease = Lease(b"L", new_id(), FUNCTION, B, 10**9)
        other.line.hold(lease)
        one.say(A)
        hanging.gate.reached()
        other.line.begin()
        assert other.line._thread.thread is old
        doubt(other, clock)
        new, given_up = threads_of(other)
        assert (new is not old, given_up is old) == (True, True)
        until(lambda: "all" in other.heard.told)
        one.say(B)
        one.line.flush(5.0)
        other.line.catch_up(5.0)  # whose follower is told of B is not past it yet
        assert B in other.heard.told
        place = other.line.place
        doubt(other, clock)  # the new one turns every second
        assert other.line._thread.thread is new
        hanging.gate.open()
        old.join(20)
        assert not old.is_alive()
        assert other.line.place == place
        assert other.line.figures()["leases"] == 1
        assert other.line.figures()["gaps"] == 1
        other.line.let_go(lease)


def test_no_third_thread_while_one_hangs(valkey: Room) -> None:
    """A callback that hangs each time does not cost a thread each time."""
    clock, hanging = FakeClock(), Hanging()
    with party(valkey.url, valkey.prefix, then=hanging, clock=clock) as (one, other):
        for _ in range(2):
            one.say(A)
            one.line.flush(5.0)
            until(lambda: other.heard.told and other.heard.told[-1] == A)
            doubt(other, clock)
            until(lambda: "all" in other.heard.told)
        new, old = threads_of(other)
        doubt(other, clock)
        assert threads_of(other) == (new, old)
        hanging.gate.opened.set()


def test_paused_process_reads_on_by_itself(valkey: Room) -> None:
    """That the time has gone on is no reason to drop everything: first the thread gets its turn."""
    clock = FakeClock()
    with party(valkey.url, valkey.prefix, clock=clock) as (one, other):
        thread, _ = threads_of(other)
        clock.advance(60)
        other.line.begin()
        one.say(A)
        until(lambda: other.heard.told == [A])
        one.say(B)
        until(lambda: other.heard.told == [A, B])  # it has turned to its work since, as it tells of A it has not yet
        clock.advance(2)
        other.line.begin()
        assert other.line._thread.thread is thread
        assert other.line.figures()["gaps"] == 0


def test_thread_that_died_is_replaced(valkey: Room) -> None:
    """The next call begins another one, which counts what was read before as lost."""
    with party(valkey.url, valkey.prefix) as (one, other):
        thread, runner = other.line._thread.thread, other.line._thread.runner
        assert thread is not None
        assert runner is not None

        def die(_: object) -> bool:
            raise SystemExit

        runner._is_wanted = die
        one.say(A)
        thread.join(20)
        assert other.line.state == "behind"
        assert other.is_settled()
        until(lambda: "all" in other.heard.told)
        one.say(B)
        until(lambda: B in other.heard.told)
        assert other.line.state == "up"
        assert other.line.figures()["gaps"] == 1


def test_thread_that_is_struck_lives_on(
    valkey: Room, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a follower raises where nothing should: the stores are emptied, and the same thread goes on."""
    monkeypatch.setattr(_runner, "_REST_S", 0.05)
    with party(valkey.url, valkey.prefix) as (one, other):
        thread, _ = threads_of(other)
        left = [KeyError("tidy")]

        def tidy(steps: int) -> None:
            if left:
                raise left.pop()

        other.heard.tidy = tidy  # type: ignore[method-assign]
        until(lambda: "all" in other.heard.told)
        one.say(B)
        until(lambda: B in other.heard.told)
        assert other.line._thread.thread is thread
    assert "was struck" in caplog.text


def test_thread_that_cannot_be_started(
    valkey: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody who calls is told, but for the log: the tier is not used, nothing is half begun, the next call tries."""
    one = Party(valkey.url, valkey.prefix)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            assert not one.is_settled()
        one.say(A)
    assert one.line._thread.runner is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "can't start new thread" in caplog.text
    assert one.is_settled()
    one.close()


OPERATIONS: dict[str, Any] = {
    "begin": lambda one: one.line.begin(),
    "settled": lambda one: one.is_settled(A),
    "say": lambda one: one.say(A),
    "say all": lambda one: one.line.say(Change(FUNCTION)),
    "flush": lambda one: (one.say(A), one.line.flush(5.0)),
    "catch_up": lambda one: one.line.catch_up(5.0),
    "expect": lambda one: unstruck(one.line.expect(FUNCTION, A, len)),
    "hold": lambda one: one.line.hold(Lease(b"L", b"t", FUNCTION, A, 10**9)),
    "release": lambda one: one.line.release(Lease(b"L", b"t", FUNCTION, A, 10**9)),
    "state": lambda one: (one.line.state, one.line.figures()),
    "close": lambda one: one.line.close(),
}
FRESH = {"begin", "close"}
"""What is about beginning and ending: of a line of its own each time."""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_callers_that_are_struck_leave_nothing(valkey: Room, operation: str) -> None:
    """Wherever an exception strikes a caller, the line is at work afterwards, or begins with the next call."""
    do = OPERATIONS[operation]
    one = Party(valkey.url, valkey.prefix)
    other = Party(valkey.url, valkey.prefix).begin()
    at, struck = 0, 0
    while True:
        if operation in FRESH:
            one.close()
            one = Party(valkey.url, valkey.prefix)
        if operation != "begin":
            one.begin()
            one.wire.run(where(one.line.log))  # within the library a strike may lose a socket that it opens
        struck_at, _ = strike(functools.partial(do, one), at, Struck, below=True)
        if operation != "close":
            one.line.let_go(Lease(b"L", b"t", FUNCTION, A, 10**9))
            one.say(B)
            one.line.flush(5.0)
        else:
            one.line.close()
            assert not one.line._thread.thread.is_alive()  # type: ignore[union-attr]
        assert one.line._reader._expecting == {}
        if struck_at is None:
            break
        struck += 1
        at += 1 if operation == "expect" else 5
    other.line.catch_up(5.0)
    assert operation == "close" or B in other.heard.told
    assert struck
    other.close()
    one.close()


def test_many_threads_begin_one(valkey: Room) -> None:
    """Callers who come at the same time begin one thread together."""
    one = Party(valkey.url, valkey.prefix)
    before = threading.active_count()
    callers = [Running(one.is_settled) for _ in range(8)]
    assert all(caller.result() for caller in callers)
    until(lambda: threading.active_count() <= before + 1)
    one.close()
