"""What an exception that strikes a server as it begins or ends leaves: nothing open or locked, and room for another."""

import gc
import itertools
import os
import threading
import warnings
from pathlib import Path

import pytest
from kit.strikes import held_locks, strike
from kit.threads import until

from memo import Registry, bounded
from memo.exporters import Source, http, serving

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no Unix sockets")


def servers() -> list[threading.Thread]:
    """The threads of servers that live."""
    return [one for one in threading.enumerate() if one.name.startswith("memo-serve") and one.is_alive()]


@pytest.mark.parametrize(("what", "step"), [("serve", 4), ("close", 1)])
def test_a_server_that_is_begun_or_ended_in_part(runtime: Path, what: str, step: int) -> None:
    """However far it came, the next one serves, and when that is closed, nothing is left of either."""
    own = Registry()
    f = bounded(max=3, registry=own, name="f")(len)
    f("x")
    own.serve(name="web", http=0).close()  # what is imported is so before
    where: str | None = ""
    for at in itertools.count(0, step):
        if where is None:
            break
        server = own.serve(name="web") if what == "close" else None

        def operation(server: http.Server | None = server) -> None:
            if server is None:
                own.serve(name="web", http=0)
            else:
                server.close()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of a socket that nobody had yet
            where, raised = strike(operation, at)
            del raised, server, operation
            gc.collect()
        assert not held_locks([http._lock]), where
        with own.serve(name="web"), Source("web") as source:
            assert source.get("/healthz") == "ok\n", where
        assert serving() == [], where
        assert list((runtime / "memo").iterdir()) == [], where
        until(lambda: not servers())
    assert at > 40
