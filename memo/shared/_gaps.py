"""Whether messages were lost: pure rules, by which the line decides that all it knows is to be dropped.

Every message has the next number of one counter, which the server keeps with the counter's epoch.  So nothing was lost
as long as each message that is read is the next one, and the counter, when it is asked, is not beyond what was read.

A server that has lost the latest messages (a replica that was behind, a snapshot) gives their numbers to others.  So a
number alone tells nothing of one that lost as many as were said since: its message is to lie where it was read.
"""

from typing import NamedTuple

from memo.shared._messages import Said
from memo.shared._scripts import Where

__all__ = ("Place", "has_more", "is_after", "is_known", "lost", "missed", "place_of")

_NOWHERE = b"0-0"
"""The position of the end of a log that is not there: nothing in it was lost that was not read."""


class Place(NamedTuple):
    """How far the log was read."""

    epoch: bytes
    n: int
    """The number of the latest message."""
    at: bytes
    """The position in the log after which to go on."""
    sender: bytes = b""
    """Of the message there; empty: there is none."""


def place_of(there: Where | Said) -> Place:
    """The place of a message, or of the end of the log."""
    return Place(there.epoch, there.n, there.position, there.sender)


def is_known(known: Place, message: Said) -> bool:
    """Whether *message* was accounted for: it was on its way as a gap was found, and the place moved past it."""
    return message.epoch == known.epoch and message.n <= known.n and not is_after(message.position, known.at)


def missed(known: Place, message: Said) -> str | None:
    """Why messages are missing between *known* and *message*, which was read next; None if none is."""
    if message.epoch != known.epoch:
        return "the counter began anew, under another epoch"
    if message.n != known.n + 1:
        return f"message {message.n} came after {known.n}"
    return None


def lost(known: Place, there: Where) -> str | None:
    """Why what the server has cannot be what *known* was read from; None if it can.

    Args:
        known: How far the log was read.
        there: Where the log ends, asked afterwards.
    """
    if there.epoch != known.epoch:
        return "the counter began anew, under another epoch"
    if there.n < known.n:
        return f"the server's counter is at {there.n}, which was at {known.n}: it has an older copy of its data"
    if there.n == known.n and there.position not in (known.at, _NOWHERE):
        return f"message {known.n} is another one than was read: the server has an older copy of its data"
    if there.n > known.n and not is_after(there.position, known.at):
        return f"the counter is at {there.n}, and the log has nothing after message {known.n}"
    return None


def has_more(known: Place, there: Where) -> bool:
    """Whether messages follow *known* up to where the log ended when it was asked."""
    return there.epoch == known.epoch and there.n > known.n


def is_after(position: bytes, other: bytes) -> bool:
    """Whether, of two positions of one log, the first is the later one."""
    return _parts(position) > _parts(other)


def _parts(position: bytes) -> tuple[int, int]:
    milliseconds, _, number = position.partition(b"-")
    return int(milliseconds), int(number or 0)
