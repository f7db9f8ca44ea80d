"""The tiers that functions share their results through."""

from collections.abc import Callable, Iterable
from typing import Any

from memo._cache import Link
from memo._registry.parts import HasParts

__all__ = ("links_of", "tiers_of")


def tiers_of(records: Iterable[HasParts]) -> tuple[Any, ...]:
    """Each tier once, in the order of the functions."""
    found = [part.link.tier for record in records for part in record.parts if part.link is not None]
    return tuple({id(tier): tier for tier in found}.values())


def links_of(records: Iterable[HasParts], is_apart: Callable[[Any], bool]) -> list[Link]:
    """A way to each tier of those functions whose results are not set aside."""
    found = [part.link for record in records if not is_apart(record) for part in record.parts if part.link is not None]
    return list({id(link.tier): link for link in found}.values())
