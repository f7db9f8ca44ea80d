"""Several workers of one service: a scrape of any of them tells of all."""

import json
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.interpreters import Interpreter
from kit.processes import HANG_S, stopped
from kit.served import impatient_with_siblings
from kit.threads import until

from memo import Registry, bounded
from memo.testing import FakeClock

pytest.importorskip("prometheus_client")
pytest.importorskip("fastapi")
pytest.importorskip("gunicorn")

from kit.scrapes import Scraped, scraped, scraper
from kit.services import FOLDER, NAME, TOKEN, WORKERS, Service, started

from memo.exporters import Source
from memo.exporters.prometheus import MemoCollector

__all__ = ()

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")


def processes(told: Scraped) -> set[str]:
    """The processes that a scrape told of."""
    return {labels["process"] for labels, _ in told.values("memo_functions")}


def calls(told: Scraped, name: str = "memo_cache_requests_total") -> Counter[str]:
    """How often each function was called, in all processes together."""
    counts: Counter[str] = Counter()
    for labels, value in told.values(name):
        counts[labels["function"]] += int(value)
    return counts


# -- two processes


SIBLING = """
import memo

@memo.bounded(max=3, name="fetch")
def fetch(x):
    return x

@memo.sliding_window("1h", name="there")
def there(x):
    return x

for x in (1, 1, 2):
    fetch(x), there(x)
server = memo.registry.serve(name="test-prom")
"""


@pytest.fixture
def sibling(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    """Another process that serves under the name "test-prom"."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    process = Interpreter(SIBLING)
    yield process
    if process.is_alive:
        process.end()


def test_a_scrape_tells_of_siblings(own: Registry, runtime: Path, sibling: Interpreter, clock: FakeClock) -> None:
    """Each process has its own series under a label, with every kind of figure; a selection holds for all of them."""
    fetch = bounded(max=3, registry=own, name="fetch")(lambda x: x)
    fetch(7)
    with own.serve(name="test-prom", http=0) as server, scraper(MemoCollector(own, per_process=True)) as url:
        told = scraped(url)
        me = str(os.getpid())
        (other,) = processes(told) - {me}
        assert calls(told) == {"fetch": 4}
        results = {"hit": 1, "miss": 2, "join": 0, "stale": 0, "error": 0}
        for result, count in results.items():
            labels = {"function": "fetch", "process": other, "result": result}
            assert told.value("memo_cache_requests_total", **labels) == count
        assert told.value("memo_cache_requests_total", function="fetch", process=me, result="miss") == 1
        assert told.value("memo_window_calls", function="there", process=other) == 3
        quantiles = [labels["quantile"] for labels, _ in told.values("memo_window_duration_seconds")]
        assert quantiles == ["0.5", "0.95", "0.99"]
        with scraper(MemoCollector(own, "there", per_process=True)) as selecting:
            assert scraped(selecting).functions() == {"there"}
        assert processes(scraped(url)) == {me, other}
        assert processes(scraped(f"{server.url}metrics")) == {me, other}
        sibling.end()
        clock.advance(1)
        assert processes(scraped(url)) == {me}
        assert processes(scraped(f"{server.url}metrics")) == {me}, "its series go on under their label"


def test_a_process_that_was_alone_all_the_time_has_no_label(own: Registry, runtime: Path) -> None:
    """A service of one process is told of without a label, by as many scrapes as there are."""
    with own.serve(name="test-prom", http=0) as server:
        for _ in range(2):
            assert scraped(f"{server.url}metrics").value("memo_functions") == 0


def test_a_worker_that_does_not_answer_is_left_out(
    own: Registry, runtime: Path, sibling: Interpreter, clock: FakeClock
) -> None:
    """What a stopped worker last told is not told once more, as if it were of now."""
    with own.serve(name="test-prom"), scraper(MemoCollector(own, per_process=True)) as url:
        me = str(os.getpid())
        (other,) = processes(scraped(url)) - {me}
        impatient_with_siblings(own)
        with stopped(int(other)):
            clock.advance(1)
            assert processes(scraped(url)) == {me}
            clock.advance(1)  # it is not even asked for some seconds
            assert processes(scraped(url)) == {me}


def test_a_process_alone_says_what_is_missing(
    own: Registry, runtime: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks for all workers without serving gets this one, and a line in the log, once."""
    fetch = bounded(max=3, registry=own, name="fetch")(lambda x: x)
    fetch(1)
    with caplog.at_level(logging.WARNING, "memo"), scraper(MemoCollector(own, per_process=True)) as url:
        assert processes(scraped(url)) == processes(scraped(url)) == {str(os.getpid())}
        (said,) = [record.getMessage() for record in caplog.records]
        assert said == (
            f"per_process=True tells of process {os.getpid()} alone, since it is not served: call "
            "registry.serve(name=...) in each worker"
        )
        caplog.clear()
        with own.serve(name="test-alone"), scraper(MemoCollector(own, per_process=True)) as served:
            assert processes(scraped(served)) == {str(os.getpid())}
        assert caplog.records == []


@pytest.mark.parametrize(
    ("part", "given", "message"),
    [(False, 1, "per_process=1 is not a bool"), (True, True, "needs a whole registry, not <0 functions of")],
)
def test_bad_options_are_refused(own: Registry, part: bool, given: Any, message: str) -> None:
    """Other processes can be asked for a whole registry alone."""
    with pytest.raises(TypeError, match=message):
        MemoCollector(own.select(tag="web") if part else own, per_process=given)


# -- gunicorn


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Service, Counter[tuple[str, int]]]]:
    """The example after a load of 600 calls, and how often each of them was answered with each status."""
    Load = runpy.run_path(str(FOLDER / "load.py"))["Load"]  # noqa: N806
    with started() as service:
        load = Load(service.url, calls=600, seconds=HANG_S)
        load.run()
        yield service, load.answers


def test_the_load_goes_on_where_nobody_answers() -> None:
    """A service that is gone, or began anew, ends no thread of the load generator: what had no answer is counted."""
    Load = runpy.run_path(str(FOLDER / "load.py"))["Load"]  # noqa: N806
    with socket.socket() as nobody:  # who has the port, so that no other can, and listens to none
        nobody.bind(("127.0.0.1", 0))
        load = Load(f"http://127.0.0.1:{nobody.getsockname()[1]}", calls=40, seconds=HANG_S)
        load.run()
    assert sum(load.answers.values()) == 40
    assert {status for _, status in load.answers} == {0}


@pytest.mark.outside
def test_the_example_counts_each_call_in_some_worker(service: tuple[Service, Counter[tuple[str, int]]]) -> None:
    """Whichever worker is scraped, what all of them counted adds up to what the load has called."""
    running, answers = service
    assert sum(answers.values()) == 600
    assert {status for _, status in answers} == {200, 504}
    asked = Counter({kind: answers[kind, 200] + answers[kind, 504] for kind in ("profile", "avatar", "answer")})

    told = Scraped(())

    def adds_up() -> bool:
        nonlocal told
        told = scraped(f"{running.url}/metrics")
        counted = calls(told) + calls(told, "memo_window_calls")
        return len(processes(told)) == WORKERS and counted == {f"service.{kind}": n for kind, n in asked.items()}

    until(adds_up, HANG_S)  # figures of a second ago will do, which may lack a worker's latest calls, or a slow worker
    assert calls(told, "memo_window_errors") == {"service.answer": answers["answer", 504]}
    assert {labels["process"] for labels, _ in told.values("memo_cache_entries")} == processes(told)
    assert told.value("memo_scrape_seconds") is not None


@pytest.mark.outside
def test_the_example_has_the_page(service: tuple[Service, Counter[tuple[str, int]]]) -> None:
    """Mounted in the service, it shows all workers together to those who know the token, and nothing to others."""
    running, answers = service
    stats = f"{running.url}/memo/stats.json"
    with urllib.request.urlopen(f"{running.url}/memo/", timeout=20) as shell:
        assert b"<table" in shell.read()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(stats, timeout=20).close()
    with Source(f"{running.url}/memo", TOKEN) as source:

        def adds_up() -> bool:
            told = source.get("/stats.json")
            requests = told["rows"]["service.profile"]["cache"]["requests"]
            errors = told["rows"]["service.answer"]["window"]["errors"]
            counted = len(told["processes"]), requests, errors
            return counted == (WORKERS, answers["profile", 200], answers["answer", 504])

        until(adds_up, HANG_S)  # a worker that has no turn for a second is asked again after ten


@pytest.mark.outside
def test_the_example_is_seen_from_the_command_line(service: tuple[Service, Counter[tuple[str, int]]]) -> None:
    """memo ps lists its workers; memo top shows their functions together."""
    pytest.importorskip("rich")
    running, answers = service

    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "memo", *arguments]
        ran = subprocess.run(command, env=running.environment, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert len([line for line in said("ps").splitlines() if f" {NAME} " in line]) == WORKERS
    told = json.loads(said("top", NAME, "--once", "--json", "--every", "100ms"))
    assert len(told["processes"]) == WORKERS
    entries = {one["name"]: one["entries"] for one in told["functions"]}
    assert entries.keys() == {"service.profile", "service.avatar", "service.answer"}
    assert 0 < entries["service.profile"] <= answers["profile", 200]
    table = said("top", NAME, "--once", "--every", "100ms")
    assert all(name in table for name in entries)


@pytest.mark.outside
def test_the_example_survives_the_death_of_a_worker() -> None:
    """A worker that is killed takes its series along; the one that gunicorn starts in its place is told of."""
    with started() as running:
        url = f"{running.url}/metrics"
        until(lambda: len(processes(scraped(url))) == WORKERS, HANG_S)
        before = processes(scraped(url))
        victim = before.pop()
        os.kill(int(victim), signal.SIGKILL)

        def is_replaced() -> bool:
            try:
                now = processes(scraped(url))
            except OSError:  # by the dead worker's own connection
                return False
            return victim not in now and len(now) == WORKERS and before <= now

        until(is_replaced, HANG_S)
