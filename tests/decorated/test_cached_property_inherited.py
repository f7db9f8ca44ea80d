"""A ``cached_property`` that overrides another one, and asks it by ``super()``: each class has the value of its own."""

import asyncio
import functools
from typing import Any

import pytest

from memo import cached_property

KINDS: dict[str, Any] = {"memo": cached_property, "functools": functools.cached_property}


def chain(first: Any, *others: Any) -> list[Any]:
    """Classes, each of which inherits the one before it and adds to its value; with what they computed, in order."""

    class Base:
        computed: list[str]

        def __init__(self) -> None:
            self.computed = []

        @first
        def value(self) -> int:
            self.computed.append("Base")
            return 1

    classes: list[Any] = [Base]
    for property_ in others:

        def value(self: Any, *, place: int = len(classes)) -> int:
            self.computed.append(f"Heir{place}")
            inherited: int = super(classes[place], self).value
            return inherited + 10**place

        wrapped = property_(value)
        heir = type(f"Heir{len(classes)}", (classes[-1],), {"value": wrapped})
        classes.append(heir)
    return classes


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("third", KINDS)
def test_the_first_of_several_is_kept(first: str, second: str, third: str) -> None:
    """Whichever of them are ours, each class has the sum of its line, computed once, in its instances."""
    for place, kind in enumerate(chain(KINDS[first], KINDS[second], KINDS[third])):
        instance = kind()
        assert [instance.value, instance.value] == [(1, 11, 111)[place]] * 2
        assert vars(instance)["value"] == instance.value
        assert len(instance.computed) == place + 1


def test_what_super_computed_does_not_stand_for_the_heir() -> None:
    """A method that asks the inherited property first leaves nothing that the overriding one would be taken for."""

    class Base:
        @cached_property
        def value(self) -> int:
            return 1

    class Heir(Base):
        @cached_property
        def value(self) -> int:
            return 2

        def inherited(self) -> int:
            return super().value

    heir = Heir()
    assert [heir.inherited(), heir.value] == [1, 2]


def test_what_a_property_overrides_is_computed_once() -> None:
    """A plain property above it is asked whatever stands in the instance, so the inherited value is kept there."""
    computed: list[int] = []

    class Base:
        @cached_property
        def value(self) -> int:
            computed.append(1)
            return 1

    class Heir(Base):
        @property
        def value(self) -> int:  # type: ignore[override]
            return super().value + 1

    heir = Heir()
    assert [heir.value, heir.value, computed] == [2, 2, [1]]


def test_a_property_above_two_of_them_reaches_the_first() -> None:
    """Where a plain property asks a pair of them, the value of the first one is kept, and computed once."""

    class Base:
        @cached_property
        def value(self) -> int:
            return 1

    class Heir(Base):
        runs = 0

        @cached_property
        def value(self) -> int:
            self.runs += 1
            return super().value + 10

    class Last(Heir):
        @property
        def value(self) -> int:  # type: ignore[override]
            return super().value + 100

    last = Last()
    assert [last.value, last.value, last.runs, vars(last)["value"]] == [111, 111, 1, 11]


def test_what_was_set_meanwhile_stays_where_one_of_ours_is_inherited() -> None:
    """What an inherited one computes is not put into the instance, so what is there was set, and is the answer."""

    class Base:
        @cached_property
        def value(self) -> int:
            return 1

    class Heir(Base):
        @cached_property
        def value(self) -> int:
            self.value = 5  # pyright: ignore[reportAttributeAccessIssue]
            return super().value + 10

    heir = Heir()
    assert [heir.value, heir.value] == [5, 5]


def test_what_was_set_meanwhile_stays_where_a_constant_is_inherited() -> None:
    """A constant of that name puts nothing into instances, so what is there was set, and is the answer."""

    class Base:
        value: Any = 0

    class Heir(Base):
        @cached_property
        def value(self) -> int:
            self.value = 5
            return 1

    heir = Heir()
    assert [heir.value, heir.value] == [5, 5]


def test_coroutine_functions_ask_what_they_override() -> None:
    """Of coroutine functions ``await super().value`` is the inherited value, and each await of its own the sum."""

    class Base:
        @cached_property
        async def value(self) -> int:
            return 1

    class Heir(Base):
        @cached_property
        async def value(self) -> int:
            return await super().value + 10

    class Last(Heir):
        @cached_property
        async def value(self) -> int:
            return await super().value + 100

    async def main() -> None:
        for instance, total in ((Base(), 1), (Heir(), 11), (Last(), 111)):
            several = await asyncio.gather(instance.value, instance.value)
            assert [*several, await instance.value] == [total] * 3

    asyncio.run(main())


class Around:
    """A descriptor of somebody else's, around another one."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __set_name__(self, owner: type, name: str) -> None:
        self.inner.__set_name__(owner, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.inner.__get__(instance, owner)


def test_one_within_another_descriptor_is_computed_once() -> None:
    """It is in no class by itself; its value is kept in the instance as that of any other is."""

    class Base:
        runs = 0

        @Around
        @cached_property
        def value(self) -> int:
            self.runs += 1
            return 7

    base = Base()
    assert [base.value, base.value, base.runs, vars(base)["value"]] == [7, 7, 1, 7]


def test_what_was_set_meanwhile_stays_within_another_descriptor() -> None:
    """Nothing that is inherited has put it there."""

    class Base:
        @Around
        @cached_property
        def value(self) -> int:
            vars(self)["value"] = 5
            return 7

    base = Base()
    assert [base.value, base.value] == [5, 5]
