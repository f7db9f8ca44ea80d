"""What things are called on the server: everything lies under the tier's prefix and the version of the wire.

A name that is made here never meets one of another version of this package's wire format, nor of another prefix.
"""

import functools
from hashlib import blake2b

__all__ = ("Names", "function_label", "tag_digest")

_WIRE = b"1"
_ESCAPED = str.maketrans({char: f"%{ord(char):02X}" for char in "%/{}"})


def function_label(name: str, version: str) -> bytes:
    """What stands for a function on the server and in messages: ``name``, or ``name/version``; no two have the same."""
    label = name.translate(_ESCAPED)
    return (f"{label}/{version.translate(_ESCAPED)}" if version else label).encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=4096)
def tag_digest(tag: str) -> bytes:
    """The 16 bytes that stand for *tag* on the server and in messages, since tags may name persons."""
    return blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Names:
    """The names of one tier.

    Args:
        prefix: Its namespace.
    """

    __slots__ = ("_generation", "_start", "_tag", "everything", "log", "sequence")

    def __init__(self, prefix: str) -> None:
        start = prefix.encode("utf-8", "surrogatepass") + b":" + _WIRE + b":"
        self._start = start + b"{"
        self._generation = start + b"g:"
        self._tag = start + b"t:"
        self.everything = start + b"all"
        """Where the generation of all values of the tier lies."""
        self.log = start + b"log"
        """The stream of messages."""
        self.sequence = start + b"seq"
        """The hash with the epoch and the number of the latest message."""

    def value(self, function: bytes, digest: bytes, shown: bytes = b"") -> bytes:
        """Where the value of a key lies.

        Args:
            function: Its ``function_label()``.
            digest: Of the key.
            shown: The key as text, for those who look at the server; nothing, where keys are not to be read.
        """
        place = b"%b%b/%b}" % (self._start, function, digest.hex().encode())
        return b"%b:%b" % (place, shown) if shown else place

    def lease(self, value: bytes) -> bytes:
        """Where the leave to load what belongs at *value* lies."""
        return value + b":l"

    def generation(self, function: bytes) -> bytes:
        """Where the generation of a function's values lies."""
        return self._generation + function

    def tag(self, digest: bytes) -> bytes:
        """Where the generation of a tag lies."""
        return self._tag + digest.hex().encode()
