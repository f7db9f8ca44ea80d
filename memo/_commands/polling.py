"""The thread that asks for figures, so that a server which is slow, or gone, holds no key up."""

import queue
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memo._commands.failures import reason
from memo.exporters import Source, SourceError

__all__ = ("Answer", "Broken", "Lost", "Poller", "path_of")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server told."""

    told: Any
    by_process: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The server could not be reached, or refused: a sentence that says why."""

    why: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An error of this program, to be raised where the user sees it."""

    error: BaseException


def path_of(**query: str | None) -> str:
    """What is asked for, by a query such as ``since="..."``; what is None is left out."""
    given = {key: value for key, value in query.items() if value is not None}
    return "/stats.json" + (f"?{urllib.parse.urlencode(given)}" if given else "")


class Poller:
    """Asks every so often, in a daemon thread of its own, until it is stopped.

    A server that went away is asked again and again: it is there when it is back.

    Args:
        source: What is asked.
        every_s: Seconds from an answer to the next question.
        wake: Called in that thread whenever there is something new in ``news``.
    """

    def __init__(self, source: Source, every_s: float, wake: Callable[[], object]) -> None:
        self.news: queue.SimpleQueue[Answer | Lost | Broken] = queue.SimpleQueue()
        self._source = source
        self._every_s = every_s
        self._wake = wake
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Of the thread alone; others send orders.
        self._by_process = self._paused = self._stopped = False
        self._token: str | None = None

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="memo-top-poller", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._orders.put(lambda: self._set(stopped=True))

    def pause(self, paused: bool) -> None:
        """Ask nothing for the time being, or go on at once."""
        self._orders.put(lambda: self._set(paused=paused))

    def ask_by_process(self, by_process: bool) -> None:
        """Ask for a row for each process, or for one for all; at once."""
        self._orders.put(lambda: self._set(by_process=by_process))

    def _set(self, *, stopped: bool | None = None, paused: bool | None = None, by_process: bool | None = None) -> None:
        if stopped is not None:
            self._stopped = stopped
        if paused is not None:
            self._paused = paused
        if by_process is not None:
            self._by_process, self._token = by_process, None

    def _run(self) -> None:
        try:
            while not self._stopped:
                if not self._paused:
                    self.news.put(self._ask())
                    self._wake()
                try:
                    order = self._orders.get(timeout=None if self._paused else self._every_s)
                except queue.Empty:
                    continue
                order()
        except BaseException as error:
            self.news.put(Broken(error))
            self._wake()
        finally:
            self._source.close()

    def _ask(self) -> Answer | Lost:
        token, self._token = self._token, None
        try:
            told = self._source.get(path_of(since=token, by="process" if self._by_process else None))
        except SourceError as error:
            return Lost(reason(error))
        if isinstance(told, dict) and isinstance(told.get("token"), str):
            self._token = told["token"]
        return Answer(told, self._by_process)
