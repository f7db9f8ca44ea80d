"""What type checkers see of a decorated function; nothing here exists when a program runs.

``Function`` has one type parameter, the whole callable: so a class method that returns ``Self`` stays generic in its
class, which a pair of parameters and result would not let it.  ``__get__`` tries the class before the instance, and
both before the function itself.  The handles are descriptors, since only those have overloads: the value of a coroutine
function is what it returns when awaited.

Not reached, see ``tests/typing/``: to mypy a generic function returns ``Never``, and so does a method that returns
``Self`` if it is called through an instance; pyright lets nothing but a plain function override a method or stand for
one in a Protocol.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from memo._cache import CacheHandle, CacheInfo
from memo._flight import InflightHandle
from memo._registry import Record
from memo._window import WindowHandle

__all__ = ("Function", "Method")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
V = TypeVar("V")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)

if TYPE_CHECKING:

    class _Called(Protocol[P, R_co]):
        """Whatever is called so: a decorated function or a bound method."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    class _CacheAttribute:
        @overload
        def __get__(
            self, obj: _Called[P, Coroutine[Any, Any, V]], owner: Any = None, /
        ) -> CacheHandle[P, Coroutine[Any, Any, V], V]: ...
        @overload
        def __get__(self, obj: _Called[P, R], owner: Any = None, /) -> CacheHandle[P, R, R]: ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    class _InflightAttribute:
        def __get__(self, obj: _Called[P, R], owner: Any = None, /) -> InflightHandle[P, R]: ...

    class _WindowAttribute:
        def __get__(self, obj: _Called[P, R], owner: Any = None, /) -> WindowHandle[P, R]: ...

    class _Decorated:
        cache: _CacheAttribute = _CacheAttribute()
        inflight: _InflightAttribute = _InflightAttribute()
        window: _WindowAttribute = _WindowAttribute()

        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        @property
        def __memo_record__(self) -> Record | None: ...
        def cache_info(self) -> CacheInfo: ...
        def cache_clear(self) -> None: ...
        def cache_parameters(self) -> dict[str, Any]: ...

    class Function(_Decorated, Generic[F_co]):
        """A decorated function, or a method that is bound to nothing yet."""

        @property
        def __wrapped__(self) -> F_co: ...

        def __call__(self: "Function[Callable[P, R]]", *args: P.args, **kwargs: P.kwargs) -> R: ...

        @overload
        def __get__(  # a class method: the first parameter is the owner
            self: "Function[Callable[Concatenate[type[T], Q], R]]", obj: T | None, owner: type[T], /
        ) -> "Method[Q, R]": ...
        @overload
        def __get__(  # a method: the first parameter is the instance
            self: "Function[Callable[Concatenate[T, Q], R]]", obj: T, owner: type[Any] | None = None, /
        ) -> "Method[Q, R]": ...
        @overload
        def __get__(self, obj: None, owner: type[Any] | None = None, /) -> Self: ...
        @overload
        def __get__(
            self: "Function[Callable[P, R]]", obj: object, owner: type[Any] | None = None, /
        ) -> "Method[P, R]": ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    class Method(_Decorated, Generic[P, R_co]):
        """A decorated method with its instance, a class method with its class, or a static method."""

        @property
        def __self__(self) -> Any: ...
        @property
        def __func__(self) -> Any: ...
        @property
        def __wrapped__(self) -> Callable[P, R_co]: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
