"""Ways in which tests of programs move the time that these see."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import pytest

__all__ = (
    "FREEZES",
    "FUTURE",
    "PAST",
    "freezegun",
    "patched",
    "time_machine",
)

FUTURE = "2080-05-05"  # and 54 years fresh

PAST = "1980-05-05"


def freezegun(when: str, **options: Any) -> AbstractContextManager[object]:
    return importlib.import_module("freezegun").freeze_time(when, **options)  # type: ignore[no-any-return]


def time_machine(when: str, **options: Any) -> AbstractContextManager[object]:
    return importlib.import_module("time_machine").travel(when, **options)  # type: ignore[no-any-return]


@contextlib.contextmanager
def patched(seconds: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("time.monotonic", lambda: seconds)
        monkeypatch.setattr("time.time", lambda: seconds)
        yield


FREEZES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "freezegun, ahead": lambda: freezegun(FUTURE),
    "freezegun, back": lambda: freezegun(PAST),
    "freezegun, ticking": lambda: freezegun(FUTURE, tick=True),
    "freezegun, ticking itself": lambda: freezegun(FUTURE, auto_tick_seconds=1000),
    "time-machine": lambda: time_machine(FUTURE, tick=False),
    "time-machine, ticking": lambda: time_machine(FUTURE),
    "exchanged, ahead": lambda: patched(4e9),
    "exchanged, back": lambda: patched(0.0),
    "mock.patch, a mock": lambda: mock.patch("time.monotonic", return_value=4e9),
}
