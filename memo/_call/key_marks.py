"""What keys, and the calls that they are made of, are marked by."""

from collections.abc import Hashable
from typing import Any

from memo._call.instances import InstanceRef, Instances

__all__ = ("SPELLED", "Through", "came_through", "is_spelled", "token_through")


class Through:
    """An instance, as the first argument of a call that came through an attribute of its class.

    A plain function that a class merely refers to stays what it is; but a call through the instance has the
    keys of a method.  So such a call is marked where it is handed on as a whole.
    """

    __slots__ = ("instance",)

    def __init__(self, instance: Any) -> None:
        self.instance = instance


class _Itself:
    """Stands in keys for an instance that allows no weak reference, where plain calls have keys as well.

    Compares as the instance does, but with its kind alone: a plain call's tuple may begin with the same object.
    """

    __slots__ = ("_hash", "instance")

    def __init__(self, instance: Any) -> None:
        self.instance = instance
        self._hash = hash(instance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and bool(self.instance == other.instance)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self.instance)


def token_through(instances: Instances, instance: Any) -> Hashable:
    """What stands for *instance* in the key of a call that came through it."""
    token = instances.token(instance)
    return token if type(token) is InstanceRef else _Itself(token)


def came_through(key: Hashable) -> bool:
    """Whether *key*, of a plain function, is that of a call through an instance."""
    return type(key) is tuple and bool(key) and (type(key[0]) is InstanceRef or type(key[0]) is _Itself)


class _Spelled:
    """The last item of a key of a call that does not fit the documented parameters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<as spelled>"


SPELLED = _Spelled()
"""Ends the key of a call that does not fit the documented parameters."""


def is_spelled(key: Hashable) -> bool:
    """Whether *key* is that of a call that does not fit the documented parameters."""
    return type(key) is tuple and bool(key) and key[-1] is SPELLED
