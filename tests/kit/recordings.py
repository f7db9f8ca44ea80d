"""What the tests of recordings share."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from memo import read_recording

__all__ = ("layer_of_store", "pattern", "recorded")


def pattern(numbers: Iterable[Hashable]) -> list[int]:
    """Which of them are equal: for each, how many others were new before its like came first."""
    places: dict[Hashable, int] = {}
    return [places.setdefault(number, len(places)) for number in numbers]


def recorded(path: Path) -> list[int]:
    """The pattern of what a file holds."""
    return pattern(read_recording(path))


def layer_of_store(function: Any) -> Any:
    """What ``@bounded`` added to a function."""
    return function._self_layer
