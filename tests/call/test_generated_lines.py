"""The lines of generated code are there for tracebacks and debuggers, as long as the code is."""

import asyncio
import bdb
import gc
import inspect
import io
import linecache
import pdb  # noqa: T100  # which is what is tested
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, sliding_window


def listings() -> set[str]:
    """The file names under which generated code can be shown."""
    return {name for name, entry in list(linecache.cache.items()) if name.startswith("<memo ") and entry[2]}


@pytest.fixture
def before() -> set[str]:
    """The listings of the functions that others hold."""
    gc.collect()
    return listings()


DECORATORS: dict[str, Callable[[Registry], Any]] = {
    "bounded": lambda own: bounded(max=8, ttl="1h", registry=own),
    "dedupe_inflight": lambda own: dedupe_inflight(timeout=30, registry=own),
    "sliding_window": lambda own: sliding_window("1h", registry=own),
}


def shown(function: Callable[..., object], *args: object) -> str:
    """The traceback of what a call raises."""
    try:
        function(*args)
    except ValueError:
        return traceback.format_exc()
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
def test_a_traceback_shows_the_line_of_the_wrapper(decorate: Callable[[Registry], Any], own: Registry) -> None:
    """A traceback through a wrapper names the function as its file, and shows the line that called it."""

    @decorate(own)  # type: ignore[misc]
    def load(name: str) -> str:
        raise ValueError(name)

    lines = shown(load, "alice").splitlines()
    place = f'  File "<memo wrapper of {__name__}.{load.__qualname__}>", line '
    at = next(i for i, line in enumerate(lines) if line.startswith(place))
    assert lines[at].endswith(", in load")
    assert "_memo_function(name)" in lines[at + 1]


def test_a_traceback_shows_the_line_of_an_awaited_wrapper(own: Registry) -> None:
    """A traceback through the wrapper of a coroutine function shows the line that awaited the load."""

    @bounded(max=8, registry=own)
    async def load(name: str) -> str:
        raise ValueError(name)

    text = shown(lambda: asyncio.run(load("alice")))
    assert f'"<memo wrapper of {__name__}.{load.__qualname__}>"' in text
    key = "(name if name.__class__ in _memo_BARE else (name, name.__class__, _memo_TOLD))"
    assert f"    return await _memo_run({key}, (name,), _memo_nothing)" in text.splitlines()


def test_a_traceback_shows_the_line_that_asked_for_a_key(own: Registry) -> None:
    """A ``key=`` that raises, be it asked by a call or by a handle, is seen below the line that asked it."""

    def refuse(name: str) -> str:
        raise ValueError(name)

    @bounded(max=8, key=refuse, registry=own)
    def load(name: str) -> str:
        return name

    asked = "    _memo_k = _memo_user_key(name)"
    called = shown(load, "alice")
    assert asked in called.splitlines()
    assert f'"<memo wrapper of {__name__}.{load.__qualname__}>"' in called
    invalidated = shown(load.cache.invalidate, "alice")
    assert asked in invalidated.splitlines()
    assert f'"<memo key of {__name__}.{load.__qualname__}>"' in invalidated


@pytest.mark.pure_path("in C a call through an instance goes to the wrapper of calls through the class")
def test_a_bound_method_has_lines_of_its_own(own: Registry) -> None:
    """A call through an instance and one through the class are shown with the lines that each consists of."""
    frames: list[FrameType] = []

    class Client:
        @bounded(max=8, registry=own)
        def load(self, name: str) -> None:
            frames.append(sys._getframe(1))

    Client().load("alice")
    Client.load(Client(), "alice")
    bound, plain = (inspect.getsource(frame).splitlines() for frame in frames)
    assert bound[1] == "    self = _memo_bound.__self__"
    assert plain[1:] == bound[2:]


@pytest.mark.pure_path("steps through a hit, which runs no line in C")
def test_a_debugger_steps_through_a_wrapper(own: Registry) -> None:
    """A debugger that steps into a call comes by the wrapper's lines, each of which it can show."""

    @bounded(max=8, registry=own)
    def load(name: str) -> str:
        return name

    class Stepper(bdb.Bdb):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def user_line(self, frame: FrameType) -> None:
            if frame.f_code.co_filename.startswith("<memo wrapper of "):
                self.seen.append(linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip())
            self.set_step()

    for _ in range(2):  # a miss, and a hit by which the wrapper knows what to expect
        load("alice")
    stepper = Stepper()
    stepper.runcall(load, "alice")
    assert stepper.seen == [
        "if name.__class__ is _memo_usual:",
        "try: _memo_entry = _memo_index[name]",
        "_memo_entry.hits = _memo_entry.hits + 1",
        "return _memo_entry.value",
    ]


@pytest.mark.pure_path("steps into a wrapper, which a call that C leads does not come by")
def test_pdb_lists_a_wrapper(own: Registry) -> None:
    """In ``pdb`` the commands ``step``, ``list`` and ``longlist`` show a wrapper as any function."""

    @dedupe_inflight(registry=own)
    def load(name: str) -> str:
        return name

    load("alice")
    out = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO("next\nlist\nlonglist\ncontinue\n"), stdout=out, nosigint=True, readrc=False)
    debugger.use_rawinput = False
    debugger.runcall(load, "alice")
    text = out.getvalue()
    assert f"> <memo wrapper of {__name__}.{load.__qualname__}>(" in text
    assert text.count("_memo_flight = _memo_Flight()") >= 2
    assert "return _memo_finish(_memo_flight, _memo_result)" in text


@pytest.mark.pure_path("looks for the wrapper's line in a second traceback, where a load that C leads has none")
def test_lines_stay_when_files_are_looked_for(own: Registry) -> None:
    """``linecache.checkcache()``, which drops what has changed on disk, leaves generated lines where they are."""

    @bounded(max=8, registry=own)
    def load(name: str) -> str:
        raise ValueError(name)

    first = shown(load, "alice")
    linecache.checkcache()
    assert shown(load, "alice") == first


@pytest.mark.usefixtures("nothing_collected")
@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
def test_lines_go_when_the_function_goes(decorate: Callable[[Registry], Any], own: Registry, before: set[str]) -> None:
    """With a decorated function, its key function among it, its lines go at once and by reference counts alone."""

    @decorate(own)  # type: ignore[misc]
    def load(name: str, lang: str = "en") -> str:
        return name

    load("alice")
    if hasattr(load, "cache"):
        load.cache.invalidate("alice")
    assert listings() > before
    del load
    assert listings() == before


@pytest.mark.pure_path("in C a call through an instance goes to the wrapper of calls through the class")
@pytest.mark.usefixtures("nothing_collected")
def test_lines_of_a_method_go_when_its_class_goes(own: Registry, before: set[str]) -> None:
    """The lines of a method, through the class and through instances, last as long as the class."""

    class Client:
        @bounded(max=8, registry=own)
        def load(self, name: str) -> str:
            return name

    assert (Client().load("alice"), Client.load(Client(), "bob")) == ("alice", "bob")
    assert len(listings() - before) >= 2
    del Client
    gc.collect()  # a class is in a circle with itself
    assert listings() == before


@pytest.mark.pure_path("looks for the wrapper's line in tracebacks, where a load that C leads has none")
@pytest.mark.usefixtures("nothing_collected")
def test_functions_of_one_name_and_shape_share_their_lines(own: Registry, before: set[str]) -> None:
    """A factory's functions have one file name, which goes with the last of them."""

    def make() -> Any:
        @bounded(max=8, registry=own)
        def load(name: str) -> str:
            raise ValueError(name)

        return load

    functions = [make(), make()]
    assert shown(functions[0], "alice") == shown(functions[1], "alice")
    assert len(listings() - before) == 1
    functions.pop()
    assert len(listings() - before) == 1
    assert "_memo_function(name)" in shown(functions[0], "alice")
    functions.pop()
    assert listings() == before


@pytest.mark.usefixtures("nothing_collected")
def test_functions_of_one_name_that_differ_are_numbered(own: Registry, before: set[str]) -> None:
    """Functions of one name whose wrappers differ have file names that tell them apart, and free them again."""

    def make(parameter: str) -> Any:
        names: dict[str, Any] = {"__name__": "app"}
        exec(f"def load({parameter}): raise ValueError({parameter})", names)
        return bounded(max=8, registry=own)(names["load"])

    functions = {parameter: make(parameter) for parameter in ("user", "order", "item")}
    for parameter, function in functions.items():
        assert f"_memo_function({parameter})" in shown(function, "alice")
    names = {"<memo wrapper of app.load>", "<memo wrapper of app.load #2>", "<memo wrapper of app.load #3>"}
    assert listings() - before == names
    del functions["order"], function
    assert listings() - before == names - {"<memo wrapper of app.load #2>"}
    functions["date"] = make("date")
    assert "_memo_function(date)" in shown(functions["date"], "alice")
    assert listings() - before == names
    functions.clear()
    assert listings() == before


@pytest.mark.usefixtures("nothing_collected")
def test_a_running_call_keeps_the_lines_that_it_runs(own: Registry, before: set[str]) -> None:
    """A call that runs while its wrapper is written anew is shown with the lines of when it began."""

    functions: list[Any] = []
    outer: list[str] = []

    @functions.append
    @sliding_window("1h", registry=own)
    def load(name: str) -> str:
        with own.disabled():
            outer.append(inspect.getsource(sys._getframe(1)))
            if name == "alice":
                return functions[0]("bob")  # type: ignore[no-any-return]
            raise ValueError(name)

    text = shown(functions[0], "alice")
    assert "if _memo_is_off():" not in outer[0]
    assert "if _memo_is_off():" in outer[1]
    assert "_memo_result = _memo_function(name)" in text
    assert "return _memo_function(name)" in text
    functions.clear()
    assert listings() == before


def test_threads_that_list_at_once_have_each_their_own_lines(own: Registry) -> None:
    """Wrappers of one name that threads make at the same moment are shown with the lines of each."""
    count = 8
    together = threading.Barrier(count)
    texts: dict[str, str] = {}

    def make(parameter: str) -> Any:
        names: dict[str, Any] = {"__name__": "app"}
        exec(f"def load({parameter}): raise ValueError({parameter})", names)
        return bounded(max=8, registry=own)(names["load"])

    functions = {f"p_{i}": make(f"p_{i}") for i in range(count)}

    def call(parameter: str) -> None:
        together.wait()
        texts[parameter] = shown(functions[parameter], 1)

    threads = [threading.Thread(target=call, args=(parameter,)) for parameter in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"_memo_function({parameter})" in texts[parameter] for parameter in functions)
