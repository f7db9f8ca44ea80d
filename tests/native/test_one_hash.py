"""How often a hit hashes its key."""

import asyncio
from typing import Any

import pytest

from memo import Registry, bounded

POLICIES = ("adaptive", "s3fifo", "lru", "lfu", "fifo", "random", "sieve", "lirs")
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ttl": {"ttl": 60},
    "typed": {"typed": True},
    "key": {"key": lambda *args: args[-1]},
    "key of a tuple": {"key": lambda *args: (args[-1], 1)},
    "bytes": {"max_bytes": "1MB", "sizeof": lambda value: 10},
}
CASES = [(policy, name) for policy in POLICIES for name in OPTIONS]
hashed: list[object] = []


class Plain:
    def __hash__(self) -> int:
        hashed.append(self)
        return 7

    def __eq__(self, other: object) -> bool:
        return self is other


class Text(str):
    __slots__ = ()

    def __hash__(self) -> int:
        hashed.append(self)
        return str.__hash__(self)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize(("policy", "options"), CASES)
def test_a_hit_hashes_its_key_once(policy: str, options: str, is_async: bool, own: Registry) -> None:
    """Functions, methods, class methods and static methods ask ``__hash__`` of an argument once a hit."""
    decorate = bounded(**{"max": 5, "policy": policy, "registry": own, **OPTIONS[options]})

    def function(x: Any) -> int:
        return 1

    async def coroutine(x: Any) -> int:
        return 1

    def method(self: Any, x: Any) -> int:
        return 1

    async def coroutine_method(self: Any, x: Any) -> int:
        return 1

    of_instance = coroutine_method if is_async else method

    class Host:
        plain = decorate(of_instance)
        of_class = decorate(classmethod(of_instance))
        static = decorate(staticmethod(coroutine if is_async else function))

    host = Host()
    loop = asyncio.new_event_loop()
    try:
        for call in (decorate(coroutine if is_async else function), host.plain, Host.of_class, Host.static):
            for make in (Plain, Text):
                key, counts = make(), []
                for _ in range(4):
                    found = call(key)
                    assert (loop.run_until_complete(found) if is_async else found) == 1
                    counts.append(len(hashed))
                    hashed.clear()
                assert counts[1:] == [1, 1, 1]
    finally:
        loop.close()
