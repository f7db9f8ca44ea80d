"""What came of the questions of one function, counted."""

from memo._cache import LinkFigures

__all__ = ("Counts",)


class Counts:
    """The figures of one function.

    Plain additions to attributes, of what was computed before: with the interpreter's global lock no other thread runs
    between reading and writing one, since no call stands in between.

    Each question is counted once, as a hit, a miss, a skipped one or an error; an error besides, where a value could
    not be read and so was missed.
    """

    __slots__ = ("errors", "hits", "misses", "refused", "rejected", "seconds", "skipped", "waits")

    def __init__(self) -> None:
        self.hits: int = 0
        """Questions that the tier answered with a value."""
        self.misses: int = 0
        """Questions to which it had no value; also if another process loaded for too long."""
        self.waits: int = 0
        """Questions, of all those, that waited for another process's load; once each."""
        self.errors: int = 0
        """Operations that failed, and values that could not be read."""
        self.skipped: int = 0
        """Operations that were not tried: the tier was known to be down, or this process's own changes still had to
        reach it."""
        self.refused: int = 0
        """Results that were not stored since the key was changed or loaded anew while they were loaded."""
        self.rejected: int = 0
        """Values and keys that could not be shared: no type that can be written, too large, or ``encode`` failed."""
        self.seconds: float = 0.0
        """Time that questions and their storing took; waiting for another process's load is not in it."""

    def figures(self) -> LinkFigures:
        """As they are now."""
        return LinkFigures(
            hits=self.hits,
            misses=self.misses,
            waits=self.waits,
            errors=self.errors,
            skipped=self.skipped,
            refused=self.refused,
            rejected=self.rejected,
            seconds=self.seconds,
        )
