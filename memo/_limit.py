"""``@limit``: so many calls in any span of time, and no more."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Literal

from memo._base import (
    Clock,
    Duration,
    Swept,
    Tags,
    Tracked,
    Weakly,
    check_tag_names,
    did_you_mean,
    given_text,
    knows_its_options,
    positive_int,
    refuse_bare,
    seconds,
    short_text,
)
from memo._call import Block, CallSource, InstanceRef, KeyOptions, check_key_options
from memo._decorated import Decorator, Layer, Placement, check_common
from memo._rate import Limiter, LimitHandle, LimitReader, LimitStats, Rate, Waits, awaited_turn, counted_start
from memo._registry import Registry

__all__ = ("limit",)

_MOST_WAITING = 1_000


def _one_for_all(*args: object, **kwargs: object) -> None:
    """The key of every call, where none is given: all calls count together."""


class _LimitLayer(Layer):
    """How often one function may be called."""

    kind = "limit"

    def __init__(
        self,
        function: Callable[..., Any],
        rate: Rate,
        most_keys: int,
        waits: Waits | None,
        keys: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
        tags: Tags,
    ) -> None:
        self.rate = rate
        self.most_keys = most_keys
        self.waits = waits
        super().__init__("limit", function, keys, clock, takes_instance, tags)

    @property
    def limiter(self) -> Limiter:
        """What counts its calls."""
        return self.works.engine  # type: ignore[no-any-return]

    @property
    def reader(self) -> LimitReader:
        """What answers about them."""
        return LimitReader(self.limiter)

    def make_engine(self, clock: Clock) -> Limiter:
        name = self.shape.qualname
        return Limiter(self.rate, self.most_keys, clock, self.waits, name, Weakly(self.explain), Weakly(self._reveal))

    def _reveal(self, key: Hashable) -> object:
        return self.generated.reveal(key)

    def internals(self) -> dict[str, Any]:
        limiter = self.limiter
        begin = limiter.begin if self.waits is None else limiter.begin_in_turn
        return {"begin": begin, "may_begin": limiter.may_begin, "turn": limiter.turn}

    def template(self, call: CallSource) -> Block:
        return awaited_turn(call) if call.is_async and self.waits is not None else counted_start(call)

    def handle_for(self, prefix: tuple[Any, ...]) -> LimitHandle[..., Any]:
        return LimitHandle(self.limiter, self.generated_for(prefix), self.name, self.fence_others, prefix)

    def stats(self, name: str) -> LimitStats:
        if self.is_made:
            return self.reader.stats(name)
        return LimitStats(name, self.rate.calls, self.rate.span_s, max_keys=self.most_keys)

    def tracked(self) -> Tracked:
        return self.reader.tracked() if self.is_made else Tracked(0, self.most_keys, 0)

    def follow(self, read: Callable[[], float]) -> None:
        self.limiter.follow()

    def collected(self, owner: InstanceRef) -> None:
        if self.is_made:
            self.limiter.collected(owner)

    def sweep(self) -> Iterator[Swept]:
        if self.is_made:
            for keys in self.limiter.sweep():
                yield Swept(keys=keys)

    def empty(self) -> None:
        if self.is_made:
            self.reader.reset()


@knows_its_options
def limit(
    rate: str | tuple[int, Duration],
    *,
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    when_full: Literal["refuse", "delay"] = "refuse",
    max_delay: Duration | None = None,
    max_waiting: int | None = None,
    keys: int = 10_000,
    tags: str | Iterable[str] = (),
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Decorator:
    """Let so many calls begin in any span of time; refuse others, or delay.

    Works on functions, coroutine functions, methods, class methods, static
    methods and properties, above or below their own decorators.  The decorated
    function stays what it is, and gains ``f.limit``.

    The span slides: whenever it is looked at, no more than so many calls began
    within the last span; there is no window at whose border twice as many may.
    A call counts from its begin until it is exactly a span old, however it
    ends.  Calls that are refused do not count.  Up to 128 calls each begin is
    remembered; of more those of one 32nd of the span together, and then a call
    may be refused for up to 1/32 of the span longer than it had to be, never
    too many let in.

    Without ``key`` all calls of a function count together, and those of a
    method for each instance by itself (``ignore=("self",)``: for all instances
    together).  Instances count by identity and are not kept alive.

    A refused call raises ``RateLimited``, whose ``retry_after`` says when to
    come again, before the function is called.  With ``when_full="delay"`` a
    call waits until its turn has come, in the order of coming: a plain function
    with its thread (greenlets of gevent and eventlet with theirs; in a thread
    that runs an event loop this stops the loop), a coroutine function without
    stopping its loop.  A cancelled task gives its place back, and those behind
    it move up.  Safe from any thread and any event loop.

    What is *not* promised: anything across processes.  After ``os.fork()`` the
    child goes on with a copy of what was counted, and nobody waits in it.

    Args:
        rate: How many calls in how long: "100/1m", or a pair, ``(100, 60)``.
            Text such as "5/second", "1000/24h"; the second of a pair is a
            duration.
        key: Makes the key of a call; None: all calls count together.
            Calls of each key count by themselves.  Called as the function was,
            defaults filled in; with the instance only where one of its own
            parameters is named like that (``key=lambda self, item: ...``), or
            where the call has no other argument.
        ignore: Only ``("self",)``: all instances share what they have.
        when_full: What a call too many does: "refuse" or "delay".
            "refuse": raise ``RateLimited``.  "delay": wait, for at most
            *max_delay*.
        max_delay: Longest time that a call waits, a duration; None: the span.
            A call that would have to wait longer is refused as it comes.  Waits
            follow real time.
        max_waiting: Most calls that wait at a time, of all keys; None: 1,000.
            Further ones are refused.
        keys: Most keys that are followed at a time.
            A key is followed for a span after its last call and is not
            forgotten before, or it would have its full limit again.  So while
            so many keys are followed, calls of further keys are refused
            (``stats().crowded`` counts them).  A key takes 8 bytes for each
            call and some 500, at most 6 kB.
        tags: Names by which ``registry.select(tag=...)`` finds the function.
        name: Name in the registry; None: ``module.qualname``.
        registry: Where the function is listed; None: ``memo.registry``.
        clock: Returns seconds, never going back; None: ``time.monotonic``.
            Read once when decorating, so that what is none is refused.
            Must not call the function.

    Raises:
        TypeError: At decoration: an option is of the wrong type, the rate is
            missing, or it is a generator function, whose calls end before its
            work begins.  At a call: the key cannot be hashed.
        ValueError: At decoration: an option's value makes no sense.
        RateLimited: At a call: there is no room for it.
    """
    where = "limit"
    refuse_bare(where, rate, "a rate")
    allowed = Rate.of(rate, where)
    most_keys = positive_int(keys, where=where, option="keys")
    waits = _check_waits(allowed, when_full, max_delay, max_waiting)
    key_options = check_key_options(where, _one_for_all if key is None else key, ignore, False)
    if others := key_options.ignore - {"self", "cls"}:
        raise ValueError(
            f"limit: ignore={short_text(tuple(sorted(others)))} has no effect; only 'self' or 'cls' can be left out of "
            "the key; let key= return what is to be in it."
        )
    check_common(where, name, registry, clock)
    found_tags = check_tag_names(where, tags, "there are no entries to invalidate")

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return _LimitLayer(function, allowed, most_keys, waits, key_options, clock, takes_instance, found_tags)

    return Decorator(Placement(where, make, name, registry), limit, locals())


def _check_waits(rate: Rate, when_full: Any, max_delay: Any, max_waiting: Any) -> Waits | None:
    """How long calls may wait, if they may."""
    where = "limit"
    if not isinstance(when_full, str):
        raise TypeError(f'limit: when_full={given_text(when_full)} is not text; write "refuse" or "delay".')
    if when_full not in ("refuse", "delay"):
        hint = did_you_mean(when_full, ["refuse", "delay"]) or "; give one of them."
        raise ValueError(f'limit: when_full={given_text(when_full)} is neither "refuse" nor "delay"{hint}')
    if when_full == "delay":
        return Waits(
            rate.span_s if max_delay is None else seconds(max_delay, where=where, option="max_delay"),
            _MOST_WAITING if max_waiting is None else positive_int(max_waiting, where=where, option="max_waiting"),
        )
    for option, value in (("max_delay", max_delay), ("max_waiting", max_waiting)):
        if value is not None:
            raise TypeError(f'limit: {option}={given_text(value)} has no effect without when_full="delay".')
    return None
