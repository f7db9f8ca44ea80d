"""What a key of one function is to the tier: its digest, its text, and the names that belong to it."""

import functools
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from memo._base import Seldom, short_text
from memo.shared._key_digests import digest_of, readable
from memo.shared._key_forms import form
from memo.shared._names import Names, tag_digest

__all__ = ("Mark", "Marks")

log = logging.getLogger("memo")


class Mark(NamedTuple):
    """One key, with the tags that its value bears."""

    digest: bytes
    text: bytes
    place: bytes
    """Where its value lies."""
    lease: bytes
    """Where the leave to load it lies."""
    generations: tuple[bytes, ...]
    """Those that its value depends on: of the tier, the function, and each tag, in an order that is always the same."""
    tags: tuple[bytes, ...]
    """The digests of its tags."""


class Marks:
    """The marks of one function.

    Args:
        names: Of the tier.
        label: The function's.
        name: The function.
        signature: How its calls become keys.
        version: Of its values.
        readable_keys: Whether names show keys.
    """

    __slots__ = ("_function", "_generation", "_label", "_name", "_names", "_of_tags", "_shown", "_unwritten")

    def __init__(
        self, names: Names, label: bytes, name: str, signature: str, version: str, *, readable_keys: bool
    ) -> None:
        self._names = names
        self._label = label
        self._name = name
        self._function = (name, signature, version)
        self._generation = names.generation(label)
        self._of_tags = functools.lru_cache(maxsize=256)(self._tag_names)  # most calls bear the same ones
        self._shown: Callable[[str, Hashable], str] | None = readable if readable_keys else None
        self._unwritten = Seldom()

    def of(self, key: Hashable, tags: Sequence[str] = ()) -> Mark | None:
        """The mark of *key*; None, and logged once a minute, if it is of a type that processes cannot share."""
        try:
            text = form(key)
            shown = b"" if self._shown is None else self._shown(self._name, key).encode("utf-8", "backslashreplace")
        except Exception as error:
            if self._unwritten.is_due():
                log.warning(
                    "%s(): a key cannot be shared (%s: %s); its results are kept in this process alone.  Give key=, or"
                    " ignore= for the parameter.", self._name, type(error).__name__, short_text(str(error)),
                )  # fmt: skip
            return None
        digest = digest_of(*self._function, text)
        place = self._names.value(self._label, digest, shown)
        generations, tag_digests = self._of_tags(tuple(tags))
        return Mark(digest, text, place, self._names.lease(place), generations, tag_digests)

    def _tag_names(self, tags: tuple[str, ...]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The names of the generations that a value with these tags depends on, and the digests of the tags."""
        digests = tuple(sorted({tag_digest(tag) for tag in tags}))
        return (self._names.everything, self._generation, *map(self._names.tag, digests)), digests
