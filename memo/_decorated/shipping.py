"""Decorated functions travel to other processes decorated, with an empty store of their own.

``pickle`` sends a function by its name.  cloudpickle and dill, which Ray, Dask, Spark and joblib use, send functions
of the main program, of interactive sessions and of function bodies by value; such a function is sent here as what it
decorates and the decorator.  cloudpickle tells functions by ``isinstance()`` before it asks an object how it is to
be sent, dill by the type alone.  So both are taught when they are imported; neither is imported for it.
"""

import functools
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import wrapt

from memo._decorated.bound_method import Bound
from memo._decorated.holders import Holder, held
from memo._decorated.layer import layer_of
from memo._decorated.object_proxy import by_value
from memo._decorated.proxy import Transparent
from memo._decorated.stack import found_at

__all__ = ("is_importable", "make_bound", "teach_picklers")

_CLOUDPICKLES = (
    "cloudpickle.cloudpickle",
    "cloudpickle.cloudpickle_fast",  # its pickler's home before version 3
    "joblib.externals.cloudpickle.cloudpickle",
    "joblib.externals.cloudpickle.cloudpickle_fast",
    "pyspark.cloudpickle.cloudpickle",
    "pyspark.cloudpickle.cloudpickle_fast",
    "ray.cloudpickle.cloudpickle",
    "ray.cloudpickle.cloudpickle_fast",
    "apache_beam.internal.cloudpickle.cloudpickle",
)
_DILLS = ("dill._dill",)
_MAIN = ("__main__", "__mp_main__")


def make_bound(function: Any, instance: Any) -> Any:
    """The bound method."""
    return function.__get__(instance, type(instance))


def is_importable(function: Any) -> bool:
    """Whether another process finds *function* by its module and name."""
    layer = layer_of(function)
    assert layer is not None
    shape = layer.shape
    return found_at(shape.module, shape.qualname) is function and shape.module not in _MAIN


# -- teaching


def _teach_cloudpickle(module: ModuleType) -> None:
    for pickler in {getattr(module, name, None) for name in ("Pickler", "CloudPickler")}:
        if isinstance(pickler, type) and "reducer_override" in vars(pickler):
            _teach(pickler, getattr(module, "_should_pickle_by_reference", None))


def _teach_dill(module: ModuleType) -> None:
    pickler = getattr(module, "Pickler", None)
    if isinstance(pickler, type):
        _teach(pickler, None)


def _teach(pickler: Any, goes_by_reference: Callable[[Any], bool] | None) -> None:
    """Have a class of picklers ask here first.

    Args:
        pickler: The class.
        goes_by_reference: Whether it sends a function by its name; None: if that can be imported.
    """
    known = getattr(pickler, "reducer_override", None)

    def is_found(function: Any) -> bool:
        if goes_by_reference is None or not isinstance(function, FunctionType):
            return is_importable(function)
        return goes_by_reference(function)

    def reducer_override(self: Any, thing: Any) -> Any:
        kind = type(thing)
        if issubclass(kind, Transparent) and not is_found(thing):
            return by_value(thing)
        if issubclass(kind, Bound) and not is_found(thing.__func__):
            return make_bound, (thing.__func__, thing.__self__)
        if issubclass(kind, Holder):
            return held(thing)
        if issubclass(kind, (Transparent, Bound)) or known is None:
            return NotImplemented
        return known(self, thing)

    pickler.reducer_override = reducer_override


@functools.cache  # once
def teach_picklers() -> None:
    """Teach those that are imported, and the others when they are."""
    for name in _CLOUDPICKLES:
        wrapt.register_post_import_hook(_teach_cloudpickle, name)
    for name in _DILLS:
        wrapt.register_post_import_hook(_teach_dill, name)
