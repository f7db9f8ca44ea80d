"""The scripts against a model of them: any sequence of commands by three holders of tokens, on a real server."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kit.servers import PROGRAMS, Server, program
from kit.tiers import Key

from memo.shared._scripts import Busy, Command, Granted, Value
from memo.shared._wire import Wire

TOKENS = (b"a" * 16, b"b" * 16, b"c" * 16)
tokens = st.sampled_from(TOKENS)
STALE_MS = 30_000


class Kept(NamedTuple):
    """A value on the server, as the model knows it."""

    under: tuple[int, int]
    text: bytes
    is_stale: bool = False


class Lease(NamedTuple):
    token: bytes
    under: tuple[int, int]
    is_waited_for: bool = False


class Scripts(RuleBasedStateMachine):
    """One key, whose function and tag have generations: in the model a count, on the server an id."""

    def __init__(self, run: Callable[[Command[Any]], Any], prefix: str) -> None:
        super().__init__()
        self.key = Key(run, prefix)
        self.run = run
        self.value: Kept | None = None
        self.lease: Lease | None = None
        self.now = (0, 0)  # generations
        self.granted: dict[bytes, tuple[bytes, tuple[int, int]]] = {}  # to each token: as the server and the model say
        self.said: list[bytes] = []
        self.lost = 0  # messages that stand under an earlier epoch
        self.texts = itertools.count()

    # -- what processes do

    @rule(token=tokens, newer=st.booleans(), tell=st.booleans())
    def ask(self, token: bytes, newer: bool, tell: bool) -> None:
        reply = self.key.ask(token, newer=newer, tell_done=tell)
        value, lease = self._fresh_or_stale(), self.lease
        if value is not None and not value.is_stale and not newer:
            assert isinstance(reply, Value)
            assert reply.data.endswith(b"\n" + value.text)
            return
        is_held = lease is not None and lease.under == self.now
        if is_held and lease.token != token and not newer:
            assert isinstance(reply, Busy)
            self.lease = lease._replace(is_waited_for=lease.is_waited_for or tell)
            return
        assert isinstance(reply, Granted)
        assert (reply.stale is None) == (value is None)
        assert value is None or reply.stale.endswith(b"\n" + value.text)
        self.lease = Lease(token, self.now, lease is not None and lease.is_waited_for)
        self.granted[token] = (reply.generations, self.now)

    @rule()
    def look(self) -> None:
        """A look changes nothing, whatever there is."""
        reply = self.key.ask(b"")
        value = self.value if self.value is not None and self.value.under == self.now else None
        assert isinstance(reply, Value) == (value is not None and not value.is_stale)

    @rule(token=tokens, grant_of=tokens, tell=st.booleans())
    def store(self, token: bytes, grant_of: bytes, tell: bool) -> None:
        """Under its own grant, or wrongly under what was granted to another."""
        if grant_of not in self.granted:
            return
        generations, under = self.granted[grant_of]
        text = b"%d" % next(self.texts)
        stored = self.key.store(token, generations, text, stale_ms=STALE_MS, tell=tell)
        lease = self.lease
        if lease is None or lease.token != token:
            assert not stored
            if lease is not None:
                self.value = None
            return
        assert stored == (under == self.now)
        self.lease = None
        if stored:
            self.value = Kept(self.now, text)
        if stored and tell:
            self.said.append(b"drop")
        elif lease.is_waited_for:
            self.said.append(b"done")

    @rule()
    def put(self) -> None:
        text = b"%d" % next(self.texts)
        assert self.key.put(text, stale_ms=STALE_MS)
        self.value, self.lease = Kept(self.now, text), None
        self.said.append(b"drop")

    @rule()
    def drop(self) -> None:
        self._is_next(self.key.drop(), b"drop")
        self.value = self.lease = None

    @rule()
    def clear(self) -> None:
        self._is_next(self.key.clear(), b"all")
        self.now = (self.now[0] + 1, self.now[1])

    @rule()
    def clear_tag(self) -> None:
        self._is_next(self.key.clear_tag(), b"tag")
        self.now = (self.now[0], self.now[1] + 1)

    @rule(token=tokens)
    def release(self, token: bytes) -> None:
        is_held = self.lease is not None and self.lease.token == token
        assert self.key.release(token) == is_held
        if is_held:
            if self.lease.is_waited_for:
                self.said.append(b"done")
            self.lease = None

    @rule(token=tokens)
    def renew(self, token: bytes) -> None:
        assert self.key.renew(token, b"f" * 16) == (self.lease is not None and self.lease.token == token, False)

    # -- what befalls the server

    @rule(which=st.sampled_from(["value", "lease", "function", "tag", "sequence", "log"]), wrong_type=st.booleans())
    def lose(self, which: str, wrong_type: bool) -> None:
        """A key expires, is evicted, or becomes something else, which nobody of us wrote."""
        key = self.key
        name = {
            "value": key.value, "lease": key.lease, "function": key.generations[0], "tag": key.generations[1],
            "sequence": key.log.sequence, "log": key.log.key,
        }[which]  # fmt: skip
        self._do(b"DEL", name)
        if wrong_type:
            self._do(b"SADD", name, b"x")
        if which == "value":
            self.value = None
        elif which == "lease":
            self.lease = None
        elif which == "function":
            self.now = (self.now[0] + 1, self.now[1])
        elif which == "tag":
            self.now = (self.now[0], self.now[1] + 1)
        elif which == "sequence":
            self.lost, self.said = 0, []
            self._do(b"DEL", key.log.key)
        elif which == "log":
            self.lost, self.said = self.lost + len(self.said), []

    @rule(text=st.sampled_from([b"", b"x", b"1,2 3 4 m1\n", b",,, 1 1 m1\n", b"a" * 11_000]), ends=st.booleans())
    def forge(self, text: bytes, ends: bool) -> None:
        """Somebody writes what is no value of ours, or is too large to be read."""
        self._do(b"SET", self.key.value, text, *((b"PX", 60_000) if ends else ()))
        self.value = None

    @rule()
    def grow_stale(self) -> None:
        if self._do(b"PEXPIRE", self.key.value, STALE_MS - 1) and self.value is not None:
            self.value = self.value._replace(is_stale=True)

    @rule()
    def forget_scripts(self) -> None:
        self._do(b"SCRIPT", b"FLUSH")

    @invariant()
    def every_message_has_the_next_number(self) -> None:
        if self._do(b"TYPE", self.key.log.key) == b"set":
            assert self.said == []
            return
        messages = self.key.messages()
        assert [one.kind for one in messages] == self.said
        assert [one.n for one in messages] == list(range(self.lost + 1, self.lost + len(self.said) + 1))
        assert len({one.epoch for one in messages}) <= 1

    def _do(self, *words: bytes | int) -> Any:
        return self.run(Command(words, lambda reply: reply))

    def _fresh_or_stale(self) -> Kept | None:
        """What is there and of the present generations; an ask deletes what is not."""
        if self.value is not None and self.value.under != self.now:
            self.value = None
        return self.value

    def _is_next(self, position: bytes, kind: bytes) -> None:
        self.said.append(kind)
        latest = self.key.messages()[-1]
        assert (latest.position, latest.n) == (position, self.lost + len(self.said))


@pytest.fixture(params=PROGRAMS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Command[Any]], Any]]:
    path = program(request.param)
    if path is None:
        pytest.skip(f"no {request.param} here")
    with Server(path) as server:
        wire = Wire(server.url_of("redis"), timeout_s=20, connections=1)
        yield wire.run
        wire.close()


def test_the_scripts_are_what_their_model_is(run: Callable[[Command[Any]], Any]) -> None:
    """One lease at most, no store after what voids it, no value of another generation, and each message in its turn."""
    prefixes = itertools.count()
    run_state_machine_as_test(
        lambda: Scripts(run, f"p{next(prefixes)}"),
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
