"""What is known of one connection of a pool, be it one for threads or one for an event loop."""

from typing import Any

from memo.shared._dial import Dial
from memo.shared._unreachable import is_an_answer

__all__ = ("NO_SCRIPT", "Connected", "is_refused_hello")

NO_SCRIPT = object()
"""In place of a reply: the server does not know the script, and is to be sent it in full."""


class Connected:
    """One connection, once it is needed.

    Args:
        dial: What makes it.
    """

    __slots__ = ("__weakref__", "_dial", "connection", "made_in", "ready")

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.connection: Any = None
        self.made_in = (0, 0)  # turns of the dial, and era of the breaker
        self.ready = False
        """Nothing is under way on it, and whatever was asked has been answered."""

    def _instead(self, error: Exception) -> Any:
        """What stands for a reply that is *error*; that itself is raised, unless the script was missing alone."""
        self.ready = is_an_answer(error)
        if type(error).__name__ == "NoScriptError":
            return NO_SCRIPT
        raise error


def is_refused_hello(error: Exception) -> bool:
    """Whether the user may not ask who the server is; he may be allowed all that matters nevertheless."""
    return type(error).__name__ == "NoPermissionError"
