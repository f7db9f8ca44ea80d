"""Decorated methods, in every kind of class."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kit.placed import Decorate, Log, Placed, of

__all__ = (
    "on_alias_in_class_body",
    "on_async_class_method_outer",
    "on_async_method",
    "on_async_static_method_inner",
    "on_class_method_inner",
    "on_class_method_outer",
    "on_frozen_dataclass",
    "on_frozen_dataclass_with_slots",
    "on_function_set_on_class",
    "on_inherited",
    "on_method",
    "on_method_of_odd_self",
    "on_method_of_positional_self",
    "on_named_tuple",
    "on_override",
    "on_slots",
    "on_slots_without_weakref",
    "on_static_method_inner",
    "on_static_method_outer",
    "on_unhashable",
)


def on_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_async_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        async def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_method_of_odd_self(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(me, name: str, lang: str = "en") -> list[str]:  # noqa: N805  # that is the case
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_method_of_positional_self(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(self, /, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_class_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @classmethod
        @decorate
        def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Other(Service):
        pass

    return Placed(calls, lambda: Service.fetch, lambda: Other.fetch)


def on_class_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @classmethod
        def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Other(Service):
        pass

    return Placed(calls, lambda: Service().fetch, lambda: Other().fetch)


def on_async_class_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @classmethod
        async def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_static_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @staticmethod
        @decorate
        def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service().fetch)


def on_static_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @staticmethod
        def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_async_static_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @staticmethod
        @decorate
        async def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_slots(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        __slots__ = ("__weakref__", "unused")

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_slots_without_weakref(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        __slots__ = ("unused",)

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_frozen_dataclass(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass(frozen=True)
    class Service:
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_frozen_dataclass_with_slots(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass(frozen=True, slots=True)
    class Service:
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    numbers = iter(range(10))
    return of(Service, calls, lambda: Service(next(numbers)))


def on_unhashable(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass
    class Service:
        names: list[str] = field(default_factory=list)

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    assert Service.__hash__ is None
    return of(Service, calls)


def on_named_tuple(decorate: Decorate) -> Placed:
    calls = Log()

    class Service(NamedTuple):
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    numbers = iter(range(10))
    return of(Service, calls, lambda: Service(next(numbers)))


def on_override(decorate: Decorate) -> Placed:
    calls = Log()

    class Base:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            return [name, lang]

    class Service(Base):
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return list(super().fetch(name, lang))

    return of(Service, calls)


def on_inherited(decorate: Decorate) -> Placed:
    calls = Log()

    class Base:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Service(Base):
        pass

    return of(Service, calls)


def on_alias_in_class_body(decorate: Decorate) -> Placed:
    calls = Log()

    def outside(owner: Any, name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    class Service:
        load = decorate(outside)
        fetch = load

    return of(Service, calls)


def on_function_set_on_class(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        pass

    @decorate
    def outside(owner: Any, name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    Service.fetch = outside  # type: ignore[attr-defined]
    return of(Service, calls)
