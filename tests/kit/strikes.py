"""Exceptions that strike an operation at each point, one after the other, and what must hold afterwards.

Where can the real thing strike?  The interpreter looks for signals, and for exceptions that another thread set, when a
Python function begins, after a call of anything written in C has returned, and at each jump backward; CPython 3.11 to
3.13 agree.  A *profile* function sees exactly those points but the jumps, and what it raises is raised there: in the
``with`` and ``try`` blocks that the call itself stands in.  (An exception that a *trace* function raises between a call
and the next instruction may lie outside them, where none ever comes.)  The jumps, and with them every other instruction
that can fail at all, are struck by a trace function.  Recursion errors come by themselves: see ``at_the_limit()``.

Not struck is what cannot be: between the end of a ``with`` body, or the beginning of a ``finally``, and the call of
``__exit__`` or ``release`` that comes first there, the interpreter looks for nothing; nor while a lock in C is entered
by ``with``, once it is taken.

Left out of coroutines, and of nothing else, are the functions of asyncio itself (see ``_is_below_ours()``): nobody can
mend from outside what an exception leaves of an event loop.  What asyncio calls, and what calls asyncio, is struck.
"""

import asyncio
import contextlib
import dis
import enum
import functools
import gc
import inspect
import os
import sys
import threading
import types
import weakref
from _thread import LockType, RLock
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import memo
from memo._base.gates import Gate

__all__ = (
    "Struck",
    "StruckError",
    "at_the_limit",
    "every",
    "held_locks",
    "locks_of",
    "points",
    "spared",
    "strike",
    "unstruck",
)

Locks = (LockType, RLock)

_QUIET = frozenset({
    "CACHE", "COPY", "COPY_FREE_VARS", "EXTENDED_ARG", "JUMP_FORWARD", "KW_NAMES", "LOAD_CLOSURE", "LOAD_CONST",
    "LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_AND_CLEAR", "LOAD_FAST_CHECK", "LOAD_FAST_LOAD_FAST", "MAKE_CELL", "NOP",
    "POP_EXCEPT", "POP_JUMP_FORWARD_IF_FALSE", "POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_FORWARD_IF_NOT_NONE",
    "POP_JUMP_FORWARD_IF_TRUE", "POP_JUMP_IF_FALSE", "POP_JUMP_IF_NONE", "POP_JUMP_IF_NOT_NONE", "POP_JUMP_IF_TRUE",
    "POP_TOP", "PRECALL", "PUSH_EXC_INFO", "PUSH_NULL", "RERAISE", "RETURN_CONST", "RETURN_GENERATOR", "RETURN_VALUE",
    "STORE_DEREF", "STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "SWAP", "WITH_EXCEPT_START",
    "END_FOR", "END_SEND", "CLEANUP_THROW", "CHECK_EXC_MATCH", "IS_OP", "LOAD_GLOBAL",
})  # fmt: skip
"""Instructions that neither call, nor allocate, nor look for anything."""
_WAIT = frozenset({"acquire", "sleep", "select", "poll"})
"""Calls that a signal may end before they have done anything."""
_PADDING = ("CACHE", "EXTENDED_ARG", "NOP", "PRECALL")


def every(all_at: int) -> int:
    """Of how many points one is struck in a long run, whose length MEMO_STRESS_OPERATIONS tells: all at *all_at*."""
    return max(1, all_at // int(os.environ.get("MEMO_STRESS_OPERATIONS", "200_000")))


spared: set[types.CodeType] = set()
"""Functions of tests, within which nothing is struck."""


class Struck(BaseException):
    """What strikes as ``KeyboardInterrupt`` does."""


class StruckError(Exception):
    """What strikes as an exception of a signal handler does, or a recursion error."""


class _Striker:
    """Counts the points of an operation, and raises at one of them."""

    def __init__(self, at: int, error: type[BaseException], everywhere: bool, below: bool = False) -> None:
        self.below = below
        self.at = at
        self.error = error
        self.everywhere = everywhere
        self.passed = 0
        self.over = False
        """What comes now is no more of the operation."""
        self.where: str | None = None
        """The point that was struck."""

    def _reach(self, frame: types.FrameType, what: str) -> None:
        if self.over or frame.f_code in spared or (self.below and not _is_below_ours(frame)):
            return
        self.passed += 1
        if self.passed - 1 == self.at:
            code = frame.f_code
            self.where = f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {code.co_qualname} {what}"
            sys.setprofile(None)
            sys.settrace(None)
            raise self.error(self.where)

    def profile(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if self.where is not None:
            return
        if event == "call":
            if not self.everywhere:
                self._reach(frame, "begins")
        elif event == "c_return":
            self._reach(frame, f"after {arg.__name__}()")
        elif event == "c_call" and not self.everywhere and arg.__name__ in _WAIT:
            self._reach(frame, f"instead of {arg.__name__}()")

    def trace(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if self.where is not None:
            return None
        if event == "call":
            frame.f_trace = self.trace
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            self._reach(frame, "begins")
        elif event == "opcode" and frame.f_lasti not in self._quiet_of(frame.f_code):
            self._reach(frame, f"at {frame.f_lasti}")
        return self.trace

    def _quiet_of(self, code: types.CodeType) -> frozenset[int]:
        """Where in *code* nothing can strike."""
        found = _quiet.get(code)
        if found is None:
            found = _quiet[code] = frozenset(_find_quiet(code))
        return found


def _is_below_ours(frame: types.FrameType | None) -> bool:
    """Whether a function of the package runs, or has called what runs, other than a function of asyncio.

    Where ``loop.call_soon()`` is struck a callback is lost, of which asyncio has promised that it will be called: it
    shows nobody that it was not.
    """
    if frame is not None and frame.f_code.co_filename.startswith(_LOOPS):
        return False
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(("<memo", _PACKAGE)):
            return True
        frame = frame.f_back
    return False


_PACKAGE = memo.__path__[0]
_LOOPS = asyncio.__path__[0]
_quiet: dict[types.CodeType, frozenset[int]] = {}


def _find_quiet(code: types.CodeType) -> Iterator[int]:
    everything = list(dis.get_instructions(code))
    yield from (one.offset for one in everything if one.opname in _QUIET)
    instructions = [one for one in everything if one.opname not in _PADDING]
    nones = 0
    """Constants None in a row, which are what __exit__ gets."""
    releasing = False
    for place, this in enumerate(instructions):
        previous = instructions[place - 1].argval
        following = instructions[place + 1].argval if place + 1 < len(instructions) else None
        if this.opname in ("LOAD_METHOD", "LOAD_ATTR"):  # self.lock.release, waiting.pop
            releasing = this.argval == "release" or (previous, this.argval) == ("waiting", "pop")
            if releasing or following == "release":
                yield this.offset
        elif this.opname == "CONTAINS_OP" and instructions[place - 2].argval is True:  # if True in took
            yield this.offset
        elif this.opname == "CALL":
            if releasing or (nones >= 3 and this.arg == 2):
                yield this.offset
            releasing = False
        nones = nones + 1 if this.opname == "LOAD_CONST" and this.argval is None else 0


def strike(
    operation: Callable[[], object],
    at: int,
    error: type[BaseException] = Struck,
    everywhere: bool = False,
    below: bool = False,
) -> tuple[str | None, BaseException | None]:
    """Run *operation*, and raise *error* at its point number *at*.

    Args:
        operation: Runs in this thread.
        at: Counted from 0.
        error: What strikes.
        everywhere: At each instruction that can fail, not only where the interpreter looks for signals.
        below: Only in functions of the package and in what they call: not in the event loop that runs them.

    Returns:
        Where it was struck, None if it has fewer points; and what it raised.
    """
    striker = _Striker(at, error, everywhere, below)
    raised = None
    try:
        with _watched(striker):
            try:
                operation()
            finally:  # also where it raises: struck itself, the end of _watched() would leave the collector off
                striker.over = True
    except BaseException as reason:  # looked at by whoever asked
        raised = reason
    try:
        return striker.where, raised
    finally:
        del raised  # the traceback holds this frame


def unstruck(work: Callable[[], object]) -> None:
    """Call *work* within an operation that is struck, but have none of its points counted nor struck."""
    profile, trace = sys.getprofile(), sys.gettrace()
    sys.setprofile(None)
    sys.settrace(None)
    try:
        work()
    finally:
        sys.settrace(trace)
        sys.setprofile(profile)


def points(operation: Callable[[], object], everywhere: bool = False) -> int:
    """How many points *operation* has; it is run once."""
    striker = _Striker(-1, Struck, everywhere)
    with _watched(striker):
        operation()
        striker.over = True
    return striker.passed


def at_the_limit(operation: Callable[[], object], depth: int) -> BaseException | None:
    """Run *operation* where *depth* calls are left until the recursion limit; what it raised."""
    if depth < 0:
        raise ValueError(f"at_the_limit: depth={depth!r} is below zero")

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            operation()

    here = 0
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        here += 1
        frame = frame.f_back
    raised = None
    limit, collects = sys.getrecursionlimit(), gc.isenabled()
    gc.disable()  # what other tests left would be collected there, where no destructor can run
    sys.setrecursionlimit(here + 100)
    try:
        descend(max(0, 97 - depth))
    except BaseException as reason:  # looked at by whoever asked
        raised = reason
    finally:
        sys.setrecursionlimit(limit)
        if collects:
            gc.enable()
    try:
        return raised
    finally:
        del raised  # the traceback holds this frame


@contextlib.contextmanager
def _watched(striker: _Striker) -> Iterator[None]:
    hook = sys.unraisablehook
    sys.unraisablehook = _let_pass(hook)
    collects = gc.isenabled()
    gc.disable()  # where it runs, and what dies there, would differ from run to run
    if striker.everywhere:
        sys._getframe().f_trace_opcodes = True  # asks 3.12 for instructions; later it would not listen
        sys.settrace(striker.trace)
    sys.setprofile(striker.profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        sys.settrace(None)
        sys.unraisablehook = hook
        if collects:
            gc.enable()


def _let_pass(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Of strikes that hit a finalizer or the callback of a weak reference, nobody learns but this hook."""

    def told(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Struck | StruckError):
            hook(unraisable)

    return told


# -- locks


def locks_of(*roots: Any) -> list[Any]:
    """Every lock of the package's modules and of what *roots* hold, however deep, without those of other libraries."""
    return list({id(lock): lock for lock in (*_of_modules(), *_found_from(roots))}.values())


@functools.cache
def _of_modules() -> tuple[Any, ...]:
    found: list[Any] = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "memo":
            found += _found_from(value for value in vars(module).values() if _is_ours(value))
    return tuple(found)


def _found_from(roots: Iterable[Any]) -> list[Any]:
    seen: set[int] = set()
    found: list[Any] = []
    to_see: list[Any] = list(roots)
    known = _known_kinds
    while to_see:
        one = to_see.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kind = known.get(type(one)) or _kind(one)
        if kind is _Kind.OURS:
            to_see += gc.get_referents(one)
        elif kind is _Kind.LOCK:
            found.append(one)
        elif kind is _Kind.FUNCTION:
            if one.__code__.co_filename.startswith("<memo"):
                to_see += gc.get_referents(one)
            else:
                to_see += [one.__closure__, one.__defaults__]  # not the module that it is defined in
    return found


class _Kind(enum.Enum):
    """What is done with an object that was found."""

    LOCK = enum.auto()
    FUNCTION = enum.auto()
    OURS = enum.auto()
    WEAK = enum.auto()
    """Ours, but others are in there."""
    OTHER = enum.auto()


_OTHERS = (type, types.ModuleType, types.CodeType, types.FrameType, weakref.ref, threading.Thread)
_OTHERS_IN_THERE = (weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary)

_LIMIT_S = 2.0

_LIBRARIES = frozenset({
    "memo", "builtins", "collections", "functools", "threading", "_thread", "wrapt", "_wrappers", "cachetools",
})  # fmt: skip
"""Where the types come from of which the package's structures are made."""


def _is_ours(one: Any) -> bool:
    kind = _kind(one)
    if kind is _Kind.FUNCTION:
        return (one.__module__ or "").partition(".")[0] == "memo" or one.__code__.co_filename.startswith("<memo")
    return kind is not _Kind.OTHER


def _kind(one: Any) -> _Kind:
    """What *one* is, or shows itself to be, as proxies do."""
    true, shown = type(one), one.__class__

    def is_a(*types: type) -> bool:
        return issubclass(true, types) or issubclass(shown, types)

    ours = true.__module__.partition(".")[0] in _LIBRARIES
    if not ours or is_a(*_OTHERS, Gate):  # a gate is its waiter's own
        kind = _Kind.OTHER
    elif is_a(*Locks):
        kind = _Kind.LOCK
    elif is_a(types.FunctionType):
        kind = _Kind.FUNCTION
    else:
        kind = _Kind.WEAK if is_a(*_OTHERS_IN_THERE) else _Kind.OURS
    if ours and inspect.getattr_static(true, "__class__") is _SHOWS_ITSELF:
        _known_kinds[true] = kind
    return kind


_SHOWS_ITSELF = object.__dict__["__class__"]
_ATOMS = (str, bytes, int, float, bool, type(None))
_known_kinds: dict[type, _Kind] = dict.fromkeys(_ATOMS, _Kind.OTHER)
"""Of types whose objects do not show themselves as others, without those of tests, which it would keep alive."""


def held_locks(locks: Iterable[Any]) -> list[Any]:
    """Those of the locks that another thread cannot take, given the time that third ones need to let go of them."""
    doubtful = [lock for lock in locks if not _is_free(lock)]
    held: list[Any] = []

    def try_all() -> None:
        for lock in doubtful:
            if lock.acquire(timeout=_LIMIT_S):
                lock.release()
            else:
                held.append(lock)

    if doubtful:
        thread = threading.Thread(target=try_all)
        thread.start()
        thread.join()
    return held


def _is_free(lock: Any) -> bool:
    """Whether no thread has the lock, this one included: then another can take it."""
    if isinstance(lock, RLock) and lock._is_owned():  # type: ignore[attr-defined]
        return False
    if not lock.acquire(blocking=False):
        return False
    lock.release()
    return True
