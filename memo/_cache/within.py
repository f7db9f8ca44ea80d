"""A caller's own terms: how long to wait."""

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from memo._cache.stale import Stale
from memo._call import Call, Generated

__all__ = ("Within", "missing")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Within(Generic[P, R_co]):
    """Calls that wait so long and no longer: what ``f.cache.within("50ms")`` returns.

    The limit is this caller's alone: the load goes on, for others and for the store, in a task or (a plain
    function's) in one of the registry's ``refresh_threads``; so a plain function does not run in the
    caller's thread.  A limit that passes ends only the wait.
    """

    __slots__ = ("_answers", "_generated", "_prefix", "_seconds")

    def __init__(self, answers: Stale, generated: Generated, prefix: tuple[Any, ...], seconds: float) -> None:
        self._answers = answers
        self._generated = generated
        self._prefix = prefix
        self._seconds = seconds

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call in time: with a fresh value, else with a stale one that the options allow.

        Raises:
            InflightTimeout: There is neither, and the load took longer.
            Exception: What the load raised, or a remembered failure.
        """
        return self._call(args, kwargs, stale=True)

    def fresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call in time, with a fresh value.  Raises as ``call()`` does."""
        return self._call(args, kwargs, stale=False)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, stale: bool) -> R_co:
        key = self._generated.checked_key_of(*self._prefix, *args, **kwargs)
        answers = self._answers
        answer: Any = answers.call_within_awaited if self._generated.shape.is_async else answers.call_within
        return answer(key, Call((*self._prefix, *args), kwargs), self._seconds, stale)  # type: ignore[no-any-return]

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise missing(self, name)

    def __repr__(self) -> str:
        return f"<calls of {self._answers.name} within {self._seconds:g} s>"


def missing(handle: Any, name: str) -> AttributeError:
    """The error for an attribute that *handle* does not have."""
    if name == "get":
        text = (
            "get() would load where that of a dictionary does not, so it is called otherwise here; write call() to "
            "answer a call and load if need be, or f.cache.entry() for a look at what is there."
        )
    else:
        text = f"{type(handle).__name__!r} object has no attribute {name!r}"
    return AttributeError(text, name=name, obj=handle)
