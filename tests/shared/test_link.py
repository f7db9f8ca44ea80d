"""One function's questions to its tier, of both colours: what they find, whom they wait for, and what they leave."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from kit.links import Caller, Member, Results
from kit.servers import Room, Server
from kit.threads import Running, until

from memo._cache import Found
from memo.shared._grants import HeldGrant

MakeMember = Callable[..., Member]


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    return Caller(request.param)


@pytest.fixture
def member(valkey: Room) -> Iterator[MakeMember]:
    """Makes members of one tier, each as a process would be."""
    made: list[Member] = []

    def make(url: str = valkey.url, **options: Any) -> Member:
        made.append(Member(url, valkey.prefix, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def leases(valkey: Room) -> list[str]:
    found = valkey.keys()
    return [key for key in found if key.endswith(":l")]


# -- what is found


def test_what_one_stores_others_find(member: MakeMember, caller: Caller) -> None:
    """A miss is granted; after it was stored all find the value, with its age and what is left of its life."""
    one, other = member().link(stale_s=30.0), member().link(stale_s=30.0)
    grant = caller.ask(one, ("k", 1), ["users"])
    assert isinstance(grant, HeldGrant)
    assert grant.stale is None
    assert caller.store(one, grant, {"a": (1, 2)}, 60.0)
    for link in (one, other):
        found = caller.ask(link, ("k", 1), ["users"])
        assert found.value == {"a": (1, 2)}
        assert 0 <= found.age_s < 20
        assert 40 < found.left_s <= 60.0
        assert found.age_s + found.left_s == pytest.approx(60.0, abs=0.002)
    assert one.figures()._replace(seconds=0) == (1, 1, 0, 0, 0, 0, 0, 0)
    assert other.figures()._replace(seconds=0) == (1, 0, 0, 0, 0, 0, 0, 0)
    assert one.figures().seconds > 0


def test_a_released_key_is_granted_again(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """A load that failed leaves its key to the next; what is released twice, or after it was stored, is nothing."""
    one, other = member().link(), member().link()
    grant = caller.ask(one)
    one.release(grant)
    one.release(grant)
    again = caller.ask(other)
    assert isinstance(again, HeldGrant)
    assert not caller.store(one, grant, "late")
    assert caller.store(other, again, "good")
    other.release(again)
    assert caller.ask(one).value == "good"
    assert leases(valkey) == []


def test_a_grant_that_nobody_has_is_given_back(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """Whoever loses his grant loses the lease with it."""
    grant = caller.ask(member().link())
    assert len(leases(valkey)) == 1
    del grant
    gc.collect()
    until(lambda: leases(valkey) == [])


def test_a_stale_value_comes_along(member: MakeMember, caller: Caller) -> None:
    """Past its ttl, within the stale window, a value is no answer, but is there in case the load fails."""
    one, other = member().link(stale_s=60.0), member().link(stale_s=60.0)
    caller.load(one, "old", life_s=0.001)
    asked: list[Any] = [None]

    def is_past() -> bool:
        asked.append(caller.ask(other))
        return isinstance(asked[-1], HeldGrant)

    until(is_past)
    stale = asked[-1].stale
    assert stale.value == "old"
    assert stale.left_s <= 0
    assert stale.age_s >= 0.001
    assert other.figures().misses >= 1


def test_local_ttl_shortens_what_is_left(member: MakeMember, caller: Caller) -> None:
    """What is found is kept for ``local_ttl`` at most; what is stored lives as long as the loader said."""
    one, other = member().link(), member().link(local_ttl=5)
    caller.load(one, "v", life_s=60.0)
    assert caller.ask(other).left_s == 5
    assert other.local_s == 5
    assert caller.ask(one).left_s > 5


def test_a_life_of_ages_is_shared_for_long(member: MakeMember, caller: Caller) -> None:
    """A ``ttl`` beyond what a server can count is cut to what it can."""
    one, other = member().link(stale_s=1e300), member().link(stale_s=1e300)
    caller.load(one, "v", life_s=1e300)
    assert caller.ask(other).left_s > 1e8
    one.put("k", "w", 1e200, ())
    assert caller.ask(other).value == "w"


# -- others


def test_who_comes_meanwhile_waits_for_the_value(member: MakeMember, caller: Caller) -> None:
    """Two processes ask for what a third loads: both get what it stores, and none of them is granted the key."""
    loader, *waiters = (member().link() for _ in range(3))
    grant = caller.ask(loader)
    waiting = [Running(lambda link=link: caller.ask(link)) for link in waiters]
    until(lambda: all(link.figures().waits == 1 for link in waiters))
    assert caller.store(loader, grant, "loaded")
    assert [one.result().value for one in waiting] == ["loaded", "loaded"]
    assert {link.figures()._replace(seconds=0) for link in waiters} == {(1, 0, 1, 0, 0, 0, 0, 0)}
    assert all(link.figures().seconds < 10 for link in waiters)


def test_the_next_in_turn_leads_if_a_load_fails(member: MakeMember, caller: Caller) -> None:
    """Of those who wait for a load that fails one is granted the key, and the others wait for that one."""
    loader, *waiters = (member().link() for _ in range(3))
    grant = caller.ask(loader)
    answers: list[Any] = []
    waiting = [Running(lambda link=link: answers.append(caller.ask(link))) for link in waiters]
    until(lambda: all(link.figures().waits == 1 for link in waiters))
    loader.release(grant)
    until(lambda: answers)
    leader = next(link for link in waiters if link.figures().misses == 1)
    assert caller.store(leader, answers[0], "second")
    for one in waiting:
        one.join()
    assert answers[1].value == "second"
    assert sum(link.figures().misses for link in waiters) == 1


def test_a_lease_whose_process_died_ends(member: MakeMember, caller: Caller) -> None:
    """A lease that nobody renews ends by itself, and one who waits leads; nobody says so."""
    dead, alive = member(timeout_s=0.2).link(lease=0.3), member().link()
    grant = caller.ask(dead)
    grant.close()  # as if its process were gone: it is neither renewed nor given back
    waiting = Running(lambda: caller.ask(alive))
    until(lambda: alive.figures().waits == 1)
    assert isinstance(waiting.result(), HeldGrant)
    assert not caller.store(dead, grant, "late")


def test_a_load_longer_than_its_lease_keeps_it(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """The line's thread renews the lease for as long as the load takes, so that others go on waiting."""
    loader, waiter = member(timeout_s=0.2).link(lease=0.3), member().link()
    grant = caller.ask(loader)
    waiting = Running(lambda: caller.ask(waiter))
    ends = time.monotonic() + 1.0
    until(lambda: time.monotonic() > ends)
    assert waiter.figures().waits == 1
    assert caller.store(loader, grant, "v")
    assert waiting.result().value == "v"


def test_one_waits_so_long_and_then_loads_alone(member: MakeMember, caller: Caller) -> None:
    """After ``wait``, or at once with ``wait=0``, the answer is to load alone; the other load goes on undisturbed."""
    loader = member().link()
    grant = caller.ask(loader)
    for wait in (0, 0.05):
        link = member().link(wait=wait)
        assert caller.ask(link) is None
        assert link.figures()._replace(seconds=0) == (0, 1, 1, 0, 0, 0, 0, 0)
    assert caller.store(loader, grant, "v")


def test_no_event_loop_is_held_up_by_another_load(member: MakeMember) -> None:
    """A plain function's question in a loop's thread does not wait: the other process may need that loop."""
    loader, link = member().link(), member().link()
    grant = loader.ask("k", ())

    async def ask() -> Any:
        return link.ask("k", ())

    assert asyncio.run(ask()) is None
    assert link.figures()._replace(seconds=0) == (0, 1, 0, 0, 0, 0, 0, 0)
    assert loader.store(grant, "v", 60.0)


def test_a_load_that_nobody_waits_for_here_is_taken_over(member: MakeMember, caller: Caller) -> None:
    """Who asks while his own process holds the lease (its flight was detached) does not wait: the lease goes over."""
    link = member().link()
    stuck = caller.ask(link)
    fresh = caller.ask(link)
    assert isinstance(fresh, HeldGrant)
    assert not caller.store(link, stuck, "old")
    assert caller.store(link, fresh, "new")
    assert caller.ask(link).value == "new"
    assert link.figures()._replace(seconds=0) == (1, 2, 0, 0, 0, 1, 0, 0)


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


def note_in(sent: list[Any], run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What runs commands as *run* does, and notes those of this thread in *sent*."""
    here = threading.current_thread()

    def noted(command: Any) -> Any:
        if threading.current_thread() is here:
            sent.append(command)
        return run(command)

    return noted


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


# -- what cannot be shared, or is not what it should be


def test_what_cannot_be_written_stays_here(
    member: MakeMember, caller: Caller, caplog: pytest.LogCaptureFixture, valkey: Room
) -> None:
    """A value of a strange type, or too large a one, is not stored; the caller may keep it, and others may load."""
    link, other = member(max_value=2_000).link(), member().link()
    for count, value in enumerate((object(), b"x" * 2_000, [[object()]]), 1):
        grant = caller.ask(link)
        assert caller.store(link, grant, value)
        assert link.figures().rejected == count
        until(lambda: leases(valkey) == [])
    assert len(caplog.records) == 1
    assert "bot.f(): a result cannot be shared" in caplog.text
    answer = caller.ask(other)
    assert isinstance(answer, HeldGrant)
    link.put("k", object(), 60.0, ())
    assert not caller.store(other, answer, "v")  # what was put is not there, and neither is what was before


def test_largest_values_can_be_read_again(member: MakeMember, caller: Caller) -> None:
    """Whatever size is accepted for storing is so for reading; one that others may store is never transferred."""
    small, large = member(max_value=2_000), member()
    link, other = small.link(), large.link()
    for size in range(1_800, 2_000, 5):
        assert link.store(link.ask(size, ["users", "more"]), b"x" * size, 60.0)
        if isinstance(link.ask(size, ["more", "users"]), Found):
            largest = size
    assert 1_820 < largest < 1_995
    assert link.figures().hits == (largest - 1_800) // 5 + 1
    assert link.figures().errors == 0
    caller.load(other, b"x" * 5_000, "large")
    answer = caller.ask(link, "large")
    assert isinstance(answer, HeldGrant)
    assert link.figures().errors == 1
    link.release(answer)
    assert caller.ask(other, "large").value == b"x" * 5_000


class Failing(Exception):
    pass


def test_what_users_do_to_values_may_fail(
    member: MakeMember, caller: Caller, caplog: pytest.LogCaptureFixture, valkey: Room
) -> None:
    """``encode`` that raises keeps the value here; ``decode`` that raises deletes it: a miss.  One line a minute."""

    def fail(value: Any) -> Any:
        raise Failing(f"no good: {value}")

    writer = member().link(encode=fail, decode=str)
    for _ in range(3):
        assert caller.store(writer, caller.ask(writer), "v")
        until(lambda: leases(valkey) == [])
    assert writer.figures().rejected == 3
    good, reader = member().link(encode=str, decode=str), member().link(encode=str, decode=fail)
    for _ in range(2):
        caller.load(good, 7)
        answer = caller.ask(reader)
        assert isinstance(answer, HeldGrant)
        reader.release(answer)
        until(lambda: leases(valkey) == [])
    assert reader.figures()._replace(seconds=0) == (0, 2, 0, 2, 0, 0, 0, 0)
    assert [record.message.count("no good") for record in caplog.records] == [1, 1]


@pytest.mark.parametrize("stage", ["encode", "decode"])
def test_what_is_no_exception_passes(member: MakeMember, caller: Caller, valkey: Room, stage: str) -> None:
    """A KeyboardInterrupt within ``encode`` or ``decode`` reaches the caller, and leaves no lease."""

    def interrupted(value: Any) -> Any:
        raise KeyboardInterrupt

    using = {"encode": str, "decode": str, stage: interrupted}
    link, other = member().link(**using), member().link(encode=str, decode=str)
    if stage == "encode":
        grant = caller.ask(link)
        with pytest.raises(KeyboardInterrupt):
            caller.store(link, grant, "v")
    else:
        caller.load(other, "v")
        with pytest.raises(KeyboardInterrupt):
            caller.ask(link)
        assert caller.ask(other).value == "v"
    until(lambda: leases(valkey) == [])


def test_what_others_wrote_there_is_a_miss(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """Damaged, moved, eternal, unsigned values and ones of another type are missed, counted, and written over."""
    plain, signed = member().link(), member(secret=b"a secret of the tests")
    signed_link, other = signed.link(), signed.link("bot.g")
    caller.load(plain, "plain")
    caller.load(other, "other")
    names = valkey.keys()
    mine = next(name for name in names if "{bot.f/" in name)
    theirs = next(name for name in names if "{bot.g/" in name)
    generation = valkey.command("GET", f"{valkey.prefix}:1:g:bot.f")
    value = valkey.command("GET", mine)
    moved = generation + valkey.command("GET", theirs)[len(generation) :]
    caller.ask(plain)
    for count, (data, life) in enumerate(
        (
            (value, ["PX", 50_000]),  # not signed
            (moved, ["PX", 50_000]),  # signed for another place
            (moved[:-1], ["PX", 50_000]),
            (generation + b" 60000 0 m1\n", ["PX", 50_000]),
        ),
        1,
    ):
        valkey.command("SET", mine, data, *life)
        grant = caller.ask(signed_link)
        assert isinstance(grant, HeldGrant)
        assert signed_link.figures().errors == count
        assert valkey.command("GET", mine) is None
        signed_link.release(grant)
        until(lambda: leases(valkey) == [])
    valkey.command("SET", mine, value[:-1] + b"!", "PX", 50_000)
    caller.load(plain, "again")
    assert caller.ask(plain).value == "again"
    assert plain.figures().errors == 1
    for life in ([], ["PX", 500_000]):  # no life, or more than it was given
        valkey.command("SET", mine, value, *life)
        caller.load(plain, "again")


def test_secrets_are_exchanged_without_a_miss(member: MakeMember, caller: Caller) -> None:
    """Members that know the new secret read what the old one signed, and the other way round."""
    before, both = (member(secret=secret).link() for secret in (b"old secret", [b"new secret", b"old secret"]))
    after = member(secret=[b"new secret"]).link()
    caller.load(before, "old")
    assert caller.ask(both).value == "old"
    both.put("k", "new", 60.0, ())
    assert caller.ask(after).value == "new"
    assert isinstance(caller.ask(before), HeldGrant)


class Strange:
    pass


def test_a_key_that_has_no_text_is_not_shared(
    member: MakeMember, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that other processes cannot know is loaded alone, counted, and told of in the log once a minute."""
    link = member().link()
    key = ("k", Strange())
    assert caller.ask(link, key) is None
    assert caller.ask(link, key) is None
    link.put(key, 1, 60.0, ())
    link.invalidate([key])
    assert link.figures().rejected == 3
    assert len(caplog.records) == 1
    assert "bot.f(): a key cannot be shared" in caplog.text


# -- servers that are away


def test_nothing_is_raised_while_the_server_is_away(own_valkey: Server, caller: Caller) -> None:
    """Stopped or killed, the server costs nobody an exception: each question is an error, or skipped, and counted."""
    one = Member(own_valkey.url, "p", timeout_s=0.2)
    try:
        link = one.link()
        caller.load(link, "v")
        grant = caller.ask(link, "loading")
        own_valkey.pause()
        assert caller.store(link, grant, "v")
        assert caller.ask(link) is None
        link.put("k", "v", 60.0, ())
        link.invalidate(["k"])
        for _ in range(5):
            assert caller.ask(link) is None
        link.invalidate_all()
        link.invalidate_tag("users")
        figures = link.figures()
        assert figures.hits == 0
        assert figures.misses == 2
        assert figures.errors + figures.skipped >= 7
        assert figures.skipped >= 3
        own_valkey.go_on()
        until(lambda: one.line.state == "up")
        answer = caller.ask(link)
        assert isinstance(answer, HeldGrant)  # what was invalidated meanwhile is not found
    finally:
        one.close()


def test_a_full_server_is_not_told_of_leases_that_it_refused(own_valkey: Server, caller: Caller) -> None:
    """A question that was answered with an error was granted nothing, so nothing is given back."""
    one = Member(own_valkey.url, "p")
    try:
        link = one.link()
        caller.load(link, "v")
        own_valkey.fill_up()
        released: list[Any] = []
        one.line.release = released.append  # type: ignore[assignment]
        assert caller.ask(link, "missing") is None
        assert link.figures().errors == 1
        assert released == []
    finally:
        one.close()


def test_own_writes_are_read_after_an_outage(own_valkey: Server, caller: Caller) -> None:
    """What was invalidated while the server could not be reached is not found by who did it, nor later by others."""
    one, other = Member(own_valkey.url, "p", timeout_s=0.2), Member(own_valkey.url, "p", timeout_s=0.2)
    try:
        results = Results()
        link, theirs = one.link(), other.link(results=results)
        caller.load(link, "old")
        assert caller.ask(theirs).value == "old"
        results.held.add("k")
        own_valkey.pause()
        link.invalidate(["k"])
        assert caller.ask(link) is None
        own_valkey.go_on()
        until(lambda: results.dropped)
        until(lambda: one.line.state == "up")
        assert isinstance(caller.ask(link), HeldGrant)
    finally:
        one.close()
        other.close()


def test_a_loop_goes_on_while_the_server_is_stopped(own_valkey: Server) -> None:
    """Changes in a coroutine return at once, and a question waits without holding up the loop; then it is skipped."""
    one = Member(own_valkey.url, "p", timeout_s=0.5)
    try:
        link = one.link()
        assert asyncio.run(link.ask_awaited("k", ())) is not None
        own_valkey.pause()

        waited: list[Any] = []
        one.line.settled = lambda *args: waited.append(args)  # type: ignore[assignment]
        one.wire.run = note_in(waited, one.wire.run)  # type: ignore[method-assign]

        async def change_and_ask() -> Any:
            link.put("k", 1, 60.0, ["t"])
            link.invalidate(range(100))
            link.invalidate_tag("t")
            link.invalidate_all()
            turns = 0
            asking = asyncio.ensure_future(link.ask_awaited("k", ["t"]))
            while not asking.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 5
            return asking.result()

        assert asyncio.run(change_and_ask()) is None
        assert waited == []
        assert link.figures().skipped == 1
        del one.line.settled, one.wire.run  # type: ignore[method-assign]
        own_valkey.go_on()
        until(lambda: isinstance(link.ask("k", ["t"]), HeldGrant))
    finally:
        one.close()


# -- many at once


def test_one_link_serves_many_threads_and_loops(member: MakeMember) -> None:
    """Threads and several loops ask one link for the same keys at once; each gets the right values, none an error."""
    link = member().link()
    for number in range(20):
        link.put(number, {"n": number}, 60.0, ())
    wrong: list[Any] = []

    def check(number: int, found: Any) -> None:
        if not isinstance(found, Found) or found.value != {"n": number}:
            wrong.append((number, found))

    def in_thread() -> None:
        for number in range(20):
            check(number, link.ask(number, ()))

    async def one(number: int) -> None:
        check(number, await link.ask_awaited(number, ()))

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(20) for _ in range(3)))

    calls = [Running(in_thread) for _ in range(4)] + [Running(lambda: asyncio.run(all_of_them())) for _ in range(3)]
    for call in calls:
        call.result()
    assert wrong == []
    assert link.figures()._replace(seconds=0) == (4 * 20 + 3 * 60, 0, 0, 0, 0, 0, 0, 0)
