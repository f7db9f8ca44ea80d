"""One decorated function, or adopted cache, as a registry sees it.

A record lives as long as one of its function's layers, and that of an adopted cache as long as the
cache.  A function decorated several times over has one record, which its layers share.
"""

import weakref
from collections.abc import Callable
from typing import Any

import memo._rate  # whose handles, and those of windows, are imported where somebody asks for the annotations
import memo._window
from memo._adopted import Adopted, AdoptedHandle
from memo._base import Staying, attribute, wrapped_by
from memo._cache import CacheHandle
from memo._flight import InflightHandle
from memo._registry.cleanup import sweep
from memo._registry.names import Number
from memo._registry.origins import Origin
from memo._registry.parts import Home, Part
from memo._registry.stats import CleanupReport, FunctionStats

__all__ = ("Record", "record_of")


class Record(Staying):
    """One decorated function in a registry.

    Attributes:
        name: ``module.qualname``, or the ``name=`` that it was given.
        tags: Its fixed tags.
    """

    explicit_name: bool
    explicit_registry: bool
    name: str
    origin: Origin
    registry: Home

    __module__ = "memo"

    __slots__ = (
        "__weakref__", "_parts", "explicit_name", "explicit_registry", "name", "number", "origin", "registry", "tags",
    )  # fmt: skip

    def __init__(self, registry: Home, origin: Origin) -> None:
        self.name = ""  # until the registry gives it one
        self.number: Number | None = None
        """What is behind the # in its name."""
        self.origin = origin
        """Where it was decorated, or adopted."""
        self.registry = registry
        self.tags: tuple[str, ...] = ()
        self.explicit_name = False
        self.explicit_registry = False
        self._parts: tuple[Callable[[], Part | None], ...] = ()
        """Layers hold the record, and so are held weakly."""

    def add(self, part: Part) -> None:
        """Put *part* around the layers so far."""
        self._parts = ((lambda: part) if isinstance(part, Adopted) else weakref.ref(part), *self._parts)
        self.tags = tuple(dict.fromkeys((*part.tags.fixed, *self.tags)))
        self.registry.admit(part)

    def is_outermost(self, part: object) -> bool:
        """Whether nothing was put around *part* since."""
        return bool(self._parts) and self._parts[0]() is part

    @property
    def parts(self) -> tuple[Part, ...]:
        """The layers, outermost first; none once the function is gone, though somebody keeps its record."""
        return tuple([part for get in self._parts if (part := get()) is not None])

    def _handle(self, kind: str) -> Any:
        for part in self.parts:
            if part.kind == kind:
                return part.handle()
        return None

    @property
    def cache(self) -> CacheHandle[..., Any, Any] | None:
        """The handle on its store, or None."""
        return self._handle("cache")  # type: ignore[no-any-return]

    @property
    def inflight(self) -> InflightHandle[..., Any] | None:
        """The handle on its running calls, or None."""
        handle = self._handle("inflight")
        return handle if handle is not None else getattr(self.cache, "inflight", None)

    @property
    def window(self) -> "memo._window.WindowHandle[..., Any] | None":
        """The handle on its window, or None."""
        return self._handle("window")  # type: ignore[no-any-return]

    @property
    def limit(self) -> "memo._rate.LimitHandle[..., Any] | None":
        """The handle on its limit, or None."""
        return self._handle("limit")  # type: ignore[no-any-return]

    @property
    def adopted(self) -> AdoptedHandle | None:
        """The handle on a cache that others made, or None."""
        return self._handle("adopted")  # type: ignore[no-any-return]

    def is_gone(self) -> bool:
        """Whether this is the record of a function or an adopted cache that is no more, kept by somebody."""
        gone = bool(self._parts)
        for get in self._parts:
            part = get()
            if part is not None:
                if isinstance(part, Adopted) and part.cache is None:
                    return True
                gone = False
        return gone

    def stats(self) -> FunctionStats:
        """Its figures now."""
        return self.shown(0)[0]

    def sparkline(self, width: int) -> str:
        """The calls in its window as one line of so many characters; empty if it has none."""
        return next((part.sparkline(width) for part in self.parts if part.kind == "window"), "")

    def shown(self, sparks: int) -> tuple[FunctionStats, str]:
        """Its figures now, and its sparkline of so many characters; for 0 none."""
        name = self.name
        figures: dict[str, Any] = {}
        sparkline = ""
        loads: Part | None = None
        for part in self.parts:
            kind = part.kind
            if kind in figures:  # of a kind, the outermost
                continue
            figures[kind] = part.stats(name)
            if kind == "cache":
                loads = part
            elif sparks and kind == "window":
                sparkline = part.sparkline(sparks)
        if loads is not None and "inflight" not in figures:
            figures["inflight"] = loads.load_stats(name)
        return FunctionStats(name, self.tags, **figures), sparkline

    def keeps_results_in(self, cache: object) -> bool:
        """Whether *cache*, an object of cachetools, is where one of its layers keeps results."""
        stores = [part for part in self.parts if part.kind == "cache" and part.is_made]
        return any(part.handle().store is cache for part in stores)

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck in every layer."""
        return sweep([self])

    def invalidate(self, tag: str) -> int:
        """Drop the entries here that bear *tag*, and fence running calls that may bear it; how many entries went."""
        parts = self.parts
        everything = tag in self.tags
        computed = any(part.tags.function is not None for part in parts)
        count = 0
        for part in reversed(parts):  # innermost first: what begins meanwhile above may be given what is still below
            # without a function it cannot tell which of its running calls the others' tags are about
            if everything or (computed and part.tags.function is None):
                part.fence(None)
            count += part.drop_tagged(None if everything else tag)
        return count

    def clear(self) -> None:
        """Drop every entry, in every layer."""
        for part in reversed(self.parts):  # innermost first: what begins meanwhile above may be given what is below
            part.empty()

    def _stays(self) -> tuple[str, str]:
        return (
            f"{self.name}: a record stands for what this process has of the function",
            "its stats(), or the function itself, and look that up there: registry[function]",
        )

    def __repr__(self) -> str:
        return f"<record of {self.name}>"


def record_of(function: Any) -> Record | None:
    """The record of a decorated function, looked for through whatever wraps it."""
    for link in wrapped_by(function):
        record = attribute(link, "__memo_record__")
        if isinstance(record, Record):
            return record
    return None
