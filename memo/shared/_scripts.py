"""What is asked of the server: commands made of names, and what their replies mean.

A command is data.  ``Wire.run()`` and ``Wire.run_awaited()`` send it, and hand its reply to ``parse``.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from memo.shared._lua import ASK, BUMP, DROP, RELEASE, RENEW, STORE, WHERE, Script
from memo.shared._messages import ALL, NOTHING, TAG, Log, joined
from memo.shared._unreachable import Reason, Skipped

__all__ = (
    "MOST_DROPPED", "Busy", "Command", "Granted", "Stored", "Value", "Where", "ask", "bump_function", "bump_tag",
    "drop", "new_id", "packed", "ping", "release", "renew", "store", "where",
)  # fmt: skip

T = TypeVar("T", covariant=True)

MOST_DROPPED = 100
"""How many keys one command drops at most, so that the server is not kept from others."""
_LONGEST_MS = 10**13  # three hundred years; what is longer may overflow in the server


class Command(NamedTuple, Generic[T]):
    """One thing to ask of the server."""

    words: tuple[bytes | int, ...]
    """As they are sent."""
    parse: Callable[[Any], T]
    """Makes of a reply what it means; may raise anything of a reply that makes no sense."""
    script: Script | None = None
    """What the server is to be told in case that it does not know ``EVALSHA`` of it."""
    needs_room: bool = False
    """Whether a server that is full, or takes no changes, refuses it: the success of another one tells nothing."""

    def in_full(self) -> tuple[bytes | int, ...]:
        """The words that tell the server its script, too."""
        return self.words if self.script is None else (b"EVAL", self.script.text, *self.words[2:])


def packed(words: Sequence[bytes | int]) -> bytes:
    """Words as bytes of the protocol, made in one go: the libraries look at each word for what it is."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        text = word if isinstance(word, bytes) else b"%d" % word
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


class Value(NamedTuple):
    """A value that is fresh, and of the present generations."""

    data: bytes
    """As it was stored, the generations in front of it."""
    left_ms: int
    """How long the server keeps it."""


class Granted(NamedTuple):
    """The lease of a key, and with it the leave to store its value."""

    generations: bytes
    """What is to be given back with the value."""
    stale: bytes | None
    """A value that has outlived its ``ttl``, or that was not asked for, as in ``Value.data``."""
    left_ms: int
    """How long the server keeps that; negative without."""
    too_large: bool
    """There is a value, which is larger than what may be read."""


class Busy(NamedTuple):
    """Somebody else has the lease of the key."""

    left_ms: int
    """For how long, unless it is renewed."""


class Stored(NamedTuple):
    """What came of a storing."""

    is_stored: bool
    """False: it was refused."""
    position: bytes = b""
    """Of the message that was said of it, as far as it is a change."""


class Where(NamedTuple):
    """Where the log ends."""

    epoch: bytes
    n: int
    position: bytes
    sender: bytes = b""
    """Of the message there."""
    is_lost: bool = False
    """Whether it does not have the message that was known; then nothing is handed out that was stored before."""


def new_id() -> bytes:
    """An id that nobody has had: 16 hex digits."""
    return os.urandom(8).hex().encode()


def _evaluate(
    script: Script,
    keys: Sequence[bytes],
    args: Sequence[bytes | int],
    parse: Callable[[Any], T],
    *,
    needs_room: bool = False,
) -> Command[T]:
    return Command((b"EVALSHA", script.name, len(keys), *keys, *args), parse, script, needs_room)


def ask(
    value: bytes,
    lease: bytes,
    generations: Sequence[bytes],
    log: Log,
    *,
    token: bytes,
    lease_ms: int,
    max_value: int,
    newer: bool = False,
    tell_done: bool = True,
    unreadable: bytes = b"",
) -> Command[Value | Granted | Busy]:
    """Look for a value, and take the lease of its key where there is none.

    Args:
        value: The name of the value.
        lease: That of its lease.
        generations: Those of the generations of its function and of its tags, in an order that is always the same.
        log: What is known of that.
        token: Of the lease, if it is granted; a ``new_id()``.  Empty: look only, and change nothing; what is not there
            is answered as ``Granted``, of no generations.
        lease_ms: How long that lasts unless it is renewed.
        max_value: A value of more bytes is not read.
        newer: Take the lease in any case, from whoever has it.
        tell_done: Have a message said once another's lease ends.
        unreadable: The SHA-1, in hex digits, of a value that could not be read: if it is there still, it is deleted.
    """
    # not the token, which is the same when somebody asks again: an id that was there once would bring back what was
    # stored under it
    fresh = new_id() if token else b""
    args = (
        token, lease_ms, max_value, b"1" if newer else b"", b"1" if tell_done else b"", unreadable, fresh,
        log.known.message,
    )  # fmt: skip
    return _evaluate(ASK, (value, lease, log.key, log.sequence, *generations), args, _asked, needs_room=True)


def _asked(reply: Any) -> Value | Granted | Busy:
    kind, *rest = reply
    if kind == b"value":
        data, left_ms = rest
        return Value(data, left_ms)
    if kind == b"granted":
        under, stale, left_ms, too_large = rest
        return Granted(under, stale, left_ms, too_large == 1)
    _check_had(kind)
    (left_ms,) = rest
    return Busy(left_ms)


def store(
    value: bytes,
    lease: bytes,
    generations: Sequence[bytes],
    log: Log,
    *,
    token: bytes,
    under: bytes,
    data: bytes,
    life_ms: int,
    function: bytes,
    digest: bytes,
    tell_drop: bool = False,
) -> Command[Stored]:
    """Store what was loaded under a lease, which ends; or, with an empty *token*, whatever somebody put.

    It is refused where the lease is not there any more, or a generation has changed.  A value that was put is never
    refused; leases of its key end, and others are told to drop theirs.

    Args:
        value: The name of the value.
        lease: That of its lease.
        generations: As they were in ``ask()``.
        log: Where those who wait are told.
        token: Of the lease; empty: none is needed.
        under: ``Granted.generations``; nothing without a token: the present ones.
        data: The value without its generations: a space, the two numbers that ``_envelope`` writes, and the rest.
        life_ms: How long the server keeps it.
        function: The ``function_label()``, for messages.
        digest: Of the key, for messages.
        tell_drop: Have others drop what they have of the key.
    """
    said = b"1" if tell_drop or not token else b""
    args = (
        token, under, data, min(max(life_ms, 1), _LONGEST_MS), log.size, log.sender, new_id(), function,
        joined((digest,)), said, log.known.message,
    )  # fmt: skip
    return _evaluate(STORE, (value, lease, log.key, log.sequence, *generations), args, _stored, needs_room=True)


def _stored(reply: Any) -> Stored:
    return Stored(bool(reply)) if type(reply) is int else Stored(is_stored=True, position=_position(reply))


def _position(reply: Any) -> bytes:
    _check_had(reply)
    milliseconds, _, number = reply.partition(b"-")
    return b"%d-%d" % (int(milliseconds), int(number))


def _check_had(reply: Any) -> None:
    """Raise ``Skipped`` if the server did nothing, since it does not have what is known."""
    if reply == b"lost":
        raise Skipped(Reason.LOST)


def release(lease: bytes, log: Log, *, token: bytes, function: bytes, digest: bytes) -> Command[bool]:
    """Give a lease back; whether it was there still.  Who waits is told."""
    args = (log.size, log.sender, new_id(), function, joined((digest,)), token)
    return _evaluate(RELEASE, (log.key, log.sequence, lease), args, bool)


def renew(leases: Sequence[bytes], tokens: Sequence[bytes], lease_ms: int) -> Command[tuple[bool, ...]]:
    """Prolong leases to so long from now; of each, whether it was there still."""
    return _evaluate(RENEW, leases, (lease_ms, *tokens), lambda reply: tuple(map(bool, reply)))


def drop(
    values: Sequence[bytes], leases: Sequence[bytes], log: Log, *, function: bytes, digests: Sequence[bytes]
) -> Command[bytes]:
    """Delete up to ``MOST_DROPPED`` values and their leases, and have others drop theirs; where the message lies."""
    args = (log.size, log.sender, new_id(), function, joined(digests), log.known.message)
    return _evaluate(DROP, (log.key, log.sequence, *values, *leases), args, _position)


def bump_function(generation: bytes, log: Log, *, function: bytes) -> Command[bytes]:
    """Make all values of a function void, and have others drop theirs; where the message lies."""
    args = (log.size, log.sender, new_id(), function, b"", ALL, log.known.message)
    return _evaluate(BUMP, (log.key, log.sequence, generation), args, _position)


def bump_tag(generation: bytes, log: Log, *, tag: bytes) -> Command[bytes]:
    """Make all values void that bear the tag of this digest, and have others drop theirs; where the message lies."""
    args = (log.size, log.sender, new_id(), b"", joined((tag,)), TAG, log.known.message)
    return _evaluate(BUMP, (log.key, log.sequence, generation), args, _position)


def where(log: Log, everything: bytes = b"", *, prove: bool = False) -> Command[Where]:
    """Where the log ends.

    Args:
        log: The log.
        everything: The name of the generation of all values, which are void where the log does not have what is known;
            nothing: whether it has is not looked at.
        prove: Have it be an error where the server takes no changes.
    """
    known = log.known if everything else NOTHING
    told = b"1" if known.is_told else b""
    args = (new_id(), b"1" if prove else b"", known.message, told, log.size, log.sender)
    return _evaluate(WHERE, (log.key, log.sequence, everything or log.sequence), args, _where)


def _where(reply: Any) -> Where:
    epoch, n, position, sender, is_lost = reply
    return Where(epoch, int(n), position, sender, is_lost == 1)


def ping() -> Command[None]:
    """Whether anybody is there."""
    return Command((b"PING",), lambda _: None)
