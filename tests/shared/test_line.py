"""The line against a real server: what is heard, what is told, and in which order."""

import gc
import threading
import weakref
from itertools import pairwise
from typing import Any

import pytest
from kit.lines import FUNCTION, Owner, Party, change, party
from kit.servers import Room
from kit.threads import LIMIT_S, Gate, Running, until

from memo.errors import SharedTimeout
from memo.shared import _runner
from memo.shared._held import Lease
from memo.shared._messages import Log
from memo.shared._pending import Change, Put
from memo.shared._scripts import Granted, ask, new_id, where
from memo.testing import FakeClock

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def shared_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memo-shared"]


def test_nothing_begins_before_the_first_call(valkey: Room) -> None:
    """Making a line opens nothing; it is up as far as anybody knows, and closing it starts nothing."""
    before = len(shared_threads())
    one = Party(valkey.url, valkey.prefix)
    assert one.line.state == "up"
    assert one.line.figures()["lag"] is None
    one.close()
    assert one.line.state == "down"
    assert not one.is_settled()
    assert len(shared_threads()) == before


def test_others_hear_what_one_says(valkey: Room) -> None:
    """Keys, functions and tags arrive in their order; who said it hears nothing."""
    with party(valkey.url, valkey.prefix) as (one, other):
        one.say(A, B)
        one.line.say(Change(FUNCTION))
        one.say(C)
        one.line.say(Change(tag=C))
        one.line.say(Change(b"bot.unknown"))
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        one.line.catch_up(5.0)
        assert other.heard.told == [A, B, "all", C, ("tag", C)]
        assert one.heard.told == []
        assert other.line.figures()["gaps"] == 0
        assert other.line.figures()["received"] == one.line.figures()["sent"] > 0


def test_lag_is_about_what_was_heard(valkey: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew with each proof that nothing is missing, also where messages come so often that none is idle."""
    monkeypatch.setattr(_runner, "_REST_S", 0.05)
    clock = FakeClock()
    with party(valkey.url, valkey.prefix, clock=clock) as (one, other):
        clock.advance(7)
        until(lambda: other.line.figures()["lag"] == 0.0)
        monkeypatch.setattr(_runner, "_REST_S", 20.0)
        one.say(A)
        until(lambda: A in other.heard.told)
        clock.advance(7)
        assert other.line.figures()["lag"] >= 7.0
        one.say(B)
        until(lambda: B in other.heard.told)
        one.say(C)
        until(lambda: other.line.figures()["lag"] == 0.0)


def test_followers_are_held_weakly(valkey: Room) -> None:
    """A function that is gone is told nothing, and not kept."""
    with party(valkey.url, valkey.prefix) as (one, other):
        gone = weakref.ref(other.heard)
        del other.heard
        assert gone() is None
        one.say(A)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        assert other.line.figures()["gaps"] == 0


def test_who_waits_for_a_load_is_called(valkey: Room) -> None:
    """Once, for its key alone, by what is said of it or of all; one that was taken back is not."""
    called: list[str] = []
    with party(valkey.url, valkey.prefix) as (one, other):
        other.line.expect(FUNCTION, A, lambda: called.append("A"))
        other.line.expect(FUNCTION, B, lambda: called.append("B"))
        other.line.expect(FUNCTION, A, lambda: called.append("never"))()
        one.say(A)
        one.say(A)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        assert called == ["A"]
        one.line.say(Change(FUNCTION))
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        assert called == ["A", "B"]


def granted(one: Party, lease: Lease) -> Granted:
    """Ask for a lease, and get it."""
    place = one.names.value(FUNCTION, lease.digest)
    generations = [one.names.generation(FUNCTION)]
    asked = {"token": lease.token, "lease_ms": lease.lease_ms, "max_value": 1000}
    reply = one.wire.run(ask(place, lease.key, generations, one.line.log, **asked))
    assert isinstance(reply, Granted)
    return reply


def lease_of(one: Party, digest: bytes, lease_ms: int = 60_000) -> Lease:
    return Lease(one.names.lease(one.names.value(FUNCTION, digest)), new_id(), FUNCTION, digest, lease_ms)


def test_released_lease_is_free_and_said(valkey: Room) -> None:
    """The thread gives it back, and who waits elsewhere is told."""
    with party(valkey.url, valkey.prefix) as (one, other):
        lease, wanted = lease_of(one, A), lease_of(other, A)
        granted(one, lease)
        one.line.hold(lease)
        assert one.line.figures()["leases"] == 1
        done = Gate()
        other.line.expect(FUNCTION, A, done.entered.set)
        other.wire.run(
            ask(
                other.names.value(FUNCTION, A),
                wanted.key,
                [other.names.generation(FUNCTION)],
                other.line.log,
                token=wanted.token,
                lease_ms=60_000,
                max_value=1000,
            )
        )  # busy, and so it is told
        one.line.release(lease)
        done.reached()
        granted(other, wanted)
        assert one.line.figures()["leases"] == 0


def test_lease_outlives_its_life_while_it_is_held(valkey: Room) -> None:
    """It is renewed in good time; one that was taken away is counted as lost."""
    with party(valkey.url, valkey.prefix, 1) as (one,):
        lease = lease_of(one, A, 900)
        granted(one, lease)
        one.line.hold(lease)
        left_ms = [900]

        def is_renewed_often() -> bool:
            left_ms.append(valkey.command("PTTL", lease.key))
            assert left_ms[-1] > 0, "the lease has ended"
            return sum(later > before for before, later in pairwise(left_ms)) >= 3

        until(is_renewed_often)
        valkey.command("DEL", lease.key)
        until(lambda: one.line.figures()["lost_leases"] == 1)
        assert one.line.figures()["leases"] == 0


def test_put_is_stored_by_the_thread(valkey: Room) -> None:
    """What somebody put in an event loop is sent in its place among the changes; who reads it waits for that."""
    with party(valkey.url, valkey.prefix) as (one, _):
        order: list[str] = []
        gate = Gate()

        def send(run: Any, log: Log) -> bytes:
            gate.wait()
            order.append("put")
            run(where(log))
            return b""

        one.line.say(change(one.names, A, put=Put(send, 1)))
        gate.reached()
        assert not one.is_settled(A, 0.0)
        assert one.is_settled(B, 0.0)
        waiting = Running(lambda: one.is_settled(A))
        gate.open()
        assert waiting.result()
        assert order == ["put"]


def test_flush_and_catch_up_say_that_they_were_late(own_valkey: Any) -> None:
    """They raise SharedTimeout, a TimeoutError, with the limit, while the server is stopped."""
    with party(own_valkey.url, "p", 1, timeout_s=0.2, wire_timeout_s=0.2) as (one,):
        own_valkey.pause()
        try:
            one.say(A)
            with pytest.raises(SharedTimeout, match=r"1 change of this process .*timeout=0.1 seconds") as caught:
                one.line.flush(0.1)
            assert caught.value.timeout == 0.1
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(SharedTimeout, match="the server"):
                one.line.catch_up(0.1)
        finally:
            own_valkey.go_on()
        one.line.flush(10.0)


def test_thread_ends_with_its_tier(valkey: Room) -> None:
    """A tier that nobody has any more leaves no thread behind."""
    one = Party(valkey.url, valkey.prefix).begin()
    thread = one.line._thread.thread
    assert thread is not None
    one.owner = Owner()
    gc.collect()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    one.close()


def test_close_gives_leases_back_and_delivers(valkey: Room) -> None:
    """Closing ends the thread, delivers what is pending, gives leases back, and does so once."""
    with party(valkey.url, valkey.prefix) as (one, other):
        lease = lease_of(one, A)
        granted(one, lease)
        one.line.hold(lease)
        one.say(B)
        one.close()
        one.close()
        assert valkey.command("EXISTS", lease.key) == 0
        other.line.catch_up(5.0)
        assert other.heard.told == [B]
        assert one.line._thread.thread is not None
        assert not one.line._thread.thread.is_alive()
        one.say(C)
        assert not one.is_settled()
        assert one.line.figures()["pending"] == 0
