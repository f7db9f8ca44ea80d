"""What the server does for each command: who gets the lease, what may be stored, what is said."""

from collections.abc import Iterator
from hashlib import sha1

import pytest
from kit.servers import Room
from kit.tiers import Key

from memo.shared._messages import Known
from memo.shared._scripts import Busy, Command, Granted, Value, new_id, where
from memo.shared._unreachable import Reason, Skipped
from memo.shared._wire import Wire


@pytest.fixture
def key(valkey: Room) -> Iterator[Key]:
    wire = Wire(valkey.url, timeout_s=20, connections=2)
    yield Key(wire.run, valkey.prefix)
    wire.close()


def said(key: Key) -> list[tuple[bytes, bytes, tuple[bytes, ...]]]:
    return [(one.kind, one.function, one.digests) for one in key.messages()]


def granted(key: Key, **options: object) -> tuple[bytes, Granted]:
    token = new_id()
    grant = key.ask(token, **options)
    assert isinstance(grant, Granted)
    return token, grant


def test_a_load_is_granted_once_and_its_value_read_by_all(key: Key) -> None:
    """Who asks first loads, others are told how long at most; once it is stored, everybody reads it."""
    token, grant = granted(key)
    assert grant.stale is None
    busy = key.ask(new_id())
    assert isinstance(busy, Busy)
    assert 0 < busy.left_ms <= 60_000
    assert key.store(token, grant.generations, b"text", life_ms=50_000)
    value = key.ask(new_id())
    assert isinstance(value, Value)
    assert value.data == grant.generations + b" 50000 0 m1\ntext"
    assert 0 < value.left_ms <= 50_000


@pytest.mark.parametrize("change", ["drop", "clear", "clear_tag", "put"])
def test_what_changed_during_a_load_refuses_it(key: Key, change: str) -> None:
    """A value whose key, function or tag was invalidated or put while it was loaded is not stored."""
    token, grant = granted(key)
    key.put(b"newer") if change == "put" else getattr(key, change)()
    assert not key.store(token, grant.generations, b"old")
    found = key.ask(new_id())
    assert found.data.endswith(b"newer") if change == "put" else isinstance(found, Granted)


@pytest.mark.parametrize("change", ["clear", "clear_tag"])
def test_a_load_that_is_void_keeps_nobody_waiting(key: Key, change: str) -> None:
    """After the function or a tag was cleared, who asks is granted the lease, whoever loads something older."""
    old, grant = granted(key)
    getattr(key, change)()
    token, newer = granted(key)
    assert not key.store(old, grant.generations, b"old")
    assert key.renew(old, token) == (False, True)
    assert key.store(token, newer.generations, b"new")


@pytest.mark.parametrize("over", ["newer", "clear"])
def test_who_waits_is_told_by_whoever_ends_the_load(key: Key, over: str) -> None:
    """Once somebody waits, the one who takes the lease over says that it is done; else nobody does."""
    token, _ = granted(key)
    key.ask(new_id(), tell_done=False)
    key.release(token)
    assert said(key) == []
    granted(key)
    assert isinstance(key.ask(new_id()), Busy)
    if over == "clear":
        key.clear()
    token, grant = granted(key, newer=over == "newer")
    assert key.store(token, grant.generations, b"text")
    assert said(key)[-1] == (b"done", key.function, (key.digest,))
    assert len(said(key)) == (2 if over == "clear" else 1)


def test_a_value_that_was_read_in_vain_is_deleted_once(key: Key) -> None:
    """Named by its hash, it counts as missing; another one that was stored meanwhile is handed out."""
    key.put(b"odd")
    value = key.ask(b"")
    odd = sha1(value.data, usedforsecurity=False).hexdigest().encode()
    token, grant = granted(key, unreadable=odd)
    assert grant.stale is None
    assert key.store(token, grant.generations, b"even")
    assert key.ask(new_id(), unreadable=odd).data.endswith(b"even")


def test_a_value_that_is_too_large_is_not_read(key: Key) -> None:
    """It stays, for those who may read it, and whoever may not is granted the lease."""
    key.put(b"x" * 20_000)
    _, grant = granted(key, max_value=10_000)
    assert (grant.too_large, grant.stale) == (True, None)
    assert isinstance(key.ask(new_id(), max_value=30_000), Value)


def test_a_generation_outlives_the_values_of_it(key: Key, valkey: Room) -> None:
    """It is kept for longer than the value, or would void that; and not for ever, as its function may be gone."""
    day_ms = 86_400_000
    for days in (0, 30):
        key.put(b"text") if days == 0 else key.store(b"", b"", b"text", life_ms=days * day_ms)
        for name in key.generations:
            left = valkey.command("PTTL", name)
            assert days * day_ms + day_ms - 60_000 <= left <= days * day_ms + 2 * day_ms + 60_000
    key.clear()
    assert valkey.command("PTTL", key.generation) > 30 * day_ms


def test_ids_that_were_there_do_not_come_back(key: Key, valkey: Room) -> None:
    """A generation that was lost voids its values, even where the same token asks again."""
    token, grant = granted(key)
    assert key.store(token, grant.generations, b"text")
    for name in key.generations:
        valkey.command("DEL", name)
        assert isinstance(key.ask(token), Granted)
        key.put(b"text")


def test_who_was_refused_does_not_read_what_is_older(key: Key) -> None:
    """Of two that load anew, the first one's value is refused; what was there before both is gone, until the second."""
    key.put(b"old")
    first, grant = granted(key, newer=True)
    second, later = granted(key, newer=True)
    assert not key.store(first, grant.generations, b"newer")
    assert isinstance(key.ask(new_id()), Busy)
    assert key.store(second, later.generations, b"newest")


def test_a_server_that_lacks_what_is_known_does_nothing(key: Key) -> None:
    """It neither answers nor changes anything, whatever it is asked for; a store of what was loaded needs a lease."""
    key.put(b"text")
    token, grant = granted(key, newer=True)
    (put,) = key.messages()
    known = key.log
    for message in (
        b"%b other" % put.position,  # said by somebody else, on another server
        b"1-1 me",
        b"9999999999999-9 me",
        b"no position",
    ):
        key.log = known._replace(known=Known(message, 0, is_told=True))
        for do in (
            lambda: key.ask(new_id()), lambda: key.ask(b""), key.drop, key.clear, key.clear_tag,
            lambda: key.put(b"other"), lambda: key.store(token, grant.generations, b"other", tell=True),
        ):  # fmt: skip
            with pytest.raises(Skipped) as caught:
                do()
            assert caught.value.reason is Reason.LOST
    key.log = known._replace(known=Known(b"%b me" % put.position, 0, is_told=True))
    assert key.messages() == [put]
    assert key.store(token, grant.generations, b"other")
    key.drop()
    assert isinstance(key.ask(new_id()), Granted)  # the log has it, if it is not the latest any more


@pytest.mark.parametrize(("is_told", "is_void"), [(True, True), (False, False)])
def test_what_was_trimmed_may_be_lost(key: Key, is_told: bool, is_void: bool) -> None:
    """A log that begins after what is known tells nothing: whoever has changed something himself takes it for lost."""
    key.put(b"text")
    key.drop()
    key.put(b"other")
    first, second, _ = key.messages()
    key.run(Command((b"XDEL", key.log.key, first.position, second.position), int))
    key.log = key.log._replace(known=Known(b"%b me" % first.position, 0, is_told=is_told))
    everything = key.log.key.removesuffix(b"log") + b"all"
    for _ in range(2):
        there = key.run(where(key.log, everything))
        assert there.is_lost
        assert (there.epoch != first.epoch) == is_void
    assert len(key.messages()) == 1 + is_void
