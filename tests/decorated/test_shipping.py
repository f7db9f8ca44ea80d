"""cloudpickle and dill send decorated functions decorated, with an empty store of their own."""

import asyncio
import copy
import functools
import importlib
import operator
import pickle
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT

from memo import Registry, bounded, dedupe_inflight, registry, sliding_window
from memo.testing import FakeClock

LIBRARIES = ("cloudpickle", "dill")
SENDER = Path(__file__).with_name("shipped.py")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def received(library: str, tmp_path: Path) -> dict[str, Any]:
    """What a main program of another process has sent."""
    path = tmp_path / "sent.pickle"
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(SENDER), library, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return importlib.import_module(library).loads(path.read_bytes())  # type: ignore[no-any-return]


def test_they_arrive_decorated(received: dict[str, Any]) -> None:
    """Functions from another process arrive with options, an empty store, and themselves as their own global."""
    fib = received["fib"]
    assert [len(fib.cache), fib.cache_info().hits] == [0, 0]
    assert fib(20) == 6765
    assert fib.cache_info().misses >= 21
    assert len(fib.cache) == fib.cache_parameters()["maxsize"] == 7
    assert fib.__globals__["fib"] is fib
    assert fib.__globals__["fib"].cache._cache is fib.cache._cache
    assert registry[fib].name.startswith("Fibonacci")

    stacked = received["stacked"]
    first = stacked(1)
    assert stacked(1) is first
    assert [key for key, _ in stacked.cache.items()] == [("key", 1)]
    assert stacked.cache_parameters()["maxsize"] == 1
    assert [stacked.inflight.stats().started, stacked.window.count()] == [1, 1]
    stacked(2)
    assert stacked.__wrapped__.__wrapped__.__wrapped__.__globals__["EVICTED"] is first[1]
    assert [key for key, value in first[1]] == [("key", 1)] or first[1] == []  # dill sends the callback its own globals

    async def twice(function: Callable[[int], Any]) -> bool:
        return await function(1) is await function(1)

    assert asyncio.run(twice(received["waits"]))
    assert received["inner"](4) == 7
    assert received["inner"].window.count() == 1
    assert received["nameless"](1) is received["nameless"](1)
    assert received["partial"]() is received["partial"]() == ("key", 3)
    assert received["decorator"](len)("four") == 4


def test_methods_arrive_decorated_in_every_placement(received: dict[str, Any]) -> None:
    """Classes and instances from another process share results as their placements say."""
    kind, instance = received["C"], received["instance"]
    assert type(instance) is kind
    assert [len(kind.m.cache), len(kind.s_below.cache), len(kind.c_below.cache)] == [0, 0, 0]
    assert instance.m(1) is instance.m(1) is received["m"](1)
    assert instance.m(1) is not kind().m(1)
    assert received["m"].cache.invalidate(1)
    assert kind.s_below(1) is instance.s_below(1)
    assert kind.s_above(1) is instance.s_above(1)
    assert kind.c_below(1) is instance.c_below(1) is received["c_below"](1)
    assert kind.c_above(1) is instance.c_above(1) is received["c_above"](1)
    assert kind.c_above(1)[0] is kind.c_below(1)[0] is kind
    assert instance.p_below is instance.p_below
    assert instance.p_above is instance.p_above
    assert [type(vars(kind)[name]).__name__ for name in ("s_below", "c_below", "p_below")] == [
        "staticmethod", "classmethod", "property",
    ]  # fmt: skip
    assert len(kind.p_below.cache) == 1

    async def twice() -> bool:
        return await instance.a(1) is await instance.a(1)

    assert asyncio.run(twice())


@bounded(max=8)
def of_a_module(x: int) -> list[int]:
    return [x]


class OfAModule:
    @bounded(max=8)
    def m(self, x: int) -> list[int]:
        return [x]

    @bounded(max=8)
    @staticmethod
    def s(x: int) -> list[int]:
        return [x]


def test_what_can_be_imported_goes_by_its_name(library: str) -> None:
    """Functions and methods of a module that can be imported are the same object again."""
    sender = importlib.import_module(library)
    for function in (of_a_module, OfAModule.m, OfAModule.s):
        assert sender.loads(sender.dumps(function)) is function
    instance = OfAModule()
    assert sender.loads(sender.dumps(instance.m)).__func__ is OfAModule.m


def test_modules_that_are_sent_by_value_are() -> None:
    """A function of a module registered for sending by value arrives as another, and shares results."""
    cloudpickle = pytest.importorskip("cloudpickle")
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        sent = cloudpickle.dumps(of_a_module)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    arrived = cloudpickle.loads(sent)
    assert arrived is not of_a_module
    assert arrived(1) is arrived(1)


def test_functions_of_functions_are_sent(library: str) -> None:
    """A local function arrives decorated with its own store and closure, and can be sent on."""
    sender = importlib.import_module(library)
    known: list[int] = []

    def make() -> Any:
        @bounded(max=8, cache_if=lambda value: value != [2])
        @sliding_window("1h")
        def local(x: int) -> list[int]:
            known.append(x)
            return [x]

        return local

    local = make()
    local(1)
    arrived = sender.loads(sender.dumps(local))
    assert len(arrived.cache) == 0
    assert arrived(1) is arrived(1)
    assert arrived(2) is not arrived(2)
    assert arrived.window.count() == 3
    assert known == [1]
    again = sender.loads(sender.dumps(arrived))
    assert again(1) is again(1) is not arrived(1)


def test_options_that_are_about_the_process_are_those_of_the_receiver(library: str) -> None:
    """A function with a registry or clock of its own arrives in the default registry, and works."""
    sender = importlib.import_module(library)
    clock = FakeClock(5.0)

    def sent(function: Any) -> Any:
        return sender.loads(sender.dumps(function))

    def local(x: int) -> list[int]:
        return [x]

    arrived = sent(bounded(max=8, ttl="1h", registry=Registry(), clock=clock)(local))
    assert arrived in registry
    assert arrived(1) is arrived(1)
    arrived = sent(bounded(max=8, ttl="1h", clock=lambda: 0.0)(local))
    assert arrived(1) is arrived(1)
    arrived = sent(dedupe_inflight(local))
    assert arrived(1) == [1]
    assert arrived.inflight.stats().started == 1


def test_pickle_goes_by_name_but_for_what_has_none() -> None:
    """pickle refuses a decorated lambda, takes a partial with its options, and a decorator."""
    assert pickle.loads(pickle.dumps(of_a_module)) is of_a_module
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(bounded(max=3)(lambda x: x))
    partial = bounded(max=3, ttl="1h")(functools.partial(operator.mul, [1]))
    arrived = pickle.loads(pickle.dumps(partial))
    assert arrived(2) is arrived(2)
    assert arrived.func is operator.mul
    assert copy.copy(partial) is copy.deepcopy(partial) is partial
    decorator = pickle.loads(pickle.dumps(bounded(max=3, ttl="1h", policy="lru")))
    assert repr(decorator) == repr(bounded(max=3, ttl="1h", policy="lru"))


def test_functions_share_what_their_decorator_was_told() -> None:
    """Functions of one decorator hold one object with its options."""
    decorator = bounded(max=3, ttl="1h")
    one, two = decorator(lambda x: x), decorator(lambda x: x)
    assert one._self_recipe is two._self_recipe
    assert one._self_recipe[1] == (("max", 3), ("ttl", "1h"))


@pytest.mark.parametrize("first", ["memo", "library"])
def test_the_order_of_imports_does_not_matter(library: str, first: str) -> None:
    """A fresh process sends decorated functions whichever of memo and the library it imported first."""
    script = f"""
import sys
{"from memo import bounded" if first == "memo" else ""}
assert "{library}" not in sys.modules
import {library} as library
from memo import bounded
function = bounded(max=3)(lambda x: [x])
arrived = library.loads(library.dumps(function))
assert arrived is not function
assert arrived(1) is arrived(1)
assert library.loads(library.dumps(lambda x: x + 1))(1) == 2
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("vendor", ["joblib.externals", "pyspark", "ray", "apache_beam.internal"])
def test_copies_that_others_bring_along_are_taught(vendor: str, tmp_path: Path) -> None:
    """A vendored copy of cloudpickle sends decorated functions too."""
    cloudpickle = pytest.importorskip("cloudpickle")
    place = tmp_path.joinpath(*vendor.split("."))
    shutil.copytree(Path(cloudpickle.__file__).parent, place / "cloudpickle")
    while place != tmp_path:
        (place / "__init__.py").touch()
        place = place.parent
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from memo import bounded
import {vendor}.cloudpickle as library
arrived = library.loads(library.dumps(bounded(max=3)(lambda x: [x])))
assert arrived(1) is arrived(1)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_library_that_has_another_shape_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing a module named cloudpickle that lacks its parts works in silence."""
    (tmp_path / "cloudpickle").mkdir()
    (tmp_path / "cloudpickle" / "__init__.py").write_text("")
    (tmp_path / "cloudpickle" / "cloudpickle.py").write_text("Pickler = None\nclass CloudPickler: pass\n")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from memo import bounded; import cloudpickle.cloudpickle"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_joblib_s_workers_get_decorated_functions() -> None:
    """A local function sent to joblib's workers arrives decorated and answers its second call from the store."""
    joblib = pytest.importorskip("joblib")

    def make() -> Any:
        @bounded(max=8)
        def local(x: int) -> list[int]:
            return [x]

        return local

    def work(function: Any, x: int) -> tuple[Any, ...]:
        return function(x), function(x) is function(x), function.cache_info().misses

    results = joblib.Parallel(n_jobs=2)(joblib.delayed(work)(make(), x) for x in range(2))
    assert results == [([0], True, 1), ([1], True, 1)]


def test_plain_functions_are_sent_as_ever(library: str) -> None:
    """Plain functions, classes and data are sent by both libraries as without decorators."""
    sender = importlib.import_module(library)
    made = types.FunctionType((lambda x: x + 1).__code__, {})
    assert sender.loads(sender.dumps(made))(1) == 2
    assert sender.loads(sender.dumps(OfAModule)) is OfAModule
    assert sender.loads(sender.dumps({"a": [1, None]})) == {"a": [1, None]}
