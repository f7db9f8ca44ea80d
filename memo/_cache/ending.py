"""How a load ends whose result is kept, as lines of a generated wrapper: half of what a miss costs in Python.

``Loads.finish_lean`` and ``Changes.put_lean`` inline, as far as a miss is what most are: nobody is told of anything,
and the store is full, so that an entry leaves for the new one.  Whatever else there is, ``finish`` does from the
beginning.

Where a signal strikes here, what was begun is whole or torn, and what left was counted; the flight is ended as FAILED
of ``_flight.templates`` says.
"""

from memo._cache.eviction_log import evictions_logged
from memo._cache.options import CacheOptions
from memo._call import Block, CallSource, Undecided, share
from memo._flight import wake

__all__ = ("ended_load",)

share(RuntimeError=RuntimeError, Undecided=Undecided, logged=evictions_logged, wake=wake)

# What ``put_lean()`` of ``changes`` does to a full store, with the lock held, for who tells nobody what leaves: $entry
# comes in under $k for another, which is $victim then.  Where this is no case for that, nothing is done.  Between
# counting what left and forgetting that it was about to there is no call.
_PUT: Block = [
    "if not ($owners.apart or $put_off or $changes.busy or $changes.torn):", [
        "try:", [
            "$changes.busy = True",
            "if $k not in $shelf.index:", [
                "$victim = $shelf.cache.exchange($k, $entry)",
                "if $victim.hits is not $victim.counted:", [
                    "$figures.seen_hits += $victim.hits - $victim.counted",
                    "$victim.counted = $victim.hits",
                ],
                "if $now < $victim.deadline: $figures.left_for_size = $figures.left_for_size + 1",
                "else: $figures.left['expired'] += 1",
                "$shelf.cache.leaving = None",
            ],
            "$changes.busy = False",
        ],
        "except $BaseException:", [
            "$changes.torn = True",
            "if $shelf.cache.leaving is not None and $shelf.cache.leaving not in $shelf.index.values():", [
                "if $now < $shelf.cache.leaving.deadline: $figures.left_for_size += 1",
                "else: $figures.left['expired'] += 1",
            ],
            "$shelf.cache.leaving = None",
            "$changes.busy = False",
            "raise",
        ],
    ],
]  # fmt: skip


def ended_load(call: CallSource, options: CacheOptions) -> Block:
    """``Loads.finish_lean`` for who tells nobody what leaves, as far as that is the common case: the store is full.

    Under the lock a flight that is not fenced is the one in the table.  Whatever else there is, ``finish`` does, from
    the beginning; nothing was done then.
    """
    return [
        f"$result = $function({call.passed})",
        "$k = $flight.key",
        "if $type($result) not in $PLAIN: $refuse($name, $result)",
        "$entry = $Entry()",
        "$entry.value = $result",
        "$entry.hits = $entry.counted = 0",
        "$entry.stored = $now = $clock()",
        f"$entry.deadline = {'$life_s' if options.ttl_s is None else '$now + $life_s'}",
        "$victim = None",
        "try:", [
            "$lock.acquire()",
            "if not ($flight.fenced or $loads.tells or $logged[0] or $shelf.cache._Cache__currsize < $shelf.most):", [
                *_PUT,
                "if $put_off: $catch_up()",
                "if $victim is not None and not $flight.fenced:", [
                    "del $table[$k]",
                    "$counts.load_seconds = $counts.load_seconds + ($now - $flight.started)",
                    "$counters.completed = $counters.completed + 1",
                    "$flight.value = $result",
                    "$flight.state = $RETURNED",
                    "if $flight.waiters is None: return $result",  # nobody adds to them any more
                ],
            ],
        ],
        "except $Undecided: $victim = None",
        "finally:", [
            "try: $lock.release()",
            "except $RuntimeError: pass",
        ],
        "if $flight.state is not $RETURNED: return $finish($flight, $result, $entry)",
        "$wake($flight.waiters)",
        "return $result",
    ]  # fmt: skip
