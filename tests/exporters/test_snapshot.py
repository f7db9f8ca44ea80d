"""One snapshot a second for whoever asks, by one thread for all, without what cannot be read."""

import logging
import weakref

import pytest
from kit.exported import ReadBy, unreadable
from kit.processes import in_a_child
from kit.threads import Gate, Running, until

from memo import Registry, bounded, registry, sliding_window
from memo.exporters._snapshot import Snapshots
from memo.testing import FakeClock

__all__ = ()


def test_a_second_has_one_snapshot(own: Registry, clock: FakeClock) -> None:
    """Whoever asks within a second gets the snapshot that is there; after it, a new one."""
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    first = Snapshots.of(own).latest()
    f(1), f(1)
    clock.advance(0.9)
    assert Snapshots.of(own).latest() is first
    clock.advance(0.1)
    later = Snapshots.of(own).latest()
    assert [(row.name, row.stats.cache.hits) for row in later.rows if row.stats.cache] == [("f", 1)]
    assert later.taken >= first.taken
    assert [record.name for record in registry if "exporters" in record.name] == [], "users see nothing of it"


def test_sparklines_are_drawn_for_those_who_ask(own: Registry, clock: FakeClock) -> None:
    """Who needs none takes a snapshot that has them, but not the other way round."""
    f = sliding_window("1h", registry=own, name="f")(lambda x: x)
    f(1)
    bare = Snapshots.of(own).latest()
    drawn = Snapshots.of(own).latest(sparks=True)
    assert [row.sparkline for row in bare.rows] == [""]
    assert [len(row.sparkline) for row in drawn.rows] == [12]
    assert Snapshots.of(own).latest() is drawn


def test_those_who_ask_at_once_share_it(own: Registry) -> None:
    """While one thread takes a snapshot, others that ask wait for that one."""
    gate = Gate()
    slow = ReadBy()
    own.adopt(slow)
    slow.look = gate.wait
    snapshots = Snapshots.of(own)
    taker = Running(snapshots.latest)
    gate.reached()
    others = [Running(snapshots.latest) for _ in range(3)]
    until(lambda: Snapshots._taken.inflight.stats().waiting == 3)
    gate.open()
    assert all(other.result() is taker.result() for other in others)


def test_what_cannot_be_read_is_left_out(own: Registry, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A function whose figures raise is not in the snapshot, the others are; the log says so once a minute."""

    g = bounded(max=3, registry=own, name="g")(lambda x: x)

    with caplog.at_level(logging.ERROR, "memo"), unreadable(own, "f"):
        for _ in range(3):
            assert [row.name for row in Snapshots.of(own).latest().rows] == ["g"]
            clock.advance(20)
        assert [record.getMessage() for record in caplog.records] == [
            "f is left out of what is exported: its figures cannot be read"
        ]
        assert "the clock is stuck" in caplog.text
        Snapshots.of(own).latest()
        assert len(caplog.records) == 2
    assert g(1) == 1


def test_a_forked_child_takes_its_own(own: Registry, clock: FakeClock) -> None:
    """What a child inherits is about its parent, so it is not shown there."""
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    inherited = Snapshots.of(own).latest()

    def look() -> bool:
        f(1)
        (row,) = Snapshots.of(own).latest().rows
        return row.stats.cache is not None and row.stats.cache.misses == 1

    assert in_a_child(look) == 0
    assert Snapshots.of(own).latest() is inherited


def test_nothing_is_kept_alive(clock: FakeClock, nothing_collected: None) -> None:
    """A registry that nobody holds goes with its snapshots, and a function does though a snapshot tells of it."""
    own = Registry()
    f = bounded(max=3, registry=own, name="f")(lambda x: x)
    snapshots = Snapshots.of(own)
    gone, shared = weakref.ref(f), weakref.ref(snapshots.latest())
    del f
    assert gone() is None
    gone = weakref.ref(own)
    del own
    assert gone() is None
    clock.advance(1)
    assert snapshots.latest().rows == []
    del snapshots
    assert shared() is None
