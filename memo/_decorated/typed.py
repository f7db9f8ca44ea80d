"""What type checkers see of a decorated function; nothing here exists when a program runs.

``Function`` and ``Method`` have two type parameters, what is taken and what is returned.  Of a generic function, mypy
keeps the type variables in such a pair, so that its calls and handles stay generic too.

``Function.__get__`` tells by the first parameter what a class body makes of a function: the overloads annotate *self*
as what can be called so, and every checker compares that parameter with the instance or the class.  Overloads for a
``_ToMypy...`` are mypy's alone, which would infer ``Never`` where a method returns ``Self``.  They ask with ``Never``
whether it does: only what returns its own argument returns ``Never`` for one.  What returns ``Any`` would pass for
it, and comes before.

Not reached, see ``tests/typing/probe_limits_*.py``: to mypy a method with type variables of its own returns ``Never``;
pyright lets nothing but a function override a method, and compares with a Protocol's method what ``__call__`` takes
before it is bound.  A second ``__call__``, as of the bound method, would satisfy it there, but let ``C.method(1)`` pass
without an instance, and make no property of a decorated function any more.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Never, ParamSpec, Protocol, Self, TypeVar, overload

from memo._cache import CacheHandle, CacheInfo
from memo._flight import InflightHandle
from memo._rate import LimitHandle
from memo._registry import Record
from memo._window import WindowHandle

__all__ = ("Function", "Method")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
V = TypeVar("V")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

MYPY = False
"""A name that mypy takes for true, whatever it is bound to."""

if TYPE_CHECKING:

    class _CacheAttribute:
        """A descriptor, since only those have overloads: of a coroutine function the awaited result is stored."""

        @overload
        def __get__(
            self, obj: "_Decorated[P, Coroutine[Any, Any, V]]", owner: Any = None, /
        ) -> CacheHandle[P, Coroutine[Any, Any, V], V]: ...
        @overload
        def __get__(self, obj: "_Decorated[P, R]", owner: Any = None, /) -> CacheHandle[P, R, R]: ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    class _Decorated(Generic[P, R_co]):
        cache: _CacheAttribute = _CacheAttribute()

        @property
        def inflight(self) -> InflightHandle[P, R_co]: ...
        @property
        def window(self) -> WindowHandle[P, R_co]: ...
        @property
        def limit(self) -> LimitHandle[P, R_co]: ...
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        @property
        def __wrapped__(self) -> Callable[P, R_co]: ...
        @property
        def __memo_record__(self) -> Record | None: ...
        def cache_info(self) -> CacheInfo: ...
        def cache_clear(self) -> None: ...
        def cache_parameters(self) -> dict[str, Any]: ...

    class _Nothing:
        """What no function returns, unless anything at all may be said of what it returns."""

    class _ToMypy(Protocol):
        """What a function is to mypy, and to no other."""

        if not MYPY:
            memo_for_mypy: _Nothing

    class _ToMypyReturns(_ToMypy, Protocol[T_contra, Q, R_co]):
        def __call__(_this, first: T_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...  # noqa: N805

    class _ToMypyNamesSelf(_ToMypy, Protocol):
        """Within a class, mypy leaves ``Self`` in a signature open, and finds that *self* is none: ask for the name."""

        def __call__(_this, self: Never, *args: Any, **kwargs: Any) -> Any: ...  # noqa: N805

    class _ToMypyNamesCls(_ToMypy, Protocol):
        def __call__(_this, cls: Never, *args: Any, **kwargs: Any) -> Any: ...  # noqa: N805

    class Function(_Decorated[P, R_co]):
        """A decorated function, or a method that is bound to nothing yet."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

        # Seen through the class.
        @overload
        def __get__(  # type: ignore[misc]  # a method that returns Self, which to mypy takes anything
            self: Callable[Concatenate[object, ...], Any], obj: None, owner: type[Any], /
        ) -> "Function[P, R_co]": ...
        @overload
        def __get__(  # a method
            self: Callable[Concatenate[T, ...], Any], obj: None, owner: type[T], /
        ) -> "Function[P, R_co]": ...
        @overload
        def __get__(  # a class method that returns Any, or not at all
            self: _ToMypyReturns[type[T], Q, _Nothing], obj: object, owner: type[T], /
        ) -> "Method[Q, R_co]": ...
        @overload
        def __get__(  # a class method that returns Self
            self: _ToMypyReturns[type[Never], Q, Never], obj: None, owner: type[T], /
        ) -> "Method[Q, T]": ...
        @overload
        def __get__(  # type: ignore[misc]  # a class method
            self: Callable[Concatenate[type[T], Q], R], obj: None, owner: type[T], /
        ) -> "Method[Q, R]": ...
        @overload
        def __get__(self: _ToMypyNamesCls, obj: None, owner: type[Any], /) -> "Method[..., R_co]": ...
        @overload
        def __get__(self, obj: None, owner: type[Any] | None = None, /) -> Self: ...
        # Seen through an instance.
        @overload
        def __get__(  # a method that returns Any, or not at all
            self: _ToMypyReturns[T, Q, _Nothing], obj: T, owner: type[Any] | None = None, /
        ) -> "Method[Q, R_co]": ...
        @overload
        def __get__(  # a method or a class method that returns Self
            self: _ToMypyReturns[Never, Q, Never], obj: T, owner: type[T] | None = None, /
        ) -> "Method[Q, T]": ...
        @overload
        def __get__(  # a method
            self: Callable[Concatenate[T, Q], R], obj: T, owner: type[Any] | None = None, /
        ) -> "Method[Q, R]": ...
        @overload
        def __get__(  # type: ignore[misc]  # a class method
            self: Callable[Concatenate[type[T], Q], R], obj: object, owner: type[T], /
        ) -> "Method[Q, R]": ...
        @overload
        def __get__(self: _ToMypyNamesSelf, obj: object, owner: type[Any] | None = None, /) -> "Method[..., R_co]": ...
        @overload
        def __get__(self: _ToMypyNamesCls, obj: object, owner: type[Any] | None = None, /) -> "Method[..., R_co]": ...
        @overload
        def __get__(self, obj: object, owner: type[Any] | None = None, /) -> "Method[P, R_co]": ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    class Method(_Decorated[P, R_co]):
        """A decorated method with its instance, a class method with its class, or a static method."""

        @property
        def __self__(self) -> Any: ...
        @property
        def __func__(self) -> Any: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
