"""The exceptions of this package, each also derived from the closest builtin."""

__all__ = (
    "AbsentKey", "DumpError", "InflightTimeout", "MemoError", "MissingExtra", "RateLimited", "RecordingError",
    "SharedTimeout",
)  # fmt: skip


class MemoError(Exception):
    """Base of the exceptions that only this package raises.

    Misuse of an option or of an argument raises plain ``TypeError`` or ``ValueError``.
    """


class AbsentKey(MemoError, KeyError):
    """A function of many keys, asked for one, has no value for it: the mapping that it returned lacks the key.

    Attributes:
        key: The key.
    """

    def __init__(self, message: str, key: object = None) -> None:
        super().__init__(message, key)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class DumpError(MemoError, ValueError):
    """A file cannot be loaded: it is no dump, was cut short or altered, or is of another function or version.

    Nothing of it was stored.
    """


class InflightTimeout(MemoError, TimeoutError):
    """A shared call did not end within its ``timeout``.

    Raised to every caller who waited for it; the call itself has been detached, so that
    the next equal call starts a new one.

    Attributes:
        key: The key of the call.
        timeout: The limit that was passed, in seconds.
    """

    def __init__(self, message: str, key: object = None, timeout: float | None = None) -> None:
        super().__init__(message, key, timeout)
        self.key = key
        self.timeout = timeout

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtra(MemoError, ImportError):
    """A feature was used whose optional dependency is not installed; the message names the extra."""


class RateLimited(MemoError, RuntimeError):
    """A call was refused, since its key has no room or too many are in front of it; the function was not called.

    Attributes:
        key: The key of the call; None where all calls share one limit.
        limit: The limit, such as "100/1m".
        retry_after: In how many seconds there will be room for a call, as far as can be known: others may come first.
    """

    def __init__(
        self, message: str, key: object = None, limit: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, key, limit, retry_after)
        self.key: object = key
        self.limit: str | None = limit
        self.retry_after: float | None = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class RecordingError(MemoError, ValueError):
    """A file cannot be read as a recording of ``f.cache.record()``: it is none, was cut short, altered, or is newer."""


class SharedTimeout(MemoError, TimeoutError):
    """A tier did not get so far in time: ``tier.catch_up()`` or ``tier.flush()``.

    Attributes:
        timeout: The limit that was passed, in seconds.
    """

    def __init__(self, message: str, timeout: float | None = None) -> None:
        super().__init__(message, timeout)
        self.timeout: float | None = timeout

    def __str__(self) -> str:
        return str(self.args[0])
