"""A decorator above a property, which mypy takes from nobody, and pyright does; checked by both, never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=false

from typing import assert_type

from memo import bounded


class WithProperty:
    """The value's type stays, whatever is said of the decorator."""

    @bounded(max=3)  # type: ignore[prop-decorator]
    @property
    def outer(self) -> int:
        return 1


def properties(one: WithProperty) -> None:
    assert_type(one.outer, int)
