"""What stands for something that one process has is neither pickled nor deep-copied, and says what to hand on."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cachetools
import pytest

import memo
from memo import Registry, bounded, bounded_many, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock

CACHE: cachetools.Cache[Any, Any] = cachetools.LRUCache(3)

THINGS: dict[str, tuple[Callable[[Registry, Path], Any], str]] = {
    "the registry": (lambda own, path: memo.registry, r"^registry: .* hand on its stats\(\); functions are pickled"),
    "a registry": (lambda own, path: own, r"^registry: a registry has the functions of this process, so it cannot be "),
    "a view": (lambda own, path: own.select("*"), r"^select: .* hand on its stats\(\), and select\(\) there"),
    "a record": (lambda own, path: own["named"], r"^named: a record .* look that up there: registry\[function\]\.$"),
    "that of a window": (lambda own, path: own["seen"], r"^seen: a record "),
    "that of a limit": (lambda own, path: own["slow"], r"^slow: a record "),
    "that of running calls": (lambda own, path: own["shared"], r"^shared: a record "),
    "that of many keys": (lambda own, path: own["many"], r"^many: a record "),
    "that of an adopted cache": (lambda own, path: own["theirs"], r"^theirs: a record "),
    "its handle": (
        lambda own, path: own["theirs"].adopted,
        r"^theirs: a handle .* of the cache.* or the cache itself\.$",
    ),
    "a janitor": (lambda own, path: own.janitor(every="1h"), r"^janitor: .* call registry.janitor\(\) there\.$"),
    "a subscription": (lambda own, path: own.subscribe(print), r"^subscribe: .* call registry.subscribe\(\) there\.$"),
    "a block": (lambda own, path: own.disabled("named"), r"^disabled\(\): .* call disabled\(\) there\.$"),
    "a recording": (lambda own, path: own["named"].cache.record(path), r"^record: a recording of named .* its path\.$"),
    "a clock": (lambda own, path: FakeClock(), r"^FakeClock: .* make another of that there\.$"),
}


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
@pytest.mark.parametrize("thing", THINGS)
def test_it_says_that_it_stays(thing: str, take: Callable[[Any], object], own: Registry, tmp_path: Path) -> None:
    """The error names what it is, why it stays and what to do instead; a copy of it is itself."""

    def load(x: Any) -> Any:
        return x

    kept = [
        bounded(max=3, name="named", registry=own)(load),
        sliding_window("1h", name="seen", registry=own)(load),
        limit("9/s", name="slow", registry=own)(load),
        dedupe_inflight(name="shared", registry=own)(load),
        bounded_many(max=3, name="many", registry=own)(load),
        own.adopt(CACHE, name="theirs"),
    ]
    make, message = THINGS[thing]
    made = make(own, tmp_path / "keys")
    try:
        with pytest.raises(TypeError, match=message) as caught:
            take(made)
        assert ", so it cannot be pickled or deep-copied; hand on " in str(caught.value)
        assert copy.copy(made) is made
    finally:
        for end in ("stop", "close"):
            getattr(made, end, lambda: None)()
        del kept
