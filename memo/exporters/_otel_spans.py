"""Loads as a tracer sees them: a span for each execution of a function, a link for each caller that joined it.

A load that a caller waits for is a child of that caller's span.  One in the background is nobody's child, since the
span of who began it may end long before: it is a root, with a link.  Without a span that records there is none for the
load either, unless all are wanted: to begin one costs something even without an SDK.
"""

import logging
from contextvars import Token
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Literal

from opentelemetry import context, trace
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, Status, StatusCode, TraceFlags, Tracer

from memo._base import Load, Seldom, cut, qualified_name, real
from memo.exporters._otel_durations import Durations
from memo.exporters._otel_figures import FUNCTION, OUTCOME

__all__ = ("Loads", "Spans")

log = logging.getLogger("memo")

Spans = Literal["loads", "all", "none"]

TRIGGER = "memo.load.trigger"
JOINED = "memo.load.joined"
KEY_HASH = "memo.key.hash"

_MOST_LABELS = 10_000

_ERROR = Status(StatusCode.ERROR)
_SAMPLED = TraceFlags.SAMPLED
_secret = token_bytes(32)
"""Of this process, and of those that it forks: without it nobody can try which keys have a hash."""


class _Spanned:
    """An execution that has a span: what its joiners and its end need to know of its begin."""

    __slots__ = ("at", "function", "link", "span", "token")

    def __init__(self, function: str, span: Span) -> None:
        self.function = function
        self.span: Span | None = span
        self.link: SpanContext | None = span.get_span_context() if span.is_recording() else None
        """Of the span, if it records."""
        self.token: Token[Any] | None = context.attach(trace.set_span_in_context(span))
        self.at = real.fine()


class Loads:
    """Tells a tracer, and the histogram of a meter, of loads.

    Args:
        durations: The histogram.
        tracer: The tracer; None: none is told.
        every: Whether loads have spans where no span records, too.
        key_hash: Whether spans tell of the key, by a hash that equal keys share.
    """

    def __init__(self, durations: Durations, tracer: Tracer | None, every: bool, key_hash: bool) -> None:
        self._durations = durations
        self._tracer = tracer
        self._every = every
        self._key_hash = key_hash
        self._labels: dict[str, str] = {}
        """How functions are called here."""
        self._complaints = Seldom()

    # What these raise is logged and dropped by who calls them.

    def begin(self, load: Load) -> Any:
        """The function is about to run, in this thread or task."""
        name = load.record.name
        try:
            function = self._labels[name]
        except KeyError:
            function = self._label(name)
        if self._tracer is not None and ((present := context.get_current()) or self._every):  # else there is no span
            caller = trace.get_current_span(present)
            if (
                self._every
                or caller.is_recording()
                or (
                    caller is not INVALID_SPAN
                    and caller.get_span_context().trace_flags & _SAMPLED  # it may have ended
                    and load.trigger == "background"
                )
            ):
                try:
                    return _Spanned(function, self._span(self._tracer, function, load, caller))
                except Exception:  # of a sampler or a processor
                    if self._complaints.is_due():
                        log.exception("%s: a span could not be begun; the load goes on without it", function)
        return function, real.fine()  # most have no span, and cost no more than this

    def _label(self, name: str) -> str:
        if len(self._labels) >= _MOST_LABELS:  # of functions that are made for each request, say
            self._labels.clear()
        label = self._labels[name] = cut(name)
        return label

    def _span(self, tracer: Tracer, function: str, load: Load, caller: Span) -> Span:
        attributes = {FUNCTION: function, TRIGGER: load.trigger}
        if self._key_hash and (number := _hash(load.key())) is not None:
            attributes[KEY_HASH] = number
        parent, links = None, None
        if load.trigger == "background":
            parent = trace.set_span_in_context(INVALID_SPAN)
            links = [Link(caller.get_span_context())] if caller.get_span_context().is_valid else None
        return tracer.start_span(f"load {function}", parent, attributes=attributes, links=links)

    def joined(self, begun: Any) -> None:
        """A caller, in this thread or task, got its answer from an execution that another led."""
        if type(begun) is _Spanned and begun.link is not None:
            span = trace.get_current_span()
            if span.is_recording():
                span.add_link(begun.link, {FUNCTION: begun.function})

    def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None:
        """The function has ended, in the thread or task that it was begun in."""
        now = real.fine()
        if type(begun) is tuple:
            function, at = begun
            self._durations.add(function, outcome, now - at)
            return
        span, token, begun.span, begun.token = begun.span, begun.token, None, None  # joiners may hold on to the rest
        try:
            if span.is_recording():
                self._durations.record(begun.function, outcome, now - begun.at)  # while its span is the present one
                _tell_end(span, outcome, joined, error)
            else:
                self._durations.add(begun.function, outcome, now - begun.at)
        finally:
            context.detach(token)
            span.end()


def _tell_end(span: Span, outcome: str, joined: int, error: BaseException | None) -> None:
    span.set_attribute(OUTCOME, outcome)
    span.set_attribute(JOINED, joined)
    if outcome in ("error", "timeout"):
        if error is not None:
            span.set_attribute("error.type", qualified_name(type(error)))
        span.set_status(_ERROR)


def _hash(key: Any) -> str | None:
    """A number that equal keys share, and that tells nothing of them without the secret; None: it cannot be hashed."""
    try:
        number = hash(tuple(key) if type(key) is list else key)  # a batch has a list of them
    except Exception:  # an argument that counts by identity, as with weak=
        return None
    return blake2b(number.to_bytes(8, "big", signed=True), key=_secret, digest_size=8).hexdigest()
