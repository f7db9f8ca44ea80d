"""What one decorator adds to one function, and how the layers of a stack are found."""

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from memo._calls import KeyOptions, Shape
from memo._clock import Clock
from memo._flights import Flights
from memo._instances import InstanceRef, Instances
from memo._keys import Keys, Through
from memo._records import Part, Record
from memo._sizes import OfTheProgram
from memo._switch import is_off, off_for_good
from memo._tags import NO_TAGS, Tags
from memo._wrappers import Generated

__all__ = (
    "HANDLES", "FlightLayer", "Layer", "become_method", "find_handle", "layer_of", "layers_of", "original_of",
)  # fmt: skip

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
        below = layer_of(function)
        self.shape: Shape = Shape(function, where, takes_instance, None if below is None else below.shape)
        self.tags = tags
        self.clock = Clock(clock)
        self.instances = Instances(self.shape.qualname, self.collected)
        self.record: Record | None = None
        self._options = options
        self._through: Generated | None = None
        self._gate: str | None = None
        self.prepare()
        self.generated = Generated(Keys(self.shape, options, self.instances), self.template, self._words())
        self.show_keys(self.generated.keys)
        self._learn_tags()
        self._off_for_good = off_for_good()
        if self._off_for_good:
            self._set_gate(_ALWAYS_OFF)
        self.clock.on_exchange(functools.partial(self.assign, "clock"), at_once=False)
        self.clock.on_exchange(self.follow, at_once=False)

    def prepare(self) -> None:
        """Make what the template needs; the shape is known, the wrapper not made yet."""

    def template(self) -> str:
        """The wrapper's body."""
        raise NotImplementedError

    def internals(self) -> dict[str, Any]:
        """What the template names."""
        raise NotImplementedError

    def _words(self) -> dict[str, Any]:
        return {
            **self.internals(),
            "clock": self.clock.read,
            "function": self.shape.function,
            "is_off": self.is_off,
            "tags_of": self.tags_of,
        }

    def assign(self, word: str, value: Any) -> None:
        """Exchange what the wrappers know by that name."""
        for generated in self._wrappers():
            generated.assign(word, value)

    def _wrappers(self) -> Iterator[Generated]:
        yield self.generated
        if self._through is not None:
            yield self._through

    def read_anew(self) -> None:
        """Learn what the function has become: something was assigned to it that calls or keys go by."""
        below = layer_of(self.shape.function)
        self.shape.read(None if below is None else below.shape)
        self.generated.exchange_keys(Keys(self.shape, self._options, self.instances))
        self.show_keys(self.generated.keys)
        self._learn_tags()
        if self._through is not None:
            keys = Keys(self.shape, self._options, self.instances, through=True)
            self._through.assign("tags_of", functools.partial(self._tags_of, self._teller(keys)))
            self._through.exchange_keys(keys)
            self.generated.keys.through = keys

    # -- methods

    def take_instance(self) -> None:
        """Learn that the function is a method after all, by the class in whose body it was defined."""
        self.empty()  # nobody could find again what was held under a plain function's keys
        self.shape.takes_instance = True
        self._through = None
        self.generated.exchange_keys(Keys(self.shape, self._options, self.instances))
        self.show_keys(self.generated.keys)
        self._learn_tags()

    def through(self) -> Generated:
        """The wrapper for calls through the instances of a class that merely refers to this function.

        The function stays what it is: such calls have keys of their own, by the instance's identity, in the same
        store and the same table of running calls.
        """
        if self._through is not None:
            return self._through
        below = layer_of(self.shape.function)
        keys = Keys(self.shape, self._options, self.instances, through=True)
        words = self._words()
        if below is not None and not below.shape.takes_instance:
            words["function"] = below.through().wrapper
        words["tags_of"] = functools.partial(self._tags_of, self._teller(keys))
        through = Generated(keys, self.template, words, through=True)
        through.set_gate(self._gate)
        self.serve_through(_PlainOrThrough(self.shape.function, words["function"]))
        self.generated.keys.through = keys
        self._through = through
        return through

    @property
    def needs_through(self) -> bool:
        """Whether plain calls would make an instance, as first argument, part of their keys by its own equality."""
        shape = self.shape
        first = shape.parameters[0].name if shape.parameters else None
        return not shape.takes_instance and first not in self._options.ignore

    def show_keys(self, keys: Keys) -> None:
        """Tell what is below of the keys of the function's calls."""

    def serve_through(self, function: Callable[..., Any]) -> None:
        """Expect keys of calls through instances too, and such calls (marked by ``Through``) of the function."""

    def generated_for(self, args: tuple[Any, ...]) -> Generated:
        """The wrapper that is concerned with a call."""
        return self.through() if args and type(args[0]) is Through else self.generated

    # -- tags

    def _teller(self, keys: Keys) -> Callable[..., Any] | None:
        return None if self.tags.function is None else keys.teller(self.tags.function)

    def _learn_tags(self) -> None:
        self._ask_tags = self._teller(self.generated.keys)

    def _tags_of(self, ask: Callable[..., Any] | None, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        return () if ask is None else self.tags.of_call(self.shape.qualname, ask, args, kwargs)

    def tags_of(self, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        """The tags of one call that ``tags=`` computes; None if it cannot."""
        if args and type(args[0]) is Through:
            return self.through().read("tags_of")(args[0].instance, *args[1:], **kwargs)  # type: ignore[no-any-return]
        return self._tags_of(self._ask_tags, *args, **kwargs)

    def drop_tagged(self, tag: str | None) -> int:
        """Drop what bears *tag*, or (None) everything, and fence the running calls that do; how many entries went."""
        return 0

    # -- the off switch

    def watch_switch(self, on: bool) -> None:
        """Look at each call whether the function is switched off; no call pays for that otherwise."""
        if not self._off_for_good:
            self._set_gate(_GATE if on else None)

    def _set_gate(self, gate: str | None) -> None:
        self._gate = gate  # for wrappers yet to come; each of the others knows its own
        for generated in self._wrappers():
            generated.set_gate(gate)

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


class _PlainOrThrough:
    """A function that may be called plainly, or through an instance that marks the call."""

    def __init__(self, plain: Callable[..., Any], through: Callable[..., Any]) -> None:
        self._plain = plain
        self._through = through

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if args and type(args[0]) is Through:
            return self._through(args[0].instance, *args[1:], **kwargs)
        return self._plain(*args, **kwargs)


class FlightLayer(Layer):
    """A layer whose calls share executions."""

    flights: Flights

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        if call is None:
            self.flights.detach_all()
        else:
            self.flights.detach(self.generated_for(call[0]).key_of(*call[0], **call[1]))

    def show_keys(self, keys: Keys) -> None:
        self.flights.explain = keys.explain

    def serve_through(self, function: Callable[..., Any]) -> None:
        self.flights.call = function

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
