"""An error tracker: ``python examples/errors.py``.

What went wrong in the last 24 hours: the latest thousand errors in full, exact figures however many there were, and
where most of them come from.  A day of errors passes here in a moment, since the program moves the clock itself.
"""

import random

from memo import sliding_window
from memo.testing import FakeClock

clock = FakeClock()  # leave clock= out for the real time


@sliding_window("24h", max=1_000, only=Exception, clock=clock)
def track_error(error: Exception, where: str) -> None:
    track_error.window.record_error(error, key=where)


def handle(path: str, chance: random.Random) -> None:
    if path == "/search" and chance.random() < 0.2:
        raise TimeoutError("the index did not answer")
    if chance.random() < 0.01:
        raise ValueError(f"cannot read the answer of {path}")


def main() -> None:
    chance = random.Random(1)
    for _ in range(50_000):
        clock.advance(4)  # two days and a bit, at a request every four seconds
        path = chance.choice(("/", "/search", "/help"))
        try:
            handle(path, chance)
        except Exception as error:
            track_error(error, path)

    window = track_error.window
    print(f"{window.count():,} errors in 24 hours, {window.count('1h')} of them in the last hour; ", end="")
    print(f"{len(window):,} kept in full")
    for where, count in window.by_key(3):
        print(f"  {count:4} of these came from {where}")
    latest = window.errors()[0]
    print(f"the latest: {latest.error}: {latest.message}")
    print(f"the course of the day: {window.sparkline()}")
    clock.advance("24h")
    print(f"a quiet day later: {window.count()} errors")


if __name__ == "__main__":
    main()
