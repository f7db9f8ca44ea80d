"""What a server told so far, and what happened between its last two answers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from memo._commands.rows import Row, row_of
from memo._commands.tiers import Tier, tiers_of

__all__ = ("BadAnswer", "Flying", "Process", "Readings")

_FORMAT = 1


class BadAnswer(Exception):
    """Something answered that is no server of this package, or one of another version; its text is for the user."""


class Flying(NamedTuple):
    """One running call."""

    function: str
    age: float
    waiters: int
    leader: str
    process: int | None = None
    key: str | None = None


class Process(NamedTuple):
    """One of the processes whose figures were told."""

    pid: int
    uptime: float | None
    functions: int | None
    error: str | None


class Readings:
    """The answers of one server, which tell what changed, put together.

    Rates are those between the last two answers of different figures: by the server's own clock, so that a late answer
    changes none, and none at all across a restart or a change of the processes, whose counters do not continue.
    """

    def __init__(self) -> None:
        self.token: str | None = None
        """What the next question gives as ``since=``."""
        self.process: Mapping[str, Any] = {}
        self.processes: Sequence[Process] = ()
        self.flights: Sequence[Flying] = ()
        """Oldest first."""
        self.notes: Sequence[str] = ()
        self.tiers: Sequence[Tier] = ()
        self.seconds: float | None = None
        """Length of the interval that rates are of; None before there is one."""
        self.taken: float | None = None
        self._told: dict[str, Mapping[str, Any]] = {}
        self._rows: dict[str, Row] = {}

    @property
    def rows(self) -> list[Row]:
        """A row for each function, in no order."""
        return list(self._rows.values())

    def take(self, answer: Any) -> None:
        """Take in an answer of ``/stats.json``.

        Raises:
            BadAnswer: It is none; what was taken in before stays.
        """
        try:
            self._take(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadAnswer(f"the answer is not that of a memo server ({type(error).__name__}: {error})") from error

    def _take(self, answer: Mapping[str, Any]) -> None:
        if answer["format"] != _FORMAT:
            raise BadAnswer(
                f"the server speaks format {answer['format']!r}, this command {_FORMAT}; use the same version of memo."
            )
        told = {**({} if answer["full"] else self._told), **answer["rows"]}
        for name in answer.get("gone") or ():
            told.pop(name, None)
        flights = sorted(map(_flying, answer.get("flights") or ()), key=lambda flight: -flight.age)
        processes = [_process(one) for one in answer.get("processes") or ()]
        rows = {name: row_of(name, figures) for name, figures in told.items()}
        oldest = {label: flight.age for flight in reversed(flights) for label in _labels(flight)}
        for name, row in rows.items():
            # The age of a call that goes on does not make its row one that changed.
            row.oldest = oldest.get(name, row.oldest) if row.running else None
        self._compare(rows, answer["taken"], _telling(processes))
        self.tiers = tiers_of(answer.get("tiers"))
        self.token = answer.get("token")
        self.process = answer.get("process") or {}
        self.processes, self.flights, self.notes = processes, flights, list(answer.get("notes") or ())
        self._told, self._rows, self.taken = told, rows, answer["taken"]

    def _compare(self, rows: dict[str, Row], taken: float, pids: set[int]) -> None:
        """Give each row the rates of the interval that ends with it."""
        same = pids == _telling(self.processes)
        if self.taken is not None and same and taken == self.taken:  # the same figures once more
            for name, row in rows.items():
                if (earlier := self._rows.get(name)) is not None:
                    row.calls_per_second = earlier.calls_per_second
                    row.recent_answered, row.recent_asked = earlier.recent_answered, earlier.recent_asked
                    row.recent_errors = earlier.recent_errors
            return
        self.seconds = None
        if self.taken is not None and same and taken > self.taken:
            self.seconds = taken - self.taken
            for name, row in rows.items():
                if (earlier := self._rows.get(name)) is not None:
                    _give_rates(row, earlier, self.seconds)


def _give_rates(row: Row, earlier: Row, seconds: float) -> None:
    """What one function did between two answers; a counter that went back was begun anew, and tells nothing."""
    if row.calls is not None and earlier.calls is not None:
        calls = row.calls - earlier.calls
        row.calls_per_second = calls / seconds if calls >= 0 else None
    row.recent_errors = _minus(row.errors, earlier.errors)
    answered, asked = _minus(row.answered, earlier.answered), _minus(row.asked, earlier.asked)
    # Hits may be counted a little late, and so be more than the calls of an interval.
    if answered is not None and asked is not None and answered >= 0 and asked >= 0:
        row.recent_answered, row.recent_asked = min(answered, asked), asked


def _minus(later: int | None, earlier: int | None) -> int | None:
    return later - earlier if later is not None and earlier is not None else None


def _telling(processes: Sequence[Process]) -> set[int]:
    """The processes whose figures are those of now."""
    return {one.pid for one in processes if one.error is None}


def _labels(flight: Flying) -> tuple[str, ...]:
    """The names that the row of a running call's function may have."""
    return (flight.function,) if flight.process is None else (flight.function, f"{flight.function}@{flight.process}")


def _flying(told: Mapping[str, Any]) -> Flying:
    return Flying(
        told["function"],
        told.get("age") or 0.0,
        told.get("waiters") or 0,
        told.get("leader") or "",
        told.get("process"),
        told.get("key"),
    )


def _process(told: Mapping[str, Any]) -> Process:
    return Process(told["pid"], told.get("uptime"), told.get("functions"), told.get("error"))
