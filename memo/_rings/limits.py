"""What policies of two queues have in common: how many uses count for what."""

__all__ = ("MOST_ROUNDS", "MOST_STEPS", "PROMOTED_FROM", "REMEMBERED")

MOST_ROUNDS = 3
"""Most rounds in the main queue that a key's uses give it."""
MOST_STEPS = 64
"""Most nodes that get a round, or are promoted, before one is evicted: however many were used, no eviction is long."""
PROMOTED_FROM = 2
"""Uses that take a key from the small queue to the main queue."""
REMEMBERED = 5
"""Keys that the ghost of the adaptive policy remembers for each entry."""
