"""The servers of the tests are real, and what is done to them happens."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT
from kit.servers import PROGRAMS, Room, Server, program
from kit.threads import until

redis = pytest.importorskip("redis")


def client_of(server: Server | Room, **options: object) -> "redis.Redis":
    return redis.Redis.from_url(server.url_of("redis"), socket_timeout=0.2, retry=None, **options)


def listens(port: int) -> bool:
    """Whether a process, stopped or not, has the port."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_serves_both_ways(name: str) -> None:
    """Each kind of server that is there answers at its port and at its socket."""
    path = program(name)
    if path is None:
        pytest.skip(f"no {name} here")
    with Server(path) as server:
        for scheme in ("redis", "unix"):
            with redis.Redis.from_url(server.url_of(scheme)) as client:
                assert client.set(scheme, "1")
        assert server.command("DBSIZE") == 2
        assert listens(server.port)
    assert not listens(server.port)
    assert not server.folder.exists()


def test_rooms_of_one_server_have_keys_of_their_own(valkey: Room, server_of_all: Server) -> None:
    """The prefix is another one for each test."""
    other = Room(server_of_all)
    valkey.command("SET", f"{valkey.prefix}:1:a", "1")
    assert (valkey.keys(), other.keys()) == ([f"{valkey.prefix}:1:a"], [])


def test_faults_come_and_go(own_valkey: Server) -> None:
    """A server that is stopped does not answer, a full one refuses, a flushed one is empty, a cut line is cut."""
    with client_of(own_valkey) as client:
        client.set("a", "1")
        own_valkey.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("a")
        own_valkey.go_on()
        assert client.get("a") == b"1"
        own_valkey.fill_up()
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("b", "1")
        own_valkey.make_room()
        client.set("b", "1")
        own_valkey.flush()
        assert client.get("a") is None
        client.xread({"log": "$"})
        (connection,) = own_valkey.clients()
        assert (own_valkey.cut("callers"), own_valkey.cut("line")) == (0, 1)
        assert client.get("b") is None
        assert [one["id"] for one in own_valkey.clients()] != [connection["id"]]
        own_valkey.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("a")


def test_a_restart_keeps_what_was_saved_or_nothing(own_valkey: Server) -> None:
    """It begins empty, or with what it had, or with the snapshot that was made before it was killed."""
    own_valkey.command("SET", "a", "1")
    own_valkey.restart(empty=False)
    assert own_valkey.command("GET", "a") == b"1"
    own_valkey.command("SET", "a", "2")
    own_valkey.kill()
    own_valkey.restart(empty=False)
    assert own_valkey.command("GET", "a") == b"1"
    own_valkey.restart(empty=True)
    assert own_valkey.command("GET", "a") is None


def test_users_outlive_restarts(own_valkey: Server) -> None:
    """A user may do what the rules say, the default one nothing where it is off, the kit everything."""
    own_valkey.users("ann on >secret ~shop:* +get +ping", "default off")
    own_valkey.restart(empty=True)
    with redis.Redis.from_url(own_valkey.url_of("redis", "ann:secret")) as client:
        assert client.get("shop:1") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get("other")
    with client_of(own_valkey) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.get("shop:1")
    assert own_valkey.command("DBSIZE") == 0


def test_a_certificate_can_be_verified(tls_valkey: Server) -> None:
    """A server with TLS is who it says, to whom trusts its certificate, and nobody to others."""
    trusted = tls_valkey.certificate
    assert trusted is not None
    with redis.Redis.from_url(tls_valkey.url_of("rediss"), ssl_ca_certs=str(trusted.path)) as client:
        assert client.ping()
    with redis.Redis.from_url(tls_valkey.url_of("rediss"), retry=None) as client, pytest.raises(redis.ConnectionError):
        client.ping()


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_tests_however_they_end(valkey: Room, ends: signal.Signals) -> None:
    """No server is left where the process of the tests is killed, even while the server is stopped."""
    told = "server = Server(); server.pause(); print(server.port, server.folder, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"from kit.servers import Server\n{told}"], cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        port, folder = process.stdout.readline().split()
        assert listens(int(port))
        process.send_signal(ends)
    until(lambda: not listens(int(port)) and not Path(folder).exists())
