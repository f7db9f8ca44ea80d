"""Options that name types of exceptions or take plain functions, and where options are checked at all.

An option is checked once, where a user gives it: by the decorator, before it decorates anything, or by the method of a
handle or registry.  Checks that several of them make stand in ``_base`` (here, and in ``units``, ``tags``, ``one_shot``
and ``slips``), those of the key in ``_call.signature`` and ``_call.key_plan``, of what functions take in
``_call.fits``, those of ``bounded`` alone in ``_cache.options`` and ``_store.policy``.  What lies below takes what was
checked, in plain units, and does not look again.
"""

import contextlib
from typing import Any

from memo._base.shortened import given_text
from memo._base.wrapping import generates, is_awaited

__all__ = ("check_error_types", "check_plain")


def check_error_types(where: str, option: str, types: Any) -> tuple[type[Exception], ...]:
    """Types of exceptions, given as one or as several.

    Raises:
        TypeError: Something else is among them.
        ValueError: One is no ``Exception``, and so never shared nor remembered.
    """
    found: tuple[Any, ...] = (types,)
    if not isinstance(types, type | str):  # the letters of a text say nothing
        with contextlib.suppress(TypeError):
            found = tuple(types)
    for kind in found:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise TypeError(
                f"{where}: {option}={given_text(types)} contains {given_text(kind)}, which is no exception type; "
                f"write for example {option}=(LookupError,)."
            )
        if not issubclass(kind, Exception):
            raise ValueError(
                f"{where}: {option}={given_text(types)} contains {kind.__name__}, which counts as cancelled, not as an "
                "error; name types of Exception."
            )
    return found


def check_plain(where: str, option: str, function: Any, remedy: str = "give a plain function") -> None:
    """Check that a call of *function* does what it is there for, and returns what comes of that.

    What a coroutine function or a generator function returns has done nothing yet, is true, and equals nothing else: a
    condition would always hold, a callback never run, a key never be found again.

    Args:
        where: Whom the option was given to.
        option: Its name; empty if the function has no name there.
        function: What was given; something that can be called.
        remedy: What to do instead.

    Raises:
        TypeError: It is one of these, however it hides that.
    """
    given = f"{where}: {option}={given_text(function)}" if option else f"{where}: {given_text(function)}"
    if is_awaited(function):
        raise TypeError(f"{given} is a coroutine function, which nobody would await; {remedy}.")
    if generates(function):
        raise TypeError(f"{given} is a generator function, a call of which does not run it; {remedy}.")
