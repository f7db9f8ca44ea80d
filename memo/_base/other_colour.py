"""What a context manager says to the ``with`` statement that it is not made for.

The interpreter says which protocol is missing, and nobody whose ``with`` has one ``async`` too many or too few thinks
of a protocol.  So such a class has the method that the other statement looks for, which cannot be got: the error is
ours, and as it is an ``AttributeError`` too, ``hasattr()``, ``isinstance()`` of an abstract class and whatever else
tells the two colours apart see one alone, as before.  A type checker is not to see that method at all.
"""

from typing import Any, NoReturn

__all__ = ("EnteredByAsyncWith", "EnteredByWith", "WrongWith")


class WrongWith(TypeError, AttributeError):
    """A context manager was entered by the other ``with`` statement."""

    __module__ = "memo"


class EnteredByWith:
    """Stands as ``__aenter__`` in a class for plain ``with`` statements.

    Args:
        what: What an instance of the class is, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __get__(self, instance: Any, owner: Any = None) -> NoReturn:
        raise WrongWith(f"{self._what} awaits nothing; write 'with', also in a coroutine function, not 'async with'.")


class EnteredByAsyncWith(EnteredByWith):
    """Stands as ``__enter__`` in a class for ``async with`` statements."""

    def __get__(self, instance: Any, owner: Any = None) -> NoReturn:
        raise WrongWith(f"{self._what} is awaited; write 'async with', in a coroutine function, not 'with'.")
