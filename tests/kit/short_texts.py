"""Values for the tests of short text."""

from typing import Any

__all__ = ("SPECIAL", "Ran", "hostile", "ran")


class Ran(BaseException):
    """A stranger's code ran; no ``except Exception`` hides it."""


def ran(*_: object, **__: object) -> Any:
    raise Ran


SPECIAL = [
    "__repr__", "__str__", "__format__", "__len__", "__iter__", "__bool__", "__eq__", "__ne__", "__lt__", "__getitem__",
    "__contains__", "__getattr__", "__int__", "__index__", "__float__", "__sizeof__", "__next__", "__reversed__",
    "__reduce_ex__", "__dir__", "__call__", "__fspath__", "__bytes__", "__enter__", "__get__", "items", "keys",
]  # fmt: skip


def hostile(*bases: type, meta: type = type, **names: Any) -> Any:
    """A class that answers every question with Ran."""
    own = {
        **dict.fromkeys(SPECIAL, ran),
        "__hash__": object.__hash__,
        "__class__": property(ran),
        "__getattribute__": ran,
        **names,
    }
    return meta("Hostile", bases, own)
