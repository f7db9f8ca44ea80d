"""What is worth remembering, and copies of it for each caller."""

import asyncio
from typing import Any

import pytest

from memo import bounded


def test_cache_if_decides_what_is_stored() -> None:
    """A result that `cache_if` turns down is returned, counted as rejected, and loaded again by the next call."""

    @bounded(max=8, cache_if=lambda value: value is not None)
    def fetch(name: str) -> str | None:
        return name or None

    assert fetch("") is None
    assert fetch("") is None
    assert fetch("a") == fetch("a") == "a"
    stats = fetch.cache.stats()
    assert (stats.misses, stats.hits, stats.rejected, stats.size) == (3, 1, 2, 1)


def test_a_raising_cache_if_is_logged_and_the_value_not_stored(caplog: pytest.LogCaptureFixture) -> None:
    """An error of `cache_if` is logged under "memo", and the caller still gets the result."""

    def judge(value: str) -> bool:
        raise LookupError("no opinion")

    @bounded(max=8, cache_if=judge)
    def fetch(name: str) -> str:
        return name

    assert fetch("a") == "a"
    assert "no opinion" in caplog.text
    assert {record.name for record in caplog.records} == {"memo"}
    assert len(fetch.cache) == 0


def test_none_is_remembered_like_any_value() -> None:
    """A function that returned None is not run again for the same arguments."""
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> None:
        calls.append(name)

    fetch("a")
    fetch("a")
    assert calls == ["a"]


@pytest.mark.parametrize("how", ["shallow", "deep", lambda value: [list(part) for part in value]])
def test_a_copy_protects_the_stored_value(how: Any) -> None:
    """With `copy=`, what calls, entry(), items() and refresh() give can be changed without changing the entry."""

    @bounded(max=8, copy=how)
    def fetch(name: str) -> list[list[str]]:
        return [[name]]

    @bounded(max=8, copy=how, policy="lru", ttl=60)
    async def fetch_later(name: str) -> list[list[str]]:
        return [[name]]

    def spoil(value: list[Any]) -> None:
        assert value == [["a"]]
        value.append("spoiled")
        if how != "shallow":
            value[0].append("spoiled")

    for _ in range(3):
        spoil(fetch("a"))
    entry = fetch.cache.entry("a")
    assert entry is not None
    spoil(entry.value)
    spoil(fetch.cache.items()[0][1])
    spoil(fetch.cache.refresh("a"))
    spoil(fetch("a"))

    async def use() -> None:
        for value in await asyncio.gather(*(fetch_later("a") for _ in range(4))):
            spoil(value)
        spoil(await fetch_later("a"))

    asyncio.run(use())
