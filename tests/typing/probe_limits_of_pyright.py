"""What pyright does not take from any decorator that returns an object, and what to write; checked, never run.

Where a method is overridden, pyright takes functions and ``Any``, and reports all else, whatever it does when called or
bound.  Where a Protocol is asked for, it compares the object in the class, bound to nothing, with the method.  Each
ignore here is reported once it is needed no more.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, assert_type

from memo import bounded

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Fetches(Protocol):
    """What has such a method."""

    def fetch(self, x: int) -> str: ...


class Fetching(ABC):
    """What is to be implemented."""

    @abstractmethod
    def fetch(self, x: int) -> str: ...


class Interface(Fetching):
    """What is to be implemented, of every kind."""

    @classmethod
    @abstractmethod
    def make(cls, x: int) -> str: ...

    @staticmethod
    @abstractmethod
    def static(x: int) -> str: ...

    @property
    @abstractmethod
    def text(self) -> str: ...


class Descriptor(Generic[P, R_co]):
    """As little as a decorator can return: what is called like the function, and what a function it becomes."""

    def __init__(self, function: Callable[P, R_co]) -> None: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        raise NotImplementedError

    def __get__(self, obj: object, owner: type[Any] | None = None, /) -> Callable[..., R_co]:
        raise NotImplementedError


class Bounded(Interface):
    """Decorated by this package: a property is one to pyright, the rest is reported."""

    @bounded(max=3)
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""

    @classmethod
    @bounded(max=3)
    def make(cls, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""

    @staticmethod
    @bounded(max=3)
    def static(x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""

    @property
    @bounded(max=3)
    def text(self) -> str:
        return ""


class Again(Bounded):
    """A decorated method over a decorated one: their first parameters are of different classes."""

    @bounded(max=3)
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return super().fetch(x)


class OfFunctools(Fetching):
    """Decorated by the standard library, and reported alike."""

    @functools.cache  # noqa: B019
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""


class OfDescriptor(Fetching):
    """Decorated by the least there is, and reported alike."""

    @Descriptor
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""


class InFront(Fetching):
    """What needs no ignore: a plain method in front of the decorated one."""

    def fetch(self, x: int) -> str:
        return self.fetched(x)

    @bounded(max=3)
    def fetched(self, x: int) -> str:
        return ""


class Declared(Fetches):
    """What needs no more than one: the Protocol is inherited."""

    @bounded(max=3)
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""


class Unrelated:
    """It has the method, and does not say so."""

    @bounded(max=3)
    def fetch(self, x: int) -> str:
        return ""


class UnrelatedDescriptor:
    """The same, by the least there is."""

    @Descriptor
    def fetch(self, x: int) -> str:
        return ""


def wanted(fetcher: Fetches) -> None:
    wanted(InFront())
    wanted(Declared())
    wanted(Unrelated())  # pyright: ignore[reportArgumentType]
    wanted(UnrelatedDescriptor())  # pyright: ignore[reportArgumentType]


def handles(bound: Bounded, declared: Declared, front: InFront) -> None:
    assert_type(bound.fetch(1), str)
    assert_type(bound.text, str)
    assert_type(declared.fetch.cache.invalidate(1), bool)
    assert_type(front.fetched.cache.invalidate(1), bool)
