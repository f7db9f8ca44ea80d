"""Lines of tiers: each stands for a process of its own, and a follower that notes what it is told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kit.threads import until
from memo.shared._line import Line
from memo.shared._names import Names
from memo.shared._pending import Change
from memo.shared._wire import Wire

__all__ = ("FUNCTION", "Heard", "Owner", "Party", "change", "party")

FUNCTION = b"bot.f"


class Owner:
    """What a line belongs to."""


class Heard:
    """A follower that notes what it is told, and does *then* with it."""

    def __init__(self, then: Callable[[Any], object] = lambda told: None) -> None:
        self.told: list[Any] = []
        self._then = then

    def _note(self, told: Any) -> None:
        self.told.append(told)
        self._then(told)

    def drop_digests(self, digests: Sequence[bytes]) -> None:
        for digest in digests:
            self._note(digest)

    def drop_tag(self, digest: bytes) -> None:
        self._note(("tag", digest))

    def drop_all(self) -> None:
        self._note("all")

    def tidy(self, steps: int) -> None:
        pass


class Party:
    """A line, its wire, and one function of it."""

    def __init__(
        self, url: str, prefix: str, then: Callable[[Any], object] = lambda told: None, **options: Any
    ) -> None:
        self.owner = Owner()
        self.names = Names(prefix)
        self.wire = Wire(url, timeout_s=options.pop("wire_timeout_s", 1.0), connections=2)
        self.heard = Heard(then)
        given = {"log_size": 10_000, "timeout_s": 1.0, **options}
        self.line = Line(self.owner, prefix, self.wire, self.wire.breaker, self.names, **given)
        self.line.follow(FUNCTION, self.heard)

    def begin(self) -> "Party":
        """Have it know its place in the log."""
        assert self.is_settled()
        return self

    def is_settled(self, digest: bytes | None = None, timeout_s: float = 5.0) -> bool:
        return self.line.settled(FUNCTION, digest, (), timeout_s)

    def say(self, *digests: bytes) -> None:
        for digest in digests:
            self.line.say(change(self.names, digest))

    def is_up(self) -> None:
        until(lambda: self.line.state == "up")

    def close(self) -> None:
        self.line.close()
        self.wire.close()


def change(names: Names, digest: bytes, **more: Any) -> Change:
    """A change of one key."""
    return Change(FUNCTION, digest, names.value(FUNCTION, digest), **more)


@contextmanager
def party(url: str, prefix: str, number: int = 2, **options: Any) -> Iterator[list[Party]]:
    """So many lines of one tier, as of so many processes, at work."""
    lines = [Party(url, prefix, **options) for _ in range(number)]
    try:
        yield [one.begin() for one in lines]
    finally:
        for one in lines:
            one.close()
