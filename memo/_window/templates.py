"""What a call does that is recorded, as lines of a generated wrapper."""

from memo._base import BIG, ITEMS, LONGEST, stored_key
from memo._call import Block, CallSource, share
from memo._native import speed

__all__ = ("recorded_call",)

share(
    Exception=Exception,
    atoms=frozenset({type(None), bool, float}),
    high=BIG,
    int=int,
    longest=LONGEST,
    low=-BIG,
    str=str,
    stored=stored_key,
)


def recorded_call(call: CallSource, *, parameters: int, everything: bool) -> Block:
    """A call, and a record of what became of it.

    Args:
        call: The call.
        parameters: How many the function has.
        everything: Calls that go well are recorded, too.
    """
    small = " and ".join(map(_is_small, call.values)) or "True" if parameters <= ITEMS else "False"
    return [
        # the key becomes text before the call, which may change its arguments
        "try:", [
            *call.prelude,
            f"$k = {call.key}",
            f"if not ({small}):", ["$k = $stored($k)"],
        ],
        "except $Exception as $error:", ["$k = $unkeyed($error)"],
        "try:", ["$started = $clock()"],
        "except $Exception as $error:", ["$started = $untimed($error)"],
        "try:", [f"$result = {call.answer}"],
        "except $BaseException as $error:", [
            "$fail($started, $k, $error)",
            "raise",
        ],
        *(_NOTED if everything else []),
        "return $result",
    ]  # fmt: skip


def _is_small(value: str) -> str:
    """Whether ``stored_key()`` leaves a value as it is, told without a call; all else goes there."""
    return (
        f"(($kind := $type({value})) is $int and $low < {value} < $high"
        f" or $kind is $str and $len({value}) <= $longest or $kind in $atoms)"
    )


_NOTED: Block = [
    "try:", ['$intake.enter($started, $clock(), "ok", $k)'],
    "except $Exception as $error:", ["$dropped($error)"],
] if speed is not None else [  # ``Intake.note()`` inline, which saves a call
    "try:", [
        "$ended = $clock()",
        "$took = $ended - $started",
        "if 0.0 <= $took < $inf and $ended >= $intake._last:", [
            "$intake._last = $ended",
            '$pending.append(($ended, $took, "ok", $k))',
            "if $len($pending) >= $batch:", ["$relieve($len($pending))"],
        ],
        "else:", ['$note($started, $ended, "ok", $k)'],
    ],
    "except $Exception as $error:", ["$dropped($error)"],
]  # fmt: skip
