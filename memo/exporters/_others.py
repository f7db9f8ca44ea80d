"""What the other processes of a service tell of their functions."""

import logging
import os
from collections.abc import Callable

from memo import FunctionStats, Registry
from memo.exporters._rows import stats_of
from memo.exporters._sockets import serving
from memo.exporters._view import Asked, view_of

__all__ = ("Others",)

log = logging.getLogger("memo")


class Others:
    """The other processes that serve *registry* under the name of this one; none as long as this one is not served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told = False

    def rows(self, wants: Callable[[str], bool]) -> dict[int, list[tuple[str, FunctionStats]]]:
        """The functions of each process that answers, if their name is wanted.  Blocking.

        What a process told before it fell silent may stay on a page that says so; among series it would pass for now.
        """
        answer = view_of(self._registry).stats(Asked(by_process=True), show_keys=False, actions=False)
        left_out = {one["pid"] for one in answer["processes"] if one["error"] is not None} | {os.getpid()}
        found: dict[int, list[tuple[str, FunctionStats]]] = {}
        for key, row in answer["rows"].items():
            name, process = key.rpartition("@")[0], row["process"]
            if process not in left_out and wants(name):
                found.setdefault(process, []).append((name, stats_of(name, row)))
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
