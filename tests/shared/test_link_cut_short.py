"""What a question, a storing or a change leaves that is struck or cancelled: no lease, and nobody who waits."""

import asyncio
import gc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.links import Member
from kit.servers import Room
from kit.strikes import Struck, StruckError, strike
from kit.threads import until

from memo._cache import Found
from memo.shared._grants import HeldGrant

pytestmark = pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")

EACH = 17
"""Every so many points are struck."""
MOST = 1_500
"""No operation has more points."""


@pytest.fixture
def members(valkey: Room) -> Iterator[tuple[Member, Member]]:
    """Two processes of one tier, of which the first has loaded ``known``, and waits for nobody."""
    made = Member(valkey.url, valkey.prefix), Member(valkey.url, valkey.prefix)
    yield made
    for one in made:
        one.close()


def nothing_is_left(valkey: Room, *members: Member) -> None:
    """No lease on the server, none held, nobody who waits."""
    gc.collect()
    until(lambda: ":l " not in " ".join([*valkey.keys(), ""]))
    for one in members:
        until(lambda one=one: len(one.line._held) == 0)
        assert one.line._reader._expecting == {}


def use(link: Any, answer: Any, value: Any) -> None:
    if isinstance(answer, HeldGrant):
        link.store(answer, value, 60.0)


OPERATIONS: dict[str, Callable[[Any], object]] = {
    "hit": lambda link: link.ask("known", ("t",)),
    "miss": lambda link: link.release(link.ask("missing", ("t",))),
    "load": lambda link: use(link, link.ask("new", ("t",)), {"a": (1, b"x")}),
    "newer": lambda link: use(link, link.ask("known", ("t",), newer=True), "known"),
    "wait": lambda link: link.ask("loading", ()),
    "put": lambda link: link.put("known", "known", 60.0, ("t",)),
    "invalidate": lambda link: link.invalidate(["other", "others"]),
    "invalidate_all": lambda link: link.invalidate_all(),
    "invalidate_tag": lambda link: link.invalidate_tag("u"),
}


async def load(link: Any) -> None:
    answer = await link.ask_awaited("new", ("t",))
    if isinstance(answer, HeldGrant):
        await link.store_awaited(answer, {"a": (1, b"x")}, 60.0)


async def newer(link: Any) -> None:
    answer = await link.ask_awaited("known", ("t",), newer=True)
    if isinstance(answer, HeldGrant):
        await link.store_awaited(answer, "known", 60.0)


AWAITED: dict[str, Callable[[Any], Any]] = {
    "hit": lambda link: link.ask_awaited("known", ("t",)),
    "load": load,
    "newer": newer,
    "wait": lambda link: link.ask_awaited("loading", ()),
}


@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_struck_leaves_nothing(
    members: tuple[Member, Member], valkey: Room, operation: str, error: type[BaseException]
) -> None:
    """Struck at any point, an operation leaves no lease and no waiter, and the next one is served."""
    one, other = members
    link, theirs = one.link(wait=0.01), other.link(lease=30)
    do = OPERATIONS[operation]
    first = zlib.crc32(operation.encode()) % EACH
    at, struck = first, 0
    while at < MOST:
        use(link, link.ask("known", ("t",)), "known")
        grant = theirs.ask("loading", ()) if operation == "wait" else None
        where = strike(lambda: do(link), at, error, below=True)[0]  # the error would keep the grant
        if grant is not None:
            theirs.release(grant)
        nothing_is_left(valkey, one, other)
        link.invalidate(["new"])
        if where is None:
            break
        struck += 1
        at += EACH
    assert struck > 3
    assert at < MOST
    use(link, link.ask("known", ("t",)), "known")
    assert isinstance(link.ask("known", ("t",)), Found)


@pytest.mark.parametrize("operation", AWAITED)
def test_what_is_cancelled_leaves_nothing(members: tuple[Member, Member], valkey: Room, operation: str) -> None:
    """Cancelled at whichever turn of the loop, a question or a storing holds nothing, and the next one is served."""
    one, other = members
    link, theirs = one.link(wait=0.05), other.link(lease=30)

    async def cut(turns: int) -> bool:
        """Whether it was cancelled before it ended."""
        task = asyncio.ensure_future(AWAITED[operation](link))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_over = task.done()
        task.cancel()
        await asyncio.wait([task])
        return not is_over and task.cancelled()

    async def all_cuts() -> int:
        cancelled = 0
        for turns in range(25):
            answer = await link.ask_awaited("known", ("t",))
            if isinstance(answer, HeldGrant):
                await link.store_awaited(answer, "known", 60.0)
            grant = theirs.ask("loading", ()) if operation == "wait" else None
            cancelled += await cut(turns)
            if grant is not None:
                theirs.release(grant)
            link.invalidate(["new"])
            nothing_is_left(valkey, one, other)
        return cancelled

    cancelled = asyncio.run(all_cuts())
    assert cancelled > 3
    assert one.wire.connections <= 5
