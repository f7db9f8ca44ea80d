"""What eviction policies are made of: rings of nodes, and what is remembered of keys that left.

Imports nothing of the package.
"""

from memo._rings.ghost import MARKS, Ghost
from memo._rings.limits import MOST_ROUNDS, PROMOTED_FROM
from memo._rings.ring import Mark, Node, Queue, SizedNode, unlink

__all__ = ("MARKS", "MOST_ROUNDS", "PROMOTED_FROM", "Ghost", "Mark", "Node", "Queue", "SizedNode", "unlink")
