"""``Shared``: a tier, as one function uses it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memo._base import Duration, check_plain, format_seconds, given_text, seconds
from memo._cache import Link, LinkTerms
from memo.shared._link import FunctionLink
from memo.shared._names import function_label
from memo.shared._parts import LinkOptions

__all__ = ("Shared",)

_WHERE = "Tier.using"


@dataclass(frozen=True, init=False, repr=False, slots=True)
class Shared:
    """A tier with what one function, or several, want of it: what ``Tier.using()`` returns, for ``bounded(shared=)``.

    Nobody can change it, and it may serve any number of functions.  Making one opens nothing.

    Args:
        tier: The ``Tier``.
        encode: Makes of a result what can be written: ``dataclasses.asdict``, say.  Called where the load ran, in the
            event loop if it ran there; what it raises is logged, and the result is kept in that process alone.
        decode: Makes a result of that again, in any process; what it raises is logged, and the value is loaded anew.
            Should make nothing that has to be closed: what nobody can use goes, and ``on_evict`` is not told.
        version: Of the values: functions that give different ones share nothing.  For results that are not any more
            what they were.
        local_ttl: For how long one process keeps a value at most; None: as long as it is fresh.
        wait: How long to wait for another process's load of the same key; then it is loaded here, too, and the result
            is kept here alone.  0: do not wait.  A plain function that is called in an event loop's thread never waits.
        lease: For how long others wait for a load whose process has died; None: what the tier says.
        read_only: Take values from the tier and change nothing there: what is missing is loaded and kept here alone,
            and ``put()``, ``invalidate()`` and the like are about this process.

    Raises:
        TypeError: An option is of the wrong type, or one of *encode* and *decode* is given alone.
        ValueError: A duration is negative, none, or a lease too short for the tier's timeout.
    """

    __module__ = "memo.shared"

    tier: Any
    """The ``Tier``."""
    encode: Callable[[Any], Any] | None
    """Makes of a result what can be written."""
    decode: Callable[[Any], Any] | None
    """Makes a result of that again."""
    version: str
    """Of the values."""
    local_ttl: float | None
    """Seconds for which one process keeps a value at most; None: as long as it is fresh."""
    wait: float
    """Seconds to wait for another process's load at most."""
    lease: float | None
    """Seconds for which others wait for a load whose process has died; None: what the tier says."""
    read_only: bool
    """Whether nothing is changed on the tier."""

    def __init__(
        self,
        tier: Any,
        *,
        encode: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], Any] | None = None,
        version: str = "",
        local_ttl: Duration | None = None,
        wait: Duration = "30s",
        lease: Duration | None = None,
        read_only: bool = False,
    ) -> None:
        _check_coding(encode, decode)
        if not isinstance(version, str):
            raise TypeError(f"{_WHERE}: version={given_text(version)} is not text; write for example version='2'.")
        if not isinstance(read_only, bool):
            raise TypeError(f"{_WHERE}: read_only={given_text(read_only)} is not a bool; write True or False.")
        lease_s = None if lease is None else seconds(lease, where=_WHERE, option="lease")
        timeout_s = tier._parts.timeout_s
        if lease_s is not None and lease_s <= timeout_s:
            raise ValueError(
                f"{_WHERE}: lease={given_text(lease)} is not longer than the tier's timeout, which is"
                f" {format_seconds(timeout_s)}, and would end before it could be renewed; give some times as much."
            )
        settings: dict[str, Any] = {
            "tier": tier,
            "encode": encode,
            "decode": decode,
            "version": version,
            "local_ttl": None if local_ttl is None else seconds(local_ttl, where=_WHERE, option="local_ttl"),
            "wait": seconds(wait, where=_WHERE, option="wait", zero_ok=True),
            "lease": lease_s,
            "read_only": read_only,
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown = [
            f"{option}={getattr(self, option)!r}"
            for option in ("version", "local_ttl", "wait", "lease", "read_only")
            if getattr(self, option) not in (None, "", False)
        ]
        return f"Shared({', '.join([repr(self.tier), *shown])})"

    def link(self, terms: LinkTerms) -> Link:
        """The way of one function to the tier: what ``bounded`` asks for as it decorates.

        Raises:
            ValueError: ``local_ttl`` is longer than the function's ``ttl``, or another living function has its name.
        """
        if self.local_ttl is not None and terms.ttl_s is not None and self.local_ttl > terms.ttl_s:
            raise ValueError(
                f"bounded: local_ttl={format_seconds(self.local_ttl)} of shared= is longer than"
                f" ttl={format_seconds(terms.ttl_s)}; shorten it, or leave it out to keep values as long as they are"
                " fresh."
            )
        parts = self.tier._parts
        label = function_label(terms.name, self.version)
        options = LinkOptions(
            self.encode, self.decode, self.version, self.local_ttl, self.wait, self.lease, self.read_only
        )
        link = FunctionLink(self.tier, parts, terms, options, label)
        if not parts.links.enter(label, link, terms.place, is_named=terms.is_named):
            version = f" and version={self.version!r}" if self.version else ""
            raise ValueError(
                f"bounded: another function shares its results by this tier as {terms.name!r}{version}; give one of"
                " them a name= of its own, or Tier.using(version=)."
            )
        parts.line.follow(label, link.follower)
        return link


def _check_coding(encode: Any, decode: Any) -> None:
    for option, given in (("encode", encode), ("decode", decode)):
        if given is not None and not callable(given):
            raise TypeError(
                f"{_WHERE}: {option}={given_text(given)} is not callable; give a function of one value, or None."
            )
        if given is not None:
            check_plain(_WHERE, option, given)
    if (encode is None) is not (decode is None):
        alone, given, missing = ("encode", encode, "decode") if decode is None else ("decode", decode, "encode")
        raise TypeError(
            f"{_WHERE}: {alone}={given_text(given)} is given without {missing}=; give both, so that what one process"
            " writes another one can read."
        )
