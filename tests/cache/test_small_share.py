"""What part of a store is meant for new keys at present: figures, the leak report, and bounds that change meanwhile."""

import json
import random
from collections.abc import Iterator
from typing import Any

import cachetools
import pytest

from memo import Registry, bounded

__all__ = ()


def recent(count: int, span: int) -> Iterator[int]:
    """Each key is new, or one of the latest *span*."""
    dice = random.Random(count)
    for now in range(count):
        yield now if dice.random() < 0.5 else max(0, now - int(dice.random() * span))


@pytest.mark.parametrize("bound", [{"max": 200}, {"max_bytes": 200 * 500, "sizeof": lambda value: 40}])
def test_the_default_policy_tells_its_share(bound: Any) -> None:
    """It begins at 5 %, and goes up where keys are used again soon or never, bounded by number as by bytes."""

    @bounded(**bound, registry=Registry())  # type: ignore[untyped-decorator]
    def fetch(x: int) -> int:
        return x

    assert fetch.cache.stats().small_share == 0.05
    before = fetch.cache.stats()
    for x in recent(20_000, 260):
        fetch(x)
    stats = fetch.cache.stats()
    assert stats.small_share is not None
    assert stats.small_share >= 0.3
    assert (stats - before).small_share == stats.small_share
    assert json.loads(json.dumps(stats.as_dict()))["small_share"] == stats.small_share
    fetch.cache._check()


@pytest.mark.parametrize(
    ("policy", "share"), [("s3fifo", 0.1), ("lru", None), ("lfu", None), (cachetools.LRUCache, None)]
)
def test_other_policies(policy: Any, share: float | None) -> None:
    """S3-FIFO has a tenth, always; those without such a part say None."""

    @bounded(max=10, policy=policy, registry=Registry())
    def fetch(x: int) -> int:
        return x

    for x in range(30):
        fetch(x)
    assert fetch.cache.stats().small_share == share


def test_the_leak_report_shows_it() -> None:
    """The report has the share as a figure, and in a column of its text."""
    own = Registry()

    @bounded(max=10, registry=own)
    def fetch(x: int) -> int:
        return x

    @bounded(max=10, policy="lru", registry=own)
    def ordered(x: int) -> int:
        return x

    fetch(1), ordered(1)
    report = own.report()
    assert {store.name.rpartition(".")[2]: store.small_share for store in report.stores} == {
        "fetch": 0.05,
        "ordered": None,
    }
    _, head, _, *rows = str(report).splitlines()
    assert head.split()[-2] == "small"
    assert sorted(row.split()[-2] for row in rows[:2]) == ["-", "5%"]


def test_resizing_keeps_what_was_learnt() -> None:
    """A bound that is lowered and raised in operation holds at each moment, and the share goes on from where it was."""

    @bounded(max=200, registry=Registry())
    def fetch(x: int) -> int:
        return x

    for x in recent(20_000, 260):
        fetch(x)
    share = fetch.cache.stats().small_share
    for bound in (60, 300):
        fetch.cache.resize(max=bound)
        assert fetch.cache.stats().small_share == share
        assert len(fetch.cache) <= bound
        for x in recent(4000, bound):
            fetch(10**6 * bound + x)
            assert len(fetch.cache) <= bound
        assert len(fetch.cache) == bound
        fetch.cache._check()
        queues = fetch.cache._cache.store.cache.rings
        assert all(sum(1 for _ in queue) > 0 for queue in queues)
