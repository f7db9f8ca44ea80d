"""A program that imports one decorator pays for that decorator: what it brings is counted, and by name.

The rule, for whoever gets here by a failure: what a program needs in rare cases alone is imported where it is first
needed, in a function under ``functools.cache`` which holds it (as the interpreter ends, nothing can be imported any
more), and its module is named in ``RARE`` of ``test_layout.py``; what an option chooses, when the option is given. A
name that only annotations need is imported under ``TYPE_CHECKING``. Tables and patterns are made when first asked for.
"""

import subprocess
import sys

import pytest
from kit.places import ROOT

from memo._late import late
from memo.policies import SieveCache

MODULES = {
    "registry": 202,
    "bounded": 222,
    "dedupe_inflight": 218,
    "cached_property": 219,
    "lru_cache": 223,
    "limit": 226,
    "sliding_window": 230,
    "bounded_many": 230,
}
"""How many modules of the package each name brings at most, where calls run in C or in Python."""

OF_ONE_DECORATOR = {
    "memo._window": "sliding_window",
    "memo._rate": "limit",
    "memo._many": "bounded_many",
    "memo._bounded": "bounded lru_cache bounded_many",
}
FIGURES = {"memo._window.stats", "memo._rate.stats"}

BROUGHT = """
import sys
import cachetools, wrapt
before = set(sys.modules)
from memo import {name}
print(*set(sys.modules) - before)
"""


def brought(name: str) -> set[str]:
    """The modules that a new interpreter has imported for a public name, and not for wrapt and cachetools."""
    script = BROUGHT.format(name=name)
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_a_decorator_brings_its_own_modules(name: str) -> None:
    """One decorator imports no more modules of the package than it did, and none that only another needs."""
    own = {module for module in brought(name) if module.startswith("memo.")}
    others = {
        module
        for module in own - FIGURES
        for folder, users in OF_ONE_DECORATOR.items()
        if module.startswith(f"{folder}.") and name not in users.split()
    }
    assert not others, f"'from memo import {name}' imports {sorted(others)}, of use to others: see the rule above"
    assert len(own) <= MODULES[name], (
        f"'from memo import {name}' imports {len(own)} modules, each of which takes a fifth of a millisecond of every "
        f"program's start: see the rule above, and raise the number if all of them are needed by every program"
    )


def test_all_names_bring_few_modules_of_others() -> None:
    """Of the standard library, everything imports dataclasses, datetime, and small ones.

    json takes as long as eight modules of the package.
    """
    found = {module.partition(".")[0] for module in brought("*")} - {"memo"}
    allowed = {"__future__", "_datetime", "copy", "dataclasses", "datetime", "gc"}
    assert found <= allowed, f"'from memo import *' imports {sorted(found - allowed)}: see the rule above"


def test_a_late_name_is_imported_when_it_is_asked_for() -> None:
    """It is bound from then on; a name that the face does not have is an AttributeError, as of any module."""
    face = {"__name__": "memo.policies"}
    ask = late(face, {"SieveCache": "sieve"})
    assert ask("SieveCache") is SieveCache
    assert face["SieveCache"] is SieveCache
    with pytest.raises(AttributeError, match=r"^module 'memo\.policies' has no attribute 'LIRSCache'$"):
        ask("LIRSCache")
