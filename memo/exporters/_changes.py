"""Rows by name, and what changed in them since somebody asked."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ("Changes",)

_MOST_GONE = 1_000
"""Names that are remembered after they went; who asks after more than that has everything told anew."""


class Changes:
    """Rows by name, each with the number of the change that made it what it is.

    Not safe by itself: whoever has it guards it.
    """

    def __init__(self) -> None:
        self.number: int = 0
        """That of the latest change."""
        self._rows: dict[str, tuple[int, Any]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._complete_since = 0
        """The change from which on all that went is remembered."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rows))

    def get(self, name: str) -> Any:
        """The row of that name, or None."""
        return self._rows.get(name, (0, None))[1]

    def put(self, name: str, row: Any) -> None:
        """Note a new row, or one that has changed."""
        self.number += 1
        self._rows[name] = self.number, row
        self._gone.pop(name, None)

    def drop(self, name: str) -> None:
        """Note that a row went."""
        if self._rows.pop(name, None) is None:
            return
        self.number += 1
        self._gone[name] = self.number
        if len(self._gone) > _MOST_GONE:
            self._complete_since = self._gone.popitem(last=False)[1]

    def keep_only(self, names: Iterable[str]) -> None:
        """Note that all others went."""
        for name in self._rows.keys() - set(names):
            self.drop(name)

    def replace(self, rows: Mapping[str, Any]) -> None:
        """Make it these rows; those that are equal have not changed."""
        self.keep_only(rows)
        for name, row in rows.items():
            if self.get(name) != row:
                self.put(name, row)

    def since(self, number: int | None) -> tuple[dict[str, Any], list[str], bool]:
        """What changed after the change of that number.

        Returns:
            The rows that changed, the names that went, and whether that is everything, since it cannot tell any more
            (or was asked for everything, with None).
        """
        if number is None or not self._complete_since <= number <= self.number:
            return {name: row for name, (_, row) in self._rows.items()}, [], True
        rows = {name: row for name, (changed, row) in self._rows.items() if changed > number}
        return rows, [name for name, went in self._gone.items() if went > number], False
