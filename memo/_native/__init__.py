"""The path in C: answers what is common and simple, and decides nothing that Python does not decide the same way.

Imports nothing of the package.  ``speed`` is the extension module ``memo._native._speed``, or None: then everything
runs in Python, which remains the reference; ``why`` says for what reason.  On any doubt the path in C calls the
generated wrapper with the arguments as they came, so that nobody can tell the two apart but by the time they take.
"""

import importlib
import os
import sys
from typing import Any

__all__ = ("speed", "why")

_OF = (
    (3, 11),
    (3, 12),
    (3, 13),
)  # it reads what lies in the interpreter's objects, which differ from version to version
_COPIED_S = 10.0  # where a checkout is copied, both are new, and either may have come first
_NO = ("", "0", "false", "no", "off")
_YES = ("1", "true", "yes", "on")


def _obstacle() -> str | None:
    """Why the extension is not even to be looked for; None: it is."""
    given = os.environ.get("MEMO_PURE", "").strip()
    if given.lower() in _YES:
        return f"MEMO_PURE={given} in the environment asks for it"
    if given.lower() not in _NO:
        return f"MEMO_PURE={given!r} in the environment is unknown, and taken to mean 1; set 1 or 0"
    if sys.implementation.name != "cpython":
        return f"the extension is for CPython, and this is {sys.implementation.name}"
    if sys.version_info[:2] not in _OF:
        return f"the extension is for CPython 3.11 to 3.13, and this is {sys.version_info[0]}.{sys.version_info[1]}"
    if "free-threading" in sys.version:
        return "the extension counts on the interpreter lock, which free-threaded builds do not have"
    return None


def _here() -> str:
    """What to add where the package is imported from its sources, though another one may be installed."""
    folder = os.path.dirname(__file__)
    if not os.path.exists(os.path.join(folder, "_speed.c")):
        return ""
    return f" (imported from the checkout, {folder}, where 'pip install -e .' alone puts it)"


def _is_stale(built: str) -> bool:
    """Whether the source beside this file is newer than what was built, as after a pull into an editable checkout.

    The two sides of one commit know each other's names: an older extension would lack some, or mean another thing by
    them.  An installed package has no source, and nothing to look at.
    """
    try:
        written = os.stat(os.path.join(os.path.dirname(__file__), "_speed.c")).st_mtime
        return written > os.stat(built).st_mtime + _COPIED_S
    except OSError:
        return False


def _choose() -> tuple[Any, str]:
    """The extension module, or None; why that."""
    obstacle = _obstacle()
    if obstacle is not None:
        return None, obstacle
    name = f"{__name__}._speed"
    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            return None, f"the extension cannot be loaded ({error}); install the package again"
        return (
            None,
            f"the extension was not built, for want of a C compiler that works; install the package with one{_here()}",
        )
    except Exception as error:  # made for another interpreter, or another wrapt: Python does without
        return None, f"the extension cannot be loaded ({error}); install the package again"
    if _is_stale(module.__file__):
        return None, f"the extension is older than its source; build it again{_here()}"
    return module, f"the extension was built ({module.__file__})"


# under another name than the module's own, which whoever imports that binds here
_chosen = _choose()
speed: Any = _chosen[0]
why: str = _chosen[1]
