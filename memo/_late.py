"""What is imported when it is needed: what few programs use, or needs what few have.

Rule: what a decorated function needs to be called is imported when it is decorated.  What else is done with one, and
names that nobody asked for before, may be imported late.  As the interpreter ends nothing can be imported any more (in
finalizers of what modules hold; callbacks of ``atexit`` come before): then whoever asks is told that it is too late.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

__all__ = ("in_time", "late")


class in_time:  # noqa: N801  # it is used like a function
    """Around the imports that *what* needs: as the interpreter ends, RuntimeError says that it comes too late.

    Args:
        what: What is done, as users call it.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, ImportError) and getattr(sys, "meta_path", None) is None:
            raise RuntimeError(
                f"{self._what} comes too late: the interpreter ends and can import nothing any more, and what this "
                f"needs was not imported before; do it in a callback of atexit, or once before."
            ) from error


def late(face: dict[str, Any], modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__()`` of a face.  It stands under ``if not TYPE_CHECKING``, since a type checker would take any
    name for one of these; for that they are imported under ``TYPE_CHECKING`` as well.

    Args:
        face: Its globals, which have a name from then on.
        modules: Which module of the folder has which name.
    """

    def imported(name: str) -> Any:
        if name in modules:
            with in_time(f"{face['__name__']}.{name}"):
                module = importlib.import_module(f"{face['__name__']}.{modules[name]}")
            face[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {face['__name__']!r} has no attribute {name!r}")

    return imported
