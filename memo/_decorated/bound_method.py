"""Bound methods of decorated functions."""

import copy
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from memo._decorated.handles import SHOWN, Handles
from memo._decorated.stack import ADDED, find_below, find_one
from memo._native import speed

if TYPE_CHECKING:
    _Method = object
else:
    _Method = object if speed is None else speed.Method

__all__ = ("Bound",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Bound(Handles[P, R_co], _Method):
    """A decorated method with its instance, or a class method with its class.

    To everyone who looks, a bound method.  One is made at each ``obj.f``, so it is as little as can still carry
    the handles: two references.  Where the path in C is there, it has these, and calls the function through C alone;
    else each decorated function has a subclass of its own, whose ``__call__`` is its generated wrapper.
    """

    __slots__ = ("__func__", "__self__", "__weakref__") if speed is None else ()

    if TYPE_CHECKING:

        def __init__(self, func: Any, instance: Any, /) -> None: ...
        @property
        def __self__(self) -> Any: ...
        @property
        def __func__(self) -> Any: ...
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    else:

        def __init__(self, function, instance, /):  # as of a types.MethodType, which weakref.WeakMethod counts on
            self.__func__ = function
            self.__self__ = instance

        def __init_subclass__(cls):
            pass  # not what Generic does there, for each decorated method

        @property
        def __class__(self):
            return types.MethodType

        @property
        def __annotations__(self):
            return self.__func__.__annotations__

        @property
        def __doc__(self):
            return self.__func__.__doc__

        @property
        def __module__(self):
            return self.__func__.__module__

        @property
        def __dict__(self):
            return self.__func__.__dict__

        def __getattr__(self, name):
            if name in ADDED:
                return find_below(self.__func__, name)
            if name == "one" and (one := find_one(*self._place())) is not None:
                return one
            return getattr(self.__func__, name)

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        owner = self.__self__
        return self.__func__.__wrapped__.__get__(owner, type(owner))  # type: ignore[no-any-return]

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        return self.__func__, (self.__self__,)

    def __get__(self, obj: object, owner: object = None, /) -> Self:
        return self  # bound once and for all

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, types.MethodType):
            return NotImplemented
        return self.__self__ is other.__self__ and bool(self.__func__ == other.__func__)

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"

    def __dir__(self) -> list[str]:
        function = self.__func__
        added = (name for name in (*SHOWN, "one", "__wrapped__") if name in dir(function))
        return sorted({*dir(types.MethodType), *vars(function), *added})

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self.__func__, copy.deepcopy(self.__self__, memo))

    def __reduce__(self) -> Any:
        function: Any = self.__func__
        return getattr, (self.__self__, function.__name__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


if speed is not None:
    speed.know(Bound=Bound)
    speed.enable(Bound, False)

_METHOD: Any = Bound
_METHOD.__name__ = _METHOD.__qualname__ = "method"  # for reprs, messages and help()
