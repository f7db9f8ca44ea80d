"""What things say of themselves in a debugger: decorators before they are applied, clocks, blocks, handles."""

from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, registry, sliding_window
from memo.testing import FakeClock, isolated


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        (bounded(max=5), "bounded(max=5)"),
        (bounded(max=5, ttl="24h", policy="lru"), "bounded(max=5, ttl='24h', policy='lru')"),
        (bounded(max_bytes="1MB", tags=("a",)), "bounded(max_bytes='1MB', tags=('a',))"),
        (dedupe_inflight(timeout=5, name="n"), "dedupe_inflight(timeout=5, name='n')"),
        (dedupe_inflight(), "dedupe_inflight()"),
        (sliding_window("1h"), "sliding_window(window='1h')"),
        (sliding_window("1h", max=7), "sliding_window(window='1h', max=7)"),
    ],
)
def test_a_decorator_shows_its_options(decorator: Any, expected: str) -> None:
    """A decorator that was not applied yet shows the call that made it, without defaults."""
    assert repr(decorator) == expected


def test_a_decorator_runs_no_code_of_its_options_for_long() -> None:
    """Options are shown shortly, whatever they are."""
    decorator = bounded(max=5, on_evict=lambda *a: None, tags=["t" * 1_000])
    assert len(repr(decorator)) < 500
    assert "on_evict=" in repr(decorator)


def test_clocks_and_blocks_show_their_state() -> None:
    """A test's clock shows its time, and contexts whether they are entered."""
    clock = FakeClock(1000.0)
    assert repr(clock) == "<FakeClock at 1000 s>"
    clock.advance("1.5s")
    with clock:
        assert repr(clock).startswith("<FakeClock at ")
        assert repr(clock).endswith(" s, installed>")
    own = Registry()
    block = own.disabled()
    assert repr(block) == "<disabled() of <registry of 0 functions>: not entered>"
    with block:
        assert repr(block).endswith(": off now>")
    assert repr(block).endswith(": on again>")
    function = bounded(max=5, registry=own, name="f")(abs)
    context = isolated(own, function)
    assert repr(context) == "<isolated(<registry of 1 function>, <record of f>)>"
    with context:
        assert repr(context).endswith(", entered 1 time>")
    assert repr(isolated()) == f"<isolated({registry!r})>"


def test_one_is_singular() -> None:
    """Handles and registries say "1 entry" of one and "2 entries" of two."""
    own = Registry()
    function = sliding_window("1h", registry=own, name="f")(bounded(max=5)(abs))
    assert repr(own) == "<registry of 1 function>"
    for count, entries, calls in ((0, "0 entries", "0 calls"), (1, "1 entry", "1 call"), (2, "2 entries", "2 calls")):
        if count:
            function(-count)
        assert repr(function.cache) == f"<cache of f: {entries}>"
        assert repr(function.window) == f"<window of f: {calls} kept>"
    other = bounded(max=5, registry=own, name="g")(abs)
    assert other in own
    assert repr(own) == "<registry of 2 functions>"
