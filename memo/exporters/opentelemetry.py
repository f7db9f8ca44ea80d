"""A registry seen by OpenTelemetry: metrics of every function, and spans of what they load.

Needs the extra ``opentelemetry``, which is the API alone; the SDK and its exporters are the program's.
"""

import sys
import weakref
from collections.abc import Callable
from typing import Any

from memo import Registry
from memo._base import LoadObserver, Stage, did_you_mean, given_text, hold, observe_loads, rlock
from memo.errors import MissingExtra

try:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider, get_tracer
except ImportError as _error:
    raise MissingExtra(
        f"memo.exporters.opentelemetry needs the package 'opentelemetry-api', which cannot be imported ({_error}); "
        f'run: pip install "memo-toolkit[opentelemetry]"'
    ) from _error

from memo.exporters._otel_meters import Instruments, instruments_of
from memo.exporters._otel_spans import Loads, Spans

__all__ = ("Instrumentation", "instrument")

_SPANS = ("loads", "all", "none")

_changing = rlock()
"""Guards which instrumentation a registry has."""
hold(Stage.EXPORTERS, sys.modules[__name__], _changing)


class Instrumentation:
    """A registry that OpenTelemetry is told of, as ``instrument()`` made it.  It need not be kept.

    It does not keep the registry alive.
    """

    def __init__(self, registry: Registry, instruments: Instruments, loads: LoadObserver) -> None:
        self._registry = weakref.ref(registry)
        self._instruments = instruments
        self._stop: Callable[[], object]
        with _changing:
            earlier = _present.get(registry)
            if earlier is not None:
                earlier._end()
            instruments.add(registry)
            self._stop = observe_loads(registry, loads)
            _present[registry] = self

    def uninstrument(self) -> None:
        """Tell no more of the registry.  Loads that run keep their span until they end.

        From any thread; called again, or after another ``instrument()`` of that registry, it does nothing.
        """
        registry = self._registry()
        with _changing:
            if registry is not None and _present.get(registry) is self:
                del _present[registry]
                self._end()
        self._instruments.durations.hand_over()

    def _end(self) -> None:
        registry = self._registry()
        if registry is not None:
            self._instruments.remove(registry)
        self._stop()

    def __repr__(self) -> str:
        registry = self._registry()
        if registry is None or _present.get(registry) is not self:
            return "<instrumentation that has ended>"
        return f"<instrumentation of {registry!r}>"


_present: "weakref.WeakKeyDictionary[Registry, Instrumentation]" = weakref.WeakKeyDictionary()


def instrument(
    registry: Registry,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    spans: Spans = "loads",
    key_hash: bool = False,
) -> Instrumentation:
    """Tell OpenTelemetry of every function of *registry*, those that come later included.

    The figures are read when a reader collects, all from one snapshot, which is at most a second old.  A call that is
    answered from a cache costs what it did; a load costs two to three microseconds more, and one that has a span some
    forty (``benchmarks/telemetry.py``).
    A function whose figures raise is left out of them, and logged to logger "memo" once a minute; what a tracer raises
    is logged, too, and harms no call.  To be called once, at the start of the program; safe from any thread.  A second
    call for a registry replaces the first.

    Args:
        registry: What to tell of, such as ``memo.registry``; not kept alive.
        meter_provider: Where metrics go; None: to the program's own, also if that is set later.
        tracer_provider: Where spans go; None: likewise.
        spans: Which executions have one: those for which a span of their caller records ("loads"), or "all", or "none".
            A caller that joined an execution has a link to it in its own span.
        key_hash: Whether spans tell of the call's key, by a hash with a secret of this process.  Equal keys have equal
            hashes.

    Returns:
        What ends it: ``uninstrument()``.

    Raises:
        TypeError: registry is none, key_hash no bool, or a provider has no meters, or tracers.
        ValueError: spans is none of these words.
    """
    _check(registry, meter_provider, tracer_provider, spans, key_hash)
    instruments = instruments_of(meter_provider)
    tracer = None if spans == "none" else get_tracer("memo", tracer_provider=tracer_provider)
    return Instrumentation(registry, instruments, Loads(instruments.durations, tracer, spans == "all", key_hash))


def _check(registry: Any, meter_provider: Any, tracer_provider: Any, spans: Any, key_hash: Any) -> None:
    if not isinstance(registry, Registry):
        raise TypeError(f"instrument: {given_text(registry)} is no registry; give one, such as memo.registry.")
    for name, provider, makes in (
        ("meter_provider", meter_provider, "get_meter"),
        ("tracer_provider", tracer_provider, "get_tracer"),
    ):
        if provider is not None and not callable(getattr(provider, makes, None)):
            raise TypeError(
                f"instrument: {name}={given_text(provider)} has no {makes}(); give a provider of OpenTelemetry, or "
                "leave it out."
            )
    if spans not in _SPANS:
        hint = did_you_mean(spans, _SPANS) if isinstance(spans, str) else ""
        raise ValueError(
            f"instrument: spans={given_text(spans)} is none of 'loads', 'all' and 'none'{hint or '; give one of them.'}"
        )
    if not isinstance(key_hash, bool):
        raise TypeError(f"instrument: key_hash={given_text(key_hash)} is no bool; give True or False.")
