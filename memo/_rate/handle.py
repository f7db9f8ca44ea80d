"""The handle ``f.limit``: how often a decorated function may be called."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from memo._base import counted
from memo._call import FenceOthers, Generated, Handle
from memo._rate.limiter import Limiter
from memo._rate.reader import LimitReader
from memo._rate.stats import LimitStats

__all__ = ("LimitHandle",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class LimitHandle(Handle, Generic[P, R_co]):
    """How often a decorated function may be called: ``f.limit``.

    Reached through an instance or a class, its methods take the arguments without ``self``, and ``reset()`` and
    ``len()`` are about that instance's calls.  Every method may be called from any thread and none waits.  A handle is
    always true.
    """

    __slots__ = ("_limiter", "_reader")

    def __init__(
        self,
        limiter: Limiter,
        generated: Generated,
        name: Callable[[], str],
        fence_others: FenceOthers,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(generated, name, fence_others, prefix)
        self._limiter = limiter
        self._reader = LimitReader(limiter)

    def remaining(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """How many calls like this one may begin now, those that wait already apart; others may come first.

        Raises:
            TypeError: The call does not fit the function, or its key cannot be hashed.
        """
        return self._reader.remaining(self._key(args, kwargs))

    def retry_after(self, /, *args: P.args, **kwargs: P.kwargs) -> float:
        """In how many seconds a call like this one may begin, after those that wait; 0.0: now.

        Errors as for ``remaining()``.
        """
        return self._reader.retry_after(self._key(args, kwargs))

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Have the calls that began with the key of this one count no more; whether there were any.

        Those that wait for that key may begin.  Errors as for ``remaining()``.
        """
        return self._reader.forget(self._key(args, kwargs))

    def reset(self) -> int:
        """Have all calls that began count no more; how many keys had some.  Counters stay."""
        return self._reader.reset(self._scope())

    def cleanup(self) -> int:
        """Let go of the keys that were not called within the span; how many.  (They have their full limit anyway.)"""
        return self._limiter.cleanup()

    def stats(self) -> LimitStats:
        """The figures of the whole function now."""
        return self._reader.stats(self._name())

    def __len__(self) -> int:
        """How many keys are followed."""
        return self._reader.followed(self._scope())

    def __repr__(self) -> str:
        return f"<limit of {self._name()}: {self._reader}, {counted(len(self), 'key')}>"
