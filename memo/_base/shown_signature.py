"""How signatures of the package are shown: by ``help()``, and wherever else they are made text.

Its annotations are shown as they are written, by their short names: a line for each option, where one line would be too
long to be read.
"""

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar

from memo._base.sizes import OfTheProgram

__all__ = ("shown_signature", "shown_signatures")

C = TypeVar("C", bound=type)

_READABLE = 72


class _Written(str):
    """An annotation as it is written in the source, shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _LineForEach(inspect.Signature, OfTheProgram):
    """A signature that is shown with a line for each parameter, if it is long.  No decorated function is its owner."""

    __slots__ = ()

    def __str__(self) -> str:
        parts = list(_parts(self))
        result = "" if self.return_annotation is self.empty else f" -> {self.return_annotation}"
        whole = f"({', '.join(parts)}){result}"
        return whole if len(whole) <= _READABLE else "(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"

    def format(self, *, max_width: int | None = None) -> str:
        """What ``help()`` asks for from Python 3.13 on."""
        return str(self)


def _parts(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as text, with the marks between those of different kinds."""
    before = None
    for parameter in signature.parameters.values():
        kind = parameter.kind
        if before is parameter.POSITIONAL_ONLY and kind is not before:
            yield "/"
        if kind is parameter.KEYWORD_ONLY and before not in (kind, parameter.VAR_POSITIONAL):
            yield "*"
        yield _told(parameter)
        before = kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        yield "/"


def _told(parameter: inspect.Parameter) -> str:
    """A parameter as text; a class that is its default, by its name."""
    told, default = str(parameter), parameter.default
    return told.replace(repr(default), default.__name__) if isinstance(default, type) else told


def shown_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function whose module postpones its annotations, to be shown."""
    plain = inspect.signature(function)
    parameters = [each.replace(annotation=_written(each.annotation)) for each in plain.parameters.values()]
    return _LineForEach(parameters, return_annotation=_written(plain.return_annotation))


def shown_signatures(kind: C) -> C:
    """Have the methods of a class shown so, whose module postpones its annotations; each in one line."""
    for method in vars(kind).values():
        if isinstance(method, FunctionType):
            method.__annotations__ = {name: _written(annotation) for name, annotation in method.__annotations__.items()}
    return kind


def _written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation
