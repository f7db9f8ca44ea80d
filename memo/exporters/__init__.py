"""Figures of a registry for other programs, each way out an extra of its own.

``exporters.http`` and ``exporters.asgi`` serve them, ``Source`` asks a process that does, and ``serving()`` lists those
of this user.

Imports the package as its users do, and of ``_base`` what makes text of figures.  The face imports none of its modules
before a name is asked for: each needs a library, or the sockets, that only its users have.
"""

from typing import TYPE_CHECKING

from memo._late import late

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo.exporters._client import Source, SourceError
    from memo.exporters._sockets import Place, serving

__all__ = ("Place", "Source", "SourceError", "serving")

if not TYPE_CHECKING:
    __getattr__ = late(
        globals(), {"Place": "_sockets", "Source": "_client", "SourceError": "_client", "serving": "_sockets"}
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
