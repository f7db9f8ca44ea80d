"""Objects for the tests of sizes."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

__all__ = (
    "BIG",
    "Plain",
    "Point",
    "plain",
)


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


@dataclasses.dataclass(slots=True)
class Point:
    x: Any
    y: Any


BIG = b"x" * 100_000

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
