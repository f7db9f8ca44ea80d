"""What the tests of flights between threads share."""

__all__ = ("Struck",)


class Struck(BaseException):
    """Raised in another thread, at any instruction."""
