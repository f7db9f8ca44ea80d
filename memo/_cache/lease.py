"""One lease of one value: what ``f.cache.lease()`` returns, for a ``with`` statement."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, SupportsIndex, TypeVar

from memo._base import EnteredByAsyncWith, EnteredByWith
from memo._cache.cache import Cache
from memo._cache.holding import Hold
from memo._cache.leases import Leases
from memo._store import Departures, Failure

__all__ = ("AwaitedLease", "Lease")

V_co = TypeVar("V_co", covariant=True)


class _AnyLease(Generic[V_co]):
    """A lease, from before it begins until it has ended.

    Args:
        cache: The results of the function.
        key: Of which call.
        call: Answers that call.
    """

    __slots__ = ("_cache", "_call", "_gone", "_hold", "_key", "_leases", "_name")

    def __init__(self, cache: Cache, key: Hashable, call: Callable[[], Any]) -> None:
        self._name = cache.name
        self._cache: Cache | None = cache
        """None once it has its value: it does not keep the store."""
        self._key = key
        self._call: Callable[[], Any] | None = call
        self._leases: Leases | None = None
        self._hold: Hold | None = None
        self._gone: Departures | None = None
        """What it is to tell at its end."""

    def _claim(self) -> tuple[Callable[[], Any], Cache]:
        """Be entered for the first time; returns what answers the call, and from where."""
        call, cache = self._call, self._cache
        if call is None or cache is None:
            raise RuntimeError(
                f"lease: this lease of {self._name}() was entered before; ask f.cache.lease() for another one."
            )
        self._call = None
        return call, cache

    def _begin(self, cache: Cache) -> None:
        """Stand at the key."""
        self._leases = leases = cache.leases()
        self._hold = leases.begin(self._key)

    def _have(self, answer: Any) -> Any:
        """What the lease hands out, of a call that was answered so; from here on that is in use."""
        cache, leases, hold = self._cache, self._leases, self._hold
        assert cache is not None and leases is not None and hold is not None, "it began"
        original = None if cache.options.copy is None else self._original(cache, leases.held_at(hold))
        leases.lend(hold, answer if original is None else original[0])
        self._cache = self._key = None
        return answer if original is None else cache.handed(original[0])

    def _original(self, cache: Cache, left: list[Any]) -> tuple[Any] | None:
        """What is stored, of which callers get copies, in a tuple; None if nothing is.

        Args:
            cache: Where to look first.
            left: What left since the call began, the latest last.
        """
        if cache.upwards.is_off():
            return None
        entry = cache.store.index.get(self._key)
        found = [] if entry is None else [entry.value]
        found += [item[1] for item in reversed(left) if item[0] == self._key]
        return next(((value,) for value in found if type(value) is not Failure), None)

    def _end(self) -> None:
        """Give back what it has; goes on where it was interrupted if it is called again."""
        leases, hold = self._leases, self._hold
        if leases is not None and hold is not None:
            self._gone = gone = self._gone or Departures()
            leases.end(hold, gone)
            self._hold = self._gone = None
        self._cache = self._key = None

    def _end_surely(self) -> None:
        try:
            self._end()
        except BaseException:
            self._end()
            raise

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"lease: a lease of {self._name}() is ended once, so it cannot be copied or pickled; ask f.cache.lease() "
            f"for another one."
        )

    def __repr__(self) -> str:
        state = "not begun" if self._call is not None else "over" if self._hold is None else "under way"
        return f"<lease of {self._name}: {state}>"


class Lease(_AnyLease[V_co]):
    """A lease of a result of a plain function: ``with f.cache.lease("alice") as client:``; to be entered once.

    Should the result leave the store meanwhile, for whatever reason, ``on_evict`` is called at the end of its last
    lease, once, in the thread that ends it (of a coroutine function: the task).  Until then it is not called for this
    object under any key; if it was put back under the same key meanwhile, it has not left.

    A result that could not be stored, since it was invalidated while it loaded (reason ``invalidated``) or is larger
    than the bound (``size``), is told at the end of its last lease too; one that ``cache_if`` or ``ttl`` refused never.

    A lease that nothing refers to any more has ended.  One that is older than ``lease_timeout`` keeps ``on_evict``
    waiting no more, which is noticed when a leased value leaves, at the end of a lease of one that had left, and by
    ``cleanup()``.  While a lease loads, what leaves under its key waits until it has its result.  It keeps neither the
    store nor the decorated function alive.
    """

    __slots__ = ()
    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("lease: a lease of a plain function")

    def __enter__(self) -> V_co:
        call, cache = self._claim()
        try:
            self._begin(cache)
            return self._have(call())  # type: ignore[no-any-return]
        except BaseException:
            self._end_surely()
            raise

    def __exit__(self, *error: object) -> None:
        try:
            self._end()
        except BaseException:
            self._end()
            raise


class AwaitedLease(_AnyLease[V_co]):
    """A lease of a result of a coroutine function: ``async with f.cache.lease("alice") as client:``; see ``Lease``.

    To be entered once.  Its end awaits nothing.
    """

    __slots__ = ()
    if not TYPE_CHECKING:
        __enter__ = EnteredByAsyncWith("lease: a lease of a coroutine function")

    async def __aenter__(self) -> V_co:
        call, cache = self._claim()
        try:
            self._begin(cache)
            return self._have(await call())  # type: ignore[no-any-return]
        except BaseException:
            self._end_surely()
            raise

    async def __aexit__(self, *error: object) -> None:
        try:
            self._end()
        except BaseException:
            self._end()
            raise
