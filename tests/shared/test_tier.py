"""``Tier``: its options, what it says of itself, and how it ends."""

import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from kit.places import ROOT
from kit.servers import Room
from kit.threads import LIMIT_S, until

from memo import bounded
from memo.shared import Tier, TierStats

URL = "valkey://ann:sesame@127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"prefix": 3}, TypeError, "prefix=3 is not text"),
        ({"prefix": ""}, ValueError, "prefix='' cannot begin names"),
        ({"prefix": "a{b}"}, ValueError, "letters, digits"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": True}, TypeError, "timeout=True"),
        ({"connections": 0}, ValueError, "connections=0 is zero"),
        ({"connections": 1.5}, TypeError, "connections=1.5"),
        ({"lease": "-1s"}, ValueError, "lease='-1s'"),
        ({"lease": "250ms"}, ValueError, "lease='250ms' is not longer than timeout='250ms'"),
        ({"log_size": 0}, ValueError, "log_size=0"),
        ({"log_size": 10**30}, ValueError, "is more than a server holds"),
        ({"max_value": "1XB"}, ValueError, "max_value='1XB'"),
        ({"max_value": "1GB"}, ValueError, "max_value='1GB' is more than the server holds"),
        ({"secret": "text"}, TypeError, "secret"),
        ({"readable_keys": 1}, TypeError, "readable_keys=1 is not a bool"),
        ({"client_options": [1]}, TypeError, "client_options"),
    ],
)
def test_bad_options(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    """Each is refused as the tier is made, with the option, the value and what to do; the URL's secret is not shown."""
    with pytest.raises(kind) as caught:
        Tier(URL, **options)
    assert str(caught.value).startswith("Tier: ")
    assert said in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://host", "valkey:/host", "", 3, None])
def test_bad_urls(url: Any) -> None:
    """An address that cannot be one is refused as the tier is made."""
    with pytest.raises((TypeError, ValueError), match=r"^Tier: "):
        Tier(url)


async def awaited_url(secret: str = "") -> str:
    return URL


def generated_url(secret: str = "") -> Iterator[str]:
    yield URL


class Called:
    """A function that returns a URL, as an object."""

    def __init__(self, url: Any) -> None:
        self.url = url

    def __call__(self) -> Any:
        return self.url()


class Awaited(Called):
    async def __call__(self) -> Any:
        return await self.url()


class Generated(Called):
    def __call__(self) -> Any:
        yield from self.url()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (awaited_url, "coroutine"),
        (Awaited(awaited_url), "coroutine"),
        (Awaited(awaited_url).__call__, "coroutine"),
        (partial(awaited_url, "sesame"), "coroutine"),
        (generated_url, "generator"),
        (Generated(generated_url), "generator"),
        (partial(generated_url, "sesame"), "generator"),
    ],
)
def test_url_that_no_call_returns(url: Any, kind: str) -> None:
    """It is refused as the tier is made, however it hides that, and not shown: it may hold a secret."""
    with pytest.raises(TypeError, match=rf"^Tier: the URL is to come from a {kind} function") as told:
        Tier(url)
    assert "sesame" not in str(told.value)
    assert repr(Tier(Called(lambda: URL)))


def test_options_are_durations_and_sizes() -> None:
    """As everywhere: numbers, text, and timedeltas."""
    tier = Tier(URL, timeout=timedelta(seconds=1), lease="1m", max_value=10_000, log_size=100, connections=1)
    assert tier._parts.timeout_s == 1.0
    assert tier._parts.lease_s == 60.0
    assert tier._parts.max_value == 10_000


def test_nothing_shows_the_secret() -> None:
    """Neither ``repr()``, nor ``str()``, nor the figures show password or signing secret."""
    with Tier(URL, prefix="shop", secret=b"open sesame") as tier:
        shown = f"{tier!r} {tier} {tier.stats()!r} {tier.stats()} {tier.using()!r} {tier.stats().as_dict()}"
    assert "sesame" not in shown
    assert "shop" in shown
    assert "127.0.0.1" in shown


def test_stats_of_a_tier_that_was_never_used() -> None:
    """Everything is zero, and nothing was opened for it; snapshots subtract."""
    threads = threading.active_count()
    tier = Tier(URL, prefix="shop")
    stats = tier.stats()
    assert stats == TierStats("shop", "valkey://ann:***@127.0.0.1:1/0")
    assert stats - tier.stats() == stats
    assert pickle.loads(pickle.dumps(stats)) == copy.deepcopy(stats) == stats
    assert threading.active_count() == threads


def test_tier_is_not_copied_nor_pickled() -> None:
    """A copy is the tier itself; a pickle would hold connections and a password, and is refused with a remedy."""
    tier = Tier(URL)
    assert copy.copy(tier) is copy.deepcopy(tier) is tier
    for one in (tier, tier.using()):
        with pytest.raises(TypeError, match="module that the other process imports") as caught:
            pickle.dumps(one)
        assert "sesame" not in str(caught.value)


def shared_functions(room: Room, calls: list[Any]) -> Any:
    """Two tiers, as two processes have them, and a function of each."""
    tiers = [Tier(room.url, prefix=room.prefix, timeout="2s") for _ in range(2)]

    def decorated(tier: Tier) -> Any:
        @bounded(max=10, ttl="1h", shared=tier, name="f")
        def f(key: object) -> object:
            calls.append(key)
            return [key, len(calls)]

        return f

    return [(tier, decorated(tier)) for tier in tiers]


def test_two_processes_share_results(valkey: Room) -> None:
    """One loads for both, what one invalidates or puts the other has no more, and its own reads are right at once."""
    calls: list[Any] = []
    (one, f), (other, g) = shared_functions(valkey, calls)
    with one, other:
        assert f(1) == g(1) == [1, 1]
        f.cache.invalidate(1)
        assert f(1) == [1, 2]
        other.catch_up()
        assert g(1) == [1, 2]
        g.cache.put([1, "put"], 1)
        assert g(1) == [1, "put"]
        one.catch_up()
        assert f(1) == [1, "put"]
        assert calls == [1, 1]
        assert one.state == other.state == "up"
        other.catch_up()
        assert (other.stats().received, other.stats().sent) == (1, 1)
        assert other.stats().connections in (2, 3)  # one more, where the thread and a caller ask at the same time
        assert other.stats().seconds > 0


def test_own_writes_in_a_coroutine(valkey: Room) -> None:
    """What an event loop's thread changes is sent by another, and what it reads then is right all the same."""
    calls: list[Any] = []
    (one, f), (other, g) = shared_functions(valkey, calls)

    async def main() -> None:
        for number in range(1, 20):
            assert f(1) == [1, number]
            f.cache.invalidate(1)
        await asyncio.to_thread(one.flush)
        await asyncio.to_thread(other.catch_up)

    with one, other:
        assert g(1) == [1, 1]
        asyncio.run(main())
        assert g(1) == [1, 20]


def test_number_of_a_database_that_is_not_there(valkey: Room, caplog: pytest.LogCaptureFixture) -> None:
    """The tier is down at once, and says why; calls run the function."""
    with Tier(valkey.url.removesuffix("/0") + "/9999", prefix=valkey.prefix, timeout="2s") as tier:
        f = bounded(max=10, ttl="1h", shared=tier, name="f")(str)
        assert f(1) == "1"
        assert tier.state == "down"
        until(lambda: "/9999 cannot be asked with these options" in caplog.text)  # its thread says so once it is down


def test_closed_tier_is_down(valkey: Room) -> None:
    """Functions go on with what they have and load; no thread is left, and closing again does nothing."""
    calls: list[Any] = []
    (one, f), (other, g) = shared_functions(valkey, calls)
    with other:
        with one:
            assert f(1) == [1, 1]
        one.close()
        assert one.state == "down"
        assert f(1) == [1, 1]
        assert f(2) == [2, 2]
        f.cache.invalidate(2)
        assert f(2) == [2, 3]
        assert g(2) == [2, 4]
        assert one.stats().connections == 0
        assert one.stats().pending == 0


def test_tier_that_nobody_has_goes(valkey: Room) -> None:
    """With the last function of it, and its thread with it."""
    calls: list[Any] = []
    (one, f), (other, g) = shared_functions(valkey, calls)
    thread = one._line._thread.thread
    assert f(1) == [1, 1]
    thread = one._line._thread.thread
    gone = weakref.ref(one)
    del one, f, other, g
    gc.collect()
    assert gone() is None
    assert thread is not None
    thread.join(LIMIT_S)
    assert not thread.is_alive()


ENDS = """
import logging, sys
from memo import bounded
from memo.shared import Tier

logging.basicConfig(level=logging.DEBUG)
tier = Tier(sys.argv[1], prefix=sys.argv[2], timeout="2s", lease="1m")

@bounded(max=10, ttl="1h", shared=tier, name="f")
def f(key):
    print(key, flush=True)
    if key == "exit":
        raise SystemExit
    return key

f("a")
f("exit")
"""


def test_interpreter_ends_quietly(valkey: Room) -> None:
    """A program ends with its thread at work, prints nothing for it, and leaves no lease behind."""
    ran = subprocess.run(
        [sys.executable, "-c", ENDS, valkey.url, valkey.prefix],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("a\nexit\n", "")
    names = valkey.keys()
    assert not [name for name in names if name.endswith(":l")]


def test_a_change_first_of_all(valkey: Room) -> None:
    """A program may begin with a change, which is said before the line is at work; nothing counts as lost for it."""
    calls: list[Any] = []
    (one, f), (other, g) = shared_functions(valkey, calls)
    with one, other:
        assert g(1) == [1, 1]
        f.cache.invalidate(1)
        assert f(1) == [1, 2]
        assert f.cache.entry(1) is not None
        one.flush()
        other.catch_up()
        assert g.cache.entry(1) is None
        assert one.stats().gaps == 0
