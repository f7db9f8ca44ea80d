"""Leases are renewed together in good time, counted when lost, and given back."""

import asyncio
import weakref

from memo.shared._held import AT_ONCE, Held, Lease
from memo.testing import FakeClock


def lease(number: int, lease_ms: int = 9_000) -> Lease:
    token = number.to_bytes(8, "big").hex().encode()
    return Lease(b"L" + token, token, b"f", b"d" * 16, lease_ms)


class Table:
    """The leases of a process, and how often its thread was woken."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rings = 0
        self.held = Held(self.clock, self._ring)

    def _ring(self) -> None:
        self.rings += 1

    def due(self) -> list[Lease]:
        return [one for leases in self.held.due() for one in leases]


def test_all_are_renewed_every_third_of_their_life() -> None:
    """None gets older than that before it is renewed, whenever it was taken."""
    table = Table()
    table.held.hold(lease(1))
    assert table.held.rest_s(1.0) == 1.0
    table.clock.advance(2)
    table.held.hold(lease(2))
    assert table.due() == []
    assert table.held.rest_s(5.0) == 1.0
    table.clock.advance(1)
    assert table.due() == [lease(1), lease(2)]
    assert table.due() == []
    table.clock.advance(3)
    assert table.due() == [lease(1), lease(2)]


def test_lengths_are_renewed_apart() -> None:
    """A short lease does not have long ones renewed more often; the thread is woken for it."""
    table = Table()
    table.held.hold(lease(1))
    assert table.rings == 0
    table.held.hold(lease(2, 900))
    assert table.rings == 1
    table.clock.advance(0.3)
    assert table.due() == [lease(2, 900)]


def test_struck_renewal_is_made_up_for() -> None:
    """Leases whose renewal did not come to its end are due still."""
    table = Table()
    for number in range(AT_ONCE + 1):
        table.held.hold(lease(number))
    table.clock.advance(3)
    first = next(iter(table.held.due()))
    assert len(first) == AT_ONCE
    assert len(table.due()) == AT_ONCE + 1


def test_lost_leases_are_counted_once() -> None:
    """One that was not there any more is forgotten; one that has ended here meanwhile is no loss."""
    table = Table()
    for number in range(3):
        table.held.hold(lease(number))
    table.held.let_go(lease(2))
    table.held.renewed([lease(0), lease(1), lease(2)], [True, False, False])
    assert table.held.lost == 1
    assert len(table.held) == 1


def test_leases_are_given_back() -> None:
    """Held or not, as long as they have not ended by themselves; what could not be sent comes again."""
    table = Table()
    table.held.hold(lease(1))
    table.held.release(lease(1))
    table.held.release(lease(2))
    assert len(table.held) == 0
    assert table.rings == 2
    items = table.held.returned()
    assert [one for one, _ in items] == [lease(1), lease(2)]
    assert table.held.returned() == []
    table.held.not_returned(items[1:])
    assert [one for one, _ in table.held.returned()] == [lease(2)]
    table.held.release(lease(3))
    table.clock.advance(9)
    assert table.held.returned() == []


def test_child_has_none() -> None:
    """In a forked child they are its parent's."""
    table = Table()
    table.held.hold(lease(1))
    table.held.release(lease(2))
    table.held.forget_all()
    assert len(table.held) == 0
    assert table.held.returned() == []


def test_leases_of_closed_loops_are_given_back() -> None:
    """Instead of being renewed: what loads there ends no more.  So are those of loops that are gone."""
    table, loops = Table(), [asyncio.new_event_loop() for _ in range(3)]
    leases = [lease(number)._replace(loop=weakref.ref(loop)) for number, loop in enumerate(loops)]
    for one in leases:
        table.held.hold(one)
    table.clock.advance(3)
    assert table.due() == leases
    loops[0].close()
    loops[1].close()
    del loops[1]
    table.clock.advance(3)
    assert table.due() == [leases[2]]
    assert [one for one, _ in table.held.returned()] == leases[:2]
    assert [one in table.held for one in leases] == [False, False, True]
    assert table.held.lost == 0
    loops[1].close()
