"""The processes of the tests do as they are told, and what they are tortured with would show a fault."""

import os
from pathlib import Path

import pytest
from kit.crews import Door, crew
from kit.servers import Server
from kit.threads import until
from kit.truths import Truth

pytest.importorskip("redis")

from kit.torture import tortured
from kit.ways import Naive


class Subject:
    def __init__(self, door: Door) -> None:
        self._door = door

    def process(self) -> int:
        return os.getpid()

    def stand(self, name: str) -> object:
        return self._door.wait(name)

    def fail(self) -> None:
        raise LookupError("as it was told")


@pytest.mark.parametrize("how", ["forkserver", "spawn"])
def test_processes_do_as_they_are_told(how: str) -> None:
    """Each answers, stands at its gate until it is let through, says what was raised there, and ends with the block."""
    with crew(2, Subject, how=how) as (one, other):
        assert len({one.call("process"), other.call("process"), os.getpid()}) == 3
        one.begin("stand", "here")
        assert one.reached() == "here"
        assert one.is_busy()
        one.open("go")
        assert one.answer() == "go"
        with pytest.raises(AssertionError, match="LookupError: as it was told"):
            other.call("fail")
        other.pause()
        other.begin("process")
        assert other.is_busy()
        other.go_on()
        assert other.answer() == other.process.pid
        one.kill()
        assert one.process.exitcode == -9
        left = other.process.pid
    assert left is not None
    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)


def test_processes_know_the_same_truth(tmp_path: Path) -> None:
    """A change is there for whoever maps the file, and what was announced stays where an older version comes late."""
    one, other = Truth(tmp_path / "truth", 3), Truth(tmp_path / "truth", 3)
    assert (one.change(1), one.change(1), other.read(1), other.read(2)) == (1, 2, 2, 0)
    assert other.announced(1) == (0, 0.0)
    one.announce(1, 2)
    version, at_s = other.announced(1)
    assert version == 2
    assert 0 <= at_s <= other.now_s()
    other.announce(1, 1)
    assert one.announced(1) == (version, at_s)
    one.close(), other.close()


def test_the_naive_way_fails_under_torture(own_valkey: Server, tmp_path: Path) -> None:
    """A dictionary, GET, SET and a channel give what was changed long before, and keep it when all is quiet."""
    found = tortured(Naive, own_valkey.url_of("redis"), "naive", tmp_path, processes=3, seconds=1.0, threads=2)
    assert (found.changes > 0, found.errors) == (True, [])
    assert found.stale + found.left > 0
    until(lambda: not own_valkey.clients())
