"""What stands for something that one process has, and so stays there."""

from typing import NoReturn, Self, SupportsIndex

__all__ = ("Staying", "StayingHandle")


class Staying:
    """What has locks, threads or the functions of its process behind it: a copy of it is itself, and it does not
    travel, nor does it get such things of its own."""

    __slots__ = ()

    def _stays(self) -> tuple[str, str]:
        """Why it stays, as what it is; and what to hand on instead."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        why, instead = self._stays()
        raise TypeError(f"{why}, so it cannot be pickled or deep-copied; hand on {instead}.")


class StayingHandle(Staying):
    """A handle on what a function has."""

    __slots__ = ()

    def _whose(self) -> str:
        """The name of the function."""
        raise NotImplementedError

    def _stays(self) -> tuple[str, str]:
        return (
            f"{self._whose()}: a handle stands for what this process has of the function",
            "the function itself, and ask that for its handle",
        )
