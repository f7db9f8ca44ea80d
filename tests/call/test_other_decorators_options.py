"""Below decorators of others: what cannot be hashed, ``key=`` and ``tags=``."""

import asyncio
import functools
import operator
from typing import Any

import pytest
from kit.other_decorators import (
    coroutine,
    starred,
)

from memo import bounded, dedupe_inflight, freeze, registry, sliding_window

# -- what cannot be hashed


def test_messages_for_unhashable_arguments_begin_as_everybody_expects() -> None:
    """Wherever a call is refused for what cannot be hashed, the message begins with the interpreter's own."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

    def load(name: Any, *rest: Any, **more: Any) -> Any:
        return name

    made: list[Any] = [
        bounded(max=8)(load),
        bounded(max=8, policy="lru", typed=True)(load),
        bounded(max=8, ttl=60, stale_if_error=60)(load),
        bounded(max=8, dedupe=False)(load),
        bounded(max=8)(starred(load)),
        bounded(max=8, key=lambda *a, **k: [a])(load),
        dedupe_inflight(load),
        dedupe_inflight(starred(load)),
    ]
    for call in made:
        kinds = [["x"], {}, Odd(), (1, (set(),))] if call is not made[5] else [["x"]]
        for value in kinds:
            with pytest.raises(TypeError) as expected:
                hash(value)
            with pytest.raises(TypeError) as raised:
                call(value)
            assert str(raised.value).startswith(f"{expected.value}: ")
            assert "key=memo.freeze" in str(raised.value)
        assert call.inflight.forget(("x",)) is False if call is not made[5] else True
        with pytest.raises(TypeError, match=r"^unhashable type: 'list': "):
            call.inflight.forget(["x"])
    later = bounded(max=8)(coroutine)
    with pytest.raises(TypeError, match=r"^unhashable type: 'list': "):
        asyncio.run(later([]))


def test_a_hash_with_a_reason_of_its_own() -> None:
    """What ``__hash__`` says of itself is in the message, behind the usual beginning."""

    class Moody:
        def __hash__(self) -> int:
            raise TypeError("not today")

    @bounded(max=8)
    def load(name: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"^unhashable type: '.*Moody': not today: .*'name'"):
        load(Moody())


# -- key= and tags=


def test_key_is_called_as_the_function_was() -> None:
    """By position what is given by position, by name what the key function takes by name alone."""

    def load(url: str, timeout: int = 10, *parts: str, retries: int = 3, **more: Any) -> list[str]:
        return [url]

    cases: list[tuple[Any, Any]] = [
        (lambda url, timeout, *parts, **more: (url, timeout, parts, sorted(more)), ("u", 10, (), ["retries"])),
        (lambda url, **kw: (url, sorted(kw.items())), ("u", [("retries", 3), ("timeout", 10)])),
        (lambda *a, **kw: (a, sorted(kw.items())), (("u", 10), [("retries", 3)])),
        (lambda url, *, timeout, retries: (url, timeout, retries), ("u", 10, 3)),
        (lambda *, retries, url, timeout: (url, timeout, retries), ("u", 10, 3)),
        (lambda u, t, r: (u, t, r), ("u", 10, 3)),
    ]
    for key, expected in cases:
        seen: list[Any] = []

        @functools.wraps(key)
        def asked(*args: Any, _key: Any = key, _seen: list[Any] = seen, **kwargs: Any) -> str:
            _seen.append(_key(*args, **kwargs))
            return repr(_seen[-1])

        call = bounded(max=8, key=asked)(load)
        assert call("u") is call(url="u", timeout=10) is call("u", retries=3)
        assert seen == [expected] * 3
        assert call.cache.invalidate("u", 10)


def test_key_sees_the_instance_where_it_names_it_first() -> None:
    """``self`` comes first for a key function that names it, and is left out for others."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        @bounded(max=8, key=lambda self: self.pk)
        def name(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda self, x, y: (self.pk, x, y))
        def both(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda x, y: (x, y))
        def without(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda this, x: (this.pk, x))
        def odd(this, x: int) -> list[int]:  # noqa: N805
            return [x]

        @bounded(max=8, key=lambda self: self.pk, ignore=("self",))
        def shared(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda self: self.pk)
        @property
        def seen(self) -> list[str]:
            return []

        @bounded(max=8, key=lambda cls, x: (cls.__name__, x))
        @classmethod
        def of_class(cls, x: int) -> list[int]:
            return [x]

        @bounded(max=8, key=str.lower)
        def lowered(self, name: str) -> list[str]:
            return [name]

        @bounded(max=8, key=lambda self, **kw: (self.pk, *sorted(kw)))
        async def later(self, *, x: int = 1, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, key=lambda self, *args: (self.pk, args))
        @starred
        def wrapped(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

    one = Service(1)
    cases: list[tuple[Any, Any]] = [
        (one.name, 1), (functools.partial(one.both, 1), (1, 1, 2)), (functools.partial(one.without, 1), (1, 2)),
        (functools.partial(one.odd, 1), (1, 1)), (one.shared, 1), (functools.partial(one.wrapped, 1), (1, (1, 2))),
    ]  # fmt: skip
    for call, key in cases:
        assert call() is call()
        bound: Any = getattr(call, "func", call) if isinstance(call, functools.partial) else call
        handle = bound.cache if hasattr(bound, "cache") else call.cache
        assert [k for k, _ in handle.items()] == [key]
    assert one.seen is one.seen
    assert Service.of_class(1) is Service.of_class(x=1)
    assert Service.of_class.cache.items()[0][0] == ("Service", 1)
    assert one.lowered("A") is one.lowered(name="a")
    assert asyncio.run(one.later()) == [1, 2]
    assert one.later.cache.items()[0][0] == (1, "x", "y")
    assert Service(1).name() is not one.name()  # an instance has entries of its own, whatever key= returns
    assert Service(1).shared() is one.shared()


OF_THE_INSTANCE: dict[str, Any] = {
    "attrgetter": operator.attrgetter("pk"),
    "methodcaller": operator.methodcaller("name"),
    "another name": lambda service: service.pk,
    "partial": functools.partial(lambda suffix, service: (service.pk, suffix), 1),
    "named": lambda self: self.pk,
}


@pytest.mark.parametrize("key", OF_THE_INSTANCE.values(), ids=OF_THE_INSTANCE)
def test_a_call_without_other_arguments_is_keyed_by_its_instance(key: Any) -> None:
    """A key function that needs an argument gets the instance where there is nothing else to call it with."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        def name(self) -> int:
            return self.pk

        @bounded(max=8, key=key, ignore=("self",))
        def load(self) -> list[int]:
            return [self.pk]

        @bounded(max=8, key=key, ignore=("self",))
        async def later(self) -> list[int]:
            return [self.pk]

        @bounded(max=8, key=key, ignore=("self",))
        @property
        def seen(self) -> list[int]:
            return [self.pk]

        @sliding_window("1h", key=key)
        def note(self) -> int:
            return self.pk

        @dedupe_inflight(key=key)
        def joined(self) -> int:
            return self.pk

        @bounded(max=8, tags=lambda service: f"pk:{service.pk}")
        def tagged(self) -> list[int]:
            return [self.pk]

    one, again, two = Service(1), Service(1), Service(2)
    assert one.load() is again.load() is Service.load(one)
    assert two.load() == [2]
    assert (one.seen is again.seen, two.seen) == (True, [2])
    assert [asyncio.run(each.later()) for each in (one, again, two)] == [[1], [1], [2]]
    assert Service.later.cache.stats().hits == 1
    assert [each.note() + each.joined() for each in (one, two)] == [2, 4]
    assert len({event.key for event in Service.note.window.events()}) == 2
    assert [one.tagged(), two.tagged(), registry.invalidate(tag="pk:1")] == [[1], [2], 1]


def test_a_key_function_that_needs_no_argument_gets_no_instance() -> None:
    """One that takes any arguments, or none, is called as before: the instance is for those that name it."""
    seen: list[Any] = []

    class Service:
        @bounded(max=8, key=lambda *args, **kwargs: seen.append((args, kwargs)))
        def load(self) -> int:
            return 1

        @bounded(max=8, key=lambda: 7)
        def fixed(self) -> int:
            return 2

        @bounded(max=8, key=lambda of=None: of)
        def optional(self) -> int:
            return 3

        @bounded(max=8, key=freeze)
        def frozen(self) -> int:
            return 4

    one = Service()
    assert [one.load(), one.fixed(), one.optional(), one.frozen()] == [1, 2, 3, 4]
    assert seen == [((), {})]
    assert one.optional.cache.items()[0][0] is None


def test_tags_are_asked_as_keys_are() -> None:
    """``tags=`` sees the instance where it names it first, and the rest by position or by name."""

    class Service:
        def __init__(self, pk: int) -> None:
            self.pk = pk

        @bounded(max=8, tags=lambda self, x, y: [f"pk:{self.pk}", f"y:{y}"])
        def load(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        @bounded(max=8, tags=lambda x, **kw: [f"y:{kw['y']}"])
        @starred
        def wrapped(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

    one, two = Service(1), Service(2)
    for call in (one.load, two.load, functools.partial(one.wrapped, y=7)):
        call(1)
    assert registry.invalidate(tag="pk:1") == 1
    assert registry.invalidate(tag="y:2") == 1
    assert registry.invalidate(tag="y:7") == 1


def test_freeze_above_other_decorators() -> None:
    """``key=memo.freeze`` makes one key of every spelling that fits."""

    @bounded(max=8, key=freeze)
    @starred
    def load(names: list[str], lang: str = "en") -> list[str]:
        return names

    assert load(["a"]) is load(names=["a"], lang="en")
