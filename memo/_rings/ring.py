"""Rings of nodes: the queues of which eviction policies are made."""

from collections.abc import Iterator
from typing import Any

__all__ = ("Mark", "Node", "Queue", "SizedNode", "unlink")

NEVER = 1 << 62
"""Later than any time."""


class Node:
    """A key's place in a queue, and how often it was used.

    ``mark`` is the policy's: what it has seen of the hits, and where the node is.
    """

    __slots__ = ("hits", "key", "mark", "newer", "older", "time")

    key: Any
    hits: int
    mark: int
    time: int
    """When it came or was last looked at, in keys that came since, where the policy wants to know."""
    newer: "Node"
    older: "Node"


class Mark(Node):
    """A place in a ring: a node of no entry."""

    __slots__ = ()


class SizedNode(Node):
    """A node of a cache that weighs its values."""

    __slots__ = ("size",)

    size: float


class Queue(Node):
    """A FIFO queue of nodes: a ring that begins and ends with itself."""

    __slots__ = ("size",)

    mark: int
    newer: Node
    older: Node
    size: float

    def __init__(self) -> None:
        self.key: Any = None
        self.time = NEVER
        self.mark = 0
        """Raised whenever the ring begins anew."""
        self.reset()

    def reset(self) -> None:
        """Begin anew; what hung here is not told."""
        self.newer = self.older = self
        self.size = 0
        self.mark += 1

    def empty(self) -> None:
        """Forget every node."""
        for node in list(self):
            del node.older, node.newer  # a ring would keep what they hold until the next garbage collection
        self.reset()

    def append(self, node: Node) -> None:
        """Put *node* in as the newest."""
        newest = self.older
        node.older = newest
        node.newer = self
        newest.newer = self.older = node

    @staticmethod
    def remove(node: Node) -> None:
        """Take *node* out of its queue, if it hangs in one.

        It forgets its neighbours: whoever still holds it must not keep those alive that follow.
        """
        if hasattr(node, "newer"):
            older, newer = node.older, node.newer
            older.newer = newer
            newer.older = older
            del node.older, node.newer

    def __iter__(self) -> Iterator[Node]:
        """The nodes, oldest first."""
        node = self.newer
        while node is not self:
            yield node
            node = node.newer


def unlink(node: Node) -> None:
    """Take *node* out of its queue."""
    older, newer = node.older, node.newer
    older.newer = newer
    newer.older = older
