"""What type checkers must see of results that are shared; checked by mypy --strict and pyright, never run."""

from typing import assert_type

from memo import CacheStats, bounded, bounded_many, lru_cache, registry
from memo.shared import Shared, Tier

tier = Tier("valkey://localhost", prefix="shop")
terms = tier.using(version="2", local_ttl="1m")
assert_type(terms, Shared)


@bounded(max=3, ttl="10m", shared=tier)
def price(item: str) -> int:
    return 1


@bounded(max=3, ttl="10m", shared=terms)
async def profile(name: str) -> dict[str, str]:
    return {"name": name}


class Shop:
    @bounded(max=3, ttl="10m", shared=None, ignore=("self",))
    def stock(self, item: str) -> int:
        return 1


async def uses() -> None:
    assert_type(price("a"), int)
    assert_type(await profile("alice"), dict[str, str])
    stats = price.cache.stats()
    assert_type(stats, CacheStats)
    assert_type(stats.l2_hits, int | None)
    assert_type(stats.l2_seconds, float | None)
    assert_type(stats.served_ratio, float)
    assert_type(registry.tiers, tuple[Tier, ...])
    assert_type(registry.select("shop.*").tiers, tuple[Tier, ...])


bounded(max=3, ttl=1, shared="valkey://localhost")  # type: ignore[call-overload]
bounded_many(max=3, ttl=1, shared=tier)  # type: ignore[call-overload]
lru_cache(shared=tier)  # type: ignore[call-overload]
