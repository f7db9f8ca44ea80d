"""What users write by mistake is refused with what they probably meant."""

import asyncio
import dataclasses
import enum
import inspect
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from memo import Registry, bounded, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock

DECORATORS: list[Callable[..., Any]] = [bounded, dedupe_inflight, sliding_window]

MEANT: list[tuple[Callable[..., Any], str, str]] = [
    *((bounded, option, "max") for option in (
        "maxsize", "max_size", "size", "maxlen", "max_len", "capacity", "limit", "max_entries", "max_items", "Max",
        "max_", "MAXSIZE", "mx_size",
    )),
    *((bounded, option, "ttl") for option in (
        "expire", "expires", "expiry", "expiration", "ttl_seconds", "ttl_s", "lifetime", "max_age", "maxage", "age",
        "expires_in", "time_to_live", "TTL", "seconds",
    )),
    *((bounded, option, "clock") for option in ("timer", "time", "now", "clok")),
    *((bounded, option, "max_bytes") for option in ("maxbytes", "max_memory", "memory", "max_byte")),
    *((bounded, option, "sizeof") for option in ("getsizeof", "weigher", "size_of")),
    *((bounded, option, "key") for option in ("key_func", "keyfunc", "key_builder", "make_key", "keys")),
    *((bounded, option, "on_evict") for option in ("on_eviction", "callback", "removal_listener", "on_evicted")),
    (bounded, "exclude", "ignore"), (bounded, "condition", "cache_if"), (bounded, "deepcopy", "copy"),
    (bounded, "tag", "tags"), (bounded, "namespace", "name"), (bounded, "eviction_policy", "policy"),
    (bounded, "time_to_idle", "idle"), (bounded, "swr", "stale_while_revalidate"), (bounded, "share", "one_shot"),
    (bounded, "tier", "shared"),
    (bounded, "stale_on_error", "stale_if_error"), (bounded, "cache_exceptions", "cache_errors"),
    (bounded, "single_flight", "dedupe"), (bounded, "time_out", "timeout"), (bounded, "type", "typed"),
    (dedupe_inflight, "deadline", "timeout"), (dedupe_inflight, "ttl", "timeout"),
    (dedupe_inflight, "timeuot", "timeout"), (dedupe_inflight, "timer", "clock"), (dedupe_inflight, "keyfunc", "key"),
    (dedupe_inflight, "tag", "tags"),
    (sliding_window, "maxlen", "max"), (sliding_window, "maxsize", "max"), (sliding_window, "exceptions", "only"),
    (sliding_window, "span", "window"), (sliding_window, "period", "window"), (sliding_window, "seconds", "window"),
    (sliding_window, "timer", "clock"),
    (limit, "max_calls", "rate"), (limit, "max_keys", "keys"), (limit, "max_wait", "max_delay"),
    (limit, "rate_limit", "rate"),
]  # fmt: skip


@pytest.mark.parametrize(("decorator", "option", "meant"), MEANT, ids=lambda value: getattr(value, "__name__", value))
def test_the_option_that_was_meant(decorator: Callable[..., Any], option: str, meant: str) -> None:
    """An option by the name that other libraries give it, or misspelled, is refused with its name here."""
    name = decorator.__name__
    with pytest.raises(TypeError) as caught:
        decorator(**{option: 5})
    assert str(caught.value) == f"{name}() got an unexpected keyword argument {option!r}; did you mean {meant}=?"


@pytest.mark.parametrize("decorator", DECORATORS)
def test_what_means_nothing_shows_the_options(decorator: Callable[..., Any]) -> None:
    """An option that is like no other is refused with all that there are."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'xyzzy'; its options are .*ignore.*clock\.$"):
        decorator(xyzzy=5)


@pytest.mark.parametrize("decorator", DECORATORS)
def test_signatures_are_honest(decorator: Callable[..., Any]) -> None:
    """No parameter that takes any name shows in a decorator's signature, name or text."""
    parameters = inspect.signature(decorator).parameters.values()
    assert not any(parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in parameters)
    assert {"key", "registry", "clock"} <= {parameter.name for parameter in parameters}
    assert decorator.__module__.startswith("memo")
    assert "Args:" in (decorator.__doc__ or "")


class Service:
    def __init__(self, name: str) -> None:
        self.name = name


@dataclasses.dataclass
class Record:
    name: str


class Row(NamedTuple):
    name: str


class Colour(enum.Enum):
    RED = 1


class Meta(type):
    pass


class Odd(metaclass=Meta):
    pass


@pytest.mark.parametrize("kind", [Service, Record, Row, Colour, Meta, Odd, FakeClock])
@pytest.mark.parametrize(
    ("decorate", "written"),
    [
        (bounded(max=5), "@bounded(max=500)"),
        (bounded, "@bounded(max=500)"),
        (dedupe_inflight(), "@dedupe_inflight"),
        (dedupe_inflight, "@dedupe_inflight"),
        (sliding_window("1h"), '@sliding_window("24h")'),
        (sliding_window, '@sliding_window("24h")'),
    ],
)
def test_classes_are_refused(kind: type, decorate: Any, written: str) -> None:
    """A class is refused, bare or with options, with what to write instead."""
    with pytest.raises(TypeError) as caught:
        decorate(kind)
    message = str(caught.value)
    assert f"{kind.__qualname__} is a class" in message
    assert f"{written} def make_{kind.__name__.lower()}(...): return {kind.__name__}(...)." in message


def test_what_classes_offer_can_be_decorated() -> None:
    """A function that makes instances, a class method, and a built-in type that serves as a function pass."""

    @bounded(max=5, registry=Registry())
    def make_service(name: str) -> Service:
        return Service(name)

    assert make_service("a") is make_service("a")
    assert bounded(max=5, registry=Registry())(int)("12") == 12
    assert bounded(max=5, registry=Registry())(dict.fromkeys)((1, 2)) == {1: None, 2: None}


@pytest.mark.parametrize("text", ["24", " 24 ", "24.0", "0.5"])
def test_a_number_as_text(text: str) -> None:
    """Hours and seconds would both be a fair guess at a number without a unit."""
    bare = text.strip()
    for decorator, options in ((bounded, {"max": 5, "ttl": text}), (sliding_window, {"window": text}),
                               (dedupe_inflight, {"timeout": text})):  # fmt: skip
        with pytest.raises(ValueError, match=rf"is a number without a unit; write '{bare}s' .* '{bare}h' for hours\.$"):
            decorator(**options)


@pytest.mark.parametrize("life", [-1, -0.5, 0, timedelta(seconds=-3), -(10**9)])
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_a_life_below_zero(life: Any, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    """A result whose ``ttl(value)`` is 0 or less is returned, not stored, and nothing is logged."""
    options: dict[str, Any] = {"max": 5, "ttl": lambda value: life, "policy": policy, "registry": Registry()}
    plain = bounded(**options)(lambda x: x)

    @bounded(**options)
    async def awaited(x: int) -> int:
        return x

    with caplog.at_level(logging.DEBUG, "memo"):
        assert [plain(1), plain(1)] == [asyncio.run(awaited(1)), asyncio.run(awaited(1))] == [1, 1]
        plain.cache.put(7, 1)
    assert (plain.cache.stats().misses, plain.cache.stats().rejected, len(plain.cache)) == (2, 3, 0)
    assert (awaited.cache.stats().misses, awaited.cache.stats().rejected, len(awaited.cache)) == (2, 2, 0)
    assert caplog.records == []


def test_a_negative_life_takes_the_old_value_out() -> None:
    """A newer result that is not to be stored leaves no older one behind."""
    lives = {1: 60, 2: -1}
    fetch = bounded(max=5, ttl=lambda value: lives[value], registry=Registry())(lambda x: x)
    fetch.cache.put(1, "key")
    fetch.cache.put(2, "key")
    assert fetch.cache.entry("key") is None
