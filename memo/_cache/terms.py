"""What will do for one caller: how long to wait, how old a result may be, what to answer in place of an error."""

import enum
from typing import Any, Final, NamedTuple

from memo._flight import ANY_TIME

__all__ = ("ANY", "FRESH", "NOT_GIVEN", "Terms")


class _Given(enum.Enum):
    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Final = _Given.NOT_GIVEN
"""In place of a value that may be anything, None too."""


class Terms(NamedTuple):
    """The terms of one caller."""

    stale: bool = True
    """A stale value will do, where the options of the function allow that, and so will its fallback."""
    seconds: float | None = None
    """How long to wait at most; None: as long as the function says."""
    max_age_s: float | None = None
    """Whatever is stored already will do if it is younger than this, counted from the end of its load; None: any age.
    It narrows what the options of the function allow, and never widens it."""
    default: Any = NOT_GIVEN
    """What answers in place of an error."""

    def after(self, now: float) -> float:
        """Of what is stored, what was stored later than this is young enough."""
        return ANY_TIME if self.max_age_s is None else now - self.max_age_s


ANY = Terms()
"""Those of a plain call."""
FRESH = Terms(stale=False)
"""Those of ``fresh()``."""
