"""What one function here does when another process has changed something."""

from collections.abc import Sequence

from memo._cache import Local
from memo.shared._known_keys import KnownKeys
from memo.shared._names import tag_digest

__all__ = ("Follower",)


class Follower:
    """Drops what messages are about, of one function.  For the line's thread, which holds it weakly.

    Args:
        known: Which keys stand behind digests.
        local: The results.
    """

    __slots__ = ("__weakref__", "_known", "_local")

    def __init__(self, known: KnownKeys, local: Local) -> None:
        self._known = known
        self._local = local

    def drop_digests(self, digests: Sequence[bytes]) -> None:
        """Values of these keys are not what they were."""
        keys = self._known.keys(digests)
        if keys:
            self._local.drop(keys)

    def drop_tag(self, digest: bytes) -> None:
        """Nor are those that bear the tag of this digest."""
        tag = self._known.tag(digest)
        if tag is None and not self._known.are_all:
            tag = next((one for one in self._local.tags() if tag_digest(one) == digest), None)
        if tag is not None:
            self._local.drop_tag(tag)

    def drop_all(self) -> None:
        """Nor is any."""
        self._local.drop_all()

    def tidy(self, steps: int) -> None:
        """Forget some keys that are not held any more; a step takes some microseconds."""
        self._known.tidy(steps)
