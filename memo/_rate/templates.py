"""What a call does whose starts are counted, as lines of a generated wrapper."""

from memo._call import Block, CallSource

__all__ = ("awaited_turn", "counted_start")


def counted_start(call: CallSource) -> Block:
    """A call that begins at once, or after a wait of its thread, or raises."""
    return [*call.prelude, f"$begin({call.whole_key})", f"return {call.answer}"]


def awaited_turn(call: CallSource) -> Block:
    """A call of a coroutine function that begins at once, or as soon as its turn has come."""
    return [
        *call.prelude,
        f"$k = {call.whole_key}",
        "if not $may_begin($k):", ["await $turn($k)"],
        f"return {call.answer}",
    ]  # fmt: skip
