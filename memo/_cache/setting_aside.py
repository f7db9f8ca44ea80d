"""What one function holds and has counted, set aside for a while: what ``isolated()`` does to its store.

The store is exchanged in one step, however much it holds.  What hits on methods read, the tables of the instances, is
exchanged by no step: before the store is set aside its entries are struck out there, slice by slice, and once it is
back they are listed again.  Meanwhile whoever does not find an entry there looks for it in the store, and finds it.
"""

from functools import partial

from memo._base import Aside, Pair
from memo._cache.cache import Cache
from memo._cache.figures import CallCounts
from memo._cache.shared_loads import Beside
from memo._call import comparing_outside
from memo._flight import fence_for, held, resume
from memo._store import Departures, EvictionReason, Giveaway, Listing

__all__ = ("put_back", "set_aside")


def set_aside(cache: Cache, aside: Aside) -> None:
    """Hold nothing and have counted nothing, until *aside* is put back."""
    store = cache.store
    gone = Departures()
    _shared(cache, aside)  # made without the lock
    if store.begin_listing(Listing.NONE):
        cache.alter_all(store.strike_out)
    try:
        with store.lock:
            _exchange(cache, aside, gone)
        cache.told.report(gone)
    except BaseException:
        cache.told.report(gone)
        raise


def put_back(cache: Cache, aside: Aside) -> None:
    """Drop what is held now, and hold what was set aside; cut short, it can be done again."""
    store = cache.store
    now = cache.clock.read()
    gone = Departures()
    _shared(cache, aside)
    giveaway = Giveaway(EvictionReason.CLEARED, now, counted=False)  # the figures of within are gone by then
    try:
        comparing_outside(store.lock, _put_back, cache, aside, gone, giveaway, now)
        if store.begin_listing(Listing.SOME):
            cache.alter_all(store.list_again)
            store.begin_listing(Listing.ALL)
        if store.is_large:
            store.rewind(now, cache.options.pause_s)
        _catch_up(cache, aside)
        cache.told.report(gone)
        cache.told.let_go(giveaway)
    except BaseException:
        cache.told.report(gone)
        cache.told.let_go(giveaway)
        raise


def _put_back(cache: Cache, aside: Aside, gone: Departures, giveaway: Giveaway, now: float) -> None:
    store = cache.store
    with store.lock:
        if aside.is_out:
            cache.table.detach_all()
            store.change(store.clear, EvictionReason.CLEARED, now, giveaway, gone=gone)
            _exchange(cache, aside, gone)
        store.rewind_few(now, cache.options.pause_s)
        cache.show()
        resume(cache.table, aside)


def _exchange(cache: Cache, aside: Aside, gone: Departures) -> None:
    """Exchange all that is held and counted with *aside*, in one step."""
    if not aside.is_out:
        fence_for(cache.table, aside)
    cache.store.exchange(aside, gone, [*held(cache.table, aside), *_counted(cache, aside)])
    cache.show()


def _counted(cache: Cache, aside: Aside) -> list[Pair]:
    return [aside.pair(cache.counts, CallCounts.__slots__, CallCounts), *_shared(cache, aside)]


def _shared(cache: Cache, aside: Aside) -> list[Pair]:
    """What is exchanged where results are shared."""
    shared = cache.shared
    if shared is None:
        return []
    return [aside.pair(shared, Beside.NAMES, partial(Beside, shared.link, is_out=aside.is_out))]


def _catch_up(cache: Cache, aside: Aside) -> None:
    """Change what is back as it was changed elsewhere meanwhile; once more does no harm."""
    for _, beside, _ in _shared(cache, aside):
        for change in beside.missed or ():
            change()
