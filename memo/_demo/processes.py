"""The demonstration of a tier: several processes that share results by a server which is stopped meanwhile."""

import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import ExitStack

from memo._base import counted, format_seconds
from memo._demo.server import Failed, Server
from memo._demo.workers import LOAD_S, PREFIX, Called, Worker, all_of
from memo.shared import Tier

__all__ = ("run_processes",)

_FAILED = 2
_LIMIT_S = 30.0
_PAUSE_S = 0.01


def run_processes(number: int) -> int:
    """Run the demonstration; Ctrl-C ends it, the processes and the server.

    Args:
        number: How many processes.

    Returns:
        The exit status: 0, or 2 if there is no server to start.

    Raises:
        KeyboardInterrupt: Ctrl-C; everything has ended by then.
        MissingExtra: No client library is installed.
    """
    try:
        with ExitStack() as until_the_end:
            server = until_the_end.enter_context(Server())
            Tier(server.url, prefix=PREFIX).close()  # what is missing shows here, rather than in each process
            _say(f"memo demo: {number} processes, and {server.kind}")
            workers = [until_the_end.enter_context(Worker(server.url)) for _ in range(number)]
            for worker in workers:
                worker.begin("ready")
            for worker in workers:
                worker.answer()
            _loads(workers)
            _invalidates(workers)
            _goes_without(workers, server)
            _comes_back(workers, server)
            _say("\nProcess 1 has logged:")
            for line in workers[0].ask("logged"):
                _say(textwrap.fill(line, 100, initial_indent="   ", subsequent_indent="      "))
            _say(f"\nprint(registry) in process 1 says:\n\n{workers[0].ask('table')}")
    except KeyboardInterrupt:
        _say("\nInterrupted.")
        raise
    except Failed as error:
        print(f"memo demo --processes: {error}", file=sys.stderr)
        return _FAILED
    return 0


def _loads(workers: Sequence[Worker]) -> None:
    _say(f"\n1. All ask for the same report at the same moment. It takes {format_seconds(LOAD_S)} to load.")
    _say(f"   each by itself     {_told(all_of(workers, 'alone', 'Monday'))}")
    _say(f"   through the tier   {_told(all_of(workers, 'shared', 'Monday'))}")
    _say(f"   once more          {_told(all_of(workers, 'shared', 'Monday'))}")


def _invalidates(workers: Sequence[Worker]) -> None:
    _say("\n2. Process 1 invalidates the report.")
    first, *others = workers
    for other in others:
        other.begin("gone", "Monday")
    began = first.ask("invalidate", "Monday")
    _say(f"   gone in the others {_gone(others, began)}")
    _say(f"   all ask again      {_told(all_of(workers, 'shared', 'Monday'))}")


def _goes_without(workers: Sequence[Worker], server: Server) -> None:
    _say("\n3. The server is stopped: it answers nobody, and refuses nobody.")
    server.pause()
    _say(f"   what they have     {_told(all_of(workers, 'shared', 'Monday'))}")
    for day in ("Tuesday", "Wednesday", "Thursday"):  # so many questions it takes to give it up
        called = all_of(workers, "shared", day)
        if day == "Tuesday":
            _say(f"   another report     {_told(called)}")
    _say(f"   and another        {_told(all_of(workers, 'shared', 'Friday'))}")
    workers[-1].ask("invalidate", "Monday")
    _say(f"   process {len(workers)} invalidates the first report; the tier is {workers[-1].ask('state')} for it")


def _comes_back(workers: Sequence[Worker], server: Server) -> None:
    _say("\n4. The server goes on.")
    *others, _ = workers
    for other in others:
        other.begin("gone", "Monday")
    began = time.monotonic()
    server.go_on()
    _say(f"   gone in the others {_gone(others, began)}")
    waiting = list(workers)
    while waiting and time.monotonic() - began < _LIMIT_S:
        waiting = [worker for worker in waiting if worker.ask("state") != "up"]
        time.sleep(_PAUSE_S)
    _say(f"   the tier is up for {len(workers) - len(waiting)} of {counted(len(workers), 'process', 'processes')}")
    _say(f"   all ask again      {_told(all_of(workers, 'shared', 'Monday'))}")


def _told(called: Sequence[Called]) -> str:
    """What came of one call in each process."""
    loads, errors = sum(one.ran for one in called), [one.error for one in called if one.error is not None]
    spent = f"at most {format_seconds(max(one.seconds for one in called))}"
    return f"{counted(loads, 'load')}, {spent}, " + (f"errors: {errors[0]}" if errors else "no error")


def _gone(others: Sequence[Worker], began: float) -> str:
    moments = [worker.answer() for worker in others]
    return "after " + ", ".join("-" if at is None else format_seconds(max(0.0, at - began)) for at in moments)


def _say(text: str) -> None:
    print(text, flush=True)
