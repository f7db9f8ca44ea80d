"""Values of one function as they lie on the server, and back, with what its user does to them before and after.

Neither way loses an answer: what cannot be written stays here, what cannot be read was never found.  Of both there is
a line in the log, once a minute.  What is no ``Exception`` (Ctrl-C, SystemExit) passes.
"""

import logging
from collections.abc import Callable
from typing import Any

from memo._base import Seldom, format_bytes, short_text
from memo._cache import Found
from memo.shared._envelope import Seal
from memo.shared._marks import Mark
from memo.shared._values import decoded_value, encoded_value

__all__ = ("Coding",)

log = logging.getLogger("memo")

_GENERATION = 17  # bytes of one, with what parts it from the next
_AROUND = 64  # at most, of all else that an envelope has besides key and value


class Coding:
    """How the values of one function are written and read.

    Args:
        name: The function, for the log.
        encode: Makes of a result what can be written, and
        decode: makes a result of that again; or neither.
        seal: Closes and opens envelopes.
        stale_ms: For how long past its ttl a value may be of use.
        max_value: Bytes of the largest that is written, with all that lies around it.
    """

    __slots__ = ("_decode", "_encode", "_max_value", "_name", "_seal", "_stale_ms", "_unread", "_unwritten")

    def __init__(
        self,
        name: str,
        encode: Callable[[Any], Any] | None,
        decode: Callable[[Any], Any] | None,
        seal: Seal,
        *,
        stale_ms: int,
        max_value: int,
    ) -> None:
        self._name = name
        self._encode = encode
        self._decode = decode
        self._seal = seal
        self._stale_ms = stale_ms
        self._max_value = max_value
        self._unwritten = Seldom()
        self._unread = Seldom()

    def written(self, mark: Mark, value: Any) -> bytes | None:
        """*value*, of the key of that mark, as bytes; None, and logged, if it cannot be written."""
        try:
            written = encoded_value(value if self._encode is None else self._encode(value), self._max_value)
        except Exception as error:
            self._say_unwritten(f"{type(error).__name__}: {short_text(str(error))}", error)
            return None
        size = len(written) + len(mark.text) + _AROUND + _GENERATION * len(mark.generations)
        if size > self._max_value:
            self._say_unwritten(f"it takes {format_bytes(size)}, and max_value is {format_bytes(self._max_value)}")
            return None
        return written

    def sealed(self, mark: Mark, under: bytes, life_ms: int, written: bytes) -> bytes:
        """What is to be stored for a value.

        Args:
            mark: Of its key.
            under: The generations under which it was loaded.
            life_ms: For how long the server keeps it, counted from when it was made.
            written: The value.
        """
        return self._seal.closed(mark.place, under, life_ms, self._stale_ms, mark.text, written)

    def opened(self, mark: Mark, data: bytes, left_ms: int) -> Found | None:
        """The value that was found; None, and logged, if it is none of this key that can be read.

        Args:
            mark: Of the key.
            data: As it was found.
            left_ms: For how long the server still keeps it.
        """
        opened = self._seal.opened(mark.place, mark.text, data)
        if opened is None or not 0 < left_ms <= opened.life_ms:
            self.say_unread("it is damaged, not signed as it should be, or of another key")
            return None
        try:
            value = decoded_value(opened.value)
            if self._decode is not None:
                value = self._decode(value)
        except Exception as error:
            self.say_unread(f"{type(error).__name__}: {short_text(str(error))}", error)
            return None
        return Found(value, (opened.life_ms - left_ms) / 1000, (left_ms - opened.stale_ms) / 1000)

    def _say_unwritten(self, why: str, error: Exception | None = None) -> None:
        if self._unwritten.is_due():
            log.warning(
                "%s(): a result cannot be shared (%s); it is kept in this process alone.  Give Tier.using() encode= and"
                " decode=, or the tier a larger max_value=.", self._name, why,
                exc_info=None if self._encode is None else error,
            )  # fmt: skip

    def say_unread(self, why: str, error: Exception | None = None) -> None:
        """Log, once a minute, that a value which was found is of no use."""
        if self._unread.is_due():
            log.warning(
                "%s(): a value of the tier cannot be read (%s); it is loaded anew.  Where processes of several versions"
                " share a tier, give Tier.using() a version=.", self._name, why,
                exc_info=None if self._decode is None else error,
            )  # fmt: skip
