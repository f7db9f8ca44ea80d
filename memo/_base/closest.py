"""What was probably meant by a name or pattern that fits nothing."""

import re
from collections.abc import Iterable

__all__ = ("alike", "closest", "did_you_mean")

_MOST = 3  # names that are shown


def alike(word: str, words: Iterable[str], most: int, least: float) -> list[str]:
    """At most so many of *words* whose likeness to *word* is at least so large, from 0 to 1; the likest first.

    None as the interpreter ends, so that the message in which they would stand is raised all the same.
    """
    try:
        from difflib import get_close_matches  # not above: few programs need it
    except ImportError:
        return []
    return get_close_matches(word, list(words), most, least)


def closest(wanted: str, names: Iterable[str]) -> list[str]:
    """At most three of *names* that are like *wanted*, the likest first.

    Those that end in it ("fetch" for "bot.fetch"), or are like it but for capitals, or in their spelling; of a
    pattern, those whose beginning is like what stands before its first wildcard, or that hold its text anywhere.
    """
    names = sorted(names, key=len)
    before, *wild = re.split(r"[*?\[]", wanted, maxsplit=1)
    middle = max(re.split(r"[*?\[\]]+", wanted), key=len).strip(".")
    if not middle:
        return []
    found = [name for name in names if name.endswith("." + wanted)]
    found += [name for name in names if middle.casefold() in name.casefold()]
    by_form: dict[str, list[str]] = {}
    for name in names:
        parts = dict.fromkeys((name, name.rpartition(".")[2], *re.split(r"[._#]", name)))
        for form in (name[: len(before)],) if before and wild else parts:
            by_form.setdefault(form, []).append(name)
    for form in alike(before if before and wild else middle, by_form, _MOST, 0.6):
        found += by_form[form]
    return list(dict.fromkeys(found))[:_MOST]


def did_you_mean(wanted: str, names: Iterable[str]) -> str:
    """``; did you mean 'bot.fetch' or 'bot.find'?``, or nothing if nothing is like it."""
    found = [repr(name) for name in closest(wanted, names)]
    if not found:
        return ""
    return f"; did you mean {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}?"
