"""Servers, and proxies in front of them, that answer with errors which nobody knows here."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.proxies import Proxy, proxy
from kit.servers import PROGRAMS, Room, Server, program
from kit.threads import until

from memo import bounded
from memo.shared import Tier, _lua
from memo.shared._breaker import Breaker
from memo.shared._unreachable import Reason, Unreachable

pytest.importorskip("redis")

UNKNOWN = b"-ERR no upstream for 'sesame'\r\n"
DOWN_S = 20.0
"""Within which a tier finds that all is refused, in three attempts, half a second apart; far more than it takes."""


class Process:
    """A tier as one process has it, and one function of it, plain or of coroutines."""

    def __init__(self, url: str, prefix: str, *, awaited: bool) -> None:
        self.tier = Tier(url, prefix=prefix, timeout="2s")
        self.loads: list[Any] = []

        def load(key: Any) -> Any:
            self.loads.append(key)
            return f"{key}{len(self.loads)}"

        async def load_awaited(key: Any) -> Any:
            return load(key)

        made: Any = bounded(max=10, ttl="1h", shared=self.tier, name="f", tags=lambda key: ["t"])
        self.f: Any = made(load_awaited if awaited else load)

    def do(self, call: Callable[[], Any]) -> Any:
        """What *call* returns, or comes to; in a loop if the function is of coroutines."""

        async def main() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return asyncio.run(main()) if inspect.iscoroutinefunction(self.f) else call()

    def __call__(self, key: Any) -> Any:
        return self.do(lambda: self.f(key))

    def invalidate(self, key: Any) -> Any:
        return self.do(lambda: self.f.cache.invalidate(key))

    def is_down(self) -> bool:
        return self.tier.state == "down"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def awaited(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def between(valkey: Room) -> Iterator[Proxy]:
    """What stands between the server and those that do not go there at once."""
    with proxy(valkey.server.port) as made:
        yield made


@pytest.fixture
def process(valkey: Room, awaited: bool) -> Iterator[Callable[..., Process]]:
    """Makes processes."""
    made: list[Process] = []

    def make(url: str = valkey.url, prefix: str = valkey.prefix) -> Process:
        made.append(Process(url, prefix, awaited=awaited))
        return made[-1]

    yield make
    for one in made:
        one.tier.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- all of it


def test_who_answers_everything_with_an_error_is_down(
    process: Callable[..., Process], between: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls load, changes are kept; what is logged has the kind of error alone; it is used again once it answers."""
    one, other = process(between.url()), process()
    assert [one("a"), other("a")] == ["a1", "a1"]
    between.answer_all(UNKNOWN)
    assert one.invalidate("a")
    assert one("a") == "a2"
    until(lambda: one.is_down() and "kept in this process alone" in caplog.text, DOWN_S)  # which is said after
    assert one.tier.stats().pending == 1
    skipped = one.f.cache.stats().l2_skipped
    assert one("b") == "b3"
    assert one.f.cache.stats().l2_skipped > skipped
    said = warnings(caplog)
    assert "answers with an error (ERR); results are kept in this process alone" in said[-1]
    assert len(said) <= 2
    assert not any("sesame" in text or "upstream" in text for text in said)
    between.answer_all(b"")
    until(lambda: one.tier.state == "up", DOWN_S)
    one.tier.flush("20s")
    other.tier.catch_up("20s")
    assert other("a") == "a1"
    assert other.loads == ["a"]
    assert one.tier.stats().opened == 1


def test_who_never_answered_anything_else_is_down(process: Callable[..., Process], between: Proxy) -> None:
    """A proxy without a server is found out by the line as it begins; calls load at once."""
    between.answer_all(UNKNOWN)
    one = process(between.url())
    assert one("a") == "a1"
    until(one.is_down, DOWN_S)
    assert one("b") == "b2"
    between.answer_all(b"")
    until(lambda: one.tier.state == "up", DOWN_S)


def refusing(*scripts: _lua.Script) -> Callable[[Any], bytes]:
    names = {script.name for script in scripts}
    return lambda words: UNKNOWN if len(words) > 1 and words[1] in names else b""


def test_changes_that_cannot_be_delivered(process: Callable[..., Process], between: Proxy) -> None:
    """They make the tier down, however many questions are answered meanwhile, until they can be delivered."""
    one, other = process(between.url()), process()
    assert [one("a"), other("a")] == ["a1", "a1"]
    between.refuse = refusing(_lua.DROP)
    assert one.invalidate("a")
    keys = iter(range(1_000_000))

    def is_down() -> bool:
        one(next(keys))
        return one.is_down()

    until(is_down, DOWN_S)
    refused = between.refused
    until(lambda: between.refused > refused, DOWN_S)
    assert one.is_down()
    between.answer_all(b"")
    one.tier.flush("20s")
    other.tier.catch_up("20s")
    assert other("a") == "a1"
    assert other.loads == ["a"]


@pytest.mark.parametrize("duty", [_lua.RENEW, _lua.RELEASE], ids=["renew", "release"])
def test_leases_that_cannot_be_looked_after(between: Proxy, duty: _lua.Script) -> None:
    """They make the tier down as well, and it stays so until they can be."""
    between.refuse = refusing(duty)
    tier = Tier(between.url(), prefix="leases", lease="3s", timeout="1s")

    @bounded(max=10, ttl="1h", shared=tier, name="f")
    def f(key: str) -> str:
        if duty is _lua.RELEASE:
            raise LookupError(key)
        until(lambda: tier.state == "down", DOWN_S)
        refused = between.refused
        until(lambda: between.refused > refused, DOWN_S)
        assert tier.state == "down"
        return key

    with tier:
        if duty is _lua.RENEW:
            assert f("a") == "a"
        else:
            with pytest.raises(LookupError):
                f("a")
            until(lambda: tier.state == "down", DOWN_S)
        between.answer_all(b"")
        until(lambda: tier.state == "up", DOWN_S)
        assert tier.stats().opened == 1


# -- some of it


def test_errors_that_only_calls_get(
    process: Callable[..., Process], between: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """They load, each time, are counted, and logged once; the tier stays up, and changes are heard."""
    one, other = process(between.url()), process()
    assert one("z") == "z1"
    between.refuse = refusing(_lua.ASK)
    assert [one(number) for number in range(5)] == [f"{number}{number + 2}" for number in range(5)]
    assert one.f.cache.stats().l2_errors == 5
    (said,) = warnings(caplog)
    assert "answers with an error (ERR); what it was asked for is loaded in this process" in said
    assert "sesame" not in said
    other.invalidate("z")
    other.tier.flush("20s")
    assert other("z") == "z1"
    one.tier.catch_up("20s")
    assert one.tier.stats().opened == 0


def test_keys_of_a_wrong_type(process: Callable[..., Process], valkey: Room) -> None:
    """Whatever lies where something of the tier is to lie: calls are answered, and the tier stays up."""
    one, other = process(), process()
    for _ in range(3):
        assert one("a") == other("a")
        names = valkey.keys()
        for name in {*names, *(f"{name}:l" for name in names if name.endswith("}"))}:
            valkey.command("DEL", name)
            valkey.command(*(("SADD", name, "x") if name.endswith(("log", "seq")) else ("HSET", name, "x", "y")))
            for each in (one, other):
                each.invalidate("a")
                each("a")
        one.tier.flush("20s")
        one.do(lambda: one.f.cache.clear())
        one.tier.flush("20s")
        other.tier.catch_up("20s")
    assert [each.tier.stats().opened for each in (one, other)] == [0, 0]
    assert [each.f.cache.stats().l2_errors for each in (one, other)] == [0, 0]


# -- what is known after all


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize(
    ("settings", "rules", "expected"),
    [
        ({}, ["default -xadd"], "denies access"),
        ({"rename-command": 'XADD ""'}, [], "is too old, or lacks a command"),
    ],
    ids=["denied", "renamed"],
)
def test_what_a_script_may_not_do_is_known(
    kind: str,
    settings: dict[str, str],
    rules: list[str],
    expected: str,
    awaited: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A command that the user is denied, or that the server lacks, within a script: down at once, with one error."""
    path = program(kind)
    if path is None:
        pytest.skip(f"no {kind} here")
    with Server(path, settings) as server:
        one = Process(server.url_of("redis"), "p", awaited=awaited)
        with one.tier:
            assert one("a") == "a1"
            server.users(*rules)
            caplog.clear()
            assert one.invalidate("a")
            until(lambda: one.is_down() and warnings(caplog), DOWN_S)
            assert one("a") == "a2"
            (said,) = warnings(caplog)
            assert expected in said


# -- the rule


def breaker() -> Breaker:
    return Breaker(lambda: "valkey://u:***@h/0")


def unknown() -> Unreachable:
    return Unreachable(Reason.OTHERS, "EXECABORT")


def test_only_those_of_the_thread_count() -> None:
    """Three of them in a row open it, unless all that the thread does has succeeded in between."""
    one = breaker()
    for _ in range(10):
        one.failed(unknown(), one.era)
    one.failed(unknown(), one.era, by_thread=True)
    one.failed(unknown(), one.era, by_thread=True)
    one.ok(one.era, by_thread=True)
    one.failed(unknown(), one.era, by_thread=True)
    one.failed(unknown(), one.era, by_thread=True)
    assert not one.is_open
    one.failed(unknown(), one.era, by_thread=True)
    assert one.reason is Reason.OTHERS


def test_what_calls_are_answered_says_nothing_about_those() -> None:
    """A call's success begins the count anew of failures that calls have, too, and of no others."""
    one = breaker()
    one.failed(unknown(), one.era, by_thread=True)
    for _ in range(2):
        one.ok(one.era, has_room=True)
        one.failed(unknown(), one.era, by_thread=True)
    assert one.is_open
    one.close()
    for _ in range(2):
        one.failed(Unreachable(Reason.RESET), one.era)
    one.ok(one.era)
    one.failed(Unreachable(Reason.RESET), one.era)
    assert not one.is_open


def test_what_kind_of_error_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute while it is closed, and as it opens."""
    one = breaker()
    for by_thread in (False, False, True, True, True, False):
        one.failed(unknown(), one.era, by_thread=by_thread)
    first, second = warnings(caplog)
    assert first.startswith("tier: valkey://u:***@h/0 answers with an error (EXECABORT); what it was asked for")
    assert second.startswith("tier: valkey://u:***@h/0 answers with an error (EXECABORT); results are kept")


def test_an_unknown_error_may_follow_on_one_that_had_to_be_mended() -> None:
    """Access is granted, and then the server answers with an unknown error: it is tried often again."""
    one = breaker()
    one.failed(Unreachable(Reason.DENIED), one.era)
    one.probe_failed(unknown())
    assert one.reason is Reason.OTHERS
    assert one.probe_s[0] < 1
