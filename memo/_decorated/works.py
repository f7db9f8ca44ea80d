"""What a layer works with: what answers its calls, their wrappers, and their keys."""

from collections.abc import Callable, Mapping
from typing import Any

from memo._base import Clock, Tags
from memo._call import CallInfo, Generated, KeyOptions, Keys, Shape, Tokens

__all__ = ("Works",)


class Works:
    """What a layer works with, made when it is first needed.

    Args:
        shape: The function.
        options: The key's options.
        tags: What the decorator was told about tags.
        clock: What reads the time.
        tokens: What stands in keys for what they do not keep alive.
        engine: The loads, running calls or window.
        asked: Functions that are asked about calls, as ``key`` is, by the option that they were given as; ``CallInfo``
            is told of the whole call.

    Attributes:
        generated: The wrapper, and the keys of its calls.
    """

    __slots__ = (
        "_asked", "_asks", "_options", "_shape", "_tags", "_through", "clock", "engine", "generated", "tokens"
    )  # fmt: skip

    def __init__(
        self,
        shape: Shape,
        options: KeyOptions,
        tags: Tags,
        clock: Clock,
        tokens: Tokens,
        engine: Any,
        asked: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._shape = shape
        self._options = options
        self._tags = tags
        self._asked = asked
        self._asks: dict[tuple[str, bool], Callable[..., Any]] = {}
        """By the option, what asks about a call, and (True) about one that came through an instance."""
        self._through: dict[str, Generated] = {}
        """Of calls through the instances of a class that merely refers to the function; at most one."""
        self.clock: Clock = clock
        self.tokens: Tokens = tokens
        self.engine: Any = engine
        self.generated: Generated = Generated(self._keys())

    def _keys(self, *, through: bool = False) -> Keys:
        keys = Keys(self._shape, self._options, self.tokens, through=through)
        for option, function in self._asked.items():
            self._asks[option, through] = keys.informer() if function is CallInfo else keys.teller(function)
        return keys

    def exchange_keys(self, show: Callable[[Any, Keys], None]) -> None:
        """Have calls make the keys that the function's shape asks for now; *show* tells the engine of them before."""
        keys = self._keys()
        for through in self._through.values():
            through.exchange_keys(self._keys(through=True))
        show(self.engine, keys)
        self.generated.exchange_keys(keys)

    @property
    def wrappers(self) -> tuple[Generated, ...]:
        """All that answers calls."""
        return (self.generated, *self._through.values())

    @property
    def through(self) -> Generated | None:
        """The wrapper of calls through instances, and the keys of those; None if nobody needed it yet."""
        return self._through.get("through")

    def make_through(self) -> Generated:
        """That wrapper; of two threads that make it, the first one's is taken."""
        return self._through.setdefault("through", Generated(self._keys(through=True), through=True))

    def forget_through(self) -> None:
        """Have no such wrapper any more: the function is a method itself."""
        self._through.clear()

    def tags_of(self, through: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...] | None:
        """The tags of one call that ``tags=`` computes; None if it cannot."""
        return self._tags.of_call(self._shape.qualname, self._asks["tags", through], args, kwargs)

    def ask(self, option: str, through: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the function that was given as *option* says of one call."""
        return self._asks[option, through](*args, **kwargs)
