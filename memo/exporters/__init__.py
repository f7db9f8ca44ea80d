"""Figures of a registry for other programs, each way out an extra of its own.

``exporters.http`` and ``exporters.asgi`` serve them, ``Source`` asks a process that does, and ``serving()`` lists those
of this user.

Imports the package as its users do, and of ``_base`` what makes text of figures.  The face imports none of its modules
before a name is asked for: each needs a library, or the sockets, that only its users have.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo.exporters._client import Source, SourceError
    from memo.exporters._sockets import Place, serving

__all__ = ("Place", "Source", "SourceError", "serving")

_MODULES = {"Place": "_sockets", "Source": "_client", "SourceError": "_client", "serving": "_sockets"}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that has it."""
        if name in _MODULES:
            module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
            globals()[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
