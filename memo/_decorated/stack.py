"""The layers of a stack of decorators: how they are found, and which of them adds a handle."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from memo._base import wrapped_by
from memo._decorated.layer import Layer, layer_of

__all__ = (
    "ADDED",
    "HANDLES",
    "LIKE_LRU_CACHE",
    "become_method",
    "find_below",
    "find_handle",
    "find_one",
    "found_at",
    "layers_of",
    "original_of",
    "tell_name",
)

HANDLES = {"cache": "bounded", "inflight": "dedupe_inflight", "window": "sliding_window", "limit": "limit"}
"""The handles, and the decorators that add them."""

LIKE_LRU_CACHE = ("cache_clear", "cache_info", "cache_parameters")
"""What is there besides where there is a ``cache``."""
ADDED = (*HANDLES, *LIKE_LRU_CACHE)
"""All that decorating adds, if the decorator that does so is there."""


def layers_of(function: Any) -> Iterator[Layer]:
    """The layers of a decorated function, outermost first, also below decorators of others."""
    for link in wrapped_by(function, _decorated):
        layer = layer_of(link)
        if layer is not None:
            yield layer


def _decorated(link: Any) -> Any:
    layer = layer_of(link)
    return None if layer is None else layer.shape.function


def find_handle(function: Any, prefix: tuple[Any, ...], kind: str) -> Any:
    """The outermost handle of one kind.

    Raises:
        AttributeError: No layer has one.
    """
    layer = None
    for layer in layers_of(function):
        if layer.kind == kind:
            return layer.handle_for(prefix)
        if kind == "inflight" and layer.kind == "cache":
            return layer.handle_for(prefix).inflight
    raise _lacking(layer, kind)


def find_below(function: Any, name: str) -> Any:
    """What others have under the name of a handle that no layer has: ``functools.lru_cache`` its ``cache_info``.

    They have what is found without calling their ``__getattr__``: a mock and many a proxy answers to every name.

    Raises:
        AttributeError: Nobody has one.
    """
    layer = None
    for link in wrapped_by(function, _decorated):
        if (own := layer_of(link)) is not None:
            layer = own
        elif inspect.getattr_static(link, name, _NOTHING) is not _NOTHING:
            return getattr(link, name)
    raise _lacking(layer, name)


_NOTHING = object()


def _lacking(layer: Layer | None, name: str) -> AttributeError:
    decorator = HANDLES.get(name, HANDLES["cache"])
    it = "it" if layer is None else layer.shape.qualname
    return AttributeError(f"{it} has no {name!r}; decorate it with @{decorator} as well.")


def find_one(function: Any, prefix: tuple[Any, ...]) -> Any:
    """What ``f.one`` is of a function of many keys: that of one; None of any other function."""
    for layer in layers_of(function):
        one = layer.one_for(prefix)
        if one is not None:
            return one
    return None


def original_of(function: Any) -> Any:
    """What this package found when it first decorated *function*."""
    while (layer := layer_of(function)) is not None:
        function = layer.shape.function
    return function


def found_at(module: str, qualname: str) -> Any:
    """What a module that is imported has under a qualified name; None: nothing."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def become_method(function: Any, owner: type) -> None:
    """Make every layer of *function* treat the first parameter as an instance, if *owner* is where it was defined.

    A class may also refer to a function of elsewhere, which remains a plain one to everybody else.
    """
    layer = layer_of(function)
    if layer is None or layer.shape.takes_instance or layer.shape.module != owner.__module__:
        return
    defined_there = layer.shape.qualname == f"{owner.__qualname__}.{layer.shape.name}"
    if defined_there and hasattr(type(original_of(function)), "__get__"):
        for one in layers_of(function):
            if not one.shape.takes_instance:
                one.take_instance()


def tell_name(function: Any, owner: type, name: str) -> None:
    """Tell what was decorated in a class body of its name there, as the interpreter would have."""
    original = original_of(function)
    tell = getattr(type(original), "__set_name__", None)
    if tell is not None:
        tell(original, owner, name)
