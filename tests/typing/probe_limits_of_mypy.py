"""What mypy does not see of decorated functions; each ignore is reported by mypy once it is needed no more."""

# pyright: reportUnnecessaryTypeIgnoreComment=false

from collections.abc import Callable
from typing import ParamSpec, Self, TypeVar, assert_type

from memo import bounded

P = ParamSpec("P")
T = TypeVar("T")


class Base:
    """Methods with type variables of their own; ``Self`` counts where it is a parameter too."""

    @bounded(max=3)
    def generic(self, x: T) -> list[T]:
        return [x]

    @classmethod
    @bounded(max=3)
    def generic_made(cls, x: T) -> list[T]:
        return [x]

    @bounded(max=3)
    def merged(self, other: Self) -> Self:
        return other

    @bounded(max=3)
    def several(self, x: int) -> list[Self]:
        return [self]

    def in_front(self, x: T) -> list[T]:
        """What to write: a plain method."""
        return self.generic(x)  # type: ignore[arg-type]


class Sub(Base):
    """A subclass."""


def generic_method(sub: Sub) -> None:
    sub.generic(1)  # type: ignore[arg-type]


def generic_class_method() -> None:
    Sub.generic_made(1)  # type: ignore[arg-type]


def another_of_the_same(sub: Sub) -> None:
    sub.merged(sub)  # type: ignore[arg-type]


def seen_through_the_class(sub: Sub) -> None:
    Sub.generic(sub, 1)
    Sub.several(sub, 1)  # type: ignore[call-arg, arg-type]


def plain_method(sub: Sub) -> None:
    assert_type(sub.in_front(1), list[int])


@bounded(max=3)  # type: ignore[arg-type]
def called(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)
