"""What stands for something that one process has, and so stays there."""

from typing import NoReturn, Self, SupportsIndex

__all__ = ("Staying",)


class Staying:
    """A handle: a copy of it is itself, as of a function; it does not travel, nor does it get a function of its own."""

    __slots__ = ()

    def _whose(self) -> str:
        """The name of the function."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{self._whose()}: a handle stands for what this process has of the function, so it cannot be pickled or "
            f"deep-copied; hand on the function itself, and ask that for its handle."
        )
