"""Stores whose operations are struck at each point: they stay whole, and tell what left."""

import gc
import sys
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import cachetools
import pytest
from kit.own_policies import POLICIES
from kit.strikes import Struck, StruckError, at_the_limit, every, strike
from kit.struck import Subject, strike_everywhere

from memo import bounded

__all__ = ()


class Own(cachetools.LRUCache[Any, Any]):
    """A policy of the user's own."""


class Key:
    """A key whose hash and comparison are code of the user's; some have one hash."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return self.name % 4

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.name == self.name

    def __repr__(self) -> str:
        return f"Key({self.name})"


KINDS: dict[str, dict[str, Any]] = {
    **{policy: {"max": 4, "policy": policy} for policy in POLICIES},
    "of the user's": {"max": 4, "policy": Own},
    "ttl": {"max": 4, "ttl": 60},
    "idle": {"max": 4, "idle": 60, "policy": "lru"},
    "weighed": {"max": 4, "max_bytes": 4 * 1000, "sizeof": lambda value: 500},
    "weighed lfu": {"max_bytes": 4 * 1000, "sizeof": lambda value: 500, "policy": "lfu"},
    "stale": {"max": 4, "ttl": 60, "stale_if_error": 600, "cache_errors": KeyError, "error_ttl": 5},
    "tagged": {"max": 4, "tags": lambda x: (f"tag{getattr(x, 'name', x)}", "all"), "policy": "lru"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def hit(s: Subject) -> object:
    return s.function(1)


def miss(s: Subject) -> object:
    return s.function(50)


def asked_by_handle(s: Subject) -> object:
    return s.function.cache.call(50)


def put_new(s: Subject) -> object:
    return s.function.cache.put(s.make(60), 60)


def put_again(s: Subject) -> object:
    return s.function.cache.put(s.make(1), 1)


def put_the_same(s: Subject) -> object:
    return s.function.cache.put(s.function.cache.entry(1).value if s.function.cache.entry(1) else s.make(1), 1)


def refresh(s: Subject) -> object:
    return s.function.cache.refresh(1)


def invalidate(s: Subject) -> object:
    return s.function.cache.invalidate(1)


def invalidate_where(s: Subject) -> object:
    return s.function.cache.invalidate_where(lambda key, value: key != 2)


def invalidate_tag(s: Subject) -> object:
    return s.registry.invalidate(tag="all")


def clear(s: Subject) -> object:
    return s.function.cache.clear()


def cleanup(s: Subject) -> object:
    s.clock.advance(1000)
    return s.function.cache.cleanup()


def resize(s: Subject) -> object:
    return s.function.cache.resize(max=2)


def expired_again(s: Subject) -> object:
    s.clock.advance(1000)
    return s.function(1)


def figures(s: Subject) -> object:
    return s.function.cache.stats(), s.function.cache_info(), s.function.cache.items(), len(s.function.cache)


OPERATIONS: tuple[Callable[[Subject], object], ...] = (
    hit, miss, asked_by_handle, put_new, put_again, put_the_same, refresh, invalidate, invalidate_where, invalidate_tag,
    clear, cleanup, resize, expired_again, figures,
)  # fmt: skip


def subject_of(kind: str) -> Callable[[], Subject]:
    def make() -> Subject:
        return Subject(lambda function, given, on_evict: bounded(**KINDS[kind], **given, on_evict=on_evict)(function))

    return make


def fill(s: Subject) -> None:
    for x in (0, 1, 2, 3, 4, 1, 3, 4, 3, 1):
        s.call(x)


def step_of(kind: str, operation: Callable[[Subject], object]) -> dict[str, int]:
    """Which points are struck: every other one, and of most kinds fewer, not the same of any two."""
    step = 2 if kind in ("adaptive", "s3fifo", "lru") else 9
    return {"step": step, "first": (len(kind) + len(operation.__name__)) % step}


def trouble(wrong: list[str]) -> list[str]:
    """What went wrong, but for a listener that was struck itself: it has been told, whatever it made of it.

    How running loads are counted that were struck at their end is not the store's concern.
    """
    return [text for text in wrong if "Subject._on_evict" not in text and "flights do not add up" not in text]


def suits(kind: str, operation: Callable[[Subject], object]) -> bool:
    if operation is resize:
        return "max" in KINDS[kind]
    return operation is not invalidate_tag or kind == "tagged"


@every_kind
@pytest.mark.parametrize("operation", OPERATIONS)
def test_struck_where_signals_come(kind: str, operation: Callable[[Subject], object]) -> None:
    """Whatever a signal interrupts, at whichever point, the store is whole, unlocked, and what left was told."""
    if not suits(kind, operation):
        pytest.skip("makes no sense")
    _, wrong = strike_everywhere(subject_of(kind), fill, operation, **step_of(kind, operation))
    assert not trouble(wrong), "\n".join(wrong)


@every_kind
@pytest.mark.parametrize("operation", [miss, put_again, clear, expired_again])
def test_struck_by_an_error(kind: str, operation: Callable[[Subject], object]) -> None:
    """So it is when what strikes is an ordinary exception of a signal handler."""
    _, wrong = strike_everywhere(subject_of(kind), fill, operation, error=StruckError, **step_of(kind, operation))
    assert not trouble(wrong), "\n".join(wrong)


@every_kind
@pytest.mark.parametrize("operation", [hit, miss, put_again, invalidate, clear, resize, cleanup])
def test_struck_at_every_instruction(kind: str, operation: Callable[[Subject], object]) -> None:
    """So it is at every instruction that can fail at all."""
    if not suits(kind, operation):
        pytest.skip("makes no sense")
    step = {"step": 29, "first": (3 * len(kind) + len(operation.__name__)) % 29}
    _, wrong = strike_everywhere(subject_of(kind), fill, operation, everywhere=True, **step)
    assert not trouble(wrong), "\n".join(wrong)


@pytest.mark.stress
@pytest.mark.timeout(900)
@every_kind
@pytest.mark.parametrize("operation", OPERATIONS)
def test_struck_at_all_points(kind: str, operation: Callable[[Subject], object]) -> None:
    """So it is at more of them, all in the longest run."""
    if not suits(kind, operation):
        pytest.skip("makes no sense")
    for everywhere, step in ((False, every(50_000)), (True, every(400_000))):
        first = zlib.crc32(f"{kind} {operation.__name__}".encode()) % step
        _, wrong = strike_everywhere(subject_of(kind), fill, operation, everywhere=everywhere, step=step, first=first)
        assert not trouble(wrong), "\n".join(wrong)


@pytest.mark.parametrize("kind", [*POLICIES, "stale", "tagged"])
@pytest.mark.parametrize("operation", ["miss", "again", "invalidate", "clear"])
def test_struck_with_keys_that_collide(kind: str, operation: str) -> None:
    """So it is with keys whose hash and comparison are code of the user's, which is struck as well."""

    def fill_with_keys(s: Subject) -> None:
        for x in (0, 1, 2, 3, 4, 5, 1, 3):
            s.call(Key(x))

    operations: dict[str, Callable[[Subject], object]] = {
        "miss": lambda s: s.function(Key(9)),
        "again": lambda s: s.function.cache.put(s.make(Key(3)), Key(3)),
        "invalidate": lambda s: s.function.cache.invalidate(Key(3)),
        "clear": lambda s: s.function.cache.clear(),
    }
    _, wrong = strike_everywhere(subject_of(kind), fill_with_keys, operations[operation], step=3)
    assert not trouble(wrong), "\n".join(wrong)


@every_kind
def test_at_the_recursion_limit(kind: str) -> None:
    """However little of the stack is left, what cannot be done is not begun, or mended: nothing is lost or untold."""
    for operation in (miss, put_again, expired_again, invalidate, clear, hit):
        for depth in range(0, 46, 1 + (kind not in ("adaptive", "s3fifo", "lru", "idle"))):
            s = subject_of(kind)()
            fill(s)
            before = s.stored()
            raised = at_the_limit(lambda s=s, operation=operation: operation(s), depth)  # type: ignore[misc]
            assert raised is None or isinstance(raised, RecursionError), (operation, depth, raised)
            del raised
            s.check_locks()
            s.function.cache._check()
            s.check_books(before)
            s.close()


@pytest.mark.usefixtures("nothing_collected")
def test_a_function_that_recurses_too_deep_stores_and_tells_what_it_can() -> None:
    """A recursion that ends at the limit leaves a store that goes on, and books that balance."""
    told: list[Any] = []

    @bounded(max=50, idle=60, on_evict=lambda *what: told.append(what))
    def depth(n: int) -> int:
        return 0 if n == 0 else depth(n - 1) + 1

    with pytest.raises(RecursionError):
        depth(sys.getrecursionlimit())
    store = depth.cache._cache.store
    store._check()
    assert len(told) == sum(store.evictions().values())
    for n in range(100):
        assert depth(n) == n
    assert len(depth.cache) == 50
    store._check()


def test_one_interrupt_is_one_interrupt() -> None:
    """The caller gets what struck, not an error that came of it."""
    for operation in (miss, clear, invalidate):
        seen: list[BaseException] = []

        def make() -> Subject:
            return Subject(lambda function, given, on_evict: bounded(max=4, **given, on_evict=on_evict)(function))

        def watched(s: Subject, operation: Callable[[Subject], object] = operation) -> object:
            try:
                return operation(s)
            except BaseException as error:
                seen.append(error)  # noqa: B023
                raise

        strike_everywhere(make, fill, watched, step=3)
        assert seen
        assert {type(error) for error in seen} == {Struck}


def test_a_value_that_was_struck_on_its_way_is_kept_by_nobody() -> None:
    """No list, no store and no frame holds on to what left in an operation that was cut short."""
    gc.disable()
    try:
        for at in range(0, 300, 7):
            s = subject_of("lru")()
            fill(s)
            refs = [weakref.ref(value) for value in s.stored()]
            where = strike(lambda s=s: miss(s), at)[0]  # type: ignore[misc]
            s.made.clear()
            s.told.clear()
            inside = {id(value) for value in s.stored()}
            assert {id(ref()) for ref in refs if ref() is not None} <= inside
            s.close()
            if where is None:
                break
    finally:
        gc.enable()
