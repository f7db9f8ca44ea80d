"""What the path in C is told of a function's calls: how they are bound, and what their keys consist of.

A recipe says of a generated wrapper what its source says, as far as C can go by it.  What is common has one; whatever
is rare has none, and its calls go to the wrapper.
"""

import functools
from collections.abc import Iterator
from inspect import Parameter
from typing import Any, NamedTuple

from memo._call.instances import InstanceRef
from memo._call.key_plan import KeyPlan
from memo._call.key_types import BARE, TOLD
from memo._call.source import POSITIONAL
from memo._native import speed

__all__ = ("NATIVE_WORDS", "Native", "recipe")

_MOST_PARAMETERS = 16
_ONE_BY_ONE = (*POSITIONAL, Parameter.KEYWORD_ONLY)
_WORDS = (
    "index", "clock", "refs", "copy", "idle_s", "user_key", "weak_refs", "loop_refs", "running_loop", "ring", "touch",
    "leading", "function", "lead_made", "intake", "fail", "unkeyed", "untimed", "dropped", "stored",
)  # fmt: skip
"""What C may need of a wrapper's globals, in the order of ``enum Word``."""


NATIVE_WORDS = ("function", "lead_made", "leading", "refs")
"""What C needs of them besides what the template names."""


class Native(NamedTuple):
    """What a hit involves, beside the key."""

    ages: bool = False
    """Time may make an entry unusable."""
    serves_stale: bool = False
    """An entry may answer past its deadline."""
    idles: bool = False
    """An entry may be too long unused."""
    copies: bool = False
    """Values are handed out as copies."""
    moves: bool = False
    """A hit moves the entry in its ring: to the new end, or, where its mark is one, among those of the next count."""
    counts: bool = False
    """The latter: ``touch()`` moves it where that puts a mark in, or takes one out."""
    looks: bool = True
    """There may be hits."""
    leads: bool = False
    """A call that finds nothing may be led in C."""
    leads_made: bool = False
    """A call whose key ``key=`` has made in C may be led by that in Python."""
    records: bool = False
    """Calls are recorded in a window, rather than looked up."""
    records_all: bool = False
    """Those that go well are, too."""


def recipe(plan: KeyPlan, native: Native | None) -> Any:
    """How C answers calls whose keys are made by *plan*; None: it leaves them to the wrapper.

    Args:
        plan: What the keys consist of.
        native: What a hit involves; None: more than C can do.
    """
    if native is None or not _is_common(plan):
        return None
    makes = plan.options.key is not None and not native.records
    if makes and not (native.leads_made and _is_made_alone(plan)):
        return None  # in a miss the wrapper would ask it once more: what C has made of a call, it cannot hand on
    positional = [p for p in plan.parameters if p.kind in POSITIONAL]
    names = [p.name for p in [*positional, *(p for p in plan.parameters if p.kind is Parameter.KEYWORD_ONLY)]]
    given = _given(plan, names)
    if given is None:
        return None
    parts = list(_parts(plan, names))
    needed = {
        "index": native.looks and not plan.has_token,
        "clock": native.ages or native.records,
        "refs": plan.has_token,
        "copy": native.copies,
        "idle_s": native.idles,
        "user_key": plan.options.key is not None,
        "weak_refs": bool(plan.weak),
        "loop_refs": plan.options.scope is not None,
        "running_loop": plan.options.scope is not None,
        "ring": native.moves,
        "touch": native.counts,
        "leading": native.leads,
        "function": native.leads or native.records,
        "lead_made": makes,
    } | dict.fromkeys(("fail", "unkeyed", "untimed", "stored"), native.records)
    needed |= dict.fromkeys(("intake", "dropped"), native.records_all)
    return speed.Recipe(
        names=tuple(names),
        positional=len(positional),
        only_positional=sum(p.kind is Parameter.POSITIONAL_ONLY for p in positional),
        star=any(p.kind is Parameter.VAR_POSITIONAL for p in plan.parameters),
        stars=any(p.kind is Parameter.VAR_KEYWORD for p in plan.parameters),
        instance=names.index(plan.instance.name) if plan.has_token and plan.instance is not None else -1,
        parts=b"".join(parts),
        is_tuple=len(parts) != 1 if plan.has_token else plan.is_tuple,
        given=given[0],
        given_names=given[1],
        words=_words(plan.prefix, tuple(map(needed.__getitem__, _WORDS))),
        marks=(BARE, TOLD, InstanceRef),
        ages=native.ages,
        serves_stale=native.serves_stale,
        idles=native.idles,
        copies=native.copies,
        records=native.records,
        is_async=plan.shape.is_async,
        looks=native.looks,
    )


@functools.lru_cache(maxsize=64)
def _words(prefix: str, needed: tuple[bool, ...]) -> tuple[str | None, ...]:
    """The names of what is needed; one tuple for all functions that need the same."""
    return tuple(prefix + word if is_needed else None for word, is_needed in zip(_WORDS, needed, strict=True))


def _is_common(plan: KeyPlan) -> bool:
    return (
        plan.shape.exact
        and not plan.through
        and (plan.instance is None or plan.instance.kind in POSITIONAL)
        and not plan.weak_named
        and len(plan.parameters) <= _MOST_PARAMETERS
    )


def _is_made_alone(plan: KeyPlan) -> bool:
    """Whether what ``key=`` makes of a call is all that its key consists of, but for the instance's token."""
    return not (plan.has_refs or plan.options.typed)


def _parts(plan: KeyPlan, names: list[str]) -> Iterator[bytes]:
    """The parts of a key, without the instance's token: what each is (see ``enum Part``), and of which parameter."""
    # by name: a parameter hashes its default
    numbers = {p.name: bytes([names.index(p.name)]) for p in plan.parameters if p.kind in _ONE_BY_ONE}
    if plan.options.key is not None:
        yield b"k\0"
    else:
        for p in plan.values:
            if p.name in numbers:
                yield (b"w" if p.name in plan.weak else b"t" if p is plan.alone else b"v") + numbers[p.name]
            else:
                yield b"0\0" if p.kind is Parameter.VAR_KEYWORD else b"T\0" if p is plan.alone else b"*\0"
    if plan.options.scope is not None:
        yield b"l\0"
    if plan.options.typed:
        for p in plan.values:
            if p.name in numbers:
                yield b"y" + numbers[p.name]
            else:
                yield b"0\0" if p.kind is Parameter.VAR_KEYWORD else b"Y\0"


def _given(plan: KeyPlan, names: list[str]) -> tuple[bytes, tuple[str, ...]] | None:
    """The numbers of the parameters whose arguments ``key=`` is given, those by name last, and the names of these.

    None: it is given what is not one of them, a function's ``*args``.
    """
    if plan.asked_for_key is None:
        return b"", ()
    numbers: list[int] = []
    by_name: list[str] = []
    for argument in filter(None, plan.asked_for_key.arguments.split(", ")):
        name, _, value = argument.rpartition("=")
        if value not in names:
            return None
        numbers.append(names.index(value))
        if name:
            by_name.append(name)
    return bytes(numbers), tuple(by_name)
