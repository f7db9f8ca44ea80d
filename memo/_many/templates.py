"""What a call with many keys does, as lines of a generated wrapper."""

from memo._cache import CacheOptions, found_call
from memo._call import Block, CallSource
from memo._native import speed
from memo._store import Store

__all__ = ("many_calls",)


def many_calls(
    keys: str, call: CallSource, single: CallSource, options: CacheOptions, store: Store, *, noted: bool
) -> Block:
    """Hits of some keys, each found as a hit of a single call is, and a batch of the others.

    Args:
        keys: The parameter that takes the keys; within the loop it is that of one.
        call: A call with many keys.
        single: A call with one of them, in terms of the same parameters.
        options: What the decorator was told.
        store: Where results are.
        noted: Keys are noted.
    """
    if call.args == "$args":  # what is passed on as it came, and not bound to parameters
        return [f"return {call.awaited}$answer_spelled($args, $kwargs)"]
    found = found_call(
        single, options, store, lambda value: [f"$answers[{keys}] = {value}", "continue"], in_c=speed is not None
    )
    learns = single.guess is not None and not store.foreign
    return [
        *(["global $usual"] if learns else []),
        f"$keys = $unique({keys})",
        "$answers = {}",
        "$missing = []",
        *(["$now = $clock()"] if options.ages and not store.foreign else []),
        f"for {keys} in $keys:", [
            *single.prelude,
            *([f"$note({single.whole_key})"] if noted else []),
            *found,
            f"$missing.append({keys})",
        ],
        "if not $missing:", ["return $answers"],
        f"return {call.awaited}$answer_many($keys, $answers, $missing, {call.args}, {call.kwargs})",
    ]  # fmt: skip
