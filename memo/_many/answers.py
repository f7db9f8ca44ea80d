"""What answers a call with many keys, of which the generated wrapper has found some in the store."""

from collections.abc import Callable, Hashable
from typing import Any

from memo._base import note_on, short_text
from memo._cache import Cache
from memo._call import Call
from memo._many.asked import Found, ManyFunction
from memo._many.task_batches import TaskBatches
from memo._many.thread_batches import ThreadBatches
from memo._store import Standing

__all__ = ("BatchAnswers",)

_SHOWN = 10
"""Keys that a note on an error names."""


class BatchAnswers:
    """Answers calls with many keys.

    Args:
        function: The function of many keys.
        cache: The results, by the keys of single calls.
        key_of: Makes the key of a single call.
        loader: Makes what loads the keys of one call, of a coroutine function.
        most: The most keys with which the function is called at once; None: all.
    """

    def __init__(
        self,
        function: ManyFunction,
        cache: Cache,
        key_of: Callable[..., Hashable],
        loader: Callable[[], Callable[..., Any]] | None,
        most: int | None,
    ) -> None:
        self._function = function
        self._cache = cache
        self._flights: Any = cache.flights
        self._key_of = key_of
        self._loader = loader
        self._most = most

    def answer(
        self, keys: dict[Any, None], answers: dict[Any, Any], missing: list[Any],
        args: tuple[Any, ...], kwargs: dict[str, Any], *, note: bool = False,
    ) -> dict[Any, Any]:  # fmt: skip
        """Answer a call of a plain function.

        Args:
            keys: All keys that were asked for, in their order.
            answers: The values of those that were found.
            missing: The others.
            args: The arguments, whatever in the place of the keys.
            kwargs: Those that are given by name.
            note: Their keys are to be noted, where keys are.
        """
        wanted, sought = self._wanted(missing, args, kwargs, note)
        found = Found()
        if wanted:
            flights: ThreadBatches = self._flights
            try:
                flights.lead_many(wanted, found, self._function, self._most)
            except Exception as error:
                self._tell(error, sought, found)
                raise
        return _in_order(keys, answers, sought, found)

    async def answer_awaited(
        self, keys: dict[Any, None], answers: dict[Any, Any], missing: list[Any],
        args: tuple[Any, ...], kwargs: dict[str, Any], *, note: bool = False,
    ) -> dict[Any, Any]:  # fmt: skip
        """Answer a call of a coroutine function; else as ``answer()`` does."""
        wanted, sought = self._wanted(missing, args, kwargs, note)
        found = Found()
        if wanted:
            flights: TaskBatches = self._flights
            assert self._loader is not None
            try:
                await flights.run_many(wanted, found, self._loader())
            except Exception as error:
                self._tell(error, sought, found)
                raise
        return _in_order(keys, answers, sought, found)

    def answer_spelled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any]:
        """Answer a call that the wrapper has not bound to parameters, and so has looked nothing up for."""
        call = self._function.bound(args, kwargs)
        keys = self._function.unique(call.args[self._function.at])
        return self.answer(keys, {}, list(keys), *call, note=True)

    async def answer_spelled_awaited(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any]:
        """The same of a coroutine function."""
        call = self._function.bound(args, kwargs)
        keys = self._function.unique(call.args[self._function.at])
        return await self.answer_awaited(keys, {}, list(keys), *call, note=True)

    def _wanted(
        self, missing: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any], note: bool
    ) -> tuple[dict[Hashable, Call], dict[Hashable, list[Any]]]:
        """What is to be loaded: the single call of each key of the store, and which keys of the caller that answers.

        What is remembered as absent is not among it, and counts as answered so.
        """
        store, now, at = self._cache.store, self._cache.clock.read(), self._function.at
        before, after = args[:at], args[at + 1 :]
        wanted: dict[Hashable, Call] = {}
        sought: dict[Hashable, list[Any]] = {}
        for item in missing:
            call = Call((*before, item, *after), kwargs)
            key = self._key_of(*call.args, **kwargs)
            if note:
                self._cache.note(key)
            key = self._flights.hashed(key)
            entry = store.index.get(key) if store.rich else None
            if entry is not None and store.standing(entry, now) is Standing.FAILURE:
                store.use_stale(entry, now)
                continue
            wanted.setdefault(key, call)
            sought.setdefault(key, []).append(item)
        return wanted, sought

    def _tell(self, error: Exception, sought: dict[Hashable, list[Any]], found: Found) -> None:
        """Note on *error* which keys did not come."""
        unsettled = [items for key, items in sought.items() if key not in found and key not in found.absent]
        lacking = [item for items in unsettled for item in items]
        shown = ", ".join([short_text(item) for item in lacking[:_SHOWN]])
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        note = f"{self._function.name}(): no result for the keys {shown}{more}; what else was asked for is kept."
        note_on(error, note)


def _in_order(
    keys: dict[Any, None], answers: dict[Any, Any], sought: dict[Hashable, list[Any]], found: Found
) -> dict[Any, Any]:
    """All answers, in the order of *keys*."""
    for key, value in found.items():
        for item in sought[key]:
            answers[item] = value
    return {item: answers[item] for item in keys if item in answers}
