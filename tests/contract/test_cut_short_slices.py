"""What an exception leaves that strikes what goes through a large store slice by slice: see ``test_cut_short``."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from kit.large import all_large
from kit.operations import DECORATORS, OPERATIONS, full, store
from kit.strikes import Struck, every
from kit.struck import Subject, strike_everywhere

pytestmark = [pytest.mark.usefixtures("quiet", "large")]

EACH = 31
"""Every so many points are struck in a quick run."""
SLICED = (
    "cache.invalidate_where", "cache.clear", "cache.cleanup", "cache.resize", "cache.items", "registry.invalidate",
)  # fmt: skip
KINDS: dict[str, Callable[..., Any]] = {
    **{name: DECORATORS[name] for name in ("lean", "lru", "random", "tags", "errors")},
    "tag": store(tags="all"),
}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of three entries are large."""
    all_large(monkeypatch)


def strike_all(kind: str, operation: str, each: int, everywhere: bool = False) -> None:
    prepare, do = OPERATIONS[operation]
    first = zlib.crc32(f"{kind} {operation}".encode()) % each
    _, wrong = strike_everywhere(
        lambda: Subject(KINDS[kind]), prepare, do, error=Struck, everywhere=everywhere, step=each, first=first
    )
    assert not wrong, f"{kind}, {operation}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("operation", SLICED)
@pytest.mark.parametrize("kind", ["lean", "lru", "tags"])
def test_a_sliced_operation_that_is_cut_short(kind: str, operation: str) -> None:
    """Some points of each operation that goes slice by slice through a store that is large enough for that."""
    strike_all(kind, operation, EACH)


@pytest.mark.stress
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("operation", SLICED)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sliced_operation_that_is_cut_short(kind: str, operation: str) -> None:
    """All of their points, and instructions."""
    strike_all(kind, operation, every(100_000))
    strike_all(kind, operation, every(400_000), everywhere=True)


def test_stores_of_three_are_large_here() -> None:
    """What is struck above is what happens at ten million entries: parts, and a giveaway."""
    subject = Subject(DECORATORS["lean"])
    full(subject)
    cache = subject.layers[0].cache
    assert cache.store.is_large
    assert len(list(cache.store.lots())) == 3
