"""The function of many keys as it is asked: with some keys in place of its first argument, the others as they came."""

import inspect
from collections.abc import Callable, Coroutine, Hashable, Mapping
from inspect import Parameter
from types import FunctionType
from typing import Any

from memo._base import refuse_one_shot, short_text
from memo._call import PLAIN_KEYS, Call, ExactSignature, Shape
from memo._flight import Watch
from memo.errors import AbsentKey

__all__ = ("Found", "ManyFunction", "absent_key")

_TAKES_KEYS = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NOTHING: Any = object()


class Found(dict[Hashable, Any]):
    """What a batch has come to so far: the value of each key that has one."""

    __slots__ = ("absent",)

    def __init__(self) -> None:
        super().__init__()
        self.absent: set[Hashable] = set()
        """Keys that turned out to have none."""


class ManyFunction:
    """A function of many keys.

    Args:
        shape: What it takes.
        call: The function.

    Raises:
        TypeError: It has no parameter for keys.
    """

    def __init__(self, shape: Shape, call: Callable[..., Any]) -> None:
        self.shape: Shape = shape
        self.name: str = shape.qualname
        self._call = call
        self._watch: Watch | None = None
        self.check()

    def be_watched(self, watch: Watch | None) -> None:
        """Tell *watch* of calls from now on, or (None) nobody."""
        self._watch = watch

    @property
    def at(self) -> int:
        """The place of the keys among the arguments."""
        return int(self.shape.takes_instance)

    def check(self) -> None:
        """Raise TypeError unless the first parameter, the instance apart, can take keys."""
        parameters = self.shape.parameters
        if len(parameters) > self.at and parameters[self.at].kind in _TAKES_KEYS:
            return
        first = "first parameter after the instance" if self.at else "first parameter"
        raise TypeError(
            f"{self.shape.where}: {self.name} takes no keys; its {first} must be a collection of them, "
            f"as in def {self.shape.name}({'self, ' * self.at}names: Sequence[str])."
        )

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """A call, bound to the documented parameters."""
        call = ExactSignature(self.shape.parameters).bind(*args, **kwargs)
        call.apply_defaults()
        return Call(call.args, call.kwargs)

    def with_keys(self, keys: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments *args* with *keys* (or one key) in the place of the keys."""
        at = self.at
        return (*args[:at], keys, *args[at + 1 :])

    def unique(self, keys: Any) -> dict[Any, None]:
        """The keys of a call, each once, in the order in which they first appear; an iterator is drawn once.

        Raises:
            TypeError: It is one key and no collection, or a key cannot be hashed.
        """
        if isinstance(keys, str | bytes | bytearray):
            raise TypeError(
                f"{self.name}(): {short_text(keys)} is one key; write {self.shape.name}([{short_text(keys)}]) for a "
                f"mapping, or {self.shape.name}.one({short_text(keys)}) for its value."
            )
        try:
            return dict.fromkeys(keys)
        except TypeError as error:
            if str(error).startswith("unhashable type"):
                raise TypeError(
                    f"{error}: {self.name}() was given a key that cannot stand in the mapping that it returns; give "
                    f"keys that can be hashed, such as tuples in place of lists."
                ) from None
            if hasattr(keys, "__iter__"):
                raise
            raise TypeError(
                f"{self.name}(): {short_text(keys)} is no collection of keys; write "
                f"{self.shape.name}([{short_text(keys)}])."
            ) from None

    # -- asking

    def ask(self, keys: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[Any, Any]:
        """What the function returns for *keys*, its other arguments as in *args* and *kwargs*.

        Raises:
            RuntimeError: The function raised ``AbsentKey``, which here means that one key has no value: it came from
                another function, and would have all keys be absent (as StopIteration would end a generator).
        """
        try:
            if self._watch is not None:
                return self._watch.ask((), keys, self._call, self._mapping, self.with_keys(keys, args), kwargs)  # type: ignore[no-any-return]
            return self._mapping(self._call(*self.with_keys(keys, args), **kwargs))
        except AbsentKey as error:
            raise self._came_out(error) from error

    async def ask_awaited(self, keys: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[Any, Any]:
        """The same of a coroutine function."""
        try:
            if self._watch is not None:
                asked = self._watch.ask_awaited(keys, self._call, self._mapping, self.with_keys(keys, args), kwargs)
                return await asked  # type: ignore[no-any-return]
            return self._mapping(await self._call(*self.with_keys(keys, args), **kwargs))
        except AbsentKey as error:
            raise self._came_out(error) from error

    def _came_out(self, error: AbsentKey) -> RuntimeError:
        return RuntimeError(
            f"{self.name}() raised AbsentKey({str(error)!r}) for all its keys; catch it, and leave out of the mapping "
            f"what has no value."
        )

    def _mapping(self, result: Any) -> Mapping[Any, Any]:
        if isinstance(result, Mapping):
            return result
        if inspect.iscoroutine(result):
            refuse_one_shot(self.name, result)  # which closes it, and says what to write
        raise TypeError(
            f"{self.name}() returned {short_text(result)}, which is no mapping; return one from key to value, such as "
            f"a dict; keys that it lacks count as absent."
        )

    def value_in(self, result: Mapping[Any, Any], key: Any) -> Any:
        """The value of *key* in what the function returned.

        Raises:
            AbsentKey: There is none.
        """
        value = result.get(key, _NOTHING)  # which makes nothing, as a defaultdict does for [key]
        if value is _NOTHING:
            raise absent_key(self.name, key)
        return value

    def group(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """What calls have in common of which one batch can be made: all their arguments but the key.

        Plain values are compared, others are told apart by identity: they live as long as a batch holds them.
        """
        others = [_mark(value) for place, value in enumerate(args) if place != self.at]
        return tuple(others), tuple(sorted((name, _mark(value)) for name, value in kwargs.items()))

    # -- one key

    def single(self, gather: Callable[..., Coroutine[Any, Any, Any]] | None) -> Callable[..., Any]:
        """A function of one key, which asks for it alone, or (of a coroutine function) has *gather* ask."""

        def one(*args: Any, **kwargs: Any) -> Any:
            key = args[self.at]
            return self.value_in(self.ask([key], args, kwargs), key)

        async def one_awaited(*args: Any, **kwargs: Any) -> Any:
            key = args[self.at]
            return self.value_in(await self.ask_awaited([key], args, kwargs), key)

        async def one_gathered(*args: Any, **kwargs: Any) -> Any:
            assert gather is not None
            return await gather(*args, **kwargs)

        made: Any = one if not self.shape.is_async else one_awaited if gather is None else one_gathered
        made.__name__ = "one"
        made.__qualname__ = f"{self.name}.one"
        made.__module__ = self.shape.module
        made.__doc__ = f"The value of one key: see {self.name}()."
        self.describe(made)
        return made  # type: ignore[no-any-return]

    def describe(self, one: Callable[..., Any]) -> None:
        """Have the function of one key take what this takes, one key in the place of the keys."""
        notes = getattr(self.shape.function, "__annotations__", {})
        parameters = [p.replace(annotation=notes.get(p.name, Parameter.empty)) for p in self.shape.parameters]
        keys = parameters[self.at]
        parameters[self.at] = keys.replace(annotation=Parameter.empty, default=Parameter.empty)
        assert isinstance(one, FunctionType)
        one.__signature__ = ExactSignature(parameters)  # type: ignore[attr-defined]


def absent_key(name: str, key: Any) -> AbsentKey:
    """The error of who asked for one key that has no value."""
    return AbsentKey(f"{name}(): there is no value for the key {short_text(key)}.", key)


def _mark(value: Any) -> tuple[type | None, Any]:
    kind = type(value)
    return (kind, value) if kind in PLAIN_KEYS else (None, id(value))
