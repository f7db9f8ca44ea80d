"""Clocks, and plain lists to compare a recorder with."""

from __future__ import annotations

from memo._base import failure_text, stored_key
from memo._window.events import Raw
from memo._window.intake import Intake
from memo._window.recorder import Recorder
from memo._window.stats import Outcome

__all__ = (
    "Clock",
    "held",
    "make",
    "note",
)


class Clock:
    """A clock that shows what the test sets."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(
    span_s: float = 60.0,
    max_events: int = 1000,
    clock: Clock | None = None,
    wall: Clock | None = None,
) -> tuple[Recorder, Clock]:
    clock = clock or Clock()
    intake = Intake(span_s=span_s, max_events=max_events, only=None, clock=clock, wall=wall or Clock(1e9))
    return Recorder(intake), clock


def held(recorder: Recorder) -> list[Raw]:
    """The events that a recorder holds, those that wait to be entered included."""
    intake = recorder.intake
    return [*intake.contents.kept.values(), *intake._pending]


def note(
    recorder: Recorder,
    clock: Clock,
    duration: float = 0.0,
    outcome: Outcome = "ok",
    key: object = "k",
    error: BaseException | None = None,
) -> None:
    """Record a call that ends now, as a generated wrapper and what it calls do."""
    detail = failure_text(error) if outcome == "error" else outcome
    recorder.intake.note(clock.now - duration, clock.now, detail, stored_key(key))
