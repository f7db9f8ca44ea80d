"""``sizeof`` runs no code of what it measures, and ends whatever that does."""

import collections
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from sys import getsizeof
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.sizes import BIG, Plain, Point, plain

from memo._base.sizes import sizeof


def test_weak_references_are_not_followed() -> None:
    """What is only referred to weakly is not held."""
    value = Plain(data=BIG)
    assert sizeof(weakref.ref(value)) < 1_000
    assert sizeof(weakref.proxy(value)) < 1_000


class Hostile:
    """Everything that can be overridden raises."""

    def __init__(self) -> None:
        object.__setattr__(self, "data", BIG)

    def __sizeof__(self) -> int:
        raise RuntimeError("__sizeof__")

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"__getattribute__ {name}")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"__getattr__ {name}")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("__iter__")

    def __len__(self) -> int:
        raise RuntimeError("__len__")

    def __bool__(self) -> bool:
        raise RuntimeError("__bool__")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("__eq__")

    def __hash__(self) -> int:
        raise RuntimeError("__hash__")

    def __repr__(self) -> str:
        raise RuntimeError("__repr__")


def test_a_hostile_instance_is_measured() -> None:
    """None of its methods decides; the interpreter's figure stands in for its own size."""
    assert getsizeof(BIG) < sizeof([Hostile()]) < getsizeof(BIG) + 1_000


@pytest.mark.parametrize("answer", [-1, 10**40, "text", None, 1.5])
def test_senseless_own_sizes(answer: Any) -> None:
    """An answer that the interpreter refuses is replaced by the interpreter's own."""

    class Odd:
        __slots__ = ()

        def __sizeof__(self) -> int:
            return answer  # type: ignore[no-any-return]

    assert sizeof(Odd()) == object.__sizeof__(Odd())


def test_own_sizes_count() -> None:
    """A class that says what it holds outside the interpreter's sight is believed."""

    class Outside:
        __slots__ = ()

        def __sizeof__(self) -> int:
            return 1_000_000

    assert sizeof((Outside(),)) >= 1_000_000


def test_code_of_container_subclasses_does_not_run() -> None:
    """A subclass is read as the container that it is, not as it shows itself."""

    def refuse(*_: object, **__: object) -> Any:
        raise RuntimeError("user code ran")

    names = ("__iter__", "__len__", "__getitem__", "__getattribute__", "keys", "values", "items", "copy")
    for base, content in ((list, [BIG]), (tuple, [BIG]), (set, [BIG]), (frozenset, [BIG]), (dict, {"k": BIG}),
                          (collections.deque, [BIG]), (collections.OrderedDict, {"k": BIG})):  # fmt: skip
        kind = type("Closed", (base,), {})
        value = kind(content)
        for name in names:
            setattr(kind, name, refuse)
        assert sizeof(value) > getsizeof(BIG), base


def test_descriptors_of_the_class_do_not_run() -> None:
    """Properties, even one that is called ``__dict__``, and lying ``__class__`` are not asked."""

    class Lying:
        __slots__ = ("data",)

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("property ran")

        @property
        def __class__(self) -> Any:
            raise RuntimeError("property ran")

    value = Lying()
    value.data = BIG
    expected = getsizeof(value) + getsizeof(BIG)
    assert sizeof(value) == expected


def test_metaclasses_do_not_run() -> None:
    """A metaclass whose classes cannot be hashed, compared or searched does no harm."""

    class Meta(type):
        def __hash__(cls) -> int:
            raise RuntimeError("metaclass ran")

        def __eq__(cls, other: object) -> bool:
            raise RuntimeError("metaclass ran")

        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(f"metaclass ran for {name}")

        def __instancecheck__(cls, instance: object) -> bool:
            raise RuntimeError("metaclass ran")

        def __subclasscheck__(cls, subclass: type) -> bool:
            raise RuntimeError("metaclass ran")

    class Odd(metaclass=Meta):
        pass

    value = object.__new__(Odd)
    object.__setattr__(value, "data", BIG)
    assert sizeof([value]) > getsizeof(BIG)


def test_mocks_end() -> None:
    """An object that invents attributes, more of them with each size it is asked for, is measured once."""
    assert 0 < sizeof(mock.MagicMock()) < 10_000_000


def test_sizes_are_asked_for_when_all_is_found() -> None:
    """What an object makes while it is asked for its size is not measured any more."""

    class Growing:
        def __init__(self) -> None:
            self.children: list[Any] = []

        def __sizeof__(self) -> int:
            self.children.append(Growing())
            return 1_000

    value = Growing()
    assert sizeof(value) < 3_000
    assert len(value.children) == 1


def test_a_dict_that_never_stands_still() -> None:
    """A dict that never stands still while it is read is measured by what the collector sees."""
    value = {1: BIG, 2: "x" * 10}
    with mock.patch("memo._base.sizes._ATTEMPTS", 0):
        assert sizeof(value) == sum(map(getsizeof, [value, *value, *value.values()]))


def test_other_threads_may_change_the_value() -> None:
    """Containers that grow and shrink while they are measured never make it fail."""
    value: dict[str, Any] = {"dict": {}, "list": [], "set": set(), "deque": collections.deque()}
    stop = threading.Event()
    failures: list[BaseException] = []
    ready = threading.Barrier(3)

    def change(seed: int) -> None:
        try:
            ready.wait(timeout=30)
            count = seed
            while not stop.is_set():
                count += 2
                value["dict"][str(count)] = count
                value["list"].append(count)
                value["set"].add(count)
                value["deque"].append(count)
                if len(value["dict"]) > 300:
                    value["dict"].clear()
                    value["list"].clear()
                    value["set"].clear()
                    value["deque"].clear()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=change, args=(seed,)) for seed in (0, 1)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        ready.wait(timeout=30)
        sizes = [sizeof(value) for _ in range(500)]
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(timeout=30)
    assert not failures
    assert min(sizes) >= getsizeof(value)


def test_nothing_is_kept() -> None:
    """A measured value and its class can be collected at once."""

    class Temporary:
        pass

    value = Temporary()
    value.data = [1, 2, 3]  # type: ignore[attr-defined]
    sizeof([value])
    gone, class_gone = weakref.ref(value), weakref.ref(Temporary)
    del value
    assert gone() is None
    del Temporary
    gc.collect()
    assert class_gone() is None


hashable = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)

nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.lists(inner, max_size=4).map(collections.deque)
        | st.builds(Point, inner, inner)
        | st.dictionaries(st.sampled_from("abc"), inner).map(lambda d: Plain(**d))
    ),
    max_leaves=20,
)


def brute_force(value: Any, seen: set[int]) -> int:
    """The same by recursion, for values made of the kinds above."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    held: list[Any] = []
    if isinstance(value, dict):
        held = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        held = list(value)
    elif isinstance(value, Point):
        held = [value.x, value.y]
    elif isinstance(value, Plain):
        held = [vars(value)]
    return getsizeof(value) + sum(brute_force(item, seen) for item in held)


@settings(deadline=None)
@given(nested)
def test_agrees_with_recursion(value: Any) -> None:
    """Nested values of every kind take what a plain recursion finds."""
    for _ in range(2):  # reading an instance's attributes may create their dict
        expected = brute_force(value, set())
        measured = sizeof(value)
    assert measured == expected


@settings(deadline=None)
@given(nested, nested)
def test_more_takes_more(first: Any, second: Any) -> None:
    """A container takes more than each thing in it, and adding to it never makes it smaller."""
    both = (first, second)
    assert sizeof(both) > max(sizeof(first), sizeof(second))
    assert sizeof(both) >= sizeof((first,))
    assert sizeof(both) <= sizeof((first,)) + sizeof((second,))
    assert sizeof((first, first)) == sizeof((first,)) + getsizeof((1, 2)) - getsizeof((1,))
