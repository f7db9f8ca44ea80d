"""Wrappers generated with the decorated function's own signature.

A wrapper with the function's own parameters lets the interpreter bind positional, keyword and
default spellings of a call, at its own speed, before a line of ours runs; an error in the call
reads as if the function had not been decorated.  Where the function takes other parameters than it
documents, the wrapper takes anything, passes on what came, and binds a copy of it for the key.  What runs inside is a
template of the decorator, in which

- ``$word`` is an internal name: it becomes a name that no parameter bears, and is looked up in
  the wrapper's own globals (``Generated.namespace``), where it can be exchanged at any time;
- ``<key>`` is the expression of the key (KeyError where an instance has no token yet), ``<whole key>``
  the same making the token, ``<lookup>`` that of the entry in the store that ``$index`` indexes, and
  ``<prelude>`` the lines that all of them need before them;
- ``<every value: test>`` is whether the test holds of each ``<value>`` that the key is made of (on one line; ``*args``
  is a tuple there);
- ``<pass>`` are the arguments as the function takes them; ``<args>`` and ``<kwargs>`` the same as
  a tuple and a dictionary; ``<await>`` is ``await`` in coroutine functions.
"""

import itertools
import re
from collections.abc import Callable, Hashable, Mapping
from inspect import Parameter
from types import FunctionType
from typing import Any

from memo._asking import passed_arguments
from memo._calls import Shape
from memo._keys import Keys, Through, generate

__all__ = ("Generated",)

_SPELL = """\
try:
    $k = $bind(*$args, **$kwargs)
except $TypeError as $error:
    $k = $spelled($error, $args, $kwargs)
"""


class Generated:
    """A generated wrapper, the keys of its calls, and its namespace.

    Args:
        keys: The keys.
        body: Gives the template of the wrapper's body.
        namespace: The internals that the template names; exchanged values take effect at once.
        through: It is called through the instances of a class that refers to a plain function.
    """

    def __init__(
        self, keys: Keys, body: Callable[[], str], namespace: Mapping[str, Any], *, through: bool = False
    ) -> None:
        self.keys = keys
        self.shape: Shape = keys.shape
        self._body = body
        self._through = through
        self._gate: str | None = None
        self.namespace: dict[str, Any] = {"__name__": self.shape.module, "__builtins__": {}}
        for word, value in {
            **keys.words(),
            "KeyError": KeyError,
            "TypeError": TypeError,
            "nothing": {},
            "bind": keys.bind,
            "spelled": keys.spelled,
            "Through": Through,
            **namespace,
        }.items():
            self.assign(word, value)
        self.wrapper = self._make_wrapper()
        self._bound_wrapper: dict[str, FunctionType] = {}
        self._versions = itertools.count()
        self._version = next(self._versions)

    def assign(self, word: str, value: Any) -> None:
        """Exchange an internal of the wrapper; running calls keep what they have read."""
        self.namespace[self.keys.prefix + word] = value

    def read(self, word: str) -> Any:
        """The present value of an internal of the wrapper."""
        return self.namespace[self.keys.prefix + word]

    def exchange_keys(self, keys: Keys) -> None:
        """Have calls make other keys from now on."""
        before, now = self.keys.prefix, keys.prefix
        if before != now:  # a parameter bears a name that begins so
            for name in [name for name in self.namespace if name.startswith(before)]:
                self.namespace[now + name.removeprefix(before)] = self.namespace[name]
        self.keys = keys
        for word, value in {**keys.words(), "bind": keys.bind, "spelled": keys.spelled}.items():
            self.assign(word, value)
        self.regenerate()

    def regenerate(self) -> None:
        """Make the wrapper's code anew, in place, after something that the template depends on changed."""
        self._version = next(self._versions)
        _become(self.wrapper, self._make_wrapper())
        for function in self._bound_wrapper.values():
            _become(function, self._make_wrapper(bound=True))

    def bound_wrapper(self) -> FunctionType:
        """The wrapper as a method of bound methods, whose ``__self__`` it takes for the instance.

        Thus a call of ``obj.f`` needs neither an object that calls the wrapper nor one that stores the instance
        in front of its arguments.
        """
        while True:
            version = self._version
            made = self._make_wrapper(bound=True)
            function = self._bound_wrapper.setdefault("function", made)
            if version == self._version:  # else what is made now may be outdated already
                return function
            _become(function, made)

    def set_gate(self, gate: str | None) -> None:
        """Have the wrapper begin with the template *gate*, or (None) without one."""
        before = self._gate
        if gate != before:
            try:
                self._gate = gate
                self.regenerate()
            except BaseException:  # interrupted: so that it is done whole by whoever tries again
                self._gate = before
                raise

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

    def call(self, /, *args: Any, **kwargs: Any) -> Any:
        """Answer a call as the wrapper does."""
        if self._through and args and type(args[0]) is Through:
            args = (args[0].instance, *args[1:])
        return self.wrapper(*args, **kwargs)

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without the instance and the types."""
        return self.keys.reveal(key)

    # -- code

    def _make_wrapper(self, *, bound: bool = False) -> FunctionType:
        shape, keys = self.shape, self.keys
        if shape.exact:
            parameters = keys.parameters
            prelude, key = keys.parts()
            _, whole = keys.parts("$token(<instance>)")
            lookup = keys.lookup()
            arguments, keywords = _collected(parameters, keys.instance if self._through else None)
        else:
            parameters = (
                Parameter(keys.prefix + "args", Parameter.VAR_POSITIONAL),
                Parameter(keys.prefix + "kwargs", Parameter.VAR_KEYWORD),
            )
            prelude, key, whole, lookup = _SPELL, "$k", "$k", "$index[$k]"
            arguments = "($Through($args[0]), *$args[1:])" if self._through else "$args"
            keywords = "$kwargs"
        text = ((self._gate or "") + self._body()).strip("\n")
        text = re.sub(r"<every value: (.*)>", lambda found: keys.every_value(found[1]), text)
        text = re.sub(r"(?m)^( *)<prelude>\n", lambda found: _indented(prelude, found[1]), text)
        for mark, part in {
            "<key>": key,
            "<whole key>": whole,
            "<lookup>": lookup,
            "<pass>": passed_arguments(parameters),
            "<args>": arguments,
            "<kwargs>": keywords,
            "<await>": "await " if shape.is_async else "",
        }.items():
            text = text.replace(mark, part)
        if bound:
            parameters, text = self._of_bound(parameters, text)
        wrapper = generate(
            parameters, text, self.namespace, keys.prefix, shape.name, shape.qualname, is_async=shape.is_async
        )
        _imitate(wrapper, shape)
        return wrapper

    def _of_bound(self, parameters: tuple[Parameter, ...], text: str) -> tuple[tuple[Parameter, ...], str]:
        """Parameters and body of a wrapper that takes a bound method in place of the instance."""
        prefix = self.keys.prefix
        bound = Parameter(prefix + "bound", Parameter.POSITIONAL_ONLY)
        first, *others = parameters or (None,)
        if first is None or first.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
            rest = (
                Parameter(prefix + "args", Parameter.VAR_POSITIONAL),
                Parameter(prefix + "kwargs", Parameter.VAR_KEYWORD),
            )
            refused = "return $function($bound.__self__, *$args, **$kwargs)"  # which takes no instance
            return (bound, *rest), refused
        if first.kind is Parameter.VAR_POSITIONAL:
            return (bound, first, *others), f"{first.name} = ($bound.__self__, *{first.name})\n{text}"
        return (bound, *others), f"{first.name} = $bound.__self__\n{text}"


def _become(function: FunctionType, made: FunctionType) -> None:
    """Make *function* what *made* is.  No call and no jump stands between the stores: no call sees a half."""
    code, defaults, named = made.__code__, made.__defaults__, made.__kwdefaults__
    function.__code__ = code
    function.__defaults__ = defaults
    function.__kwdefaults__ = named
    function.__name__, function.__qualname__, function.__module__ = made.__name__, made.__qualname__, made.__module__
    function.__dict__ = made.__dict__


def _indented(lines: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" for line in lines.splitlines())


def _imitate(wrapper: FunctionType, shape: Shape) -> None:
    function = shape.function
    wrapper.__module__ = shape.module
    wrapper.__doc__ = getattr(function, "__doc__", None)
    wrapper.__annotations__ = getattr(function, "__annotations__", {})
    attributes = getattr(function, "__dict__", None)
    if isinstance(function, FunctionType) and type(attributes) is dict:
        wrapper.__dict__ = attributes  # one dictionary: an attribute set on either is seen on both


def _collected(parameters: tuple[Parameter, ...], marked: Parameter | None) -> tuple[str, str]:
    """The arguments as the source of a tuple and of a dictionary, the instance in *marked* as one come through."""
    positional, named = [], []
    for p in parameters:
        if p.kind is Parameter.VAR_KEYWORD:
            named.append(f"**{p.name}")
        elif p.kind is Parameter.KEYWORD_ONLY:
            named.append(f"{p.name!r}: {p.name}")
        elif p is marked:
            several = p.kind is Parameter.VAR_POSITIONAL
            positional.append(f"$Through({p.name}[0]), *{p.name}[1:]" if several else f"$Through({p.name})")
        else:
            positional.append(f"*{p.name}" if p.kind is Parameter.VAR_POSITIONAL else p.name)
    arguments = f"({', '.join(positional)}{',' if len(positional) == 1 else ''})"
    return arguments, f"{{{', '.join(named)}}}" if named else "$nothing"
