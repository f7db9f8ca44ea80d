"""Fixtures that several tests of cache share."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.freshness import BOTH, EVERY, Make, Scene
from kit.paper_tier import PaperTier
from kit.refresh_pool import Gates
from kit.shared_functions import KINDS, MakeProcess, Process
from kit.threads import until

from memo._cache import refresh_pool
from memo.testing import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where to dump; afterwards nothing but dumps is there."""
    yield tmp_path / "profiles.memo"
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".tmp"] == []


@pytest.fixture
def make_at() -> Iterator[Callable[..., Scene]]:
    with contextlib.ExitStack() as scenes:

        def make(place: Any, **options: Any) -> Scene:
            scene = Scene(place, "coroutine" in place.__name__ or "async" in place.__name__, **options)
            scenes.callback(scene.close)
            return scene

        yield make


@pytest.fixture(params=BOTH, ids=lambda place: place.__name__)
def make(request: pytest.FixtureRequest, make_at: Any) -> Make:
    """A function or a coroutine function."""
    return lambda **options: make_at(request.param, **options)


@pytest.fixture(params=EVERY, ids=lambda place: place.__name__)
def make_everywhere(request: pytest.FixtureRequest, make_at: Any) -> Make:
    """A function in any placement."""
    return lambda **options: make_at(request.param, **options)


@pytest.fixture
def gates() -> Iterator[Gates]:
    gates = Gates()
    yield gates
    gates.opened.set()
    until(lambda: not gates.running)


@pytest.fixture
def _others_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle threads of other tests end, and those of this one soon do."""
    monkeypatch.setattr(refresh_pool, "_IDLE_S", 0.01)


@pytest.fixture
def paper_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def paper(paper_clock: FakeClock) -> PaperTier:
    return PaperTier(paper_clock)


@pytest.fixture(params=KINDS)
def process(request: pytest.FixtureRequest, paper: PaperTier) -> MakeProcess:
    """Makes processes of one tier; each has the function in the colour of this test."""
    return lambda **options: Process(paper, request.param, **options)
