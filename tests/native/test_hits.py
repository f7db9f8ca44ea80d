"""Hits that the path in C answers: what they mean, and that they come by no frame of the wrapper."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.wrappers import wrappers_entered

from memo import Registry, bounded
from memo._decorated.layer import layer_of
from memo._native import speed, why
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason=why)

own = pytest.fixture(lambda: Registry())


def came_by(call: Callable[[], Any]) -> tuple[Any, bool]:
    """What *call* returns or raises (as text), and whether a generated wrapper ran meanwhile."""
    with wrappers_entered() as entered:
        try:
            found: Any = call()
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
    return found, bool(entered)


def one(x: Any) -> Any:
    return "one", x


def two(x: Any, y: Any = 2) -> Any:
    return x, y


def strict(x: Any, /, y: Any, *, z: Any = 3) -> Any:
    return x, y, z


def many(x: Any = 0, *rest: Any, z: Any = 3) -> Any:
    return x, rest, z


def anything(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


SPELLED: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}), ((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((), {"x": 1}), ((), {"y": 2, "x": 1}), ((1,), {"y": 2}),
    ((1,), {"x": 1}), ((1, 2), {"z": 4}), ((1,), {"y": 2, "z": 4}), ((1,), {"nothing": 1}), ((True,), {}),
    ((1.0,), {}), (("a",), {}), (([],), {}), (((1, True),), {}), ((None, None), {}),
]  # fmt: skip

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ttl": {"ttl": "1h"},
    "typed": {"typed": True},
    "idle": {"idle": "1h"},
    "copy": {"copy": "deep"},
    "ignore": {"ignore": ("z",)},
    "key": {"key": lambda *args, **kwargs: (args, tuple(sorted(kwargs.items())))},
    "clock": {"ttl": "1h", "clock": FakeClock()},
    "stale": {"ttl": "1h", "stale_while_revalidate": "1h"},
    "scope": {"scope": "loop"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("function", [one, two, strict, many, anything])
def test_calls_mean_what_they_mean_to_the_wrapper(
    own: Registry, function: Callable[..., Any], options: dict[str, Any]
) -> None:
    """Every spelling, a wrong one too, has the result, the message and the counts that the wrapper gives it."""
    if "ignore" in options and function in (one, two, anything):
        options = {}
    ours = bounded(max=100, registry=own, name="ours", **options)(function)
    theirs = bounded(max=100, registry=own, name="theirs", **options)(function)
    layer = layer_of(theirs)
    assert layer is not None
    wrapper = layer.wrapper
    for _ in range(3):
        for args, kwargs in SPELLED:
            found, _ = came_by(lambda args=args, kwargs=kwargs: ours(*args, **kwargs))  # type: ignore[misc]
            expected, in_python = came_by(lambda args=args, kwargs=kwargs: wrapper(*args, **kwargs))  # type: ignore[misc]
            assert found == expected
            assert repr(found) == repr(expected)  # which tells 1 from True
            assert in_python or str(found).startswith("TypeError"), "the twin is not the path in Python"
    mine, its = ours.cache.stats(), theirs.cache.stats()
    assert (mine.hits, mine.misses, mine.size) == (its.hits, its.misses, its.size)
    assert mine.hits


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_hit_runs_no_frame_of_the_wrapper(own: Registry, options: dict[str, Any]) -> None:
    """However it is spelled, a hit is answered without the wrapper; what is too old is none."""
    clock = FakeClock()
    options = {**options, "clock": clock} if "ttl" in options else options

    @bounded(max=100, registry=own, **options)
    def load(x: int, y: int = 2, *rest: int, z: int = 3, **more: int) -> int:
        return x

    if "key" in options:  # which is the wrapper's affair: it is asked once a call
        load(1)
        assert came_by(lambda: load(1)) == (1, True)
        return
    assert came_by(lambda: load(1))[1]
    for call in (lambda: load(1), lambda: load(1, 2), lambda: load(x=1), lambda: load(1, z=3, y=2)):
        assert came_by(call) == (1, False)
    if "stale_while_revalidate" not in options and "ttl" in options:
        clock.advance(3600)
        misses = load.cache.stats().misses
        assert load(1) == 1
        assert load.cache.stats().misses == misses + 1
    with own.disabled():
        assert came_by(lambda: load(1)) == (1, True)
    assert came_by(lambda: load(1)) == (1, False)


def test_methods_make_no_bound_object(own: Registry) -> None:
    """Calls through an instance, of a property and of what stands in a class in other ways come by no wrapper."""

    class Service:
        @bounded(max=10, registry=own)
        def fetch(self, name: str, lang: str = "en") -> tuple[str, str]:
            return name, lang

        @bounded(max=10, registry=own)
        @property
        def size(self) -> int:
            return 5

        @bounded(max=10, registry=own)
        @staticmethod
        def parse(text: str) -> str:
            return text

    mine, other = Service(), Service()
    for service in (mine, other):
        assert came_by(lambda service=service: service.fetch("a")) == (("a", "en"), True)  # type: ignore[misc]
        assert came_by(lambda service=service: service.size) == (5, True)  # type: ignore[misc]
    Service.parse("x")
    for call, expected in (
        (lambda: mine.fetch("a"), ("a", "en")),
        (lambda: other.fetch(name="a", lang="en"), ("a", "en")),
        (lambda: Service.fetch(mine, "a"), ("a", "en")),
        (lambda: mine.size, 5),
        (lambda: mine.parse("x"), "x"),
        (lambda: Service.parse("x"), "x"),
    ):
        assert came_by(call) == (expected, False)
    assert mine.fetch.cache.stats().hits == 5 - 2


def test_what_was_assigned_is_seen_at_once(own: Registry) -> None:
    """Defaults, keyword defaults, code and clock that are exchanged hold from the next call on."""
    clock = FakeClock()

    @bounded(max=10, ttl=60, registry=own, clock=clock)
    def load(x: int, y: int = 2, *, z: int = 3) -> tuple[int, int, int]:
        return x, y, z

    assert load(1) == load(1) == (1, 2, 3)
    load.__defaults__ = (20,)
    assert load(1) == load(1) == (1, 20, 3)
    load.__kwdefaults__ = {"z": 30}
    assert load(1) == load(1) == (1, 20, 30)
    load.__code__ = (lambda x, y=0, *, z=0: (z, y, x)).__code__
    assert load(1) == load(1) == (30, 20, 1)
    load.cache.clear()
    assert load(1) == (30, 20, 1)
    assert load.cache.stats().size == 1
    load.cache.resize(500)
    assert came_by(lambda: load(1)) == ((30, 20, 1), False)
