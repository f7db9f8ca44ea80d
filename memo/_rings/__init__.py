"""What eviction policies are made of: rings of nodes, and what is remembered of keys that left.

Imports ``_native`` (and cachetools).
"""

from memo._rings.ghost import BUCKETS, MARKS, NEXT_TURN, Ghost, mark_bytes
from memo._rings.limits import MOST_ROUNDS, MOST_STEPS, PROMOTED_FROM, REMEMBERED
from memo._rings.ring import Mark, Node, Queue, SizedNode, unlink
from memo._rings.share import Share
from memo._rings.store_rings import StoreMark, StoreNode, StoreQueue
from memo._rings.two_queues import TwoQueues

__all__ = (
    "BUCKETS",
    "MARKS",
    "MOST_ROUNDS",
    "MOST_STEPS",
    "NEXT_TURN",
    "PROMOTED_FROM",
    "REMEMBERED",
    "Ghost",
    "Mark",
    "Node",
    "Queue",
    "Share",
    "SizedNode",
    "StoreMark",
    "StoreNode",
    "StoreQueue",
    "TwoQueues",
    "mark_bytes",
    "unlink",
)
