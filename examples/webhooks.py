"""A cache of webhooks: ``python examples/webhooks.py``.

A webhook is made for each channel that is written to, and a hundred are kept.  The one that leaves the cache is closed;
one that is in use at that moment is closed when its use ends.
"""

from memo import EvictionReason, bounded

alive: set[str] = set()
opened: list[str] = []
closed: list[str] = []


class Webhook:
    """In place of the service's."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        alive.add(channel)
        opened.append(channel)

    def send(self, text: str) -> None:
        if self.channel not in alive:
            raise ConnectionError(f"the webhook of {self.channel} is closed")

    def close(self) -> None:
        alive.discard(self.channel)
        closed.append(self.channel)


def close(channel: str, webhook: Webhook, reason: EvictionReason) -> None:
    webhook.close()


@bounded(max=100, ttl="24h", on_evict=close, name="webhook")
def webhook_of(channel: str) -> Webhook:
    return Webhook(channel)


def main() -> None:
    most = 0
    with webhook_of.cache.lease("news") as news:
        for number in range(1_000):
            with webhook_of.cache.lease(f"channel {number % 250}") as webhook:
                webhook.send("hello")
                most = max(most, len(alive))
        news.send("still open, since it is in use")
    print(f"{len(opened)} opened, {len(closed)} closed, never more than {most} open, those in use among them")
    webhook_of.cache.clear()  # at the end of a program
    print(f"at the end, {len(alive)} are open")


if __name__ == "__main__":
    main()
