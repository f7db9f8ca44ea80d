"""What stands in the keys of one function for what they do not keep alive: instances, weak arguments, event loops.

Each kind has tokens of its own, so that one object has several if it is met as several.  Where there is nothing to
stand for (an argument that is None, no loop that runs) that itself is in the key.
"""

from asyncio import _get_running_loop
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from memo._base import way_to_weak_references
from memo._call.instances import ArgumentRef, InstanceRef, Instances, refs_in
from memo._call.signature import KeyOptions

__all__ = ("ABSENT", "Loops", "Tokens", "WeakArguments")


class _Absent:
    """Stands in keys for a weak argument that is not among ``**`` arguments."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()


class WeakArguments(Instances):
    """The tokens of the live objects that were given for parameters that ``weak=`` names."""

    __slots__ = ()

    kind: ClassVar[type[InstanceRef]] = ArgumentRef

    def __init__(self, name: str, died: Callable[[InstanceRef], object], dead: list[InstanceRef]) -> None:
        super().__init__(name, died, dead)
        for nothing in (None, ABSENT):  # so that a hit finds them as it finds a token
            self.refs[id(nothing)] = nothing

    def argument(self, value: Any, parameter: str) -> Hashable:
        """What stands for *value*, given for *parameter*, in a key.

        Raises:
            TypeError: It cannot be weakly referenced, and is not None.
        """
        if value is None or value is ABSENT:
            return value
        token = self.token(value)
        if type(token) is not ArgumentRef:
            kind = type(value)
            way = way_to_weak_references(kind)
            raise TypeError(
                f"{self._name}(): the value of parameter {parameter!r}, which weak= names, is of type "
                f"{kind.__qualname__!r}, which cannot be weakly referenced; {f'{way}, or ' if way else ''}leave "
                f"{parameter!r} out of weak=."
            )
        return token

    def held_weakly(self, key: Hashable) -> list[Any]:
        """The live objects that *key* holds weakly."""
        found = [(ref, ref()) for ref in refs_in(key)]
        return [argument for ref, argument in found if self.refs.get(id(argument)) is ref]

    def _itself(self, instance: Any) -> Hashable:
        return None  # argument() tells more


class Loops(Instances):
    """The tokens of the event loops in which a function of ``scope="loop"`` was called."""

    __slots__ = ()

    kind: ClassVar[type[InstanceRef]] = ArgumentRef

    def __init__(self, name: str, died: Callable[[InstanceRef], object], dead: list[InstanceRef]) -> None:
        super().__init__(name, died, dead)
        self.refs[id(None)] = None

    def running(self) -> Hashable:
        """What stands in a key for the loop that runs in this thread; None if none does."""
        loop = _get_running_loop()
        if id(loop) not in self.refs:  # a new one, which often follows one that has ended
            self.forget_closed()
        return None if loop is None else self.token(loop)

    def forget_closed(self) -> None:
        """Have the entries of loops go that are closed, and so never run again, though something holds them."""
        for ref in list(self.refs.values()):
            if ref is not None and (loop := ref()) is not None and loop.is_closed():
                self.refs.pop(id(loop), None)
                self.dead.append(ref)
        self.bury()


class Tokens:
    """What stands in the keys of one function for what they do not keep alive.

    Args:
        name: The function's name, for messages.
        options: The key's options.
        died: Called with the token of what was collected; see ``Instances``.
    """

    __slots__ = ("arguments", "instances", "loops")

    def __init__(self, name: str, options: KeyOptions, died: Callable[[InstanceRef], object]) -> None:
        self.instances: Instances = Instances(name, died)
        dead = self.instances.dead
        self.arguments: WeakArguments | None = WeakArguments(name, died, dead) if options.weak else None
        self.loops: Loops | None = Loops(name, died, dead) if options.scope else None

    def words(self) -> dict[str, Any]:
        """What the sources of keys name."""
        words: dict[str, Any] = {"refs": self.instances.refs}
        if self.arguments is not None:
            words |= {"weak_refs": self.arguments.refs, "weak": self.arguments.argument, "absent": ABSENT}
        if self.loops is not None:
            words |= {"loop_refs": self.loops.refs, "loop": self.loops.running, "running_loop": _get_running_loop}
        return words
