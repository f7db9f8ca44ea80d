"""What an exception that strikes a lease at any point leaves: what was in use is told once, and not before its end."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from kit.operations import DECORATORS, full, store
from kit.strikes import Struck, StruckError, every
from kit.struck import Subject, strike_everywhere

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    # Struck between the making of a coroutine and its ``await``, where no signal comes, it is not awaited.
    pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning"),
]

EACH = 11
"""Every so many points are struck in a quick run."""
EACH_LONG = every(20_000)
"""And in a long one."""
LEASED = {**DECORATORS, "lease_timeout": store(lease_timeout=60)}
QUICK = ("lean", "lru", "errors", "copy", "lease_timeout")


def use(subject: Subject, x: Any, then: Callable[[], object]) -> Any:
    """Lease the value of *x*, and do something while it is in use; an error keeps no lease, as it would in a log."""
    lease = subject.function.cache.lease(x)

    def in_use(value: Any) -> None:
        then()
        assert not any(told is value for _, told, _ in subject.told), "told in use"

    async def wait() -> None:
        try:
            async with lease as value:
                in_use(value)
        except BaseException as error:
            error.__traceback__ = None
            raise

    if subject.is_async:
        return wait()
    try:
        with lease as value:
            in_use(value)
    except BaseException as error:
        error.__traceback__ = None
        raise
    return None


USES: dict[str, Callable[[Subject], Any]] = {
    "a hit that stays": lambda s: use(s, 1, lambda: None),
    "a hit that leaves": lambda s: use(s, 1, lambda: s.function.cache.invalidate(1)),
    "all leave": lambda s: use(s, 1, lambda: s.function.cache.clear()),
    "a miss that evicts, and is evicted": lambda s: use(s, 7, lambda: s.function.cache.resize(max=1)),
    "put back": lambda s: use(s, 1, lambda: put_back(s)),
    "overdue": lambda s: use(s, 1, lambda: (s.clock.advance(30), s.function.cache.cleanup())),
}


def put_back(subject: Subject) -> None:
    (value,) = (value for key, value in subject.function.cache.items() if key == 1)
    subject.missed += 1  # it leaves, and nobody is told, since it comes back
    subject.function.cache.invalidate(1)
    subject.function.cache.put(value, 1)


def strike(decorator: str, how: str, error: type[BaseException], is_async: bool, everywhere: bool, each: int) -> None:
    first = zlib.crc32(f"{decorator} {how}".encode()) % each
    _, wrong = strike_everywhere(
        lambda: Subject(LEASED[decorator], is_async), full, USES[how],
        error=error, everywhere=everywhere, step=each, first=first, check=no_lease_is_left,
    )  # fmt: skip
    assert not wrong, f"{decorator}, {how}:\n" + "\n".join(wrong)


def no_lease_is_left(subject: Subject) -> None:
    assert subject.function.cache.stats().leases == 0, "a lease is thought to be under way"


@pytest.mark.parametrize("how", USES)
@pytest.mark.parametrize("decorator", QUICK)
def test_a_lease_that_is_cut_short(decorator: str, how: str) -> None:
    """Some points of leases of a plain function's values."""
    strike(decorator, how, Struck, is_async=False, everywhere=False, each=EACH)


@pytest.mark.parametrize("how", USES)
def test_an_awaited_lease_that_is_cut_short(how: str) -> None:
    """Some points of leases of a coroutine function's values."""
    strike("lean", how, Struck, is_async=True, everywhere=False, each=EACH)


@pytest.mark.stress
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("how", USES)
@pytest.mark.parametrize("decorator", [name for name in LEASED if name not in ("dedupe", "stack, upside down")])
def test_every_point_of_a_lease(decorator: str, how: str, is_async: bool) -> None:
    """Every point where signals come, and every instruction."""
    strike(decorator, how, Struck, is_async, everywhere=False, each=EACH_LONG)
    strike(decorator, how, StruckError, is_async, everywhere=True, each=3 * EACH_LONG)
