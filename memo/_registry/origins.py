"""Where a function was decorated: by which run of which code, so that a second run of it can be told from a twin.

The rule by which a newcomer takes over the name of a *holder* that still lives

A module that is reloaded, a notebook cell that is run again and a source that is executed again decorate their
functions once more.  At that moment the earlier ones are still there, and may stay for ever if somebody keeps them.
But many functions that are alike live side by side by right: closures that a factory makes, functions made in a loop,
getter and setter, the implementations of one generic function, which are all called ``_``.

A *run* is one execution of the code of a module, script or cell; what happens in functions called meanwhile is part of
it.  The newcomer and the holder have the same module and qualified name, and:

- Of one run: they are twins, and the newcomer gets a number.  What tells two runs of one code object (scripts that are
  compiled once and executed at each request) is that the namespace is another, or that a definition outside of all
  loops is reached again.
- Of two runs of the same source (a file as a whole, or, where there is no file, equal code at the same place of it):
  the newcomer replaces the holder.
- Of two runs in one namespace: it replaces the holder if it was defined anew there under a name of its own (no
  ``<locals>`` and no ``<lambda>``) or with the same explicit name; of two cells also if both decorate one function.
  This is the cell that was edited, or another one that does the same again: the name leads to the latest.
- Else they are twins: copies that were unpickled, two files that both call themselves ``conftest``, one function
  decorated in two modules; and whatever is decorated while no module's code runs, as in a thread.
"""

import dis
import sys
import types
import weakref
from inspect import CO_OPTIMIZED
from typing import Any

from memo._base import wrapped_by

__all__ = ("Origin",)


class _Run:
    """One execution of a module's or cell's code."""

    __slots__ = ("code", "file", "mark", "namespace")

    def __init__(self, code: types.CodeType, namespace: dict[str, Any]) -> None:
        self.code = weakref.ref(code)  # one object as long as the code lives, and never again: it tells runs apart
        is_file = namespace.get("__file__") == code.co_filename
        self.file = code.co_filename if is_file else None
        self.mark = None if is_file else hash(code)
        self.namespace = id(namespace)  # not held, so another may come to live there: then a name goes over too early


_latest: _Run | None = None
"""That of the latest decoration: most follow another of it.  No lock: whoever sees an old one makes another."""


def _run_of(code: types.CodeType, namespace: dict[str, Any]) -> _Run:
    global _latest  # noqa: PLW0603  # a cache of one
    run = _latest
    if run is None or run.code() is not code:
        run = _latest = _Run(code, namespace)
    return run


class Origin:
    """Where one function is being decorated, at the moment in which this is made.

    Args:
        function: The function, perhaps below other decorators.
        module: Its module.
        qualname: Its qualified name.
    """

    __slots__ = ("_at", "_function", "_is_defined", "_module", "_qualname", "_run")

    def __init__(self, function: Any, module: str, qualname: str) -> None:
        self._module = module
        self._qualname = qualname
        original = _original(function)
        try:
            self._function: weakref.ref[Any] | None = weakref.ref(original)
        except TypeError:
            self._function = None
        self._run: _Run | None = None
        self._at = 0
        self._is_defined = False
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            # not that of a function, and not that of a class, whose code bears the class's name
            if not code.co_flags & CO_OPTIMIZED and code.co_name.startswith("<"):
                self._run = _run_of(code, frame.f_globals)
                self._at = frame.f_lasti
                self._is_defined = _namespace(original) is frame.f_globals
                break
            frame = frame.f_back

    @property
    def run(self) -> Any:
        """What tells the run that this is a part of from others; None outside of every run."""
        return None if self._run is None else self._run.code

    @property
    def takes_name(self) -> bool:
        """Whether it was defined outside of all functions under a name of its own, which then is no earlier one's."""
        return self._is_defined and "<" not in self._qualname

    def replaces(self, holder: "Origin", *, explicit: bool) -> bool:
        """Whether a newcomer from here takes over the name of *holder*; the module says when.

        Args:
            holder: Where the function that has the name was decorated.
            explicit: Whether the name was given by ``name=``.
        """
        mine, theirs = self._run, holder._run
        if mine is None or (self._module, self._qualname) != (holder._module, holder._qualname):
            return False
        if theirs is not None:
            if mine.code is theirs.code:
                return self._is_reached_again(_target(holder))
            if mine.file is not None and mine.file == theirs.file:
                return True
            if mine.mark is not None and mine.mark == theirs.mark and self._at == holder._at:
                return True
        if "<" in self._qualname and not explicit:
            return False
        ours, other = _target(self), _target(holder)
        if ours is other:
            return theirs is not None and mine.file is theirs.file is None and mine.namespace == theirs.namespace
        return self._is_defined and _namespace(ours) is _namespace(other)

    def _is_reached_again(self, earlier: Any) -> bool:
        """Whether the code that defined *earlier* is executed a second time now, instead of going round in a loop."""
        code, ours = None if self._run is None else self._run.code(), _target(self)
        if code is None or ours is earlier or not self._is_defined or not isinstance(earlier, types.FunctionType):
            return False
        if ours.__code__ is not earlier.__code__:
            return False
        return _namespace(earlier) is not _namespace(ours) or _is_reached_once(ours.__code__, code, self._at)


def _is_reached_once(wanted: types.CodeType, code: types.CodeType, at: int | None) -> bool:
    """Whether one execution of *code* defines the function of the code *wanted* once, and no function does it.

    Args:
        wanted: The function's code.
        code: That of a module, or of a class's body.
        at: Where it is now, or None: where that is is not known.
    """
    bodies = [one for one in code.co_consts if isinstance(one, types.CodeType) and not one.co_flags & CO_OPTIMIZED]
    if not any(one is wanted for one in code.co_consts) and not any(
        _is_reached_once(wanted, body, None) for body in bodies
    ):
        return False
    return not any(
        step.opcode in dis.hasjrel and step.argval < step.offset and (at is None or step.argval <= at <= step.offset)
        for step in dis.get_instructions(code)
    )


def _target(origin: Origin) -> Any:
    return None if origin._function is None else origin._function()


def _original(function: Any) -> Any:
    """What stands below all decorators, also those of others."""
    *_, last = wrapped_by(function)
    return last


def _namespace(function: Any) -> Any:
    return function.__globals__ if isinstance(function, types.FunctionType) else None
