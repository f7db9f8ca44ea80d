"""Instances that allow no weak reference: each remedy named for their kind is taken, and works."""

import asyncio
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded, bounded_many, dedupe_inflight, limit

IMPORTS = """
import collections, dataclasses, typing
import attr, msgspec
from attr import define
from dataclasses import dataclass
from msgspec import Struct
"""
METHOD = """
    @method
    def double(self, *args):
        return [self, *args]
"""
COROUTINE = METHOD.replace("def", "async def")

SLOTS = r"add '__weakref__' to Kind.__slots__"
HASH = r"give Kind a __hash__, so that equal instances share entries"
IGNORE = r"leave it out of the key with ignore=\('self',\)"
OF_KINDS: dict[str, tuple[str, str, str]] = {
    "slots": ("class Kind:\n    __slots__ = ()\n    __hash__ = None", "Kind()", SLOTS),
    "slots of a subclass": (
        "class Base:\n    __slots__ = ('x',)\n    __hash__ = None\nclass Kind(Base):\n    __slots__ = ('y',)",
        "Kind()",
        SLOTS,
    ),
    "slots of a dictionary": ("class Kind(dict):\n    __slots__ = ()", "Kind()", SLOTS),
    "dataclass": (
        "@dataclass(slots=True)\nclass Kind:\n    x: int",
        "Kind(1)",
        r"write @dataclass\(slots=True, weakref_slot=True\) for Kind",
    ),
    "dataclass with slots written by hand": (
        "@dataclass\nclass Kind:\n    __slots__ = ('x',)\n    x: int",
        "Kind(1)",
        SLOTS,
    ),
    "attrs": (
        "@define(weakref_slot=False)\nclass Kind:\n    x: int",
        "Kind(1)",
        r"write @define\(weakref_slot=True\) for Kind",
    ),
    "attrs with slots written by hand": (
        "@attr.s(these={'x': attr.ib()}, eq=False)\nclass Kind:\n    __slots__ = ('x',)\n    __hash__ = None",
        "Kind(1)",
        SLOTS,
    ),
    "msgspec": ("class Kind(Struct):\n    x: int", "Kind(1)", r"write class Kind\(Struct, weakref=True\)"),
    "NamedTuple": ("class Kind(typing.NamedTuple):\n    x: list", "Kind([])", HASH),
    "namedtuple": ("class Kind(collections.namedtuple('Kind', 'x')):\n    __slots__ = ()", "Kind([])", HASH),
    "tuple": ("class Kind(tuple):\n    pass", "Kind([[]])", HASH),
    "int": ("class Kind(int):\n    __hash__ = None", "Kind(3)", HASH),
    "bytes": ("class Kind(bytes):\n    __hash__ = None", "Kind(b'')", HASH),
    "dataclass of an int": ("@dataclass\nclass Kind(int):\n    x: int = 0", "Kind()", HASH),
}  # fmt: skip
"""Source text, how to make an instance, and the remedy beside ``ignore=``."""

DECORATORS: dict[str, Callable[..., Any]] = {
    "bounded": functools.partial(bounded, max=5),
    "bounded lru": functools.partial(bounded, max=5, policy="lru"),
    "dedupe_inflight": dedupe_inflight,
    "limit": functools.partial(limit, "100/s"),
}


def made(source: str, make: str, decorate: Callable[..., Any], own: Registry, more: dict[str, Any]) -> tuple[Any, Any]:
    """The class of a source text, and an instance."""
    names: dict[str, Any] = {"method": decorate(registry=own, **more), "__name__": __name__}
    exec(IMPORTS + source, names)
    return names["Kind"], eval(make, names)


def ran(value: Any) -> Any:
    async def awaited() -> Any:
        return await value

    return asyncio.run(awaited()) if inspect.isawaitable(value) else value


def followed(source: str, way: str) -> str:
    """The source text with what a remedy says."""
    if found := re.fullmatch(r"add '__weakref__' to (\w+)\.__slots__", way):
        head, name, tail = source.partition(f"class {found[1]}")
        return head + name + tail.replace("__slots__ = (", "__slots__ = ('__weakref__', ", 1)
    if found := re.fullmatch(r"write (@.*) for (\w+)", way):
        return re.sub(rf"@\w+\(.*\)\nclass {found[2]}\b", f"{found[1]}\nclass {found[2]}", source)
    if found := re.fullmatch(r"write (class (\w+)\(.*\))", way):
        return re.sub(rf"class {found[2]}\(.*\)", found[1], source)
    assert re.fullmatch(r"give Kind a __hash__, .*", way)
    return f"{source.replace('    __hash__ = None', '')}\n    def __hash__(self):\n        return 7\n"


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("case", OF_KINDS)
def test_each_remedy_of_a_method_works(case: str, decorator: str, is_async: bool, own: Registry) -> None:
    """An instance without weak references and hash is refused, and not once one of the two remedies is taken."""
    pytest.importorskip("msgspec"), pytest.importorskip("attr")
    head, make, way = OF_KINDS[case]
    source = head + (COROUTINE if is_async else METHOD)
    build = functools.partial(made, make=make, decorate=DECORATORS[decorator], own=own)
    _, instance = build(source, more={})
    with pytest.raises(TypeError, match=rf"^unhashable type: .*: Kind.double\(\): .*; {way}, or {IGNORE}\.$") as raised:
        ran(instance.double(1))
    remedies = re.search(r"; (.*), or leave", str(raised.value))
    assert remedies
    _, mended = build(followed(source, remedies[1]), more={})
    assert ran(mended.double(1)) == [mended, 1] == ran(mended.double(1))
    _, shared = build(source, more={"ignore": ("self",)})
    assert ran(shared.double(1)) == [shared, 1]


def test_each_remedy_of_a_method_of_many_keys_works(own: Registry) -> None:
    """A method that takes many keys names the remedies of its instances' kind."""
    source = "class Kind(tuple):\n    @method\n    def double(self, keys):\n        return {key: key for key in keys}\n"
    build = functools.partial(made, make="Kind([[]])", decorate=functools.partial(bounded_many, max=5), own=own)
    _, instance = build(source, more={})
    with pytest.raises(TypeError, match=f"; {HASH}, or {IGNORE}"):
        instance.double([1])
    assert build(followed(source, HASH.replace("\\", "")), more={})[1].double([1]) == {1: 1}
    assert build(source, more={"ignore": ("self",)})[1].double([1]) == {1: 1}


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("case", OF_KINDS)
def test_each_remedy_of_a_weak_argument_works(case: str, is_async: bool, own: Registry) -> None:
    """A value that ``weak=`` cannot take is told how its class may allow it, where a class may."""
    pytest.importorskip("msgspec"), pytest.importorskip("attr")
    head, make, way = OF_KINDS[case]
    build = functools.partial(made, make=make, decorate=functools.partial(bounded, max=5), own=own, more={})

    def load(client: Any) -> int:
        return 1

    async def load_later(client: Any) -> int:
        return 1

    call = bounded(max=5, weak=("client",), registry=own)(load_later if is_async else load)
    _, instance = build(f"{head}\n")
    told = "" if way == HASH else f"{way}, or "
    with pytest.raises(TypeError, match=rf"which cannot be weakly referenced; {told}leave 'client' out of weak=\.$"):
        ran(call(instance))
    if told:
        _, mended = build(followed(f"{head}\n", way.replace("\\", "")))
        assert ran(call(mended)) == 1


@pytest.mark.parametrize("case", [case for case in OF_KINDS if case != "slots of a dictionary"])
def test_the_advice_of_the_leak_report_works(case: str, own: Registry) -> None:
    """The report says of instances that keys keep alive what their kind allows, and that ends the finding."""
    pytest.importorskip("msgspec"), pytest.importorskip("attr")
    head, make, way = OF_KINDS[case]
    hashed = followed(head, "give Kind a __hash__, as is done here")
    build = functools.partial(made, make=make, decorate=functools.partial(bounded, max=5), own=own)
    _, instance = build(hashed + METHOD.replace("[self, *args]", "1"), more={})
    instance.double()
    (finding,) = own.report().findings
    rest = "eave the instance out of the key with ignore=('self',), and give key= for what of it counts."
    if way == HASH:
        assert finding.advice == f"L{rest}"
        more = {"ignore": ("self",), "key": lambda self: id(self)}
        _, instance = build(hashed + METHOD.replace("[self, *args]", "2"), more=more)
    else:
        said = way.replace("\\", "")
        assert finding.advice == f"{said[0].upper()}{said[1:]}; or l{rest}"
        _, instance = build(followed(hashed, said) + METHOD.replace("[self, *args]", "2"), more={})
    own.clear()
    assert instance.double() == 2
    assert own.report().findings == ()


def test_the_advice_on_an_adopted_cache_works(own: Registry) -> None:
    """Of instances that @bounded would keep alive as well, the report says what to leave out there."""

    class Pair(tuple[int, ...]):
        __slots__ = ()

        @functools.cache  # noqa: B019  # the leak that is looked for
        def first(self) -> int:
            return self[0]

        instead = bounded(max=5, ignore=("self",), key=lambda self: self[0], registry=own)(first.__wrapped__)

    Pair.__qualname__ = "Pair"
    Pair.first.__wrapped__.__qualname__ = Pair.first.__qualname__ = "Pair.first"
    own.adopt(Pair.first, "first")
    pair = Pair((3,))
    assert [pair.first(), pair.instead()] == [3, 3]
    (advice,) = [one.advice for one in own.report().findings if "instance" in one.what]
    assert advice == (
        "Decorate the method with @bounded instead, whose keys hold instances weakly that allow it. Leave the instance "
        "out of the key with ignore=('self',), and give key= for what of it counts."
    )
    Pair.first.cache_clear()


def test_what_no_class_statement_made_is_left_out(own: Registry) -> None:
    """An instance of a built-in type, given in place of ``self``, has no remedy but ``ignore=``."""

    class Host:
        @bounded(max=5, registry=own)
        def double(self) -> int:
            return 1

    with pytest.raises(TypeError, match=rf"of type 'list' can be neither .* of a key; {IGNORE}\.$"):
        Host.double([])  # type: ignore[arg-type]
