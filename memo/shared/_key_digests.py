"""What a key is called on the server: a digest, since keys may name persons, or text that can be read."""

import functools
import hashlib
import re
from collections.abc import Hashable

from memo.shared._key_forms import form

__all__ = ("digest", "digest_of", "readable")

_SIZE = 16
"""Bytes of a digest."""

_LONGEST = 200
"""Characters of a readable key."""


def digest(name: str, signature: str, version: str, key: Hashable) -> bytes:
    """The digest of *key*, as tables hold it: 16 bytes, alike for equal keys in every process.

    Args:
        name: The function's name.
        signature: What its keys consist of.
        version: Of its values, as the user counts them.
        key: The key.

    Raises:
        Formless: It has no form that is the same in every process.
    """
    return digest_of(name, signature, version, form(key))


def digest_of(name: str, signature: str, version: str, written: bytes) -> bytes:
    """The digest of the key whose form is *written*."""
    hashed = _begun(name, signature, version).copy()
    hashed.update(written)
    return hashed.digest()


@functools.lru_cache(maxsize=1024)
def _begun(*parts: str) -> hashlib.blake2b:
    """A hash of *parts*, to be copied and gone on with; shared by all threads, so never changed."""
    hashed = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        written = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:%b" % (len(written), written))
    return hashed


def readable(name: str, key: Hashable) -> str:
    """*key* of the function *name* as text of up to 200 characters, in one line and without braces.

    Alike for equal keys in every process, and for no others: what is too long ends in a digest of all of it.

    Raises:
        Formless: *key* has no form that is the same in every process.
    """
    written = form(key)
    text = f"{_NAMES.sub(_escape, name)}:{_FORMS.sub(_escape, written.decode('utf-8', 'surrogatepass'))}"
    if len(text) <= _LONGEST:
        return text
    ending = f"...{digest_of(name, '', '', written).hex()}"
    return text[: _LONGEST - len(ending)] + ending


_LETTERS = (
    "\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03a1\u03a3-\u03ff\u0400-\u0481\u048a-\u052f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5"
    "\uac00-\ud7a3"
)
"""Beyond ASCII: what is printed as it is; a list of our own, since releases of Python differ in what is printable."""

_FORMS = re.compile(f"[^ -z|~{_LETTERS}]")
_NAMES = re.compile(f"[^!-9;-\\[\\]-z|~{_LETTERS}]")  # the colon ends it; no backslash, so that it escapes alone


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):x};"  # in forms a backslash stands before no x
