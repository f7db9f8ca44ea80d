"""The handle on a limit of a class method that cannot know which class it was reached through."""

from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from memo._decorated.every_class import refuse
from memo._rate import LimitHandle

__all__ = ("LimitOfEveryClass",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class LimitOfEveryClass(LimitHandle[P, R_co]):
    """How often a class method may be called, reached through any class.

    Args:
        handle: That of the function as a whole.
        each: Gives those of the classes that it was called on.
    """

    __slots__ = ("_each",)

    def __init__(self, handle: LimitHandle[P, R_co], each: Callable[[], list[LimitHandle[P, R_co]]]) -> None:
        super().__init__(handle._limiter, handle._generated, handle._name, handle._fence_others)
        self._each = each

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Have the calls with a key count no more, of every class; whether there were any of one."""
        forgotten = [handle.forget(*args, **kwargs) for handle in self._each()]
        return any(forgotten)

    def remaining(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        refuse(self._name(), "limit.remaining()", "@limit")

    def retry_after(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        refuse(self._name(), "limit.retry_after()", "@limit")
