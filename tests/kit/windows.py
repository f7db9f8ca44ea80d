"""What the tests of windows share."""

from typing import Any

from memo import sliding_window

__all__ = (
    "Placed",
    "keys_of",
)


def keys_of(function: Any) -> list[str]:
    return [event.key for event in function.window.events()]


class Placed:
    """Every placement of one method."""

    @sliding_window("1m")
    def method(self, x: int) -> int:
        return x

    @sliding_window("1m")
    async def coroutine(self, x: int) -> int:
        return x

    @classmethod
    @sliding_window("1m")
    def class_inner(cls, x: int) -> int:
        return x

    @sliding_window("1m")
    @classmethod
    def class_outer(cls, x: int) -> int:
        return x

    @staticmethod
    @sliding_window("1m")
    def static_inner(x: int) -> int:
        return x

    @sliding_window("1m")
    @staticmethod
    def static_outer(x: int) -> int:
        return x

    @property
    @sliding_window("1m")
    def property_inner(self) -> int:
        return 7

    @sliding_window("1m")
    @property
    def property_outer(self) -> int:
        return 7
