"""A store's results in a file and back: what ``f.cache.dump()`` and ``f.cache.load()`` do.

A row holds the key, the value, the seconds that it had left to live (null: no end), its age in seconds, the seconds
since its last use (null: not recorded) and its tags (null: none are kept).  The header holds the function's name,
what its keys consist of, and the wall clock's time: only that goes on while no process runs.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from memo._base import Pace, Path, check_plain, given_text, in_slices, note_on, real, short_text, unhurried
from memo._cache.dump_files import parsed, read_lines, write_rows
from memo._cache.dump_values import Hashes, Unsupported, decoded, encoded
from memo._call import check_takes, comparing_outside
from memo._store import SLICE, Standing, Store
from memo.errors import DumpError

if TYPE_CHECKING:
    from memo._cache.cache import Cache
    from memo._call import Generated

__all__ = ("restore", "save")

_HOLDS = "None, numbers, text, bytes, dates, Decimal, UUID, and lists, tuples, dicts and sets of these"


class _Row(NamedTuple):
    """One entry of a dump; times in seconds."""

    key: Hashable
    value: Any
    left: float
    age: float
    unused: float
    tags: tuple[str, ...] | None


def save(
    cache: Cache,
    generated: Generated,
    name: str,
    path: Path,
    encode: Callable[[Any], object] | None,
    wall: Callable[[], float] = real.wall,
) -> int:
    """Write the live entries to *path*, oldest first; returns how many."""
    _check_call("dump", generated, encode, "encode")
    runs: list[_Run] = []
    entries: Iterator[Any] = iter(())
    try:
        now, written, entries = _live(cache, wall, runs)
        header = {"function": name, "key": generated.keys.plan.signature, "written": written}
        return write_rows(path, header, _rows(cache, generated.keys.shown.plain, entries, now, encode))
    finally:
        pace = Pace()
        for run in runs:  # where that was cut short there may be millions in them
            for _ in _drawn(run):
                pace.rest()
        for _ in entries:  # what merges them ends one by one, too
            pace.rest()


def _live(cache: Cache, wall: Callable[[], float], runs: list[_Run]) -> tuple[float, float, Iterator[Any]]:
    """The time, the wall clock's, and the entries that are alive then, oldest first: each held until its turn alone.

    Args:
        cache: Whose they are.
        wall: The wall clock.
        runs: Gets what holds them.
    """
    store = cache.store
    times: tuple[float, float] | None = None
    run: list[Any] = []
    for lot in unhurried(store.lots()):
        if times is None:  # after the first lot: nothing in it is younger
            times = cache.clock.read(), wall()
        run += store.live(lot, times[0])
        if len(run) >= _RUN:
            runs.append(_sorted(run))
            run = []
    runs.append(_sorted(run))
    now, written = times or (cache.clock.read(), wall())
    groups = unhurried(range(0, len(runs), _GROUP))
    return now, written, _merged([_begun(_merged(map(_drawn, runs[i : i + _GROUP]))) for i in groups])


def _merged(runs: Iterable[Iterator[Any]]) -> Iterator[Any]:
    return heapq.merge(*runs, key=_stored)


def _begun(run: Iterator[Any]) -> Iterator[Any]:
    """The same items, the first of which has been drawn."""
    return chain(list(islice(run, 1)), run)


def _sorted(run: list[Any]) -> _Run:
    """The oldest at the end, to be taken from there."""
    run.sort(key=_stored)
    run.reverse()
    return [run[begin : begin + _PIECE] for begin in range(0, len(run), _PIECE)]


def _drawn(run: _Run) -> Iterator[Any]:
    while run:  # others may draw from it in between
        if run[-1]:
            yield run[-1].pop()
        else:
            del run[-1]


_stored = attrgetter("stored")
_Run = list[list[Any]]
"""Entries in lists of some ``_PIECE``."""
_PIECE = 60
"""So many references are a block of the interpreter's own memory, which takes up to 512 bytes.  What is longer the C
library has; of ten million entries it would get so many blocks back, one by one, that the thread for which it puts them
together, at whatever moment, would keep all others up for 4 to 8 ms."""
_RUN = 1_000
"""Entries that are sorted in one go, which takes some 0.3 ms, and merged with others then."""
_GROUP = 100
"""Runs that are merged with one another, and with those of other groups then.  A merger begins by drawing from each of
its runs: from ten thousand in one go, that would take as long as others may wait."""


def _rows(
    cache: Cache,
    plain: Callable[[Hashable], Hashable],
    entries: Iterable[Any],
    now: float,
    encode: Callable[[Any], object] | None,
) -> Iterator[list[Any]]:
    where = f"dump: {cache.name}()"
    pace = Pace()
    reveal = cache.upwards.revealer()
    for entry in entries:
        pace.rest()
        key = plain(entry.key)
        shown = reveal(entry.key)
        try:
            row_key = encoded(key)
        except Unsupported as reason:
            raise TypeError(
                f"{where}: the key {short_text(shown)} is or contains {reason}, and a dump holds only {_HOLDS}; "
                f"give the decorator a key= that makes keys of these."
            ) from None
        value = entry.value
        if encode is not None:
            try:
                value = encode(cache.handed(value))
            except Exception as error:
                note_on(error, f"{where}: encode= was called with the value of key {short_text(shown)}")
                raise
        try:
            row_value = encoded(value)
        except Unsupported as reason:
            what = "the value" if encode is None else "what encode= returned for the value"
            remedy = "give encode= that makes one of these of a value, and decode= to load()"
            raise TypeError(
                f"{where}: {what} of key {short_text(shown)} is or contains {reason}, and a dump holds only {_HOLDS}; "
                f"{remedy if encode is None else 'let it return one of these'}."
            ) from None
        left = None if math.isinf(entry.deadline) else entry.deadline - now
        unused = None if cache.store.idle_s is None else max(0.0, now - entry.used)  # it may be used meanwhile
        tags = None if cache.options.tags.function is None else list(entry.tags)
        yield [row_key, row_value, left, max(0.0, now - entry.stored), unused, tags]


def restore(
    cache: Cache,
    generated: Generated,
    name: str,
    path: Path,
    decode: Callable[[Any], Any] | None,
    wall: Callable[[], float] = real.wall,
) -> int:
    """Store what *path* holds and is still alive, in the room there is; returns how many entries."""
    _check_call("load", generated, decode, "decode")
    shown = given_text(os.fsdecode(path))
    header, lines = read_lines(path, cache.store.max_entries)
    found = header.get("function"), header.get("key")
    if found != (name, generated.keys.plan.signature):
        raise DumpError(
            f"load: {shown} holds results of {short_text(found[0])} with keys of {short_text(found[1])}, not of "
            f"{given_text(name)} with keys of {given_text(generated.keys.plan.signature)}; load it into the function "
            "that dumped it, or give that function's name as name= to the decorator."
        )
    pace = Pace()
    rows: deque[_Row] = deque()
    hashes = Hashes()
    part = "the header"
    try:
        written = _number(header.get("written"))
        while lines:
            number, line = lines.popleft()
            part = f"row {number}"
            row = _row(line, generated)
            part = "a key"
            hashes.add(row.key)
            rows.append(row)
            pace.rest()
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        reason = str(error)[:200]  # it may quote the file
        raise DumpError(f"load: {part} of {shown} cannot be read ({reason}); write it again with dump().") from None
    in_slices(hashes.forget())
    # a wall clock that was put back says nothing of how long it was
    entries = _entries(cache, rows, max(0.0, wall() - written), decode)
    in_slices(cache.expire_entries())
    chosen = _what_fits(cache, entries)
    return in_slices(_put(cache, *chosen.popleft()) for _ in range(len(chosen)))


def _row(line: bytes, generated: Generated) -> _Row:
    key, value, left, age, unused, tags = parsed(line)
    row = _Row(
        key=decoded(key),
        value=decoded(value),
        left=math.inf if left is None else _number(left),
        age=_number(age),
        unused=0.0 if unused is None else _number(unused),
        tags=None if tags is None else tuple(tags),
    )
    hash(row.key)
    shown = generated.keys.shown
    if not shown.fits(row.key):
        raise ValueError(f"{short_text(row.key)} is no key of this function")
    if row.age < 0 or row.unused < 0:
        raise ValueError("it has an age below zero")
    if not all(type(tag) is str and tag for tag in row.tags or ()):
        raise ValueError(f"{short_text(row.tags)} are no tags")
    return row._replace(key=shown.told(row.key))


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{short_text(value)} is no number of seconds")
    return float(value)


def _entries(
    cache: Cache, rows: deque[_Row], elapsed: float, decode: Callable[[Any], Any] | None
) -> deque[tuple[Hashable, Any]]:
    """New entries for those rows whose time is not over; user code runs here, outside the lock."""
    entries: deque[tuple[Hashable, Any]] = deque()
    now = cache.clock.read()
    pace = Pace()
    while rows:
        pace.rest()
        row = rows.popleft()
        value = row.value
        if decode is not None:
            try:
                value = decode(value)
            except Exception as error:
                note_on(
                    error,
                    f"load: {cache.name}(): decode= was called for key {short_text(cache.upwards.revealer()(row.key))}",
                )
                raise
        # without the tags that it should bear it could not be dropped by them, so it is not stored
        tags = row.tags if cache.options.tags.function is not None else ()
        entry = cache.maker.make(row.key, value, now, tags, cache.store.entry, restored=True)
        if entry is None:
            cache.counts.rejected += 1
            continue
        _backdate(cache, entry, row, now, elapsed)
        if cache.store.standing(entry, now) is not Standing.OVER:
            entries.append((row.key, entry))
    return entries


def _backdate(cache: Cache, entry: Any, row: _Row, now: float, elapsed: float) -> None:
    """Give *entry*, made as if loaded now, the age of *row*."""
    ttl_s = cache.options.ttl_s
    # jitter has shortened what was left already; a ttl= that asks about the call has no say, since nobody knows it
    life = entry.deadline - now if ttl_s is None else ttl_s
    stored = now - row.age - elapsed
    has_end = cache.options.ttl_asks or not math.isinf(life)  # else its hits look at no deadline
    deadline = min(stored + life, now + row.left - elapsed) if has_end else None
    if deadline is not None and cache.shared is not None:
        deadline = cache.shared.local_deadline(deadline, now)
    cache.maker.date(entry, stored, deadline, now - row.unused - elapsed)


def _room(store: Store) -> tuple[float, float]:
    """How many entries, and bytes, the store has room for."""
    with store.lock:
        count = math.inf if store.max_entries is None else store.max_entries - len(store.index)
        size = store.max_bytes - store.cache.currsize if store.max_bytes is not None else math.inf
        return count, size


def _present(store: Store, entries: list[tuple[Hashable, Any]]) -> dict[Hashable, Any]:
    """Which of the keys of *entries* the store has, with what."""
    with store.lock:
        return _found(store.index, entries)


def _found(index: MutableMapping[Hashable, Any], entries: list[tuple[Hashable, Any]]) -> dict[Hashable, Any]:
    # apart, since from 3.12 on the compiler leaves the jumps of a comprehension out of the with
    return {key: index[key] for key, _ in entries if key in index}


def _what_fits(cache: Cache, entries: deque[tuple[Hashable, Any]]) -> deque[tuple[Hashable, Any]]:
    """The newest of *entries*, which are taken from there, for which the store has room, oldest first."""
    store = cache.store
    count, size = _room(store)
    chosen: deque[tuple[Hashable, Any]] = deque()
    pace = Pace()
    while entries:
        part = [entries.pop() for _ in range(min(SLICE, len(entries)))]
        present = comparing_outside(store.lock, _present, store, part)
        for key, entry in part:
            old = present.get(key)
            if old is not None and old.stored >= entry.stored:
                continue
            needs = 0
            if store.weighed:
                if entry.size is None:
                    continue
                needs = entry.size - (0 if old is None else old.size)
            if needs > size or (old is None and count < 1):
                continue
            size -= needs
            count -= old is None
            chosen.appendleft((key, entry))
        pace.let_go(part)  # what does not fit
        del present
        pace.rest()
    return chosen


def _put(cache: Cache, key: Hashable, entry: Any) -> bool:
    """Put *entry* in, unless something newer took its place or its room meanwhile."""
    key = cache.table.at_hand(key)
    done: list[Hashable] = []
    if cache.shared is not None:  # before it is there: the tier's messages are to find it
        cache.shared.know(key, entry)

    def operation(gone: list[Any], now: float) -> None:
        store = cache.store
        old = store.index.get(key)
        if old is not None and old.stored >= entry.stored:
            return
        if old is None and store.max_entries is not None and len(store.index) >= store.max_entries:
            return
        if store.weighed:
            needs = entry.size - (0 if old is None else old.size)
            if store.cache.currsize + needs > (store.max_bytes or 0):
                return
        store.put(gone, key, entry, now)
        done.append(key)

    cache.told.alter(operation, cache.clock.read())
    return bool(done)


def _check_call(where: str, generated: Generated, function: Any, option: str) -> None:
    plan = generated.keys.plan
    if plan.has_refs:
        raise TypeError(
            f"{where}: the entries of {generated.shape.qualname}() belong to objects of this process "
            f"({'weak=' if plan.weak or plan.weak_named else 'scope='}), which no other process knows; leave that "
            f"option out where results are to outlive the process."
        )
    if plan.has_token:
        raise TypeError(
            f"{where}: the entries of {generated.shape.qualname}() belong to instances, which no other process knows; "
            f"give ignore=('self',) to the decorator if instances may share entries."
        )
    if function is None:
        return
    if not callable(function):
        raise TypeError(f"{where}: {option}={given_text(function)} cannot be called; give a function of a value.")
    check_plain(where, option, function, "give a plain function of a value")
    check_takes(where, option, function, "value")
