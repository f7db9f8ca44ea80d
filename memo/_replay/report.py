"""What is printed: the table and the advice for people, one JSON object for programs."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memo._base import MOST, aligned, counted
from memo._replay.advice import Advice
from memo._replay.curves import Curves
from memo._replay.errors import Errors
from memo._replay.faults import BadLine, BadLines
from memo._replay.sampled import Sampled

__all__ = ("Findings",)

_LIKELY = 2
"""Standard errors within which 95 of 100 figures are."""


@dataclass
class Findings:
    """What is known, at the end or when Ctrl-C is pressed."""

    bad: BadLines
    read: Sampled
    names: list[str] = field(default_factory=list)
    """The inputs."""
    notes: list[str] = field(default_factory=list)
    """What recordings tell of themselves."""
    lines: int = 0
    reading_s: float = 0.0
    replaying_s: float = 0.0
    replayed: int = 0
    """Requests that were replayed, each time that one was."""
    curves: Curves | None = None
    errors: Errors | None = None
    advice: Advice | None = None
    complete: bool = False

    def text(self) -> str:
        """For people: lines of at most 80 characters."""
        parts = [self._head(), self._bad_lines(), self._table(), self._sample(), self._last_words(), self._speed()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _head(self) -> str:
        read = self.read
        about = "about " if read.rate < 1 else ""
        requests, distinct = read.requests, self._distinct
        head = f"memo replay: {counted(requests, 'request')} for {about}{counted(distinct, 'key')}"
        if requests:
            head += f"; without a bound {about}{self._reachable:.2%} would be hits"
        begun = "" if self.complete else "Interrupted; what is known so far. "
        return "\n".join([*map(_filled, self.notes), _filled(f"{begun}{head}.")])

    @property
    def _distinct(self) -> int:
        return self.curves.requests.distinct if self.curves else self.read.distinct

    @property
    def _reachable(self) -> float:
        if self.curves:
            return self.curves.reachable
        return max(0.0, 1 - self.read.distinct / self.read.requests) if self.read.requests else 0.0

    def _bad_lines(self) -> str:
        bad = self.bad
        if not bad.count:
            return ""
        shown = "they are" if bad.count == len(bad.first) else "the first are"
        told = [f"{counted(bad.count, 'line')} of {self.lines:,} left out, as no key is in them; {shown}:"]
        return "\n".join(told + [_filled(self._bad_line(line), "  ") for line in bad.first])

    def _bad_line(self, line: BadLine) -> str:
        where = f"{line.source}, line" if len(self.names) > 1 else "line"
        return f"{where} {line.number:,}: {line.text} {line.why}"

    def _table(self) -> str:
        curves = self.curves
        if curves is None:
            return ""
        sizes = [f"{size:,}" for size in curves.sizes]
        widest = max(map(len, ["max", *sizes]))
        rows = [["max".rjust(widest), *curves.names]]
        for size, text in zip(curves.sizes, sizes, strict=True):
            known = [curves.known(name, size) for name in curves.names]
            rows.append([text.rjust(widest), *("-" if ratio is None else f"{ratio:.2%}" for ratio in known)])
        if self._is_sample:
            rows.append(["±".rjust(widest), *(f"{_LIKELY * error:.2%}" for error in self._worst_errors.values())])
        return aligned(rows)

    @property
    def _is_sample(self) -> bool:
        return self.curves is not None and self.curves.requests.rate < 1

    @property
    def _worst_errors(self) -> Mapping[str, float]:
        return self.errors.worst() if self.errors else {}

    def _sample(self) -> str:
        if self.curves is None or not self._is_sample:
            return ""
        requests = self.curves.requests
        return _filled(
            f"Sampled by key (SHARDS), 1 in {1 / requests.rate:.1f}: {counted(requests.keys, 'key')} with "
            f"{counted(len(requests.order), 'request')} were replayed, in caches as much smaller. The last row has the "
            f"error of each column: twice the standard error, at the size where that is largest. "
            f"--exact replays all requests."
        )

    def _last_words(self) -> str:
        if self.advice is not None:
            return _filled(f"Advice: {self.advice}")
        if self.complete and self.read.requests:
            return "Advice: none; no key came twice, so that a cache of any size would answer nothing."
        return ""

    def _speed(self) -> str:
        words = (
            f"Read {counted(self.lines, 'line')} in {self.reading_s:.1f} s ({self._lines_per_s:,.0f} lines a second)"
        )
        if self.replayed:
            words += (
                f", replayed {self.replayed:,} requests in {self.replaying_s:.1f} s "
                f"({self.replayed / max(self.replaying_s, 1e-9):,.0f} a second)"
            )
        return _filled(words + ".")

    @property
    def _lines_per_s(self) -> float:
        return self.lines / max(self.reading_s, 1e-9)

    def as_json(self) -> str:
        """For programs."""
        curves, errors = self.curves, self.errors
        sizes, names = (curves.sizes, curves.names) if curves else ([], ())
        sample: dict[str, Any] | None = None
        if curves and errors and self._is_sample:
            requests = curves.requests
            sample = {
                "rate": requests.rate,
                "keys": requests.keys,
                "requests": len(requests.order),
                "standard_error": {name: [errors.of(name, size) for size in sizes] for name in names},
            }
        found = {
            "files": self.names,
            "complete": self.complete,
            "lines": self.lines,
            "requests": self.read.requests,
            "distinct": self._distinct,
            "reachable": self._reachable,
            "bad_lines": {"count": self.bad.count, "first": [line._asdict() for line in self.bad.first]},
            "sample": sample,
            "sizes": list(sizes),
            "hit_ratio": {name: [curves.known(name, size) for size in sizes] for name in names} if curves else {},
            "advice": None if self.advice is None else self.advice._asdict(),
            "seconds": {"reading": round(self.reading_s, 3), "replaying": round(self.replaying_s, 3)},
            "lines_per_second": round(self._lines_per_s),
        }
        return json.dumps(found, indent=1) + "\n"


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, MOST, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
