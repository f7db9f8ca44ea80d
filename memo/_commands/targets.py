"""Which process a command asks: what the user named, or the one that serves."""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memo._commands.failures import WRONG, Failed
from memo._commands.polling import path_of
from memo.exporters import Place, Source, SourceError, serving

__all__ = ("Service", "named", "only_one", "services", "source", "token")

_PATIENCE_S = 5.0
_SHORT_S = 1.0
_NOBODY = (
    "no process of this user serves its figures; call registry.serve() in the one to look at (python -m memo ps lists "
    "those that do), or give the URL of one on another machine."
)


@dataclass(frozen=True, slots=True)
class Service:
    """Processes that belong together: any of them tells the figures of all."""

    name: str
    pids: tuple[int, ...]
    target: str
    """What ``Source`` is given: the name, which holds when processes come and go, if it is that of no other service."""

    def __str__(self) -> str:
        return f"{self.name}  {'pid' if len(self.pids) == 1 else 'pids'} {', '.join(map(str, self.pids))}"


def services() -> list[Service]:
    """What serves now, by name."""
    names: dict[str, dict[str, list[Place]]] = {}
    places = _serving()
    shared = {name for name, count in Counter(place.name for place in places).items() if count > 1}
    for place in places:
        group = _group_of(place) if place.name in shared else ""
        names.setdefault(place.name, {}).setdefault(group, []).append(place)
    return [
        Service(name, tuple(sorted(place.pid for place in several)), name if len(groups) == 1 else str(several[0].pid))
        for name, groups in sorted(names.items())
        for several in groups.values()
    ]


def _group_of(place: Place) -> str:
    """What the processes of one service have in common: programs that were given no name may share one."""
    try:
        with Source(place.path, timeout=_SHORT_S) as asked:
            return str(asked.get(path_of(own="1", fields=""))["process"]["group"])
    except (SourceError, KeyError, TypeError):
        return ""


def _serving() -> list[Place]:
    try:
        return serving()
    except OSError as error:  # a folder that is another's
        raise Failed(str(error)) from error


def only_one(found: Sequence[Service]) -> str | None:
    """What to ask if there is one service; None if there are several.

    Raises:
        Failed: There is none.
    """
    if not found:
        raise Failed(_NOBODY)
    return found[0].target if len(found) == 1 else None


def named(target: str | None) -> str:
    """What is asked: *target*, or else the only service that there is.

    Raises:
        Failed: Nobody serves, or several do.
    """
    if target is not None:
        return target
    found = services()
    name = only_one(found)
    if name is None:
        raise Failed(f"several serve; name one of them: {'; '.join(map(str, found))}.", WRONG)
    return name


def token(given: argparse.Namespace) -> str | None:
    """The token of a server that wants one: from a file, or from the environment; never from the command line.

    Raises:
        Failed: The file cannot be read, or is empty.
    """
    if given.token_file is None:
        return os.environ.get("MEMO_TOKEN") or None
    try:
        text = Path(given.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Failed(
            f"--token-file {given.token_file!r} cannot be read ({why}); give a file of text.", WRONG
        ) from error
    if not text:
        raise Failed(f"--token-file {given.token_file!r} is empty; write the server's token into it.", WRONG)
    return text


def source(target: str, given: argparse.Namespace) -> Source:
    """What is asked for figures.

    Raises:
        Failed: *target* cannot be one, or there is no token where one was promised.
    """
    try:
        return Source(target, token(given), timeout=_PATIENCE_S)
    except (TypeError, ValueError) as error:
        raise Failed(str(error), WRONG) from error
