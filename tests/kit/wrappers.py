"""Which generated wrappers a call comes by: none, where C answers it."""

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from kit.instructions import WRAPPER

__all__ = ("wrappers_entered",)


@contextlib.contextmanager
def wrappers_entered() -> Iterator[list[str]]:
    """The generated wrappers that this thread enters meanwhile, by the names of their files, once for each call."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(WRAPPER):
            entered.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)
