"""Ways to the server that are slow, or slow in one direction: what was missed is heard all the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from kit.lines import Party, party
from kit.processes import HANG_S
from kit.proxies import Proxy, proxy
from kit.servers import Room
from kit.threads import until

pytest.importorskip("redis")

SOON: dict[str, Any] = {"timeout_s": 0.25, "wire_timeout_s": 0.25}
OTHERS = [b"%016d" % number for number in range(6_000)]
HERS = b"a" * 16


@pytest.fixture(autouse=True)
def probing_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after a server that is down more often than one does."""
    monkeypatch.setattr("memo.shared._breaker._PROBES_S", (0.02, 0.02))


@pytest.fixture
def between(valkey: Room) -> Iterator[Proxy]:
    with proxy(valkey.server.port) as made:
        yield made


def test_who_missed_more_than_comes_in_time_hears_it_piece_by_piece(valkey: Room, between: Proxy) -> None:
    """What comes in a quarter of a second is a tenth of what was said; nothing of it is lost, and the tier is up."""
    with party(valkey.url, valkey.prefix, 1, log_size=1_000) as (one,):
        slow = Party(between.url(), valkey.prefix, **SOON).begin()
        try:
            between.way_back.clear()
            one.say(HERS, *OTHERS)
            one.line.flush(HANG_S)
            between.bytes_back = 100_000
            between.way_back.set()
            until(lambda: len(slow.heard.told) > len(OTHERS), HANG_S)
            assert slow.heard.told == [HERS, *OTHERS]
            until(lambda: slow.line.state == "up", HANG_S)
            assert slow.line.figures()["gaps"] == 0
        finally:
            slow.close()


@pytest.mark.parametrize("direction", ["way_there", "way_back"])
def test_a_way_that_was_closed_in_one_direction(valkey: Room, between: Proxy, direction: str) -> None:
    """What was said over it, and what others said meanwhile, arrives when it is open again."""
    with party(valkey.url, valkey.prefix, 1) as (one,):
        behind = Party(between.url(), valkey.prefix, **SOON).begin()
        try:
            getattr(between, direction).clear()
            behind.say(HERS)
            one.say(OTHERS[0])
            until(lambda: behind.line.state == "down", HANG_S)
            getattr(between, direction).set()
            behind.line.flush(HANG_S)
            until(lambda: OTHERS[0] in behind.heard.told and HERS in one.heard.told, HANG_S)
            until(lambda: behind.line.state == "up", HANG_S)
        finally:
            behind.close()
