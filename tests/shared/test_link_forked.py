"""What a forked child finds of its parent's questions: they are the parent's."""

import gc
from typing import Any

from kit.links import Results, Somewhere
from kit.processes import in_a_child
from kit.servers import Room
from kit.threads import Running, until

from memo._cache import LinkTerms
from memo.shared import Tier
from memo.shared._grants import HeldGrant


def linked(tier: Tier) -> Any:
    return tier.using(wait=0.2).link(
        LinkTerms(
            name="bot.f", is_named=False, signature="", place=Somewhere(), local=Results(), ttl_s=60.0, stale_s=0.0
        )
    )


def test_a_child_leaves_its_parents_leases(valkey: Room) -> None:
    """It neither gives back nor takes over what its parent loads, waits for it, and has leases of its own."""
    with Tier(valkey.url, prefix=valkey.prefix, timeout="5s") as tier:
        link = linked(tier)
        link.put("known", 1, 60.0, ())
        grants = [link.ask("k", ())]
        assert isinstance(grants[0], HeldGrant)

        def child() -> bool:
            grants.clear()
            gc.collect()
            waited = link.ask("k", ()) is None  # the parent's lease is still there, and it is not the child's
            own = link.ask("another", ())
            return (
                waited
                and link.ask("known", ()).value == 1
                and isinstance(own, HeldGrant)
                and link.store(own, "the child's", 60.0)
            )

        assert in_a_child(child) == 0
        assert link.store(grants.pop(), "the parent's", 60.0)
        assert link.ask("another", ()).value == "the child's"


def test_a_child_forked_while_others_ask_can_ask(valkey: Room) -> None:
    """Whatever locks other threads hold at the fork, the child's questions are answered."""
    with Tier(valkey.url, prefix=valkey.prefix, timeout="5s") as tier:
        link = linked(tier)
        link.put("known", 1, 60.0, ["t"])
        is_over: list[bool] = []

        def ask() -> None:
            number = 0
            while not is_over:
                link.ask("known", ["t"])
                link.release(link.ask(("missing", number), ["t"]))
                number += 1

        asking = [Running(ask) for _ in range(3)]
        until(lambda: link.figures().misses > 10)
        try:
            for _ in range(3):
                assert in_a_child(lambda: link.ask("known", ["t"]).value == 1) == 0
        finally:
            is_over.append(True)
            for one in asking:
                one.join()
