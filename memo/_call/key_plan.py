"""What the keys of a function's calls consist of, and how the source of a key reads."""

from collections.abc import Callable
from inspect import Parameter
from typing import Any

from memo._base import short_text
from memo._call.call_source import CallSource, passed_arguments, spelled_call, tuple_and_dict
from memo._call.key_functions import LOOK, Asked, instance_value, is_looked_at
from memo._call.key_types import Guess, guess, stands_alone, told
from memo._call.signature import INSTANCE_NAMES, KeyOptions, Shape, stands_in_a_class
from memo._call.source import POSITIONAL, Block, free_prefix, nameable, sign_of, tuple_of

__all__ = ("KeyPlan", "check_asked", "parted", "takes_any")


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
        has_refs: Keys hold tokens of weak arguments, or of an event loop.
        weak: The names of parameters whose values count by identity alone.
        weak_named: Those of ``**`` arguments; they have places of their own behind the values.
        is_tuple: A key is a tuple, not one value alone.
        count: How many values are shown of a key.
        start: Where these begin in a key that is a tuple.
        alone: The one of *values* whose argument a call may consist of, and which is told with its type (see
            ``key_types``).
        asked_for_key: How ``key=`` is asked about calls, if it is given.
    """

    __slots__ = (
        "alone", "asked_for_key", "count", "has_refs", "has_token", "instance", "is_tuple", "options", "parameters",
        "prefix", "shape", "start", "through", "valued", "values", "weak", "weak_named",
    )  # fmt: skip

    def __init__(self, shape: Shape, options: KeyOptions, *, through: bool) -> None:
        self.shape: Shape = shape
        self.options: KeyOptions = options
        self.through: bool = through
        self.parameters: tuple[Parameter, ...] = nameable(shape.parameters)
        self.prefix: str = free_prefix(p.name for p in self.parameters)
        instance, valued = parted(self.parameters, shape.takes_instance or through)
        self.instance: Parameter | None = instance
        self.valued: tuple[Parameter, ...] = valued
        ignored = set(options.ignore)
        names = {"self", "cls", "" if self.instance is None else self.instance.name}
        shared = not through and bool(ignored & names)
        if self.instance is not None:
            ignored -= names
        self.has_token: bool = self.instance is not None and not shared and options.apart
        self.values: tuple[Parameter, ...] = tuple(p for p in self.valued if p.name not in ignored)
        self.weak: frozenset[str] = options.weak & {p.name for p in self.valued}
        self.weak_named: tuple[str, ...] = (
            tuple(sorted(options.weak - {p.name for p in self.parameters})) if takes_any(self.valued) else ()
        )
        self.has_refs: bool = bool(self.weak or self.weak_named or options.scope)
        self.is_tuple: bool = (
            self.has_token or self.has_refs or options.typed or (options.key is None and len(self.values) != 1)
        )
        before_key = 0 if options.key is None else len(self.weak) + len(self.weak_named)
        self.start: int = self.has_token + before_key
        self.count: int = 1 if options.key is not None else len(self.values)
        tells_types = options.key is None and not options.typed and options.apart
        alone = stands_alone(self.values, self.instance) if tells_types else None
        self.alone: Parameter | None = None if alone is not None and alone.name in self.weak else alone
        self.asked_for_key: Asked | None = None if options.key is None else self.asked(options.key)

    # -- source

    @property
    def prelude(self) -> Block:
        """What must run before the expression of a key."""
        if self.asked_for_key is None:
            return []
        return [f"$k = $user_key({self.asked_for_key.arguments})", *(LOOK if is_looked_at(self.options.key) else [])]

    @property
    def key(self) -> str:
        """The expression of a key; KeyError where what stands for something in it has no token yet."""
        return self._key(whole=False)

    @property
    def whole_key(self) -> str:
        """The expression of a key, making tokens where there are none."""
        return self._key(whole=True)

    @property
    def lookup(self) -> str:
        """The expression of the entry of a call in the store that ``$index`` indexes; KeyError if there is none.

        A method looks in its instance's own table, which spares it to build and to hash a tuple.
        """
        return "{}[{}]".format(*self._lookup(self._rest()))

    @property
    def asked_for(self) -> str:
        """The expression of that entry where the guess does not hold, and the key is the guessed value itself.

        None if there is no entry, perhaps a KeyError.  Empty where keys are tuples.
        """
        rest = self._rest(bare=True)
        is_alone = len(rest) == 1 and (not self.is_tuple or (self.has_token and self.instance is not None))
        return "{}.get({})".format(*self._lookup(rest)) if is_alone else ""

    @property
    def guessed(self) -> str:
        """The expression of that entry where the guess holds."""
        return "{}[{}]".format(*self._lookup(self._rest(bare=True)))

    def _lookup(self, rest: list[str]) -> tuple[str, str]:
        """Where to look, and for what."""
        if not self.has_token or self.instance is None:
            return "$index", self._joined(rest, whole=False)
        return _table_of(self.instance), rest[0] if len(rest) == 1 else tuple_of(rest)

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
            is_tuple=self.is_tuple,
            lookup=self.lookup,
            guess=self.guess,
            guessed="" if self.guess is None else self.guessed,
            asked_for="" if self.guess is None else self.asked_for,
            values=("$k",) if self.options.key is not None else tuple(p.name for p in self.values),
            passed=passed_arguments(self.parameters),
            args=args,
            kwargs=kwargs,
        )

    def asked(self, function: Callable[..., Any]) -> Asked:
        """How *function*, which a user gave, is asked about calls."""
        return Asked(function, self.valued, self.instance, self.shape.qualname.rpartition(".")[0])

    @property
    def by_name(self) -> str:
        """The source of a dictionary of the call's arguments by name, without the instance."""
        parts = [
            f"{real.name!r}: {p.name}{'[1:]' if p is self.instance else ''}"
            for real, p in zip(self.shape.parameters, self.parameters, strict=True)
            if p in self.valued
        ]
        return f"{{{', '.join(parts)}}}"

    def _key(self, *, whole: bool) -> str:
        return self._joined(self._rest(whole=whole), whole=whole)

    def _joined(self, rest: list[str], *, whole: bool) -> str:
        if not self.is_tuple:
            return rest[0]
        if not self.has_token or self.instance is None:
            return tuple_of(rest)
        instance = instance_value(self.instance)
        return tuple_of([f"$token({instance})" if whole else f"$refs[$id({instance})]", *rest])

    def _rest(self, *, whole: bool = False, bare: bool = False) -> list[str]:
        """What a key is made of, but for the instance's token.

        Args:
            whole: Tokens are made where there are none.
            bare: The value that is told with its type stands for itself.
        """
        loop = (["$loop()"] if whole else ["$loop_refs[$id($running_loop())]"]) if self.options.scope else []
        named = [_weak(f"{self.valued[-1].name}.get({name!r}, $absent)", name, whole) for name in self.weak_named]
        if self.options.key is not None:
            weak = [_weak(p.name, p.name, whole) for p in self.valued if p.name in self.weak]
            return [*weak, *named, "$k", *loop]
        values = [
            _weak(p.name, p.name, whole) if p.name in self.weak
            else told(p) if p is self.alone and not bare
            else _value(p, self.instance)
            for p in self.values
        ]  # fmt: skip
        types = [_type(p, self.instance) for p in self.values] if self.options.typed else []
        return [*values, *named, *loop, *types]

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


def check_asked(shape: Shape, option: str, given: Any, asked: Callable[..., Any] | None = None, rest: str = "") -> None:
    """Check that what a user gave can be asked about calls of a function as ``key=`` is, as far as that is known.

    A call that does not fit what is documented is handed on as it was spelled: nobody knows how, so that only where
    no call can be like that (the shape is exact) there is anything to check.  A plain function may turn out to be a
    method when a class gets it.  Then what fits a method is taken, if the function looks like one that is to be: it
    stands in a class, its first parameter is ``self``, or what was given has parameters of the names of the others.

    Args:
        shape: The function's.
        option: What was given.
        given: The function that was.
        asked: What is called in its place; None: itself.
        rest: What else the message has to say.

    Raises:
        TypeError: It surely cannot.
    """
    if not shape.exact:
        return
    function = given if asked is None else asked
    why = _asked(shape, function, shape.takes_instance).misfit()
    if why is None:
        return
    if not shape.takes_instance:
        late = _asked(shape, function, True)
        if late.misfit() is None and (
            shape.first_name in INSTANCE_NAMES or stands_in_a_class(shape.function) or late.names_alike
        ):
            return
    name = shape.qualname
    raise TypeError(
        f"{shape.where}: {option}={short_text(given)} cannot be called as {name}() is: {why}; give it the parameters "
        f"of {name}(), self among them if it needs that{rest}."
    )


def _asked(shape: Shape, function: Callable[..., Any], takes_instance: bool) -> Asked:
    instance, valued = parted(nameable(shape.parameters), takes_instance)
    return Asked(function, valued, instance, shape.qualname.rpartition(".")[0])


def parted(parameters: tuple[Parameter, ...], takes_instance: bool) -> tuple[Parameter | None, tuple[Parameter, ...]]:
    """The parameter that takes the instance, if one does, and those that make a key (``*args`` may do both)."""
    if not takes_instance or not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        return None, parameters
    several = parameters[0].kind is Parameter.VAR_POSITIONAL
    return parameters[0], parameters if several else parameters[1:]


def takes_any(valued: tuple[Parameter, ...]) -> bool:
    """Whether there are ``**`` arguments, which come last."""
    return bool(valued) and valued[-1].kind is Parameter.VAR_KEYWORD


def _table_of(instance: Parameter) -> str:
    return f"$refs[$id({instance_value(instance)})].table"


def _weak(value: str, name: str, whole: bool) -> str:
    return f"$weak({value}, {name!r})" if whole else f"$weak_refs[$id({value})]"


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
