"""Some decorated functions, chosen by name or tag, and what can be done with all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from memo._adopted import find_adopted
from memo._base import (
    SEVERAL,
    LoadObserver,
    OfTheProgram,
    Staying,
    check_tag,
    counted,
    did_you_mean,
    given_text,
    positive_int,
    shown_signatures,
    unhurried,
)
from memo._cache import check_callback
from memo._registry.cache_event import CacheEvent, EventKind, checked_kinds
from memo._registry.cleanup import sweep
from memo._registry.isolation import is_apart
from memo._registry.leak_report import LeakReport
from memo._registry.leak_search import report_on
from memo._registry.off_switch import SwitchedOff
from memo._registry.overview import rows_of
from memo._registry.parts import Home
from memo._registry.record import Record, record_of
from memo._registry.stats import CleanupReport, FunctionStats
from memo._registry.subscriptions import Subscription
from memo._registry.tables import Table
from memo._registry.tiers import lines_below, links_of, tiers_of

if TYPE_CHECKING:
    from memo.shared import Tier
else:
    Tier = Any  # what the annotations are evaluated to: few programs have one

__all__ = ("Selection", "View")

_SPARKS = 12  # characters of a sparkline: half of what a window shows by itself, as tables are wide enough


@shown_signatures
class View(OfTheProgram, Staying):
    """Some decorated functions, and what can be done with all of them."""

    def _records(self) -> list[Record]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records())

    def __len__(self) -> int:
        return len(self._records())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, function: object) -> bool:
        return self._find(function) is not None

    def __getitem__(self, function: Any) -> Record:
        """The record of a decorated function, or of a name.

        Raises:
            KeyError: It is not here.
        """
        record = self._find(function)
        if record is None:
            records = self._records()
            hint = did_you_mean(function, [one.name for one in records]) if isinstance(function, str) else ""
            hint = hint or f"; it has {counted(len(records), 'function')}: list(registry)"
            raise KeyError(f"{given_text(function)} is not in this registry{hint}")
        return record

    def _find(self, function: object) -> Record | None:
        records = self._records()
        if isinstance(function, str):
            return next((record for record in records if record.name == function), None)
        found = _adopted_among(records, function)
        if found is None:
            found = record_of(function)
        return found if any(record is found for record in records) else None

    def stats(self) -> dict[str, FunctionStats]:
        """The figures of every function now, by name."""
        return {row.stats.name: row.stats for row in rows_of(self._records())}

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The figures of every function now, by name, for ``json.dumps``.

        With ratios, means and totals.
        """
        return {row.stats.name: row.stats.as_dict() for row in unhurried(rows_of(self._records()), runs=SEVERAL)}

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck, everywhere.

        Works in small slices and lets other threads run in between.  A function
        whose clock or policy raises is logged to logger "memo", and the others
        are cleaned up all the same.
        """
        return sweep(self._records())

    def clear(self) -> None:
        """Drop every entry, everywhere; counters stay.

        Windows and limits forget the calls that they have seen.  One function
        after another, each as by its ``cache.clear()``.
        """
        for record in self._records():
            record.clear()

    def forget_inherited(self) -> int:
        """In a forked child, drop inherited entries, without ``on_evict``.

        Everywhere.  Their values are the parent's; what the child stored itself
        stays.  To be called first of all in the child, in gunicorn's
        ``post_fork`` for example; does nothing in a process that inherited
        nothing.

        Returns:
            Number of values dropped.
        """
        return sum(part.forget_inherited() for record in self._records() for part in record.parts)

    def report(self) -> LeakReport:
        """What the stores hold and keep alive, and what to do about it.

        ``print(x.report())`` shows it, with what to look at first on top.

        Functions without a store are left out, but for limits, and windows that
        count calls by key (``keys=``).  Where a store does not count bytes
        itself, up to 1,000 of its values, evenly spread, are measured by
        ``memo.sizeof``, which takes some microseconds for each; one that raises
        is logged to logger "memo".  Nothing counts as a hit, and no lock is
        held meanwhile; other threads run in between.  So of more than 10,000
        entries those count that are there from beginning to end, and of what
        comes or leaves meanwhile perhaps some.
        """
        return report_on(self._records())

    def select(self, pattern: str | None = None, tag: str | None = None) -> Selection:
        """A view of those whose name matches and that bear a tag.

        Of these functions, now and later.

        Args:
            pattern: What the name must match, the case of letters, too:
                ``*`` stands for any text, ``?`` for one character, ``[ab]`` for
                one of these; None: every name.
            tag: One of the function's own tags (not those that ``tags=``
                computes for each entry); None: any or none.

        Raises:
            TypeError: pattern or tag is no text.
            ValueError: pattern or tag is empty.
        """
        if pattern is not None and not isinstance(pattern, str):
            raise TypeError(f"select: pattern={given_text(pattern)} is not text; give one such as 'bot.*'.")
        if pattern == "":
            raise ValueError("select: pattern='' matches nothing; give one such as 'bot.*', or leave it out.")
        if tag is not None:
            check_tag("select", tag)
        return Selection(self, pattern, tag)

    def invalidate(self, *, tag: str) -> int:
        """Drop every entry that bears *tag*, in every function.

        No load that runs now brings one back.  Bears it: every entry of a
        function with that tag, and of a function whose ``tags=`` computes tags
        the entries for whose calls it returned this one.  Those are found by
        the tag, in time proportional to their number, and leave in slices of
        100, others getting their turn in between; what is stored by a load that
        began after this call did may stay.  Callers who wait for a running load
        get its result; it is not stored.  Entries leave with the reason
        ``invalidated``.  What a sliding window recorded stays: it happened.
        Each tier that one of these functions shares results through drops what
        bears it there, of any function.

        Returns:
            Number of entries dropped here.

        Raises:
            TypeError: tag is no text.
            ValueError: tag is empty.
        """
        check_tag("invalidate", tag)
        records = self._records()
        links = links_of(records, is_apart)
        if not links:
            return _drop_tagged(records, tag)
        try:
            count = _drop_tagged(records, tag)
            for link in links:
                link.invalidate_tag(tag)
        finally:
            _drop_tagged(records, tag)  # what was read from a tier meanwhile
        return count

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that these functions share results through."""
        return tiers_of(self._records())

    def covers(self, record: Record) -> bool:
        """Whether *record* is one of these."""
        raise NotImplementedError

    def _home(self) -> Home:
        """The registry that this is, or is a part of."""
        raise NotImplementedError

    def disabled(self, pattern: str | None = None) -> SwitchedOff:
        """Have calls go straight to what is decorated, in a ``with`` block.

        Nothing is looked up, joined, stored, recorded, limited or counted then;
        handles keep working.  This holds for the thread or task that enters the
        block and for tasks started in it, also for functions decorated in it;
        other threads and tasks go on as before.  With the block it ends for all
        of them, also for tasks that outlive it.  (A context variable carries
        it.)  To switch everything off for good, set ``MEMO_DISABLE=1`` in the
        environment before decorating.  A pattern that matches nothing as the
        block is entered is warned about (UserWarning), with the names that it
        is like; it holds for functions that come later all the same.

        Args:
            pattern: Which functions, as for ``select()``; None: all of these.

        Raises:
            TypeError: pattern is no text.
            ValueError: pattern is empty.
        """
        view = self if pattern is None else self.select(pattern)
        return SwitchedOff(view, self._home().watch_switch, lambda: "" if view._records() else view._why_empty())

    def subscribe(
        self,
        callback: Callable[[CacheEvent], object],
        *,
        kinds: EventKind | Iterable[EventKind] | None = None,
        limit: int = 10_000,
    ) -> Subscription:
        """Have *callback* told what happens in these functions.

        Now and later, until the subscription is closed.

        It is called with one ``CacheEvent`` after another, in a daemon thread
        of its own, shortly after each happened.  No call of a function waits
        for it, whatever it does: up to *limit* events wait for it, then the
        oldest are dropped and counted; what it raises is logged to logger
        "memo".  See ``Subscription`` for what it survives.

        Hits are no events, and cost what they did.  While somebody is told of
        executions, calls that find nothing are led in Python, which takes some
        microseconds more; without subscriptions nothing costs more than it did.

        Args:
            callback: Called with each event; a plain function.
            kinds: What it is told of: "load", "error", "cancelled", "timeout",
                "stale" or "eviction", or several of these; None: all.  See
                ``CacheEvent.kind``.
            limit: The most events that wait.

        Raises:
            TypeError: callback cannot be called or is a coroutine function;
                kinds is no text; limit is no whole number.
            ValueError: kinds names nothing, or what is unknown; limit is below
                1.
            RuntimeError: No thread can be started any more.
        """
        if callback is None:
            raise TypeError("subscribe: callback=None cannot be called; give a function.")
        check_callback("subscribe", "callback", callback, "event")
        most = positive_int(limit, where="subscribe", option="limit")
        subscription = Subscription(callback, checked_kinds("subscribe", kinds), most)
        self._home().tell(self, subscription)
        return subscription

    def __memo_observe__(self, observer: LoadObserver) -> Callable[[], None]:
        return self._home().observe(self, observer)

    def _why_empty(self) -> str:
        """What to say of a choice of functions that is empty now; nothing if it is none."""
        return ""

    def __str__(self) -> str:
        return self._shown(Table.text)

    def _repr_html_(self) -> str:
        return self._shown(Table.html)

    def _shown(self, form: Callable[[Table, str], str]) -> str:
        table = Table(rows_of(self._records(), sparks=_SPARKS))
        shown = form(table, "\n".join(filter(None, (self._note(not table.names), *lines_below(table.sharing)))))
        table.let_go()
        return shown

    def _note(self, is_empty: bool) -> str:
        """Lines below the table, which has no functions if it *is_empty*; or nothing."""
        return ""


@shown_signatures
class Selection(View):
    """Those functions of a view whose name matches a pattern and that bear a tag."""

    def __init__(self, of: View, pattern: str | None, tag: str | None) -> None:
        self._of = of
        self._pattern = pattern
        self._tag = tag

    def _matches(self, record: Record) -> bool:
        if self._pattern is not None and not fnmatchcase(record.name, self._pattern):
            return False
        return self._tag is None or self._tag in record.tags

    def _records(self) -> list[Record]:
        return [record for record in self._of._records() if self._matches(record)]

    def covers(self, record: Record) -> bool:
        return self._matches(record) and self._of.covers(record)

    def _home(self) -> Home:
        return self._of._home()

    def _stays(self) -> tuple[str, str]:
        return "select: a view shows functions of this process", "its stats(), and select() there from what is there"

    def __repr__(self) -> str:
        asked = [f"{name}={value!r}" for name, value in (("pattern", self._pattern), ("tag", self._tag)) if value]
        count = len(self)
        hint = "" if count else self._hint()
        return f"<{counted(count, 'function')} of {self._of!r} with {', '.join(asked) or 'any name'}{hint}>"

    def _why_empty(self) -> str:
        asked = [f"is called {self._pattern!r}"] if self._pattern else []
        asked += [f"bears the tag {self._tag!r}"] if self._tag else []
        if not asked:
            return self._of._why_empty()
        return f"no function {' and '.join(asked)} now{self._hint() or '; list(registry) shows what there is.'}"

    def _note(self, is_empty: bool) -> str:
        return self._why_empty() if is_empty else ""

    def _hint(self) -> str:
        """The names that a pattern which matches nothing is like."""
        if self._pattern is None:
            return ""
        return did_you_mean(self._pattern, [record.name for record in self._of._records()])


def _drop_tagged(records: Iterable[Record], tag: str) -> int:
    """Drop the entries of these functions here that bear *tag*; how many."""
    return sum(record.invalidate(tag) for record in records)


def _adopted_among(records: list[Record], function: object) -> Record | None:
    handles = [(record, record.adopted) for record in records]
    if all(handle is None for _, handle in handles):
        return None
    target = find_adopted(function)
    if target is None:
        return None
    return next((record for record, handle in handles if handle is not None and handle.cache is target), None)
