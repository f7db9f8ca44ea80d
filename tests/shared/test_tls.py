"""Encrypted connections: whom a wire believes, and what it says of one that it does not."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from kit.servers import Server
from kit.threads import LIMIT_S
from kit.tiers import Key

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
