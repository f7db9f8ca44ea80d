"""The workers of one service: this process, and its siblings, which are asked over their sockets.

Rules

- Siblings are processes of the same user with the same name, or, without one, started in the same way.
- Each is asked for its own figures alone (``own=1``), and for what changed: so nobody asks in a circle.
- All are asked at most once a second, whoever looks on.  One that does not answer in a second is left alone for ten,
  and what it last told stays, marked with the reason.
"""

import os
from typing import Any

from memo._base import real
from memo.exporters._changes import Changes
from memo.exporters._client import Source, SourceError
from memo.exporters._figures_json import Row, merged
from memo.exporters._own import Own
from memo.exporters._snapshot import Tier
from memo.exporters._sockets import Place, of_name

__all__ = ("Answer", "Sibling", "Workers")

Answer = dict[str, Any]
"""That of ``/stats.json``."""

_PATIENCE_S = 1.0
_ROUND_S = 3.0
"""Seconds for a round; who has not been asked by then is so in the next."""
_PENALTY_S = 10.0


class Sibling:
    """What another process last told of itself."""

    def __init__(self, place: Place) -> None:
        self.place: Place = place
        self.source: Source = Source(place.path, timeout=_PATIENCE_S)
        self.changes: Changes = Changes()
        self.process: dict[str, Any] = {}
        self.flights: list[dict[str, Any]] = []
        self.flying: int = 0
        self.notes: list[str] = []
        self.tiers: list[Tier] = []
        self.error: str | None = None
        self._token = ""
        self._not_before_s = 0.0

    @property
    def has_answered(self) -> bool:
        """Whether it is known for a sibling: one that never answered may be another service of that name."""
        return bool(self._token)

    @property
    def is_silent(self) -> bool:
        """Whether it did not answer of late, so that it is left alone."""
        return real.monotonic() < self._not_before_s

    def ask(self) -> Answer | None:
        """What changed there; None if it does not answer."""
        try:
            told: Answer = self.source.get(f"/stats.json?own=1&since={self._token}")
            if not isinstance(told["rows"], dict) or not isinstance(told["gone"], list):
                raise TypeError
            _ = told["process"]["group"], told["full"], told["token"], told["flights"], told["flying"], told["notes"]
        except SourceError as error:
            self._be_silent(str(error))
        except (KeyError, TypeError, IndexError):  # of another version, perhaps
            self._be_silent(f"process {self.place.pid} answered with what this version does not understand")
        else:
            self.error = None
            return told
        return None

    def _be_silent(self, reason: str) -> None:
        self.error = reason
        self._not_before_s = real.monotonic() + _PENALTY_S

    def take(self, told: Answer) -> None:
        """Take in what it told."""
        if told["full"]:
            self.changes.replace(told["rows"])
        else:
            for name, row in told["rows"].items():
                self.changes.put(name, row)
            for name in told["gone"]:
                self.changes.drop(name)
        self._token = str(told["token"])
        self.process = told["process"]
        self.flights = told["flights"]
        self.flying = told["flying"]
        self.notes = told["notes"]
        self.tiers = told.get("tiers", [])  # versions before there were any do not tell


class Workers:
    """The siblings of this process, and the rows of all taken together.

    ``ask()`` is for one thread at a time, and so is everything else; the two may be at work at once.
    """

    def __init__(self, own: Own) -> None:
        self._own = own
        self._siblings: dict[str, Sibling] = {}
        self._strangers: set[str] = set()
        """Where processes of the same name serve that are no siblings."""
        self._fed: dict[str, int] = {}
        """How far the changes of each process have been taken in, by its socket; this one's by ""."""
        self.together: Changes = Changes()
        """The rows of all processes, merged by name."""
        self.each: Changes = Changes()
        """The rows of all processes, as ``name@pid``."""

    @property
    def siblings(self) -> list[Sibling]:
        """The other processes."""
        return list(self._siblings.values())

    def ask(self, place: Place | None, group: str) -> list[tuple[Sibling, Answer | None]]:
        """Look for siblings, and ask each what changed there; waits for their answers.

        Args:
            place: Where this process serves; None: it does not, and so has no siblings.
            group: What siblings have in common.

        Returns:
            What ``take()`` is to be given.
        """
        there = {} if place is None else {one.path: one for one in of_name(place.name) if one.path != place.path}
        self._strangers &= there.keys()
        known = {path: self._siblings.get(path) or Sibling(place) for path, place in there.items()}
        until_s = real.monotonic() + _ROUND_S
        told: list[tuple[Sibling, Answer | None]] = []
        for path, sibling in known.items():
            if path in self._strangers:
                continue
            if sibling.is_silent or real.monotonic() > until_s:
                told.append((sibling, None))
                continue
            answer = sibling.ask()
            if answer is not None and answer["process"]["group"] != group:
                self._strangers.add(path)
                sibling.source.close()
            else:
                told.append((sibling, answer))
        return told

    def take(self, told: list[tuple[Sibling, Answer | None]]) -> None:
        """Take in what siblings told; the others have gone."""
        present = {sibling.place.path: sibling for sibling, _ in told}
        for path in self._siblings.keys() - present.keys():
            self._siblings[path].source.close()
        self._siblings = present
        for sibling, answer in told:
            if answer is not None:
                sibling.take(answer)
        if present or len(self.together):
            self._merge()

    def close(self) -> None:
        """Close the connections to siblings."""
        for sibling in self._siblings.values():
            sibling.source.close()

    def _merge(self) -> None:
        """Take in what changed in each process since the last time."""
        sources: dict[str, Changes] = {"": self._own.changes}
        sources.update({path: sibling.changes for path, sibling in self._siblings.items()})
        touched: dict[str, None] = {}
        for path in sources.keys() | self._fed.keys():
            if path not in sources:
                del self._fed[path]
                touched.update(dict.fromkeys(self.together))  # some of them were of a process that has gone
                continue
            rows, gone, _ = sources[path].since(self._fed.get(path))
            self._fed[path] = sources[path].number
            touched.update(dict.fromkeys([*rows, *gone]))
        for name in touched:
            rows_of = [row for one in sources.values() if (row := one.get(name)) is not None]
            _note(self.together, name, merged(rows_of) if rows_of else None)
        self._merge_each(touched)

    def _merge_each(self, touched: dict[str, None]) -> None:
        present: set[str] = set()
        for pid, changes in [
            (os.getpid(), self._own.changes),
            *((one.place.pid, one.changes) for one in self._siblings.values()),
        ]:
            for name in changes:
                key = f"{name}@{pid}"
                present.add(key)
                if name in touched:
                    row = changes.get(name)
                    _note(self.each, key, None if row is None else {**row, "process": pid})
        self.each.keep_only(present)


def _note(changes: Changes, name: str, row: Row | None) -> None:
    if row is None:
        changes.drop(name)
    elif changes.get(name) != row:
        changes.put(name, row)
