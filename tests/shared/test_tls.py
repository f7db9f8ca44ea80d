"""Encrypted connections: whom a wire believes, and what it says of one that it does not."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.servers import Server, certificate
from kit.threads import LIMIT_S, until
from kit.tiers import Key

from memo import bounded
from memo.shared import Tier
from memo.shared import _scripts as scripts
from memo.shared._scripts import Command, Value
from memo.shared._unreachable import Reason, Unreachable
from memo.shared._wire import Wire

WAYS: dict[str, Callable[[Wire, Command[Any]], Any]] = {
    "thread": lambda wire, command: wire.run(command),
    "loop": lambda wire, command: asyncio.run(wire.run_awaited(command)),
}
ways = pytest.mark.parametrize("way", WAYS)
schemes = pytest.mark.parametrize("scheme", ["rediss", "valkeys"])


def wire_to(url: str, **options: Any) -> Wire:
    return Wire(url, timeout_s=LIMIT_S, connections=2, client_options=options)


@ways
@schemes
def test_a_server_whose_authority_is_known_is_used(tls_valkey: Server, scheme: str, way: str) -> None:
    """Named by an option, or in the URL."""
    authority = str(tls_valkey.certificate.path)
    for wire in (
        wire_to(tls_valkey.url_of(scheme), ssl_ca_certs=authority),
        wire_to(f"{tls_valkey.url_of(scheme)}?ssl_ca_certs={authority}"),
    ):
        key = Key(lambda command, wire=wire: WAYS[way](wire, command), "shop")
        key.put(b"x" * 50_000)
        found = key.ask(b"", max_value=10**6)
        assert isinstance(found, Value)
        assert found.data.endswith(b"x" * 50_000)
        wire.close()


@ways
@schemes
def test_a_server_whose_authority_is_not_known_is_not_believed(
    tls_valkey: Server, scheme: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent to it, the breaker opens at once, and one error tells."""
    wire = wire_to(tls_valkey.url_of(scheme, "ann:s3cret"))
    with caplog.at_level(logging.INFO), pytest.raises(Unreachable) as told:
        WAYS[way](wire, scripts.ping())
    assert told.value.reason is Reason.TLS
    assert wire.breaker.is_open
    (record,) = [record for record in caplog.records if record.name == "memo"]
    assert record.levelno == logging.ERROR
    assert "ann:***@" in record.getMessage()
    wire.close()


@ways
@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_a_server_that_wants_tls_is_asked_without(tls_valkey: Server, scheme: str, way: str) -> None:
    """It hangs up, and is left alone like one that is down."""
    wire = wire_to(f"{scheme}://127.0.0.1:{tls_valkey.port}")
    for _ in range(3):
        with pytest.raises(Unreachable) as told:
            WAYS[way](wire, scripts.ping())
        assert told.value.reason is Reason.RESET
    assert wire.breaker.is_open
    wire.close()


@pytest.fixture(params=["sync", "async"])
def process(
    request: pytest.FixtureRequest, tls_valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Tier, Callable[[Any], Any], Path]]:
    """A tier, a function of it, and the file of the authorities that it knows."""
    monkeypatch.setattr("memo.shared._breaker._FINAL_PROBES_S", (0.02, 0.02))
    authorities = tmp_path / "authorities.pem"
    shutil.copy(tls_valkey.certificate.path, authorities)
    loads: list[Any] = []

    def load(key: Any) -> Any:
        loads.append(key)
        return [key, len(loads)]

    async def load_awaited(key: Any) -> Any:
        return load(key)

    is_async = request.param == "async"
    url = tls_valkey.url_of("rediss")
    with Tier(url, prefix="shop", timeout="5s", client_options={"ssl_ca_certs": str(authorities)}) as tier:
        made: Any = bounded(max=10, ttl="1h", shared=tier, name="f")
        f = made(load_awaited if is_async else load)
        yield tier, (lambda key: asyncio.run(f(key)) if is_async else f(key)), authorities


def exchanged(server: Server, folder: Path) -> Path:
    """Have the server show another certificate, of another authority, from now on; where that is."""
    made = certificate(folder)
    server.certificate = made
    server.restart(empty=False)
    return made.path


Process = tuple[Tier, Callable[[Any], Any], Path]


def test_a_certificate_that_is_exchanged_unexpectedly(
    process: Process, tls_valkey: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One error tells; calls load; once the authority is known, by the same file, the server is used again."""
    tier, f, authorities = process
    assert f("a") == ["a", 1]
    shown = exchanged(tls_valkey, tmp_path)
    until(lambda: "cannot be trusted" in caplog.text)
    assert tier.state == "down"
    assert f("b") == ["b", 2]
    shutil.copy(shown, authorities)
    until(lambda: tier.state == "up")
    assert f("c") == ["c", 3]
    assert tls_valkey.command("EXISTS", *tls_valkey.command("KEYS", "shop:1:{*}")) == 2
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


def test_a_certificate_that_is_exchanged_as_announced(
    process: Process, tls_valkey: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the file of authorities has both, the server is away for as long as it takes to restart, and no more."""
    tier, f, authorities = process
    assert f("a") == ["a", 1]
    new = tmp_path / "new"
    new.mkdir()
    tls_valkey.kill()
    made = certificate(new)
    authorities.write_bytes(authorities.read_bytes() + made.path.read_bytes())
    tls_valkey.certificate = made
    tls_valkey.restart(empty=True)
    tier.catch_up("20s")
    until(lambda: tier.state == "up")
    assert f("b") == ["b", 2]
    assert tls_valkey.command("EXISTS", *tls_valkey.command("KEYS", "shop:1:{*}")) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
