"""What cannot be shared, what somebody else wrote, and servers that are away: nothing is raised, all is counted."""

import asyncio
from typing import Any

import pytest
from kit.links import Caller, MakeMember, Member, Results, note_in
from kit.servers import Room, Server
from kit.threads import until

from memo._cache import Found
from memo.shared._grants import HeldGrant

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
        until(lambda: valkey.leases() == [])
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
        until(lambda: valkey.leases() == [])
    assert writer.figures().rejected == 3
    good, reader = member().link(encode=str, decode=str), member().link(encode=str, decode=fail)
    for _ in range(2):
        caller.load(good, 7)
        answer = caller.ask(reader)
        assert isinstance(answer, HeldGrant)
        reader.release(answer)
        until(lambda: valkey.leases() == [])
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
    until(lambda: valkey.leases() == [])


def test_what_others_wrote_there_is_a_miss(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """Damaged, moved, eternal, unsigned values and ones of another type are missed, counted, and written over."""
    plain, signed = member().link(), member(secret=b"a secret of the tests")
    signed_link, other = signed.link(), signed.link("bot.g")
    caller.load(plain, "plain")
    caller.load(other, "other")
    names = valkey.keys()
    mine = next(name for name in names if "{bot.f/" in name)
    theirs = next(name for name in names if "{bot.g/" in name)
    generation = b",".join(valkey.command("GET", f"{valkey.prefix}:1:{name}") for name in ("all", "g:bot.f"))
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
        until(lambda: valkey.leases() == [])
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
    one = Member(own_valkey.url, "p", timeout_s=0.5).begin()
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
    one, other = [Member(own_valkey.url, "p", timeout_s=0.5).begin() for _ in range(2)]
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
    one = Member(own_valkey.url, "p", timeout_s=0.5).begin()
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
