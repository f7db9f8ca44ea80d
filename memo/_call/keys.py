"""The keys of a function's calls: what they consist of, how they are made, and how users see them.

A key is the one parameter's value, else a tuple: the instance's token (methods), the values in signature
order, then their types (``typed``).  The parameters are the documented ones.  A call that does not fit them is
passed on all the same (the function may take what it does not document), under a key of its own *spelling*.

Nothing here refers to a layer, its wrapper or its store: those refer to the keys.
"""

import functools
import inspect
import keyword
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from inspect import Parameter
from types import CodeType, FunctionType
from typing import Any

from memo._base import short_text
from memo._call.instances import InstanceRef, Instances
from memo._call.key_functions import asked_arguments, instance_value
from memo._call.signature import KeyOptions, Shape
from memo._call.stored_keys import plain_key

__all__ = ("PREFIX", "Keys", "Through", "check_ignored", "code_of", "keyword_defaults", "positional_defaults")

PREFIX = "_memo_"
"""What the names of internals begin with, unless a parameter's name does."""
_TOKENS = "$refs[$id(<instance>)]"


class Through:
    """An instance, as the first argument of a call that came through an attribute of its class.

    A plain function that a class merely refers to stays what it is; but a call through the instance has the
    keys of a method.  So such a call is marked where it is handed on as a whole.
    """

    __slots__ = ("instance",)

    def __init__(self, instance: Any) -> None:
        self.instance = instance


class _Itself:
    """Stands in keys for an instance that allows no weak reference, where plain calls have keys as well.

    Compares as the instance does, but with its kind alone: a plain call's tuple may begin with the same object.
    """

    __slots__ = ("_hash", "instance")

    def __init__(self, instance: Any) -> None:
        self.instance = instance
        self._hash = hash(instance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and bool(self.instance == other.instance)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self.instance)


class _Spelled:
    """The last item of a key of a call that does not fit the documented parameters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<as spelled>"


_SPELLED = _Spelled()


class Keys:
    """The keys of one function's calls.

    Args:
        shape: The function.
        options: The key's options.
        instances: Tokens of the instances, used if the function takes one.
        through: These are the keys of calls through the instances of a class that refers to a plain function.
    """

    instance: Parameter | None
    parameters: tuple[Parameter, ...]
    prefix: str

    def __init__(self, shape: Shape, options: KeyOptions, instances: Instances, *, through: bool = False) -> None:
        self.shape = shape
        self.options = options
        self.instances = instances
        self._through = through
        self.token: Callable[[Any], Hashable] = (
            functools.partial(_token_through, instances) if through else instances.token
        )
        """What stands for an instance in a key."""
        self.through: Keys | None = None
        """Those of calls through instances, once a class refers to this plain function."""
        self.parameters = _nameable(shape.parameters)
        self.prefix = _free_prefix(p.name for p in self.parameters)
        self._plan()
        self._asked_for_key = "" if options.key is None else self._asked(options.key)

    @functools.cached_property
    def bind(self) -> Callable[..., Hashable]:
        """Makes the key of a call that fits the documented parameters."""
        prelude, key = self.parts("$token(<instance>)")
        return self._function(f"{prelude}return {key}", self.words())

    @property
    def key_of(self) -> Callable[..., Hashable]:
        """Makes the key of a call."""
        return self.bind if self.shape.exact and not self._through else self._key_of

    def words(self) -> dict[str, Any]:
        """What the sources of keys name."""
        return {
            "type": type,
            "types": _types_of,
            "item_types": _item_types_of,
            "sorted_items": functools.partial(_sorted_items, without=self.options.ignore),
            "user_key": self.options.key,
            "refs": self.instances.refs,
            "token": self.token,
        }

    def scope(self, prefix: tuple[Any, ...]) -> Hashable | None:
        """The token of the instance that a handle was reached through; None: its entries are those of all."""
        if not prefix or not self._has_token:
            return None
        return self.token(prefix[0].instance if self._through else prefix[0])

    @property
    def keeps_apart(self) -> bool:
        """Whether keys begin with the instance, so that each instance has its own entries."""
        return self._has_token

    @property
    def has_prelude(self) -> bool:
        """Whether something must run before the expression of a key."""
        return self.options.key is not None or not self.shape.exact

    # -- what keys consist of

    def _plan(self) -> None:
        shape, options = self.shape, self.options
        parameters = self.parameters
        self.instance, valued = _parted(parameters, shape.takes_instance or self._through)
        ignored = set(options.ignore)
        names = {"self", "cls", "" if self.instance is None else self.instance.name}
        shared = not self._through and bool(ignored & names)
        if self.instance is not None:
            ignored -= names
        self._has_token = self.instance is not None and not shared and options.apart
        self.values: tuple[Parameter, ...] = tuple(p for p in valued if p.name not in ignored)
        self._valued = valued
        self._is_tuple = self._has_token or options.typed or (options.key is None and len(self.values) != 1)
        self._count = 1 if options.key is not None else len(self.values)

    def parts(self, token: str = _TOKENS) -> tuple[str, str]:
        """The prelude and the expression of a key, with the instance's token by the expression *token*."""
        parts: list[str] = []
        prelude = ""
        if self._has_token and self.instance is not None:
            parts.append(token.replace("<instance>", instance_value(self.instance)))
        if self.options.key is not None:
            prelude = f"$k = $user_key({self._asked_for_key})\n"
            parts.append("$k")
        else:
            parts += [_value(p, self.instance) for p in self.values]
            if self.options.typed:
                parts += [_type(p, self.instance) for p in self.values]
        if not self._is_tuple:
            return prelude, parts[0]
        return prelude, f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    def lookup(self) -> str:
        """The expression of the entry of a call in the store that ``$index`` indexes; KeyError if there is none.

        A method looks in its instance's own table, which spares it to build and to hash a tuple.
        """
        _, key = self.parts("<token>")
        if not self._has_token or self.instance is None:
            return f"$index[{key}]"
        rest = key[1:-1].removeprefix("<token>").strip(", ")
        rest = rest if self._count + self.options.typed * len(self.values) == 1 else f"({rest})" if rest else "()"
        return f"{_TOKENS.replace('<instance>', instance_value(self.instance))}.table[{rest}]"

    def every_value(self, test: str) -> str:
        """The expression of whether *test* holds of each value that the key is made of."""
        if self.has_prelude:
            return test.replace("<value>", "$k")
        return " and ".join(test.replace("<value>", p.name) for p in self.values) or "True"

    def _asked(self, function: Callable[..., Any]) -> str:
        return asked_arguments(function, self._valued, self.instance, self.shape.qualname.rpartition(".")[0])

    # -- keys of whole calls

    def _key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        if self._through and args and type(args[0]) is Through:
            args = (args[0].instance, *args[1:])
        if self.shape.exact:
            return self.bind(*args, **kwargs)
        try:
            return self.bind(*args, **kwargs)
        except TypeError as error:
            return self.spelled(error, args, kwargs)

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

    def spelled(self, error: TypeError, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of a call that does not fit the documented parameters, as *error* seems to say.

        Raises:
            TypeError: *error*, if the call does fit: then it was raised by ``key=``, or by an instance.
        """
        try:
            inspect.Signature(self.parameters).bind(*args, **kwargs)
        except TypeError:
            pass
        else:
            raise error
        parts: list[Any] = []
        if self.instance is not None and args:
            if self._has_token:
                parts.append(self.token(args[0]))
            args = args[1:]
        items = _sorted_items(kwargs, without=self.options.ignore)
        parts += [args, items]
        if self.options.typed:
            parts += [_types_of(args), _item_types_of(items)]
        return (*parts, _SPELLED)

    def teller(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a whole call that asks *ask* about it, as ``key=`` is asked."""
        fitting = self._function(f"return $ask({self._asked(ask)})", {"ask": ask})
        return fitting if self.shape.exact else functools.partial(self._tell, fitting, ask)

    def _tell(self, fitting: Callable[..., Any], ask: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            inspect.Signature(self.parameters).bind(*args, **kwargs)
        except TypeError:
            return ask(*args[self.instance is not None :], **kwargs)
        return fitting(*args, **kwargs)

    def spreads(self, skipped: int) -> bool:
        """Whether more than one argument, or none, can be given by position, the first *skipped* ones apart."""
        if any(p.kind is Parameter.VAR_POSITIONAL for p in self.parameters):
            return True
        positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        return sum(p.kind in positional for p in self.parameters) - skipped != 1

    # -- keys as others see them

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without the instance and the types."""
        key = plain_key(key)
        if type(key) is not tuple and not self._is_tuple:
            return key
        if self.through is not None and _came_through(key):
            return self.through.reveal(key)
        if _is_spelled(key):
            end = -3 if self.options.typed else -1
            return key[end - 2 : end]  # type: ignore[index]
        if not self._is_tuple:
            return key
        assert isinstance(key, tuple)
        start = 1 if self._has_token else 0
        values = key[start : start + self._count]
        return values[0] if self._count == 1 else values

    def arguments(self, key: Hashable) -> list[tuple[str, Any]]:
        """What a key holds of its call: names of parameters and their values; what ``key=`` returned is called so."""
        made = self.reveal(key)
        if self.options.key is not None:
            return [("key=", made)]
        if self._count == 0 or _is_spelled(key):
            return [("arguments", made)]
        values = (made,) if self._count == 1 else made
        return [(parameter.name, value) for parameter, value in zip(self.values, values, strict=False)]

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

    def explain(self, key: Hashable) -> TypeError | None:
        """The error to raise because *key* cannot be hashed; None if it can.

        It begins as the interpreter's own message does, which programs look for.
        """
        if self.through is not None and _came_through(key):
            return self.through.explain(key)
        try:
            hash(key)
        except TypeError as error:
            reason = str(error)
        else:
            return None
        name = self.shape.qualname
        part = _unhashable_part(key)
        kind = "object" if part is None else type(part[0]).__qualname__
        reason = reason if part is None else part[1]
        begin = reason if reason.startswith("unhashable type:") else f"unhashable type: {kind!r}: {reason}"
        if self.options.key is not None and not _is_spelled(key):
            made = self.reveal(key)
            return TypeError(
                f"{begin}: {name}(): key= returned {short_text(made)} of type {type(made).__qualname__!r}, which "
                f"cannot be hashed; let it return a hashable, or use key=memo.freeze."
            )
        for parameter, value in self._valued_in(key):
            part = _unhashable_part(value)
            if part is not None:
                return TypeError(
                    f"{begin}: {name}(): the value of parameter {parameter.name!r} contains or is a {kind!r}, which "
                    f"cannot be hashed; give key=memo.freeze or a key= of your own, or leave the parameter out of the "
                    f"key with ignore=({parameter.name!r},)."
                )
        return TypeError(
            f"{begin}: {name}(): an argument contains or is a {kind!r}, which cannot be hashed; "
            f"give key=memo.freeze or a key= of your own."
        )

    def _valued_in(self, key: Hashable) -> Iterable[tuple[Parameter, Any]]:
        if _is_spelled(key):
            return ()
        start = 1 if self._has_token else 0
        values = key[start:] if self._is_tuple and isinstance(key, tuple) else (key,)
        return zip(self.values, values, strict=False)

    # -- code

    def _function(self, body: str, words: Mapping[str, Any]) -> FunctionType:
        """A function of the documented parameters, whose body names *words*."""
        code = code_of(self.parameters, body, self.prefix)
        namespace: dict[str, Any] = {"__builtins__": _NO_BUILTINS, "__name__": self.shape.module}
        for word, value in words.items():
            if self.prefix + word in code.co_names:
                namespace[self.prefix + word] = value
        shape = self.shape
        function = FunctionType(
            code.replace(co_name=shape.name, co_qualname=shape.qualname), namespace, shape.name,
            positional_defaults(self.parameters),
        )  # fmt: skip
        function.__kwdefaults__ = keyword_defaults(self.parameters)
        function.__qualname__ = shape.qualname
        return function


def _token_through(instances: Instances, instance: Any) -> Hashable:
    token = instances.token(instance)
    return token if type(token) is InstanceRef else _Itself(token)


_NO_BUILTINS: dict[str, Any] = {}


def check_ignored(shape: Shape, options: KeyOptions) -> None:
    """Check that ``ignore=`` names parameters.

    Raises:
        ValueError: It names what is no parameter.
        TypeError: It has no effect together with ``key=``.
    """
    if not options.ignore:
        return
    instance, valued = _parted(shape.parameters, shape.takes_instance)
    ignored = options.ignore - ({"self", "cls", instance.name} if instance is not None else set())
    where = shape.where
    if ignored and options.key is not None:
        raise TypeError(
            f"{where}: ignore={tuple(sorted(ignored))!r} has no effect together with key=; let key= leave them out."
        )
    names = {p.name for p in valued}
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in valued)
    for name in sorted(ignored - {"self", "cls"}):
        if name not in names and not takes_any:
            raise ValueError(
                f"{where}: ignore contains {name!r}, but {shape.qualname} has no such parameter; "
                f"it has {', '.join(sorted(names)) or 'none'}."
            )


def _parted(parameters: tuple[Parameter, ...], takes_instance: bool) -> tuple[Parameter | None, tuple[Parameter, ...]]:
    """The parameter that takes the instance, if one does, and those that make a key (``*args`` may do both)."""
    if not takes_instance or not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        return None, parameters
    several = parameters[0].kind is Parameter.VAR_POSITIONAL
    return parameters[0], parameters if several else parameters[1:]


def code_of(parameters: tuple[Parameter, ...], body: str, prefix: str, *, is_async: bool = False) -> CodeType:
    """The code of a function with these parameters, whose body names internals ``$word`` for *prefix* + word."""
    source = "{}def {}({}):\n{}".format(
        "async " if is_async else "",
        "$wrapper",
        _declaration(parameters),
        "\n".join("    " + line for line in body.splitlines()),
    )
    return _compiled(re.sub(r"\$(\w)", rf"{prefix}\1", source))


@functools.lru_cache(maxsize=512)  # functions of one shape share the code, but for its name
def _compiled(source: str) -> CodeType:
    module = compile(source, "<memo wrapper>", "exec", dont_inherit=True)
    return next(const for const in module.co_consts if isinstance(const, CodeType))


def _free_prefix(names: Iterable[str]) -> str:
    """A prefix that no parameter's name begins with."""
    prefix = PREFIX
    taken = tuple(names)
    while any(name.startswith(prefix) for name in taken):
        prefix = "_" + prefix
    return prefix


def _nameable(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """*parameters* with names that source can have: what is given by position alone may be called ``from``."""
    if not any(keyword.iskeyword(p.name) for p in parameters):
        return parameters
    return tuple(p.replace(name=f"{p.name}_{i}") if keyword.iskeyword(p.name) else p for i, p in enumerate(parameters))


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


def positional_defaults(parameters: tuple[Parameter, ...]) -> tuple[Any, ...] | None:
    """What ``__defaults__`` of a function with these parameters holds."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.default for p in parameters if p.kind in positional and p.default is not Parameter.empty) or None


def keyword_defaults(parameters: tuple[Parameter, ...]) -> dict[str, Any] | None:
    """What ``__kwdefaults__`` of a function with these parameters holds."""
    return {
        p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is not Parameter.empty
    } or None


def _value(p: Parameter, instance: Parameter | None) -> str:
    if p.kind is Parameter.VAR_KEYWORD:
        return f"$sorted_items({p.name})"
    return f"{p.name}[1:]" if p is instance else p.name


def _type(p: Parameter, instance: Parameter | None) -> str:
    if p.kind is Parameter.VAR_KEYWORD:
        return f"$item_types({_value(p, instance)})"
    if p.kind is Parameter.VAR_POSITIONAL:
        return f"$types({_value(p, instance)})"
    return f"$type({p.name})"


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


def _came_through(key: Hashable) -> bool:
    return type(key) is tuple and bool(key) and (type(key[0]) is InstanceRef or type(key[0]) is _Itself)


def _is_spelled(key: Hashable) -> bool:
    return type(key) is tuple and bool(key) and key[-1] is _SPELLED


def _unhashable_part(value: Any) -> tuple[Any, str] | None:
    """The innermost part of *value* that cannot be hashed, and what it says; None if all can."""
    try:
        hash(value)
    except TypeError as error:
        if isinstance(value, tuple):
            for item in value:
                part = _unhashable_part(item)
                if part is not None:
                    return part
        return value, str(error)
    return None
