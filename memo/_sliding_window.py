"""``@sliding_window``: what happened over a moving span of time, in bounded memory."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from memo._base import (
    Clock,
    Duration,
    KeyText,
    Swept,
    Tags,
    Tracked,
    check_error_types,
    check_tag_names,
    failure_text,
    given_text,
    knows_its_options,
    positive_int,
    refuse_bare,
    seconds,
    stored_key,
)
from memo._call import Block, CallSource, KeyOptions, Native, check_key_options, is_looked_at, looked_at
from memo._decorated import Decorator, Layer, Placement, check_common
from memo._registry import Registry
from memo._window import Intake, KeyReader, Recorder, WindowHandle, WindowStats, recorded_call, sparks

__all__ = ("sliding_window",)

log = logging.getLogger("memo")


class _WindowLayer(Layer):
    """The calls of one function."""

    kind = "window"

    def __init__(
        self,
        function: Callable[..., Any],
        span_s: float,
        max_events: int,
        most_keys: int | None,
        only: tuple[type[Exception], ...] | None,
        keys: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
        tags: Tags,
    ) -> None:
        self.span_s = span_s
        self.max_events = max_events
        self.most_keys = most_keys
        self.only = only
        super().__init__("sliding_window", function, keys, clock, takes_instance, tags)

    @property
    def intake(self) -> Intake:
        """What takes its calls in."""
        return self.works.engine  # type: ignore[no-any-return]

    @property
    def recorder(self) -> Recorder:
        """What answers about them."""
        return Recorder(self.intake)

    def make_engine(self, clock: Clock) -> Intake:
        return Intake(
            span_s=self.span_s,
            max_events=self.max_events,
            keys=self.most_keys,
            only=self.only,
            clock=lambda: clock.read(),  # noqa: PLW0108  # which may be exchanged
            where=self.shape.qualname,
        )

    def internals(self) -> dict[str, Any]:
        key = self._options.key
        look = (
            {}
            if key is None or not is_looked_at(key)
            else {"stored": functools.partial(_looked_at_and_stored, self.shape.qualname)}
        )
        return {
            **self.intake.note_names(),
            **look,
            "fail": self._fail,
            "unkeyed": self._unkeyed,
            "untimed": self._untimed,
            "dropped": self._dropped,
        }

    def template(self, call: CallSource) -> Block:
        return recorded_call(call, parameters=len(self.shape.parameters), everything=self.only is None)

    def native_template(self) -> Native | None:
        if self.shape.is_async:
            return None
        return Native(looks=False, records=True, records_all=self.only is None)

    def _fail(self, started: float, key: object, error: BaseException) -> None:
        """Record a call that raised; raises nothing itself."""
        if self.only is not None and not isinstance(error, self.only):
            return
        try:
            ended = self.clock.read()
            detail = failure_text(error) if isinstance(error, Exception) else "cancelled"
            self.intake.enter(started, ended, detail, key)
        except Exception as reason:
            self._dropped(reason)

    def _unkeyed(self, error: Exception) -> KeyText:
        log.error("%s: the key could not be made; the call goes on", self.shape.qualname, exc_info=error)
        return KeyText(f"<no key: {type(error).__name__}>")

    def _untimed(self, error: Exception) -> float:
        log.error("%s: clock raised; the call goes on and is not recorded", self.shape.qualname, exc_info=error)
        return math.nan

    def _dropped(self, error: Exception) -> None:
        log.error("%s: the call could not be recorded", self.shape.qualname, exc_info=error)

    def handle_for(self, prefix: tuple[Any, ...]) -> WindowHandle[..., Any]:
        return WindowHandle(self.recorder, self.name)

    def stats(self, name: str) -> WindowStats:
        return self.recorder.stats(name) if self.is_made else WindowStats(name, span=self.span_s)

    def sparkline(self, width: int) -> str:
        return self.recorder.sparkline(width) if self.is_made else sparks([0] * width)

    def tracked(self) -> Tracked | None:
        if self.most_keys is None:
            return None
        return KeyReader(self.intake).tracked() if self.is_made else Tracked(0, None, 0)

    def sweep(self) -> Iterator[Swept]:
        if self.is_made:
            for events in self.intake.expire_events():
                yield Swept(events=events)

    def empty(self) -> None:
        if self.is_made:
            self.intake.clear()


@knows_its_options
def sliding_window(
    window: Duration,
    *,
    max: int = 10_000,  # noqa: A002  # the field's term, and never needed as the builtin here
    keys: int | None = None,
    key: Callable[..., object] | None = None,
    ignore: Iterable[str] = (),
    only: type[Exception] | Iterable[type[Exception]] | None = None,
    tags: str | Iterable[str] = (),
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Decorator:
    """Record what happened of late: how often, how long, how it ended.

    Works on functions, coroutine functions, methods, class methods, static
    methods and properties, above or below their own decorators.  The decorated
    function stays what it was, and gains ``f.window``.

    A call counts when it ends: "ok" if it returned, "error" if it raised an
    ``Exception``, and "cancelled" if anything else ended it
    (``asyncio.CancelledError``; ``GeneratorExit``, when a running coroutine is
    closed; ``KeyboardInterrupt`` and ``SystemExit``, which are no failure of
    the function either).  The result or the very same exception goes on to the
    caller.

    Nothing is kept alive: of a call there remain its time, duration, outcome
    and key as text, and the type and message of its error, each text at most
    200 characters.  The latest *max* calls are kept in full; counts, error
    counts and durations are kept of all, in memory that does not depend on
    their number.

    Safe from any thread and any event loop; an ordinary call waits for no lock.
    Recording never breaks a call: a ``clock`` or ``key`` that raises and a time
    that is no finite number are logged to logger "memo".  The window is the
    function's, over all instances.  After ``os.fork()`` the child goes on with
    a copy.

    Args:
        window: Length of the window, a duration, such as "24h".
            Seconds, a timedelta, or text.  A call that ended exactly that long
            ago is out.
        max: Most calls kept in full; of those before, figures are kept.
        keys: Most keys counted beyond the kept calls; None: these alone.
            For ``f.window.count(key=...)``, ``of_key()`` and ``top()``: exactly
            while no more than so many keys come in any 1/24 of the window;
            beyond that what is not known of a key is at most 1/*keys* of all
            calls, and keys with more than that are counted.  1,000 is a good
            number.  Memory: at most 27 times *keys* times 400 bytes, besides
            the text of long keys.  None: by the kept calls alone.
        key: Makes the key of a call, made text; None: the arguments.
            Before the call begins.  Called as the function was, defaults filled
            in; with the instance only where one of its own parameters is named
            like that (``key=lambda self: ...``), or where the call has no other
            argument.
        ignore: Names of parameters to leave out of the key.
        only: Type or types of exceptions to record; None: all calls.
            Nothing else is recorded then, neither other failures nor calls that
            went well.
        tags: Names by which ``registry.select(tag=...)`` finds the function.
            What was recorded is not invalidated by them: it happened.
        name: Name in the registry; None: ``module.qualname``.
        registry: Where the function is listed; None: ``memo.registry``.
        clock: Returns seconds, never going back; None: ``time.monotonic``.
            Read once when decorating, so that what is none is refused.
            If it does go back, the window goes on from where it was.

    Raises:
        TypeError: At decoration: an option is of the wrong type, the window is
            missing, or it is a generator function, whose calls end before its
            work begins.
        ValueError: At decoration: an option's value makes no sense.
    """
    where = "sliding_window"
    refuse_bare(where, window, "a span")
    if window is None:
        raise TypeError('sliding_window: window=None would never let go of anything; give a span such as "24h".')
    span_s = seconds(window, where=where, option="window")
    max_events = positive_int(max, where=where, option="max")
    types = _check_only(only)
    most_keys = None if keys is None else positive_int(keys, where=where, option="keys")
    key_options = check_key_options(where, key, ignore, False)
    key_options.apart = False  # keys are to be read, and say nothing of the instance
    check_common(where, name, registry, clock)
    found_tags = check_tag_names(where, tags, "what a window has recorded is not invalidated")

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return _WindowLayer(
            function, span_s, max_events, most_keys, types, key_options, clock, takes_instance, found_tags
        )

    return Decorator(Placement(where, make, name, registry), sliding_window, locals())


def _check_only(only: Any) -> tuple[type[Exception], ...] | None:
    if only is None:
        return None
    types = check_error_types("sliding_window", "only", only)
    if not types:
        raise ValueError(
            f"sliding_window: only={given_text(only)} names no exception type; write only=(ValueError,), or leave it "
            "out."
        )
    return types


def _looked_at_and_stored(name: str, made: Any) -> object:
    """What tables of a window hold of what ``key=`` of the function *name* made, once that was looked at."""
    return stored_key(looked_at(name, made))
