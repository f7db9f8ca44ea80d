"""The keys of a function's calls, and how they are made.

A key is the one parameter's value, else a tuple: the instance's token (methods), the values in signature order, in
the places of weak ones their tokens, the token of the event loop (``scope``), then the values' types (``typed``).  What
``key=`` makes stands behind the tokens of instance and weak arguments.

The parameters are the documented ones.  A call that does not fit them is passed on all the same (the function may take
what it does not document), under a key of its own *spelling*, unless ``key=`` takes it too.

Nothing here refers to a layer, its wrapper or its store: those refer to the keys.
"""

import builtins
import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import FunctionType
from typing import Any

from memo._call.call_info import CallInfo
from memo._call.key_functions import DRAWN, Asked, instance_value, refuse_drawn
from memo._call.key_marks import SPELLED, Through, token_through
from memo._call.key_plan import KeyPlan
from memo._call.key_types import BARE, TOLD
from memo._call.shown_keys import ShownKeys
from memo._call.signature import KeyOptions, Shape
from memo._call.source import Block, Titles, code_of, keyword_defaults, positional_defaults
from memo._call.tokens import Tokens

__all__ = ("Keys",)


class Keys:
    """The keys of one function's calls.

    Args:
        shape: The function.
        options: The key's options.
        tokens: What stands in them for what they do not keep alive.
        through: These are the keys of calls through the instances of a class that refers to a plain function.

    Attributes:
        plan: What they consist of.
        shown: They as others see them.
        token: What stands for an instance in a key.
    """

    def __init__(self, shape: Shape, options: KeyOptions, tokens: Tokens, *, through: bool = False) -> None:
        self.shape: Shape = shape
        self.options: KeyOptions = options
        self.tokens: Tokens = tokens
        self.plan: KeyPlan = KeyPlan(shape, options, through=through)
        self.shown: ShownKeys = ShownKeys(self.plan)
        self.token: Callable[[Any], Hashable] = (
            functools.partial(token_through, tokens.instances) if through else tokens.instances.token
        )

    @functools.cached_property
    def bind(self) -> Callable[..., Hashable]:
        """Makes the key of a call that fits the documented parameters."""
        plan = self.plan
        return self._function([*plan.prelude, f"return {plan.whole_key}"], self.words())

    @property
    def key_of(self) -> Callable[..., Hashable]:
        """Makes the key of a call."""
        return self.bind if self.shape.exact and not self.plan.through else self._key_of

    def words(self) -> dict[str, Any]:
        """What the sources of keys name."""
        return {
            "BARE": BARE,
            "TOLD": TOLD,
            "DRAWN": DRAWN,
            "refuse_drawn": functools.partial(refuse_drawn, self.shape.qualname),
            "usual": False,
            "type": type,
            "types": _types_of,
            "item_types": _item_types_of,
            "sorted_items": functools.partial(_sorted_items, without=self.options.ignore.union(self.plan.weak_named)),
            "user_key": self.options.key,
            "token": self.token,
            **self.tokens.words(),
        }

    def scope(self, prefix: tuple[Any, ...]) -> Hashable | None:
        """The token of the instance that a handle was reached through; None: its entries are those of all."""
        if not prefix or not self.plan.has_token:
            return None
        return self.token(prefix[0].instance if self.plan.through else prefix[0])

    # -- keys of whole calls

    def _key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        if self.plan.through and args and type(args[0]) is Through:
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
        refusal = self.shown.explain(key)
        if refusal is not None:
            raise refusal
        return key

    def spelled(self, error: TypeError, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of a call that does not fit the documented parameters, as *error* seems to say.

        Raises:
            TypeError: *error*, if the call does fit: then it was raised by ``key=``, or by an instance; or if nothing
                tells which of its arguments are weak.
        """
        plan = self.plan
        if plan.weak or plan.weak_named or self._fits(args, kwargs):
            raise error
        parts: list[Any] = []
        if plan.instance is not None and args and plan.has_token:
            parts.append(self.token(args[0]))
        asked = plan.asked_for_key
        if asked is not None and (args or plan.instance is None) and asked.takes(args, kwargs):
            made = asked.about(args, kwargs)
            return (*parts, made, *self._loop()) if plan.is_tuple else made
        parts += self._loop()
        if plan.instance is not None:
            args = args[1:]
        items = _sorted_items(kwargs, without=self.options.ignore)
        parts += [args, items]
        if self.options.typed:
            parts += [_types_of(args), _item_types_of(items)]
        return (*parts, SPELLED)

    def _loop(self) -> list[Hashable]:
        """The token of the loop that runs, if keys hold it."""
        return [] if self.tokens.loops is None else [self.tokens.loops.running()]

    def teller(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a whole call that asks *ask* about it, as ``key=`` is asked."""
        asked = self.plan.asked(ask)
        fitting = self._function([f"return $ask({asked.arguments})"], {"ask": ask})
        return fitting if self.shape.exact else functools.partial(self._tell, fitting, asked)

    def informer(self) -> Callable[..., CallInfo]:
        """A function of a whole call that tells what it is."""
        instance = "None" if self.plan.instance is None else instance_value(self.plan.instance)
        fitting = self._function([f"return $CallInfo({instance}, {self.plan.by_name})"], {"CallInfo": CallInfo})
        return fitting if self.shape.exact else functools.partial(self._inform, fitting)

    def _inform(self, fitting: Callable[..., CallInfo], /, *args: Any, **kwargs: Any) -> CallInfo:
        if self._fits(args, kwargs):
            return fitting(*args, **kwargs)
        skipped = self.plan.instance is not None and bool(args)
        return CallInfo(args[0] if skipped else None, {"args": args[skipped:], "kwargs": kwargs})

    def _tell(self, fitting: Callable[..., Any], asked: Asked, /, *args: Any, **kwargs: Any) -> Any:
        return fitting(*args, **kwargs) if self._fits(args, kwargs) else asked.about(args, kwargs)

    def _fits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call fits the documented parameters."""
        try:
            inspect.Signature(self.plan.parameters).bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    # -- code

    def _function(self, body: Block, words: Mapping[str, Any]) -> FunctionType:
        """A function of the documented parameters, whose body names *words*."""
        shape = self.shape
        titles = Titles(shape.name, shape.qualname, f"memo key of {shape.module}.{shape.qualname}")
        code = code_of(self.plan.parameters, body, self.plan.prefix, titles)
        namespace: dict[str, Any] = {"__builtins__": vars(builtins), "__name__": self.shape.module}
        for word, value in words.items():
            if self.plan.prefix + word in code.co_names:
                namespace[self.plan.prefix + word] = value
        function = FunctionType(
            code,
            namespace,
            shape.name,
            positional_defaults(self.plan.parameters),
        )
        function.__kwdefaults__ = keyword_defaults(self.plan.parameters)
        function.__qualname__ = shape.qualname
        return function


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
