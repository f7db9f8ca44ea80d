"""The policies of our own, by the names that ``policy=`` gives them."""

from memo._store.policy import POLICIES as NAMES
from memo._store.policy import CacheClass, check_policy

__all__ = ("POLICIES",)

POLICIES: dict[str, CacheClass] = {name: check_policy("bounded", name) for name in NAMES}
