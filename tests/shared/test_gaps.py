"""Whether messages were lost: rules that need no server."""

import pytest

from memo.shared._gaps import Place, has_more, is_known, lost, missed, place_of
from memo.shared._messages import DROP, Said
from memo.shared._scripts import Where

KNOWN = Place(b"e", 7, b"1000-9")


def said(n: int, epoch: bytes = b"e", position: bytes = b"1000-10") -> Said:
    return Said(position, n, epoch, b"other", DROP, b"f", ())


def test_next_message_is_no_gap() -> None:
    """The next number of the same epoch follows."""
    assert missed(KNOWN, said(8)) is None
    assert place_of(said(8)) == Place(b"e", 8, b"1000-10", b"other")


@pytest.mark.parametrize("message", [said(9), said(7), said(1), said(8, b"other")])
def test_other_messages_are_gaps(message: Said) -> None:
    """A number that was left out or comes again, and another epoch, are gaps."""
    assert missed(KNOWN, message)


@pytest.mark.parametrize("message", [said(7, position=b"1000-9"), said(6, position=b"999-10")])
def test_messages_that_were_on_their_way_are_known(message: Said) -> None:
    """What the log had up to the place, by number and position, is no news, and was dropped by the gap before."""
    assert is_known(KNOWN, message)


@pytest.mark.parametrize(
    "message",
    [
        said(8),
        said(7),  # the same number later: the server fell back to an older copy, and has counted on
        said(6, position=b"1001-0"),
        said(8, position=b"1000-9"),
        said(7, b"other", b"1000-9"),
    ],
)
def test_other_messages_are_not_known(message: Said) -> None:
    """A later position, a higher number or another epoch is to be looked at."""
    assert not is_known(KNOWN, message)


@pytest.mark.parametrize(
    "there",
    [
        Where(b"other", 7, b"1000-9"),  # the counter is another one
        Where(b"other", 0, b"0-0"),  # everything was flushed
        Where(b"e", 6, b"1000-8"),  # an older copy
        Where(b"e", 8, b"1000-9"),  # a message was said that the log does not have
        Where(b"e", 8, b"999-11"),  # the log began anew, with a clock that went back
        Where(b"e", 8, b"0-0"),
        Where(b"e", 7, b"1000-10"),  # an older copy, in which as many were said since as it lacks
        Where(b"e", 7, b"999-0"),  # the same, with a clock that went back
    ],
)
def test_server_that_forgot_is_a_gap(there: Where) -> None:
    """Nothing that the server has now can lie after what was read."""
    assert lost(KNOWN, there)


@pytest.mark.parametrize(
    ("there", "more"),
    [
        (Where(b"e", 7, b"1000-9"), False),
        (Where(b"e", 7, b"0-0"), False),  # the log was deleted, with nothing in it that was not read
        (Where(b"e", 8, b"1000-10"), True),
        (Where(b"e", 9, b"1001-0"), True),  # whether message 8 was trimmed is seen when the next one is read
    ],
)
def test_server_that_remembers_is_none(there: Where, *, more: bool) -> None:
    """What was read is the end of the log, or lies before it."""
    assert lost(KNOWN, there) is None
    assert has_more(KNOWN, there) is more


def test_positions_compare_as_numbers() -> None:
    """The tenth message of a millisecond comes after the ninth."""
    assert lost(Place(b"e", 7, b"1000-9"), Where(b"e", 8, b"1000-10")) is None
    assert lost(Place(b"e", 7, b"999-0"), Where(b"e", 8, b"1000-0")) is None
