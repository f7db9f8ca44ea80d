"""What type checkers see of a decorated function of many keys; nothing here exists when a program runs.

The keys' type is that of the mapping's keys: the function takes a list of them, so that what it declares may be wider
(``Sequence``, ``Iterable``).  A call takes any iterable of keys, by position; the handles, and ``one``, take a single
key in its place.  A coroutine function comes first among the overloads, then what takes the keys first, then what takes
something else before them: a method.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from memo._cache import CacheHandle, CacheInfo
from memo._flight import InflightHandle
from memo._registry import Record

__all__ = ("ManyDecorator", "ManyFunction", "ManyMethod")

P = ParamSpec("P")
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
S = TypeVar("S")
M = TypeVar("M")
"""What a call with many keys returns."""
R = TypeVar("R")
"""What a call with one key returns."""

if TYPE_CHECKING:
    from memo._decorated.typed import Function

    Awaited = Coroutine[Any, Any, T]

    class _DecoratedMany(Generic[K, P, M, R, V]):
        @property
        def one(self) -> Function[Concatenate[K, P], R]: ...
        @property
        def cache(self) -> CacheHandle[Concatenate[K, P], R, V]: ...
        @property
        def inflight(self) -> InflightHandle[Concatenate[K, P], R]: ...
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        @property
        def __wrapped__(self) -> Callable[..., Any]: ...
        @property
        def __memo_record__(self) -> Record | None: ...
        def cache_info(self) -> CacheInfo: ...
        def cache_clear(self) -> None: ...
        def cache_parameters(self) -> dict[str, Any]: ...

    class ManyFunction(_DecoratedMany[K, P, M, R, V]):
        """A decorated function of many keys, or a method with its instance."""

        def __call__(self, keys: Iterable[K], /, *args: P.args, **kwargs: P.kwargs) -> M: ...

    class ManyMethod(_DecoratedMany[K, P, M, R, V], Generic[T, K, P, M, R, V]):
        """A decorated method that is bound to nothing yet."""

        def __call__(self, instance: T, keys: Iterable[K], /, *args: P.args, **kwargs: P.kwargs) -> M: ...
        @overload
        def __get__(  # a class method
            self: "ManyMethod[type[S], K, P, M, R, V]", obj: Any, owner: type[S], /
        ) -> ManyFunction[K, P, M, R, V]: ...
        @overload
        def __get__(self, obj: None, owner: type[Any], /) -> Self: ...
        @overload
        def __get__(self, obj: T, owner: type[Any] | None = None, /) -> ManyFunction[K, P, M, R, V]: ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    class ManyDecorator:
        """What ``bounded_many(...)`` returns."""

        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: "staticmethod[Concatenate[list[K], P], Awaited[Mapping[K, V]]]", /
        ) -> ManyFunction[K, P, Awaited[dict[K, V]], Awaited[V], V]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: "staticmethod[Concatenate[list[K], P], Mapping[K, V]]", /
        ) -> ManyFunction[K, P, dict[K, V], V, V]: ...
        @overload
        def __call__(
            self, function: "classmethod[Any, Concatenate[list[K], P], Awaited[Mapping[K, V]]]", /
        ) -> ManyFunction[K, P, Awaited[dict[K, V]], Awaited[V], V]: ...
        @overload
        def __call__(
            self, function: "classmethod[Any, Concatenate[list[K], P], Mapping[K, V]]", /
        ) -> ManyFunction[K, P, dict[K, V], V, V]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: Callable[Concatenate[list[K], P], Awaited[Mapping[K, V]]], /
        ) -> ManyFunction[K, P, Awaited[dict[K, V]], Awaited[V], V]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: Callable[Concatenate[list[K], P], Mapping[K, V]], /
        ) -> ManyFunction[K, P, dict[K, V], V, V]: ...
        @overload
        def __call__(
            self, function: Callable[Concatenate[T, list[K], P], Awaited[Mapping[K, V]]], /
        ) -> ManyMethod[T, K, P, Awaited[dict[K, V]], Awaited[V], V]: ...
        @overload
        def __call__(
            self, function: Callable[Concatenate[T, list[K], P], Mapping[K, V]], /
        ) -> ManyMethod[T, K, P, dict[K, V], V, V]: ...
        def __call__(self, function: Any, /) -> Any: ...
