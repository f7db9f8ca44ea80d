"""Servers to share through, and the shares that processes have in a tier there."""

from collections.abc import Iterator
from typing import Any

import pytest
from kit.links import Caller, MakeMember, Member
from kit.servers import Room, Server, tls_server


@pytest.fixture(scope="session")
def server_of_all() -> Iterator[Server]:
    """One server for each process of the tests; ask for ``valkey``."""
    with Server() as server:
        yield server


@pytest.fixture
def valkey(server_of_all: Server) -> Room:
    """A prefix of the test's own on a server that runs: ``Tier(valkey.url, prefix=valkey.prefix)``."""
    return Room(server_of_all)


@pytest.fixture
def own_valkey() -> Iterator[Server]:
    """A server of the test's own, which it may kill, stop, fill up and flush."""
    with Server() as server:
        yield server


@pytest.fixture
def tls_valkey() -> Iterator[Server]:
    """The same with TLS; ``tls_valkey.certificate.path`` is the authority to trust."""
    with tls_server() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Calls what has two colours, in one of them."""
    made = Caller(request.param)
    yield made
    made.close()


@pytest.fixture
def member(valkey: Room) -> Iterator[MakeMember]:
    """Makes members of one tier, each as a process would be."""
    made: list[Member] = []

    def make(url: str = valkey.url, **options: Any) -> Member:
        made.append(Member(url, valkey.prefix, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
