"""Any object as short text, without running any code of its class.

Rules

- Asked are the type, and through the methods of builtin types what these know of the object. No ``__repr__``,
  ``__str__``, ``__len__``, ``__iter__``, ``__class__``, ``__getattr__`` or property of a stranger's class runs, nor one
  of its metaclass: such a thing may take a second, query a database, wait for a lock, or call the cache.
- What is known to be cheap and harmless reads as its ``repr``: the builtin scalars, dates, paths and their like, the
  containers of the standard library, members of enumerations, numpy's numbers, and named tuples, dataclasses and
  attrs classes whose ``repr`` is the generated one. All else is the name of its type: ``<Profile>``.
- A class that has a ``__repr__`` of its own may hide something with it, such as a password: nothing of its
  content is shown, whatever it derives from. Fields that a generated ``repr`` leaves out are left out.
- One thing breaks these rules: ``given_text()``, of what is wrong with an option.
- No text is longer than 200 characters; what is long is cut before it is made text, at every level.  Every text can
  be written in UTF-8.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import time, timedelta, timezone
from itertools import islice
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from memo._base.real_time import real

__all__ = (
    "LONGEST",
    "class_name",
    "cut",
    "encodable",
    "given_text",
    "method_of",
    "qualified_name",
    "said",
    "short_text",
)

LONGEST = 200  # longest text, in characters
_GIVEN = 1_000  # likewise, of what a user gave
_ITEMS = 8  # elements shown of a container
_DEPTH = 3  # containers shown within each other
_BITS = 512  # of an integer whose digits are shown: they take quadratic time, and beyond 4,300 an error
_BYTES = 2000  # of an object of the standard library that is made text in full

_LIBRARY = {
    "decimal": ("Decimal",),
    "ipaddress": ("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network"),
    "pathlib": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "pathlib._local": ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}
"""Types whose own ``repr`` and ``str`` are harmless, by the module that is not imported for them."""

_NUMPY_NUMBERS = ("bool", "bool_", "number")

# What type itself knows of a class, past whatever its metaclass makes of these names.
class_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_names: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__

# Likewise what other builtin types know of an object.
_default_factory: Callable[[Any], Any] = collections.defaultdict.__dict__["default_factory"].__get__
_maxlen: Callable[[Any], int | None] = collections.deque.__dict__["maxlen"].__get__
_args: Callable[[Any], tuple[Any, ...]] = BaseException.__dict__["args"].__get__
_module_names: Callable[[Any], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__


def cut(text: str) -> str:
    """The first 200 characters, as a str and nothing else, with what no encoding can write spelled out.

    That are halves of surrogate pairs, which names of files may have: no output, no JSON and no database takes them.
    """
    return encodable(_head(text))[:LONGEST]


def encodable(text: str) -> str:
    """*text*, with what no encoding can write (halves of surrogate pairs) spelled out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _head(text: str) -> str:
    return str.__getitem__(text, slice(0, LONGEST))  # of str itself: a subclass may slice differently


def short_text(value: object) -> str:
    """A text of at most 200 characters, made without running any code of the value's class; see above."""
    return cut(_text(value, _DEPTH))


def given_text(value: object) -> str:
    """What a user gave, for a message that says what is wrong with it: its ``repr()``, of at most 1,000 characters.

    Unlike the rest here it runs code of the value's class, once, where the value was written a line ago, and what is
    shown is to be known again.  What that code raises hides no message.
    """
    try:
        text = str.__getitem__(repr(value), slice(None))  # of str itself, as above
    except Exception:  # ints of more than 4300 digits, too
        text = object.__repr__(value)
    return encodable(text if len(text) <= _GIVEN else f"{text[:_GIVEN]}...")


def said(value: object) -> str:
    """What ``str(value)`` is, as far as it is known to be harmless, else its ``short_text()``."""
    kind = type(value)
    if issubclass(kind, str):
        return cut(value)  # type: ignore[arg-type]
    try:
        if (_is_date(kind) and _zone_is_known(value)) or _is_of_library(kind, value):
            return cut(str(value))
    except Exception:  # a number too large, and the like
        pass
    return short_text(value)


def qualified_name(kind: type) -> str:
    """Module and name of a class; of a builtin its bare name."""
    module = _module(kind)
    if type(module) is not str or module == "builtins":
        return cut(_qualname(kind))
    return cut(f"{module}.{_qualname(kind)}")


def method_of(kind: type, name: str) -> Any:
    """What instances of a class find under *name* in it or in a base; None: nothing, or no plain function."""
    found = _of_class(kind, name)
    return found if type(found) in (FunctionType, WrapperDescriptorType) else None


def _of_class(kind: type, name: str) -> Any:
    for base in _mro(kind):
        names = _names(base)
        if name in names:
            return names[name]
    return None


def _text(value: Any, depth: int) -> str:
    kind = type(value)
    try:
        method = method_of(kind, "__repr__")
        if method is not None:
            make = _BY_REPR.get(method)
            if make is not None:
                return make(value, depth)
            if type(method) is FunctionType:
                fields = _fields(kind, method)
                if fields is not None:
                    return _fields_text(value, kind, fields, depth)
            if _is_of_library(kind, value) or _is_numpy_number(kind, method):
                return cut(repr(value))
    except Exception:  # a container that another thread changes meanwhile, a class that is not what it says
        pass
    return cut(f"<{class_name(kind)}>")


# -- scalars


def _str_text(value: str, depth: int) -> str:
    return cut(repr(_head(value)))


def _bytes_text(value: bytes, depth: int) -> str:
    return cut(repr(bytes.__getitem__(value, slice(0, LONGEST))))


def _bytearray_text(value: bytearray, depth: int) -> str:
    return cut(f"bytearray({bytes(bytearray.__getitem__(value, slice(0, LONGEST)))!r})")


def _int_text(value: int, depth: int) -> str:
    bits = int.bit_length(value)
    return int.__repr__(value) if bits < _BITS else f"<int of {bits} bits>"


def _enum_text(value: Any, depth: int) -> str:
    names = _instance_names(value)
    name = f".{cut(names['_name_'])}" if type(names["_name_"]) is str else ""  # a flag without a name has None
    return f"<{class_name(type(value))}{name}: {_text(names['_value_'], depth - 1)}>"


def _is_date(kind: type) -> bool:
    return any(kind is known for known in _DATES)


def _zone_is_known(value: Any) -> bool:
    """Whether a date's text asks no stranger's time zone for its own."""
    for kind, zone_of in _ZONES:
        if issubclass(type(value), kind):
            zone = zone_of(value)
            return zone is None or _is_date(type(zone)) or _is_of_library(type(zone), zone)
    return True


def _date_text(value: Any, depth: int) -> str:
    return cut(repr(value)) if _zone_is_known(value) else cut(f"<{class_name(type(value))}>")


def _as_repr(value: Any, depth: int) -> str:
    return cut(repr(value))


def _is_of_library(kind: type, value: object) -> bool:
    module, name = _module(kind), class_name(kind)
    if type(module) is not str or name not in _LIBRARY.get(module, ()):
        return False
    return vars(sys.modules[module]).get(name) is kind and sys.getsizeof(value) < _BYTES


def _is_numpy_number(kind: type, method: Any) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is None or type(method) is not WrapperDescriptorType:
        return False
    return any(issubclass(kind, vars(numpy).get(name, ())) for name in _NUMPY_NUMBERS)


# -- containers


def _joined(parts: Iterator[str], total: int) -> str:
    shown: list[str] = []
    room = LONGEST
    for part in islice(parts, _ITEMS):
        shown.append(part)
        room -= len(part)
        if room < 0:
            break
    if len(shown) < total:
        shown.append("...")
    return ", ".join(shown)


def _elements(elements: Iterable[object], total: int, depth: int) -> str:
    return _joined((_text(element, depth - 1) for element in elements), total)


def _named(value: object, plain: type, body: str) -> str:
    kind = type(value)
    return cut(body if kind is plain else f"{class_name(kind)}({body})")


def _list_text(value: list[object], depth: int) -> str:
    body = "..." if depth <= 0 else f"[{_elements(list.__iter__(value), list.__len__(value), depth)}]"
    return _named(value, list, body)


def _tuple_text(value: tuple[object, ...], depth: int) -> str:
    total = tuple.__len__(value)
    if depth <= 0:
        return "..."
    body = _elements(tuple.__iter__(value), total, depth)
    return _named(value, tuple, f"({body},)" if total == 1 else f"({body})")


def _set_text(value: set[object] | frozenset[object], depth: int) -> str:
    plain = set if issubclass(type(value), set) else frozenset
    total = plain.__len__(value)  # type: ignore[arg-type]
    if not total:
        return cut(f"{class_name(type(value))}()")
    body = "..." if depth <= 0 else f"{{{_elements(plain.__iter__(value), total, depth)}}}"  # type: ignore[arg-type]
    return _named(value, set, body)


def _dict_body(value: dict[object, object], depth: int) -> str:
    if depth <= 0:
        return "..."
    pairs = (f"{_text(key, depth - 1)}: {_text(item, depth - 1)}" for key, item in dict.items(value))
    return f"{{{_joined(pairs, dict.__len__(value))}}}"


def _dict_text(value: dict[object, object], depth: int) -> str:
    return _named(value, dict, _dict_body(value, depth))


def _defaultdict_text(value: Any, depth: int) -> str:
    factory = _default_factory(value)
    return cut(f"{class_name(type(value))}({_text(factory, depth - 1)}, {_dict_body(value, depth)})")


def _deque_text(value: Any, depth: int) -> str:
    plain = collections.deque
    body = "..." if depth <= 0 else f"[{_elements(plain.__iter__(value), plain.__len__(value), depth)}]"
    most = _maxlen(value)
    return cut(f"{class_name(type(value))}({body}{'' if most is None else f', maxlen={most}'})")


def _range_text(value: range, depth: int) -> str:
    parts = [value.start, value.stop, *([] if value.step == 1 else [value.step])]
    return cut(f"range({', '.join(_text(part, 1) for part in parts)})")


def _slice_text(value: slice, depth: int) -> str:
    return "..." if depth <= 0 else cut(f"slice({_elements((value.start, value.stop, value.step), 3, depth)})")


# -- what has fields


def _fields(kind: type, method: FunctionType) -> list[str] | None:
    """The fields that a generated ``repr`` shows of a named tuple, dataclass or attrs class; None: it is none."""
    made_in = method.__code__.co_filename
    if made_in == collections.__file__ and issubclass(kind, tuple):
        return [name for name in _of_class(kind, "_fields") if type(name) is str]
    if made_in in _DATACLASS_REPR:
        fields: dict[str, Any] = _of_class(kind, "__dataclass_fields__")
        return [
            name
            for name, field in fields.items()
            if field.repr and field._field_type is dataclasses._FIELD  # type: ignore[attr-defined]
        ]
    if made_in.startswith("<attrs generated"):
        return [field.name for field in _of_class(kind, "__attrs_attrs__") if field.repr is True]
    return None


def _fields_text(value: Any, kind: type, fields: list[str], depth: int) -> str:
    if depth <= 0:
        return f"<{class_name(kind)}>"
    if issubclass(kind, tuple):
        found: Iterable[object] = tuple.__iter__(value)
        parts = (f"{name}={_text(item, depth - 1)}" for name, item in zip(fields, found, strict=False))
    else:
        parts = (f"{name}={_field_text(value, kind, name, depth - 1)}" for name in fields)
    return cut(f"{_qualname(kind)}({_joined(parts, len(fields))})")


def _field_text(value: object, kind: type, name: str, depth: int) -> str:
    """A field's text, from where instances keep it; "..." if it is computed or missing."""
    member = _of_class(kind, name)
    if type(member) is MemberDescriptorType:  # a slot
        return _text(member.__get__(value), depth)
    names = _instance_names(value)
    return _text(names[name], depth) if name in names else "..."


def _instance_names(value: object) -> dict[str, Any]:
    own = _of_class(type(value), "__dict__")
    names = own.__get__(value) if type(own) is GetSetDescriptorType else None
    return names if type(names) is dict else {}


# -- what programs consist of


def _class_text(value: type, depth: int) -> str:
    return f"<class '{qualified_name(value)}'>"


def _enum_class_text(value: type, depth: int) -> str:
    return cut(f"<{'flag' if any(base is enum.Flag for base in _mro(value)) else 'enum'} '{class_name(value)}'>")


def _method_text(value: MethodType, depth: int) -> str:
    function = value.__func__
    name = function.__qualname__ if type(function) is FunctionType else class_name(type(function))
    return cut(f"<bound method {name}>")


def _module_text(value: ModuleType, depth: int) -> str:
    name = _module_names(value).get("__name__")
    return cut(f"<module {_text(name, 1)}>")


def _exception_text(value: BaseException, depth: int) -> str:
    args = _args(value)
    return "..." if depth <= 0 else cut(f"{class_name(type(value))}({_elements(args, len(args), depth)})")


_DATACLASS_REPR = (dataclasses.__file__, reprlib.__file__)  # where it is written; since 3.13 in the latter

# Within others, since freezegun exchanges what a module holds by name.
_DATES = (real.date, real.datetime, time, timedelta, timezone)
_ZONES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (real.datetime, real.datetime.__dict__["tzinfo"].__get__),
    (time, time.__dict__["tzinfo"].__get__),
)

_MAKERS: tuple[tuple[Callable[[Any, int], str], tuple[type, ...]], ...] = (
    (_str_text, (str,)),
    (_bytes_text, (bytes,)),
    (_bytearray_text, (bytearray,)),
    (_int_text, (int,)),
    (_as_repr, (type(None), bool, float, complex, type(Ellipsis), type(NotImplemented), memoryview)),
    (_as_repr, (FunctionType, BuiltinFunctionType)),
    (_date_text, _DATES),
    (_enum_text, (enum.Enum, enum.Flag)),
    (_list_text, (list,)),
    (_tuple_text, (tuple,)),
    (_set_text, (set, frozenset)),
    (_dict_text, (dict, collections.OrderedDict, collections.Counter)),
    (_defaultdict_text, (collections.defaultdict,)),
    (_deque_text, (collections.deque,)),
    (_range_text, (range,)),
    (_slice_text, (slice,)),
    (_class_text, (type,)),
    (_enum_class_text, (enum.EnumType,)),
    (_method_text, (MethodType,)),
    (_module_text, (ModuleType,)),
    (_exception_text, (BaseException,)),
)
_BY_REPR = {_names(kind)["__repr__"]: make for make, kinds in _MAKERS for kind in kinds}
