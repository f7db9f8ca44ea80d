"""A property below a decorator that is set or deleted drops what is stored."""

import asyncio
import threading
from typing import Any

import pytest

from memo import EvictionReason, bounded, dedupe_inflight, sliding_window

DECORATORS: dict[str, Any] = {
    "bounded": bounded(max=8),
    "lru": bounded(max=8, policy="lru", ttl="1h"),
    "bytes": bounded(max_bytes="1MB", idle="1h"),
    "stale": bounded(max=8, ttl="1h", stale_while_revalidate="1h"),
    "stack": lambda f: bounded(max=8)(dedupe_inflight(sliding_window("1h")(f))),
    "twice": lambda f: bounded(max=8)(bounded(max=8)(f)),
}
over = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


def make_class(decorate: Any) -> Any:
    class Box:
        def __init__(self, value: int) -> None:
            self.value = value

        @decorate
        @property
        def double(self) -> list[int]:
            return [2 * self.value]

        @double.setter
        def double(self, value: int) -> None:
            self.value = value // 2
            if value % 2:
                raise ValueError("odd")

        @double.deleter
        def double(self) -> None:
            self.value = 0

    return Box


@over
def test_the_value_goes_when_the_property_is_set_or_deleted(decorate: Any) -> None:
    """That of this instance alone."""
    box_class = make_class(decorate)
    box, other = box_class(1), box_class(7)
    kept = other.double
    assert box.double == [2]
    box.double = 6
    assert box.double == [6]
    assert box.double is box.double
    del box.double
    assert box.double == [0]
    assert other.double is kept


@over
def test_the_value_goes_also_when_the_setter_fails(decorate: Any) -> None:
    """It may have got half-way."""
    box = make_class(decorate)(1)
    assert box.double == [2]
    with pytest.raises(ValueError, match="odd"):
        box.double = 9
    assert box.double == [8]


@over
def test_setting_before_anything_was_stored(decorate: Any) -> None:
    """There is nothing to drop."""
    box = make_class(decorate)(1)
    box.double = 4
    assert box.double == [4]


def test_a_property_without_a_setter_keeps_its_value() -> None:
    """The refused assignment changes nothing."""

    class Box:
        @bounded(max=8)
        @property
        def value(self) -> list[int]:
            return [1]

    box: Any = Box()
    value = box.value
    with pytest.raises(AttributeError):
        box.value = 2
    with pytest.raises(AttributeError):
        del box.value
    assert box.value is value


@pytest.mark.parametrize("options", [{}, {"key": lambda self: self.name}])
def test_shared_values(options: Any) -> None:
    """Where instances share an entry, that entry goes; also before the instance has what ``key=`` asks for."""

    class Box:
        size = 1

        def __init__(self, name: str) -> None:
            self.value = 1
            self.name = name

        @bounded(max=8, ignore=("self",), **options)
        @property
        def value(self) -> list[int]:
            return [Box.size]

        @value.setter
        def value(self, size: int) -> None:
            Box.size = size

    one, other = Box("a"), Box("a")
    assert one.value == [1]
    other.value = 2
    assert other.value == [2]
    assert one.value == [2]


def test_it_is_told() -> None:
    """``on_evict`` hears of it."""
    told: list[Any] = []

    class Box:
        size = 1

        @bounded(max=8, on_evict=lambda *event: told.append(event))
        @property
        def value(self) -> int:
            return self.size

        @value.setter
        def value(self, size: int) -> None:
            self.size = size

    box = Box()
    assert box.value == 1
    box.value = 2
    assert told == [((), 1, EvictionReason.CLEARED)]


@over
def test_what_the_setter_puts_stays(decorate: Any) -> None:
    """It is not loaded again."""

    class Box:
        @decorate
        @property
        def value(self) -> int:
            raise NotImplementedError

        @value.setter
        def value(self, value: int) -> None:
            type(self).value.cache.put(value, self)  # type: ignore[attr-defined]

    box = Box()
    box.value = 1
    box.value = 2
    assert box.value == 2


def test_a_load_that_is_running_is_not_stored() -> None:
    """What was read before the property was set is given to those who asked before, and to nobody else."""
    entered, go_on = threading.Event(), threading.Event()

    class Box:
        size = 1

        @bounded(max=8)
        @property
        def value(self) -> int:
            size = self.size
            if size == 1:
                entered.set()
                assert go_on.wait(60)
            return size

        @value.setter
        def value(self, size: int) -> None:
            self.size = size

    box = Box()
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(box.value))
    thread.start()
    assert entered.wait(60)
    box.value = 2
    go_on.set()
    thread.join(60)
    assert seen == [1]
    assert box.value == 2


def test_a_load_that_begins_while_the_setter_runs_is_not_stored() -> None:
    """It may have read the old state."""

    class Box:
        size = 1

        @bounded(max=8)
        @property
        def value(self) -> int:
            return self.size

        @value.setter
        def value(self, size: int) -> None:
            assert self.value == 1
            self.size = size

    box = Box()
    box.value = 2
    assert box.value == 2


def test_a_setter_of_a_subclass_and_a_coroutine_getter() -> None:
    """Both drop the value of the getter that they share."""

    class Box:
        size = 1

        @bounded(max=8)
        @property
        async def value(self) -> list[int]:
            return [self.size]

        @value.setter
        def value(self, size: int) -> None:
            self.size = size

    class Other(Box):
        @Box.value.setter  # type: ignore[attr-defined]
        def value(self, size: int) -> None:
            self.size = 10 * size

    async def values() -> list[list[int]]:
        box: Any = Box()
        other: Any = Other()
        await box.value
        await other.value
        box.value = other.value = 2
        return [await box.value, await other.value]

    assert asyncio.run(values()) == [[2], [20]]
