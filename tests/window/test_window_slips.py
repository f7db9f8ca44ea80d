"""What was probably meant: a look back beyond the window, and a quantile where a percentage is asked for."""

import asyncio
import warnings
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from memo import Registry, sliding_window
from memo.testing import FakeClock


def watched(span: str) -> Any:
    clock = FakeClock()

    @sliding_window(span, name="bot.fetch", registry=Registry(), clock=clock)
    def work(seconds: int) -> None:
        clock.advance(seconds)
        if seconds == 3:
            raise ValueError

    for seconds in (1, 2, 3):
        try:
            work(seconds)
        except ValueError:
            pass
    return work


READS: dict[str, Callable[[Any, Any], object]] = {
    "count": lambda window, last: window.count(last),
    "rate": lambda window, last: window.rate("1m", last),
    "error_ratio": lambda window, last: window.error_ratio(last=last),
    "percentile": lambda window, last: window.percentile(95, last),
    "events": lambda window, last: window.events(last),
    "errors": lambda window, last: window.errors(last=last),
}


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize("last", ["2h", 3601, timedelta(days=2), "60m 1ms"])
def test_longer_than_the_window(method: str, last: Any) -> None:
    """The answer is that of the whole window, with a warning that says so, at the line that asked."""
    window = watched("1h").window
    with pytest.warns(UserWarning, match="longer") as caught:
        answer = READS[method](window, last)
    assert answer == READS[method](window, None)
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith(f"bot.fetch.window.{method}: last={last!r} is longer than the window, ")
    assert "the last 1h only" in text
    assert warning.filename == __file__


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize("last", [None, "1h", 3600, 3600.0, timedelta(hours=1), "59m"])
def test_no_longer_than_the_window(method: str, last: Any) -> None:
    """Whatever the window can answer is asked without a warning."""
    window = watched("1h").window
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        READS[method](window, last)


def test_on_methods_and_coroutines() -> None:
    """A handle that is reached through an instance, and one of a coroutine function, warn at the caller's line too."""

    class Service:
        @sliding_window("1m")
        async def fetch(self) -> None: ...

    service = Service()
    asyncio.run(service.fetch())
    for handle in (service.fetch.window, Service.fetch.window):
        with pytest.warns(UserWarning, match=r"last='1h' is longer .* the last 1m only") as caught:
            assert handle.count("1h") == 1
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("q", "meant"), [(0.95, "95"), (0.5, "50"), (0.999, "99.9"), (Fraction(1, 4), "25"), (1e-9, "1e-07")]
)
def test_a_quantile_for_a_percentage(q: Any, meant: str) -> None:
    """What lies between 0 and 1 is refused, with the number to write."""
    window = watched("1h").window
    with pytest.raises(ValueError, match="is less than one percent") as caught:
        window.percentile(q)
    assert str(caught.value).startswith(f"bot.fetch.window.percentile: q={q!r} ")
    assert f"write {meant} " in str(caught.value)


@pytest.mark.parametrize("q", [0, 0.0, 1, 1.0, 1.5, 50, 99.9, 100])
def test_percentages(q: float) -> None:
    """From 0, the shortest, and from one percent on every number is one."""
    assert watched("1h").window.percentile(q) is not None


def test_both_ends() -> None:
    """0 is the shortest call and 100 the longest."""
    window = watched("1h").window
    assert window.percentile(0) == pytest.approx(1, rel=0.05)
    assert window.percentile(100) == pytest.approx(3, rel=0.05)
