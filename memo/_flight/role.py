"""What a caller turned out to be, and what will do for it."""

from memo._flight.flight import ANY_TIME, InFlight

__all__ = ("Role",)


class Role:
    """What a caller turned out to be, for who counts it; none of it if it was struck before.

    Args:
        after: Of what is kept already, only what came later than this will do for the caller.
    """

    __slots__ = ("after", "awaits", "found", "joined", "led", "stale")

    def __init__(self, after: float = ANY_TIME) -> None:
        self.after: float = after
        self.led: bool = False
        """It began an execution, at least."""
        self.found: bool = False
        """That found its result upstream, and did not run the function."""
        self.joined: bool = False
        """It was answered by another's, be it with an error."""
        self.awaits: InFlight | None = None
        """Another's, for whose end it waits now."""
        self.stale: bool = False
        """It is answered with a stale value instead, and counts as that."""
