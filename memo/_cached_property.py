"""``@cached_property``: what ``functools.cached_property`` is, computed once however many ask at the same time."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from memo._base import NO_TAGS, attribute, generates, is_awaited, refuser, short_text
from memo._call import KeyOptions
from memo._decorated import Layer, Placement
from memo._dedupe_inflight import InflightLayer
from memo._flight import InflightHandle, WorkOptions
from memo._registry import Record

__all__ = ("cached_property",)

T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")

_ABSENT = object()


class cached_property(functools.cached_property[T_co]):  # noqa: N801  # as that is called
    """A property computed once for each instance, like that of ``functools``.

    A drop-in for ``functools.cached_property``, and a subclass of it.

    The value stands in the instance's ``__dict__`` under the property's name,
    as there: it lives as long as the instance, so nothing needs to bound it; to
    read it again costs nothing; ``del obj.attr`` has it computed anew, and
    ``obj.attr = value`` sets it.  ``C.attr`` is the property.

    Beyond that, threads that ask for the same attribute of the same instance at
    the same time share one computation (``functools`` computes in each of them;
    before Python 3.12 it kept all instances waiting for one), as
    ``@dedupe_inflight`` does, without a timeout: those who waited get the same
    value, or a copy of the error, and the next to ask begins anew.  A
    computation that asks for the attribute itself, two that wait for each
    other, and a thread that runs an event loop run straight through.  What was
    set while it was computed stays, and is the answer.

    Of a coroutine function, ``await obj.attr`` gives the value, as often as
    wanted: the attribute is an awaitable, no coroutine (``asyncio.gather()``
    takes it, ``create_task()`` does not).  Tasks share one computation, which
    is cancelled when the last one leaves.

    Computations are listed in ``memo.registry`` under the property's name, and
    in ``C.attr.inflight``: how many there were, how many joined one, what runs.
    Values are not listed: they are in their instances.

    Args:
        func: Computes the value, given the instance.

    Raises:
        TypeError: At decoration: func cannot be called, or is a generator
            function.  As the class is made:
            it has two names (RuntimeError before Python 3.12).  As it is read:
            the instance has no ``__dict__`` that takes values, or the property
            was never told its name.
    """

    __module__ = "memo"

    @overload
    def __init__(self: cached_property[Awaitable[V]], func: Callable[[Any], Coroutine[Any, Any, V]]) -> None: ...
    @overload
    def __init__(self, func: Callable[[Any], T_co]) -> None: ...
    def __init__(self, func: Callable[[Any], Any]) -> None:
        if not callable(func):
            raise TypeError(
                f"cached_property: {short_text(func)} cannot be called; decorate a function of the instance."
            )
        if generates(func):  # the calls of which would draw from one generator, whoever asks for the attribute
            raise TypeError(
                f"cached_property: {getattr(func, '__qualname__', None) or short_text(func)} is a generator function, "
                f"whose result can be used only once; return a list instead."
            )
        super().__init__(func)
        self.__module__ = func.__module__
        self._is_awaited: bool = is_awaited(func)
        compute = _awaited(func) if self._is_awaited else _called(func)
        self._shared: Any = _shared(compute, func)

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> cached_property[T_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T_co: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        name = self.attrname
        if name is None:
            raise TypeError("Cannot use cached_property instance without calling __set_name__ on it.")
        try:
            values = instance.__dict__
        except AttributeError:
            raise TypeError(
                f"No '__dict__' attribute on {type(instance).__name__!r} instance to cache {name!r} property."
            ) from None
        value = values.get(name, _ABSENT)
        if value is not _ABSENT:
            return value
        if self._is_awaited:
            return _Later(functools.partial(self._shared, instance, name))
        return self._shared(instance, name)

    if not TYPE_CHECKING:

        @property
        def __class__(self):  # pydantic knows what is no field by the module of this
            return functools.cached_property

    @property
    def inflight(self) -> InflightHandle[[Any], Any]:
        """The running computations; its methods take the instance."""
        return self._shared.inflight  # type: ignore[no-any-return]

    @property
    def __memo_record__(self) -> Record | None:
        return self._shared.__memo_record__  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        state = {name: value for name, value in vars(self).items() if name not in ("lock", "_shared")}
        return type(self), (self.func,), state


class _Layer(InflightLayer):
    """Running computations of one property."""

    where = "cached_property"


def _shared(compute: Callable[..., Any], func: Callable[[Any], Any]) -> Any:
    """*compute*, shared by its calls for one instance, and listed under the name of *func*."""
    for shown in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(compute, shown, getattr(func, shown, None) or getattr(compute, shown))
    return Placement("cached_property", _make, None, None)(compute)


def _make(compute: Callable[..., Any], takes_instance: bool | None) -> Layer:
    # by its address, which nothing else has while it is computed for: it need be neither hashed nor weakly referenced
    keys = KeyOptions(_address, frozenset(), False)
    return _Layer(compute, None, keys, None, False, NO_TAGS, refuser("cached_property", "share"), WorkOptions())


def _address(instance: Any, name: str) -> int:
    return id(instance)


# A value is looked for and stored while the call runs: whoever comes after it finds the value.


def _called(func: Callable[[Any], Any]) -> Callable[..., Any]:
    def compute(instance: Any, name: str = "") -> Any:
        values = instance.__dict__
        found = values.get(name, _ABSENT)
        return _kept(instance, name, func(instance), func) if found is _ABSENT else found

    return compute


def _awaited(func: Callable[[Any], Any]) -> Callable[..., Any]:
    async def compute(instance: Any, name: str = "") -> Any:
        found = instance.__dict__.get(name, _ABSENT)
        if found is _ABSENT:
            found = _kept(instance, name, _Known(await func(instance)), func)
        return found.value if type(found) is _Known else found

    return compute


def _kept(instance: Any, name: str, value: Any, func: Callable[[Any], Any]) -> Any:
    """*value*, which *func* computed, put into the instance, unless there is one by now: then that.

    Of what a class and those that it inherits from have under one name, the first without ``__set__`` is what a value
    in the instance stands for.  What another one computes, for ``super()``, is answered and not put there; and what is
    there by now may be what an inherited one of somebody else's put there, while the first one asked it.  One that lies
    in a descriptor of somebody else's is in no class by itself, and its value is put there.
    """
    named = [vars(base)[name] for base in type(instance).__mro__ if name in vars(base)]
    first, *inherited = [one for one in named if not hasattr(type(one), "__set__")] or [None]
    if attribute(first, "func") is not func and any(attribute(one, "func") is func for one in inherited):
        return value
    values = instance.__dict__
    found = values.get(name, _ABSENT)
    if found is not _ABSENT and not any(map(_may_put, inherited)):
        return found
    try:
        values[name] = value
    except TypeError:
        raise TypeError(
            f"The '__dict__' attribute on {type(instance).__name__!r} instance does not support item assignment for "
            f"caching {name!r} property."
        ) from None
    return value


def _may_put(one: Any) -> bool:
    """Whether *one*, found in a class, may put values into instances, and is not ours."""
    return hasattr(type(one), "__get__") and not isinstance(one, cached_property)


class _Known(Generic[V]):
    """A value that was awaited, for whoever awaits it again.  Pickled instances hold it, so it keeps name and place."""

    __slots__ = ("value",)

    def __init__(self, value: V) -> None:
        self.value: V = value

    def __await__(self) -> Generator[Any, None, V]:
        return self.value
        yield  # which makes it a generator

    def __repr__(self) -> str:
        return f"<awaitable of {short_text(self.value)}>"


class _Later(Generic[V]):
    """A value that is computed when it is awaited; each time it joins what runs, or finds what is there."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, V]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, None, V]:
        return self._begin().__await__()

    def __repr__(self) -> str:
        return "<awaitable, not awaited yet>"
