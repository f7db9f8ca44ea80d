"""What is read of the log, and what a gap has to do with it: rules that need no server."""

from kit.lines import FUNCTION, Heard

from memo.shared._gaps import place_of
from memo.shared._messages import DROP, Said
from memo.shared._reader import Reader
from memo.shared._scripts import Where

A, B = b"a" * 16, b"b" * 16


def said(n: int, digest: bytes, position: bytes) -> Said:
    return Said(position, n, b"new", b"other", DROP, FUNCTION, (digest,))


def test_messages_that_a_gap_overtook_are_no_other_gap() -> None:
    """Asked for the counter while messages are on their way, a line drops everything once, and goes on after them."""
    heard = Heard()
    reader = Reader("p", lambda: b"me")
    reader.follow(FUNCTION, heard)
    reader.begin(Where(b"old", 7, b"1000-7"))
    reader.gap("the counter began anew, under another epoch", place_of(Where(b"new", 1, b"1001-1")))
    reader.take(said(1, A, b"1001-1"))
    assert (heard.told, reader.gaps) == (["all"], 1)
    reader.take(said(2, B, b"1001-2"))
    assert (heard.told, reader.gaps, reader.received) == (["all", B], 1, 1)
