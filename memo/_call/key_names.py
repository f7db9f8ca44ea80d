"""Whether the names that ``ignore=`` and ``weak=`` give are those of parameters, and what these allow."""

import weakref
from inspect import Parameter

from memo._base import short_text
from memo._call.key_plan import parted, takes_any
from memo._call.signature import KeyOptions, Shape
from memo._call.source import sign_of

__all__ = ("check_names",)


def check_names(shape: Shape, options: KeyOptions) -> None:
    """Check that ``ignore=`` and ``weak=`` name parameters.

    Raises:
        ValueError: One names what is no parameter, or ``weak=`` what stands for several or for the instance.
        TypeError: ``ignore=`` has no effect together with ``key=``; or a default cannot be weakly referenced.
    """
    if options.ignore or options.weak:
        instance, valued = parted(shape.parameters, shape.takes_instance)
        of_instance = {"self", "cls", instance.name} if instance is not None else set()
        _check_ignored(shape, options, options.ignore - of_instance, valued)
        _check_weak(shape, options.weak, of_instance - {p.name for p in valued if p is not instance}, valued)


def _check_ignored(shape: Shape, options: KeyOptions, ignored: frozenset[str], valued: tuple[Parameter, ...]) -> None:
    if ignored and options.key is not None:
        raise TypeError(
            f"{shape.where}: ignore={tuple(sorted(ignored))!r} has no effect together with key=; let key= leave them "
            f"out."
        )
    _check_known(shape, "ignore", ignored - {"self", "cls"}, valued)


def _check_weak(shape: Shape, weak: frozenset[str], of_instance: set[str], valued: tuple[Parameter, ...]) -> None:
    where = f"{shape.where}: weak contains"
    for name in sorted(weak & of_instance):
        raise ValueError(
            f"{where} {name!r}, but an instance or class counts by its identity, and is not kept alive, without that; "
            f"leave {name!r} out."
        )
    _check_known(shape, "weak", weak, valued)
    for p in valued:
        if p.name not in weak:
            continue
        if sign := sign_of(p):
            raise ValueError(
                f"{where} {p.name!r}, but {sign}{p.name} of {shape.qualname} stands for any number of arguments; name "
                f"single ones."
            )
        if p.default is not Parameter.empty and p.default is not None:
            try:
                weakref.ref(p.default)
            except TypeError:
                raise TypeError(
                    f"{where} {p.name!r}, but its default {short_text(p.default)} cannot be weakly referenced; "
                    f"give it the default None, or leave {p.name!r} out of weak=."
                ) from None


def _check_known(shape: Shape, option: str, given: frozenset[str], valued: tuple[Parameter, ...]) -> None:
    names = {p.name for p in valued}
    for name in sorted(given):
        if name not in names and not takes_any(valued):
            raise ValueError(
                f"{shape.where}: {option} contains {name!r}, but {shape.qualname} has no such parameter; "
                f"it has {', '.join(sorted(names)) or 'none'}."
            )
