"""Which rooms of the house a call passes through."""

import sys
from collections.abc import Callable
from typing import Any

import memo

__all__ = ("entered",)

HOUSE = memo.__path__[0]


def entered(call: Callable[[], Any]) -> set[str]:
    """The files of the package that a call enters in this thread."""
    rooms: set[str] = set()

    def note(frame: Any, event: str, arg: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(HOUSE):
            rooms.add(name.removeprefix(HOUSE).lstrip("/\\").replace("\\", "/"))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return rooms
