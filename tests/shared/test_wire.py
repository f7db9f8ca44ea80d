"""Commands sent by threads and event loops: bounded waits, and nobody who gets another's reply."""

import asyncio
from collections.abc import Iterator

import pytest
from kit.servers import Room

from memo.shared import _scripts as scripts
from memo.shared._scripts import Command
from memo.shared._wire import Wire

LIBRARIES = ("redis", "valkey")


def echo(text: bytes) -> Command[bytes]:
    return Command((b"ECHO", text), bytes)


def received(valkey: Room) -> int:
    """How many connections the server has taken so far, this question's included."""
    return int(valkey.command("INFO", "stats")["total_connections_received"])


@pytest.fixture(params=LIBRARIES)
def wire(valkey: Room, request: pytest.FixtureRequest) -> Iterator[Wire]:
    pytest.importorskip(request.param)
    wire = Wire(valkey.url_of(request.param), timeout_s=20, connections=4)
    yield wire
    wire.close()


def test_many_coroutines_share_few_connections(wire: Wire) -> None:
    """Five hundred coroutines at once get their own replies over four connections, without an error."""

    async def main() -> list[bytes]:
        texts = [b"%d" % n for n in range(500)]
        replies = await asyncio.gather(*(wire.run_awaited(echo(text)) for text in texts))
        assert wire.connections == 4
        assert replies == texts
        return replies

    asyncio.run(main())
    assert wire.connections == 0


def test_cancelled_coroutines_lose_no_connection(wire: Wire, valkey: Room) -> None:
    """Those that go on get their own replies, over the connections that were there before."""

    async def main() -> None:
        await asyncio.gather(*(wire.run_awaited(scripts.ping()) for _ in range(50)))
        made = received(valkey)
        for turns in range(30):
            calls = [asyncio.ensure_future(wire.run_awaited(echo(b"%d" % n))) for n in range(40)]
            for _ in range(turns % 10):
                await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            replies = await asyncio.gather(*calls, return_exceptions=True)
            assert all(reply == b"%d" % n for n, reply in enumerate(replies) if isinstance(reply, bytes))
            assert all(isinstance(reply, bytes) for reply in replies[1::2])
        assert received(valkey) == made + 1

    asyncio.run(main())
