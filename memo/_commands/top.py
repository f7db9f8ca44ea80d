"""``python -m memo top``: live figures on the whole terminal, one table, or lines of JSON."""

import argparse
import json
import queue
import shutil
import time
from typing import Any

from memo._base import format_seconds, print_text
from memo._commands.columns import column_of, sorted_rows
from memo._commands.drawing import draw, draw_choice, totals_of
from memo._commands.failures import INTERRUPTED, Failed, reason
from memo._commands.polling import Answer, Broken, Poller, path_of
from memo._commands.readings import BadAnswer, Readings
from memo._commands.table import fitted, head_line, row_line
from memo._commands.targets import named, only_one, services, source
from memo._commands.terminal import Ended, Terminal
from memo._commands.text import text_of
from memo._commands.view import View
from memo.exporters import Source, SourceError

__all__ = ("top",)

_FRESH_S = 3.0
"""Within that there are new figures: a server takes them once a second, however often it is asked."""
_LATE_S = 2.0
_REDRAWN_S = 1.0


def top(given: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        The exit status.

    Raises:
        Failed: Nobody serves there, the command line is wrong, or the terminal will not do.
        MissingExtra: rich is not installed, and the terminal is wanted.
    """
    if given.once or given.json:
        with source(named(given.target), given) as asked:
            return _once(asked, given) if given.once else _lines(asked, given)
    try:
        with Terminal() as terminal:
            target = given.target if given.target is not None else _choose(terminal)
            if target is not None:
                _Live(terminal, source(target, given), given).run()
    except Ended as ended:
        return ended.status
    return 0


# -- without a terminal


def _ask(asked: Source, readings: Readings) -> None:
    try:
        readings.take(asked.get(path_of(since=readings.token)))
    except SourceError as error:
        raise Failed(reason(error)) from error
    except BadAnswer as error:
        raise Failed(str(error)) from error


def _once(asked: Source, given: argparse.Namespace) -> int:
    """One table of one interval, or one object."""
    readings = Readings()
    try:
        _ask(asked, readings)
        until_s = time.monotonic() + given.every + _FRESH_S
        while readings.seconds is None and time.monotonic() < until_s:
            time.sleep(given.every)
            _ask(asked, readings)
    except KeyboardInterrupt:
        return INTERRUPTED
    return print_text(_json(readings, given) if given.json else _table(readings, given), "top")


def _lines(asked: Source, given: argparse.Namespace) -> int:
    """An object a line, until Ctrl-C, or until nobody reads them."""
    readings = Readings()
    try:
        while True:
            _ask(asked, readings)
            if status := print_text(_json(readings, given), "top"):
                return status
            time.sleep(given.every)
    except KeyboardInterrupt:
        return INTERRUPTED


def _json(readings: Readings, given: argparse.Namespace) -> str:
    totals = totals_of(readings, View())
    rows = sorted_rows(readings.rows, column_of(given.sort), totals)
    told: dict[str, Any] = {
        "process": readings.process,
        "processes": [one._asdict() for one in readings.processes],
        "taken": readings.taken,
        "seconds": readings.seconds,
        "functions": [row.as_dict() for row in rows],
        "flights": [one._asdict() for one in readings.flights],
        "notes": list(readings.notes),
    }
    return json.dumps(told) + "\n"


def _table(readings: Readings, given: argparse.Namespace) -> str:
    """The table as text: as wide as the terminal, or COLUMNS, and else as wide as it is."""
    width = shutil.get_terminal_size((0, 0)).columns or None
    totals = totals_of(readings, View())
    chosen = fitted(readings.rows, totals, width, given.sort)
    rows = sorted_rows(readings.rows, column_of(given.sort), totals)
    lines = [head_line(chosen, totals, given.sort, reverse=False), *(row_line(row, chosen, totals) for row in rows)]
    return "".join(f"{text_of(line)}\n" for line in lines)


# -- on a terminal


def _choose(terminal: Terminal) -> str | None:
    """The only service, or the one that the user points at; None if none of them."""
    found = services()
    if (name := only_one(found)) is not None:
        return name
    at = 0
    while True:
        width, height = terminal.size
        terminal.show(draw_choice([str(one) for one in found], at, width, height))
        for key in terminal.keys(_REDRAWN_S):
            if key in ("up", "down"):
                at = (at + (1 if key == "down" else -1)) % len(found)
            elif key == "enter":
                return found[at].target
            elif key in ("q", "escape"):
                return None


class _Live:
    """The live view of one server."""

    def __init__(self, terminal: Terminal, asked: Source, given: argparse.Namespace) -> None:
        self._terminal = terminal
        self._every_s: float = given.every
        self._view = View(sort=given.sort)
        self._readings = Readings()
        self._poller = Poller(asked, given.every, terminal.wake)
        self._lost: str | None = None
        self._heard_s = time.monotonic()
        """When the server last answered; before that, when it was first asked."""

    def run(self) -> None:
        """Show and obey until the user has seen enough.

        Raises:
            Failed: The server was never there.
            Ended: By a signal, or the loss of the terminal.
        """
        self._poller.start()
        try:
            while not self._view.ended:
                self._hear()
                width, height = self._terminal.size
                self._terminal.show(
                    draw(
                        self._readings, self._view, width, height, self._status(), ascii_only=self._terminal.ascii_only
                    )
                )
                for key in self._terminal.keys(_REDRAWN_S):
                    self._press(key)
        finally:
            self._poller.stop()

    def _press(self, key: str) -> None:
        view = self._view
        paused, by_process = view.paused, view.by_process
        view.press(key)
        if view.paused != paused:
            self._poller.pause(view.paused)
        if view.by_process != by_process:
            self._poller.ask_by_process(view.by_process)

    def _hear(self) -> None:
        """Take in what the poller has brought."""
        while True:
            try:
                news = self._poller.news.get_nowait()
            except queue.Empty:
                return
            if isinstance(news, Broken):
                raise news.error
            if isinstance(news, Answer):
                self._take(news)
            elif self._readings.taken is None:
                raise Failed(news.why)  # rather than a view of nothing: the name may be wrong
            else:
                self._lost = news.why

    def _take(self, answer: Answer) -> None:
        if answer.by_process != self._view.by_process:
            return  # it was under way when the user changed his mind
        try:
            self._readings.take(answer.told)
        except BadAnswer as error:
            raise Failed(str(error)) from error
        self._lost, self._heard_s = None, time.monotonic()

    def _status(self) -> str:
        for_s = time.monotonic() - self._heard_s
        ago = format_seconds(round(for_s)) if for_s >= 1 else "now"
        if self._lost is not None:
            return f"gone, last heard of {ago} ago; asked again and again: {self._lost}"
        return f"no answer for {ago}" if for_s > self._every_s + _LATE_S else ""
