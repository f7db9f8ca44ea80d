"""What servers do wrong, and what a wire makes of it: one kind of failure, with a reason, for threads and loops."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kit.servers import PROGRAMS, Server, program
from kit.threads import LIMIT_S, until
from kit.tiers import Key

from memo.shared import _scripts as scripts
from memo.shared._loop_pool import LoopPool
from memo.shared._scripts import Command, new_id
from memo.shared._unreachable import Reason, Unreachable
from memo.shared._wire import Wire

LIBRARIES = ("redis", "valkey")
WAYS: dict[str, Callable[[Wire, Command[Any]], Any]] = {
    "thread": lambda wire, command: wire.run(command),
    "loop": lambda wire, command: asyncio.run(wire.run_awaited(command)),
}
ways = pytest.mark.parametrize("way", WAYS)


def reason(wire: Wire, way: str, command: Command[Any] | None = None) -> Reason:
    with pytest.raises(Unreachable) as told:
        WAYS[way](wire, scripts.ping() if command is None else command)
    return told.value.reason


@contextlib.contextmanager
def wire_to(url: str, *, timeout_s: float = LIMIT_S, connections: int = 2, **options: Any) -> Iterator[Wire]:
    wire = Wire(url, timeout_s=timeout_s, connections=connections, client_options=options)
    yield wire
    wire.close()


@ways
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_server_that_stands_still_costs_three_timeouts(own_valkey: Server, library: str, way: str) -> None:
    """Three callers wait for the timeout, then none, whatever the URL says of timeouts, repetitions and protocols."""
    url = own_valkey.url_of(library) + "?socket_timeout=60&retry_on_timeout=yes&protocol=3&socket_connect_timeout=60"
    with wire_to(url, timeout_s=0.1) as wire:
        own_valkey.pause()
        assert [reason(wire, way) for _ in range(4)] == [Reason.TIMEOUT] * 3 + [Reason.OPEN]
        assert 0.25 <= wire.seconds < 60.0
        own_valkey.go_on()


@ways
def test_a_server_that_is_killed_and_comes_back(own_valkey: Server, way: str) -> None:
    """It refuses, and is used again, over a new connection, once the breaker is closed."""
    with wire_to(own_valkey.url) as wire:
        WAYS[way](wire, scripts.ping())
        own_valkey.kill()
        assert [reason(wire, way) for _ in range(4)] == [Reason.REFUSED] * 3 + [Reason.OPEN]
        own_valkey.restart(empty=True)
        assert reason(wire, way) is Reason.OPEN
        wire.breaker.close()
        WAYS[way](wire, scripts.ping())


async def _all(wire: Wire, commands: list[Command[Any]]) -> None:
    await asyncio.gather(*map(wire.run_awaited, commands))


@ways
def test_a_failover(way: str) -> None:
    """Once a replica is met, or the breaker was open, connections are made to where the URL leads by then."""
    with Server() as old, Server() as new, asyncio.Runner() as runner:
        there = [old]
        wire = Wire(lambda: there[0].url, timeout_s=LIMIT_S, connections=2)
        run = wire.run if way == "thread" else lambda command: runner.run(wire.run_awaited(command))
        key = Key(run, "shop")
        key.put(b"text")
        several = [scripts.ping()] * 20
        if way == "thread":
            list(ThreadPoolExecutor(9).map(run, several))
        else:
            runner.run(_all(wire, several))
        there[0] = new
        old.command("REPLICAOF", "127.0.0.1", new.port)
        with pytest.raises(Unreachable) as told:
            key.clear()
        assert told.value.reason is Reason.READ_ONLY
        for _ in range(3):
            key.put(b"text")
        assert new.command("EXISTS", key.value) == 1
        there[0] = old
        for _ in range(3):
            wire.breaker.failed(Unreachable(Reason.RESET), wire.breaker.era)
        wire.breaker.close()
        with pytest.raises(Unreachable) as told:
            key.clear()
        assert told.value.reason is Reason.READ_ONLY
        wire.close()


def test_connections_that_were_cut_are_made_anew(own_valkey: Server) -> None:
    """One that was cut while nobody used it costs nobody an error."""
    with wire_to(own_valkey.url) as wire:
        for _ in range(3):
            wire.run(scripts.ping())
            assert own_valkey.cut() == 1
            until(lambda: not own_valkey.clients())
        wire.run(scripts.ping())

        async def main() -> None:
            for _ in range(3):
                await wire.run_awaited(scripts.ping())
                own_valkey.cut()
                while wire._loops and own_valkey.clients():
                    await asyncio.sleep(0)
                await asyncio.sleep(0.001)

        asyncio.run(main())


@ways
@pytest.mark.parametrize("kind", PROGRAMS)
def test_replicas_and_full_servers(way: str, kind: str) -> None:
    """What cannot be written to fails with its reason, from within a script, too; a full one is told what is void."""
    path = program(kind)
    if path is None:
        pytest.skip(f"no {kind} here")
    with Server(path) as server, wire_to(server.url_of("redis")) as wire:
        key = Key(lambda command: WAYS[way](wire, command), "shop")
        ask = scripts.ask(key.value, key.lease, key.generations, key.log, token=new_id(), lease_ms=1000, max_value=1000)
        server.fill_up()
        assert reason(wire, way, ask) is Reason.FULL
        key.drop()
        key.clear()
        key.clear_tag()
        assert reason(wire, way, scripts.where(key.log, prove=True)) is Reason.FULL
        server.make_room()
        assert [one.kind for one in key.messages()] == [b"drop", b"all", b"tag"]
        server.command("REPLICAOF", "127.0.0.1", "1")
        assert reason(wire, way, ask) is Reason.READ_ONLY


@ways
def test_a_server_that_runs_a_script_for_long(own_valkey: Server, way: str) -> None:
    """It is not ready; nothing waits for the script."""
    own_valkey.command("CONFIG", "SET", "busy-reply-threshold", 1)
    with wire_to(own_valkey.url) as wire:
        spin = threading.Thread(
            target=reason, args=(wire, "thread", Command((b"EVAL", b"while true do end", 0), bytes))
        )
        spin.start()
        with contextlib.suppress(Unreachable):
            while True:
                wire.run(scripts.ping())
        assert reason(wire, way) is Reason.LOADING
        own_valkey.kill()
        spin.join(LIMIT_S)


@ways
def test_servers_that_cannot_be_used_at_all(way: str) -> None:
    """One of a cluster, and one that does not know what Redis 6.0 brought, open the breaker at once."""
    settings = {"cluster-enabled": "yes"}, {"rename-command": 'HELLO ""'}
    for setting, expected in zip(settings, (Reason.CLUSTER, Reason.TOO_OLD), strict=True):
        with Server(program("redis-server"), setting) as server, wire_to(server.url_of("redis")) as wire:
            assert [reason(wire, way), reason(wire, way)] == [expected, Reason.OPEN]


@ways
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_no_server_of_ours(way: str, library: str) -> None:
    """Whatever answers, and however: no other exception comes out."""
    for answer in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+OK\r\n" * 9,
        b"*-7\r\n",
        b"$99999999999\r\n",
        b"*1\r\n$x\r\n",
        b"",
    ):
        with _speaker(answer) as port, wire_to(f"{library}://127.0.0.1:{port}", timeout_s=0.2) as wire:
            assert reason(wire, way) in (Reason.GARBLED, Reason.RESET, Reason.TIMEOUT)


@contextlib.contextmanager
def _speaker(answer: bytes) -> Iterator[int]:
    """Says *answer* to whoever asks something, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listening.accept()[0] as peer:
                        peer.recv(10)
                        peer.sendall(answer)
                        peer.shutdown(socket.SHUT_WR)
                        peer.recv(10_000)

        speaking = threading.Thread(target=speak, daemon=True)
        speaking.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            speaking.join(LIMIT_S)


def test_threads_that_find_no_connection_free(own_valkey: Server) -> None:
    """While one holds the only connection, others are refused it in time, and the breaker stays closed."""
    with wire_to(own_valkey.url, timeout_s=LIMIT_S, connections=1) as wire:
        wire.run(scripts.ping())
        held = wire._threads._free.pop()  # by hand: a command that holds it would be timed out before those who wait
        wire._threads._timeout_s = 0.3  # of those who wait alone: a server may take longer on a busy machine
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(reason, [wire] * 8, ["thread"] * 8)) == {Reason.WAITING}
        assert (wire.waited, wire.breaker.is_open) == (8, False)
        wire._threads._timeout_s = LIMIT_S
        wire._threads._free.append(held)
        wire.run(scripts.ping())


def test_coroutines_that_find_no_connection_free(own_valkey: Server) -> None:
    """The same, in a loop: those that were never sent are told so; what holds the connection is ended all the same."""

    async def held(wire: Wire, pool: LoopPool, timeout_s: float) -> tuple["asyncio.Future[Any]", asyncio.Event]:
        """A command that has the only connection for so long, and what is set once it has ended."""
        pool._timeout_s = timeout_s
        late = asyncio.Event()
        holder = asyncio.ensure_future(wire.run_awaited(Command((b"BLPOP", b"list", b"60"), list), late.set))
        await asyncio.sleep(0)
        while pool._queue:  # until it was sent
            await asyncio.sleep(0)
        pool._timeout_s = 0.1
        return holder, late

    async def main(wire: Wire) -> None:
        await wire.run_awaited(scripts.ping())
        (pool,) = wire._loops
        holder, late = await held(wire, pool, LIMIT_S)  # one that is out of time first would make way for a ping
        outcomes = await asyncio.gather(*(wire.run_awaited(scripts.ping()) for _ in range(8)), return_exceptions=True)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == [Reason.WAITING] * 8
        assert not wire.breaker.is_open
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        await late.wait()
        holder, late = await held(wire, pool, 0.1)
        with pytest.raises(Unreachable) as told:
            await holder
        assert told.value.reason is Reason.TIMEOUT
        await late.wait()
        pool._timeout_s = LIMIT_S
        await wire.run_awaited(scripts.ping())

    with wire_to(own_valkey.url, connections=1) as wire:
        asyncio.run(main(wire))
