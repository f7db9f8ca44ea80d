"""Processes that do what they are told, that stand at gates, and that can be killed and stopped."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from kit.processes import stop
from kit.threads import LIMIT_S

__all__ = ("Door", "Worker", "crew")

_PRELOADED = ("pytest", "redis", "valkey", "memo", "memo.shared", "kit.ways")
"""What the server of forks has imported, so that a process is there at once."""


class Door:
    """The worker's side of a gate, for whichever of its loads are to stand there."""

    def __init__(self, pipe: "multiprocessing.connection.Connection") -> None:
        self._pipe = pipe

    def wait(self, name: object) -> Any:
        """Tell the test that somebody is here, and stand until it says go on; what it says."""
        self._pipe.send(name)
        return self._pipe.recv()


def _serve(
    make: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    orders: "multiprocessing.connection.Connection",
    gate: "multiprocessing.connection.Connection",
    others: "tuple[multiprocessing.connection.Connection, ...]",
) -> None:
    """Make a subject, and call its methods as told, until the test closes its end or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    for one in others:  # a fork has the test's ends, too
        one.close()
    subject = None
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            method, given, named = orders.recv()
            try:
                if subject is None:
                    subject = make(Door(gate), *arguments, **options)
                answer = (True, getattr(subject, method)(*given, **named) if method else None)
            except BaseException:
                answer = (False, traceback.format_exc())
            orders.send(answer)
    os._exit(0)  # with its threads, whatever they wait for


class Worker:
    """A process with a subject, whose methods it calls one after the other.

    Args:
        make: Makes the subject, given the process's ``Door`` and all else; importable by name, as all arguments must
            be picklable.
        how: "forkserver" is as quick as "fork", and has no threads of the tests'; "spawn" is slow.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any, how: str = "forkserver", **options: Any) -> None:
        context = multiprocessing.get_context(how)
        if how == "forkserver":
            context.set_forkserver_preload([*_PRELOADED])
        self._orders, orders = context.Pipe()
        self._gate, gate = context.Pipe()
        ours = (self._orders, self._gate) if how == "fork" else ()
        self.process = context.Process(target=_serve, args=(make, arguments, options, orders, gate, ours), daemon=True)
        self.process.start()
        orders.close()
        gate.close()
        self._asked = 0
        self.begin("")

    # -- what it is told

    def begin(self, method: str, *arguments: Any, **options: Any) -> None:
        """Have it call *method*, and do not wait for the answer."""
        self._orders.send((method, arguments, options))
        self._asked += 1

    def answer(self, limit_s: float = LIMIT_S) -> Any:
        """What the last call begun has returned."""
        while True:
            assert self._orders.poll(limit_s), "the process hangs"
            well, found = self._orders.recv()
            self._asked -= 1
            assert well, found
            if not self._asked:
                return found

    def is_busy(self) -> bool:
        """Whether it has not yet answered."""
        return bool(self._asked) and not self._orders.poll(0)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        self.begin(method, *arguments, **options)
        return self.answer()

    # -- its gate

    def reached(self) -> Any:
        """Wait until a load stands at the gate; what it says of itself."""
        assert self._gate.poll(LIMIT_S), "nobody came to the gate"
        return self._gate.recv()

    def stands(self) -> bool:
        """Whether a load is there that ``reached()`` would return at once."""
        return self._gate.poll(0)

    def open(self, word: object = None) -> None:
        """Let one load through, and tell it a *word*."""
        self._gate.send(word)

    # -- what befalls it

    def pause(self) -> None:
        assert self.process.pid is not None
        stop(self.process.pid)

    def go_on(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(LIMIT_S)

    def end(self) -> None:
        self.kill()
        self._orders.close()
        self._gate.close()
        self.process.close()


@contextlib.contextmanager
def crew(count: int, make: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[list[Worker]]:
    """Some processes of the same subject, which are there when the block begins, and end with it."""
    workers: list[Worker] = []
    try:
        while len(workers) < count:
            workers.append(Worker(make, *arguments, **options))
        for worker in workers:
            worker.answer()
        yield workers
    finally:
        for worker in workers:
            worker.end()
