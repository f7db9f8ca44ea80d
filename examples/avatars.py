"""A cache of avatars: ``python examples/avatars.py``.

Images of very different sizes, drawn for whoever asks.  They are bounded by the bytes that they take, whatever their
number, and methods are decorated as functions are.
"""

import hashlib
import random

from memo import bounded


class Painter:
    """Draws squares of a colour that follows from the name."""

    def __init__(self, style: str) -> None:
        self.style = style

    @bounded(max_bytes="1MB", name="avatar")
    def avatar(self, name: str, size: int = 64) -> bytes:
        colour = hashlib.sha256(f"{self.style} {name}".encode()).digest()[:1]
        return colour * (size * size)


def main() -> None:
    chance = random.Random(1)
    plain, fancy = Painter("plain"), Painter("fancy")
    for _ in range(20_000):
        painter = chance.choice((plain, fancy))
        painter.avatar(f"user {chance.randrange(50)}", size=chance.choice((16, 32, 64, 128)))

    stats = Painter.avatar.cache.stats()  # of all painters
    print(f"{stats.requests:,} avatars asked for, {stats.misses:,} drawn: {stats.hit_ratio:.0%} were there")
    print(f"{stats.size} kept in {stats.bytes or 0:,} of {stats.max_bytes or 0:,} bytes")
    kept = stats.size
    del fancy, painter
    print(f"without its painter an avatar is not kept: {len(Painter.avatar.cache) < kept}")


if __name__ == "__main__":
    main()
