"""Every decorated function in one place.  A registry holds its records weakly."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from memo._adopted import Adopted, AdoptedHandle, AdoptedRef, adoptable, check_lock, find_adopted, name_of
from memo._base import (
    EVERYTHING,
    Covers,
    Duration,
    LoadObserver,
    Seat,
    Stage,
    Weakly,
    counted,
    given_text,
    hold,
    is_of,
    positive_int,
    rlock,
    seconds,
    shown_signatures,
    unhurried,
)
from memo._cache import RefreshPool
from memo._call import Handle
from memo._late import in_time
from memo._registry.audiences import Audiences
from memo._registry.cleanup import alive, sweep
from memo._registry.janitor import Janitor
from memo._registry.names import Named, Names
from memo._registry.origins import Origin
from memo._registry.parts import Home, Part
from memo._registry.record import Record, record_of
from memo._registry.stats import CleanupReport
from memo._registry.subscriptions import Subscription
from memo._registry.view import View

if TYPE_CHECKING:
    from memo.exporters.http import Server
else:
    Server = Any  # what the annotations are evaluated to: few programs serve

__all__ = ("Registry", "registry")

_LOT = 500
"""Most records that are looked at before others get their turn: to look at ten thousand takes some milliseconds."""


@shown_signatures
class Registry(View):
    """A place where decorated functions are seen together.

    ``memo.registry`` is the default one.

    Safe from any thread.
    """

    __module__ = "memo"

    def __init__(self) -> None:
        self._lock = rlock()
        self._janitor: Janitor | None = None  # guarded by _lock
        self._switches: dict[object, None] = {}  # of disabled() blocks that are entered now; guarded by _lock
        self._watching: bool | None = False
        """What all functions were told about switches; None: some were told, and then it was cut short."""
        self._audiences = Audiences(self._lock, Weakly(self._parts, ()))
        self.pool: RefreshPool = RefreshPool()
        """The threads that load in the background for plain functions."""
        hold(Stage.REGISTRIES, self, self._lock)
        self._by_name = Names()  # guarded by _lock
        # The records of adopted caches, by the cache's address.  Added to under _lock; the collector removes without.
        self._adopted: dict[int, tuple[AdoptedRef, Record]] = {}

    def _listed(self) -> list[Record]:
        """All records that have a name here, whether or not what they are of is there still."""
        with self._lock:
            return list(self._by_name)

    def _records(self) -> list[Record]:
        found, records = self._listed(), list[Record]()
        for begin in unhurried(range(0, len(found), _LOT)):
            records += [record for record in found[begin : begin + _LOT] if not record.is_gone()]
        records.sort(key=_name_of)
        return records

    def _find(self, function: object) -> Record | None:
        if isinstance(function, str):
            with self._lock:
                return self._by_name.get(function)  # type: ignore[no-any-return]
        if self._adopted and (record := self._find_adopted(find_adopted(function))) is not None:
            return record
        found = record_of(function)
        if found is None or found.registry is not self:
            return None
        with self._lock:
            self._by_name.settle(found)
        return found

    def enter(self, record: Record, name: str, *, explicit: bool) -> None:
        """Give *record*, be it new, of another registry, or to be called otherwise, its place here.

        Args:
            record: What gets the name, or ``name#2`` and so on if a function
                has it that *record* does not replace.
            name: The name that is wanted.
            explicit: Whether somebody chose the name.
        """
        if record.registry is not self:
            record.registry.leave(record)  # before our lock is taken: no registry waits for another
        with self._lock:
            self._by_name.remove(record)
            record.registry = self
            self._by_name.add(record, name, explicit=explicit)
            for part in record.parts:
                self.admit(part)

    def leave(self, record: Named) -> None:
        """Forget *record*."""
        with self._lock:
            self._by_name.remove(record)

    def adopt(self, cache: Any, name: str | None = None, *, lock: AbstractContextManager[Any] | None = None) -> Record:
        """List a cache that others made, in the same table.

        With the figures that it has and dashes for the others.

        It is held weakly, and its record leaves with it; it stays as it is, and
        nothing is written into it.  ``cleanup()`` has it expire what is old
        (``expire()`` of a cachetools cache with a ttl), ``clear()`` empties it,
        both under the cache's own lock.  What has no lock is expired by the
        thread that adopted it alone, so not by the janitor.  Options of this
        package (``disabled()``, tags) do not reach it.

        Args:
            cache: A function decorated with ``functools.lru_cache`` or
                ``functools.cache``, ``async_lru.alru_cache``,
                ``cachetools.cached`` (its ``cachedmethod`` as seen through an
                instance) or what behaves like these, also a method seen through
                its class; or a ``cachetools`` cache, or a mapping with
                ``maxsize`` and ``currsize``.
            name: Its name here; default ``module.qualname`` of a function, the
                class's name of a cache object, with ``#2`` and so on if that is
                taken.
            lock: What guards a cache object that several threads use.

        Returns:
            Its record.  Adopting it again returns the same one, under the new
            name if one is given.

        Raises:
            TypeError: cache is none of these, is decorated by this package, or
                allows no weak reference; name is not text; lock is no lock, or
                given with a function, which knows its own.
            ValueError: name is empty.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"adopt: name={given_text(name)} is not text; give the name that the registry is to show.")
        if name == "":
            raise ValueError("adopt: name='' is empty; leave it out or give a name.")
        target = adoptable(cache, _refuse_own)
        check_lock(target, lock)
        if not callable(target) and any(r.keeps_results_in(target) for r in self._records()):
            raise TypeError("adopt: this is the store of a decorated function, which is in the registry already.")
        origin = Origin(target, type(target).__module__, name_of(target))
        with self._lock:
            record = self._find_adopted(target)
            if record is not None:
                if name is not None and name != record.name:
                    self.enter(record, name, explicit=True)
                return record
            record = Record(self, origin)
            self.enter(record, name or name_of(target), explicit=name is not None)
            record.add(Adopted(target, record, lock))
            ref = AdoptedRef(target, AdoptedRef.died)
            ref.address, ref.table = id(target), self._adopted
            self._adopted[ref.address] = ref, record
            return record

    def _find_adopted(self, target: Any) -> Record | None:
        ref, record = self._adopted.get(id(target), (None, None))
        return record if target is not None and ref is not None and ref() is target else None

    def janitor(self, every: Duration = "1h") -> Janitor:
        """Clean up in the background, time and again.

        A daemon thread, one for all functions, calls ``cleanup()``.

        There is one janitor to a registry: a second call replaces the interval,
        which begins anew, and starts the thread again if it was stopped.  See
        ``Janitor`` for what it survives; ``print(registry)`` shows its last
        run.

        Args:
            every: Time from the end of one clean-up to the next: seconds, a
                timedelta, or text such as "1h30m".

        Raises:
            TypeError: every is no duration.
            ValueError: every is not above zero, not finite, or text that is no
                duration.
        """
        every_s = seconds(every, where="registry.janitor", option="every")
        janitor = self._janitor
        if janitor is None:
            new = Janitor(self, Registry._sweep_one_by_one)
            with self._lock:
                janitor = self._janitor = self._janitor or new
        janitor.start(every_s)
        return janitor

    def configure(self, *, refresh_threads: int) -> None:
        """Change what holds for all functions of this registry.

        Args:
            refresh_threads: Most threads that load in the background for plain
                functions; 4 at first.  They are daemons, started when there is
                work and ended when there is none.

        Raises:
            TypeError: refresh_threads is no whole number.
            ValueError: refresh_threads is below 1.
        """
        self.pool.resize(positive_int(refresh_threads, where="registry.configure", option="refresh_threads"))

    def serve(
        self,
        *,
        http: int | tuple[str, int] | None = None,
        socket: bool = True,
        token: str | None = None,
        show_keys: bool = False,
        actions: bool = False,
        name: str | None = None,
        hosts: Iterable[str] = (),
    ) -> Server:
        """Show the figures to people and programs outside, until closed.

        At a Unix socket of this user (``python -m memo top`` finds it), and
        with ``http=`` over HTTP, too: a page, ``/stats.json``,
        ``/report.json``, ``/metrics``, ``/healthz``.  Works in daemon threads;
        calls of decorated functions are not held up.  Of the processes of one
        name and user each shows all.  One server to a registry: a second call
        replaces the first.  Safe from any thread.

        Args:
            http: A port of the loopback (0: any that is free), or an address
                and a port; None: no HTTP.
            socket: Whether there is a socket.  Where the system has no Unix
                sockets, that is a port of the loopback whose token lies in a
                file of this user.
            token: What is asked for over HTTP of everything but the empty page,
                as ``Authorization: Bearer``: 16 visible ASCII characters or
                more.  An address that other machines reach needs one.
            show_keys: Whether keys of running calls are shown.  Values,
                arguments and messages of errors never are.
            actions: Whether caches may be cleaned up, cleared and invalidated
                from outside.
            name: What the service is called, at most 40 letters, digits, "_",
                "." and "-"; default: the script or module that was started.
            hosts: Names by which a browser may ask, beside the address and
                those of the loopback.

        Returns:
            The server: ``url``, ``path``, ``close()``, and a context manager.

        Raises:
            TypeError: An option is of the wrong type.
            ValueError: An option has a wrong value; another machine could ask,
                or anybody here change something, without a token; or another
                registry of this process serves under that name.
            OSError: The port or the socket cannot be had.  A port that a
                sibling of the same name has is no error: that one shows this
                process, too.
        """
        # By name, since the exporters stand above: they are users of the package, and this a short way to one of them.
        with in_time("registry.serve()"):
            exporter = importlib.import_module("memo.exporters.http")
        server: Server = exporter.serve(
            self, http=http, socket=socket, token=token, show_keys=show_keys, actions=actions, name=name, hosts=hosts
        )
        return server

    def covers(self, record: Record) -> bool:
        return record.registry is self

    def _home(self) -> Home:
        return self

    def watch_switch(self, mark: object, on: bool) -> None:
        """Note that a ``disabled()`` block begins or ends; functions look at the switch while there is one."""
        with self._lock:
            if on:
                self._switches[mark] = None
            else:
                self._switches.pop(mark, None)
            watch = bool(self._switches)
            if self._watching is not watch:
                self._watching = None
                for record in self._listed():  # no others get their turn: the lock is held
                    for part in record.parts:
                        part.watch_switch(watch)
                self._watching = watch

    def admit(self, part: Part) -> None:
        """Have *part*, of a function that joins, look at the switch if others do, and be watched as they are."""
        with self._lock:
            if self._switches:
                part.watch_switch(True)
            self._audiences.admit(part)

    def observe(self, view: Covers, observer: LoadObserver) -> Callable[[], None]:
        """Have *observer* told of the executions of *view*'s functions; returns what ends that."""
        return self._audiences.seat("observers", Seat(EVERYTHING if view is self else view, observer))

    def tell(self, view: Covers, subscription: Subscription) -> None:
        """Have *subscription*, which is new, told of what happens in *view*'s functions, and begin it."""
        leave = self._audiences.seat("hearers", Seat(EVERYTHING if view is self else view, subscription))
        try:
            subscription.begin(self, leave)
        except BaseException:  # interrupted, or there is no thread: nobody could end it
            leave()
            raise

    def _parts(self) -> Iterator[Part]:
        return (part for record in self._listed() for part in record.parts)

    def _sweep_one_by_one(self, enough: Callable[[], bool]) -> CleanupReport:
        """Clean up, without keeping functions alive that die meanwhile."""
        return sweep(alive([weakref.ref(record) for record in self._records()]), enough)

    def _note(self, is_empty: bool) -> str:
        pool = self.pool
        threads = ""
        if pool.threads or pool.configured:
            threads = f"refresh threads: {pool.busy} busy, {counted(pool.queued, 'load')} waiting, at most {pool.most}"
        told = [str(seat.who) for seat in self._audiences.audience.hearers]
        return "\n".join(filter(None, ("" if self._janitor is None else str(self._janitor), threads, *told)))

    def notes(self) -> list[str]:
        """The lines below the table: of the janitor, and of the threads that load in the background, if there are any.

        A line each, without the table, which takes long where there are many
        functions.
        """
        return self._note(False).splitlines()

    def _stays(self) -> tuple[str, str]:
        return (
            "registry: a registry has the functions of this process",
            "its stats(); functions are pickled by name, and are in the registry of the process that imports them",
        )

    def __repr__(self) -> str:
        return f"<registry of {counted(len(self), 'function')}>"


registry: Registry = Registry()
"""Every decorated function of this process, unless it was given another registry."""


def _name_of(record: Record) -> str:
    return record.name


def _refuse_own(given: Any) -> None:
    ours = isinstance(given, Handle | Record | View | AdoptedHandle)
    ours = ours or is_of("memo._window.handle", "WindowHandle", given)  # which is imported where there is a window
    if ours or isinstance(getattr(given, "__memo_record__", None), Record):
        raise TypeError(f"adopt: {given_text(given)} belongs to this package and is in a registry; see list(registry).")
