"""What to write so that instances of a class can be weakly referenced, or stand in a key all the same.

The rule: a remedy is one that the interpreter takes for that class.

- A class made by a decorator or base of a library has its library's option: where the library writes ``__slots__``,
  they may not be written by hand.
- ``'__weakref__'`` may be added to slots that were written by hand, unless instances differ in size (subclasses of
  ``tuple``, and so each ``NamedTuple``, of ``int`` and of ``bytes``): there the interpreter refuses it.
- A class with neither, one of a library in C, has no way.
"""

__all__ = ("is_open_class", "way_to_weak_references")

_OF_A_CLASS_STATEMENT = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE


def is_open_class(kind: type) -> bool:
    """Whether something may be written into the class, as a rule since a class statement made it."""
    return kind.__flags__ & (_OF_A_CLASS_STATEMENT | _IMMUTABLE) == _OF_A_CLASS_STATEMENT


def way_to_weak_references(kind: type) -> str | None:
    """What to write so that instances of *kind* can be weakly referenced; None: nothing makes them so."""
    if kind.__itemsize__ or not is_open_class(kind):
        return None
    if hasattr(kind, "__struct_fields__"):  # of msgspec
        return f"write class {kind.__name__}(Struct, weakref=True)"
    own = list(vars(kind))
    if "__slots__" not in own:
        return None
    before = own[: own.index("__slots__")]  # what makes slots of fields notes these first, in a class of its own
    if "__dataclass_fields__" in before:
        return f"write @dataclass(slots=True, weakref_slot=True) for {kind.__qualname__}"
    if "__attrs_attrs__" in before:
        return f"write @define(weakref_slot=True) for {kind.__qualname__}"
    return f"add '__weakref__' to {kind.__qualname__}.__slots__"
