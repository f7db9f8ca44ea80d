"""What a tier consists of, as its functions use it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from memo.shared._envelope import Seal
from memo.shared._line import Line
from memo.shared._links import Links
from memo.shared._names import Names
from memo.shared._wire import Wire

__all__ = ("LinkOptions", "TierParts")


class TierParts(NamedTuple):
    """What ``Tier`` makes once and all of its functions use."""

    names: Names
    wire: Wire
    """Sends commands for callers."""
    line: Line
    """Hears what others changed, and sends what callers must not wait for."""
    seal: Seal
    links: Links
    timeout_s: float
    """How long one operation takes at most."""
    lease_s: float
    """How long a lease lasts whose process has died."""
    max_value: int
    """Bytes of the largest value that is stored or read."""
    readable_keys: bool
    """Whether names on the server show keys."""


class LinkOptions(NamedTuple):
    """What ``Tier.using()`` was told, checked and in plain units."""

    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    version: str = ""
    local_ttl_s: float | None = None
    wait_s: float = 30.0
    lease_s: float | None = None
    """None: the tier's."""
    read_only: bool = False
