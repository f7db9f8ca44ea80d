"""Results that can be used only once, and so can be neither remembered nor shared.

Known are: coroutine and generator objects; iterators; context managers of ``@contextmanager`` and of
``@asynccontextmanager``; what stands for a coroutine object as the requests of HTTP clients do, and an awaitable that
holds one; streams that can only be read, once, as responses of HTTP and pipes are.  Other files may pass, since they
can be rewound or are written to; tasks and futures, which can be awaited again; mocks, which are
whatever they are asked for.
"""

import asyncio
import codecs
import contextlib
import inspect
import io
import sys
import types
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Literal

from memo._base.shortened import given_text

__all__ = ("PLAIN", "OneShot", "let_pass", "refuse_one_shot", "refuser")

OneShot = Literal["refuse", "share"]
"""What ``one_shot=`` takes."""

PLAIN = frozenset({str, int, float, bool, bytes, list, tuple, dict, set, frozenset, type(None)})
"""Types whose instances need no look."""

_FILES = (io.IOBase, codecs.StreamReader, codecs.StreamReaderWriter, codecs.StreamRecoder)
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)

# The interpreter's own answers, which no metaclass can replace.
_mro_of = type.__dict__["__mro__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__

_SHARE = "or give one_shot='share' if all callers are meant to use the same one"


@contextlib.contextmanager
def _entered_once() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def _awaited_once() -> AsyncIterator[None]:
    yield


_MANAGERS = (type(_entered_once()), type(_awaited_once()))


def refuser(where: str, one_shot: Any) -> Callable[[str, Any], None]:
    """What is asked about each result, as ``one_shot=`` says.

    Raises:
        TypeError: one_shot is no text.
        ValueError: It is unknown.
    """
    if not isinstance(one_shot, str):
        raise TypeError(f"{where}: one_shot={given_text(one_shot)} is not text; write 'refuse' or 'share'.")
    if one_shot not in ("refuse", "share"):
        raise ValueError(f"{where}: one_shot={given_text(one_shot)} is unknown; write 'refuse' or 'share'.")
    return refuse_one_shot if one_shot == "refuse" else let_pass


def let_pass(name: str, value: Any) -> None:
    """Let every result be shared."""


def refuse_one_shot(name: str, value: Any) -> None:
    """Raise TypeError if *value* can be used only once, and close it if it is a coroutine that nobody will await."""
    kind = type(value)
    if kind in PLAIN or not _may_be_one(kind):
        return
    if kind in _PROXIES:
        try:
            kind = value.__class__  # that of what it stands for
        except ReferenceError:
            return
    if _is_mock(kind):
        return
    shown = _qualname_of(kind)
    if issubclass(kind, _FILES):
        if _is_read_once(value):
            raise TypeError(
                f"{name}() returned a stream of type {shown!r}, which can be read only once; return what is read from "
                f"it, {_SHARE}."
            )
        return
    if inspect.iscoroutine(value):
        value.close()  # or it would warn that it was never awaited
        raise TypeError(
            f"{name}() returned a coroutine object, which can be awaited only once; "
            f"make it a coroutine function (async def), so that its result is remembered or shared; if it is one, and "
            f"a decorator above it hides that from inspect.iscoroutinefunction(), write that decorator on top of ours."
        )
    if issubclass(kind, _MANAGERS):
        raise TypeError(
            f"{name}() returned a context manager of type {shown!r}, made by a generator, which can be entered only "
            f"once; return what it yields, leave the decorator out, {_SHARE}."
        )
    if _defines(kind, "__next__") or _defines(kind, "__anext__"):
        raise TypeError(
            f"{name}() returned an iterator of type {shown!r}, which can be used only once; "
            f"return a list or a tuple instead, {_SHARE}."
        )
    if _defines(kind, "__await__") and _is_awaited_once(kind, value):
        raise TypeError(
            f"{name}() returned an awaitable of type {shown!r}, which can be awaited only once; make it a coroutine "
            f"function (async def) that returns what awaiting it gives, so that this is remembered or shared, {_SHARE}."
        )


def _may_be_one(kind: type) -> bool:
    """A quick look, for nearly all results are nothing of the kind."""
    try:
        return (
            hasattr(kind, "__next__")
            or hasattr(kind, "__anext__")
            or hasattr(kind, "__await__")
            or issubclass(kind, _MANAGERS)
        )
    except Exception:  # whatever a metaclass does
        return True


def _defines(kind: type, name: str) -> bool:
    """Whether instances of *kind* have a special method; a metaclass that answers for any name is not asked."""
    for base in _mro_of(kind):
        names = _namespace_of(base)
        if name in names:
            return names[name] is not None
    return False


def _is_read_once(stream: Any) -> bool:
    """Whether what was read from *stream* is gone."""
    try:
        return bool(stream.readable() and not stream.seekable() and not stream.writable())
    except Exception:  # it is closed, or does not tell
        return False


def _is_mock(kind: type) -> bool:
    for name in ("unittest.mock", "mock"):
        mock = getattr(sys.modules.get(name), "NonCallableMock", None)
        if isinstance(mock, type) and issubclass(kind, mock):
            return True
    return False


def _is_awaited_once(kind: type, value: Any) -> bool:
    """Whether an awaitable stands for a coroutine object, which is closed, since nobody will await it."""
    if issubclass(kind, asyncio.Future):
        return False
    if issubclass(kind, Coroutine):
        _close(value)
        return True
    held = [part for part in _attributes(kind, value) if inspect.iscoroutine(part) or _is_started_by_await(part)]
    for part in held:
        _close(part)
    return bool(held)


def _is_started_by_await(part: Any) -> bool:
    """Whether it is the generator of a ``@types.coroutine`` function."""
    return isinstance(part, types.GeneratorType) and inspect.isawaitable(part)


def _attributes(kind: type, value: Any) -> list[Any]:
    """What the instance itself holds, read without its classes' code."""
    found: list[Any] = []
    for base in _mro_of(kind):
        for name, member in _namespace_of(base).items():
            is_dict = name == "__dict__" and isinstance(member, types.GetSetDescriptorType)
            if is_dict or isinstance(member, types.MemberDescriptorType):
                try:
                    content = member.__get__(value)
                except Exception:  # an empty slot
                    continue
                found += content.values() if is_dict else [content]
    return found


def _close(coroutine: Any) -> None:
    try:
        coroutine.close()
    except Exception:  # it is running, or does what it likes
        pass
