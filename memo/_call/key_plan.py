"""What the keys of a function's calls consist of, and how the source of a key reads."""

from collections.abc import Callable
from inspect import Parameter
from typing import Any

from memo._call.call_source import CallSource, passed_arguments, spelled_call, tuple_and_dict
from memo._call.key_functions import AskedAsSpelled, asked_arguments, instance_value
from memo._call.key_types import Guess, guess, stands_alone, told
from memo._call.signature import KeyOptions, Shape
from memo._call.source import POSITIONAL, Block, free_prefix, nameable, sign_of, tuple_of

__all__ = ("KeyPlan", "check_ignored")


class KeyPlan:
    """What the keys of one function's calls consist of.

    Args:
        shape: The function.
        options: The key's options.
        through: These are the keys of calls through the instances of a class that refers to a plain function.

    Attributes:
        parameters: The documented ones, with names that source can have.
        prefix: What internal names begin with.
        instance: The parameter that takes the instance, if one does.
        valued: The others (of ``*args`` that take the instance, the rest).
        values: Those that the key is made of, unless ``key=`` makes it.
        has_token: Keys begin with the instance's token, so that each instance has its own entries.
        is_tuple: A key is a tuple, not one value alone.
        count: How many values a key has, types and token apart.
        alone: The one of *values* whose argument a call may consist of, and which is told with its type (see
            ``key_types``).
    """

    __slots__ = (
        "_asked_for_key", "alone", "count", "has_token", "instance", "is_tuple", "options", "parameters", "prefix",
        "shape", "through", "valued", "values",
    )  # fmt: skip

    def __init__(self, shape: Shape, options: KeyOptions, *, through: bool) -> None:
        self.shape: Shape = shape
        self.options: KeyOptions = options
        self.through: bool = through
        self.parameters: tuple[Parameter, ...] = nameable(shape.parameters)
        self.prefix: str = free_prefix(p.name for p in self.parameters)
        instance, valued = _parted(self.parameters, shape.takes_instance or through)
        self.instance: Parameter | None = instance
        self.valued: tuple[Parameter, ...] = valued
        ignored = set(options.ignore)
        names = {"self", "cls", "" if self.instance is None else self.instance.name}
        shared = not through and bool(ignored & names)
        if self.instance is not None:
            ignored -= names
        self.has_token: bool = self.instance is not None and not shared and options.apart
        self.values: tuple[Parameter, ...] = tuple(p for p in self.valued if p.name not in ignored)
        self.is_tuple: bool = self.has_token or options.typed or (options.key is None and len(self.values) != 1)
        self.count: int = 1 if options.key is not None else len(self.values)
        tells_types = options.key is None and not options.typed and options.apart
        self.alone: Parameter | None = stands_alone(self.values, self.instance) if tells_types else None
        self._asked_for_key = "" if options.key is None else self.asked(options.key)

    # -- source

    @property
    def prelude(self) -> Block:
        """What must run before the expression of a key."""
        return [] if self.options.key is None else [f"$k = $user_key({self._asked_for_key})"]

    @property
    def key(self) -> str:
        """The expression of a key; KeyError where the instance has no token yet."""
        return self._key("$refs[$id({})]")

    @property
    def whole_key(self) -> str:
        """The expression of a key, making the token where there is none."""
        return self._key("$token({})")

    @property
    def lookup(self) -> str:
        """The expression of the entry of a call in the store that ``$index`` indexes; KeyError if there is none.

        A method looks in its instance's own table, which spares it to build and to hash a tuple.
        """
        return self._lookup(self._rest("" if self.guess is None else self.guess.kind))

    @property
    def guessed(self) -> str:
        """The expression of that entry where the guess holds."""
        return self._lookup([_value(p, self.instance) for p in self.values])

    def _lookup(self, rest: list[str]) -> str:
        if not self.has_token or self.instance is None:
            return f"$index[{self._joined(rest, '')}]"
        return f"{_table_of(self.instance)}[{rest[0] if len(rest) == 1 else tuple_of(rest)}]"

    @property
    def guess(self) -> Guess | None:
        """How a hit guesses the type of the value that is told with it."""
        return None if self.alone is None else guess(self.alone)

    def call(self) -> CallSource:
        """A call, as a template spells it."""
        shape = self.shape
        if not shape.exact:
            return spelled_call(is_async=shape.is_async, through=self.through)
        args, kwargs = tuple_and_dict(self.parameters, self.instance if self.through else None)
        return CallSource(
            is_async=shape.is_async,
            prelude=self.prelude,
            key=self.key,
            whole_key=self.whole_key,
            lookup=self.lookup,
            guess=self.guess,
            guessed="" if self.guess is None else self.guessed,
            values=("$k",) if self.options.key is not None else tuple(p.name for p in self.values),
            passed=passed_arguments(self.parameters),
            args=args,
            kwargs=kwargs,
        )

    def asked(self, function: Callable[..., Any]) -> str:
        """The source of the arguments with which *function*, which a user gave, is asked about a call."""
        return asked_arguments(function, self.valued, self.instance, self._place)

    def asked_as_spelled(self, function: Callable[..., Any]) -> AskedAsSpelled:
        """What asks *function*, which a user gave, about a call that does not fit the documented parameters."""
        return AskedAsSpelled(function, self.parameters, self.instance, self._place)

    @property
    def _place(self) -> str:
        return self.shape.qualname.rpartition(".")[0]

    def _key(self, token: str) -> str:
        return self._joined(self._rest(), token)

    def _joined(self, rest: list[str], token: str) -> str:
        if not self.is_tuple:
            return rest[0]
        first = [token.format(instance_value(self.instance))] if self.has_token and self.instance is not None else []
        return tuple_of([*first, *rest])

    def _rest(self, kind: str = "") -> list[str]:
        """What a key is made of, but for the token; *kind* is the type of the value that is told with it, if known."""
        if self.options.key is not None:
            return ["$k"]
        types = [_type(p, self.instance) for p in self.values] if self.options.typed else []
        return [*(told(p, kind) if p is self.alone else _value(p, self.instance) for p in self.values), *types]

    # -- what others ask

    @property
    def signature(self) -> str:
        """What keys consist of, as text: alike for two functions, or versions of one, whose keys mean the same."""
        if self.options.key is not None:
            made_by = self.options.key
            return f"key={getattr(made_by, '__qualname__', type(made_by).__qualname__)}"
        text = f"({', '.join(sign_of(p) + p.name for p in self.values)})"
        return f"{text}, typed" if self.options.typed else text

    def spreads(self, skipped: int) -> bool:
        """Whether more than one argument, or none, can be given by position, the first *skipped* ones apart."""
        if any(p.kind is Parameter.VAR_POSITIONAL for p in self.parameters):
            return True
        return sum(p.kind in POSITIONAL for p in self.parameters) - skipped != 1


def _parted(parameters: tuple[Parameter, ...], takes_instance: bool) -> tuple[Parameter | None, tuple[Parameter, ...]]:
    """The parameter that takes the instance, if one does, and those that make a key (``*args`` may do both)."""
    if not takes_instance or not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        return None, parameters
    several = parameters[0].kind is Parameter.VAR_POSITIONAL
    return parameters[0], parameters if several else parameters[1:]


def _table_of(instance: Parameter) -> str:
    return f"$refs[$id({instance_value(instance)})].table"


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
