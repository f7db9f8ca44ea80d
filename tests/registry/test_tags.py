"""Tags: what bears one is dropped in every function, and nothing that was loading meanwhile comes back."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from memo import EvictionReason, Registry, bounded, dedupe_inflight, sliding_window


def test_a_tag_drops_the_entries_that_bear_it_in_every_function(own: Registry) -> None:
    """Entries of two functions leave with the tag's user; those of others stay."""

    @bounded(max=100, registry=own, tags=lambda user: [f"user:{user}", "users"])
    def profile(user: str) -> str:
        return user

    @bounded(max=100, registry=own, tags=lambda user, size: f"user:{user}")
    def avatar(user: str, size: int = 64) -> str:
        return f"{user}{size}"

    for user in ("alice", "bob"):
        profile(user), avatar(user), avatar(user, 128)
    assert own.invalidate(tag="user:alice") == 3
    assert profile.cache.items() == [("bob", "bob")]
    assert [key for key, _ in avatar.cache.items()] == [("bob", 64), ("bob", 128)]
    assert own.invalidate(tag="user:alice") == 0
    assert own.invalidate(tag="users") == 1
    for function in (profile, avatar):
        function.cache._check()


def test_a_fixed_tag_drops_everything_of_its_functions(own: Registry) -> None:
    """A function with the tag is emptied, one without it is not."""
    gone: list[tuple[int, EvictionReason]] = []

    @bounded(max=10, registry=own, tags=("numbers", "all"), on_evict=lambda key, value, why: gone.append((key, why)))
    def number(x: int) -> int:
        return x

    @bounded(max=10, registry=own, tags="all")
    def other(x: int) -> int:
        return x

    number(1), number(2), other(1)
    assert own.invalidate(tag="numbers") == 2
    assert sorted(gone) == [(1, EvictionReason.INVALIDATED), (2, EvictionReason.INVALIDATED)]
    assert len(other.cache) == 1
    assert own[number].tags == ("numbers", "all")
    assert own.stats()[own[other].name].tags == ("all",)


@pytest.mark.parametrize("options", [{"tags": "t"}, {"tags": lambda x: "t"}], ids=["fixed", "computed"])
def test_a_running_load_does_not_bring_back_what_its_tag_dropped(own: Registry, options: dict[str, Any]) -> None:
    """The waiting caller gets the result; the store does not."""
    begun, go = threading.Event(), threading.Event()

    @bounded(max=10, registry=own, **options)
    def load(x: int) -> int:
        begun.set()
        assert go.wait(20)
        return x

    got: list[int] = []
    caller = threading.Thread(target=lambda: got.append(load(1)))
    caller.start()
    assert begun.wait(20)
    own.invalidate(tag="t")
    go.set()
    caller.join(20)
    assert got == [1]
    assert load.cache.items() == []
    load(1)
    assert len(load.cache) == 1


@pytest.mark.parametrize("options", [{"tags": "t"}, {"tags": lambda x: "t"}], ids=["fixed", "computed"])
def test_a_running_load_of_a_coroutine_function_does_neither(own: Registry, options: dict[str, Any]) -> None:
    """The same for coroutines."""

    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        @bounded(max=10, registry=own, **options)
        async def load(x: int) -> int:
            begun.set()
            await go.wait()
            return x

        task = asyncio.ensure_future(load(1))
        await begun.wait()
        own.invalidate(tag="t")
        go.set()
        assert await task == 1
        assert load.cache.items() == []

    asyncio.run(main())


def test_a_load_with_another_tag_is_not_fenced(own: Registry) -> None:
    """Its result is stored."""
    begun, go = threading.Event(), threading.Event()

    @bounded(max=10, registry=own, tags=lambda user: f"user:{user}")
    def load(user: str) -> str:
        begun.set()
        assert go.wait(20)
        return user

    caller = threading.Thread(target=load, args=("bob",))
    caller.start()
    assert begun.wait(20)
    own.invalidate(tag="user:alice")
    go.set()
    caller.join(20)
    assert load.cache.items() == [("bob", "bob")]


@pytest.mark.parametrize("inner_tags", [(), lambda x: f"{x}"], ids=["untagged", "tagged"])
def test_a_newcomer_does_not_join_the_inner_layers_older_call(own: Registry, inner_tags: Any) -> None:
    """Below a tagged store, single flight is fenced with it."""
    gates = {1: threading.Event(), 2: threading.Event()}
    begun = threading.Semaphore(0)
    calls: list[int] = []

    @bounded(max=10, registry=own, tags=lambda x: f"{x}")
    @dedupe_inflight(timeout=60, registry=own, tags=inner_tags)
    def load(x: str) -> int:
        calls.append(1)
        mine = len(calls)
        begun.release()
        assert gates[mine].wait(20)
        return mine

    got: list[int] = []
    first = threading.Thread(target=lambda: got.append(load("a")))
    first.start()
    assert begun.acquire(timeout=20)
    own.invalidate(tag="a")
    second = threading.Thread(target=lambda: got.append(load("a")))
    second.start()
    assert begun.acquire(timeout=20)
    gates[2].set()
    second.join(20)
    gates[1].set()
    first.join(20)
    assert got == [2, 1]
    assert load.cache.items() == [("a", 2)]


def test_a_raising_tag_function_keeps_the_value_out_of_the_store(
    own: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """The value is returned, the failure logged, and rejected counts it."""

    @bounded(max=10, registry=own, tags=lambda x: 1 / x and "t")
    def load(x: int) -> int:
        return x

    with caplog.at_level(logging.ERROR, "memo"):
        assert load(0) == 0
    assert "tags= raised" in caplog.text
    assert load.cache.items() == []
    assert load.cache.stats().rejected == 1


@pytest.mark.parametrize("returned", [[1], "", [""], 7, None], ids=repr)
def test_a_tag_function_must_return_names(own: Registry, returned: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Anything else is logged, and the value not stored."""

    @bounded(max=10, registry=own, tags=lambda x: returned)
    def load(x: int) -> int:
        return x

    with caplog.at_level(logging.ERROR, "memo"):
        assert load(1) == 1
    assert load.cache.items() == []


def test_tags_follow_entries_that_are_replaced_evicted_and_invalidated(own: Registry) -> None:
    """The index of tags holds those of the present entries alone."""
    tag = ["a"]

    @bounded(max=2, registry=own, policy="lru", tags=lambda x: tag[0])
    def load(x: int) -> int:
        return x

    store = load.cache._cache.store
    load(1), load(2), load(3)
    store._check()
    assert [entry.value for lot in store.bearers("a") for entry in lot] == [2, 3]
    tag[0] = "b"
    load.cache.put(30, 3)
    load.cache.refresh(2)
    store._check()
    assert list(store.bearers("a")) == []
    assert own.invalidate(tag="a") == 0
    load.cache.invalidate(3)
    store._check()
    assert own.invalidate(tag="b") == 1
    store._check()
    assert list(store.bearers("b")) == []


def test_methods_get_tags_without_the_instance(own: Registry) -> None:
    """The function sees the arguments; the tag drops entries of every instance."""

    class Shop:
        @bounded(max=10, registry=own, tags=lambda item, *, size=1: (item, f"{item}:{size}"))
        def price(self, item: str, *, size: int = 1) -> str:
            return item

        @bounded(max=10, registry=own, tags=lambda item: item)
        async def stock(self, item: str) -> str:
            return item

    a, b = Shop(), Shop()
    a.price("tea"), b.price("tea"), b.price("tea", size=2), b.price("jam")
    asyncio.run(a.stock("tea"))
    assert own.invalidate(tag="tea:2") == 1
    assert own.invalidate(tag="tea") == 3
    assert len(Shop.price.cache) == 1
    assert len(Shop.stock.cache) == 0


def test_a_function_that_becomes_a_method_late_still_gets_its_tags(own: Registry) -> None:
    """Assigned to a class after decoration, its tags are computed without the instance."""

    @bounded(max=10, registry=own, tags=lambda x: f"x{x}")
    def load(me: object, x: int) -> int:
        return x

    class Holder:
        pass

    Holder.load = load  # type: ignore[attr-defined]
    holder: Any = Holder()
    assert holder.load(1) == 1
    assert own.invalidate(tag="x1") == 1


def test_select_finds_by_name_and_by_tag(own: Registry) -> None:
    """A view has those that match now, also ones decorated later, and acts on them alone."""

    @bounded(max=10, registry=own, name="bot.users.profile", tags=("users",))
    def profile(x: int) -> int:
        return x

    @bounded(max=10, registry=own, name="bot.items.price")
    def price(x: int) -> int:
        return x

    bots, users = own.select("bot.*"), own.select(tag="users")
    assert [record.name for record in bots] == ["bot.items.price", "bot.users.profile"]
    assert [record.name for record in users] == ["bot.users.profile"]
    assert profile in users
    assert price not in users
    assert [record.name for record in bots.select("*price")] == ["bot.items.price"]
    assert own[price] is bots["bot.items.price"]
    with pytest.raises(KeyError):
        users[price]

    @sliding_window("1h", registry=own, name="bot.seen", tags="users")
    def seen(x: int) -> int:
        return x

    assert [record.name for record in users] == ["bot.seen", "bot.users.profile"]
    profile(1), price(1)
    users.clear()
    assert (len(profile.cache), len(price.cache)) == (0, 1)
    assert set(users.stats()) == {"bot.seen", "bot.users.profile"}
    assert "bot.items.price" not in str(users)
    assert "bot.items.price" in bots._repr_html_()
    assert users.cleanup().total == 0
    profile(1)
    assert bots.invalidate(tag="users") == 1
    assert own.select("nothing").invalidate(tag="users") == 0


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda r: r.select(3), TypeError),
        (lambda r: r.select(""), ValueError),
        (lambda r: r.select(tag=3), TypeError),
        (lambda r: r.invalidate(tag=""), ValueError),
        (lambda r: r.invalidate(tag=None), TypeError),
        (lambda r: bounded(max=1, tags=(1,)), TypeError),
        (lambda r: bounded(max=1, tags=("",)), ValueError),
        (lambda r: bounded(max=1, tags=7), TypeError),
        (lambda r: dedupe_inflight(tags=[None]), TypeError),
        (lambda r: sliding_window("1h", tags=lambda x: "t"), TypeError),
    ],
)
def test_bad_tags_are_refused(own: Registry, act: Callable[[Registry], object], kind: type[Exception]) -> None:
    """The message names the option."""
    with pytest.raises(kind, match=r"tag|pattern"):
        act(own)


def test_a_coroutine_function_cannot_compute_tags() -> None:
    """Nobody would await it."""

    async def tags(x: int) -> str:
        return "t"

    with pytest.raises(TypeError, match="coroutine function"):
        bounded(max=1, tags=tags)  # type: ignore[arg-type]


def test_dropping_one_tag_does_not_look_at_the_other_entries(own: Registry) -> None:
    """Of ten thousand entries, those without the tag are not compared, hashed or touched."""
    looked: list[int] = []

    class Key:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            looked.append(self.number)
            return hash(self.number)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and other.number == self.number

    @bounded(max=10_000, registry=own, tags=lambda key: f"tag{key.number % 100}")
    def load(key: Key) -> int:
        return key.number

    for number in range(10_000):
        load(Key(number))
    looked.clear()
    assert own.invalidate(tag="tag7") == 100
    assert {number % 100 for number in looked} <= {7}


def test_dropping_many_entries_gives_others_their_turn(own: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between slices the thread rests, with the lock free: another one may change the store."""

    @bounded(max=2_000, registry=own, tags=lambda number: "all")
    def load(number: int) -> int:
        return number

    for number in range(1_000):
        load(number)
    left: list[int] = []  # of those, at each rest; each adds one more

    def rest(seconds: float) -> None:
        other = threading.Thread(target=load, args=(-1 - len(left),))
        other.start()
        other.join(20)
        assert not other.is_alive(), "the lock is held during a rest"
        left.append(len(load.cache) - len(left) - 1)

    now = iter(range(100_000))
    with monkeypatch.context() as patch:
        patch.setattr("memo._base.real_time.real.fine", lambda: next(now))  # each slice takes long
        patch.setattr("memo._base.pacing.time.sleep", rest)
        assert own.invalidate(tag="all") == 1_000
    assert len(left) >= 10
    assert left == sorted(left, reverse=True)
    assert {0, 100} == {before - after for before, after in itertools.pairwise([1_000, *left])}
    assert sorted(key for key, _ in load.cache.items()) == list(range(-len(left), 0))


@pytest.mark.parametrize("order", ["cache above", "cache below", "two caches"])
def test_a_store_that_cannot_tell_the_tags_of_its_entries_is_refused(own: Registry, order: str) -> None:
    """In a stack whose other layer computes tags, entries without any would outlive them."""

    def tags(x: int) -> str:
        return "t"

    tagged = bounded(max=1, registry=own, tags=tags) if order == "two caches" else dedupe_inflight(tags=tags)
    plain = bounded(max=1, registry=own)
    first, second = (tagged, plain) if order == "cache above" else (plain, tagged)
    with pytest.raises(TypeError, match="give the function to @bounded as well"):
        second(first(lambda x: x))
    both = bounded(max=1, registry=own, tags=tags)(bounded(max=1, tags=tags)(lambda x: x))
    assert both(1) == 1
    assert own.invalidate(tag="t") == 2


def test_a_tag_reaches_what_two_decorated_functions_share(own: Registry) -> None:
    """A function decorated twice over is emptied below, whichever of the two bears the tag."""
    calls: list[int] = []

    @bounded(max=10, registry=own, name="shared")
    def load(x: int) -> int:
        calls.append(x)
        return len(calls)

    first = bounded(max=10, name="first", tags="a")(load)
    second = bounded(max=10, name="second", registry=own, tags="b")(load)
    assert (first(1), second(1)) == (1, 1)
    own.invalidate(tag="b")
    assert (second(1), first(1)) == (2, 1)
