"""``@dedupe_inflight``: concurrent equal calls share one execution, and none gets stuck."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from memo._base import (
    Clock,
    Duration,
    OneShot,
    Swept,
    Tags,
    TagsOption,
    Weakly,
    check_tags,
    given_text,
    knows_its_options,
    refuser,
    seconds,
)
from memo._call import Block, CallSource, KeyOptions, Native, Scope, check_key_options
from memo._decorated import AnyProperty, Decorator, FlightLayer, Layer, Placement, check_common
from memo._flight import (
    CallerFlights,
    FlightTable,
    InflightHandle,
    InflightStats,
    KeepsNothing,
    TaskFlights,
    ThreadFlights,
    WorkIn,
    WorkOptions,
    check_work,
    leading,
    leading_await,
    led_await,
    shared_await,
    shared_call,
    watched_call,
)
from memo._registry import Registry

if TYPE_CHECKING:
    from memo._decorated import Function

__all__ = ("InflightLayer", "dedupe_inflight")

P = ParamSpec("P")
R = TypeVar("R")


class InflightLayer(FlightLayer):
    """Running calls of one function."""

    kind = "inflight"
    where = "dedupe_inflight"
    """The decorator's name, for messages."""

    def __init__(
        self,
        function: Callable[..., Any],
        timeout_s: float | None,
        keys: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
        tags: Tags,
        refuse: Callable[[str, Any], None],
        work: WorkOptions,
    ) -> None:
        self.timeout_s = timeout_s
        self.work = work
        self._refuse = refuse
        super().__init__(self.where, function, keys, clock, takes_instance, tags)
        work.check_function(self.where, self.shape.qualname, self.shape.is_async)

    def make_engine(self, clock: Clock) -> ThreadFlights | TaskFlights:
        name = self.shape.qualname
        table = FlightTable(clock)
        keeper = KeepsNothing(name, table, self._refuse)
        kind = self.work.kind(self.shape.is_async)
        return kind(name, self.called, table, keeper, self.timeout_s, Weakly(self.explain), self.teller())

    def internals(self) -> dict[str, Any]:
        flights = self.flights
        if isinstance(flights, CallerFlights):
            return {**flights.names(), **leading_await(flights, leading(flights, flights.finish, self._refuse))}
        if isinstance(flights, TaskFlights):
            return flights.names()
        table = flights.table
        return {
            "setdefault": table.by_key.setdefault,
            "pop": table.by_key.pop,
            **flights.names(),
            "lock": table.lock,
            "refuse": self._refuse,
            "name": flights.name,
            **({"lead": flights.lead} if self.is_watched else {}),
            "lead_made": flights.lead,
            "leading": None if self.tags.function is not None else leading(flights, flights.finish, self._refuse),
        }

    def template(self, call: CallSource) -> Block:
        tagged = self.tags.function is not None
        if not call.is_async:
            return watched_call(call) if self.is_watched else shared_call(call, tagged=tagged)
        if self.work.in_caller:
            return [*call.prelude, *led_await(call, tagged=tagged, watched=self.is_watched)]
        return shared_await(call)

    def native_template(self) -> Native | None:
        if self.shape.is_async or self.tags.function is not None:
            return None
        return Native(looks=False, leads=True, leads_made=True)

    def handle_for(self, prefix: tuple[Any, ...]) -> InflightHandle[..., Any]:
        return InflightHandle(self.flights, self.generated_for(prefix), self.name, self.fence_others, prefix)

    def stats(self, name: str) -> InflightStats:
        return self.flights.table.stats(name) if self.is_made else InflightStats(name)

    def drop_tagged(self, tag: str | None) -> int:
        if tag is not None and self.tags.function is not None and self.is_made:
            self.flights.table.detach_tagged(tag)
        return 0

    def sweep(self) -> Iterator[Swept]:
        if self.is_made:
            yield Swept(flights=self.flights.cleanup())

    def empty(self) -> None:
        if self.is_made:
            self.flights.table.detach_all()


@overload
def dedupe_inflight(function: AnyProperty, /) -> AnyProperty: ...
@overload
def dedupe_inflight(function: Function[P, R], /) -> Function[P, R]: ...
@overload
def dedupe_inflight(function: Callable[P, R], /) -> Function[P, R]: ...
@overload
def dedupe_inflight(
    *,
    timeout: Duration = 30.0,
    work: WorkIn = "shared",
    keep: Duration | None = None,
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    weak: Iterable[str] = (),
    scope: Scope | None = None,
    typed: bool = False,
    tags: TagsOption = (),
    one_shot: OneShot = "refuse",
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Decorator: ...
@knows_its_options
def dedupe_inflight(
    function: Any = None,
    /,
    *,
    timeout: Duration = 30.0,
    work: WorkIn = "shared",
    keep: Duration | None = None,
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    weak: Iterable[str] = (),
    scope: Scope | None = None,
    typed: bool = False,
    tags: TagsOption = (),
    one_shot: OneShot = "refuse",
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Any:
    """Let concurrent calls with one key share one execution (single-flight).

    The first caller leads; those who call while it runs wait and get the same
    result, or an exception like the one it raised.  Nothing is remembered once
    it has ended.  For threads and for coroutines, also across several event
    loops in several threads, and for greenlets of gevent and eventlet.  Use it
    bare, ``@dedupe_inflight``, or with options.

    Threads and greenlets: the leader runs the function where it was called.
    Coroutines: the work runs in a task of its own, in the context of the first
    caller; a cancelled caller leaves alone, and when the last one has left, the
    task is cancelled and awaited.  ``KeyboardInterrupt``, ``SystemExit``,
    ``GeneratorExit`` and a cancellation of the work stay with the one they
    struck; one of those who wait takes over, as they do when the leader's
    thread or loop has died.  A recursion with the same key, and a call that
    would wait for itself in a circle, run straight through.  So does a plain
    function that is called in a thread that runs an event loop while another
    thread leads, which may need the loop; and one called in a greenlet while
    another of its thread leads, if no hub of gevent or eventlet is there to
    wait in (as in SQLAlchemy's ``run_sync()``).

    What is *not* promised: that joiners get the identical exception object, or
    anything across processes.  After ``os.fork()`` the child starts with no
    running calls.

    Args:
        function: What to decorate, if there are no options.
        timeout: Age at which a running call is stuck, a duration; never None.
            Seconds, a timedelta or text such as "30s".  It is detached: those
            who wait get ``InflightTimeout``, the next call starts a new one.
            The task of a coroutine is cancelled; a thread cannot be stopped, so
            its own caller still gets its result.
        work: Where a coroutine function's work runs: "shared" or "caller".
            "shared": in a task of its own, in a copy of its first caller's
            context, who sees afterwards what was bound there.  "caller": in the
            first caller's own task, with its context, cancel scopes, timeouts
            and what belongs to that task; should that caller be cancelled, one
            of those who wait takes over, in its task and with its arguments.  A
            plain function runs where it was called.
        keep: How long work goes on that all left, a duration; None: not.
            Of a coroutine function, by the clock; newcomers join it.  Then it
            is cancelled.  None: it is cancelled at once.
        key: Makes the key of a call, a hashable; None: of its arguments.
            Called as the function was, defaults filled in; with the instance
            only where one of its own parameters is named like that
            (``key=lambda self: ...``), or where the call has no other argument.
        ignore: Names of parameters to leave out of the key.
        weak: Names of parameters that count by identity and are not kept alive.
            As ``self`` does.  None stands for itself; an argument that cannot
            be weakly referenced is a TypeError.  ``key=`` makes the rest of the
            key.
        scope: Whose calls join each other: None: all; "loop": one event loop's.
            That is for results that belong to a loop.  Calls outside of a
            running loop join each other.  None: loops share.
        typed: Whether all arguments of different types have different keys.
            Not only one that a call may consist of alone.
        tags: Names, or a function of the call, that calls are detached by.
            The function is called as ``key`` is, and returns names;
            ``registry.invalidate(tag=...)`` lets newcomers join no call that
            bears one and runs then.
        one_shot: Results that can be used only once: "refuse" or "share".
            An iterator or generator, a coroutine object or what stands for one,
            a context manager of ``@contextmanager``.  "refuse": TypeError.
            "share": all callers who waited get the same one, for example to
            draw from it in turn.
        name: Name in the registry; None: ``module.qualname``.
        registry: Where the function is listed; None: ``memo.registry``.
        clock: Returns seconds, never going back; None: ``time.monotonic``.
            Read once when decorating, so that what is none is refused.
            Measures the age of a running call.  A wait itself follows real
            time.

    Raises:
        TypeError: At decoration: an option is of the wrong type, timeout is
            None, or it is a generator function.  At a call: an argument cannot
            be hashed, or the result can be used only once.
        ValueError: At decoration: an option's value makes no sense.
        InflightTimeout: At a call: the execution that it waited for took longer
            than timeout.
    """
    where = "dedupe_inflight"
    if timeout is None:
        raise TypeError(
            "dedupe_inflight: timeout=None would let a stuck call stay for ever; give a limit, "
            "for example timeout=30 (seconds)."
        )
    timeout_s = seconds(timeout, where=where, option="timeout")
    keys = check_key_options(where, key, ignore, typed, weak, scope)
    check_common(where, name, registry, clock)
    work_options = check_work(where, work, keep)
    found_tags = check_tags(where, tags)
    refuse = refuser(where, one_shot)

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return InflightLayer(function, timeout_s, keys, clock, takes_instance, found_tags, refuse, work_options)

    decorator = Decorator(Placement(where, make, name, registry), dedupe_inflight, locals())
    if function is None:
        return decorator
    if not callable(function) and not hasattr(type(function), "__get__"):  # nor what stands in a class for a function
        raise TypeError(
            f"dedupe_inflight: {given_text(function)} is given without a name; write "
            f"dedupe_inflight(timeout={given_text(function)})."
        )
    return decorator(function)
