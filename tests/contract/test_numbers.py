"""Numbers of every kind are numbers: numpy's, fractions, decimals, what has ``__index__``; booleans are none."""

import asyncio
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock


class Index:
    """No number of the tower, but usable as one."""

    def __index__(self) -> int:
        return 10

    def __repr__(self) -> str:
        return "Index"


class Odd:
    """Neither number nor anything else that makes sense."""

    def __index__(self) -> int:
        raise RuntimeError("no")

    def __float__(self) -> float:
        return 10.0


def kinds() -> list[Any]:
    numpy = pytest.importorskip("numpy")
    return [numpy.int64(10), numpy.uint8(10), numpy.float32(10), numpy.float64(10), numpy.array(10)]


TENS: list[Any] = [10, 10.0, Fraction(10), Decimal(10), Index(), *[f"numpy {place}" for place in range(5)]]


@pytest.fixture(params=TENS, ids=repr)
def ten(request: pytest.FixtureRequest) -> Any:
    return kinds()[int(request.param[-1])] if isinstance(request.param, str) else request.param


def test_sizes_that_functions_return(ten: Any, own: Registry) -> None:
    """What ``sizeof=`` returns is counted, of whatever kind of number it is."""
    plain = bounded(max_bytes=100_000, sizeof=lambda value: ten, registry=own)(lambda x: x)

    @bounded(max_bytes=100_000, sizeof=lambda value: ten, registry=own)
    async def awaited(x: int) -> int:
        return x

    exact = bounded(max_bytes=100_000, sizeof=lambda value: 10, registry=own)(lambda x: x)
    assert plain(1) == asyncio.run(awaited(1)) == exact(1)
    assert len(plain.cache) == len(awaited.cache) == 1
    assert plain.cache.stats().bytes == awaited.cache.stats().bytes == exact.cache.stats().bytes
    assert type(plain.cache.stats().bytes) is int


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru", "lfu"])
def test_lives_that_functions_return(ten: Any, policy: str, own: Registry) -> None:
    """What ``ttl=`` returns is seconds."""
    clock = FakeClock()
    fetch = bounded(max=5, ttl=lambda value: ten, clock=clock, policy=policy, registry=own)(lambda x: x)
    fetch(1)
    clock.advance(9)
    fetch(1)
    clock.advance(1)
    fetch(1)
    assert (fetch.cache.stats().hits, fetch.cache.stats().misses) == (1, 2)


def test_durations(ten: Any, own: Registry) -> None:
    """Every duration may be any real number of seconds."""
    clock = FakeClock(0.0)
    fetch = bounded(
        max=5, ttl=ten, idle=ten, timeout=ten, stale_while_revalidate=ten, stale_if_error=ten, soft_timeout=ten,
        error_ttl=ten, clock=clock, registry=own,
    )(lambda x: x)  # fmt: skip
    fetch(1)
    entry = fetch.cache.entry(1)
    assert entry is not None
    assert entry.expires_in == 10.0
    assert dedupe_inflight(timeout=ten, registry=own)(abs)(-1) == 1
    watched = sliding_window(ten, clock=clock, registry=own)(lambda x: x)
    watched(1)
    assert watched.window.stats().span == 10.0
    assert watched.window.count(last=ten) == watched.window.rate(per=ten) == 1
    assert watched.window.percentile(ten) is not None
    clock.advance(ten)
    assert clock() == 10.0
    assert watched.window.count() == 0
    assert fetch.cache.within(ten) is not None


@pytest.mark.parametrize("place", [0, 1, 4])
def test_counts(place: int, own: Registry) -> None:
    """Every count may be any whole number with ``__index__``."""
    ten = kinds()[place]
    fetch = bounded(max=ten, max_bytes=ten, registry=own)(lambda x: x)
    assert (fetch.cache.stats().max, fetch.cache.stats().max_bytes) == (10, 10)
    fetch.cache.resize(max=ten, max_bytes=ten)
    watched = sliding_window("1h", max=ten, registry=own)(lambda x: x)
    watched(1)
    assert len(watched.window.series(buckets=ten)) == 10
    assert len(watched.window.by_key(ten)) == 1


def test_shares(own: Registry) -> None:
    """``jitter=`` may be any real number."""
    numpy = pytest.importorskip("numpy")
    for jitter in (Fraction(1, 2), Decimal("0.5"), numpy.float32(0.5), numpy.float64(0.5)):
        fetch = bounded(max=5, ttl=10, jitter=jitter, registry=own)(lambda x: x)
        fetch(1)
        entry = fetch.cache.entry(1)
        assert entry is not None
        assert entry.expires_in is not None
        assert 4.9 < entry.expires_in <= 10


def test_spans_of_numpy(own: Registry) -> None:
    """A span of numpy's is as long as it says, in whatever unit."""
    numpy = pytest.importorskip("numpy")
    for span, seconds in ((numpy.timedelta64(2, "h"), 7200), (numpy.timedelta64(1500, "ms"), 1.5)):
        watched = sliding_window(span, registry=own)(abs)
        assert watched.window.stats().span == seconds
    with pytest.raises(ValueError, match="not finite"):
        bounded(max=5, ttl=numpy.timedelta64("NaT", "s"))


def no_numbers() -> list[Any]:
    numpy = pytest.importorskip("numpy")
    return [True, numpy.bool_(True), numpy.array([10]), numpy.array(1.5), 1j, numpy.complex128(1), Odd(), b"10"]


@pytest.mark.parametrize("place", range(8))
def test_what_is_no_number(place: int, own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """Booleans, numpy's too, arrays and complex numbers are refused at decoration, and not stored if returned."""
    value = no_numbers()[place]
    options: list[dict[str, Any]] = [{"ttl": value}, {"idle": value}, {"ttl": 5, "jitter": value}, {"max_bytes": value}]
    if not isinstance(value, bytes):
        options.append({"max": value})
    for given in options:
        with pytest.raises((TypeError, RuntimeError)):
            bounded(**{"max": 5, **given})
    with pytest.raises(TypeError):
        dedupe_inflight(timeout=value)
    with pytest.raises(TypeError):
        sliding_window(value)
    watched = sliding_window("1h", registry=own)(abs)
    with pytest.raises(TypeError):
        watched.window.percentile(value)
    for given in ({"max_bytes": 1000, "sizeof": lambda _: value}, {"max": 5, "ttl": lambda _: value}):
        fetch = bounded(**given, registry=own)(lambda x: x)
        assert fetch(1) == 1
        assert (len(fetch.cache), fetch.cache.stats().rejected) == (0, 1)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Fraction(10**400, 3), 10**400]
)
def test_what_is_not_finite(value: Any, own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What is not finite, or too large for a float, is refused as before, whatever kind of number it is."""
    with pytest.raises(ValueError, match="not finite"):
        bounded(max=5, ttl=value)
    fetch = bounded(max=5, ttl=lambda _: value, registry=own)(lambda x: x)
    fetch(1)
    assert (len(fetch.cache), fetch.cache.stats().rejected) == (0, 1)
    if not isinstance(value, int):
        weighed = bounded(max_bytes=1000, sizeof=lambda _: value, registry=own)(lambda x: x)
        weighed(1)
        assert (len(weighed.cache), weighed.cache.stats().rejected) == (0, 1)
