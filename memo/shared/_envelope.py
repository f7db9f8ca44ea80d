"""What lies on the server for a key: the value, and around it what tells whether it may be believed.

An envelope is one line of plain text, which the server's scripts read, and bytes behind it:

    <generation>,<generation>,... <life> <window> m1\\n<mark><length of the key><key><value>

- The generations of the function and of the tags, as they were when the load began: equal to the present ones, or the
  value is void.  The script that stores puts them in front of what is made here.
- Its life on the server as it was made, and how much of that is beyond its ttl, both in milliseconds.  What is left
  of the life is the server's to know, so age and freshness are differences of it, and no clock of one machine is
  compared with another's.  It begins as the value was made: the server is told what is left of it as it is sent.
- The mark is a BLAKE2b of the place and of all that the envelope holds.  With a secret nobody else can make one, so
  nothing can be altered, made up, or moved to another key.  Without one it tells damage, and leaves out the
  generations, since a value that is put gets them on the server.  It does not hinder what lay there earlier from being
  put back while the generations are the same.
- The whole key as text, since two keys may have one digest, if somebody took pains.

What is read is untrusted: whatever is wrong with it, it is no envelope.
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from memo._base import real

__all__ = ("Life", "Opened", "Seal", "milliseconds")

_MAGIC = b"m1"
_MARK = 16  # bytes of the mark
_LENGTH = 4  # bytes of the length of the key
_DIGITS = 13  # of a number: three hundred years in milliseconds
_LONGEST_S = 10.0**9  # thirty years
_PERSON = b"memo tier value"


def milliseconds(s: float) -> int:
    """So many seconds as the server counts them: whole, and no more than two of them make a number that is read."""
    return round(min(s, _LONGEST_S) * 1000)


class Life(NamedTuple):
    """For how long the server is to keep a value: counted from when that was made, however late it is sent."""

    ms: int
    began: float

    @classmethod
    def of(cls, ms: int) -> "Life":
        """One that begins now."""
        return cls(ms, real.monotonic())

    def left_ms(self) -> int:
        """What is left of it, as it is sent; a moment, if nothing is."""
        return max(1, self.ms - round((real.monotonic() - self.began) * 1000))


class Opened(NamedTuple):
    """What an envelope holds."""

    value: bytes
    life_ms: int
    stale_ms: int


class Seal:
    """Makes envelopes and opens them.

    Args:
        secret: None; or what marks are made with; or several: the first makes marks, all are good for reading, so that
            a secret can be exchanged in one process after the other.

    Raises:
        TypeError: *secret* is none of these.
        ValueError: A secret is empty, or there is none in the sequence.
    """

    __slots__ = ("_keys",)

    def __init__(self, secret: bytes | Sequence[bytes] | None = None) -> None:
        self._keys = _checked_keys(secret)

    @property
    def is_signed(self) -> bool:
        """Whether a secret is needed to make what this opens."""
        return self._keys != (b"",)

    def closed(self, place: bytes, generations: bytes, life_ms: int, stale_ms: int, key: bytes, value: bytes) -> bytes:
        """What is to be stored of a value, behind its generations.

        Args:
            place: The name under which it will lie.
            generations: As the server told them; of no account if ``is_signed`` is false.
            life_ms: How long the server is to keep it.
            stale_ms: How much of that is beyond its ttl.
            key: The whole key, as text.
            value: Likewise.
        """
        line = b" %d %d %b\n" % (life_ms, stale_ms, _MAGIC)
        rest = len(key).to_bytes(_LENGTH, "big") + key + value
        return line + _mark(self._keys[0], place, generations if self.is_signed else b"", line, rest) + rest

    def opened(self, place: bytes, key: bytes, data: bytes) -> Opened | None:
        """What *data*, found under the name *place* and asked for by *key*, holds; None: it is none of ours.

        Never raises.
        """
        begin, end = data.find(b" "), data.find(b"\n") + 1
        start = end + _MARK + _LENGTH
        if not 0 <= begin < end or len(data) < start:
            return None
        line, mark, rest = data[begin:end], data[end : end + _MARK], data[end + _MARK :]
        fields = line.split(b" ")
        if len(fields) != 4 or fields[3] != _MAGIC + b"\n":
            return None
        life_ms, stale_ms = _number(fields[1]), _number(fields[2])
        if life_ms is None or stale_ms is None or stale_ms > life_ms:
            return None
        generations = data[:begin] if self.is_signed else b""
        if not any(hmac.compare_digest(_mark(one, place, generations, line, rest), mark) for one in self._keys):
            return None
        length = int.from_bytes(rest[:_LENGTH], "big")
        if length != len(key) or not rest.startswith(key, _LENGTH):
            return None
        return Opened(rest[_LENGTH + length :], life_ms, stale_ms)


def _mark(secret: bytes, place: bytes, generations: bytes, line: bytes, rest: bytes) -> bytes:
    """Of parts of which each tells where it ends: by its length, by the blank and the end of the line behind it."""
    mark = blake2b(b"%d %b%b%b" % (len(place), place, generations, line), digest_size=_MARK, key=secret, person=_PERSON)
    mark.update(rest)
    return mark.digest()


def _number(text: bytes) -> int | None:
    """What a field says that is a number and no longer than one of ours."""
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def _checked_keys(secret: bytes | Sequence[bytes] | None) -> tuple[bytes, ...]:
    """Keys for BLAKE2b, which takes up to 64 bytes; that of no secret is empty."""
    if secret is None:
        return (b"",)
    secrets = (secret,) if isinstance(secret, bytes | bytearray) else secret
    if isinstance(secrets, str) or not isinstance(secrets, Sequence) or not all(type(one) is bytes for one in secrets):
        kind = type(secret).__name__
        raise TypeError(
            f"Tier: secret= is neither bytes nor a sequence of bytes but of type {kind!r}; give for example"
            " secret=os.environb[b'TIER_SECRET'], or (new, old) while it is exchanged."
        )
    if not secrets or not all(secrets):
        raise ValueError("Tier: secret= is or contains nothing; give bytes that nobody can guess, at least 16 of them.")
    return tuple(blake2b(one, person=b"memo tier secret").digest() for one in secrets)
