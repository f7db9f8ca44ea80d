"""Wires in several event loops, in forked children, with URLs that change, and struck at any point."""

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Iterator

import pytest
from kit.processes import in_a_child
from kit.servers import Room, Server
from kit.strikes import Struck, StruckError, points, strike
from kit.threads import LIMIT_S, Running

from memo.shared import _scripts as scripts
from memo.shared._scripts import Command
from memo.shared._unreachable import Reason, Unreachable
from memo.shared._wire import Wire

LOOPS = ("asyncio", "uvloop")


def echo(text: bytes) -> Command[bytes]:
    return Command((b"ECHO", text), bytes)


async def many(wire: Wire, of: bytes = b"") -> None:
    texts = [of + b"%d" % n for n in range(50)]
    assert await asyncio.gather(*(wire.run_awaited(echo(text)) for text in texts)) == texts


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.new_event_loop()
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture
def wire(own_valkey: Server) -> Iterator[Wire]:
    wire = Wire(own_valkey.url, timeout_s=LIMIT_S, connections=3)
    yield wire
    wire.close()


def test_several_loops_at_once(wire: Wire) -> None:
    """Each has connections of its own, and nothing is left of them once their loops have ended."""
    there = threading.Barrier(4)

    async def main(of: bytes) -> None:
        for _ in range(3):
            await many(wire, of)
        await asyncio.to_thread(there.wait, LIMIT_S)  # all of them are connected
        assert wire.connections >= 9
        await asyncio.to_thread(there.wait, LIMIT_S)

    def run(kind: str, of: bytes) -> None:
        with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
            runner.run(main(of))

    calls = [Running(lambda n=n: run(LOOPS[n % 2], b"%d-" % n)) for n in range(3)]
    for _ in range(2):
        wire.run(scripts.ping())
        there.wait(LIMIT_S)
    for call in calls:
        call.result()
    gc.collect()
    assert wire.connections == 1


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_that_is_gone_is_not_held(wire: Wire, own_valkey: Server, kind: str) -> None:
    """It is collected with its connections, however it was closed."""

    def run() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = new_loop(kind)
        loop.run_until_complete(many(wire))
        loop.run_until_complete(loop.shutdown_asyncgens())
        assert own_valkey.clients() == []
        loop.run_until_complete(many(wire))  # goes on all the same
        loop.run_until_complete(asyncio.sleep(0))
        wire.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return weakref.ref(loop)

    loop = run()
    gc.collect()
    assert loop() is None
    assert (wire.connections, own_valkey.clients()) == (0, [])


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_loop_that_is_closed_says_nothing_of_the_server(
    wire: Wire, own_valkey: Server, kind: str, turns: int
) -> None:
    """What was under way in a loop dies with it, begun or not, and is no failure: others go on asking the server."""

    async def left_behind() -> list[asyncio.Task[bytes]]:
        await many(wire)
        own_valkey.pause()
        asked = [asyncio.ensure_future(wire.run_awaited(echo(b"%d" % n))) for n in range(9)]
        for _ in range(turns):
            await asyncio.sleep(0)  # three are sent in five
        return asked

    def run() -> None:
        loop = new_loop(kind)
        for task in loop.run_until_complete(left_behind()):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # that it was closed with open connections is its owner's
            run()
            gc.collect()
    finally:
        own_valkey.go_on()
    assert (wire.breaker.opened, wire.breaker.is_open) == (0, False)
    assert wire.run(echo(b"on")) == b"on"


def test_a_loop_that_stood_still_has_its_replies(own_valkey: Server) -> None:
    """What came while the loop did something else for longer than the timeout is no failure of the server's."""

    async def main() -> None:
        wire = Wire(own_valkey.url, timeout_s=0.3, connections=3)
        await wire.run_awaited(scripts.ping())
        for n in range(2):
            call = asyncio.ensure_future(wire.run_awaited(echo(b"%d" % n)))
            for _ in range(3):
                await asyncio.sleep(0)  # it is sent
            threading.Event().wait(0.4)
            assert await call == b"%d" % n

    asyncio.run(main())


def test_a_wire_that_is_gone_leaves_the_loop_no_connection(own_valkey: Server) -> None:
    """A tier that nobody holds any more closes what it has in loops that go on."""

    async def main() -> None:
        await many(Wire(own_valkey.url, timeout_s=LIMIT_S, connections=3))
        gc.collect()
        while own_valkey.clients():
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_child_uses_no_connection_of_its_parent(wire: Wire, own_valkey: Server) -> None:
    """Both go on after a fork, in threads and loops, over connections of their own, and neither gets the other's."""

    def ask(of: bytes) -> None:
        assert [wire.run(echo(of + b"%d" % n)) for n in range(50)] == [of + b"%d" % n for n in range(50)]

    def child() -> bool:
        wire.renew()
        gc.collect()
        ask(b"child")
        asyncio.run(many(wire, b"child"))
        assert wire.connections == 1
        gc.collect()
        return True

    with asyncio.Runner() as runner:
        runner.run(many(wire))
        ask(b"parent")
        mine = {one["id"] for one in own_valkey.clients()}
        assert len(mine) == 4
        assert in_a_child(child) == 0
        ask(b"parent")
        runner.run(many(wire, b"parent"))
        assert {one["id"] for one in own_valkey.clients()} == mine


def test_a_url_that_changes(own_valkey: Server) -> None:
    """A function is asked for it at each connection, so that passwords may change; it may fail for a while."""
    own_valkey.users("ann reset on >first ~* +@all")
    passwords = ["first"]

    def url() -> str:
        return own_valkey.url_of("redis", f"ann:{passwords[-1]}")

    wire = Wire(url, timeout_s=LIMIT_S, connections=2)
    assert wire.shown() == "the server"
    wire.run(scripts.ping())
    assert wire.shown() == own_valkey.url_of("redis", "ann:***")
    own_valkey.users("ann reset on >second ~* +@all")
    passwords.append("second")
    own_valkey.cut()
    wire.run(scripts.ping())
    asyncio.run(wire.run_awaited(scripts.ping()))
    passwords.clear()
    with pytest.raises(Unreachable) as told:
        asyncio.run(wire.run_awaited(scripts.ping()))
    assert told.value.reason is Reason.ADDRESS
    assert told.value.__cause__ is None
    wire.run(scripts.ping())  # is connected still
    wire.close()


@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_a_thread_that_is_struck_anywhere(valkey: Room, library: str, error: type[BaseException]) -> None:
    """It raises what struck; nobody gets the reply that it did not read, and no connection is missing afterwards."""
    wire = Wire(valkey.url_of(library), timeout_s=LIMIT_S, connections=2)
    wire.run(scripts.ping())
    last = points(lambda: wire.run(echo(b"unstruck")))
    assert last > 10
    for at in range(last):
        where, raised = strike(lambda: wire.run(echo(b"struck")), at, error, below=True)
        assert where is None or raised is None or isinstance(raised, error), f"after a strike at {where}"
        assert wire.run(echo(b"%d" % at)) == b"%d" % at, f"after a strike at {where}"
    held = Running(lambda: wire.run(Command((b"BLPOP", valkey.prefix.encode(), b"9"), list)))
    for n in range(50):
        assert wire.run(echo(b"%d" % n)) == b"%d" % n
    valkey.command("RPUSH", valkey.prefix, "x")
    held.result()
    wire.close()
