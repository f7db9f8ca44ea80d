"""Wrappers generated with the decorated function's own signature, and the keys of its calls.

A wrapper with the function's own parameters lets the interpreter bind positional, keyword and
default spellings of a call, at its own speed, before a line of ours runs; an error in the call
reads as if the function had not been decorated.  What runs inside is a template of the
decorator, in which

- ``$word`` is an internal name: it becomes a name that no parameter bears, and is looked up in
  the wrapper's own globals (``Generated.namespace``), where it can be exchanged at any time;
- ``<key>`` is the expression of the key (KeyError where an instance has no token yet), ``<whole key>``
  the same making the token, ``<lookup>`` that of the entry in the store that ``$index`` indexes, and
  ``<prelude>`` the lines that all of them need before them;
- ``<every value: test>`` is whether the test holds of each ``<value>`` that the key is made of (on one line; ``*args``
  is a tuple there);
- ``<pass>`` are the arguments as the function takes them; ``<args>`` and ``<kwargs>`` the same as
  a tuple and a dictionary; ``<await>`` is ``await`` in coroutine functions.

A key is the one parameter's value, else a tuple: the instance's token (methods), the values in
signature order, then their types (``typed``).
"""

import asyncio
import functools
import inspect
import itertools
import re
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from inspect import Parameter
from types import CodeType, FunctionType
from typing import Any

from memo._instances import Instances

__all__ = ("Generated", "KeyOptions", "Shape", "check_key_options", "is_coroutine_function")

_INSTANCE_NAMES = frozenset({"self", "cls", "mcs", "mcls", "metacls"})
_ANY_CALL = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))


class KeyOptions:
    """What a decorator was told about its keys, already checked."""

    __slots__ = ("apart", "ignore", "key", "typed")

    def __init__(self, key: Callable[..., Hashable] | None, ignore: frozenset[str], typed: bool) -> None:
        self.key = key
        self.ignore = ignore
        self.typed = typed
        self.apart = True  # whether the instance is part of the key


def check_key_options(where: str, key: Any, ignore: Any, typed: Any) -> KeyOptions:
    """Check ``key``, ``ignore`` and ``typed`` as far as that is possible without the function."""
    if key is not None and not callable(key):
        raise TypeError(f"{where}: key={key!r} cannot be called; give a function of the call's arguments.")
    if key is not None and inspect.iscoroutinefunction(key):
        raise TypeError(f"{where}: key={key!r} is a coroutine function; give a plain function.")
    if isinstance(ignore, str):
        raise TypeError(f"{where}: ignore={ignore!r} is one string; write ignore=({ignore!r},).")
    try:
        names = tuple(ignore)
    except TypeError:
        raise TypeError(f"{where}: ignore={ignore!r} is no collection; give names of parameters in a tuple.") from None
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{where}: ignore={ignore!r} contains {name!r}; give names of parameters as text.")
    if not isinstance(typed, bool):
        raise TypeError(f"{where}: typed={typed!r} is not a bool; write True or False.")
    if key is not None and typed:
        raise TypeError(f"{where}: typed=True has no effect together with key=; let key= return the types.")
    return KeyOptions(key, frozenset(names), typed)


class Shape:
    """What is to be known of a callable: its parameters, its colour, whether it takes an instance.

    Args:
        function: What is decorated.
        where: The decorator's name, for messages.
        takes_instance: The first parameter is an instance or a class; None: guess by where the
            function was defined and by the parameter's name.

    Raises:
        TypeError: It cannot be called, or is a generator function.
    """

    def __init__(self, function: Callable[..., Any], where: str, takes_instance: bool | None = None) -> None:
        if not callable(function):
            raise TypeError(f"{where}: {function!r} cannot be called; decorate a function or a method.")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"{where}: {name} is a generator function, whose result can be used only once; return a list instead."
            )
        self.function = function
        self.where = where
        self.name: str = getattr(function, "__name__", None) or type(function).__name__
        self.qualname: str = getattr(function, "__qualname__", None) or type(function).__qualname__
        self.module: str = getattr(function, "__module__", None) or type(function).__module__
        self.is_async = is_coroutine_function(function)
        self.parameters, self.narrow = _parameters(function)
        self.takes_instance = self._looks_like_method() if takes_instance is None else takes_instance

    def _looks_like_method(self) -> bool:
        if not isinstance(self.function, FunctionType):
            return False
        place = self.qualname.rpartition(".")[0]
        if not place or place.endswith("<locals>"):
            return False
        first = next(iter(self.narrow or self.parameters), None)
        return first is not None and first.name in _INSTANCE_NAMES

    @property
    def takes_class(self) -> bool:
        """Whether the instance is a class, as the parameter's name tells."""
        first = next(iter(self.narrow or self.parameters), None)
        return self.takes_instance and first is not None and first.name == "cls"


def is_coroutine_function(function: Any) -> bool:
    """Whether calls give coroutines, as far as the code that a call ends in tells.

    What is looked through: partials, bound methods, callable objects, and any of these around another.
    """
    for _ in range(100):
        if inspect.iscoroutinefunction(function) or _is_marked(function):
            return True
        if isinstance(function, functools.partial | functools.partialmethod):
            function = function.func
        elif isinstance(function, types.MethodType | staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, type | FunctionType) or inspect.isroutine(function):
            return False
        else:  # an object: of a proxy, __class__ tells what it stands for
            function = inspect.getattr_static(function.__class__, "__call__", None)
    return False


def _is_marked(function: Any) -> bool:
    """Whether it bears the mark by which ``asyncio`` knew coroutine functions before ``inspect`` had one."""
    mark = getattr(asyncio.coroutines, "_is_coroutine", None)
    return mark is not None and getattr(function, "_is_coroutine", None) is mark


def _parameters(function: Callable[..., Any]) -> tuple[tuple[Parameter, ...], tuple[Parameter, ...] | None]:
    """The callable's own parameters, and those it documents if its own are only ``*args, **kwargs``.

    A wrapper made with ``functools.wraps`` takes anything and shows the signature of what it
    wraps: its calls are passed on as they came, but one key is made of all spellings.  So are those
    of a builtin, whose own messages differ from the interpreter's.
    """
    if inspect.isroutine(function) and not isinstance(function, FunctionType | types.MethodType):
        try:
            return _ANY_CALL, tuple(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            return _ANY_CALL, None
    try:
        own = tuple(inspect.signature(function, follow_wrapped=False).parameters.values())
    except (ValueError, TypeError):  # builtins without a signature
        return _ANY_CALL, None
    if [p.kind for p in own] == [Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD] and hasattr(function, "__wrapped__"):
        try:
            shown = tuple(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            return own, None
        return own, shown if [p.kind for p in shown] != [p.kind for p in own] else None
    return own, None


class Generated:
    """A generated wrapper, the function that makes keys of its calls, and the namespace of both.

    Args:
        shape: The function.
        options: The key's options.
        body: Gives the template of the wrapper's body.
        namespace: The internals that the template names; exchanged values take effect at once.
        instances: Tokens of the instances, used if the function takes one.
    """

    def __init__(
        self,
        shape: Shape,
        options: KeyOptions,
        body: Callable[[], str],
        namespace: Mapping[str, Any],
        instances: Instances,
    ) -> None:
        self.shape = shape
        self.options = options
        self._body = body
        self._prefix = _free_prefix(p.name for p in shape.parameters + (shape.narrow or ()))
        self.namespace: dict[str, Any] = {"__name__": shape.module, "__builtins__": {}}
        for word, value in namespace.items():
            self.assign(word, value)
        for word, value in {
            "id": id,
            "tuple": tuple,
            "type": type,
            "types": _types_of,
            "item_types": _item_types_of,
            "sorted_items": functools.partial(_sorted_items, without=options.ignore),
            "user_key": options.key,
            "KeyError": KeyError,
            "TypeError": TypeError,
            "nothing": {},
            "refs": instances.refs,
            "token": instances.token,
        }.items():
            self.assign(word, value)
        self._gate: str | None = None
        self._plan()
        self.key_of: Callable[..., Hashable] = self._make_key_of()
        self.wrapper = self._make_wrapper()
        self._bound_wrapper: dict[str, FunctionType] = {}
        self._versions = itertools.count()
        self._version = next(self._versions)

    def assign(self, word: str, value: Any) -> None:
        """Exchange an internal of the wrapper; running calls keep what they have read."""
        self.namespace[self._prefix + word] = value

    def read(self, word: str) -> Any:
        """The present value of an internal of the wrapper."""
        return self.namespace[self._prefix + word]

    def take_instance(self) -> None:
        """Learn that the first parameter is an instance: the function turned out to be a method."""
        self.shape.takes_instance = True
        self._plan()
        self.key_of = self._make_key_of()
        self.regenerate()

    def regenerate(self) -> None:
        """Make the wrapper's code anew, in place, after something that the template depends on changed."""
        self._version = next(self._versions)
        self.wrapper.__code__ = self._make_wrapper().__code__
        for function in self._bound_wrapper.values():
            function.__code__ = self._make_wrapper(bound=True).__code__

    def bound_wrapper(self) -> FunctionType | None:
        """The wrapper as a method of bound methods, whose ``__self__`` it takes for the instance.

        Thus a call of ``obj.f`` needs neither an object that calls the wrapper nor one that stores the instance
        in front of its arguments.  None if the function takes nothing by position.
        """
        first = next(iter(self.shape.parameters), None)
        if first is None or first.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
            return None
        while True:
            version = self._version
            made = self._make_wrapper(bound=True)
            function = self._bound_wrapper.setdefault("function", made)
            if version == self._version:  # else what is made now may be outdated already
                return function
            function.__code__ = made.__code__

    def set_gate(self, gate: str | None) -> None:
        """Have the wrapper begin with the template *gate*, or (None) without one."""
        if gate != self._gate:
            self._gate = gate
            self.regenerate()

    def teller(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a whole call that calls *ask* as ``key=`` is called: defaults filled in, no instance."""
        self.assign("ask", ask)
        parameters = self.shape.narrow or self.shape.parameters
        asked = _pass_expression(self._valued, self._instance)
        return self._function(parameters, f"return $ask({asked})", is_async=False)

    @property
    def keeps_apart(self) -> bool:
        """Whether keys begin with the instance, so that each instance has its own entries."""
        return self._has_token

    # -- keys

    def _plan(self) -> None:
        """Decide what the key consists of."""
        shape, options = self.shape, self.options
        parameters = shape.narrow or shape.parameters
        self._instance: Parameter | None = None
        valued = parameters
        if shape.takes_instance and parameters and parameters[0].kind is not Parameter.KEYWORD_ONLY:
            self._instance = parameters[0]
            if parameters[0].kind is not Parameter.VAR_POSITIONAL:
                valued = parameters[1:]
        ignored = set(options.ignore)
        shared = self._instance is not None and bool(ignored & {"self", "cls", self._instance.name})
        if self._instance is not None:
            ignored -= {"self", "cls", self._instance.name}
        self._has_token = self._instance is not None and not shared and options.apart
        self._check_ignored(ignored, valued)
        self.values: tuple[Parameter, ...] = tuple(p for p in valued if p.name not in ignored)
        self._valued = valued
        self._is_tuple = self._has_token or options.typed or (options.key is None and len(self.values) != 1)
        self._count = 1 if options.key is not None else len(self.values)

    def _check_ignored(self, ignored: set[str], valued: tuple[Parameter, ...]) -> None:
        where, shown = self.shape.where, self.shape.qualname
        if ignored and self.options.key is not None:
            raise TypeError(
                f"{where}: ignore={tuple(sorted(ignored))!r} has no effect together with key=; let key= leave them out."
            )
        names = {p.name for p in valued}
        takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in valued)
        for name in sorted(ignored - {"self", "cls"}):
            if name not in names and not takes_any:
                raise ValueError(
                    f"{where}: ignore contains {name!r}, but {shown} has no such parameter; "
                    f"it has {', '.join(sorted(names)) or 'none'}."
                )

    def _key_parts(self, token: str) -> tuple[str, str]:
        """The prelude and the expression of the key, with the instance's token by the expression *token*."""
        parts: list[str] = []
        prelude = ""
        instance = self._instance
        if self._has_token and instance is not None:
            parts.append(token.replace("<instance>", _instance_expression(instance)))
        if self.options.key is not None:
            prelude = f"$k = $user_key({_pass_expression(self._valued, instance)})\n"
            parts.append("$k")
        else:
            parts += [_value_expression(p, instance) for p in self.values]
            if self.options.typed:
                parts += [_type_expression(p, instance) for p in self.values]
        if not self._is_tuple:
            return prelude, parts[0]
        return prelude, f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    def _every_value(self, test: str) -> str:
        """The expression of whether *test* holds of each value that the key is made of."""
        if self.options.key is not None or self.shape.narrow is not None:
            return test.replace("<value>", "$k")
        return " and ".join(test.replace("<value>", p.name) for p in self.values) or "True"

    def _lookup(self) -> tuple[str, str]:
        """The prelude and the expression of the entry of a call; KeyError if there is none.

        A method looks in its instance's own table, which spares it to build and to hash a tuple.
        """
        prelude, key = self._key_parts("<token>")
        if not self._has_token or self._instance is None:
            return prelude, f"$index[{key}]"
        rest = key[1:-1].removeprefix("<token>").strip(", ")
        rest = rest if self._count + self.options.typed * len(self.values) == 1 else f"({rest})" if rest else "()"
        return prelude, f"$refs[$id({_instance_expression(self._instance)})].table[{rest}]"

    def checked_key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        """The key of a call.

        Raises:
            TypeError: It cannot be hashed, or the call does not fit the function.
        """
        key = self.key_of(*args, **kwargs)
        refusal = self.explain(key)
        if refusal is not None:
            raise refusal
        return key

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without the instance and the types."""
        if not self._is_tuple:
            return key
        assert isinstance(key, tuple)
        start = 1 if self._has_token else 0
        values = key[start : start + self._count]
        return values[0] if self._count == 1 else values

    @property
    def key_signature(self) -> str:
        """What keys consist of, as text: alike for two functions, or versions of one, whose keys mean the same."""
        if self.options.key is not None:
            made_by = self.options.key
            return f"key={getattr(made_by, '__qualname__', type(made_by).__qualname__)}"
        text = f"({', '.join(_sign(p) + p.name for p in self.values)})"
        return f"{text}, typed" if self.options.typed else text

    def fits(self, key: Hashable) -> bool:
        """Whether *key*, from a file, has the shape of a key of this function; one of a method never has."""
        if self._has_token:
            return False
        count = self._count + (len(self.values) if self.options.typed else 0)
        return not self._is_tuple or (type(key) is tuple and len(key) == count)

    def spreads(self, skipped: int) -> bool:
        """Whether more than one argument, or none, can be given by position, the first *skipped* ones apart."""
        parameters = self.shape.narrow or self.shape.parameters
        if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
            return True
        positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        return sum(p.kind in positional for p in parameters) - skipped != 1

    def explain(self, key: Hashable) -> TypeError | None:
        """The error to raise because *key* cannot be hashed; None if it can."""
        try:
            hash(key)
        except TypeError as error:
            reason = error
        else:
            return None
        name = self.shape.qualname
        if self.options.key is not None:
            made = self.reveal(key)
            return TypeError(
                f"{name}(): key= returned {_shortened(made)} of type {type(made).__qualname__!r}, which cannot be "
                f"hashed ({reason}); let it return a hashable, or use key=memo.freeze."
            )
        start = 1 if self._has_token else 0
        values: Iterable[Any] = key[start:] if self._is_tuple and isinstance(key, tuple) else (key,)
        for parameter, value in zip(self.values, values, strict=False):
            part = _unhashable_part(value)
            if part is not None:
                return TypeError(
                    f"{name}(): the value of parameter {parameter.name!r} contains or is a "
                    f"{type(part[0]).__qualname__!r}, which cannot be hashed; give key=memo.freeze or a key= of your "
                    f"own, or leave the parameter out of the key with ignore=({parameter.name!r},)."
                )
        return TypeError(f"{name}(): {reason}; give key=memo.freeze or a key= of your own.")

    # -- code

    def _make_key_of(self) -> Callable[..., Hashable]:
        shape = self.shape
        parameters = shape.narrow or shape.parameters
        prelude, key = self._key_parts("$token(<instance>)")
        made = self._function(parameters, f"{prelude}return {key}", is_async=False)
        if shape.narrow is None:
            return made
        return _Spelling(made, inspect.Signature(parameters), shape.takes_instance, self)

    def _make_wrapper(self, *, bound: bool = False) -> FunctionType:
        shape = self.shape
        if shape.narrow is None:
            prelude, key = self._key_parts("$refs[$id(<instance>)]")
            _, lookup = self._lookup()
            _, whole = self._key_parts("$token(<instance>)")
        else:
            self.assign("spelling", self.key_of)
            prelude, key = "$k = $spelling(*args, **kwargs)\n", "$k"
            whole = key
            lookup = "$index[$k]"
        text = ((self._gate or "") + self._body()).strip("\n")
        text = re.sub(r"<every value: (.*)>", lambda found: self._every_value(found[1]), text)
        arguments, keywords = _collected(shape.parameters)
        for mark, part in {
            "<prelude>\n": prelude,
            "<key>": key,
            "<whole key>": whole,
            "<lookup>": lookup,
            "<pass>": _pass_expression(shape.parameters, None),
            "<args>": arguments,
            "<kwargs>": keywords,
            "<await>": "await " if shape.is_async else "",
        }.items():
            text = text.replace(mark, part)
        parameters = shape.parameters
        if bound:
            parameters, prologue = self._bound_parameters()
            text = prologue + text
        wrapper = self._function(parameters, text, is_async=shape.is_async)
        _imitate(wrapper, shape)
        return wrapper

    def _bound_parameters(self) -> tuple[tuple[Parameter, ...], str]:
        """The parameters with a bound method in place of the instance, and the line that takes the instance out."""
        first, *others = self.shape.parameters
        bound = Parameter(self._prefix + "bound", Parameter.POSITIONAL_ONLY)
        if first.kind is Parameter.VAR_POSITIONAL:
            return (bound, first, *others), f"{first.name} = ($bound.__self__, *{first.name})\n"
        return (bound, *others), f"{first.name} = $bound.__self__\n"

    def _function(self, parameters: tuple[Parameter, ...], body: str, *, is_async: bool) -> FunctionType:
        source = "{}def {}({}):\n{}".format(
            "async " if is_async else "",
            "$wrapper",
            _declaration(parameters),
            "\n".join("    " + line for line in body.splitlines()),
        )
        code = _compiled(re.sub(r"\$(\w)", rf"{self._prefix}\1", source), self.shape.name, self.shape.qualname)
        function = FunctionType(code, self.namespace, self.shape.name)
        function.__defaults__ = _positional_defaults(parameters)
        function.__kwdefaults__ = {
            p.name: p.default
            for p in parameters
            if p.kind is Parameter.KEYWORD_ONLY and p.default is not Parameter.empty
        } or None
        function.__qualname__ = self.shape.qualname
        function.__module__ = self.shape.module
        return function


class _Spelling:
    """Makes the keys of a function that takes anything but documents its parameters.

    A call that does not fit the documented parameters is passed on all the same (the function
    may take what it does not document), under a key of its own spelling.
    """

    def __init__(
        self, made: FunctionType, signature: inspect.Signature, takes_instance: bool, generated: Generated
    ) -> None:
        self._made = made
        self._signature = signature
        self._takes_instance = takes_instance
        self._generated = generated

    def __call__(self, /, *args: Any, **kwargs: Any) -> Hashable:
        try:
            return self._made(*args, **kwargs)  # type: ignore[no-any-return]
        except TypeError:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError:
                pass
            else:
                raise
        rest = (args, tuple(sorted(kwargs.items())))
        if self._takes_instance and args:
            if not self._generated.keeps_apart:
                return (args[1:], rest[1], _Spelling)
            return (self._generated.read("token")(args[0]), args[1:], rest[1], _Spelling)
        return (*rest, _Spelling)


@functools.lru_cache(maxsize=512)  # closures decorated in a loop share the code of one shape
def _compiled(source: str, name: str, qualname: str) -> CodeType:
    module = compile(source, "<memo wrapper>", "exec", dont_inherit=True)
    code = next(const for const in module.co_consts if isinstance(const, CodeType))
    return code.replace(co_name=name, co_qualname=qualname)


def _imitate(wrapper: FunctionType, shape: Shape) -> None:
    function = shape.function
    wrapper.__doc__ = getattr(function, "__doc__", None)
    wrapper.__annotations__ = getattr(function, "__annotations__", {})
    attributes = getattr(function, "__dict__", None)
    if isinstance(function, FunctionType) and type(attributes) is dict:
        wrapper.__dict__ = attributes  # one dictionary: an attribute set on either is seen on both


def _free_prefix(names: Iterable[str]) -> str:
    prefix = "_memo_"
    taken = tuple(names)
    while any(name.startswith(prefix) for name in taken):
        prefix = "_" + prefix
    return prefix


def _declaration(parameters: tuple[Parameter, ...]) -> str:
    """The parameter list as source, with None in place of each default."""
    parts: list[str] = []
    last_positional_only = max(
        (i for i, p in enumerate(parameters) if p.kind is Parameter.POSITIONAL_ONLY), default=None
    )
    star_seen = False
    for i, p in enumerate(parameters):
        if p.kind is Parameter.KEYWORD_ONLY and not star_seen:
            parts.append("*")
            star_seen = True
        sign = _sign(p)
        star_seen = star_seen or sign == "*"
        parts.append(f"{sign}{p.name}{'' if p.default is Parameter.empty else '=None'}")
        if i == last_positional_only:
            parts.append("/")
    return ", ".join(parts)


def _sign(p: Parameter) -> str:
    return "*" if p.kind is Parameter.VAR_POSITIONAL else "**" if p.kind is Parameter.VAR_KEYWORD else ""


def _positional_defaults(parameters: tuple[Parameter, ...]) -> tuple[Any, ...] | None:
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.default for p in parameters if p.kind in positional and p.default is not Parameter.empty) or None


def _instance_expression(instance: Parameter) -> str:
    return f"{instance.name}[0]" if instance.kind is Parameter.VAR_POSITIONAL else instance.name


def _value_expression(p: Parameter, instance: Parameter | None) -> str:
    if p.kind is Parameter.VAR_KEYWORD:
        return f"$sorted_items({p.name})"
    return f"{p.name}[1:]" if p is instance else p.name


def _type_expression(p: Parameter, instance: Parameter | None) -> str:
    if p.kind is Parameter.VAR_KEYWORD:
        return f"$item_types({_value_expression(p, instance)})"
    if p.kind is Parameter.VAR_POSITIONAL:
        return f"$types({_value_expression(p, instance)})"
    return f"$type({p.name})"


def _pass_expression(parameters: tuple[Parameter, ...], instance: Parameter | None) -> str:
    parts = []
    for p in parameters:
        if p.kind is Parameter.VAR_POSITIONAL:
            parts.append(f"*{p.name}[1:]" if p is instance else f"*{p.name}")
        elif p.kind is Parameter.VAR_KEYWORD:
            parts.append(f"**{p.name}")
        elif p.kind is Parameter.KEYWORD_ONLY:
            parts.append(f"{p.name}={p.name}")
        else:
            parts.append(p.name)
    return ", ".join(parts)


def _collected(parameters: tuple[Parameter, ...]) -> tuple[str, str]:
    """The arguments as the source of a tuple and of a dictionary."""
    positional, named = [], []
    for p in parameters:
        if p.kind is Parameter.VAR_KEYWORD:
            named.append(f"**{p.name}")
        elif p.kind is Parameter.KEYWORD_ONLY:
            named.append(f"{p.name!r}: {p.name}")
        else:
            positional.append(f"*{p.name}" if p.kind is Parameter.VAR_POSITIONAL else p.name)
    arguments = f"({', '.join(positional)}{',' if len(positional) == 1 else ''})"
    return arguments, f"{{{', '.join(named)}}}" if named else "$nothing"


def _sorted_items(keywords: Mapping[str, Any], without: frozenset[str]) -> tuple[tuple[str, Any], ...]:
    if without:
        return tuple(sorted((item for item in keywords.items() if item[0] not in without), key=_first))
    return tuple(sorted(keywords.items(), key=_first))


def _first(item: tuple[str, Any]) -> str:
    return item[0]


def _types_of(values: Iterable[Any]) -> tuple[type, ...]:
    return tuple(map(type, values))


def _item_types_of(items: Iterable[tuple[str, Any]]) -> tuple[type, ...]:
    return tuple(type(value) for _, value in items)


def _unhashable_part(value: Any) -> tuple[Any] | None:
    """The innermost part of *value* that cannot be hashed, boxed; None if all can."""
    try:
        hash(value)
    except TypeError:
        if isinstance(value, tuple):
            for item in value:
                part = _unhashable_part(item)
                if part is not None:
                    return part
        return (value,)
    return None


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
