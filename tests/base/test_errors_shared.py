"""Copies of an exception for those who waited: alike in all that counts, raised without growing one traceback."""

import asyncio
import errno
import json
import pickle
import subprocess
import traceback
import types
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import calls_of, play
from kit.flights import lead_and_join
from kit.threads import Gate, depth_of

from memo import InflightTimeout, dedupe_inflight
from memo._base.exception_copies import shared_copy


class Plain(Exception):
    pass


class Required(Exception):
    """Its ``__init__`` asks for what nobody kept."""

    def __init__(self, *, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Fewer(Exception):
    """Its ``__init__`` takes fewer arguments than it hands on."""

    def __init__(self, response: dict[str, int]) -> None:
        super().__init__("status", response["status"])
        self.response = response


class Counting(Exception):
    made = 0

    def __init__(self, message: str) -> None:
        type(self).made += 1
        super().__init__(message)

    def __reduce__(self) -> Any:
        raise AssertionError("__reduce__ ran")


class Slotted(Exception):
    __slots__ = ("left", "right", "unset")

    def __init__(self, left: int, right: str) -> None:
        super().__init__(left, right)
        self.left = left
        self.right = right


class SlottedChild(Slotted):
    __slots__ = ("more",)

    def __init__(self) -> None:
        super().__init__(1, "two")
        self.more = [3]


class Made(Exception):
    """Has a ``__new__`` with arguments of its own."""

    def __new__(cls, code: int, *rest: Any) -> "Made":
        made = super().__new__(cls, code, *rest)
        made.code = code
        return made

    def __init__(self, code: int, extra: str = "x") -> None:
        super().__init__(code)
        self.extra = extra


class Refusing(Exception):
    """Can be made only once."""

    made = False

    def __new__(cls, *args: Any) -> "Refusing":
        if cls.made:
            raise RuntimeError("only once")
        return super().__new__(cls, *args)


class WithProperty(Exception):
    @property
    def answer(self) -> int:
        return int(self.args[0])


class Described(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOENT, "no such thing", path)
        self.path = path


def _caught(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def _decode_error() -> Exception:
    return _caught(lambda: b"ab\xff".decode("utf-8"))


def _os_error() -> Exception:
    return _caught(lambda: open("/nonexistent/path"))


ERRORS: dict[str, tuple[Callable[[], Exception], tuple[str, ...]]] = {
    "plain": (lambda: Plain("a", 1), ()),
    "no arguments": (lambda: Plain(), ()),
    "key": (lambda: KeyError("name"), ()),
    "os": (_os_error, ("errno", "strerror", "filename", "filename2")),
    "two names": (lambda: OSError(1, "no", "a", None, "b"), ("errno", "strerror", "filename", "filename2")),
    "connection": (lambda: ConnectionResetError(104, "reset"), ("errno", "strerror")),
    "os with one argument": (lambda: OSError("just text"), ("errno", "strerror", "filename")),
    "blocking": (lambda: BlockingIOError(11, "would block", 7), ("errno", "characters_written")),
    "own os": (lambda: Described("/x"), ("errno", "strerror", "filename", "path")),
    "unicode": (_decode_error, ("encoding", "object", "start", "end", "reason")),
    "unicode encode": (lambda: _caught(lambda: "\udc80".encode()), ("encoding", "object", "start", "end", "reason")),
    "import": (lambda: ImportError("no", name="n", path="p"), ("msg", "name", "path")),
    "module": (lambda: _caught(lambda: __import__("no_such_module")), ("msg", "name", "path")),
    "name": (lambda: NameError("no", name="n"), ("name",)),
    "attribute": (lambda: _caught(lambda: (1).nothing), ("name", "obj")),  # type: ignore[attr-defined]
    "syntax": (
        lambda: _caught(lambda: compile("a b", "file.py", "exec")),
        ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
    ),
    "stop": (lambda: StopAsyncIteration(7), ()),
    "required": (lambda: Required(code=3, reason="because"), ("code", "reason")),
    "fewer": (lambda: Fewer({"status": 404}), ("response",)),
    "slots": (lambda: Slotted(1, "two"), ("left", "right")),
    "slots of a child": (SlottedChild, ("left", "right", "more")),
    "new": (lambda: Made(5, "y"), ("code", "extra")),
    "property": (lambda: WithProperty(42), ("answer",)),
    "json": (lambda: _caught(lambda: json.loads("{")), ("msg", "doc", "pos", "lineno", "colno")),
    "process": (lambda: subprocess.CalledProcessError(3, ["x"], b"out"), ("returncode", "cmd", "output", "stderr")),
    "group": (lambda: ExceptionGroup("several", [ValueError(1), OSError(2, "x")]), ("message", "exceptions")),
    "nested group": (
        lambda: ExceptionGroup("outer", [ExceptionGroup("inner", [KeyError("k")]), TypeError()]),
        ("message", "exceptions"),
    ),
    "timeout": (lambda: InflightTimeout("late", "key", 3.0), ("key", "timeout")),
    "pickle": (lambda: _caught(lambda: pickle.loads(b"x")), ()),
}

every_error = pytest.mark.parametrize(("make", "attributes"), ERRORS.values(), ids=ERRORS)


def check_alike(copy: BaseException, error: BaseException, attributes: tuple[str, ...]) -> None:
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert str(copy) == str(error)
    assert repr(copy) == repr(error)
    for name in attributes:
        assert getattr(copy, name) == getattr(error, name), name
    assert vars(copy) == vars(error)
    assert getattr(copy, "__notes__", None) == getattr(error, "__notes__", None)
    assert copy.__cause__ is error.__cause__
    assert copy.__context__ is error.__context__
    assert copy.__suppress_context__ == error.__suppress_context__


@every_error
def test_a_copy_is_another_object_alike_in_all_that_counts(
    make: Callable[[], Exception], attributes: tuple[str, ...]
) -> None:
    """A copy has the error's type, attributes, cause and notes, and the error stays as it was."""
    error = make()
    error.__cause__ = ValueError("the cause")
    error.add_note("first")
    error.add_note("second")
    before = error.__traceback__
    copy = shared_copy(error, None)
    assert copy is not error
    check_alike(copy, error, attributes)
    assert copy.__traceback__ is None
    assert error.__traceback__ is before


@every_error
def test_every_joiner_sees_it_as_the_leader_did(make: Callable[[], Exception], attributes: tuple[str, ...]) -> None:
    """Each joiner gets a copy of its own with type, text, attributes, notes, cause and the frames of the work."""
    gate = Gate()
    raised: list[Exception] = []

    @dedupe_inflight
    def fetch() -> None:
        gate.wait()
        error = make()
        error.add_note("a note")
        raised.append(error)
        raise error from ValueError("the cause")

    leader, *joiners = lead_and_join(fetch, gate, 2)
    gate.open()
    assert leader.error() is raised[0]
    copies = [joiner.error() for joiner in joiners]
    for copy in copies:
        assert copy is not raised[0]
        assert type(copy) is type(raised[0])
        assert copy.args == raised[0].args
        assert str(copy) == str(raised[0])
        for name in attributes:
            assert getattr(copy, name) == getattr(raised[0], name)
        assert copy.__notes__ == ["a note"]
        assert str(copy.__cause__) == "the cause"
        frames = [frame.name for frame in traceback.extract_tb(copy.__traceback__)]
        assert "fetch" in frames  # it shows where the work failed
    assert copies[0] is not copies[1]


def test_neither_init_nor_reduce_runs() -> None:
    """A copy is made without the error's constructor running again, or its `__reduce__`."""
    error = Counting("once")
    copy = shared_copy(error, None)
    assert Counting.made == 1
    assert (type(copy), copy.args) == (Counting, ("once",))


def test_what_cannot_be_copied_is_shared_itself() -> None:
    """An error whose class refuses to be made again is handed on itself."""
    error = Refusing("a")
    Refusing.made = True
    try:
        assert shared_copy(error, None) is error
    finally:
        Refusing.made = False


def test_a_note_added_to_one_copy_is_not_seen_by_another() -> None:
    """Notes added to a copy are in neither the error nor another copy."""
    error = Plain("a")
    error.add_note("shared")
    one, other = shared_copy(error, None), shared_copy(error, None)
    one.add_note("mine")
    assert error.__notes__ == ["shared"]
    assert other.__notes__ == ["shared"]
    assert one.__notes__ == ["shared", "mine"]


def test_an_attribute_set_on_one_copy_is_not_seen_by_another() -> None:
    """Attributes set on a copy are on neither the error nor another copy."""
    error = Plain("a")
    one, other = shared_copy(error, None), shared_copy(error, None)
    one.seen = True  # type: ignore[attr-defined]
    assert not hasattr(other, "seen")
    assert not hasattr(error, "seen")


def test_a_suppressed_context_stays_suppressed() -> None:
    """A copy of an error raised `from None` does not show what it arose from."""

    def act() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            raise Plain("outer") from None

    error = _caught(act)
    copy = shared_copy(error, error.__traceback__)
    assert copy.__suppress_context__ is True
    assert copy.__cause__ is None
    assert "inner" not in "".join(traceback.format_exception(copy))


def test_a_context_is_shown_by_a_copy_too() -> None:
    """A copy of an error raised while another was handled shows that other one."""

    def act() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            raise Plain("outer")  # noqa: B904

    error = _caught(act)
    copy = shared_copy(error, error.__traceback__)
    shown = "".join(traceback.format_exception(copy))
    assert "inner" in shown
    assert "During handling" in shown


def test_the_traceback_is_the_one_given() -> None:
    """Each of a hundred raised copies is one frame deeper than the error, which does not grow."""
    error = _caught(lambda: [][1])
    before = depth_of(error)
    copies = [shared_copy(error, error.__traceback__) for _ in range(100)]
    for copy in copies:
        assert isinstance(copy.__traceback__, types.TracebackType)
        with pytest.raises(IndexError):
            raise copy
        assert depth_of(copy) == before + 1
    assert depth_of(error) == before


def test_a_group_of_a_joiner_splits_and_is_caught_like_any() -> None:
    """A joiner's ExceptionGroup splits by type into its parts."""
    gate = Gate()

    @dedupe_inflight
    def fetch() -> None:
        gate.wait()
        raise ExceptionGroup("several", [ValueError(1), KeyError("k")])

    calls = lead_and_join(fetch, gate, 1)
    gate.open()
    error = calls[1].error()
    assert isinstance(error, ExceptionGroup)
    matched, rest = error.split(ValueError)
    assert matched is not None
    assert rest is not None
    assert [type(each) for each in matched.exceptions] == [ValueError]
    assert [type(each) for each in rest.exceptions] == [KeyError]


def test_fifty_waiters_each_raise_a_traceback_as_deep_as_one() -> None:
    """Tracebacks of threads are as deep with fifty joiners as with one."""

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise Required(code=1, reason="deep")

    def depths(joiners: int) -> list[int]:
        gate = Gate()

        @dedupe_inflight
        def fetch() -> None:
            gate.wait()
            deep(20)

        calls = lead_and_join(fetch, gate, joiners)
        gate.open()
        return [depth_of(call.error()) for call in calls]

    few, many = depths(1), depths(50)
    assert set(many[1:]) == {few[1]}
    assert many[0] == few[0]
    assert max(many) <= 21 + 10


def test_fifty_waiting_tasks_each_raise_a_traceback_as_deep_as_one() -> None:
    """Each task raises an object of its own, as deep with fifty-one callers as with two."""

    async def depths(callers: int) -> list[int]:
        opened = asyncio.Event()

        @dedupe_inflight
        async def fetch() -> None:
            await opened.wait()
            raise Required(code=1, reason="deep")

        tasks = await calls_of(fetch, callers)
        opened.set()
        await asyncio.wait(tasks)
        errors = [task.exception() for task in tasks]
        assert len({id(error) for error in errors}) == callers
        return [depth_of(error) for error in errors if error is not None]

    async def main() -> None:
        few, many = await depths(2), await depths(51)
        assert set(many[1:]) == {few[1]}
        assert many[0] == few[0]

    play(main)


def test_the_same_error_object_raised_by_every_execution_does_not_grow() -> None:
    """One error object raised fifty times keeps its depth."""
    error = Plain("one object for ever")

    @dedupe_inflight
    def fetch() -> None:
        raise error.with_traceback(None)

    with pytest.raises(Plain):
        fetch()  # which makes what the others go by
    depths = set()
    for _ in range(50):
        with pytest.raises(Plain) as raised:
            fetch()
        depths.add(depth_of(raised.value))
    assert len(depths) == 1
