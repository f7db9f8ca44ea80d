"""A message tracker: ``python examples/messages.py``.

A service delivers some messages twice, from several threads.  Each is handled once; those that were seen of late are
bounded by number and age, and a window around that counts who writes the most.
"""

import random
from concurrent.futures import ThreadPoolExecutor

from memo import bounded, sliding_window

handled: list[int] = []


@sliding_window("24h", keys=100, key=lambda message: message["author"])
@bounded(max=5_000, ttl="1h", key=lambda message: message["id"], policy="lru")  # the latest stay, whatever else comes
def on_message(message: dict[str, object]) -> None:
    handled.append(int(str(message["id"])))


def main() -> None:
    chance = random.Random(1)
    authors = ["alice"] * 5 + ["bob"] * 3 + ["carol"]
    messages: list[dict[str, object]] = [{"id": number, "author": chance.choice(authors)} for number in range(2_000)]
    delivered = [message for message in messages for _ in range(chance.choice((1, 1, 2)))]
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(on_message, delivered, chunksize=50):
            pass

    print(
        f"{len(delivered):,} deliveries of {len(messages):,} messages; {len(handled):,} handled, none twice: ", end=""
    )
    print(len(handled) == len(set(handled)))
    for author in on_message.window.top(3):
        print(f"  {author.key}: {author.count} deliveries")
    print(f"{len(on_message.cache):,} identifiers are remembered, never more than 5,000")


if __name__ == "__main__":
    main()
