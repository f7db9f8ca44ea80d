"""What docstrings of the package tell, by their parts."""

import inspect
import re
from typing import Any

import memo

__all__ = ("DECORATORS", "entries", "options")

DECORATORS = ("bounded", "bounded_many", "dedupe_inflight", "sliding_window", "limit", "lru_cache")
"""Those that have options."""


def options(name: str) -> list[str]:
    """The options of a decorator, in their order."""
    parameters = inspect.signature(getattr(memo, name)).parameters.values()
    return [each.name for each in parameters if each.kind is not each.POSITIONAL_ONLY]


def entries(thing: Any) -> dict[str, str]:
    """The first line of each entry below "Args:", by its name."""
    _, _, below = (inspect.getdoc(thing) or "").partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", below)[0]
    return dict(re.findall(r"^    \*{0,2}(\w+): (.+)$", section, re.MULTILINE))
