"""Who calls, whether he still lives, and how he may wait for another's execution.

A caller is a thread or, where the program uses greenlets, a greenlet.

- ``Caller``: the identifier of a thread stands for the thread's first greenlet, so for all of it in a program without
  greenlets; a weak reference stands for any other greenlet.  What is held weakly can be collected while it is in an
  execution: greenlet raises GreenletExit in it then, which ends that execution.
- A greenlet waits in the hub of its thread, gevent's or eventlet's, patched or not: others run meanwhile, its leader
  among them.  Where there is no hub (SQLAlchemy's ``run_sync()``, bare greenlets), nobody would resume a leader of the
  same thread, so a call runs straight through instead of waiting for one; and so it does if its leader is a greenlet
  that goes on only when it returns.
- A thread that runs an event loop does not wait for another's execution: it may need that loop, and then both would
  wait for ever.  A plain function that is called there, within a coroutine or a callback, runs straight through.
- Waits that a caller has limited himself (``soft_timeout=``, ``within()``) end by their limit, there as anywhere.
- Loops and hubs are looked for when a wait is about to begin, and whether the program has imported greenlet when a
  function is decorated and when a call misses: other calls pay nothing.  So the first calls after a late import may
  take their thread for their caller; ``claim()`` corrects that before one of them waits.
"""

import _thread
import gc
import sys
import types
import weakref
from asyncio import _get_running_loop
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from memo._base.forks import Stage, hold
from memo._base.thread_locks import rlock

__all__ = (
    "Caller", "Gate", "bounded_gate", "caller", "caller_lives", "claim", "gate_for", "greenlet_of",
    "is_running", "runs_a_loop", "thread_ident", "thread_lives", "who",
)  # fmt: skip

Caller = Any
"""An ``int`` or a ``weakref.ref`` of a greenlet: to be compared and hashed alone."""

modules = sys.modules


def _native(name: str) -> Any:
    """What module ``_thread`` had under *name* before gevent or eventlet exchanged it."""
    found = getattr(_thread, name)
    if type(found) is types.BuiltinFunctionType:
        return found
    gevent: Any = modules.get("gevent.monkey")
    if gevent is not None and type(original := gevent.get_original("_thread", name)) is types.BuiltinFunctionType:
        return original
    eventlet: Any = modules.get("eventlet.patcher")
    return found if eventlet is None else getattr(eventlet.original("_thread"), name)


thread_ident: Callable[[], int] = _native("get_ident")
"""The identifier of the present thread, whichever greenlet it runs."""
_allocate_lock: Callable[[], Any] = _native("allocate_lock")


# -- who calls

who: list[Callable[[], Caller]] = [thread_ident]
"""Tells who calls, as its one item: it is exchanged once greenlets are found, for all who look here."""


def caller() -> Caller:
    """Who calls now, in a program that may use greenlets."""
    if "greenlet" not in modules:
        return thread_ident()
    who[0] = caller
    here = _current()
    if here is None or here.parent is None:
        return thread_ident()
    me = weakref.ref(here)  # always the same object as long as the greenlet lives
    hash(me)  # which it remembers beyond
    return me


def _current() -> Any:
    """The greenlet that runs now; None if the program has none."""
    getcurrent = getattr(modules.get("greenlet"), "getcurrent", None)  # it may be just being imported
    return None if getcurrent is None else getcurrent()


def claim(me: Caller, kind: type[Any]) -> None:
    """Name *me*, who calls now, the leader of each execution that he is in: it may have begun without greenlets."""
    for frame in _outward(sys._getframe(1)):
        for name in frame.f_code.co_varnames:
            if name == "mine" or name.endswith("_flight"):
                found: Any = frame.f_locals.get(name)
                if isinstance(found, kind) and getattr(found, "led", False):
                    found.leader = me


def greenlet_of(one: Caller) -> Any:
    """The greenlet that *one* is; None for a thread, and for a greenlet that was collected."""
    return None if isinstance(one, int) else one()


def caller_lives(one: Caller) -> bool:
    """Whether *one* can still end what he began."""
    if isinstance(one, int):
        return thread_lives(one)
    greenlet = one()
    return greenlet is not None and not greenlet.dead  # it is when its thread has ended, too


def thread_lives(identifier: int) -> bool:
    """Whether the thread of that identifier has not ended (or another has inherited it)."""
    return identifier in _frames()


def is_running(function: Callable[..., object]) -> bool:
    """Whether some thread is within a call of it, one that is written in Python; the present thread included."""
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for innermost in _frames().values() for frame in _outward(innermost))


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _frames() -> dict[int, FrameType]:
    """The innermost frame of each thread."""
    if not _FRAMES_COLLECT:
        return sys._current_frames()
    with _looking:
        collects = gc.isenabled()
        try:
            gc.disable()
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()


_FRAMES_COLLECT = sys.version_info < (3, 12)
"""Listing the frames may collect garbage while it holds a lock of the interpreter: should a finalizer give way then to
a thread that begins or ends, the whole process hangs (python/cpython#106883)."""
_looking = rlock()
"""Held while the collector is off on that account, so that none takes another's off for the user's."""
hold(Stage.CALLERS, sys.modules[__name__], _looking)


# -- who must not wait


def runs_a_loop() -> bool:
    """Whether the present thread is within a step of an event loop: asyncio's, uvloop's, trio's or curio's."""
    if _get_running_loop() is not None:
        return True
    trio: Any = modules.get("trio.lowlevel")
    if trio is not None:
        try:
            trio.current_root_task()
        except (RuntimeError, AttributeError):  # not within a run, or trio is just being imported
            pass
        else:
            return True
    curio: Any = modules.get("curio.meta")
    try:
        return curio is not None and bool(curio.curio_running())
    except AttributeError:
        return False


def gate_for(leader: Caller) -> "Gate | None":
    """Where the present caller may wait for an execution of *leader*, without limit; None: he must not wait."""
    here = _current()
    if here is None:
        return None if runs_a_loop() else _ThreadGate()
    hub = _hub()
    if hub is None:
        return None if runs_a_loop() or _is_of_this_thread(leader, here) else _ThreadGate()
    if hub.greenlet is here or (runs_a_loop() and not hub.is_a_loop) or _goes_on_after(leader, here, hub.greenlet):
        return None
    return hub.gate()


def bounded_gate() -> "Gate":
    """Where the present caller may wait so long and no longer, whoever leads."""
    here = _current()
    hub = None if here is None else _hub()
    return _ThreadGate() if hub is None or hub.greenlet is here else hub.gate()


def _root(greenlet: Any) -> Any:
    """The first greenlet of its thread."""
    while (parent := greenlet.parent) is not None:
        greenlet = parent
    return greenlet


def _is_of_this_thread(leader: Caller, here: Any) -> bool:
    if isinstance(leader, int):
        return leader == thread_ident()
    greenlet = leader()
    return greenlet is not None and _root(greenlet) is _root(here)


def _goes_on_after(leader: Caller, here: Any, hub: Any) -> bool:
    """Whether *leader* waits for *here* to return: a parent, but for those whom the hub resumes, and for the hub's."""
    greenlet = here.parent
    while greenlet is not None and greenlet is not hub:
        if greenlet.parent is None:
            return bool(leader == thread_ident())
        if greenlet_of(leader) is greenlet:
            return True
        greenlet = greenlet.parent
    return False


# -- where to wait


class Gate(Protocol):
    """Where one caller waits until another, or a clock, opens it."""

    def open(self) -> None:
        """Let the caller through; in any thread, any number of times, and whether or not he has come yet."""

    def wait(self, seconds: float) -> object:
        """Wait so long at most."""


class _ThreadGate:
    """A gate at which the whole thread stands."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # two opened it
            pass

    def wait(self, seconds: float) -> object:
        return self._lock.acquire(timeout=seconds)


class _GeventGate:
    """A gate at which one greenlet of gevent stands."""

    __slots__ = ("__weakref__", "_hub", "_is_open", "_waiter")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._is_open = False
        self._waiter: Any = None  # changed and used in the hub's thread alone

    def open(self) -> None:
        self._is_open = True
        loop = self._hub.loop
        if loop is not None:  # else that hub was destroyed, and whoever waited in it is gone
            loop.run_callback_threadsafe(self._pass)

    def _pass(self) -> None:
        if self._waiter is not None:
            self._waiter.switch(None)

    def wait(self, seconds: float) -> object:
        if self._is_open:
            self._is_open = False
            return True
        waiter = self._waiter = modules["gevent.hub"].Waiter(self._hub)
        timer = self._hub.loop.timer(seconds)
        try:
            timer.start(waiter.switch, None)
            if not self._is_open:  # it was opened by another thread before that could see the waiter
                waiter.get()
            return self._is_open
        finally:
            self._is_open = False
            self._waiter = None
            timer.stop()
            timer.close()


_EVENTLET_LOOK_S = 0.005
"""Seconds between two looks of a greenlet of eventlet, whose hub another thread cannot wake."""


class _EventletGate:
    """A gate at which one greenlet of eventlet stands."""

    __slots__ = ("__weakref__", "_hub", "_is_open", "_thread", "_waiter")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._thread = thread_ident()
        self._is_open = False
        self._waiter: Any = None

    def open(self) -> None:
        self._is_open = True
        if thread_ident() == self._thread:
            self._hub.schedule_call_global(0, self._pass)

    def _pass(self) -> None:
        if self._waiter is not None:
            self._waiter.switch()

    def wait(self, seconds: float) -> object:
        self._waiter = _current()
        try:
            while not self._is_open and seconds > 0:
                timer = self._hub.schedule_call_global(min(seconds, _EVENTLET_LOOK_S), self._pass)
                seconds -= _EVENTLET_LOOK_S
                try:
                    self._hub.switch()
                finally:
                    timer.cancel()
            return self._is_open
        finally:
            self._is_open = False
            self._waiter = None


class _Hub:
    """The hub of the present thread: what runs its greenlets in turn."""

    __slots__ = ("_gate", "_hub", "greenlet", "is_a_loop")

    def __init__(self, hub: Any, greenlet: Any, gate: Callable[[Any], Gate], is_a_loop: bool) -> None:
        self._hub = hub
        self._gate = gate
        self.greenlet = greenlet
        """The greenlet that it runs in, which must never wait."""
        self.is_a_loop = is_a_loop
        """It is itself an event loop of asyncio."""

    def gate(self) -> Gate:
        """A gate for the present greenlet."""
        return self._gate(self._hub)


def _hub() -> _Hub | None:
    """The hub that runs greenlets of the present thread, if there is one."""
    get_hub = getattr(modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    hub = None if get_hub is None else get_hub()
    if hub is not None:
        return _Hub(hub, hub, _GeventGate, False)
    hub = getattr(getattr(modules.get("eventlet.hubs"), "_threadlocal", None), "hub", None)
    if hub is not None:
        return _Hub(hub, hub.greenlet, _EventletGate, type(hub).__module__ == "eventlet.hubs.asyncio")
    return None
