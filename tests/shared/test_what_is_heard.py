"""What others change is heard of all that a process has, however that came there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kit.servers import Room
from kit.threads import until

from memo import Registry, bounded
from memo.shared import Tier

pytest.importorskip("redis")


class Process(NamedTuple):
    """A function of one process, whose results all bear a tag, and one of their own."""

    tier: Tier
    registry: Registry
    f: Any

    def hear(self) -> None:
        self.tier.catch_up("20s")


MakeProcess = Callable[..., Process]


@pytest.fixture
def process(valkey: Room) -> Iterator[MakeProcess]:
    made: list[Process] = []

    def make(tags: Any = lambda x: ("all", str(x)), **using: Any) -> Process:
        tier, registry, calls = Tier(valkey.url, prefix=valkey.prefix, timeout="5s"), Registry(), []
        shared = tier.using(wait="5s", **using)

        @bounded(max=100, ttl="1h", shared=shared, name="f", tags=tags, registry=registry)
        def f(x: Any) -> int:
            calls.append(x)
            return len(calls)

        made.append(Process(tier, registry, f))
        return made[-1]

    yield make
    for one in made:
        one.tier.close()


class Own:
    """A key that other processes do not know."""

    def __str__(self) -> str:
        return "own"


@pytest.mark.parametrize("tag", ["all", "own"])
@pytest.mark.parametrize("way", ["load", "put"])
def test_tags_of_keys_that_cannot_be_shared(process: MakeProcess, tag: str, way: str) -> None:
    """Such a result stays where it is, and goes as others have its tag dropped: their own, and no more."""
    one, other = process(), process()
    key = Own()
    if way == "put":
        one.f.cache.put(1, key)
    assert (one.f(key), one.f(2)) == ((1, 2) if way == "load" else (1, 1))
    assert other.f(2) == one.f(2)
    other.registry.invalidate(tag="none")
    one.hear()
    assert len(one.f.cache) == 2
    other.registry.invalidate(tag=tag)
    one.hear()
    assert [one.f.cache.entry(each) is None for each in (key, 2)] == [True, tag == "all"]


@pytest.mark.parametrize("tags", [("all",), lambda x: ("all",)], ids=["fixed", "computed"])
def test_tags_where_no_key_can_be_shared(process: MakeProcess, tags: Any) -> None:
    """It is heard of tags that stand for the whole function, too."""
    one, other = process(tags=tags), process(tags=tags)
    one.f(Own())
    other.f(Own())
    other.registry.invalidate(tag="all")
    one.hear()
    assert len(one.f.cache) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda other: other.f.cache.invalidate(1),
        lambda other: other.f.cache.put(9, 1),
        lambda other: other.registry.invalidate(tag="1"),
        lambda other: other.f.cache.clear(),
    ],
    ids=["invalidate", "put", "tag", "clear"],
)
def test_what_was_put_where_nothing_is_written(process: MakeProcess, change: Callable[[Process], object]) -> None:
    """A process that only reads keeps what it puts to itself, until others change it."""
    reader, other = process(read_only=True), process()
    assert (reader.f(2), other.f(1)) == (1, 1)
    reader.f.cache.put(7, 1)
    assert reader.f(1) == 7
    change(other)
    reader.hear()
    assert reader.f.cache.entry(1) is None


def test_entries_from_a_file(process: MakeProcess, tmp_path: Path) -> None:
    """A process that has asked for nothing yet, since it has all from a file, hears what others change."""
    one, other = process(), process()
    assert (one.f(1), one.f(2)) == (1, 2)
    one.f.cache.dump(tmp_path / "dump")
    assert other.f.cache.load(tmp_path / "dump") == 2
    until(lambda: other.tier._line.place is not None)
    assert other.f(1) == 1
    one.f.cache.invalidate(1)
    other.hear()
    assert [other.f.cache.entry(each) is None for each in (1, 2)] == [True, False]
