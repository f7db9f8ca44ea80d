"""What the server does for each command: who gets the lease, what may be stored, what is said."""

from collections.abc import Iterator

import pytest
from kit.servers import Room
from kit.tiers import Key

from memo.shared._scripts import Busy, Granted, Value, new_id
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
