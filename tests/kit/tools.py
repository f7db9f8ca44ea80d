"""What tools ask of a program."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memo import bounded, dedupe_inflight, limit, sliding_window

__all__ = (
    "ABSTRACT",
    "DECORATORS",
    "SUBJECT",
    "load",
    "stacked",
)

SUBJECT = Path(__file__).with_name("subject_of_tools.py")


def stacked(function: Any) -> Any:
    return bounded(max=8)(dedupe_inflight(sliding_window("1h")(function)))


DECORATORS: dict[str, Callable[[Any], Any]] = {
    "bounded": bounded(max=8),
    "dedupe_inflight": dedupe_inflight,
    "sliding_window": sliding_window("1h"),
    "limit": limit("10000/1h"),
    "stack": stacked,
}


def load(decorate: Callable[[Any], Any]) -> Any:
    """The subject anew, everything in it decorated so."""
    spec = importlib.util.spec_from_file_location("subject_of_tools", SUBJECT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.decorate = decorate  # type: ignore[attr-defined]
    sys.modules["subject_of_tools"] = module
    spec.loader.exec_module(module)
    return module


ABSTRACT = ("a_below", "a_above", "ap_below", "ap_above", "ac_below", "as_below")
