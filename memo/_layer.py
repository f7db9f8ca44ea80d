"""What one decorator adds to one function, and how the layers of a stack are found."""

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from memo._calls import Generated, KeyOptions, Shape
from memo._clock import Clock
from memo._flights import Flights
from memo._instances import InstanceRef, Instances
from memo._records import Part, Record
from memo._sizes import OfTheProgram
from memo._switch import is_off, off_for_good
from memo._tags import NO_TAGS, Tags

__all__ = ("HANDLES", "FlightLayer", "Layer", "become_method", "find_handle", "layer_of", "layers_of", "original_of")

HANDLES = {"cache": "bounded", "inflight": "dedupe_inflight", "window": "sliding_window"}
"""The handles, and the decorators that add them."""


_GATE = """\
if $is_off():
    return <await>$function(<pass>)
"""
_ALWAYS_OFF = """\
return <await>$function(<pass>)
"""


_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class _Fence:
    """Fences the layers *below* and *above*, each given innermost first, and those above again at the end.

    No generator: one that is interrupted between its making and its first step would go on when it is collected.
    """

    __slots__ = ("_above", "_below", "_call")

    def __init__(
        self, above: tuple[Part, ...], below: tuple[Part, ...], call: tuple[tuple[Any, ...], dict[str, Any]] | None
    ) -> None:
        self._above = above
        self._below = below
        self._call = call

    def __enter__(self) -> None:
        for part in (*self._below, *self._above):
            part.fence(self._call)

    def __exit__(self, *exception: object) -> None:
        for part in self._above:
            part.fence(self._call)


class Layer(OfTheProgram):
    """What one decorator adds to one function.  Subclasses say what a call does.

    Args:
        where: The decorator's name, for messages.
        function: What is decorated, possibly decorated by this package already.
        options: The key's options.
        clock: What reads the time, or None for the default clock.
        takes_instance: Whether the first parameter is an instance; None: to be guessed.
        tags: What it was told about tags.
    """

    kind = ""

    def __init__(
        self,
        where: str,
        function: Callable[..., Any],
        options: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
        tags: Tags = NO_TAGS,
    ) -> None:
        self.shape = Shape(function, where, takes_instance)
        self.tags = tags
        self.clock = Clock(clock)
        self.instances = Instances(self.shape.qualname, self.collected)
        self.record: Record | None = None
        self.prepare()
        self.generated = Generated(self.shape, options, self.template, self.internals(), self.instances)
        self.generated.assign("is_off", self.is_off)
        self.generated.assign("tags_of", self.tags_of)
        self._learn_tags()
        self._off_for_good = off_for_good()
        if self._off_for_good:
            self.generated.set_gate(_ALWAYS_OFF)
        self.clock.on_exchange(functools.partial(self.generated.assign, "clock"))
        self.clock.on_exchange(self.follow, at_once=False)

    def prepare(self) -> None:
        """Make what the template needs; the shape is known, the wrapper not made yet."""

    def template(self) -> str:
        """The wrapper's body."""
        raise NotImplementedError

    def internals(self) -> dict[str, Any]:
        """What the template names."""
        raise NotImplementedError

    def take_instance(self) -> None:
        """Learn that the function is a method after all."""
        self.generated.take_instance()
        self._learn_tags()

    # -- tags

    def _learn_tags(self) -> None:
        function = self.tags.function
        self._ask_tags = None if function is None else self.generated.teller(function)

    def tags_of(self, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        """The tags of one call that ``tags=`` computes; None if it cannot."""
        if self._ask_tags is None:
            return ()
        return self.tags.of_call(self.shape.qualname, self._ask_tags, args, kwargs)

    def drop_tagged(self, tag: str | None) -> int:
        """Drop what bears *tag*, or (None) everything, and fence the running calls that do; how many entries went."""
        return 0

    # -- the off switch

    def watch_switch(self, on: bool) -> None:
        """Look at each call whether the function is switched off; no call pays for that otherwise."""
        if not self._off_for_good:
            self.generated.set_gate(_GATE if on else None)

    def is_off(self) -> bool:
        """Whether a call in the present context goes straight to the function."""
        return self.record is not None and is_off(self.record)

    def collected(self, owner: InstanceRef) -> None:
        """Forget an instance that died."""

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Let no running call of this layer serve newcomers any more: those of one call, or all (None)."""

    def fence_others(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> AbstractContextManager[None]:
        """Do that in the other layers of the stack, around a change that makes outdated what this layer holds.

        Those below before the change, so that it is not undone by what they hand out.  Those above before it,
        and again after it: a flight that was begun up there meanwhile may have been given the old value.
        """
        parts = () if self.record is None else self.record.parts
        if len(parts) < 2:
            return _NOTHING
        here = next(place for place, part in enumerate(parts) if part is self)
        return _Fence(tuple(reversed(parts[:here])), tuple(reversed(parts[here + 1 :])), call)

    def handle_for(self, prefix: tuple[Any, ...]) -> Any:
        """The handle that this layer adds, as seen from the instance in *prefix*."""
        raise NotImplementedError

    def sweep(self) -> Iterator[tuple[int, int, int]]:
        """Drop what is expired or stuck, slice by slice; how many entries, flights and window events went in each."""
        raise NotImplementedError

    def empty(self) -> None:
        """Drop everything."""
        raise NotImplementedError

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock, which may have been put back."""

    def set_aside(self) -> Any:
        """Hold nothing and have counted nothing, as if newly decorated, until what is returned is put back."""
        raise NotImplementedError

    def put_back(self, aside: Any = None) -> None:
        """Drop what is held now, and hold what was set aside as it was then; None: nothing."""
        raise NotImplementedError

    def handle(self) -> Any:
        """The handle that this layer adds."""
        return self.handle_for(())

    def name(self) -> str:
        """The function's name in its registry."""
        return self.shape.qualname if self.record is None else self.record.name


class FlightLayer(Layer):
    """A layer whose calls share executions."""

    flights: Flights

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        if call is None:
            self.flights.detach_all()
        else:
            self.flights.detach(self.generated.key_of(*call[0], **call[1]))

    def follow(self, read: Callable[[], float]) -> None:
        self.flights.follow(read)

    def set_aside(self) -> Any:
        return self.flights.set_aside()

    def put_back(self, aside: Any = None) -> None:
        self.flights.put_back(aside)


def layers_of(function: Any) -> Iterator[Layer]:
    """The layers of a decorated function, outermost first, also below decorators of others."""
    for _ in range(100):
        if function is None:
            return
        layer = layer_of(function)
        if layer is not None:
            yield layer
            function = layer.shape.function
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            function = getattr(function, "__wrapped__", None)


def layer_of(function: Any) -> Layer | None:
    """The layer of a decorated function; None of anything else."""
    if isinstance(getattr(type(function), "_self_layer", None), types.MemberDescriptorType):
        return function._self_layer  # type: ignore[no-any-return]
    return None


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
    name = "it" if layer is None else layer.shape.qualname
    raise AttributeError(f"{name} has no {kind!r}; decorate it with @{HANDLES[kind]} as well.")


def original_of(function: Any) -> Any:
    """What this package found when it first decorated *function*."""
    while (layer := layer_of(function)) is not None:
        function = layer.shape.function
    return function


def become_method(function: Any) -> None:
    """Make every layer of *function* treat the first parameter as an instance."""
    for layer in layers_of(function):
        if not layer.shape.takes_instance and isinstance(original_of(function), types.FunctionType):
            layer.take_instance()
