"""What tools look at, in every placement: loaded by test_seen_by_tools.py with and without a decorator of ours."""

import abc
import functools
from collections.abc import Callable
from typing import Any

decorate: Callable[[Any], Any] = globals()["decorate"]  # put there by whoever loads this module


# A comment on f.
@decorate
def f(x: int, /, y: str = "a", *args: Any, k: int = 1, **kw: Any) -> str:
    """Say x.

    >>> f(1)
    '1a'
    """
    return f"{x}{y}"


@decorate
async def wait(x: int = 1) -> int:
    """Wait.

    >>> wait.__name__
    'wait'
    """
    return x


def outer() -> Any:
    """Make a closure."""

    @decorate
    def inner(a: int = 1) -> int:
        """Say a."""
        return a

    return inner


inner = outer()


class C:
    """A class of everything."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.n == other.n  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return 1

    @decorate
    def m(self, a: int, b: int = 2) -> int:
        """Add.

        >>> C().m(1)
        3
        """
        return a + b

    @decorate
    async def am(self, a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    @decorate
    @staticmethod
    def s_below(a: int, b: int = 2) -> int:
        """Add.

        >>> C.s_below(1)
        3
        """
        return a + b

    @staticmethod
    @decorate
    def s_above(a: int, b: int = 2) -> int:
        """Add.

        >>> C.s_above(1)
        3
        """
        return a + b

    @decorate
    @staticmethod
    async def as_below(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    @decorate
    @classmethod
    def c_below(cls, a: int, b: int = 2) -> int:
        """Add.

        >>> C.c_below(1)
        3
        """
        return a + b

    @classmethod
    @decorate
    def c_above(cls, a: int, b: int = 2) -> int:
        """Add.

        >>> C.c_above(1)
        3
        """
        return a + b

    @decorate
    @property
    def p_below(self) -> int:
        """Three.

        >>> C().p_below
        3
        """
        return 3

    @property
    @decorate
    def p_above(self) -> int:
        """Three.

        >>> C().p_above
        3
        """
        return 3

    @decorate
    def __call__(self, z: int) -> int:
        return z


class D(C):
    """Overrides one method with an undecorated one, and one with a decorated one."""

    def m(self, a: int, b: int = 2) -> int:
        return a

    @decorate
    def c_below(self, a: int, b: int = 2) -> int:
        return a


class A(abc.ABC):
    """Abstract in every placement."""

    @decorate
    @abc.abstractmethod
    def a_below(self) -> None: ...

    @abc.abstractmethod
    @decorate
    def a_above(self) -> None: ...

    @decorate
    @property
    @abc.abstractmethod
    def ap_below(self) -> None: ...

    @property
    @decorate
    @abc.abstractmethod
    def ap_above(self) -> None: ...

    @decorate
    @classmethod
    @abc.abstractmethod
    def ac_below(cls) -> None: ...

    @decorate
    @staticmethod
    @abc.abstractmethod
    def as_below() -> None: ...


class Caller:
    """An object that can be called, measured and entered."""

    def __call__(self, a: int, b: int = 2) -> int:
        return a + b

    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> int:
        return place

    def __enter__(self) -> str:
        return "entered"

    def __exit__(self, *exception: object) -> None:
        pass


partial = decorate(functools.partial(C.m, C(), 1))
caller = decorate(Caller())
builtin = decorate(len)
method = decorate(C().m)


class Holder:
    """Refers to what is no function, which is then not bound."""

    partial = partial
    caller = caller
    builtin = builtin
    method = method
