"""What is assigned to a decorated function reaches the original, and the layers around it follow.

Reloaders, test doubles and ``functools.update_wrapper()`` assign to functions.  What calls and keys go by is then
read anew; what was made by another code, or with other defaults, is dropped like anything that is out of date.
"""

from typing import Any

from memo._decorated.layer import Layer, layer_of
from memo._decorated.stack import layers_of, original_of

__all__ = ("assign", "unassign")

_MAKES_RESULTS = frozenset({"__code__", "__defaults__", "__kwdefaults__"})
_READ_BY_LAYERS = _MAKES_RESULTS | {
    "__dict__",
    "__module__",
    "__name__",
    "__qualname__",
    "__signature__",
    "__wrapped__",
}
_ABSENT: Any = object()


def assign(function: Any, name: str, value: Any) -> None:
    """Assign to what *function* decorates.

    Raises:
        AttributeError: That has no such attribute, or it cannot be assigned to.
        TypeError: The value is not of its type.
        ValueError: With this value it could not be decorated as it is: the function would turn into a coroutine
            function or back, or lack a parameter that ``ignore=`` names; or code has other free variables than that
            of the original.  Nothing is changed then.
        RuntimeError: The code has other free variables, and the original is the wrapper of a decorator of others.
            Reloaders (IPython's) assign the code of the function below that first, and take a ValueError for
            something to be passed over; by this they learn that the module is to be run again.
    """
    original = original_of(function)
    if name == "__wrapped__" and original_of(value) is original:
        return  # it is wrapped already, and would become a wrapper of itself
    before = _present(original, name)
    try:
        setattr(original, name, value)
    except ValueError as error:
        if name != "__code__" or not hasattr(original, "__wrapped__"):
            raise
        raise RuntimeError(
            f"{original.__qualname__} is the wrapper of another decorator, which the code that was assigned is not of "
            f"({error}); decorate the new function anew, for example by running its module again."
        ) from error
    _follow(function, original, name, before)


def unassign(function: Any, name: str) -> None:
    """Delete an attribute of what *function* decorates.

    Raises:
        AttributeError: It has none of that name.
        TypeError: It cannot be deleted.
        ValueError: As of ``assign()``.
    """
    original = original_of(function)
    before = _present(original, name)
    delattr(original, name)
    _follow(function, original, name, before)


def _present(original: Any, name: str) -> Any:
    return getattr(original, name, _ABSENT) if name in _READ_BY_LAYERS else _ABSENT


def _follow(function: Any, original: Any, name: str, before: Any) -> None:
    if name not in _READ_BY_LAYERS:
        return
    layers = _around(function, original)
    try:
        _read_anew(layers)
    except BaseException:
        if before is _ABSENT:
            delattr(original, name)
        else:
            setattr(original, name, before)
        _read_anew(layers)
        raise
    if name in _MAKES_RESULTS:
        for layer in reversed(layers):  # innermost first: what begins meanwhile above may be given what is still below
            layer.fence(None)
            layer.drop_tagged(None)


def _read_anew(layers: list[Layer]) -> None:
    for layer in reversed(layers):
        layer.read_anew()


def _around(function: Any, original: Any) -> list[Layer]:
    """The layers between the world and *original*, outermost first, also those above *function*."""
    layer = layer_of(function)
    record = None if layer is None else layer.record
    stack = [part for part in record.parts if isinstance(part, Layer)] if record is not None else []
    stack += [one for one in layers_of(function) if not any(one is known for known in stack)]
    return [one for one in stack if original_of(one.shape.function) is original]
