"""Tags: names by which entries of many functions are dropped together."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from memo._base.shortened import given_text
from memo._base.wrapping import is_awaited, run_by

__all__ = ("NO_TAGS", "TagFunction", "TaggedCall", "Tags", "TagsOption", "check_tag", "check_tag_names", "check_tags")

log = logging.getLogger("memo")

TagFunction = Callable[..., str | Iterable[str]]
"""Returns the tags of a call, given its arguments."""
TagsOption = str | Iterable[str] | TagFunction
"""What ``tags=`` takes."""


class Tags:
    """What a decorator was told about tags, already checked: names, or a function that returns them.

    Attributes:
        fixed: The names that every entry bears.
        function: Computes those of one call; None if they are fixed.
    """

    __slots__ = ("fixed", "function")

    fixed: tuple[str, ...]

    def __init__(self, fixed: tuple[str, ...] = (), function: TagFunction | None = None) -> None:
        self.fixed = fixed
        self.function: TagFunction | None = function

    def of_call(
        self, name: str, ask: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, ...] | None:
        """The tags that *ask* returns for a call of the function *name*; None, and logged, if it cannot say.

        What bears unknown tags could not be dropped by them, so that it must not be stored.
        """
        try:
            tags = ask(*args, **kwargs)
            return _names("tags", tags)
        except Exception:
            log.exception("%s: tags= raised; the value is returned but not stored", name)
            return None


NO_TAGS = Tags()


class TaggedCall(tuple[str, ...]):
    """The tags of a call, and the call itself for what is asked about it once its result is there.

    It stands for the tags alone as long as the call runs; what is stored bears a plain tuple.
    """

    call: Any

    def __new__(cls, tags: tuple[str, ...], call: Any) -> "TaggedCall":
        made = super().__new__(cls, tags)
        made.call = call
        return made


def _names(where: str, names: Any) -> tuple[str, ...]:
    """Names as a tuple without repetition; one text is one name.

    Raises:
        TypeError: They are no names.
        ValueError: One is empty.
    """
    if isinstance(names, str):
        names = (names,)
    try:
        found = tuple(dict.fromkeys(names))
    except TypeError:
        raise TypeError(
            f"{where}: tags={given_text(names)} is neither a name nor a collection of names; write tags=('users',)."
        ) from None
    for name in found:
        check_tag(where, name, option="tags")
    return found


def check_tag(where: str, tag: Any, option: str = "tag") -> str:
    """One tag.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty.
    """
    if not isinstance(tag, str):
        raise TypeError(
            f"{where}: {option} contains {given_text(tag)}, which is not text; give names such as 'user:alice'."
        )
    if not tag:
        raise ValueError(f"{where}: {option} contains an empty name; give names such as 'user:alice'.")
    return tag


def check_tags(where: str, tags: TagsOption) -> Tags:
    """Check ``tags=``.

    Raises:
        TypeError: It is neither names nor a plain function.
        ValueError: A name is empty.
    """
    if callable(tags):
        if is_awaited(tags):
            raise TypeError(f"{where}: tags={given_text(tags)} is a coroutine function; give a plain function.")
        if any(map(inspect.isasyncgenfunction, run_by(tags))):  # of a generator function the names are drawn
            raise TypeError(
                f"{where}: tags={given_text(tags)} is an asynchronous generator function; give a plain function."
            )
        return Tags(function=tags)
    return Tags(_names(where, tags))


def check_tag_names(where: str, tags: TagsOption, why: str) -> Tags:
    """Check ``tags=`` of a decorator without entries that bear them: names of the whole function alone.

    Args:
        where: The decorator's name.
        tags: The option.
        why: Why tags of single calls are of no use there.

    Raises:
        TypeError: It is a function, or no names.
        ValueError: A name is empty.
    """
    found = check_tags(where, tags)
    if found.function is not None:
        raise TypeError(
            f"{where}: tags={given_text(tags)} is a function, but {why}; give names, which registry.select(tag=...) "
            "finds."
        )
    return found
