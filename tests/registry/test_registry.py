"""Functions are found by name, object and tag, and held weakly."""

import functools
import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from kit.adopted import passing

import memo
from memo import (
    Record,
    Registry,
    bounded,
    dedupe_inflight,
    registry,
    sliding_window,
)
from memo._call.source import _compiled


@bounded(max=8)
def at_top(name: str) -> list[str]:
    """A function of this module."""
    return [name]


class Service:
    """Functions in every placement."""

    @bounded(max=8)
    def method(self, name: str) -> list[str]:
        return [name]

    @classmethod
    @bounded(max=8)
    def class_inner(cls, name: str) -> list[str]:
        return [name]

    @bounded(max=8)
    @classmethod
    def class_outer(cls, name: str) -> list[str]:
        return [name]

    @staticmethod
    @bounded(max=8)
    def static_inner(name: str) -> list[str]:
        return [name]

    @bounded(max=8)
    @staticmethod
    def static_outer(name: str) -> list[str]:
        return [name]

    @property
    @bounded(max=8)
    def property_inner(self) -> list[str]:
        return []

    @bounded(max=8)
    @property
    def property_outer(self) -> list[str]:
        return []


# -- look-up


def test_the_default_registry_has_every_function_under_module_and_qualified_name() -> None:
    """memo.registry gives one Record for a function and for its name, made of module and qualified name."""
    assert memo.registry is registry
    assert registry[at_top].name == f"{__name__}.at_top"
    assert registry[f"{__name__}.at_top"] is registry[at_top]
    assert registry[Service.method].name == f"{__name__}.Service.method"
    assert isinstance(registry[at_top], Record)


@pytest.mark.parametrize(
    ("find", "name"),
    [
        (lambda: Service.method, "method"),
        (lambda: Service().method, "method"),
        (lambda: Service.class_inner, "class_inner"),
        (lambda: Service().class_inner, "class_inner"),
        (lambda: Service.class_outer, "class_outer"),
        (lambda: Service().class_outer, "class_outer"),
        (lambda: Service.static_inner, "static_inner"),
        (lambda: Service().static_outer, "static_outer"),
        (lambda: Service.__dict__["static_inner"], "static_inner"),
        (lambda: Service.__dict__["class_inner"], "class_inner"),
        (lambda: Service.property_inner, "property_inner"),
        (lambda: Service.property_outer, "property_outer"),
        (lambda: functools.partial(at_top, "a"), None),
    ],
)
def test_a_function_is_found_however_it_is_reached(find: Callable[[], Any], name: str | None) -> None:
    """A method is found in every placement through class and instance, and a partial of a function is not."""
    function = find()
    if name is None:
        assert function not in registry
        return
    assert registry[function].name == f"{__name__}.Service.{name}"
    assert function in registry
    assert registry[function] is registry[f"{__name__}.Service.{name}"]


def test_a_function_is_found_below_a_decorator_of_somebody_else() -> None:
    """A function is found through two wrappers made with functools.wraps(), in its own registry alone."""
    own = Registry()

    @passing
    @passing
    @bounded(max=8, registry=own, name="below")
    def fetch(name: str) -> str:
        return name

    assert own[fetch].name == "below"
    assert fetch in own
    assert fetch not in registry


def test_what_was_never_decorated_is_not_found() -> None:
    """What a registry does not have is not `in` it and raises KeyError, which says so."""
    for thing in (len, at_top.__wrapped__, "no.such.name", 3, None, object(), property(len), Service):
        assert thing not in registry
        with pytest.raises(KeyError, match="is not in this registry"):
            registry[thing]
    assert at_top not in Registry()
    with pytest.raises(KeyError):
        Registry()[at_top]


def test_a_second_function_of_one_name_gets_a_number() -> None:
    """Functions of one name get the lowest free number, also where the name was given."""
    own = Registry()

    def make() -> Any:
        @bounded(max=8, registry=own)
        def fetch(name: str) -> str:
            return name

        return fetch

    functions = [make() for _ in range(3)]
    base = f"{__name__}.test_a_second_function_of_one_name_gets_a_number.<locals>.make.<locals>.fetch"
    assert [own[function].name for function in functions] == [base, f"{base}#2", f"{base}#3"]
    assert own[f"{base}#2"] is own[functions[1]]
    del functions[1]
    gc.collect()
    assert f"{base}#2" not in own
    functions.append(make())
    assert own[functions[-1]].name == f"{base}#2"
    named = [bounded(max=8, registry=own, name="n")(len), bounded(max=8, registry=own, name="n")(abs)]
    assert [own[function].name for function in named] == ["n", "n#2"]
    assert named[1].cache.stats().name == "n#2"


def test_iteration_length_and_truth() -> None:
    """A registry iterates over its records, has as many as functions, and is true when empty."""
    own = Registry()
    assert len(own) == 0
    assert own
    assert list(own) == []
    assert own.stats() == {}
    functions = [bounded(max=8, registry=own, name=name)(abs) for name in ("b", "a", "c")]
    assert len(own) == 3
    assert sorted(record.name for record in own) == ["a", "b", "c"]
    assert {id(record) for record in own} == {id(own[function]) for function in functions}
    assert list(own.stats()) == [record.name for record in own]


def test_a_separate_registry_has_only_its_own() -> None:
    """A function is in the registry it was given and no other, and only that one's clear() reaches it."""
    one, two = Registry(), Registry()

    @bounded(max=8, registry=one)
    def fetch(name: str) -> str:
        return name

    assert fetch in one
    assert fetch not in two
    assert fetch not in registry
    fetch("a")
    two.clear()
    assert len(fetch.cache) == 1
    one.clear()
    assert len(fetch.cache) == 0


# -- records


def test_a_record_has_the_handles() -> None:
    """A Record has the handles of its function's decorators, None for others, and a clear() of its own."""
    own = Registry()

    @bounded(max=8, registry=own)
    def fetch(name: str) -> list[str]:
        return [name]

    @dedupe_inflight(registry=own)
    def shared(name: str) -> list[str]:
        return [name]

    value = fetch("a")
    record = own[fetch]
    assert record.cache is not None
    assert record.cache.items() == [("a", value)]
    assert record.inflight is not None
    assert len(record.inflight) == 0
    assert record.tags == ()
    assert own[shared].cache is None
    assert own[shared].inflight is not None
    assert own[shared].stats().cache is None
    assert record.name in repr(record)
    record.clear()
    assert len(fetch.cache) == 0


def test_a_stack_has_one_record() -> None:
    """The layers of a stack, another's decorator between them, are one Record."""
    own = Registry()

    @bounded(max=8, registry=own)
    @passing
    @dedupe_inflight(timeout=5)
    def fetch(name: str) -> list[str]:
        return [name]

    assert len(own) == 1
    fetch("a")
    stats = own[fetch].stats()
    assert stats.cache is not None
    assert stats.inflight is not None
    assert stats.cache.misses == 1
    assert fetch.__wrapped__ not in registry
    assert own[fetch.__wrapped__] is own[fetch]


def test_the_outermost_explicit_name_wins() -> None:
    """Of the names given in a stack the outermost holds, wherever it stands."""
    own = Registry()
    both = bounded(max=8, name="outer")(bounded(max=4, name="inner", registry=own)(abs))
    assert own[both].name == "outer"
    assert "inner" not in own
    assert both.cache.stats().name == "outer"
    inner = bounded(max=8)(bounded(max=4, name="alone", registry=own)(abs))
    assert own[inner].name == "alone"
    assert len(own) == 2


def test_two_registries_in_one_stack_are_refused() -> None:
    """Two explicit registries in a stack raise TypeError, and one given anywhere holds for the stack."""
    one, two = Registry(), Registry()
    inner = bounded(max=4, registry=one)(abs)
    with pytest.raises(TypeError, match=r"^bounded: registry=.*abs; give one registry"):
        bounded(max=8, registry=two)(inner)
    with pytest.raises(TypeError, match=r"^dedupe_inflight: registry="):
        dedupe_inflight(registry=two)(passing(inner))
    assert inner in one
    assert len(two) == 0
    same = bounded(max=8, registry=one)(inner)
    assert one[same].name == one[inner].name
    default = bounded(max=8, registry=two)(bounded(max=4)(abs))  # only one of them says which
    assert default in two
    assert default not in registry


def test_one_function_decorated_twice_apart_has_two_records() -> None:
    """Two decorations of one function have records and stores of their own."""
    own = Registry()

    def fetch(name: str) -> list[str]:
        return [name]

    one = bounded(max=8, registry=own)(fetch)
    two = bounded(max=4, registry=own)(fetch)
    one("a")
    assert len(own) == 2
    assert own[one] is not own[two]
    assert own[one].stats().cache.hits == 0  # type: ignore[union-attr]
    assert (len(one.cache), len(two.cache)) == (1, 0)


# -- weak holding


def test_a_function_that_dies_leaves() -> None:
    """A dropped function is freed and leaves its registry, and others stay."""
    own = Registry()
    kept = bounded(max=8, registry=own, name="kept")(abs)

    def make() -> weakref.ref[Any]:
        @bounded(max=8, registry=own, name="short-lived")
        def fetch(name: str) -> list[str]:
            return [name]

        fetch("a")
        assert len(own) == 2
        return weakref.ref(fetch)

    dead = make()
    gc.collect()
    assert dead() is None
    assert [record.name for record in own] == ["kept"]
    assert kept in own


def test_a_registry_and_its_records_may_go_before_the_function() -> None:
    """A function works under its name when nobody else holds its registry, which is freed with it."""
    own = Registry()
    gone = weakref.ref(own)
    function = bounded(max=8, registry=own, name="orphan")(abs)
    del own
    gc.collect()
    assert function(-1) == 1
    assert function.cache.stats().name == "orphan"
    del function
    gc.collect()
    assert gone() is None


def test_functions_may_come_and_go_while_others_look_on() -> None:
    """Printing, counting, cleaning up and iterating raise nothing while functions come and go."""
    own = Registry()
    errors: list[BaseException] = []
    finished = threading.Event()

    def look() -> None:
        try:
            while not finished.is_set():
                str(own)
                own.stats()
                own.cleanup()
                [record.name for record in own]
        except BaseException as error:
            errors.append(error)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        for _ in range(30):
            functions = [bounded(max=4, registry=own)(lambda x=i: x) for i in range(10)]
            for function in functions:
                function()
    finally:
        finished.set()
        watcher.join(20)
    assert not watcher.is_alive()
    assert errors == []


def make_closures(own: Registry, count: int) -> None:
    """Decorate and use functions that nobody keeps."""
    for i in range(count):

        @sliding_window("1h", max=10, registry=own)
        @bounded(max=8, ttl="1h")
        @dedupe_inflight(timeout=5)
        def fetch(x: int, captured: int = i) -> list[int]:
            return [x, captured]

        fetch(i)
        if i % 100 == 0:
            own.stats()


def test_a_thousand_closures_leave_no_record_and_no_memory() -> None:
    """What was decorated, used and dropped is gone: its record, its objects and its bytes."""
    own = Registry()
    make_closures(own, 50)  # what is made once for all
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()  # before anything bounded is full: what is exchanged there later is then no growth
    try:
        make_closures(own, 1000)
        gc.collect()
        assert len(own) == 0
        assert len(own._by_name) == 0
        assert len(gc.get_objects()) - objects < 100
        held = []
        for _ in range(5):
            make_closures(own, 100)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # a table may grow in any one batch, for those that are alive at one time; a leak grows in each
    assert min(later - earlier for earlier, later in pairwise(held)) < 2_500, "25 bytes for each that is gone"


def test_wrappers_of_many_shapes_are_kept_up_to_a_bound() -> None:
    """The code of wrappers, which functions of one shape share, is remembered for a bounded number of shapes."""
    own = Registry()
    for i in range(600):
        names: dict[str, Any] = {}
        exec(f"def shape_{i}(a_{i}): return a_{i}", names)
        assert bounded(max=8, registry=own)(names[f"shape_{i}"])(i) == i
    info = _compiled.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize <= 512
    gc.collect()
    assert len(own) == 0


def test_threads_may_decorate_iterate_and_collect_at_once() -> None:
    """Decorating, renaming, looking on, cleaning up and collecting in several threads disturb each other nowhere."""
    own = Registry()
    kept = [bounded(max=8, registry=own, name=f"kept-{i}")(abs) for i in range(5)]
    errors: list[BaseException] = []
    over = threading.Event()
    names: list[str] = []

    def guarded(act: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not over.is_set():
                    act()
            except BaseException as error:
                errors.append(error)

        return run

    def look() -> None:
        found = [record.name for record in own]
        assert len(set(found)) == len(found), "two records of one name"
        assert {f"kept-{i}" for i in range(5)} <= set(found)
        for record in own:
            record.stats()
        str(own)
        assert kept[0] in own
        assert own["kept-1"] is own[kept[1]]

    def decorate() -> None:
        one = bounded(max=8, registry=own, name="same")(abs)
        two = dedupe_inflight(timeout=5, name="other")(one)
        one(-1)
        two(-1)
        names.append(own[two].name)
        own.cleanup()

    interval = sys.getswitchinterval()
    acts = [look, look, decorate, lambda: gc.collect(1)]
    threads = [threading.Thread(target=guarded(act), daemon=True) for act in acts]
    try:
        sys.setswitchinterval(1e-4)
        for thread in threads:
            thread.start()
        for _ in range(30):
            decorate()
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []
    assert {name.partition("#")[0] for name in names} == {"other"}
    gc.collect()
    assert sorted(record.name for record in own) == [f"kept-{i}" for i in range(5)]
