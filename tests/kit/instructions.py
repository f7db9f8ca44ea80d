"""Stopping a call between any two of its instructions."""

import gc
import itertools
import sys
from collections.abc import Callable
from typing import Any

__all__ = ("WRAPPER", "Stop", "at_every_instruction", "stopped")

Stop = Callable[[Any], None]


def stopped(call: Callable[[], Any], at: int, act: Stop, within: str) -> Callable[[], Any]:
    """*call* so that at its instruction number *at*, of the code in files named like *within*, *act* runs.

    That gets the frame that stands still.  What the call returns comes with whether it got so far.

    Nothing is collected meanwhile: a finalizer's instructions are none of the call's, and *act* in one, which runs
    wherever memory is asked for, would wait for a lock that the thread it stopped holds itself.
    """

    def run() -> Any:
        count = -1

        def trace(frame: Any, event: str, arg: object) -> Any:
            nonlocal count
            if within not in frame.f_code.co_filename:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                count += 1
                if count == at:
                    sys.settrace(None)
                    act(frame)
            return trace

        before = sys.gettrace()
        collects = gc.isenabled()
        gc.disable()
        sys._getframe().f_trace_opcodes = True  # without that 3.12 does not yet tell of the first call's
        sys.settrace(trace)
        try:
            value = call()
        finally:
            sys.settrace(before)
            if collects:
                gc.enable()
        return value, count >= at

    return run


WRAPPER = "<memo "
"""What the file names of generated code begin with."""


def at_every_instruction(trial: Callable[[int], bool]) -> int:
    """Stop at instruction 0, 1, 2... until the call is shorter than that; returns how many there were."""
    for at in itertools.count():
        if not trial(at):
            return at
    raise AssertionError("unreachable")
