"""What changes results of one function, on its way to other processes, and with whom it shares them at all."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from kit.links import Caller, MakeMember, Results, note_in
from kit.servers import Room, Server
from kit.threads import until

from memo._base import real
from memo._cache import Found
from memo.shared._grants import HeldGrant

# -- changes


def test_what_changes_meanwhile_is_not_overwritten(member: MakeMember, caller: Caller) -> None:
    """A load during which its key, function or tag was invalidated, put, or loaded anew is refused."""
    one, other = member().link(wait=0), member().link(wait=0)
    changes: dict[str, Callable[[], Any]] = {
        "invalidate": lambda: other.invalidate(["k"]),
        "invalidate_all": other.invalidate_all,
        "invalidate_tag": lambda: other.invalidate_tag("users"),
        "put": lambda: other.put("k", "put", 60.0, ["users"]),
        "newer": lambda: caller.store(other, caller.ask(other, tags=["users"], newer=True), "newer"),
    }
    assert caller.ask(other, "another key") is not None  # the line is there
    for count, (name, change) in enumerate(changes.items(), 1):
        one.invalidate(["k"])
        grant = caller.ask(one, tags=["users"])
        assert isinstance(grant, HeldGrant), name
        change()
        assert not caller.store(one, grant, "old"), name
        assert one.figures().refused == count
        found = caller.ask(other, tags=["users"])
        if isinstance(found, Found):
            assert found.value == name
        else:
            other.release(found)


@pytest.mark.parametrize("why", ["the server is full", "it cannot be written", "it is stale already"])
def test_what_was_to_be_replaced_is_dropped(caller: Caller, own_valkey: Server, member: MakeMember, why: str) -> None:
    """A refresh whose result cannot be stored: the former value is of before, and nobody is to find it any more."""
    one, other = member(own_valkey.url), member(own_valkey.url)
    link, theirs = one.link(), other.link()
    caller.load(link, "former")
    assert caller.ask(theirs).value == "former"
    grant = caller.ask(link, newer=True)
    if why == "the server is full":
        own_valkey.fill_up()
    value, life_s = (object() if why == "it cannot be written" else "newer"), (0.0 if "stale" in why else 60.0)
    assert caller.store(link, grant, value, life_s)
    one.line.flush(20.0)
    own_valkey.make_room()
    for each in (theirs, link):
        granted = caller.ask(each)
        assert isinstance(granted, HeldGrant)
        each.release(granted)
        until(lambda: own_valkey.command("KEYS", "*:l") == [])


def test_others_hear_what_changed(member: MakeMember, caller: Caller) -> None:
    """Each change drops what others hold of it; a mere load drops nothing, and neither does what this process said."""
    mine, theirs = Results(), Results()
    one, other = member().link(results=mine), member().link(results=theirs)
    for key in ("a", "b"):
        caller.load(one, 1, key, ["users"])
        caller.ask(other, key, ["users"])
        theirs.held.add(key)
    heard: list[Any] = []

    def is_told(count: int) -> bool:
        return len(theirs.dropped) >= count

    for change, told in (
        (lambda: one.invalidate(["a", "unknown"]), ["a"]),
        (lambda: one.put("b", 2, 60.0, ["users"]), ["b"]),
        (lambda: caller.store(one, caller.ask(one, "a", ["users"], newer=True), 3), ["a"]),
        (lambda: one.invalidate_tag("users"), [("tag", "users")]),
        (lambda: one.invalidate_tag("nobody's"), []),
        (one.invalidate_all, ["all"]),
    ):
        change()
        heard += told
        until(partial(is_told, len(heard)))
        assert theirs.dropped == heard
        theirs.held.update("ab")
    assert mine.dropped == []


def test_what_is_void_is_not_found(member: MakeMember, caller: Caller) -> None:
    """After the function or a tag of it was invalidated nobody finds what was stored before; other keys stay."""
    one, other = member().link(), member().link()
    for change, gone in ((lambda: one.invalidate_tag("t1"), [True, False]), (one.invalidate_all, [True, True])):
        for key, tags in (("a", ["t1", "t2"]), ("b", ["t2"])):
            one.put(key, key, 60.0, tags)
        change()
        for key, tags, is_gone in (("a", ["t2", "t1"], gone[0]), ("b", ["t2"], gone[1])):
            answer = caller.ask(other, key, tags)
            assert isinstance(answer, HeldGrant) is is_gone
            if is_gone:
                other.release(answer)


def test_many_keys_go_in_few_commands(member: MakeMember, caller: Caller) -> None:
    """A hundred keys are one command; none is forgotten."""
    one, other = member().link(), member().link()
    for number in range(250):
        one.put(number, number, 60.0, ())
    sent: list[Any] = []
    run = one._wire.run
    one._wire.run = lambda command: (sent.append(command), run(command))[1]
    one.invalidate(range(250))
    assert len(sent) == 3
    assert all(isinstance(caller.ask(other, number), HeldGrant) for number in (0, 99, 100, 249))


@pytest.mark.parametrize("secret", [None, b"a secret of the tests"])
def test_changes_in_a_loop_are_sent_by_the_thread(member: MakeMember, secret: bytes | None) -> None:
    """In a coroutine a change sends nothing itself; what is asked after it, there or in a thread, waits for it."""
    one, other = member(secret=secret).link(), member(secret=secret).link()
    Caller("sync").load(one, "old")
    assert other.ask("k", ()).value == "old"

    sent: list[Any] = []
    one._wire.run = note_in(sent, one._wire.run)

    async def change() -> Any:
        one.put("k", "new", 60.0, ())
        return await one.ask_awaited("k", ())

    assert asyncio.run(change()).value == "new"

    async def drop() -> None:
        one.invalidate(["k"])

    asyncio.run(drop())
    assert sent == []
    assert isinstance(one.ask("k", ()), HeldGrant)


def test_changes_keep_their_order(member: MakeMember) -> None:
    """A change by a thread does not overtake an earlier one of the same key that a coroutine has said."""
    one = member().link()

    async def first() -> None:
        for number in range(50):
            one.put("k", number, 60.0, ())

    for _ in range(10):
        asyncio.run(first())
        one.put("k", "last", 60.0, ())
        assert one.ask("k", ()).value == "last"
        asyncio.run(first())
        one.invalidate(["k"])
        grant = one.ask("k", ())
        assert isinstance(grant, HeldGrant)
        one.release(grant)


# -- who shares


def test_versions_and_signatures_share_nothing(member: MakeMember, caller: Caller) -> None:
    """Functions of another version, name or signature have values of their own."""
    tier = member()
    caller.load(tier.link(), "mine")
    for other in (tier.link(version="2"), tier.link("bot.g"), member().link(signature="y")):
        answer = caller.ask(other)
        assert isinstance(answer, HeldGrant)
        other.release(answer)


def test_read_only_changes_nothing(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """One who only reads finds values, loads alone what is missing, and writes nothing, invalidations included."""
    results = Results()
    writer, reader = member().link(results=results), member().link(read_only=True)
    assert caller.ask(reader, "missing") is None
    names = valkey.keys()
    assert [name for name in names if not name.endswith((":seq", ":log"))] == []
    caller.load(writer, "v")
    before = sorted(valkey.keys())
    reader.put("k", "other", 60.0, ())
    reader.invalidate(["k"])
    reader.invalidate_all()
    reader.invalidate_tag("users")
    assert caller.ask(reader, newer=True) is None
    assert caller.ask(reader).value == "v"
    assert sorted(valkey.keys()) == before
    assert results.dropped == []
    grant = caller.ask(writer, "loading")
    assert caller.ask(reader, "loading") is None
    writer.release(grant)
    assert reader.figures()._replace(seconds=0) == (1, 2, 0, 0, 0, 0, 0, 0)


def test_readable_keys_are_seen_on_the_server(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """With ``readable_keys`` names show keys, and everything works by these names."""
    one, other = (member(readable_keys=True).link() for _ in range(2))
    caller.load(one, "v", "alice")
    assert "alice" in " ".join(valkey.keys())
    assert caller.ask(other, "alice").value == "v"
    one.invalidate(["alice"])
    assert isinstance(caller.ask(other, "alice"), HeldGrant)


# -- lives


class Late:
    """Real time, in which something takes long."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return real.monotonic() + self.passed_s

    def pass_by(self, value: Any) -> Any:
        """What takes twenty seconds, and returns what it is given."""
        self.passed_s += 20
        return value


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    made = Late()
    monkeypatch.setattr("memo.shared._envelope.real", made)
    return made


SECRETS = pytest.mark.parametrize("secret", [None, b"of the tier"], ids=["plain", "signed"])


def is_20_s_old(found: Any) -> bool:
    """Whether it is as old as what took so long has made it, and fresh for the rest of its sixty seconds."""
    return isinstance(found, Found) and 20 <= found.age_s < 40 and found.left_s <= 40


@SECRETS
def test_a_value_lives_from_its_load_on(member: MakeMember, caller: Caller, late: Late, secret: Any) -> None:
    """What it takes to make bytes of it counts: elsewhere it is as old as here, and no longer fresh."""
    one, other = (
        member(secret=secret).link(encode=late.pass_by, decode=lambda value: value, stale_s=100.0) for _ in range(2)
    )
    caller.load(one, "v", life_s=60.0)
    assert is_20_s_old(caller.ask(other))
    caller.load(one, "v", "short", life_s=10.0)
    assert isinstance(caller.ask(other, "short"), HeldGrant), "it was stale when it was stored"


@SECRETS
def test_what_is_put_lives_from_then_on(member: MakeMember, caller: Caller, late: Late, secret: Any) -> None:
    """However late it is sent, in a thread or by the line of an event loop's thread."""
    one, other = member(secret=secret), member(secret=secret).link()
    link = one.link()
    said: list[Any] = []
    one.line.say = said.append  # type: ignore[method-assign]

    async def put() -> None:
        link.put("k", "v", 60.0, ())

    asyncio.run(put())
    (change,) = said
    late.pass_by(None)
    change.put.send(one.wire.run, one.line.log)
    assert is_20_s_old(caller.ask(other))
    for _ in range(3):
        late.pass_by(None)
    change.put.send(one.wire.run, one.line.log)
    until(lambda: isinstance(caller.ask(other), HeldGrant))
