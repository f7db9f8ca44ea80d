"""What the line does when the server, or the way to it, fails: each against a real server that does."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.lines import FUNCTION, Party, change, party
from kit.servers import Server
from kit.threads import Running, until
from kit.tiers import Key

from memo.errors import SharedTimeout
from memo.shared import _breaker
from memo.shared._pending import Change, Put
from memo.shared._unreachable import Unreachable

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
SOON = {"timeout_s": 0.25, "wire_timeout_s": 0.25}


@pytest.fixture(autouse=True)
def probing_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after a server that is down more often than one does."""
    monkeypatch.setattr(_breaker, "_PROBES_S", (0.02, 0.1))


def is_heard(one: Party, told: Any) -> Callable[[], bool]:
    return lambda: told in one.heard.told


def goes_down(one: Party) -> None:
    """Wait until its breaker is open; callers see to that, as they do."""
    until(lambda: (one.line.begin(), one.line.state == "down")[1])


def test_cut_connection_loses_nothing(own_valkey: Server) -> None:
    """The line comes back by itself, and hears what was said meanwhile, without a gap."""
    with party(own_valkey.url, "p") as (one, other):
        for digest in (A, B, C):
            assert own_valkey.cut_off(own_valkey.lines(2)) == 2
            one.say(digest)
            until(is_heard(other, digest))
        assert other.heard.told == [A, B, C]
        figures = other.line.figures()
        assert (figures["gaps"], figures["opened"], figures["reconnects"]) == (0, 0, 3)


def test_flushed_server_is_found_out_by_asking(own_valkey: Server) -> None:
    """FLUSHALL says nothing to anybody: an idle line asks for the counter, and empties the stores."""
    with party(own_valkey.url, "p", 1) as (one,):
        own_valkey.flush()
        until(is_heard(one, "all"))
        assert one.line.figures()["gaps"] == 1
        one.line.catch_up(5.0)
        assert one.heard.told == ["all"]


def test_message_after_a_flush_is_a_gap(own_valkey: Server) -> None:
    """The first message of another epoch empties the stores, once, and waiting callers are called."""
    called = threading.Event()
    with party(own_valkey.url, "p") as (one, other):
        other.line.expect(FUNCTION, C, called.set)
        own_valkey.flush()
        one.say(A)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        assert other.heard.told == ["all"]
        assert called.is_set()


def test_restart_without_memory_is_a_gap(own_valkey: Server) -> None:
    """Killed and empty: everything is dropped, and what was said meanwhile is said when it is back."""
    with party(own_valkey.url, "p") as (one, other):
        own_valkey.kill()
        goes_down(one)
        goes_down(other)
        one.say(A)
        assert not one.is_settled(A)
        own_valkey.restart(empty=True)
        one.is_up()
        other.is_up()
        assert other.heard.told[0] == "all"
        assert other.line.figures()["gaps"] == 1
        assert one.line.figures()["replayed"] == 1
        assert one.is_settled(A)


def test_restart_with_an_older_copy_is_a_gap(own_valkey: Server) -> None:
    """A counter that is behind what was heard: the server fell back to a snapshot."""
    with party(own_valkey.url, "p") as (one, other):
        one.say(A)
        one.line.flush(5.0)
        own_valkey.save()
        one.say(B, C)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        own_valkey.kill()
        own_valkey.restart(empty=False)
        until(is_heard(other, "all"))
        assert other.heard.told == [A, B, C, "all"]


def test_restart_with_its_memory_is_no_gap(own_valkey: Server) -> None:
    """A snapshot with all that was heard: nothing is dropped but what was said meanwhile."""
    with party(own_valkey.url, "p") as (one, other):
        one.say(A)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        own_valkey.save()
        own_valkey.kill()
        goes_down(one)
        one.say(B)
        own_valkey.restart(empty=False)
        until(is_heard(other, B))
        assert other.heard.told == [A, B]
        assert other.line.figures()["gaps"] == 0


def test_trimmed_log_is_a_gap(own_valkey: Server) -> None:
    """Who was away for longer than the log is long has missed something, and drops everything."""
    with party(own_valkey.url, "p", log_size=100) as (one, other):
        held = threading.Event()
        other.heard._then = lambda told: held.wait(20)  # it is away
        one.say(A)
        until(is_heard(other, A))
        for number in range(400):
            one.wire.run(one_drop(one, number))
        held.set()
        until(is_heard(other, "all"))
        other.line.catch_up(5.0)
        assert other.line.figures()["gaps"] == 1


def one_drop(one: Party, number: int) -> Any:
    from memo.shared._scripts import drop

    digest = number.to_bytes(16, "big")
    value = one.names.value(FUNCTION, digest)
    return drop([value], [one.names.lease(value)], one.line.log, function=FUNCTION, digests=[digest])


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit()])
def test_follower_that_raises_is_a_gap(own_valkey: Server, error: BaseException, caplog: Any) -> None:
    """What could not be applied empties the stores; the thread lives on, and the next message is heard."""

    def fail(told: Any) -> None:
        if told == A:
            raise error

    with party(own_valkey.url, "p", then=fail) as (one, other):
        thread = other.line._thread.thread
        one.say(A)
        one.line.flush(5.0)
        one.say(B)
        one.line.flush(5.0)
        other.line.catch_up(5.0)
        assert other.heard.told == [A, "all", B]
        assert other.line.figures()["gaps"] == 1
        assert other.line._thread.thread is thread
    assert "could not be applied" in caplog.text


def test_rubbish_in_the_log_is_a_gap(own_valkey: Server) -> None:
    """What somebody else wrote there is survived, and what follows is heard."""
    with party(own_valkey.url, "p") as (one, other):
        own_valkey.command("XADD", one.names.log, "*", "hello", "world")
        until(is_heard(other, "all"))
        one.say(A)
        until(is_heard(other, A))
        assert other.line.figures()["gaps"] == 1


def test_stopped_server_costs_callers_nothing(own_valkey: Server, caplog: Any) -> None:
    """Its breaker opens; who asks is refused at once; when it goes on, what was said is delivered before it closes."""
    caplog.set_level(logging.INFO, "memo")
    with party(own_valkey.url, "p", **SOON) as (one, other):
        own_valkey.pause()
        goes_down(one)
        for digest in (A, B):
            one.say(digest)
        one.line.say(change(one.names, C, put=Put(lambda run: None, 1)))
        assert not one.is_settled(A)
        assert not one.is_settled(B)
        own_valkey.go_on()
        one.is_up()
        assert one.line.figures()["pending"] == 0
        assert one.line.figures()["replayed"] == 3
        until(lambda: other.heard.told == [A, B, C])
        assert other.line.figures()["gaps"] == 0
    said = [record.levelname for record in caplog.records if "tier: " in record.message]
    assert sorted(set(said)) == ["INFO", "WARNING"]
    assert len(said) <= 4  # one of each for each of the two


def test_who_waits_is_called_when_the_server_goes(own_valkey: Server) -> None:
    """Nothing will come of the load that others do: who waits for it is told to look after himself."""
    called = threading.Event()
    with party(own_valkey.url, "p", 1, **SOON) as (one,):
        one.line.expect(FUNCTION, A, called.set)
        own_valkey.kill()
        until(called.is_set)


def test_full_server_is_down_until_it_has_room(own_valkey: Server) -> None:
    """A server that takes no values is not taken for well, though it answers; invalidations reach it all the same."""
    with party(own_valkey.url, "p", **SOON) as (one, other):
        own_valkey.fill_up()
        try:
            key = Key(one.wire.run, "p")
            for _ in range(3):
                with pytest.raises(Unreachable):
                    key.ask(b"a" * 16)
            one.say(A)
            until(is_heard(other, A))
            assert one.line.state == "down"
            assert one.line.figures()["opened"] == 1
        finally:
            own_valkey.make_room()
        one.is_up()
        assert one.line.figures()["pending"] == 0


def test_server_that_is_not_there_at_first(own_valkey: Server) -> None:
    """The first callers are told soon; once it is there, what they kept meanwhile, unheard of others, is dropped."""
    own_valkey.kill()
    one = Party(own_valkey.url, "p", **SOON)
    try:
        assert not Running(one.is_settled).result()
        goes_down(one)
        one.line.say(Change(FUNCTION))
        own_valkey.restart(empty=True)
        one.is_up()
        assert one.is_settled()
        assert one.heard.told == ["all"]
        assert one.line.figures()["gaps"] == 1
    finally:
        one.close()


def test_user_who_may_not_read_the_log(own_valkey: Server, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Without the permission the tier is down at once, with an error that names no secret; given it, it comes back."""
    monkeypatch.setattr(_breaker, "_FINAL_PROBES_S", (0.02, 0.02))
    own_valkey.users("ann on >sesame ~p:1:* +@all")
    one = Party(own_valkey.url_of("redis", "ann:sesame"), "p", **SOON).begin()
    try:
        (line,) = own_valkey.lines(1)
        own_valkey.users("ann -xread")
        own_valkey.cut_off([line])
        until(lambda: one.line.state == "down")
        own_valkey.users("ann +xread")
        one.is_up()
        assert one.line.figures()["opened"] == 1
        assert one.line.figures()["gaps"] == 0
    finally:
        one.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "denies access" in caplog.text
    assert "sesame" not in caplog.text


def test_callback_that_asks_does_not_wait_for_its_own_thread(own_valkey: Server) -> None:
    """What only the thread can do is not waited for in it: what a store's callback asks goes on without the tier."""
    answers: list[object] = []

    with party(own_valkey.url, "p") as (one, other):

        def ask(told: Any) -> None:
            if told == A:
                other.say(B)
                answers.append(other.is_settled(B, 60.0))
                with pytest.raises(SharedTimeout):
                    other.line.flush(60.0)

        other.heard._then = ask
        one.say(A)
        until(is_heard(one, B))
        assert answers == [False]
        assert other.line.figures()["gaps"] == 0
