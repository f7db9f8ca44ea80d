"""Wrappers generated with the decorated function's own signature.

A wrapper with the function's own parameters lets the interpreter bind positional, keyword and
default spellings of a call, at its own speed, before a line of ours runs; an error in the call
reads as if the function had not been decorated.  Where the function takes other parameters than it
documents, the wrapper takes anything, passes on what came, and binds a copy of it for the key.  What runs inside is a
template of the decorator, in which

- ``$word`` is an internal name: it becomes a name that no parameter bears, and is looked up in
  the wrapper's own globals, where it can be exchanged at any time, or (``share()``) among what all wrappers share;
- the parts of the call (its key, its arguments) are spelled as its ``CallSource`` says.

Who holds whom: the decorated function its wrapper, the wrapper (by its globals) the layer, the layer what it works
with.  The layer knows its wrappers weakly, so that nothing is in a circle.  What stands below never asks a weak
reference for the layer: the caller who wants a wrapper hands it on, and whoever has a wrapper finds it there.  For in
garbage, whose finalizers may call functions that are garbage with them, weak references are gone before anything else.
A wrapper is made at the first call, without a lock: of two threads that make one, both go on with what they made.

Where the path in C answers calls, the decorated function has a ``speed.Call`` that holds the wrapper and answers in
its place what a recipe says.  The wrapper's code, defaults and globals remain the truth: the ``Call`` has copies of
what the latter hold, and whatever changes the wrapper tells it to drop them in the same step, by an assignment that no
call and no jump divides from the change.  So no signal, and no other thread, finds the one changed and the other not.
"""

import builtins
import functools
import itertools
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from inspect import Parameter
from types import FunctionType, SimpleNamespace
from typing import Any, NoReturn, Protocol

from memo._call.call_source import CallSource
from memo._call.key_functions import is_drawn
from memo._call.key_marks import Through
from memo._call.keys import Keys
from memo._call.recipes import NATIVE_WORDS, Native, recipe
from memo._call.signature import Shape
from memo._call.source import PREFIX, Block, Titles, code_of, keyword_defaults, positional_defaults
from memo._native import speed

__all__ = ("LAYER", "Generated", "Maker", "share")

LAYER = "_memo_layer"
"""Under this name a wrapper's globals hold its layer."""


class Maker(Protocol):
    """What a wrapper belongs to: a layer."""

    def body(self, call: CallSource) -> Block:
        """The wrapper's body at present."""
        ...

    def words(self, *, through: bool) -> Mapping[str, Any]:
        """What the template names."""
        ...

    def native(self) -> Native | None:
        """What the path in C does of that at present; None: nothing."""
        ...


_SHARED: dict[str, Any] = dict(vars(builtins))
"""What all wrappers share, by name: the ``__builtins__`` of their globals, where the interpreter caches look-ups.

The builtins proper are among it for whatever is written in C and called by a wrapper, a decorated ``datetime.strptime``
for one: it imports and pickles by what the running frame has there.
"""


def share(**words: Any) -> None:
    """Let templates name what is the same for all functions; called while the package is imported."""
    for word, value in words.items():
        shared = _SHARED.setdefault(PREFIX + word, value)
        assert shared is value, f"two things are called {word}"


share(KeyError=KeyError, TypeError=TypeError, BaseException=BaseException)
share(Through=Through, id=id, nothing={}, type=type)


def _unwritten() -> None: ...


async def _unwritten_async() -> None: ...


_UNWRITTEN = (_unwritten.__code__, _unwritten_async.__code__)
"""What a wrapper begins with: code can be exchanged for code of the same colour."""


_NOBODY: Any = SimpleNamespace()
"""What is told of changes where nothing in C answers a wrapper's calls."""


def _nobody() -> None:
    return None


class _Made:
    """A function that was made, and what answers its calls in C; both are held weakly.

    Args:
        function: The function.
        bound: It takes a bound method.
    """

    __slots__ = ("bound", "call", "function")

    def __init__(self, function: FunctionType, bound: bool) -> None:
        self.function: Callable[[], FunctionType | None] = weakref.ref(function)
        self.bound: bool = bound
        self.call: Callable[[], Any] = _nobody


class Generated:
    """The wrapper of one layer, its twins, and the keys of its calls.

    Args:
        keys: The keys.
        through: It is called through the instances of a class that refers to a plain function.
    """

    __slots__ = ("_made", "_through", "_version", "_versions", "keys", "shape")

    keys: Keys

    def __init__(self, keys: Keys, *, through: bool = False) -> None:
        self.keys = keys
        self.shape: Shape = keys.shape
        self._through = through
        self._versions = itertools.count()
        self._version = next(self._versions)
        self._made: list[_Made] = []
        """Every function made.  Only added to."""

    def wrapper_of(self, layer: Maker) -> FunctionType:
        """The wrapper of *layer*, to which this belongs; a new one, if nobody holds the last one."""
        for function, made in self._alive():
            if not made.bound and function.__code__ not in _UNWRITTEN:  # another thread is about to write it
                return function
        return self._make(layer, bound=False)

    def bound_wrapper(self, layer: Maker) -> FunctionType:
        """The wrapper of *layer* as a method of bound methods, whose ``__self__`` it takes for the instance.

        Thus a call of ``obj.f`` needs neither an object that calls the wrapper nor one that stores the instance
        in front of its arguments.
        """
        return self._make(layer, bound=True)

    def _make(self, layer: Maker, *, bound: bool) -> FunctionType:
        shape = self.shape
        namespace = {"__builtins__": _SHARED, "__name__": shape.module, LAYER: layer}
        function = FunctionType(_UNWRITTEN[shape.is_async], namespace, shape.name)
        made = _Made(function, bound)
        self._made.append(made)  # first, so that what changes meanwhile reaches it
        self._write(function, made)
        return function

    def native_call(self, wrapper: FunctionType) -> Any:
        """What answers calls of *wrapper*, which this made, in C, and has nobody but the caller to hold it."""
        call = speed.Call(wrapper)
        made = next(made for function, made in self._alive() if function is wrapper)
        made.call = weakref.ref(call)  # first, so that what changes meanwhile reaches it
        while True:
            version = self._version
            call.recipe = self._recipe(wrapper.__globals__[LAYER], made)
            if version == self._version:
                return call

    def _alive(self) -> Iterator[tuple[FunctionType, _Made]]:
        for made in self._made:
            function = made.function()
            if function is not None:
                yield function, made

    def assign(self, word: str, value: Any) -> None:
        """Exchange an internal of the wrapper; running calls keep what they have read."""
        self._version = next(self._versions)  # whatever is being written just now is written again
        name = self.keys.plan.prefix + word
        for function, made in self._alive():
            call = made.call() or _NOBODY
            namespace = function.__globals__
            namespace[name] = value
            call.stale = True  # in the same step

    def read(self, word: str, layer: Maker) -> Any:
        """The present value of an internal of the wrapper of *layer*."""
        namespace, name = self.wrapper_of(layer).__globals__, self.keys.plan.prefix + word
        return namespace[name] if name in namespace else self._words(layer)[name]

    def exchange_keys(self, keys: Keys) -> None:
        """Have calls make other keys from now on."""
        self.keys = keys
        self.regenerate()

    def regenerate(self) -> None:
        """Make the wrapper's code anew, in place, after something that the template depends on changed."""
        self._version = next(self._versions)
        for function, made in self._alive():
            self._write(function, made)

    # -- what handles ask

    def key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        """The key of a call."""
        return self.keys.key_of(*args, **kwargs)

    def checked_key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        """The key of a call.

        Raises:
            TypeError: It cannot be hashed, or the call does not fit the function.
        """
        return self.keys.checked_key_of(*args, **kwargs)

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without the instance and the types."""
        return self.keys.shown.reveal(key)

    # -- code

    def _write(self, function: FunctionType, made: _Made) -> None:
        """Give *function* the code that belongs to it now."""
        layer: Maker = function.__globals__[LAYER]
        while True:
            version = self._version
            parameters, body = self._source(layer, bound=made.bound)
            keys, shape = self.keys, self.shape
            titles = Titles(shape.name, shape.qualname, f"memo wrapper of {shape.module}.{shape.qualname}")
            code = code_of(parameters, body, keys.plan.prefix, titles, is_async=shape.is_async)
            words = self._words(layer)
            for name in (*code.co_names, *(keys.plan.prefix + word for word in NATIVE_WORDS)):
                if name in words and _SHARED.get(name) is not words[name]:
                    function.__globals__[name] = words[name]
            defaults, by_name = positional_defaults(parameters), keyword_defaults(parameters)
            call = made.call() or _NOBODY
            answered = None if call is _NOBODY else self._recipe(layer, made)
            # no call and no jump stands between these: no call sees a half
            function.__code__ = code
            function.__defaults__ = defaults
            function.__kwdefaults__ = by_name
            call.recipe = answered
            _imitate(function, shape)
            if version == self._version:
                return  # else what was written may be outdated already

    def _recipe(self, layer: Maker, made: _Made) -> Any:
        return None if made.bound else recipe(self.keys.plan, layer.native())

    def _words(self, layer: Maker) -> dict[str, Any]:
        keys = self.keys
        words = {
            **(
                {}
                if keys.plan.prefix == PREFIX
                else {name.removeprefix(PREFIX): word for name, word in _SHARED.items()}
            ),
            **keys.words(),
            **({} if self.shape.exact else {"bind": keys.bind, "spelled": keys.spelled}),
            **layer.words(through=self._through),
        }
        if "lead_made" in words:
            token = keys.token if keys.plan.has_token else None
            words["lead_made"] = functools.partial(_led, words["lead_made"], token, words["refuse_drawn"])
        return {keys.plan.prefix + word: value for word, value in words.items()}

    def _source(self, layer: Maker, *, bound: bool) -> tuple[tuple[Parameter, ...], Block]:
        """The parameters and the body of a wrapper."""
        plan = self.keys.plan
        anything = (
            Parameter(plan.prefix + "args", Parameter.VAR_POSITIONAL),
            Parameter(plan.prefix + "kwargs", Parameter.VAR_KEYWORD),
        )
        parameters = plan.parameters if self.shape.exact else anything
        body = layer.body(plan.call())
        if not bound:
            return parameters, body
        method = Parameter(plan.prefix + "bound", Parameter.POSITIONAL_ONLY)
        first, *others = parameters or (None,)
        if first is None or first.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):  # which takes no instance
            return (method, *anything), ["return $function($bound.__self__, *$args, **$kwargs)"]
        # a bound method stands in place of the instance, and a line takes that out
        if first.kind is Parameter.VAR_POSITIONAL:
            return (method, first, *others), [f"{first.name} = ($bound.__self__, *{first.name})", *body]
        return (method, *others), [f"{first.name} = $bound.__self__", *body]


def _led(
    lead_made: Callable[..., Any],
    token: Callable[[Any], Hashable] | None,
    refuse: Callable[[Any], NoReturn],
    key: Hashable,
    args: Any,
    kwargs: Any,
) -> Any:
    """Lead a call by what ``key=`` has made of it in C; of a method that is the key without the instance's token."""
    if is_drawn(key):
        refuse(key)
    return lead_made(key if token is None else (token(args[0]), key), args, kwargs)


def _imitate(wrapper: FunctionType, shape: Shape) -> None:
    function = shape.function
    wrapper.__name__, wrapper.__qualname__, wrapper.__module__ = shape.name, shape.qualname, shape.module
    wrapper.__doc__ = getattr(function, "__doc__", None)
    wrapper.__annotations__ = getattr(function, "__annotations__", {})
    attributes = getattr(function, "__dict__", None)
    if isinstance(function, FunctionType) and type(attributes) is dict:
        wrapper.__dict__ = attributes  # one dictionary: an attribute set on either is seen on both
