"""Which functions are set aside; together with clocks, clean-ups, failures and the janitor."""

import gc
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

import cachetools
import pytest
from kit.paper_tier import PaperTier
from kit.shared_functions import Process
from kit.testing_kit import check, counted, layer

import memo._base.clock
import memo._window.intake
from memo import EvictionReason, Registry, bounded, dedupe_inflight, limit, registry, sliding_window
from memo._cache.shared_loads import Beside
from memo._decorated.stack import layers_of
from memo._registry.record import Record
from memo.testing import FakeClock, isolated

pytestmark = pytest.mark.usefixtures("_real_time_before_and_after")


def test_whole_registry_is_the_default() -> None:
    """Without arguments every function of memo.registry is isolated, and none of another registry."""
    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10, registry=Registry()))
    f(1), g(1)
    assert layer(f).record in list(registry)
    with isolated():
        assert (len(f.cache), len(g.cache)) == (0, 1)
    assert (len(f.cache), len(g.cache)) == (1, 1)


def test_some_functions_alone() -> None:
    """Functions that are not named keep their entries."""
    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10))
    f(1), g(1)
    with isolated(f):
        assert (len(f.cache), len(g.cache)) == (0, 1)
    record = registry[f]
    assert isinstance(record, Record)
    with isolated(record, g):
        assert (len(f.cache), len(g.cache)) == (0, 0)


def test_function_decorated_inside_is_cleared() -> None:
    """What a function stored that was decorated inside is gone at the end, and its counters begin anew."""
    gone: list[Any] = []
    own = Registry()
    f, _ = counted(bounded(max=10, registry=own))
    with isolated(own):
        g, _ = counted(bounded(max=10, registry=own, on_evict=lambda *what: gone.append(what)))
        outer = dedupe_inflight(sliding_window("1h", registry=own)(f))
        g(1), outer(1)
        assert len(f.cache) == outer.window.count() == 1
    assert gone == [(1, (1, 1), EvictionReason.CLEARED)]
    assert len(g.cache) == len(f.cache) == outer.window.count() == 0
    assert g.cache_info() == (0, 0, 10, 0)
    assert outer.inflight.stats().started == 0
    assert g(1) == (1, 2)
    check(f, g)


def test_function_that_dies_inside_is_let_go() -> None:
    """A function that is dropped inside leaves the registry, set aside or not."""
    own = Registry()
    f, _ = counted(bounded(max=10, registry=own))
    f(1)
    with isolated(own):
        del f
        gc.collect()
        assert len(own) == 0


def test_contexts_nest() -> None:
    """Each context within another starts empty, and at its end that of the other is back."""
    f, _ = counted(bounded(max=10), sliding_window("1h"))
    f("outer")
    context = isolated(f)
    with context:
        f("middle")
        with context:
            f("inner")
            assert [key for key, _ in f.cache.items()] == ["inner"]
        assert [key for key, _ in f.cache.items()] == ["middle"]
        assert f.window.count() == 1
    assert [key for key, _ in f.cache.items()] == ["outer"]
    check(f)


def test_put_back_after_an_exception() -> None:
    """Everything is put back after a body that raised, and the exception goes on."""
    f, _ = counted(bounded(max=10))
    f(1)
    with pytest.raises(KeyError), isolated(f):
        f(2)
        raise KeyError
    assert [key for key, _ in f.cache.items()] == [1]


def test_what_cannot_be_set_aside_leaves_all_in_place() -> None:
    """If one store cannot be set aside, those before it are put back and nothing is lost."""
    made = iter(range(10))

    class Once(cachetools.LRUCache[Any, Any]):
        def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
            if next(made):
                raise MemoryError
            super().__init__(maxsize, getsizeof)

    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10, policy=Once))
    f(1), g(1)
    with pytest.raises(MemoryError), isolated(f, g):
        pytest.fail("it was entered")
    assert len(f.cache) == len(g.cache) == 1
    check(f, g)


def test_refuses_what_is_not_decorated() -> None:
    """Something else than a decorated function or a registry is refused when the context is made."""
    with pytest.raises(TypeError, match="is neither decorated by this package nor a registry; give decorated"):
        isolated(len)


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_clean_up_that_is_under_way(policy: str) -> None:
    """A clean-up that began outside takes nothing from what is stored inside, and leaves the rest for the next one."""
    clock, own = FakeClock(), Registry()
    f, _ = counted(bounded(max=1000, ttl="1h", policy=policy, registry=own, clock=clock))
    for x in range(1000):
        f(x)
    clock.advance("1h")
    slices = layer(f).sweep()
    taken = next(slices).entries
    assert 0 < taken < 1000
    with isolated(own):
        for x in range(1000):
            f(x)
        clock.advance("1h")
        taken += next(slices).entries
        assert len(f.cache.store) == 1000
        check(f)
    check(f)
    taken += sum(swept.entries for swept in slices)
    assert taken + own.cleanup().expired == 1000
    assert len(f.cache.store) == 0
    check(f)


@pytest.mark.parametrize("clock_first", [True, False], ids=["clock outside", "clock inside"])
def test_clock_and_isolation_together(clock_first: bool) -> None:
    """In either order, a test that advances time leaves entries, ages and windows from before as they were."""
    own = Registry()
    f, original = counted(bounded(max=10, ttl="1h", registry=own), sliding_window("1h", registry=own))
    f(1)
    contexts: list[Any] = [FakeClock(), isolated(own)]
    outer, inner = contexts if clock_first else contexts[::-1]
    with outer, inner:
        clock = contexts[0]
        f(1)
        clock.advance("2h")
        f(1), f(2)
        assert original.calls == 4
        assert f.window.count() == 2
    entry = f.cache.entry(1)
    assert entry is not None
    assert 0.0 <= entry.age < 600
    assert 3000 < entry.expires_in <= 3600
    assert f.window.count() == len(f.window.events()) == 1
    f(1)
    assert original.calls == 4


def test_clock_that_leaves_inside_makes_nothing_outlive_its_ttl() -> None:
    """Entries set aside under an advanced clock that is gone when they are put back count as stored then."""
    f, _ = counted(bounded(max=10, ttl="1h"))
    clock = FakeClock().install()
    clock.advance("1 day")
    f(1)
    with isolated(f):
        clock.uninstall()
    assert 3590 < f.cache.entry(1).expires_in <= 3600


def test_stale_values_failures_and_tags() -> None:
    """Stale values, remembered failures, tags and their counters are set aside and put back."""
    clock, own = FakeClock(), Registry()
    fails = False

    @bounded(
        max=10,
        ttl="1h",
        stale_if_error="1h",
        cache_errors=(KeyError,),
        error_ttl="1m",
        tags=lambda x: (f"x:{x}", "all"),
        registry=own,
        clock=clock,
    )
    def f(x: int) -> int:
        if fails:
            raise KeyError(x)
        return x

    f(1)
    clock.advance("1h")
    fails = True
    assert f(1) == 1
    for _ in range(2):
        with pytest.raises(KeyError):
            f(2)
    before = own.stats()
    with isolated(own):
        assert own.invalidate(tag="all") == 0
        for _ in range(2):
            with pytest.raises(KeyError):
                f(1)
        fails = False
        f(3)
        assert own.invalidate(tag="x:3") == 1
        stats = f.cache.stats()
        assert (stats.stale_hits, stats.error_hits) == (0, 1)
    assert own.stats() == before
    assert f(1) == 1
    with pytest.raises(KeyError):
        f(2)
    stats = f.cache.stats()
    assert (stats.stale_hits, stats.error_hits) == (2, 2)
    assert own.invalidate(tag="x:1") == 1
    check(f)


def test_stale_window_after_an_advanced_clock() -> None:
    """The stale window of a value stored under an advanced clock begins anew with its life when that clock goes."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1h", stale_while_revalidate="1h"))
        with FakeClock() as clock:
            clock.advance("1 day")
            f(1)
        real.advance("1h")
        assert f.cache.entry(1).stale
        real.advance("1h")
        assert f.cache.entry(1) is None
        assert original.calls == 1


def test_janitor_goes_by_the_clock() -> None:
    """A janitor started before the clock came cleans up when the clock is advanced past its interval, and after."""
    own = Registry()
    f, _ = counted(bounded(max=10, ttl="30m", registry=own))
    with own.janitor(every="1h") as janitor:
        f(1)
        with FakeClock() as clock:
            clock.advance("59m")
            assert janitor.last_report is None
            clock.advance("1m")
            assert janitor.last_report is not None
            assert janitor.last_report.expired == 1
        assert clock.waiting() == 0
        assert janitor.alive


FIXED = {
    "store": {
        "foreign", "idle_s", "lean", "lock", "rich", "touches", "weighed", "put_off", "_is_shown", "_shelf", "_changes",
        "_serving",
        "standing", "past_life", "live", "change", "put_lean", "take_lost", "put", "clear", "resize", "drop",
        "drop_all", "forget", "tell_apart", "entry", "strike_out", "list_again",
    },
    "changes": {
        "lock", "put_off", "busy", "torn", "_foreign", "_figures", "_lost", "_owners", "_serving", "_shelf", "_show",
    },
    "shelf": {
        "weighed", "rich", "figures", "owners", "tags", "leaving", "away", "_standing", "_put_off", "_show_index",
        "giving",
        "lingering",  # what has died is found again as it comes back
    },
    "figures": {"_rich"},
    "owners": {"apart", "dead", "instances", "weak"},  # are about the function's keys
    "results": {
        "clock", "flights", "jobs", "loads", "maker", "name", "options", "told", "upwards",
        "inherited",  # is about one process
        "notes",  # a recording is of the calls, whatever the store holds meanwhile, and goes on
        "shared",  # of a function whose results are shared: see below
        "counts", "store", "table",  # which are exchanged, or emptied at both ends, by methods
    },
    "loads": {
        "clock", "copies", "kept", "lean", "maker", "store", "table", "told", "_by_key", "_copy", "_counters",
        "_asks_call", "_counts", "_life_s", "_lock", "_options", "tells", "upstream",
    },
    "shared": {"fixed_tags", "is_apart", "link", "_by_key", "_clock", "_copy", "_maker", "_store"},
    "told": {
        "counts", "revealer", "store",
        "leases", "listener",  # leases are of values, wherever these are kept meanwhile, and go on
        "_name", "_watch",  # subscriptions are of functions, and hear what happens within, too
    },
    "table": {"by_key", "clock", "lock", "share", "asked", "counters", "earlier", "known"},
    "jobs": {"by_loop", "_store"},
    "flights": {
        "call", "clock", "keeper", "name", "table", "timeout_s", "_by_key", "_counters", "_explain", "_hand_out",
        "_kept", "_lock", "_tags_of", "_upstream",
        "watch",  # who observes loads goes on doing so
    },
    "limiter": {
        "clock", "known", "lock", "rate", "table", "waiting", "_explain", "_name", "_reveal", "_waits",
    },
    "keys of a limit": {"dead", "most", "rate"},
    "intake": {"_batch", "_busy", "_lock", "_only", "_pending", "_plan", "_where", "span_s"},
}  # fmt: skip
"""What needs no exchange: options, locks, what is empty between two operations, and boxes of keys, which live
as long as what they are in."""


def fields(held: object) -> set[str]:
    """What an object has, in slots or in fields of C."""
    kinds = (MemberDescriptorType, GetSetDescriptorType)
    found = {name for kind in type(held).__mro__ for name, what in vars(kind).items() if isinstance(what, kinds)}
    return found - {"__class__", "__weakref__"}


def test_nothing_new_is_forgotten() -> None:
    """Each attribute of store, loads, limit and intake is exchanged by isolated(), or listed as needing none."""
    f, _ = counted(bounded(max=10), sliding_window("1h"), limit("9/1h"))
    limited, window, cache = layers_of(f)
    results = cache.cache  # type: ignore[attr-defined]
    slots = fields(window.intake)  # type: ignore[attr-defined]
    store = results.store
    assert set(vars(store)) - FIXED["store"] == set()
    assert fields(store._changes) - FIXED["changes"] == set()
    assert fields(store._shelf) - FIXED["shelf"] == set(store._shelf.HELD)
    assert set(store._shelf.figures.__slots__) - FIXED["figures"] == set(store._shelf.figures.HELD)
    owners = store._shelf.owners
    assert set(owners.__slots__) - FIXED["owners"] == set(owners.HELD)
    assert set(store._shelf.tags.__slots__) == set(store._shelf.tags.HELD)
    assert set(vars(results)) == FIXED["results"]
    for part in ("loads", "told", "table", "jobs", "flights"):
        assert set(vars(getattr(results, part))) == FIXED[part]
    shared = Process(PaperTier(FakeClock())).cache._cache.shared
    assert set(vars(shared)) - FIXED["shared"] == set(Beside.NAMES)
    assert slots - FIXED["intake"] == set(memo._window.intake._HELD)
    limiter = limited.limiter  # type: ignore[attr-defined]
    assert set(vars(limiter)) - FIXED["limiter"] == {"counts"}
    assert set(type(limiter.table).__slots__) - FIXED["keys of a limit"] == {"by_key"}
