"""What an exception that strikes any public operation at any point leaves: no lock, nothing half-done, nothing untold.

Each operation is struck at each of its points, on a new function each time: some of them in a quick run, more in the
long one, which is behind the marker ``stress``.  Its length is told as that of the other long runs::

    MEMO_STRESS_OPERATIONS=20000 python -m pytest -m stress tests/contract tests/store -k "cut_short or struck"

takes a quarter of an hour at most, and less than 100 MB.  By default, with 200,000, every point is struck where
signals come, and with 800,000 every instruction that can fail at all.
"""

import gc
import zlib

import pytest
from kit.operations import DECORATORS, OPERATIONS, QUICK, suits
from kit.strikes import Struck, StruckError, every
from kit.struck import Subject, strike_everywhere

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    # Struck between the making of a coroutine and its ``await``, where no signal comes, it is not awaited.
    pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning"),
]

EACH = 37
"""Every so many points are struck in a quick run."""
EACH_POINT_LONG = every(100_000)
"""Likewise in a long one, of the points where signals come; """
EACH_INSTRUCTION_LONG = every(800_000)
"""and of all instructions."""


def strike_all(
    decorator: str, operation: str, error: type[BaseException], everywhere: bool, is_async: bool, each: int
) -> None:
    if not suits(decorator, operation, is_async):
        return
    prepare, do = OPERATIONS[operation]
    # other points for each operation, but always the same ones
    first = zlib.crc32(f"{decorator} {operation}".encode()) % each
    _, wrong = strike_everywhere(
        lambda: Subject(DECORATORS[decorator], is_async), prepare, do,
        error=error, everywhere=everywhere, step=each, first=first,
    )  # fmt: skip
    assert not wrong, f"{decorator}, {operation}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("decorator", QUICK)
def test_an_operation_that_is_cut_short(decorator: str, operation: str) -> None:
    """Some points of each operation of some decorated functions."""
    strike_all(decorator, operation, Struck, everywhere=False, is_async=False, each=EACH)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("decorator", ["errors", "dedupe", "scope"])
def test_an_awaited_operation_that_is_cut_short(decorator: str, operation: str) -> None:
    """Some points of each operation of some decorated coroutine functions."""
    strike_all(decorator, operation, Struck, everywhere=False, is_async=True, each=EACH)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_fallback_that_is_cut_short(is_async: bool) -> None:
    """Some points of a call that it answers."""
    strike_all("fallback", "failure", Struck, everywhere=False, is_async=is_async, each=EACH)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("operation", ["cache.refresh", "cache.within, old"])
@pytest.mark.parametrize("decorator", ["lean", "alone"])
def test_a_load_that_is_no_call_and_is_cut_short(
    decorator: str, operation: str, error: type[BaseException], is_async: bool
) -> None:
    """Wherever it is struck, the executions that began are those that ended."""
    strike_all(decorator, operation, error, everywhere=False, is_async=is_async, each=1)


@pytest.mark.stress
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("decorator", DECORATORS)
def test_every_operation_that_is_cut_short(decorator: str, error: type[BaseException], is_async: bool) -> None:
    """Every operation of every decorated function, at points and at instructions."""
    for operation in OPERATIONS:
        strike_all(decorator, operation, error, everywhere=False, is_async=is_async, each=EACH_POINT_LONG)
        strike_all(decorator, operation, error, everywhere=True, is_async=is_async, each=EACH_INSTRUCTION_LONG)
    gc.collect()  # what might warn does so here
