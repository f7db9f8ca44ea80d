"""Tiers in programs of gevent and eventlet, whose threads each wait for sockets of their own."""

import pytest
from kit.greenlets import play, worlds
from kit.servers import Room

pytest.importorskip("redis")

pytestmark = pytest.mark.outside  # processes of their own: once for all versions

SHARE = """
from memo.shared import Tier

def process():
    '''A tier as one process has it, and a function of it.'''
    tier, loads = Tier(URL, prefix=PREFIX, timeout="5s", connections=2), []
    def load(x):
        loads.append(x)
        pause()
        return [x]
    return tier, bounded(max=10_000, ttl="10m", shared=tier, name="load", registry=Registry())(load), loads

(one, f, loads), (other, g, others) = process(), process()
"""


def share(world: str, room: Room, program: str) -> None:
    head = SHARE.replace("URL", repr(room.url)).replace("PREFIX", repr(room.prefix))
    play(world, head + program)


@worlds
def test_greenlets_share(world: str, valkey: Room) -> None:
    """Each key is loaded by one greenlet of one process, and what one invalidates the other drops."""
    share(
        world,
        valkey,
        """
assert [value_of(it) for it in [spawn(f, x % 20) for x in range(100)]] == [[x % 20] for x in range(100)]
assert [value_of(it) for it in [spawn(g, x % 20) for x in range(100)]] == [[x % 20] for x in range(100)]
assert sorted(loads) == list(range(20)) and others == []
f.cache.invalidate(7)
other.catch_up("20s")
assert len(g.cache) == 19
assert one.stats().opened == f.cache.stats().l2_errors == f.cache.stats().l2_skipped == 0
one.close(), other.close()
""",
    )


@worlds
def test_threads_of_greenlets_share(world: str, valkey: Room) -> None:
    """Calls in the library's thread pool and in greenlets share as all threads do, and none fails."""
    share(
        world,
        valkey,
        """
assert f(-1) == [-1]  # the tier's thread is of this hub, which runs all the time
for round in range(3):
    first = round * 100
    calls = [call for x in range(20) for call in (in_thread(f, first + x), spawn(f, first + 50 + x))]
    found = [value_of(it) if hasattr(it, "kill") else it.get() for it in calls]
    assert sorted(map(sum, found)) == sorted(first + more + x for x in range(20) for more in (0, 50))
    assert [g(x) for (x,) in found] == found
assert len(loads) == 121 and others == []
assert one.stats().opened == f.cache.stats().l2_errors == f.cache.stats().l2_skipped == 0
one.close(), other.close()
""",
    )
