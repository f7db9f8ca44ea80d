"""What decides whether two instances are equal: the fields of dataclasses, attrs, pydantic and msgspec, numpy's arrays.

No library is imported: what was made by one has imported it.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ("Parts", "parts_of")

_DIGESTED = 1024
"""From so many bytes on, the content of an array is represented by a digest of 32 bytes."""


class Parts(NamedTuple):
    """What an instance consists of."""

    kind: Any
    """Only instances of one kind may be equal."""
    values: list[Any]


def parts_of(value: Any, kind: type) -> Parts | None:
    """What *value*, of type *kind*, is equal by; None if it is of no kind that is known here."""
    if dataclasses.is_dataclass(kind):
        return Parts(kind, [getattr(value, field.name) for field in dataclasses.fields(kind) if field.compare])
    if any("__attrs_attrs__" in vars(base) for base in kind.__mro__):
        return Parts(kind, [_compared(field, value) for field in kind.__attrs_attrs__ if field.eq])  # type: ignore[attr-defined]
    if _is_a(kind, "msgspec", "Struct"):
        return Parts(kind, [getattr(value, name) for name in kind.__struct_fields__])  # type: ignore[attr-defined]
    if _is_a(kind, "pydantic", "BaseModel"):
        return _of_model(value, kind)
    if _is_a(kind, "pydantic.v1", "BaseModel"):
        return Parts(kind, [vars(value)])
    if _is_a(kind, "numpy", "ndarray"):
        return _of_array(value, kind)
    if _is_a(kind, "numpy", "void"):  # one row of an array with fields
        return Parts(kind, [value.dtype, value.item()])
    return None


def _is_a(kind: type, module: str, name: str) -> bool:
    base = getattr(_imported(module), name, None)
    return isinstance(base, type) and base in kind.__mro__


_found: dict[str, Any] = {}
"""The libraries that were found last, since none is as the interpreter ends."""


def _imported(module: str) -> Any:
    """A module of a library, if it was imported, as it is now; else None."""
    library = sys.modules.get(module)
    if library is None:
        return _found.get(module)
    _found[module] = library
    return library


def _compared(field: Any, value: Any) -> Any:
    """One field of an attrs instance, as ``eq=`` of the field compares it."""
    content = getattr(value, field.name)
    if field.eq_key is None or isinstance(field.eq_key, type):  # a class of cmp_using() compares, and has no hash
        return content
    return field.eq_key(content)


def _of_model(value: Any, kind: Any) -> Parts:
    held = vars(value)
    fields = {name: held[name] for name in kind.model_fields if name in held}  # no cached properties
    generic = kind.__pydantic_generic_metadata__["origin"]
    return Parts(kind if generic is None else generic, [fields, value.__pydantic_extra__, value.__pydantic_private__])


def _of_array(value: Any, kind: type) -> Parts:
    numpy = _imported("numpy")
    parts = [value.dtype, value.shape]
    if _is_a(kind, "numpy.ma", "MaskedArray"):
        # what is masked does not count, whatever lies beneath
        return Parts(kind, [*parts, *_content(numpy.ma.getmaskarray(value)), *_content(value.filled())])
    return Parts(kind, [*parts, *_content(value.view(numpy.ndarray))])


def _content(array: Any) -> list[Any]:
    if array.dtype.hasobject or array.dtype.fields is not None:  # addresses; gaps between fields
        return [array.tolist()]
    content = array.tobytes()
    if len(content) < _DIGESTED:
        return [content]
    return [_digest()(content)]


@functools.cache  # held, since nothing can be imported any more as the interpreter ends
def _digest() -> Callable[[bytes], bytes]:
    """What represents the content of a large array; the content itself if the first is frozen as the interpreter ends:
    a call whose key is frozen is to be answered then as well."""
    try:
        import hashlib  # here: few freeze large arrays, and it takes long to import
    except ImportError:
        return bytes
    return lambda content: hashlib.blake2b(content, digest_size=32).digest()
