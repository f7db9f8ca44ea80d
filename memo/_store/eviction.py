"""Why a value left a store."""

import enum

__all__ = ("EvictionReason",)


class EvictionReason(enum.StrEnum):
    """Why a value left the store."""

    __module__ = "memo"

    SIZE = "size"
    """The policy chose it to keep ``max`` or ``max_bytes``."""
    EXPIRED = "expired"
    """It was past its life (``ttl``, ``idle``), whichever operation removed it."""
    REPLACED = "replaced"
    """Another value was stored under its key, or was put or refreshed there and is not to be stored."""
    INVALIDATED = "invalidated"
    """``invalidate()``, ``invalidate_where()`` or the invalidation of a tag."""
    CLEARED = "cleared"
    """``clear()`` or ``cache_clear()``; a property was set or deleted; or ``memo.testing.isolated()`` has ended."""
    COLLECTED = "collected"
    """The instance, a weak argument or the event loop that its key belongs to was garbage-collected; or that loop was
    closed."""
