"""A cache of profiles: ``python examples/profiles.py``.

Five hundred people write to a bot, some of them often and many at once.  A profile is asked for once, whoever waits for
it, and what leaves is logged with its reason.
"""

import asyncio
import logging
import random
import sys

from memo import EvictionReason, bounded, registry

log = logging.getLogger("bot")
requests: list[str] = []


def log_eviction(name: str, profile: dict[str, str], reason: EvictionReason) -> None:
    log.debug("the profile of %s left: %s", name, reason)


@bounded(max=100, ttl="24h", timeout="10s", on_evict=log_eviction, name="profile")
async def fetch_profile(name: str) -> dict[str, str]:
    requests.append(name)
    await asyncio.sleep(0.001)  # the request
    return {"name": name, "title": f"The honourable {name.title()}"}


async def main() -> None:
    chance = random.Random(1)
    people = [f"user {min(int(chance.paretovariate(0.8)), 500)}" for _ in range(5_000)]
    for start in range(0, len(people), 100):  # a hundred messages at a time
        await asyncio.gather(*(fetch_profile(name) for name in people[start : start + 100]))

    stats = fetch_profile.cache.stats()
    print(f"{stats.requests:,} messages, {len(requests):,} requests: ", end="")
    print(f"{stats.hits:,} found the profile kept, {stats.joins:,} shared the request of another")
    print(f"{stats.size} profiles kept, {sum(stats.evictions.values())} left for want of room\n")
    print(registry)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG if "-v" in sys.argv else logging.INFO)
    asyncio.run(main())
