"""Changes that are still to be sent are bounded, kept in their order, and widen rather than get lost."""

from typing import Any

from memo.shared._pending import MOST, MOST_PUT_BYTES, Change, Pending, Put

TAG = b"t" * 16


def key(number: int, function: bytes = b"f", put: Put | None = None) -> Change:
    digest = number.to_bytes(16, "big")
    return Change(function, digest, b"V" + digest, put=put)


def put(size: int = 10) -> Put:
    return Put(lambda run: None, size)


def changes(pending: Pending) -> list[Any]:
    return [[entry.change for entry in batch] for batch in pending.batches()]


def test_last_change_of_each_is_kept() -> None:
    """What is said twice is pending once, at its later place."""
    pending = Pending(list)
    for one in (key(1), Change(b"f"), key(2), key(1)):
        pending.add(one)
    assert changes(pending) == [[Change(b"f")], [key(2), key(1)]]


def test_keys_of_one_function_go_together() -> None:
    """Only neighbours do, so many at a time, and a put goes alone: order matters between keys and functions."""
    pending = Pending(list)
    for number in range(101):
        pending.add(key(number))
    pending.add(key(0, b"g"))
    pending.add(key(1, b"g", put()))
    pending.add(Change(tag=TAG))
    pending.add(key(2, b"g"))
    assert [len(batch) for batch in changes(pending)] == [100, 1, 1, 1, 1, 1]


def test_what_was_said_again_meanwhile_stays() -> None:
    """Delivered is what was sent, not what was said while that went on."""
    pending = Pending(list)
    pending.add(key(1))
    pending.add(key(2))
    (batch,) = pending.batches()
    pending.add(key(1))
    pending.delivered(batch)
    assert changes(pending) == [[key(1)]]


def test_who_waits_for_what() -> None:
    """A key waits for itself, its function and its tags, and for nothing else."""
    pending = Pending(list)
    assert pending.is_settled(b"f", key(1).digest, (TAG,))
    pending.add(key(1))
    assert not pending.is_settled(b"f", key(1).digest, ())
    assert not pending.is_settled(b"f", None, ())
    assert pending.is_settled(b"f", key(2).digest, ())
    assert pending.is_settled(b"g", None, ())
    pending.add(Change(tag=TAG))
    assert not pending.is_settled(b"f", key(2).digest, (TAG,))
    assert not pending.is_settled(b"g", None, (TAG,))
    pending.add(Change(b"f"))
    assert not pending.is_settled(b"f", key(2).digest, ())


def test_settled_up_to_a_moment() -> None:
    """What is said later does not keep those waiting who asked before."""
    pending = Pending(list)
    pending.add(key(1))
    number = pending.latest()
    (batch,) = pending.batches()
    pending.add(key(2))
    assert not pending.is_settled_up_to(number)
    pending.delivered(batch)
    assert pending.is_settled_up_to(number)


def test_bound_widens_the_function_with_most_keys() -> None:
    """Beyond the bound the keys of one function become the whole function; the others' stay."""
    pending = Pending(list)
    for number in range(MOST - 1):
        pending.add(key(number, b"large"))
    pending.add(key(1, b"small"))
    assert len(pending) == MOST
    assert pending.overflowed == 0
    pending.add(key(2, b"small"))
    assert pending.overflowed == 1
    assert changes(pending) == [[key(1, b"small")], [Change(b"large")], [key(2, b"small")]]
    assert not pending.is_settled(b"large", key(1).digest, ())


def test_bound_widens_tags_to_the_functions_here() -> None:
    """Where tags fill it, every function of the tier in this process is invalidated in their place."""
    pending = Pending(lambda: [b"f", b"g"])
    for number in range(MOST):
        pending.add(Change(tag=number.to_bytes(16, "big")))
    pending.add(Change(tag=TAG))
    assert changes(pending) == [[Change(b"f")], [Change(b"g")], [Change(tag=TAG)]]
    assert pending.overflowed == 1


def test_puts_are_bounded_by_their_bytes() -> None:
    """A value for which there is no room is a mere drop; what was delivered makes room."""
    pending = Pending(list)
    large = put(MOST_PUT_BYTES)
    pending.add(key(1, put=large))
    pending.add(key(2, put=put()))
    assert changes(pending) == [[key(1, put=large)], [key(2)]]
    pending.delivered([entry for batch in pending.batches() for entry in batch])
    pending.add(key(3, put=large))
    pending.add(key(3, put=large))  # in place of the first, whose bytes do not count any more
    assert changes(pending) == [[key(3, put=large)]]


def test_puts_become_drops() -> None:
    """Once they could not be sent the keys are dropped, in the same place."""
    pending = Pending(list)
    for one in (key(1, put=put()), Change(b"f"), key(2)):
        pending.add(one)
    pending.put_no_more()
    assert changes(pending) == [[key(1)], [Change(b"f")], [key(2)]]
