"""Handles of a class method that cannot know which class they were reached through.

From Python 3.13 on, ``classmethod`` binds what it wraps without asking it; before that, what cannot be bound.
``C.load.cache``, where ``@classmethod`` stands above ``@bounded``, then arrives at the function without the class.
What drops something acts on every class; what answers or stores for one class is refused.  So no method that takes
the arguments of a call is inherited here: it would take the first of them for the class.
"""

from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar

from memo._cache import CacheHandle
from memo._flight import InflightHandle

__all__ = ("CacheOfEveryClass", "InflightOfEveryClass", "OneOfEveryClass", "refuse")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


def refuse(name: str, what: str, decorator: str = "@bounded") -> NoReturn:
    """Refuse what is about one class."""
    raise TypeError(
        f"{name}: {what} is about one class, and @classmethod above {decorator} does not say which; "
        f"write {decorator} above @classmethod."
    )


class CacheOfEveryClass(CacheHandle[P, R_co, Any]):
    """The store of a class method, reached through any class.

    Args:
        handle: That of the function as a whole.
        each: Gives those of the classes that it was called on.
    """

    __slots__ = ("_each", "_whole")

    def __init__(self, handle: CacheHandle[P, R_co, Any], each: Callable[[], list[CacheHandle[P, R_co, Any]]]) -> None:
        super().__init__(handle._answers, handle._answer, handle._generated, handle._name, handle._fence_others)
        self._whole = handle
        self._each = each

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the entry of a call, of every class; whether there was one of any."""
        dropped = [handle.invalidate(*args, **kwargs) for handle in self._each()]
        return any(dropped)

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """Its running loads."""
        return InflightOfEveryClass(self._whole.inflight, lambda: [handle.inflight for handle in self._each()])

    def _refuse(self, what: str) -> NoReturn:
        refuse(self._name(), what, f"@{self._generated.shape.where}")

    def call(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.call()")

    def fresh(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.fresh()")

    def within(self, span: Any = None, /, *, max_age: Any = None, default: Any = None) -> NoReturn:
        """Refused."""
        self._refuse("cache.within()")

    def lease(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.lease()")

    def refresh(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.refresh()")

    def put(self, value: Any, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.put()")

    def put_many(self, results: Any, /) -> NoReturn:
        """Refused."""
        self._refuse("cache.put_many()")

    def entry(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        self._refuse("cache.entry()")

    def __contains__(self, call: object) -> bool:
        self._refuse("'in' its cache")


class InflightOfEveryClass(InflightHandle[P, R_co]):
    """The running calls of a class method, reached through any class.

    Args:
        handle: That of the function as a whole.
        each: Gives those of the classes that it was called on.
    """

    __slots__ = ("_each",)

    def __init__(self, handle: InflightHandle[P, R_co], each: Callable[[], list[InflightHandle[P, R_co]]]) -> None:
        super().__init__(handle._flights, handle._generated, handle._name, handle._fence_others)
        self._each = each

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Detach a running call, of every class; whether there was one of any."""
        detached = [handle.forget(*args, **kwargs) for handle in self._each()]
        return any(detached)


class OneOfEveryClass(Generic[P, R_co]):
    """The function of one key of a class method of many keys, reached through any class.

    A call is refused: with the class missing, its first argument would be taken for that.

    Args:
        one: That function, whose calls need the class.
        many: The class method, as it is reached through any class.
    """

    __slots__ = ("_many", "_one")

    def __init__(self, one: Any, many: Any) -> None:
        self._one = one
        self._many = many

    @property
    def cache(self) -> CacheHandle[P, R_co, Any]:
        """Its results, which are those of the class method."""
        return self._many.cache  # type: ignore[no-any-return]

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """Its running loads, which are those of the class method."""
        return self._many.inflight  # type: ignore[no-any-return]

    def __call__(self, /, *args: Any, **kwargs: Any) -> NoReturn:
        refuse(self._many.cache._name(), "one()", "@bounded_many")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._one, name)

    def __reduce__(self) -> Any:
        return getattr, (self._many, "one")

    def __repr__(self) -> str:
        return repr(self._one)
