"""What may be done to caches from outside: clean up, clear, invalidate."""

import os
from collections.abc import Iterable
from typing import Any

from memo import Registry
from memo.exporters._client import Source, SourceError
from memo.exporters._sockets import Place

__all__ = ("ACTIONS", "BadRequest", "act", "act_in_all")

ACTIONS = ("cleanup", "clear", "invalidate")
_PATIENCE_S = 10.0
"""Seconds that a sibling may take: callbacks of its users run meanwhile."""


class BadRequest(Exception):
    """Something that cannot be asked for; the message says what can.

    Attributes:
        status: The status to answer with.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def act_in_all(registry: Registry, action: str, body: Any, siblings: Iterable[Place]) -> dict[str, Any]:
    """Do it here and in each sibling; what was done in all together, and in each.

    Raises:
        BadRequest: The body is wrong, or no process has that function.
    """
    processes: list[dict[str, Any]] = []
    unknown: BadRequest | None = None
    try:
        processes.append({"pid": os.getpid(), "done": act(registry, action, body), "error": None})
    except BadRequest as error:
        if error.status != 404:
            raise
        unknown = error  # a worker that has not called it yet may not have it
    for place in siblings:
        with Source(place.path, timeout=_PATIENCE_S) as source:
            try:
                told = source.post(f"/actions/{action}?own=1", body)
                processes.append({"pid": place.pid, "done": told["done"], "error": None})
            except SourceError as error:
                if error.status != 404:
                    processes.append({"pid": place.pid, "done": {}, "error": str(error)})
            except (KeyError, TypeError):
                processes.append({"pid": place.pid, "done": {}, "error": "it answered with what is not understood"})
    if unknown is not None and not any(one["done"] for one in processes):
        raise unknown
    total: dict[str, Any] = {}
    for one in processes:
        for name, count in one["done"].items():
            total[name] = total.get(name, 0) + count
    return {"done": total, "processes": processes}


def act(registry: Registry, action: str, body: Any) -> dict[str, Any]:
    """Do it in this process, and tell how much went, by what it was.

    Raises:
        BadRequest: The body is wrong, or there is no such function.
    """
    if not isinstance(body, dict):
        raise BadRequest('the body is no object; send {} or {"function": NAME}')
    if action == "cleanup":
        _only(body, ())
        told = registry.cleanup()
        return {
            "expired": told.expired,
            "flights": told.flights,
            "events": told.events,
            "keys": told.keys,
            "seconds": told.seconds,
        }
    if action == "clear":
        return _clear(registry, body)
    _only(body, ("tag",))
    tag = body.get("tag")
    if not isinstance(tag, str) or not tag:
        raise BadRequest('"tag" is no text; send {"tag": TAG}')
    return {"entries": registry.invalidate(tag=tag)}


def _clear(registry: Registry, body: dict[str, Any]) -> dict[str, Any]:
    _only(body, ("function", "all"))
    name, everything = body.get("function"), body.get("all")
    if everything is True and name is None:
        records = list(registry)
    elif isinstance(name, str) and everything is None:
        try:
            records = [registry[name]]
        except KeyError:
            raise BadRequest(f"there is no function {name[:200]!r} in this registry", 404) from None
    else:
        raise BadRequest('send {"function": NAME} or {"all": true}')
    entries = 0
    for record in records:
        cache = record.cache
        if cache is not None:
            entries += cache.clear()
        record.clear()
    return {"functions": len(records), "entries": entries}


def _only(body: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in body:
        if name not in known:
            may = " and ".join(f'"{one}"' for one in known) or "nothing"
            raise BadRequest(f"{str(name)[:50]!r} is not understood; the object has {may}")
