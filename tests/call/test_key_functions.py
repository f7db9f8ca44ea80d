"""How ``key=`` and ``tags=`` are asked about a call: which of their parameters gets what, in every placement."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from kit.other_decorators import taking_extra

from memo import Registry, bounded, dedupe_inflight, sliding_window


class Service:
    """Has a name, and functions of others in every placement."""

    def __init__(self, pk: int) -> None:
        self.pk = pk

    def load(self, name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    async def later(self, name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    def only(self, name: str, /, *, lang: str = "en") -> list[str]:
        return [name, lang]

    def many(self, *names: str, **more: str) -> list[Any]:
        return [names, more]

    def everything(*names: Any, **more: str) -> list[Any]:
        return [names, more]


ASKED: dict[str, tuple[str, Any, Any]] = {
    "first": ("load", lambda self, name, lang: (self.pk, name, lang), (1, "a", "en")),
    "second": ("load", lambda name, self, lang: (self.pk, name, lang), (1, "a", "en")),
    "last": ("load", lambda name, lang, self: (self.pk, name, lang), (1, "a", "en")),
    "by name": ("load", lambda name, *, self, lang: (self.pk, name, lang), (1, "a", "en")),
    "by name first": ("load", lambda *, self, lang, name: (self.pk, name, lang), (1, "a", "en")),
    "behind the rest": ("load", lambda *rest, self: (self.pk, rest), (1, ("a", "en"))),
    "with a default": ("load", lambda name, lang, self=None: (self.pk, name, lang), (1, "a", "en")),
    "coroutine": ("later", lambda name, *rest, self: (self.pk, name, rest), (1, "a", ("en",))),
    "of what is by position or by name alone": ("only", lambda name, self, lang: (self.pk, name, lang), (1, "a", "en")),
    "of any number": ("many", lambda name, self, **more: (self.pk, name, len(more)), (1, "a", 0)),
    "of any number with the instance": ("everything", lambda name, *, self, **more: (self.pk, name), (1, "a")),
    "not at all": ("load", lambda name, lang: (name, lang), ("a", "en")),
    "not among anything": ("load", lambda *rest, **more: (rest, len(more)), (("a", "en"), 0)),
}


@pytest.mark.parametrize("below", [False, True], ids=["alone", "above another decorator"])
@pytest.mark.parametrize("case", ASKED)
def test_the_instance_goes_to_the_parameter_that_names_it(case: str, below: bool, own: Registry) -> None:
    """Wherever a key function has a parameter of the instance's name, it gets the instance there, and the rest."""
    method, key, expected = ASKED[case]
    function = vars(Service)[method]
    if below and method != "later":
        function = taking_extra(function)

    class Client(Service):
        load = bounded(max=8, key=key, registry=own)(function)
        joined = dedupe_inflight(key=key, registry=own)(function)
        noted = sliding_window("1h", key=key, registry=own)(function)

    client = Client(1)
    for call in (client.load, client.joined, client.noted):
        made = call("a")
        assert (asyncio.run(made) if method == "later" else made)[0] in ("a", ("a",), (client, "a"))
    assert [shown for shown, _ in client.load.cache.items()] == [expected]
    assert Client.noted.window.events()[0].key == str(expected)


def test_a_class_goes_to_the_parameter_that_names_it(own: Registry) -> None:
    """The class of a class method, above or below the decorator, is given as an instance is."""

    class Service:
        @bounded(max=8, key=lambda name, cls: (cls.__name__, name), registry=own)
        @classmethod
        def above(cls, name: str) -> list[str]:
            return [name]

        @classmethod
        @bounded(max=8, key=lambda name, *, cls: (cls.__name__, name), registry=own)
        def below(cls, name: str) -> list[str]:
            return [name]

        @staticmethod
        @bounded(max=8, key=lambda name, self=0: (self, name), registry=own)
        def alone(name: str) -> list[str]:
            return [name]

    for call in (Service.above, Service.below):
        assert call("a") is call(name="a")
        assert call.cache.items()[0][0] == ("Service", "a")
    assert Service.alone("a") is Service.alone(name="a")
    assert Service.alone.cache.items()[0][0] == (0, "a")


def test_a_parameter_that_the_call_has_itself_is_no_instance(own: Registry) -> None:
    """Where the function has another parameter of that name, the key function gets that one's value."""

    class Service:
        @bounded(max=8, key=lambda name, cls: (name, cls), registry=own)
        def load(self, name: str, cls: str = "first") -> list[str]:
            return [name]

    service = Service()
    service.load("a")
    assert service.load.cache.items()[0][0] == ("a", "first")


def test_tags_name_the_instance_anywhere(own: Registry) -> None:
    """A tag function gets the instance where it names it, also of a call that the signature does not document."""

    class Tagged(Service):
        @bounded(max=8, tags=lambda name, *, self, **more: (f"pk:{self.pk}", *more), registry=own)
        @taking_extra
        def load(self, name: str) -> list[str]:
            return [name]

    one, two = Tagged(1), Tagged(2)
    for each in (one, two):
        each.load("a")
        each.load("a", extra=True)
    assert own.invalidate(tag="pk:1") == 2
    assert own.invalidate(tag="extra") == 1
    assert own.invalidate(tag="pk:2") == 1


def test_key_is_asked_about_what_is_not_documented(own: Registry) -> None:
    """A call that does not fit the signature has the key that key= makes of it, or its spelling if key= cannot."""

    class Wide(Service):
        @bounded(max=8, key=lambda name, extra=0, *, self: (self.pk, name.lower(), extra), registry=own)
        @taking_extra
        def load(self, name: str) -> list[str]:
            return [name]

        @bounded(max=8, key=lambda name: name.lower(), registry=own)
        @taking_extra
        def narrow(self, name: str) -> list[str]:
            return [name]

    one = Wide(1)
    assert one.load("a", extra=5) is one.load("A", extra=5)
    assert one.load("a") is one.load("A")
    assert one.load("a") is not one.load("a", extra=5)
    assert sorted(shown for shown, _ in one.load.cache.items()) == [(1, "a", 0), (1, "a", 5)]
    assert one.load.cache.invalidate("a", extra=5)
    assert Wide(1).load("a", extra=5) is not Wide(1).load("a", extra=5)  # an instance has entries of its own
    assert one.narrow("a", extra=5) is one.narrow("a", extra=5)
    assert one.narrow("a", extra=5) is not one.narrow("A", extra=5)


def test_an_error_of_key_about_what_is_not_documented_is_the_callers(own: Registry) -> None:
    """What a key function raises about a call that it takes reaches the caller, though the signature does not fit."""

    def key(name: str, extra: int = 0) -> str:
        raise LookupError("no key")

    load = bounded(max=8, key=key, registry=own)(taking_extra(lambda name: [name]))
    with pytest.raises(LookupError, match="no key"):
        load("a", extra=5)
    assert len(load.inflight) == 0


# -- how often


@dataclass(frozen=True)
class Named:
    """A key whose hash is written in Python."""

    name: str


MADE: dict[str, Callable[[str], Any]] = {
    "text": lambda name: name,
    "object": Named,
    "tuple with an object": lambda name: (Named(name), 1),
}
MISSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one load for each call": {"dedupe": False},
    "told": {"on_evict": lambda *what: None},
    "tagged": {"tags": lambda name: [name]},
    "used least": {"policy": "lfu"},
    "used last": {"policy": "lru"},
    "weighed": {"max_bytes": "1MB"},
    "with a fallback": {"fallback": None},
    "stale": {"ttl": "1h", "stale_while_revalidate": "1h"},
}


@pytest.mark.parametrize("options", MISSES.values(), ids=MISSES)
@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_key_function_is_asked_once_a_call(
    own: Registry, made: Callable[[str], Any], options: dict[str, Any]
) -> None:
    """Be it a hit or a miss, of the first call or of later ones, and whatever key it makes."""
    asked: list[str] = []

    def key(name: str) -> Any:
        asked.append(name)
        return made(name)

    @bounded(max=2, registry=own, key=key, **options)
    def load(name: str) -> str:
        return name * 2

    @bounded(max=2, registry=own, key=key, **options)
    async def later(name: str) -> str:
        return name * 2

    calls = ["a", "a", "b", "b", "c", "a"]
    assert [load(name) for name in calls] == [name * 2 for name in calls]
    assert asked == calls
    asked.clear()

    async def await_all() -> list[str]:
        return [await later(name) for name in calls]

    assert asyncio.run(await_all()) == [name * 2 for name in calls]
    assert asked == calls
