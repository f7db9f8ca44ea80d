"""What one decorator adds to one function, and how the layers of a stack are found."""

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

from memo._calls import Generated, KeyOptions, Shape
from memo._clock import Clock
from memo._instances import InstanceRef, Instances
from memo._registry import Record

__all__ = ("HANDLES", "Layer", "become_method", "find_handle", "layer_of", "layers_of", "original_of")

HANDLES = {"cache": "bounded", "inflight": "dedupe_inflight", "window": "sliding_window"}
"""The handles, and the decorators that add them."""


class Layer:
    """What one decorator adds to one function.  Subclasses say what a call does.

    Args:
        where: The decorator's name, for messages.
        function: What is decorated, possibly decorated by this package already.
        options: The key's options.
        clock: What reads the time, or None for the default clock.
        takes_instance: Whether the first parameter is an instance; None: to be guessed.
    """

    kind = ""

    def __init__(
        self,
        where: str,
        function: Callable[..., Any],
        options: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
    ) -> None:
        self.shape = Shape(function, where, takes_instance)
        self.clock = Clock(clock)
        self.instances = Instances(self.shape.qualname, self.collected)
        self.record: Record | None = None
        self.prepare()
        self.generated = Generated(self.shape, options, self.template, self.internals(), self.instances)
        self.clock.on_exchange(functools.partial(self.generated.assign, "clock"))

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

    def collected(self, owner: InstanceRef) -> None:
        """Forget an instance that died."""

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Let no running call of this layer serve newcomers any more: those of one call, or all (None)."""

    def fence_others(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Do that in the other layers of the stack, which would hand a newcomer what is being invalidated."""
        for part in () if self.record is None else self.record.parts:
            if part is not self:
                part.fence(call)

    def handle_for(self, prefix: tuple[Any, ...]) -> Any:
        """The handle that this layer adds, as seen from the instance in *prefix*."""
        raise NotImplementedError

    def sweep(self) -> tuple[int, int, int]:
        """Drop what is expired or stuck; how many entries, flights and window events went."""
        raise NotImplementedError

    def empty(self) -> None:
        """Drop everything."""
        raise NotImplementedError

    def handle(self) -> Any:
        """The handle that this layer adds."""
        return self.handle_for(())

    def name(self) -> str:
        """The function's name in its registry."""
        return self.shape.qualname if self.record is None else self.record.name


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
