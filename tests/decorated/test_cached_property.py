"""``memo.cached_property``: a drop-in for that of ``functools``, computed once however many threads or tasks ask."""

import asyncio
import copy
import functools
import itertools
import pickle
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from kit.strikes import strike
from kit.threads import LIMIT_S, Gate, Running, until

import memo
from memo import cached_property, registry


class Shop:
    """Of the module, so that it can be pickled."""

    runs = 0

    @cached_property
    def stock(self) -> list[int]:
        """What is there."""
        self.runs += 1
        return [self.runs]


class Bare:
    """Neither hashable nor open to weak references."""

    __slots__ = ("__dict__",)
    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def stock(self) -> list[int]:
        return [1]


def test_it_is_what_that_of_functools_is() -> None:
    """The value stands in the instance, where it can be seen, set and deleted; a second look calls nothing of ours."""
    shop = Shop()
    assert shop.stock is shop.stock is vars(shop)["stock"]
    del shop.stock
    assert shop.stock == [2]
    shop.stock = [7]
    assert (shop.stock, vars(shop)) == ([7], {"runs": 2, "stock": [7]})
    assert isinstance(Shop.stock, functools.cached_property)
    assert (Shop.stock.__doc__, Shop.stock.__module__, Shop.stock.attrname) == ("What is there.", __name__, "stock")
    assert not hasattr(cached_property, "__set__")  # so that the interpreter looks into the instance first
    assert cached_property[int].__origin__ is cached_property
    assert memo.cached_property is cached_property


def test_instances_need_be_neither_hashable_nor_weakly_referenced() -> None:
    """Whatever has a ``__dict__`` has such properties."""
    bare = Bare()
    assert bare.stock is bare.stock


def test_threads_share_one_computation() -> None:
    """Threads that ask at the same time get what one of them computes; another instance waits for none of them."""
    gate = Gate()

    class Slow:
        def __init__(self, waits: bool) -> None:
            self.waits = waits
            self.runs = 0

        @cached_property
        def value(self) -> object:
            self.runs += 1
            if self.waits:
                gate.wait()
            return object()

    slow = Slow(waits=True)
    calls = [Running(lambda: slow.value) for _ in range(3)]
    gate.reached()
    until(lambda: [flight.waiters for flight in Slow.value.inflight.pending()] == [2])
    assert Slow(waits=False).value is not None
    gate.open()
    assert len({id(call.result()) for call in calls}) == 1
    assert slow.runs == 1
    assert len(Slow.value.inflight) == 0


def test_an_error_is_shared_and_not_kept() -> None:
    """Those who waited get the error, and the next to ask begins anew."""
    gate = Gate()

    class Failing:
        runs = 0

        @cached_property
        def value(self) -> int:
            self.runs += 1
            if self.runs == 1:
                gate.wait()
                raise LookupError("no")
            return self.runs

    failing = Failing()
    calls = [Running(lambda: failing.value) for _ in range(2)]
    gate.reached()
    until(lambda: [flight.waiters for flight in Failing.value.inflight.pending()] == [1])
    gate.open()
    assert [str(call.error()) for call in calls] == ["no", "no"]
    assert "value" not in vars(failing)
    assert failing.value == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, LookupError])
def test_what_strikes_a_computation_leaves_nothing(kind: type[BaseException]) -> None:
    """Whatever ends a computation reaches who asked; nothing stays under way, and nothing is kept."""

    class Struck:
        strikes = True

        @cached_property
        def value(self) -> int:
            if self.strikes:
                raise kind
            return 1

    struck = Struck()
    with pytest.raises(kind):
        struck.value  # noqa: B018
    assert (len(Struck.value.inflight), vars(struck)) == (0, {})
    struck.strikes = False
    assert struck.value == 1


def test_a_computation_that_is_cut_short_at_any_point() -> None:
    """Struck where signals come, a look at the attribute leaves nothing under way; the next look gives the value."""

    class Struck:
        @cached_property
        def value(self) -> list[int]:
            return [1]

    assert Struck().value == [1]
    wrong = []
    for at in itertools.count():
        struck = Struck()
        where, _ = strike(functools.partial(getattr, struck, "value"), at)
        if where is None:
            break
        if len(Struck.value.inflight) or struck.value != [1] or struck.value is not vars(struck)["value"]:
            wrong.append(where)
    assert at > 3
    assert not wrong


def test_what_was_set_meanwhile_stays() -> None:
    """A value that is set while another is computed is the answer of both."""

    class Early:
        @cached_property
        def value(self) -> int:
            self.value = 7
            return 1

    early = Early()
    assert early.value == early.value == 7


def test_computations_that_wait_for_each_other_run_straight_through() -> None:
    """Two threads whose properties need each other's do not stand still for ever."""
    together = threading.Barrier(2)

    class Node:
        other: "Node"
        asked = False

        @cached_property
        def value(self) -> int:
            if not self.asked:
                self.asked = True
                together.wait(LIMIT_S)
                return self.other.value + 1
            return 0

    one, two = Node(), Node()
    one.other, two.other = two, one
    calls = [Running(lambda: one.value), Running(lambda: two.value)]
    assert all(call.result() in (0, 1, 2) for call in calls)


def test_a_property_that_asks_for_itself_recurs_as_with_functools(nothing_collected: None) -> None:
    """It ends in RecursionError, not in a thread that waits for itself, and nothing stays under way."""

    class Endless:
        @cached_property
        def value(self) -> int:
            return self.value

    with pytest.raises(RecursionError):
        Endless().value  # noqa: B018
    assert len(Endless.value.inflight) == 0


def test_a_value_that_can_be_used_once_is_kept() -> None:
    """An iterator is kept as any other value."""

    class Drawn:
        @cached_property
        def values(self) -> Iterator[int]:
            return iter([1, 2])

    drawn = Drawn()
    assert (next(drawn.values), next(drawn.values)) == (1, 2)


def test_computations_are_listed() -> None:
    """The registry shows how many computations there were, under the property's name, and by the property itself."""
    assert Shop.stock in registry
    assert registry[Shop.stock] is registry[f"{__name__}.Shop.stock"]
    with pytest.raises(TypeError, match=r"^adopt: .* belongs to this package"):
        registry.adopt(Shop.stock)
    before = registry[Shop.stock].stats().inflight
    assert Shop().stock == [1]
    after = registry[Shop.stock].stats().inflight
    assert before is not None
    assert after is not None
    assert after.started - before.started == 1


def test_nothing_is_kept_alive(nothing_collected: None) -> None:
    """An instance goes by reference counts alone, and so does what computes, with the property."""

    class Owner:
        @cached_property
        def value(self) -> int:
            return 1

    owner = Owner()
    assert owner.value == 1
    watched = weakref.ref(owner)
    del owner
    assert watched() is None
    prop: Any = cached_property(lambda self: 1)
    watched = weakref.ref(prop._shared)
    del prop
    assert watched() is None


def test_instances_and_properties_are_copied() -> None:
    """Instances travel with their values; a copied property has computations of its own."""
    shop = Shop()
    assert shop.stock == [1]
    assert pickle.loads(pickle.dumps(shop)).stock == [1]
    copied = copy.copy(Shop.stock)
    assert (copied.func, copied.attrname, copied.__doc__) == (Shop.stock.func, "stock", "What is there.")
    assert copied._shared is not Shop.stock._shared
    assert copied.__get__(Shop(), Shop) == [1]


def test_libraries_that_know_that_of_functools_know_it() -> None:
    """Pydantic takes it for no field, and attrs gives it a place in classes with slots."""
    pydantic, attrs = pytest.importorskip("pydantic"), pytest.importorskip("attrs")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        x: int

        @cached_property
        def twice(self) -> list[int]:
            return [2 * self.x]

        @pydantic.computed_field  # type: ignore[untyped-decorator]
        @cached_property
        def shown(self) -> int:
            return self.x

    model = Model(x=1)
    assert model.twice is model.twice
    assert model.model_dump() == {"x": 1, "shown": 1}

    @attrs.define
    class Slotted:
        x: int

        @cached_property
        def twice(self) -> list[int]:
            return [2 * self.x]

    slotted = Slotted(1)
    assert slotted.twice is slotted.twice


def test_what_cannot_be_called_is_refused() -> None:
    """At decoration, with what to write."""
    with pytest.raises(
        TypeError, match=r"^cached_property: 5 cannot be called; decorate a function of the instance\.$"
    ):
        cached_property(5)  # type: ignore[type-var]


def test_it_takes_any_callable() -> None:
    """What functools takes is taken: partials, builtins, objects with a ``__call__``."""

    class Of:
        @cached_property
        def length(self) -> int:
            return len(vars(self))

        shown = cached_property(repr)
        seven = cached_property(functools.partial(lambda seven, self: seven, 7))

    of = Of()
    assert (of.length, of.seven) == (0, 7)
    assert of.shown.startswith("<")


# -- coroutine functions


class Profile:
    """With a property that is awaited."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails = False

    @cached_property
    async def data(self) -> list[int]:
        self.runs += 1
        await asyncio.sleep(0)
        if self.fails:
            raise LookupError("no")
        return [self.runs]


def test_it_can_be_awaited_again_and_again() -> None:
    """An awaitable attribute gives the same value each time, in each loop, and is computed anew once it was deleted."""

    async def twice(profile: Profile) -> bool:
        return await profile.data is await profile.data

    profile = Profile()
    assert asyncio.run(twice(profile))
    assert asyncio.run(twice(profile))
    assert profile.runs == 1
    del profile.data
    assert asyncio.run(twice(profile))
    assert profile.runs == 2
    assert repr(profile.data) == "<awaitable of [2]>"


def test_tasks_share_one_computation() -> None:
    """Tasks that await it at the same time, also after it was read, share one computation, and an error."""

    async def together(profile: Profile, **options: Any) -> list[Any]:
        early = profile.data
        return await asyncio.gather(profile.data, profile.data, early, **options)

    profile = Profile()
    assert asyncio.run(together(profile)) == [[1]] * 3
    failing = Profile()
    failing.fails = True
    assert [str(error) for error in asyncio.run(together(failing, return_exceptions=True))] == ["no"] * 3
    assert (failing.runs, "data" in vars(failing)) == (1, False)
    failing.fails = False
    assert asyncio.run(together(failing)) == [[2]] * 3


def test_the_last_to_leave_cancels_it() -> None:
    """One who leaves takes nothing from others; when the last one has left, it is cancelled, and nothing is kept."""

    class Slow:
        @cached_property
        async def value(self) -> int:
            entered.set()
            await go.wait()
            return 1

    async def leave() -> None:
        slow = Slow()
        stays, leaves = (asyncio.ensure_future(slow.value) for _ in range(2))
        await entered.wait()
        leaves.cancel()
        await asyncio.gather(leaves, return_exceptions=True)
        assert len(Slow.value.inflight) == 1
        stays.cancel()
        await asyncio.gather(stays, return_exceptions=True)
        assert (len(Slow.value.inflight), vars(slow)) == (0, {})
        go.set()
        assert await slow.value == 1

    entered, go = asyncio.Event(), asyncio.Event()
    asyncio.run(leave())
