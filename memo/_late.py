"""Names that a folder's face imports when they are asked for: what few programs use, or needs what few have."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ("late",)


def late(face: dict[str, Any], modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__()`` of a face.  It stands under ``if not TYPE_CHECKING``, since a type checker would take any
    name for one of these; for that they are imported under ``TYPE_CHECKING`` as well.

    Args:
        face: Its globals, which have a name from then on.
        modules: Which module of the folder has which name.
    """

    def imported(name: str) -> Any:
        if name in modules:
            module = importlib.import_module(f"{face['__name__']}.{modules[name]}")
            face[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {face['__name__']!r} has no attribute {name!r}")

    return imported
