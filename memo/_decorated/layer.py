"""What one decorator adds to one function."""

import functools
import types
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from memo._base import NO_TAGS, Aside, Audience, Clock, OfTheProgram, Swept, Tags, Tracked, Weakly
from memo._cache import Link
from memo._call import (
    Block,
    Call,
    CallSource,
    Generated,
    InstanceRef,
    KeyOptions,
    Keys,
    Native,
    Shape,
    Through,
    Tokens,
    called_with_instance,
    check_asked,
    check_names,
    is_looked_at,
)
from memo._decorated.fence import fence_around
from memo._decorated.works import Works
from memo._flight import InflightStats, TaskFlights, ThreadFlights, Watch, put_back, set_aside
from memo._registry import Record, is_off, off_for_good

__all__ = ("FlightLayer", "Layer", "layer_of", "levels_around")


def _nothing() -> None:
    return None


class Layer(OfTheProgram):
    """What one decorator adds to one function.  Subclasses say what a call does.

    Nothing below a layer refers to it (but weakly), and it does not hold what is above it, the wrapper and the
    decorated function, which hold it.  What it works with is made at the first call or the first use of a handle,
    without a lock: of two threads that make it, the first one's is taken.

    Args:
        where: The decorator's name, for messages.
        function: What is decorated, possibly decorated by this package already.
        options: The key's options.
        clock: What reads the time, or None for the default clock.
        takes_instance: Whether the first parameter is an instance; None: to be guessed.
        tags: What it was told about tags.
    """

    kind = ""
    levels = 0
    """How many tables of running calls it adds to those of its stack."""
    _audience: Audience | None = None
    _works: Works | None = None

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
        self.record: Record | None = None
        self._options = options
        self._read = clock
        self._off_for_good = off_for_good()
        self._is_watched = False  # a call looks whether the function is switched off
        self.decorated: Callable[[], Callable[..., Any] | None] = _nothing
        """The decorated function, held weakly; set when it is made."""
        check_names(self.shape, options)
        if options.key is not None and is_looked_at(options.key):  # what this package made fits any call
            check_asked(self.shape, "key", options.key)
        if tags.function is not None:
            check_asked(self.shape, "tags", tags.function)

    # -- what it works with

    @property
    def works(self) -> Works:
        """What it works with."""
        return self._works or self.make_works()

    @property
    def is_made(self) -> bool:
        """Whether there is anything yet that holds or counts something."""
        return self._works is not None

    def make_works(self) -> Works:
        """Make what it works with."""
        clock = Clock(self._read)
        tokens = Tokens(self.shape.qualname, self._options, Weakly(self.collected))
        engine = self.make_engine(clock)
        made = Works(self.shape, self._options, self.tags, clock, tokens, engine, self.asked())
        self.show_keys(engine, made.generated.keys)
        clock.on_exchange(self._follow_exchanged)
        works: Works = self.__dict__.setdefault("_works", made)
        if self._audience is not None:  # which came before there was anything to watch
            self.show_audience()
        return works

    def make_engine(self, clock: Clock) -> Any:
        """Make what the template needs."""
        raise NotImplementedError

    @property
    def clock(self) -> Clock:
        """What reads its time."""
        return self.works.clock

    @property
    def tokens(self) -> Tokens:
        """What stands in its keys for what they do not keep alive."""
        return self.works.tokens

    @property
    def generated(self) -> Generated:
        """The wrapper, and the keys of its calls."""
        return self.works.generated

    def _follow_exchanged(self, read: Callable[[], float]) -> None:
        if self.is_made:  # else there is nothing yet that has looked at the clock
            self.assign("clock", read)
            self.follow(read)

    # -- wrappers

    @property
    def wrapper(self) -> Callable[..., Any]:
        """The wrapper; a new one, if nobody holds the last one."""
        return self.generated.wrapper_of(self)

    @property
    def wrapper_through(self) -> Callable[..., Any]:
        """That of calls through instances; see ``through()``."""
        return self.through().wrapper_of(self)

    def answer(self, /, *args: Any, **kwargs: Any) -> Any:
        """Answer a call, which may be marked by ``Through``, as the wrapper that is concerned with it does."""
        if args and type(args[0]) is Through:
            return self.wrapper_through(args[0].instance, *args[1:], **kwargs)
        decorated = self.decorated()  # which holds the wrapper, if anything does
        return (self.wrapper if decorated is None else decorated)(*args, **kwargs)

    def template(self, call: CallSource) -> Block:
        """What *call* does, as lines of the wrapper."""
        raise NotImplementedError

    def body(self, call: CallSource) -> Block:
        """The wrapper's body at present."""
        straight = f"return {call.answer}"
        if self._off_for_good:
            return [straight]
        gate: Block = ["if $is_off():", [straight]] if self._is_watched else []
        return [*gate, *self.template(call)]

    def native(self) -> Native | None:
        """What the path in C does of that at present; None: nothing."""
        return None if self._off_for_good or self._is_watched else self.native_template()

    def native_template(self) -> Native | None:
        """What of the template the path in C does; None: nothing."""
        return None

    def internals(self) -> dict[str, Any]:
        """What the template names."""
        raise NotImplementedError

    def words(self, *, through: bool) -> dict[str, Any]:
        """Whatever the wrapper names, but for what its keys do."""
        return {
            **self.internals(),
            "clock": self.clock.read,
            "function": _called_through(self.shape.function) if through else self.called,
            "is_off": self.is_off,
            "tags_of": functools.partial(self._tags_of, through),
        }

    @property
    def called(self) -> Callable[..., Any]:
        """What calls go on to."""
        function = self.shape.function
        plain = not self.shape.takes_instance or layer_of(function) is not None
        return function if plain else called_with_instance(function)

    def assign(self, word: str, value: Any) -> None:
        """Exchange what the wrappers know by that name."""
        for generated in self._wrappers:
            generated.assign(word, value)

    def read(self, word: str) -> Any:
        """What the wrapper knows by that name now."""
        return self.generated.read(word, self)

    def write_anew(self) -> None:
        """Make the wrappers' code anew, after something that the template depends on changed."""
        for generated in self._wrappers:
            generated.regenerate()

    @property
    def _wrappers(self) -> tuple[Generated, ...]:
        return () if self._works is None else self._works.wrappers

    def read_anew(self) -> None:
        """Learn what the function has become: something was assigned to it that calls or keys go by."""
        below = layer_of(self.shape.function)
        self.shape.read(None if below is None else below.shape)
        check_names(self.shape, self._options)
        if self.is_made:
            self.works.exchange_keys(self.show_keys)

    # -- methods

    def take_instance(self) -> None:
        """Learn that the function is a method after all, by the class in whose body it was defined."""
        self.shape.takes_instance = True
        if self.is_made:
            self.empty()  # nobody could find again what was held under a plain function's keys
            self.works.forget_through()
            self.serve_through(self.called)
            self.works.exchange_keys(self.show_keys)

    def through(self) -> Generated:
        """The wrapper for calls through the instances of a class that merely refers to this function.

        The function stays what it is: such calls have keys of their own, by the instance's identity, in the same
        store and the same table of running calls.
        """
        found = self.works.through
        if found is None:
            self.serve_through(_PlainOrThrough(self.called, _called_through(self.shape.function)))
            found = self.works.make_through()
        return found

    @property
    def needs_through(self) -> bool:
        """Whether plain calls would make an instance, as first argument, part of their keys by its own equality."""
        shape = self.shape
        return not shape.takes_instance and shape.first_name not in self._options.ignore

    def show_keys(self, engine: Any, keys: Keys) -> None:
        """Tell *engine* of the keys of the function's calls."""

    def serve_through(self, function: Callable[..., Any]) -> None:
        """Expect keys of calls through instances too, and such calls (marked by ``Through``) of the function."""

    def explain(self, key: Hashable) -> TypeError | None:
        """Why *key* cannot be hashed, in terms of the function's parameters."""
        return self.generated.keys.shown.explain(key)

    def generated_for(self, args: tuple[Any, ...]) -> Generated:
        """The wrapper that is concerned with a call."""
        return self.through() if args and type(args[0]) is Through else self.generated

    # -- what is asked about calls

    def asked(self) -> dict[str, Callable[..., Any]]:
        """The functions that are asked about calls, as ``key`` is, by the option that they were given as."""
        return {} if self.tags.function is None else {"tags": self.tags.function}

    def ask(self, option: str, /, *args: Any, **kwargs: Any) -> Any:
        """What the function that was given as *option* says of one call."""
        if args and type(args[0]) is Through:
            return self.works.ask(option, True, (args[0].instance, *args[1:]), kwargs)
        return self.works.ask(option, False, args, kwargs)

    def _tags_of(self, through: bool, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        return () if self.tags.function is None else self.works.tags_of(through, args, kwargs)

    def tags_of(self, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        """The tags of one call that ``tags=`` computes; None if it cannot."""
        if args and type(args[0]) is Through:
            return self._tags_of(True, args[0].instance, *args[1:], **kwargs)
        return self._tags_of(False, *args, **kwargs)

    def drop_tagged(self, tag: str | None) -> int:
        """Drop what bears *tag*, or (None) everything, and fence the running calls that do; how many entries went."""
        return 0

    # -- the off switch

    def watch_switch(self, on: bool) -> None:
        """Look at each call whether the function is switched off; no call pays for that otherwise."""
        if not self._off_for_good:
            self._is_watched = on
            self.write_anew()

    def is_off(self) -> bool:
        """Whether a call in the present context goes straight to the function."""
        return self.record is not None and is_off(self.record)

    # -- those who watch

    def be_watched(self, audience: Audience | None) -> None:
        """Tell *audience* what happens from now on, or (None) nobody.

        Hits go on as they are.  What else calls do is written into the wrapper while somebody watches, so that it costs
        nothing otherwise.
        """
        if audience is None and self._audience is None:
            return
        self._audience = audience  # first: what is made meanwhile looks
        if self.is_made and self.levels:
            self.show_audience()
            self.write_anew()

    def show_audience(self) -> None:
        """Have what it works with tell who watches now."""

    def collected(self, owner: InstanceRef) -> None:
        """Forget an instance that died."""

    def fence(self, call: Call | None) -> None:
        """Let no running call of this layer serve newcomers any more: those of one call, or all (None)."""

    def fence_others(self, call: Call | None) -> AbstractContextManager[None]:
        """Do that in the other layers of the stack, around a change that makes outdated what this layer holds."""
        return fence_around(self, self.record, call)

    def handle_for(self, prefix: tuple[Any, ...]) -> Any:
        """The handle that this layer adds, as seen from the instance in *prefix*."""
        raise NotImplementedError

    def whole(self) -> Any:
        """The function of many keys of which this is that of one, ``f.one``; None of any other."""
        return None

    def one_for(self, prefix: tuple[Any, ...]) -> Any:
        """Of a function of many keys: that of one, bound to the instance in *prefix*; None of any other."""
        return None

    def stats(self, name: str) -> Any:
        """Its figures now, as those of *name*.  For them nothing is made that is not there yet, no handle either."""
        raise NotImplementedError

    def load_stats(self, name: str) -> InflightStats | None:
        """Those of the loads that it runs, in the same way; None if it runs none, or they are all that it counts."""
        return None

    def sparkline(self, width: int) -> str:
        """What of late happened, as one line of so many characters; empty if it does not keep that."""
        return ""

    def tracked(self) -> Tracked | None:
        """The keys whose calls it counts; None if it counts none by key."""
        return None

    def sweep(self) -> Iterator[Swept]:
        """Drop what is expired or stuck, slice by slice; how much went in each."""
        raise NotImplementedError

    def empty(self) -> None:
        """Drop everything."""
        raise NotImplementedError

    def forget_inherited(self) -> int:
        """Drop what a forked child inherited, and tell nobody; how many values."""
        return 0

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock, which may have been put back."""

    @property
    def link(self) -> Link | None:
        """Its way to the tier that its results are shared through; None: they are not."""
        return None

    def enrolled(self, name: str | None) -> None:
        """Learn that its record is known, and under which name it is to be, if somebody chose one."""

    def set_aside(self, aside: Aside) -> None:
        """Hold nothing and have counted nothing, as if newly decorated, until *aside* is put back.

        Called of a layer that is made.  Cut short, it can be undone by putting *aside* back.
        """
        self.works.engine.set_aside(aside)

    def put_back(self, aside: Aside) -> None:
        """Drop what is held now, and hold what was set aside as it was then.

        What was never set aside stays.  Cut short, it can be done again.
        """
        if self.is_made:
            self.works.engine.put_back(aside)

    def handle(self) -> Any:
        """The handle that this layer adds."""
        return self.handle_for(())

    def name(self) -> str:
        """The function's name in its registry."""
        return self.shape.qualname if self.record is None else self.record.name


def _called_through(function: Any) -> Callable[..., Any]:
    """What a call through an instance goes on to: if this package decorated that as well, to its like."""
    below = layer_of(function)
    if below is None:
        return called_with_instance(function)
    return function if below.shape.takes_instance else below.wrapper_through


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

    levels = 1

    @property
    def is_watched(self) -> bool:
        """Whether executions are told to somebody: then each is led by the flights, none inline."""
        return self._audience is not None and self._audience.minds_loads

    def show_audience(self) -> None:
        self.flights.be_watched(self.watch_of(self._audience))

    def watch_of(self, audience: Audience | None) -> Watch | None:
        """What tells *audience* of executions; None where there is nobody."""
        record = self.record
        if audience is None or record is None:
            return None
        above, below = levels_around(self, record)
        return Watch(record, audience, above, below == 0, Weakly(self.revealed), self.clock)

    def revealed(self, key: Any) -> Any:
        """*key* as users see it."""
        return self.generated.keys.shown.reveal(key)

    @property
    def flights(self) -> ThreadFlights | TaskFlights:
        """Its running calls."""
        return self.works.engine  # type: ignore[no-any-return]

    def teller(self) -> Weakly | None:
        """What computes the tags of a call, for what lies below; None if they are fixed."""
        return None if self.tags.function is None else Weakly(self.tags_of)

    def fence(self, call: Call | None) -> None:
        if not self.is_made:
            return
        if call is None:
            self.flights.table.detach_all()
        else:
            self.flights.table.detach(self.generated_for(call.args).key_of(*call.args, **call.kwargs))

    def serve_through(self, function: Callable[..., Any]) -> None:
        self.flights.serve(function)

    def follow(self, read: Callable[[], float]) -> None:
        self.flights.follow(read)

    def set_aside(self, aside: Aside) -> None:
        set_aside(self.flights.table, aside)

    def put_back(self, aside: Aside) -> None:
        if self.is_made:
            put_back(self.flights.table, aside)


def levels_around(layer: Layer, record: Record) -> tuple[int, int]:
    """How many tables of running calls there are above, and below, *layer* in the stack of *record*."""
    layers = [part for part in record.parts if isinstance(part, Layer) and part.record is record]
    at = layers.index(layer) if layer in layers else 0
    return sum(one.levels for one in layers[:at]), sum(one.levels for one in layers[at + 1 :])


def layer_of(function: Any) -> Layer | None:
    """The layer of a decorated function; None of anything else."""
    if isinstance(getattr(type(function), "_self_layer", None), types.MemberDescriptorType):
        return function._self_layer  # type: ignore[no-any-return]
    return None
