"""A flight is born whole, whoever makes it."""

import asyncio
import re

import pytest

from memo._base import Clock
from memo._flight.flight import BACKGROUND, CALL, InFlight, TaskFlight, born, task_flight
from memo._flight.templates import BIRTH


def set_of(flight: InFlight) -> dict[str, object]:
    """The attributes that are set, and to what."""
    names = {name for kind in type(flight).__mro__ for name in getattr(kind, "__slots__", ())} - {"__weakref__"}
    return {name: getattr(flight, name) for name in names if hasattr(flight, name)}


def test_a_wrapper_makes_a_flight_as_others_do() -> None:
    """The lines of generated wrappers set what born() sets, to the same."""
    text = "\n".join(str(line).replace("$flight", "flight") for line in BIRTH)
    namespace = {"Flight": InFlight, "CALL": CALL, "RUNNING": "running"}
    exec(re.sub(r"\$(\w+)", r"\1", text), namespace)
    made = namespace["flight"]
    assert isinstance(made, InFlight)
    assert set_of(made) == set_of(born(InFlight(), CALL))


@pytest.mark.parametrize("purpose", [CALL, BACKGROUND])
def test_the_flight_of_a_task_is_born_as_that_of_a_thread(purpose: str) -> None:
    """What both have is set to the same, but who is present, who leads, since when and for which key."""
    loop = asyncio.new_event_loop()
    try:
        made = set_of(task_flight("key", loop, Clock(lambda: 7.0), purpose))
    finally:
        loop.close()
    common = set_of(born(InFlight(), purpose))
    assert made.items() >= (common | {"key": "key", "present": 1, "started": 7.0}).items()
    assert made.keys() == set(TaskFlight.__slots__) - {"__weakref__"} | common.keys() | {"leader", "started"}
