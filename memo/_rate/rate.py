"""How many calls may begin within how long, as users write it: ``"100/1m"``."""

from __future__ import annotations

from typing import Any, NamedTuple

from memo._base import format_seconds, given_text, positive_int, seconds

__all__ = ("Rate",)

_REMEDY = 'write how many calls in how long, such as "100/1m" or (100, 60)'


class Rate(NamedTuple):
    """So many calls in so long."""

    calls: int
    """Most calls that may begin in any span."""
    span_s: float

    @classmethod
    def of(cls, given: Any, where: str) -> Rate:
        """What *given* means: text such as "100/1m" or "100/minute", or a pair of a number and a duration.

        Raises:
            TypeError: It is neither.
            ValueError: It is text that is no rate, or a number below 1, or a span that is not positive.
        """
        if isinstance(given, str):
            number, slash, span = given.partition("/")
            if not slash:
                raise ValueError(f"{where}: rate={given_text(given)} has no '/'; {_REMEDY}.")
            try:
                calls = int(number)
            except ValueError:
                raise ValueError(
                    f"{where}: rate={given_text(given)} does not begin with a whole number; {_REMEDY}."
                ) from None
            if calls < 1:
                raise ValueError(f"{where}: rate={given_text(given)} lets no call begin; {_REMEDY}.")
            span = span.strip()
            if span[:1].isalpha():  # "100/minute"
                span = f"1 {span}"
            try:
                return cls(calls, seconds(span, where=where, option="rate"))
            except ValueError as error:
                why = str(error).removeprefix(f"{where}: ")
                raise ValueError(f"{where}: rate={given_text(given)} does not end in a span of time: {why}") from None
        if isinstance(given, tuple) and len(given) == 2:
            return cls(
                positive_int(given[0], where=where, option="rate[0]"),
                seconds(given[1], where=where, option="rate[1]"),
            )
        raise TypeError(f"{where}: rate={given_text(given)} is no rate; {_REMEDY}.")

    def __str__(self) -> str:
        return f"{self.calls}/{format_seconds(self.span_s)}"
