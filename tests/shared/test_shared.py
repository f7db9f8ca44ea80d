"""``Tier.using()``: its options, and the links that are made with them."""

import dataclasses
import gc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from kit.links import Member, Somewhere

from memo.shared import Shared


@pytest.fixture
def tier() -> Iterator[Member]:
    """One that nobody connects to."""
    made = Member("valkey://127.0.0.1:1", "p", timeout_s=0.25)
    yield made
    made.close()


def test_options_are_seen_in_seconds(tier: Member) -> None:
    """Durations may be given as everywhere; what nobody gives has its default."""
    made = Shared(tier, version="2", local_ttl="1m", wait=0, lease=timedelta(seconds=20), read_only=True)
    assert (made.local_ttl, made.wait, made.lease, made.read_only, made.version) == (60, 0, 20, True, "2")
    assert made.tier is tier
    plain = Shared(tier)
    assert (plain.local_ttl, plain.wait, plain.lease, plain.read_only, plain.version) == (None, 30, None, False, "")


def test_nobody_changes_it(tier: Member) -> None:
    """It is frozen, equal to another one of the same options, and shows those that were given."""
    made = Shared(tier, version="2")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.version = "3"  # type: ignore[misc]
    assert made == Shared(tier, version="2")
    assert hash(made) == hash(Shared(tier, version="2"))
    assert made != Shared(tier)
    assert repr(made) == f"Shared({tier!r}, version='2', wait=30.0)"


async def _awaited(value: Any) -> Any:
    return value


class _Awaited:
    async def __call__(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"encode": str}, TypeError, r"encode=<class 'str'> is given without decode="),
        ({"decode": str}, TypeError, r"decode=<class 'str'> is given without encode="),
        ({"encode": 1, "decode": 2}, TypeError, r"encode=1 is not callable"),
        ({"encode": _awaited, "decode": str}, TypeError, r"encode=<function .*> is a coroutine function"),
        ({"encode": str, "decode": _awaited}, TypeError, r"decode=<function .*> is a coroutine function"),
        ({"encode": str, "decode": _Awaited()}, TypeError, r"decode=<.*> is a coroutine function, which nobody"),
        ({"version": 2}, TypeError, r"version=2 is not text"),
        ({"read_only": 1}, TypeError, r"read_only=1 is not a bool"),
        ({"local_ttl": 0}, ValueError, r"local_ttl=0 is zero"),
        ({"wait": -1}, ValueError, r"wait=-1 is negative"),
        ({"wait": None}, TypeError, r"wait=None"),
        ({"lease": "soon"}, ValueError, r"lease='soon'"),
        ({"lease": "200ms"}, ValueError, r"lease='200ms' is not longer than the tier's timeout, which is 250 ?ms"),
    ],
)
def test_bad_options_are_refused(tier: Member, options: dict[str, Any], error: type[Exception], text: str) -> None:
    """The message names the option, the value, and the remedy."""
    with pytest.raises(error, match=rf"^Tier\.using: {text}"):
        Shared(tier, **options)


def test_local_ttl_is_no_longer_than_ttl(tier: Member) -> None:
    """It could keep a value here that has ended everywhere; a ttl that is a function is not known before."""
    tier.link(ttl_s=60, local_ttl="1m")
    tier.link("g", ttl_s=None, local_ttl="1h")
    with pytest.raises(ValueError, match="local_ttl=1m 1s of shared= is longer than ttl=1m"):
        tier.link("h", ttl_s=60, local_ttl=61)


def test_two_living_functions_have_two_names(tier: Member) -> None:
    """A second one of the same name and version is refused; with another version, or once the first is gone, not."""
    first = tier.link("f")
    with pytest.raises(ValueError, match=r"as 'f'; give one of them a name= of its own, or Tier\.using\(version=\)"):
        tier.link("f")
    second = tier.link("f", version="2")
    with pytest.raises(ValueError, match="as 'f' and version='2'"):
        tier.link("f", version="2")
    assert second.tier is tier
    first.circle = first
    del first
    tier.link("f")


def test_a_function_that_is_decorated_once_more_takes_over(tier: Member) -> None:
    """As by a reload: the name goes to the latest, and the earlier one goes on."""
    first = tier.link("f", place=Somewhere("here"))
    second = tier.link("f", place=Somewhere("here"))
    with pytest.raises(ValueError, match="another function"):
        tier.link("f", place=Somewhere("there"))
    del second
    gc.collect()
    with pytest.raises(ValueError, match="another function"):
        tier.link("f", place=Somewhere("there"))
    del first
    tier.link("f", place=Somewhere("there"))
