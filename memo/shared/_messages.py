"""Messages of the log: who changed what, in which order.  They hold names and digests, never keys or values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ("ALL", "DIGEST_BYTES", "DONE", "DROP", "NOTHING", "TAG", "Known", "Log", "Said", "joined", "said")

DROP = b"drop"
"""Values of a function, by their digests, are not what they were."""
ALL = b"all"
"""Nor is any of the function's."""
TAG = b"tag"
"""Nor is what bears the tag of this digest, of whichever function."""
DONE = b"done"
"""A load has ended, or was given up, for which somebody waits."""

DIGEST_BYTES = 16


class Known(NamedTuple):
    """The latest message that a process has read, or has itself said, which a server must have to be asked."""

    message: bytes
    """Its position and its sender, parted by a blank: two servers may give one position to several, but not of one
    sender.  Empty: there is none."""
    era: int
    """How often messages were lost before it."""
    is_told: bool
    """Whether this process has itself said something in that era."""


NOTHING = Known(b"", 0, is_told=False)


class Log(NamedTuple):
    """Where messages go, and whose they are."""

    key: bytes
    sequence: bytes
    size: int
    """How many are kept, about."""
    sender: bytes
    """An id of this process's tier."""
    known: Known = NOTHING
    """What the server must have, to do what it is asked for."""


class Said(NamedTuple):
    """A message, as it was read."""

    position: bytes
    """Its place in the log."""
    n: int
    epoch: bytes
    sender: bytes
    kind: bytes
    function: bytes
    """The ``function_label()``; empty for a tag."""
    digests: tuple[bytes, ...]


def joined(digests: Sequence[bytes]) -> bytes:
    """Digests as messages hold them."""
    return b"".join(digests).hex().encode()


def said(position: bytes, fields: Sequence[Any]) -> Said:
    """Read one message.

    Raises:
        ValueError: It is none of ours: a field is missing, or is no digest or number.
    """
    try:
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        raw = bytes.fromhex(found[b"d"].decode("ascii"))
        kind = found[b"k"]
        if len(raw) % DIGEST_BYTES or kind not in (DROP, ALL, TAG, DONE):
            raise ValueError(f"a {kind!r} of {len(raw)} bytes")
        digests = tuple(raw[start : start + DIGEST_BYTES] for start in range(0, len(raw), DIGEST_BYTES))
        return Said(position, int(found[b"n"]), found[b"e"], found[b"s"], kind, found[b"f"], digests)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"tier: the message at {position!r} cannot be read ({type(error).__name__}: {error}); "
            f"nothing but this package should write under the tier's prefix."
        ) from error
