"""What a call does that shares an execution, as lines of a generated wrapper.

``_flight.table`` says what a flight is, and why its leader needs no lock to end one that nobody else has touched.
"""

from memo._base import PLAIN, who
from memo._call import Block, CallSource, share
from memo._flight.flight import ABANDONED, CALL, RETURNED, RUNNING, InFlight
from memo._flight.task_work import current_work
from memo._flight.waiters import wake_all
from memo._native import speed

__all__ = ("BIRTH", "FAILED", "led_await", "shared_await", "shared_call", "watched_call")

share(
    ABANDONED=ABANDONED,
    AttributeError=AttributeError,
    CALL=CALL,
    Flight=InFlight,
    PLAIN=PLAIN,
    RETURNED=RETURNED,
    RUNNING=RUNNING,
    end_inside=current_work.set,
    inside=current_work.get,
    wake_all=wake_all,
    who=who,
)

# What ``born()`` does, for a call of a function: a call of it would cost as much again.
BIRTH: Block = [
    "$flight = $Flight()",
    "$flight.over = $flight.led = $flight.fenced = False",
    "$flight.current = True",
    "$flight.purpose = $CALL",
    "$flight.tags = ()",
    "$flight.key = $flight.waiters = None",
    "$flight.present = $flight.joined = 0",
    "$flight.state = $RUNNING",
]

# What a call, generated or not, does when it was begun by enter() and raises.  Where failed() is cut short, or cannot
# be called at the recursion limit, the flight is abandoned without a call of anything in Python; those who wait for it
# see that at the next look.  A key whose hash is in Python may stay in the table then: see enter().
FAILED: Block = [
    "except $BaseException as $error:", [
        "try:", [
            "$flight.over = True",
            "$failed($flight, $error)",
        ],
        "except $BaseException:", [
            "if $flight.state is $RUNNING:", [
                "$flight.was_current = False",
                "try:", [
                    "del $flight.current",
                    "if $table.get($flight.key) is $flight:", [
                        "del $table[$flight.key]",
                        "$flight.was_current = True",
                    ],
                ],
                "except $BaseException:", ["pass"],
                "$flight.heir = None",
                "$flight.state = $ABANDONED",
                "$counters.cancelled += $flight.led",
            ],
            "raise",
        ],
        "raise",
    ],
]  # fmt: skip


def shared_call(call: CallSource, *, tagged: bool) -> Block:
    """A call of a plain function: lead, or wait for who leads.

    ``enter`` and ``finish`` of ``_flight.threads`` inline as far as the call is alone.  They would be half of what it
    costs.

    Args:
        call: The call.
        tagged: A function says which tags it bears.
    """
    return [
        *call.prelude,
        *BIRTH,
        "try:", [
            "$flight.started = $clock()",
            "$flight.leader = $who[0]()",
            f"$flight.key = $k = {call.whole_key}",
            "try:", ["$leads = $setdefault($k, $flight) is $flight"],
            "except $TypeError:", ["$leads = False"],
            "if $leads:", [
                "$flight.led = True",
                "$counters.led += 1",
            ],
            "elif not $enter($flight, $k, $flight.started):", ["return $flight.value"],
            *([f"$flight.tags = $tags_of({call.passed})"] if tagged else []),
            f"$result = $function({call.passed})",
            "if $type($result) not in $PLAIN:", ["$refuse($name, $result)"],
            "try:", ["del $flight.current"],
            "except $AttributeError:", ["pass"],
            "else:", [
                "$pop($k, None)",
                "$flight.value = $result",
                "$flight.state = $RETURNED",
                "$counters.completed += 1",
                "if $flight.waiters is not None:", ["$wake_all($flight, $lock)"],
                "return $result",
            ],
            "return $finish($flight, $result)",
        ],
        *FAILED,
    ]  # fmt: skip


def watched_call(call: CallSource) -> Block:
    """A call of a plain function whose executions are told to somebody."""
    return [*call.prelude, f"return $lead({call.whole_key}, {call.args}, {call.kwargs})"]


def shared_await(call: CallSource) -> Block:
    """A call of a coroutine function, whose work runs in a task of its own."""
    return [*call.prelude, f"return await $run({call.whole_key}, {call.args}, {call.kwargs})"]


# The end of work that returned: it is over, its context no longer marked, and then its flight ends.
_LANDED: Block = [
    "$flight.work.over = True",
    "if $flight.inside is None and $inside() is $flight.work:", ["$end_inside(None)"],
    "else:", ["$come_out($flight)"],
    "return $finish($flight, $result)",
] if speed is None else ["return $land($flight, $result)"]  # fmt: skip


def led_await(call: CallSource, *, tagged: bool, watched: bool) -> Block:
    """A call of a coroutine function that its leader runs in its own task.

    ``run`` of ``_flight.caller_work`` inline as far as the call is alone.  The call's prelude comes before it.

    Args:
        call: The call.
        tagged: Its tags are computed from it.
        watched: Executions are told to somebody.
    """
    return [
        "$flight = $born()",
        "try:", [
            f"if $enter($flight, {call.whole_key}):", [
                *([f"$flight.tags = $tags_of({call.passed})"] if tagged else []),
                *(
                    [f"return await $lead_watched($flight, $land, {call.args}, {call.kwargs})"]
                    if watched
                    else [f"$result = await $function({call.passed})", *_LANDED]
                ),
            ],
            "if $flight.state is $RETURNED:", ["return $flight.value"],
            f"return await $run({call.whole_key}, {call.args}, {call.kwargs})",
        ],
        "except $BaseException as $error:", [
            "try:", [
                "$flight.over = $flight.work.over = True",
                "$failed($flight, $error)",
            ],
            "except $BaseException:", [
                "$rescue($flight)",
                "raise",
            ],
            "raise",
        ],
    ]  # fmt: skip
