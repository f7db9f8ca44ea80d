"""What a caller turned out to be."""

__all__ = ("Role",)


class Role:
    """What a caller turned out to be, for who counts it; none of it if it was struck before."""

    __slots__ = ("joined", "led", "stale")

    def __init__(self) -> None:
        self.led: bool = False
        """It began an execution, at least."""
        self.joined: bool = False
        """It was answered by another's, be it with an error."""
        self.stale: bool = False
        """It is answered with a stale value instead, and counts as that."""
