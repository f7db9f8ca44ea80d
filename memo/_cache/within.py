"""A caller's own terms: how long to wait, how old a result may be, what to answer in place of an error."""

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from memo._base import StayingHandle, seconds, seconds_in_words, short_text
from memo._cache.answers import Answers
from memo._cache.terms import NOT_GIVEN, Terms
from memo._call import Call, Generated

__all__ = ("Within", "missing", "own_terms")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Within(StayingHandle, Generic[P, R_co]):
    """Calls on terms of the caller's own: what ``f.cache.within("50ms", max_age="5m", default=None)`` returns.

    They are this caller's alone: a load that he does not wait for goes on, for others and for the store, in a task or
    (a plain function's) in one of the registry's ``refresh_threads``; so with a limit a plain function does not run in
    the caller's thread.  A limit that passes ends only the wait.
    """

    __slots__ = ("_answers", "_generated", "_prefix", "_terms")

    def __init__(self, answers: Answers, generated: Generated, prefix: tuple[Any, ...], terms: Terms) -> None:
        keys = generated.keys
        if terms.seconds is not None and keys.tokens.loops is not None and not keys.shape.is_async:
            raise TypeError(
                f"within: {keys.shape.qualname}() is a plain function, which would run in a thread without an event "
                f"loop, so that its result could not belong to the loop that scope='loop' keeps it for; leave the "
                f"limit of {seconds_in_words(terms.seconds)} out, or decorate a coroutine function."
            )
        self._answers = answers
        self._generated = generated
        self._prefix = prefix
        self._terms = terms

    def _whose(self) -> str:
        return self._generated.shape.qualname

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call in time: with a fresh value, else with a stale one that the options allow, if it is young
        enough; else with the default, or the function's ``fallback``.

        Raises:
            InflightTimeout: There is none of these, and the load took longer.
            Exception: Without a default or fallback: what the load raised, or a remembered failure.
        """
        return self._call(args, kwargs, self._terms)

    def fresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call in time, with a fresh value, or with the default.  Raises as ``call()`` does."""
        return self._call(args, kwargs, self._terms._replace(stale=False))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], terms: Terms) -> R_co:
        key = self._generated.checked_key_of(*self._prefix, *args, **kwargs)
        answers = self._answers
        answer: Any = answers.call_awaited if self._generated.shape.is_async else answers.call
        return answer(key, Call((*self._prefix, *args), kwargs), terms)  # type: ignore[no-any-return]

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise missing(self, name)

    def __repr__(self) -> str:
        terms = self._terms
        limit = "" if terms.seconds is None else f" within {seconds_in_words(terms.seconds)}"
        age = "" if terms.max_age_s is None else f", at most {seconds_in_words(terms.max_age_s)} old"
        default = "" if terms.default is NOT_GIVEN else f", or {short_text(terms.default)}"
        return f"<calls of {self._answers.name}{limit}{age}{default}>"


def own_terms(span: Any, max_age: Any, default: Any) -> Terms:
    """The terms that ``within()`` was given.

    Raises:
        TypeError: None is given, or one is no duration.
        ValueError: One is negative, *span* is zero, or one is text that is no duration.
    """
    if span is NOT_GIVEN and max_age is None and default is NOT_GIVEN:
        raise TypeError(
            "within: neither a time to wait nor max_age= nor default= is given; write for example within('50ms')."
        )
    return Terms(
        seconds=None if span is NOT_GIVEN else seconds(span, where="within", option="span"),
        max_age_s=None if max_age is None else seconds(max_age, where="within", option="max_age", zero_ok=True),
        default=default,
    )


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
