"""A frozen dataclass whose methods are not written before they are needed.

``@dataclass(frozen=True, slots=True, repr=False, eq=False)`` writes three methods as text and compiles them, for each
class; compiling those of the public figures is a seventh of what importing the package takes, and most programs ask for
few of them.  Here the two that refuse a change are written once, below, and the constructor when it is first looked at:
by the first object, by ``inspect.signature()`` or by ``help()``.  All else is what ``dataclass()`` makes of a class, so
that ``fields()``, ``replace()``, ``match`` and dataclasses that derive from it find what they look for.
"""

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

__all__ = ("frozen_dataclass",)

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def frozen_dataclass(kind: type[T]) -> type[T]:
    """A frozen dataclass with slots, without a repr and a comparison of its own.

    It has a docstring, and no default is a factory.
    """
    plain: Any = kind
    plain.__doc__ = plain.__doc__ or plain.__name__  # python -OO: dataclass() would look at the constructor for one
    plain.__init__, plain.__setattr__, plain.__delattr__ = _Constructor(), _refuse_setting, _refuse_deleting
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(plain)
    made.__dataclass_params__.init = made.__dataclass_params__.frozen = True  # for dataclasses that derive from it
    return made  # type: ignore[no-any-return]


class _Constructor:
    """Stands in a class for its ``__init__``, until that is looked at.

    Threads that look at once each write one, and it is all the same which of them stays.
    """

    kind: Any

    def __set_name__(self, owner: type, name: str) -> None:
        self.kind = owner  # at last the class with slots, which dataclass() makes of that without

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        self.kind.__init__ = written = _constructor_of(self.kind)
        return written.__get__(instance, owner)


def _constructor_of(kind: Any) -> Any:
    names = [f.name for f in fields(kind)]
    lines = [f"def __init__(self, {', '.join(names)}):"]
    lines += [f"    _set(self, {name!r}, {name})" for name in names]
    if hasattr(kind, "__post_init__"):
        lines.append("    self.__post_init__()")
    scope: dict[str, Any] = {"__name__": kind.__module__, "_set": object.__setattr__}
    exec("\n".join(lines), scope)
    written = scope["__init__"]
    written.__qualname__ = f"{kind.__qualname__}.__init__"
    written.__defaults__ = tuple([f.default for f in fields(kind) if f.default is not MISSING])
    written.__annotations__ = {**{f.name: f.type for f in fields(kind)}, "return": None}
    return written


def _refuse_setting(self: Any, name: str, value: object) -> None:
    _refuse(self, name, "assign to")
    object.__setattr__(self, name, value)


def _refuse_deleting(self: Any, name: str) -> None:
    _refuse(self, name, "delete")
    object.__delattr__(self, name)


def _refuse(snapshot: Any, name: str, what: str) -> None:
    """A class that derives from a snapshot's may have attributes of its own: only its fields are frozen."""
    if "__dataclass_fields__" in vars(type(snapshot)) or name in type(snapshot).__dataclass_fields__:
        raise FrozenInstanceError(f"cannot {what} field {name!r}")
