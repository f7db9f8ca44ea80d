"""The connection of the line, on which a server answers what it likes."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memo.shared._line_client import LineClient, Portion, WakeUp
from memo.shared._scripts import Log, bump_function, bump_tag, drop, release, renew, where
from memo.shared._unreachable import Reason, Unreachable, reason_of


class Speaker:
    """A connection of a library whose server always answers *reply*."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply
        self._peer, self._sock = socket.socketpair()
        self._peer.send(b"!")  # there is an answer
        self.is_open = True

    def allow(self, seconds: float) -> None:
        pass

    def send_command(self, *words: Any) -> None:
        assert self.is_open

    def read_response(self) -> Any:
        return self._reply

    def disconnect(self) -> None:
        self.is_open = False
        self._peer.close()
        self._sock.close()


@contextlib.contextmanager
def client_of(speaker: Speaker) -> Iterator[LineClient]:
    bell = WakeUp()
    client = LineClient(speaker, reason_of, bell, 5.0, Portion(5.0))
    try:
        yield client
    finally:
        client.close()
        bell.close()


LOG = Log(b"p:1:log", b"p:1:seq", 100, b"me")
A = b"a" * 16
ASKS: dict[str, Callable[[LineClient], Any]] = {
    "read": lambda client: client.read(b"p:1:log", b"0-0", block_s=1.0, wait_s=1.0),
    "where": lambda client: client.run(where(LOG)),
    "drop": lambda client: client.run(drop([A], [A], LOG, function=b"f", digests=[A])),
    "bump_tag": lambda client: client.run(bump_tag(A, LOG, tag=A)),
    "bump_function": lambda client: client.run(bump_function(A, LOG, function=b"f")),
    "renew": lambda client: client.run(renew([A], [A], 1000)),
}


@pytest.mark.parametrize("reply", [7, [7], [None, None], [[b"x"]], b"", b"OK", {b"x": 7}], ids=repr)
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_an_answer_that_makes_no_sense_ends_the_connection(ask: Callable[[LineClient], Any], reply: Any) -> None:
    """What cannot be the answer is told as garbled, and the connection is closed; what may be one leaves it open."""
    speaker = Speaker(reply)
    with client_of(speaker) as client:
        try:
            ask(client)
        except Unreachable as failure:
            assert failure.reason is Reason.GARBLED
            assert not speaker.is_open
        else:
            assert speaker.is_open


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_every_question_knows_some_answer_that_makes_no_sense(ask: Callable[[LineClient], Any]) -> None:
    """A question that takes a list takes no number, and one that takes a number takes no list."""
    refused = []
    for reply in (7, [None, None]):
        with client_of(Speaker(reply)) as client, contextlib.suppress(Unreachable):
            ask(client)
            continue
        refused.append(reply)
    assert refused


def test_what_is_no_exception_passes_as_it_is() -> None:
    """A signal that strikes as an answer is taken apart is raised as itself, and closes the connection."""

    class Struck(list[Any]):
        def __iter__(self) -> Any:
            raise KeyboardInterrupt

    speaker = Speaker(Struck([1]))
    with client_of(speaker) as client:
        with pytest.raises(KeyboardInterrupt):
            ASKS["read"](client)
        assert not speaker.is_open


def test_a_lease_that_is_given_back_tells_whether_it_was_there() -> None:
    """Any answer to that is a yes or a no."""
    for reply, was_there in ((0, False), (1, True), (None, False)):
        with client_of(Speaker(reply)) as client:
            assert client.run(release(A, LOG, token=A, function=b"f", digest=A)) is was_there


def test_a_portion_is_what_comes_in_time() -> None:
    """A quarter after a failure, half where it was close, twice as much where it was quick; one to 500."""
    portion = Portion(1.0)
    asked = [portion.messages]
    for _ in range(5):
        portion.failed()
        asked.append(portion.messages)
    for seconds in (0.1, 0.1, 0.3, 0.6, *[0.1] * 9):
        portion.came(seconds)
        asked.append(portion.messages)
    assert asked == [500, 125, 31, 7, 1, 1, 2, 4, 4, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500]
