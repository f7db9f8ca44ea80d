"""Who may do what: a user of the server with exactly the rights of a tier, one with less, and none."""

import logging
from collections.abc import Callable, Iterator

import pytest
from kit.servers import PROGRAMS, Server, program
from kit.tiers import Key

from memo.shared import _scripts as scripts
from memo.shared._access import _IN_SCRIPTS, acl
from memo.shared._scripts import Busy, Command, Granted, Value, new_id
from memo.shared._unreachable import Reason, Skipped, Unreachable
from memo.shared._wire import Wire

IN_SCRIPTS = {f"+{name}" for name in _IN_SCRIPTS}


@pytest.fixture(scope="module", params=PROGRAMS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    path = program(request.param)
    if path is None:
        pytest.skip(f"no {request.param} here")
    with Server(path) as server:
        yield server


def wire_of(server: Server, user: str) -> Wire:
    return Wire(server.url_of("redis", user), timeout_s=20, connections=1)


@pytest.mark.parametrize("prefix", ["shop", "sh[o]p*"])
def test_the_rights_that_are_named_are_enough(server: Server, prefix: str) -> None:
    """A user with these rights alone can do all that a tier does, also on a server that has forgotten its scripts."""
    server.users(f"ann reset on >secret {acl(prefix)}", "default off")
    wire = wire_of(server, "ann:secret")
    server.command("SCRIPT", "FLUSH")
    key = Key(wire.run, prefix)
    token = new_id()
    grant = key.ask(token)
    assert isinstance(grant, Granted)
    assert isinstance(key.ask(new_id()), Busy)
    assert key.renew(token) == (True,)
    assert key.store(token, grant.generations, b"text", life_ms=10**9)
    assert isinstance(key.ask(b""), Value)
    assert key.release(token) is False
    assert key.put(b"other")
    assert key.ask(new_id(), newer=True).stale is not None
    key.drop()
    key.clear()
    key.clear_tag()
    where = key.where(prove=True)
    assert where.n == 5, "one was not said"
    wire.run(scripts.ping())
    read = wire.run(Command((b"XREAD", b"COUNT", 9, b"BLOCK", 1, b"STREAMS", key.log.key, b"0-0"), list))
    assert len(read[0][1]) == where.n
    wire.close()


@pytest.mark.parametrize("right", [right for right in acl("shop").split() if right in IN_SCRIPTS])
def test_a_right_that_is_missing_is_told(server: Server, right: str) -> None:
    """Whatever a script may not do is an error that names itself, and never taken for something that is not there."""
    prefix = f"lacks{right}"
    server.users("bob reset on >secret ~* +@all", f"ann reset on >secret {acl(prefix)} -{right[1:]}", "default off")
    wire = wire_of(server, "bob:secret")
    bob = Key(wire.run, prefix)
    token, other = new_id(), new_id()
    bob.store(token, bob.ask(token).generations, b"text")
    bob.drop()
    assert isinstance(bob.ask(other), Granted)
    wire.run(Command((b"DEL", bob.log.sequence), int))  # to be made anew
    denied = wire_of(server, "ann:secret")
    ann = Key(denied.run, prefix)
    ways: list[Callable[[], object]] = [
        lambda: ann.ask(new_id()), lambda: ann.renew(other), lambda: ann.where(prove=True),
        ann.drop, ann.clear, lambda: ann.put(b"text"), lambda: ann.ask(b""),
    ]  # fmt: skip
    told = []
    for way in ways:
        try:
            way()
        except Unreachable as error:
            told.append(error.reason)
            denied.breaker.close()
    assert set(told) == {Reason.DENIED}
    assert bob.messages()[0].n == 1, "the log was not kept"
    wire.close()
    denied.close()


def test_the_rights_do_not_reach_beyond(server: Server) -> None:
    """Keys of others, and what changes the server, are denied."""
    server.users(f"ann reset on >secret {acl('shop')}")
    wire = wire_of(server, "ann:secret")
    for words in ((b"GET", b"shop:2:x"), (b"GET", b"shops:1:x"), (b"CONFIG", b"GET", b"*"), (b"FLUSHALL",)):
        with pytest.raises(Unreachable) as told:
            wire.run(Command(words, bytes))
        assert told.value.reason is Reason.DENIED
        wire.breaker.close()
    wire.close()


@pytest.mark.parametrize(
    ("user", "named"), [("ann:wr0ng", "ann"), ("", None), ("wr0ng", None), (":wr0ng", None), ("bob:wr0ng", "bob")]
)
def test_a_wrong_login_is_told_once(
    server: Server, user: str, named: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens the breaker at once, for half a minute, with one error that names the user and never the secret."""
    server.users("ann reset on >secret ~* +@all", "bob reset on >secret ~*", "default off")
    wire = wire_of(server, user)
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(Unreachable) as told:
            wire.run(scripts.ping())
        for _ in range(3):
            with pytest.raises(Skipped):
                wire.run(scripts.ping())
    assert told.value.reason is Reason.DENIED
    assert wire.breaker.probe_s == (30.0, 30.0)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    text = record.getMessage() + str(told.value) + repr(wire) + repr(wire.breaker)
    assert "wr0ng" not in text
    assert named is None or named in record.getMessage()
    wire.close()
