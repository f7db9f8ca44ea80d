"""Instances as parts of keys: none is kept alive, none sees another's results; properties."""

import asyncio
import copy
import functools
import gc
import inspect
import weakref
from typing import Any

import pytest
from kit.placed import Build, Decorate, Log, finished
from kit.placed_methods import (
    on_frozen_dataclass_with_slots,
    on_named_tuple,
    on_override,
    on_slots_without_weakref,
)
from kit.placements import (
    METHODS,
    STACKS,
    on_stack,
    over,
    placed,
    plain,
)

from memo import EvictionReason, bounded, registry

pytestmark = pytest.mark.usefixtures("_nothing_left_running")


HELD_BY_KEY = (on_slots_without_weakref, on_frozen_dataclass_with_slots, on_named_tuple)

WEAKLY_HELD = tuple(build for build in METHODS if build not in HELD_BY_KEY)


@over(*METHODS)
def test_nothing_is_written_into_an_instance(build: Build) -> None:
    """Calls and an invalidation leave the instance's attributes as they were."""
    fetch = placed(build)
    instance = fetch.instance
    before = dict(getattr(instance, "__dict__", {}))
    fetch("a")
    fetch("a")
    fetch.get().cache.invalidate("a")
    assert getattr(instance, "__dict__", {}) == before


@over(*(build for build in METHODS if build not in HELD_BY_KEY))
def test_copies_of_an_instance_have_entries_of_their_own(build: Build) -> None:
    """A copy and a deep copy load for themselves, and the instance keeps its entry."""
    fetch = placed(build)
    first = fetch("a")
    for duplicate in (copy.copy(fetch.instance), copy.deepcopy(fetch.instance)):
        assert type(duplicate) is type(fetch.instance)
        assert finished(duplicate.fetch("a")) is not first
        assert finished(duplicate.fetch("a")) == first
    assert fetch("a") is first
    assert len(fetch.calls) == 3


@over(*WEAKLY_HELD, *STACKS)
def test_an_instance_is_not_kept_alive_and_its_entries_go_with_it(build: Build) -> None:
    """A dropped instance is freed, and its entries leave as COLLECTED."""
    gone: list[Any] = []
    fetch = placed(build, on_evict=lambda key, value, reason: gone.append((key, value, reason)))
    value = fetch("a")
    fetch("a")
    owner = fetch.owner
    fetch.calls.error = ValueError("no")
    with pytest.raises(ValueError, match=r"^no$"):
        fetch("b")
    fetch.calls.error = None  # its traceback holds the instance
    assert len(owner.fetch.cache) == 1
    alive = weakref.ref(fetch.instance)
    fetch.get = fetch.instance = None  # type: ignore[assignment]
    gc.collect()
    assert alive() is None
    assert len(owner.fetch.cache) == 0
    assert gone == [(("a", "en"), value, EvictionReason.COLLECTED)] * (2 if build in (on_override, on_stack) else 1)
    assert owner.fetch.cache.stats().evictions[EvictionReason.COLLECTED] == 1
    owner.fetch.cache._check()


@over(*HELD_BY_KEY)
def test_an_instance_without_weak_references_is_part_of_the_key_by_its_equality(build: Build) -> None:
    """Without `__weakref__`, equal instances share entries and others do not."""
    fetch = placed(build)
    first = fetch("a")
    if build is on_slots_without_weakref:
        assert finished(fetch.owner().fetch("a")) is not first
    else:
        twin = fetch.owner(0)
        assert twin == fetch.instance
        assert finished(twin.fetch("a")) is first
    fetch.get().cache.invalidate("a")
    assert fetch("a") is not first


def test_an_instance_that_dies_at_once_leaves_nothing() -> None:
    """Calls on instances that nobody holds leave no entries, sync and async."""

    class Service:
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return [name]

        @bounded(max=8)
        async def fetch_later(self, name: str) -> list[str]:
            return [name]

    assert Service().fetch("a") == ["a"]
    assert finished(Service().fetch_later("a")) == ["a"]
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert len(Service.fetch_later.cache) == 0
    assert Service.fetch.cache.stats().size == 0


def test_an_instance_that_dies_during_its_load_leaves_nothing() -> None:
    """The result of a load whose instance died meanwhile leaves as COLLECTED."""
    gone: list[EvictionReason] = []

    class Service:
        @bounded(max=8, on_evict=lambda key, value, reason: gone.append(reason))
        def fetch(*args: Any) -> str:  # type: ignore[misc]  # only so can a method let go of its instance
            holder.clear()
            return "value"

    holder = [Service()]
    alive = weakref.ref(holder[0])
    assert Service.fetch(holder[0]) == "value"
    gc.collect()
    assert alive() is None
    assert len(Service.fetch.cache) == 0
    assert gone == [EvictionReason.COLLECTED]


def test_a_later_instance_at_the_same_address_sees_nothing_of_an_earlier_one() -> None:
    """An instance whose id was used before gets its own results."""

    class Service:
        __slots__ = ("__weakref__", "number")

        def __init__(self, number: int) -> None:
            self.number = number

        @bounded(max=64, key=lambda name: name)
        def keyed(self, name: str) -> int:
            return self.number

        @bounded(max=64)
        def fetch(self, name: str) -> int:
            return self.number

        @bounded(max=64)
        async def fetch_later(self, name: str) -> int:
            return self.number

        @property
        @bounded(max=64)
        def same(self) -> int:
            return self.number

    async def use(count: int) -> set[int]:
        addresses = set()
        for number in range(count):
            service = Service(number)
            for _ in range(2):
                assert service.fetch("a") == number
                assert service.keyed("a") == number
                assert service.same == number
                assert await service.fetch_later("a") == number
            addresses.add(id(service))
            del service
        return addresses

    addresses = asyncio.run(use(300))
    assert len(addresses) < 300, "no address was used again, so nothing was shown"
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert not Service.fetch.cache._cache.store.index


def test_instances_in_a_reference_cycle_are_collected_with_their_entries() -> None:
    """The collector frees instances in cycles, and their entries leave as COLLECTED."""
    gone: list[EvictionReason] = []

    class Service:
        me: "Service"

        @bounded(max=8, on_evict=lambda key, value, reason: gone.append(reason))
        def fetch(self, name: str) -> "Service | None":
            return None

    for _ in range(5):
        service = Service()
        service.me = service
        service.fetch("a")
    del service
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert gone == [EvictionReason.COLLECTED] * 5


def test_equal_instances_have_entries_of_their_own() -> None:
    """Instances that compare equal share no results, and their bound methods differ."""

    class Service:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Service)

        def __hash__(self) -> int:
            return 1

        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return [name]

    one, two = Service(), Service()
    assert one.fetch("a") is not two.fetch("a")
    assert one.fetch("a") is one.fetch("a")
    assert one.fetch != two.fetch
    assert one.fetch == one.fetch


def test_an_instance_neither_hashable_nor_weakly_referable_is_refused_with_the_remedy() -> None:
    """Such an instance raises TypeError with two remedies, of which `ignore=("self",)` works."""

    class Service:
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = None  # type: ignore[assignment]

        @bounded(max=8)
        def fetch(self, name: str) -> str:
            return name

        @bounded(max=8, ignore=("self",))
        def shared(self, name: str) -> list[str]:
            return [name]

    service = Service()
    with pytest.raises(TypeError, match=r"^unhashable type: 'Service': .*Service.*__weakref__.*ignore=\('self',\)"):
        service.fetch("a")
    assert len(Service.fetch.cache) == 0
    assert len(Service.fetch.inflight) == 0
    assert service.shared("a") is Service().shared("a")


def test_instances_may_share_entries() -> None:
    """With `ignore=("self",)` instances share results, and these outlive an instance."""

    class Service:
        @bounded(max=8, ignore=("self",))
        def fetch(self, name: str) -> list[str]:
            return [name]

    one, two = Service(), Service()
    assert one.fetch("a") is two.fetch("a")
    assert two.fetch.cache.invalidate("a")
    assert len(one.fetch.cache) == 0
    alive = weakref.ref(one)
    one.fetch("b")
    del one
    gc.collect()
    assert alive() is None
    assert len(two.fetch.cache) == 1


def test_subclass_and_base_do_not_share_what_super_returns() -> None:
    """An overriding method and the one it calls by super() each keep their own result."""

    class Base:
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return ["base", name]

        @bounded(max=8)
        @classmethod
        def of_class(cls, name: str) -> list[str]:
            return [cls.__name__, name]

    class Service(Base):
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return ["service", *super().fetch(name)]

        @bounded(max=8)
        @classmethod
        def of_class(cls, name: str) -> list[str]:
            return ["below", *super().of_class(name)]

    service = Service()
    assert service.fetch("a") == ["service", "base", "a"]
    assert Base.fetch(service, "a") == ["base", "a"]
    assert super(Service, service).fetch.cache.entry("a").value == ["base", "a"]  # type: ignore[union-attr]
    assert service.fetch("a") is service.fetch(name="a")
    assert Service.of_class("a") == ["below", "Service", "a"]
    assert Base.of_class("a") == ["Base", "a"]
    assert len(Base.of_class.cache) == 1
    assert len(super(Service, Service).of_class.cache) == 1


# -- properties


def property_inner(decorate: Decorate, calls: Log) -> Any:
    class Service:
        @property
        @decorate
        def size(self) -> list[int]:
            """How much."""
            calls.append(())
            return [1]

    return Service


def property_outer(decorate: Decorate, calls: Log) -> Any:
    class Service:
        @decorate
        @property
        def size(self) -> list[int]:
            """How much."""
            calls.append(())
            return [1]

        @size.setter
        def size(self, value: int) -> None:
            type(self).size.fget.cache.put([value], self)

    return Service


@pytest.mark.parametrize("make", [property_inner, property_outer])
def test_a_property_is_remembered_by_instance(make: Any) -> None:
    """A property runs once for each instance, stays a property, and goes with its instance."""
    calls = Log()
    kind = make(bounded(max=8), calls)
    one, two = kind(), kind()
    assert one.size is one.size
    assert one.size is not two.size
    assert len(calls) == 2
    assert vars(one) == {}
    assert isinstance(kind.size, property)
    assert kind.size.__doc__ == make(plain, calls).size.__doc__ == "How much."
    assert inspect.isdatadescriptor(kind.size)
    cache = kind.size.fget.cache
    assert len(cache) == 2
    assert cache.invalidate(one)
    assert not cache.invalidate(one)
    assert one.size is one.size
    assert len(calls) == 3
    del one
    gc.collect()
    assert len(cache) == 1
    assert registry[kind.size.fget].cache.stats().misses == 3


def test_a_property_carries_the_handle_through_the_class() -> None:
    """A decorated property has its handle on the class, and none on its values."""
    calls = Log()
    kind = property_outer(bounded(max=8), calls)
    one = kind()
    first = one.size
    assert kind.size.cache.entry(one).value is first
    assert kind.size.cache_info() == (0, 1, 8, 1)
    assert kind.size.cache.invalidate(one)
    assert one.size is not first
    kind.size.cache_clear()
    assert kind.size.cache_info() == (0, 0, 8, 0)
    one.size = 7
    assert one.size == [7]
    with pytest.raises(AttributeError, match="nothing"):
        _ = kind.size.nothing
    assert not hasattr(one.size, "cache")


def test_a_property_without_getter_is_refused() -> None:
    """Decorating a property without getter raises TypeError, which says so."""
    with pytest.raises(TypeError, match="no getter"):
        bounded(max=8)(property())


def test_a_cached_property_is_refused() -> None:
    """Decorating functools.cached_property raises TypeError that names it and advises a property."""

    def size(self: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"size.*cached_property.*property"):
        bounded(max=8)(functools.cached_property(size))
