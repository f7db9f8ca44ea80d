"""What the other processes of a service tell of their functions and tiers."""

import logging
import os
from collections.abc import Callable
from typing import NamedTuple

from memo import FunctionStats, Registry
from memo.exporters._rows import stats_of
from memo.exporters._snapshot import Tier
from memo.exporters._sockets import serving
from memo.exporters._view import Asked, view_of

__all__ = ("Others", "Told")

log = logging.getLogger("memo")


class Told(NamedTuple):
    """What one process tells."""

    rows: list[tuple[str, FunctionStats]]
    tiers: list[Tier]


class Others:
    """The other processes that serve *registry* under the name of this one; none as long as this one is not served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told = False

    def told(self, wants: Callable[[str], bool]) -> dict[int, Told]:
        """What each process that answers tells: its functions, if their name is wanted, and its tiers.  Blocking.

        What a process told before it fell silent may stay on a page that says so; among series it would pass for now.
        """
        answer = view_of(self._registry).stats(Asked(by_process=True), show_keys=False, actions=False)
        left_out = {one["pid"] for one in answer["processes"] if one["error"] is not None} | {os.getpid()}
        found: dict[int, Told] = {}
        for key, row in answer["rows"].items():
            name, process = key.rpartition("@")[0], row["process"]
            if process not in left_out and wants(name):
                found.setdefault(process, Told([], [])).rows.append((name, stats_of(name, row)))
        for tier in answer.get("tiers", ()):
            if tier["process"] not in left_out:
                found.setdefault(tier["process"], Told([], [])).tiers.append(tier)
        if len(answer["processes"]) == 1:
            self._warn()
        return found

    def _warn(self) -> None:
        """Say once that this process has no others since it is not served, if that is the reason."""
        if not self._told and all(place.pid != os.getpid() for place in serving()):
            self._told = True
            log.warning(
                "per_process=True tells of process %d alone, since it is not served: call registry.serve(name=...) "
                "in each worker",
                os.getpid(),
            )
