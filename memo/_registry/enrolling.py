"""How a decorated function gets its place in a registry: the one way in, for the first decorator and for each above it.

The layers of one stack share a record.  The first decorator makes it; one above it may give it another name, or take it
to another registry where no decorator below chose one.  If what stands below was decorated once more elsewhere, it has
a record there, and this stack gets its own.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from memo._call import Shape
from memo._registry.origins import Origin
from memo._registry.parts import Part
from memo._registry.record import Record
from memo._registry.registries import Registry, registry

__all__ = ("Member", "Membership", "enrol")


class Membership(NamedTuple):
    """What a decorator was told about its place.

    Attributes:
        where: The decorator's name, for messages.
        name: What ``name=`` says, or None.
        registry: What ``registry=`` says, or None.
    """

    where: str
    name: str | None
    registry: Registry | None


class Member(Part, Protocol):
    """A part that a decorator made: it knows its function, and its record once it is enrolled."""

    shape: Shape
    record: Record | None


def enrol(layer: Member, below: Sequence[Member], wanted: Membership) -> None:
    """Enter *layer* with the record of what it stands on, or with a new one.

    Args:
        layer: What a decorator adds, which has no record yet.
        below: The layers that it stands on, outermost first.
        wanted: What the decorator was told.

    Raises:
        TypeError: Another registry was chosen by a decorator below.
    """
    record = below[0].record if below else None
    if record is not None and record.is_outermost(below[0]):
        _move(record, layer.shape, wanted)
    else:
        record = _new(layer.shape, wanted)
        for one in reversed(below):
            record.add(one)
    record.explicit_name = record.explicit_name or wanted.name is not None
    record.explicit_registry = record.explicit_registry or wanted.registry is not None
    record.add(layer)
    layer.record = record
    for one in (layer, *below):  # whoever watches them sees the stack that they stand in now
        record.registry.admit(one)


def _default_name(shape: Shape) -> str:
    return f"{shape.module}.{shape.qualname}"


def _new(shape: Shape, wanted: Membership) -> Record:
    origin = Origin(shape.function, shape.module, shape.qualname)
    home = registry if wanted.registry is None else wanted.registry
    record = Record(home, origin)
    home.enter(record, wanted.name or _default_name(shape), explicit=wanted.name is not None)
    return record


def _move(record: Record, shape: Shape, wanted: Membership) -> None:
    """Give *record* the name and the registry that another decorator asks for."""
    home = record.registry if wanted.registry is None else wanted.registry
    if home is not record.registry and record.explicit_registry:
        raise TypeError(
            f"{wanted.where}: registry={home!r} differs from the registry of a decorator below on "
            f"{shape.qualname}; give one registry to the whole stack."
        )
    if wanted.name is None and home is record.registry:
        return
    present = record.name if record.explicit_name else _default_name(shape)
    home.enter(record, wanted.name or present, explicit=wanted.name is not None or record.explicit_name)
