"""What a call does whose results are remembered, as lines of a generated wrapper."""

from collections.abc import Callable

from memo._cache.ending import ended_load
from memo._cache.options import CacheOptions
from memo._call import PLAIN_KEYS, Block, CallSource, share, stored_key
from memo._flight import BIRTH, FAILED, led_await
from memo._store import Store

__all__ = ("found_call", "remembered_call")

_PLAIN_ALONE = frozenset({int, str, bytes, type(None)})
"""Types whose values stand for themselves in keys, and are hashed and compared without the user's code."""

share(PLAIN_KEYS=PLAIN_KEYS, PLAIN_ALONE=_PLAIN_ALONE, stored_key=stored_key)


def remembered_call(
    call: CallSource,
    options: CacheOptions,
    store: Store,
    *,
    noted: bool,
    watched: bool,
    tells_stale: bool,
    ends_inline: bool,
) -> Block:
    """A hit, or else a load.

    Args:
        call: The call.
        options: What ``bounded`` was told.
        store: Where results are kept.
        noted: A recording runs: before anything else the key is noted.
        watched: Somebody is told of loads: none is led inline.
        tells_stale: Somebody is told of stale answers: none is given inline.
        ends_inline: Loads end inline, where they have been led so; see ``Loads``.
    """
    note: Block = [f"$note({call.whole_key})"] if noted else []
    learns = call.guess is not None and not store.foreign
    return [
        *(["global $usual"] if learns else []),
        *call.prelude,
        *note,
        *(["$now = $clock()"] if options.ages and not store.foreign else []),
        *found_call(call, options, store, lambda value: [f"return {value}"], fresh=tells_stale),
        *_load(call, options, store, watched=watched, ends_inline=ends_inline),
    ]


def found_call(
    call: CallSource,
    options: CacheOptions,
    store: Store,
    use: Callable[[str], Block],
    *,
    in_c: bool = False,
    fresh: bool = False,
) -> Block:
    """What answers a hit: under policies of our own, without a lock.

    Before it, where time matters and the policy is one of ours, ``$now`` is read; *use* says what is done with the
    value, whose source it is given.

    The clock is read before the look-up: between finding the entry and counting the hit, and moving it to the new end
    of its ring where the policy wants that, there is no call, so no other thread can run; no hit is lost, and no ring
    is ever seen half-changed.  So is the type of a value that is told with it.

    Entries of C (*in_c*) are asked in one step whether they are fresh, and count the hit with that.  Where only what is
    *fresh* is wanted, nothing is answered stale here.
    """
    value = "$entry.value" if options.copy is None else "$copy($entry.value)"
    if store.foreign:
        return [
            "try:", [f"$entry = $use($stored_key({call.whole_key}), $clock())"],
            "except $TypeError:", ["$entry = None"],
            "if $entry is not None:", use(value),
        ]  # fmt: skip
    touch = _TOUCHES[store.touches]
    answer: Block
    if in_c and options.idle_s is None and not options.stale_s:
        answer = [f"if $entry.serves({'$now' if options.ages else ''}):", [*touch, *use(value)]]
    else:
        answer = (
            _of_any_age(options, use(value), touch, fresh=fresh) if options.ages else [_COUNTED, *touch, *use(value)]
        )
    if call.guess is None:
        return _look(call.lookup, answer, ["pass"])
    return [
        f"if {call.guess.holds}:", _look(call.guessed, answer, call.guess.unlearn),
        "else:", [
            *call.guess.unusual,
            "try:", _asked(call),
            "except $KeyError: $entry = None",
            "except $TypeError: $entry = None",
            "if $entry is not None:", [*call.guess.learn, *answer],
        ],
    ]  # fmt: skip


_COUNTED = "$entry.hits = $entry.hits + 1"
"""Written out, since ``+=`` would take an instruction more; as ``try`` does on a line of its own."""


def _asked(call: CallSource) -> Block:
    """Look for the entry of a call whose guess does not hold: it may well be a miss, which ``get()`` makes cheaper.

    But as it returns, other threads may get their turn, and what it found leave.  So that is found once more, without a
    call; which nobody notices, if the key is hashed without the user's code.
    """
    if not call.asked_for:
        return [f"$entry = {call.lookup}"]
    return [
        "if $kind in $PLAIN_ALONE:", [
            f"$entry = {call.asked_for}",
            f"if $entry is not None: $entry = {call.guessed}",
        ],
        f"else: $entry = {call.lookup}",
    ]  # fmt: skip


def _look(lookup: str, answer: Block, absent: Block) -> Block:
    return [
        f"try: $entry = {lookup}",
        "except $KeyError:", absent,
        "except $TypeError:", ["pass"],
        "else:", answer,
    ]  # fmt: skip


def _of_any_age(options: CacheOptions, answer: Block, touch: Block, *, fresh: bool) -> Block:
    """What is done with an entry that was found, where time may have made it unusable."""
    idles = options.idle_s is not None
    used = " and $now < $entry.used + $idle_s" if idles else ""
    use: Block = ["$entry.used = $now"] if idles else []
    stale: Block = [
        f"if $now < $entry.retry{used}:", [
            *use,
            _COUNTED,
            "$entry.stale_hits += 1",
            *touch,
            *answer,
        ],
    ]  # fmt: skip
    return [
        f"if $now < $entry.deadline{used}:", [
            *use,
            _COUNTED,
            *touch,
            *answer,
        ],
        *(stale if options.stale_s and not fresh else []),
    ]  # fmt: skip


_TOUCHES: dict[str, Block] = {
    "": [],
    "newest": [
        "if $entry.newer is not $ring and $ring.key is None:", [
            "$ring.key = True",
            "$older = $entry.older",
            "$newer = $entry.newer",
            "$older.newer = $newer",
            "$newer.older = $older",
            "$entry.older = $older = $ring.older",
            "$entry.newer = $ring",
            "$older.newer = $ring.older = $entry",
            "$ring.key = None",
        ],
    ],
    "count": [
        "if $ring.key is None:", [
            "$mark = $entry.mark",
            "$above = $mark.key",
            "$older = $entry.older",
            "$newer = $entry.newer",
            "$count = $mark.hits + 1",
            "if $above.hits == $count:", [
                "if $older is $mark and $newer is $above: $touch($entry)",
                "else:", [
                    "$ring.key = True",
                    "$older.newer = $newer",
                    "$newer.older = $older",
                    "$entry.mark = $above",
                    "$entry.newer = $newer = $above.key",
                    "$entry.older = $older = $newer.older",
                    "$older.newer = $newer.older = $entry",
                    "$ring.key = None",
                ],
            ],
            "elif $older is $mark and $newer is $above: $mark.hits = $count",
            "else: $touch($entry)",
        ],
    ],
}  # fmt: skip
"""How a hit moves its entry.  A ring whose ``key`` is true is half-changed, and mended before its next use: by what
cuts short a run of assignments, which no signal does."""


def _load(call: CallSource, options: CacheOptions, store: Store, *, watched: bool, ends_inline: bool) -> Block:
    """What answers a call that found nothing fresh."""
    now = "$now" if options.ages and not store.foreign else "$clock()"
    if options.stands_in:
        return [f"return {call.awaited}$answer({call.whole_key}, {now}, {call.args}, {call.kwargs})"]
    if watched and not call.is_async:
        return [f"return $lead({call.whole_key}, {call.args}, {call.kwargs})"]
    if call.is_async and options.work.in_caller:
        return led_await(call, tagged=options.notes_calls, watched=watched)
    if call.is_async:
        return [f"return await $run({call.whole_key}, {call.args}, {call.kwargs})"]
    return [
        *BIRTH,
        "try:", [
            *_enter(call, now, inline=options.dedupe and not call.is_tuple),
            *([f"$flight.tags = $tags_of({call.passed})"] if options.notes_calls else []),
            *(
                ended_load(call, options)
                if ends_inline and options.dedupe
                else [f"return $finish($flight, $function({call.passed}))"]
            ),
        ],
        *FAILED,
    ]  # fmt: skip


def _enter(call: CallSource, now: str, *, inline: bool) -> Block:
    """``enter`` of ``_flight.threads``, which leads the call or waits for who leads.

    Inline as far as the call is alone, for keys that are no tuples: tables hold those of plain types as they are.  Once
    its flight is in the table the call leads, or has found a result by a second look: nothing enters a flight again,
    since it may have been fenced, and nobody would take it out any more.
    """
    if not inline:
        return [f"if not $enter($flight, {call.whole_key}, {now}): return $flight.value"]
    return [
        f"$flight.started = {now}",
        "$flight.leader = $who[0]()",
        f"$flight.key = $k = {call.whole_key}",
        "if $type($k) in $PLAIN_KEYS and $setdefault($k, $flight) is $flight:", [
            "if $k in $shelf.index and $found_meanwhile($flight): return $flight.value",
            "$flight.led = True",
            "$counters.led = $counters.led + 1",
        ],
        "elif not $enter($flight, $k, $flight.started): return $flight.value",
    ]  # fmt: skip
