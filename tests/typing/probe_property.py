"""Decorators above and below a property: mypy takes none above one, from nobody; checked, never run.

pyrefly takes nothing but a function for a property's, and so needs the plain property in front.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=false

from typing import assert_type

from memo import bounded, dedupe_inflight, sliding_window


class WithProperty:
    """The value's type stays in both orders, whatever is said of the decorator, and so does the setter's."""

    @bounded(max=3)  # type: ignore[prop-decorator]
    @property
    def outer(self) -> int:
        return 1

    @dedupe_inflight  # type: ignore[prop-decorator]
    @property
    def outer_bare(self) -> int:
        return 1

    @sliding_window("1h")  # type: ignore[prop-decorator]
    @property
    def outer_set(self) -> int:
        return 1

    @outer_set.setter
    def outer_set(self, value: int) -> None: ...

    @property
    @bounded(max=3)
    @dedupe_inflight
    def inner(self) -> int:
        return 1

    @property
    @sliding_window("1h")
    def inner_set(self) -> int:
        return 1

    @inner_set.setter
    def inner_set(self, value: int) -> None: ...

    @bounded(max=3)
    def value(self) -> int:
        return 1

    @property
    def in_front(self) -> int:
        return self.value()


def properties(one: WithProperty) -> None:
    assert_type(one.outer, int)
    assert_type(one.outer_bare, int)
    assert_type(one.outer_set, int)
    assert_type(one.inner, int)
    assert_type(one.inner_set, int)
    assert_type(one.in_front, int)
    one.outer_set = one.inner_set = 2
    one.outer_set = "no"  # type: ignore[assignment]
    one.inner_set = "no"  # type: ignore[assignment]
    one.inner = 2  # type: ignore[misc]
