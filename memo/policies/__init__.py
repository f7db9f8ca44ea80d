"""Eviction policies, each a ``cachetools.Cache`` that is of use alone.

Imports nothing of the package.
"""

from memo.policies.s3fifo import MARKS, MOST_ROUNDS, PROMOTED_FROM, Ghost, Mark, Node, Queue, S3FIFOCache

__all__ = ("MARKS", "MOST_ROUNDS", "PROMOTED_FROM", "Ghost", "Mark", "Node", "Queue", "S3FIFOCache")
