"""What is not a second run keeps its name, and has a number."""

import copy
import functools
import gc
import importlib
import importlib.util
import runpy
import sys
import textwrap
import threading
import time
import types
import weakref
from pathlib import Path
from typing import Any

import pytest
from kit.reloading import HEAD, PLACEMENTS, Module, names

import memo
from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo._registry.names import Names, _Twins
from memo._registry.origins import Origin


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry in place of the default one, so that sources need not name it."""
    own = Registry()
    monkeypatch.setattr(memo._registry.enrolling, "registry", own)  # type: ignore[attr-defined]
    return own


# -- what is not replaced


def test_functions_of_one_run_are_twins(own: Registry, module: Module) -> None:
    """Loops, conditions, getters and setters, redefinitions: one run's functions of one name live side by side."""
    loaded = module.load(
        """
        loop = []
        for n in range(3):
            @bounded(max=3)
            def looped(x): return n
            loop.append(looped)

        @bounded(max=3)
        def twice(x): return 1
        first = twice
        @bounded(max=3)
        def twice(x): return 2

        class C:
            @property
            @bounded(max=3)
            def x(self): return 1
            getter = x
            @x.setter
            @dedupe_inflight
            def x(self, value): ...

        class D:
            @bounded(max=3)
            def f(self): return 1
        E = D
        class D(E):
            @bounded(max=3)
            def f(self): return 2
        """
    )
    at = module.name
    assert [own[one].name for one in loaded.loop] == [f"{at}.looped", f"{at}.looped#2", f"{at}.looped#3"]
    assert (own[loaded.first].name, own[loaded.twice].name) == (f"{at}.twice", f"{at}.twice#2")
    assert own[loaded.C.getter].name == f"{at}.C.x"
    assert own[loaded.C.x.fset].name == f"{at}.C.x#2"
    assert (own[loaded.E.f].name, own[loaded.D.f].name) == (f"{at}.D.f", f"{at}.D.f#2")


def test_closures_of_a_factory_are_twins(own: Registry, module: Module) -> None:
    """What a factory makes lives side by side, also when its module is reloaded in between."""
    source = PLACEMENTS["closure"][0].replace("g = make()", "")
    keep = [module.load(source).make() for _ in range(3)]
    base = f"{module.name}.make.<locals>.f"
    assert [own[one].name for one in keep] == [base, f"{base}#2", f"{base}#3"]


@pytest.mark.parametrize("function", ["load", "textwrap.dedent", "abs"])
def test_one_function_that_cells_decorate(own: Registry, function: str) -> None:
    """Of one function that several cells decorate the latest has the name, edited or not; all that live are listed."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    exec(HEAD + "import textwrap\ndef load(x): return x", namespace)
    for bound in (5, 5, 50, 500):
        exec(f"a = bounded(max={bound})({function})", namespace)
        assert own[namespace["a"]].name.endswith(function.rpartition(".")[2])
        assert len(names(own)) == 1
    exec(f"b = bounded(max=7)({function})", namespace)
    assert {own[namespace[one]].name.partition("#")[2] for one in "ab"} == {"", "2"}
    exec(f"a, b = bounded(max=1)({function}), bounded(max=2)({function})", namespace)
    assert [own[namespace[one]].name.partition("#")[2] for one in "ab"] == ["", "2"]
    assert len(names(own)) == 2


def test_one_function_decorated_in_two_modules_is_two(own: Registry, tmp_path: Path) -> None:
    """Files are run as a whole, so that another one which decorates the same function is no edition of the first."""
    found = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.py"
        path.write_text(HEAD + "import textwrap\nf = bounded(max=3)(textwrap.dedent)")
        found.append(runpy.run_path(str(path), run_name="script")["f"])
    assert [own[one].name for one in found] == ["textwrap.dedent", "textwrap.dedent#2"]


def test_two_files_of_one_module_name_are_two(own: Registry, tmp_path: Path) -> None:
    """Plug-ins, ``conftest`` and the like: modules of one name from different files stand beside each other."""
    found = []
    for directory in ("one", "two"):
        path = tmp_path / directory / "plugin.py"
        path.parent.mkdir()
        path.write_text(HEAD + PLACEMENTS["function"][0].replace("VERSION", directory))
        spec = importlib.util.spec_from_file_location("plugin", path)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        found.append(loaded)
    assert [own[one.f].name for one in found] == ["plugin.f", "plugin.f#2"]


def test_a_copy_of_a_function_is_a_twin(own: Registry) -> None:
    """A function that was made anew out of another one (as when it is unpickled by value) does not replace it."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    exec(HEAD + "@bounded(max=3)\ndef f(x): return x", namespace)
    original = namespace["f"].__wrapped__
    copied = types.FunctionType(original.__code__, {"__name__": "cell"}, "f")
    copied.__module__, copied.__qualname__ = "cell", "f"
    namespace["copied"] = copied
    exec("g = bounded(max=3)(copied)", namespace)
    assert own[namespace["f"]].name == "cell.f"
    assert own[namespace["g"]].name == "cell.f#2"


def test_functions_of_different_names_share_no_explicit_name(own: Registry) -> None:
    """An explicit name that two functions bear is a choice of somebody's: the second gets a number, in any run."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    exec(HEAD + "@bounded(max=3, name='n')\ndef f(x): return x", namespace)
    exec("@bounded(max=3, name='n')\ndef g(x): return x", namespace)
    assert own[namespace["f"]].name == "n"
    assert own[namespace["g"]].name == "n#2"


def test_threads_have_no_run(own: Registry) -> None:
    """What a thread decorates replaces nothing, and is replaced by what a module defines under its name."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    exec(HEAD + "def f(x): return x", namespace)
    done: list[Any] = []

    def decorate() -> None:
        done.append(bounded(max=3)(namespace["f"]))

    for _ in range(2):
        thread = threading.Thread(target=decorate)
        thread.start()
        thread.join(20)
    assert [own[one].name for one in done] == ["cell.f", "cell.f#2"]
    exec("@bounded(max=3)\ndef f(x): return x", namespace)
    assert own[namespace["f"]].name == "cell.f"
    assert sorted(own[one].name for one in done) == ["cell.f#2", "cell.f#3"]


# -- numbers


def test_a_name_that_became_free_is_given_again(own: Registry) -> None:
    """A live twin keeps its number, and the next newcomer gets the name that death set free."""

    def make() -> Any:
        return bounded(max=3, name="f")(lambda x: x)

    functions = [make() for _ in range(4)]
    assert [own[one].name for one in functions] == ["f", "f#2", "f#3", "f#4"]
    functions[0] = functions[2] = None
    gc.collect()
    assert names(own) == ["f#2", "f#4"]
    later = [make() for _ in range(3)]
    assert [own[one].name for one in later] == ["f", "f#3", "f#5"]
    del functions, later
    gc.collect()
    again = make(), make()
    assert [own[one].name for one in again] == ["f", "f#2"]


REDEFINED = {
    "try": """
        try:
            @DECORATE
            def f(x=0): return 1
            raise ImportError
        except ImportError:
            @DECORATE
            def f(x=0): return 2
        """,
    "coroutine": """
        @DECORATE
        async def f(x=0): return 1
        if True:
            @DECORATE
            async def f(x=0): return 2
        """,
    "loop": """
        for n in range(5):
            @DECORATE
            def f(x=0): return n
        """,
    "thrice": """
        @DECORATE
        def f(x=0): return 1
        @DECORATE
        def f(x=0): return 2
        @DECORATE
        def f(x=0): return 3
        """,
}


@pytest.mark.parametrize("decorate", ["bounded(max=3)", "sliding_window('1h')", "bounded(max=3, name='f')"])
@pytest.mark.parametrize("source", REDEFINED.values(), ids=REDEFINED)
@pytest.mark.parametrize("indent", ["", "class C:\n"], ids=["module", "class"])
def test_the_last_definition_gets_the_name(
    own: Registry, module: Module, source: str, decorate: str, indent: str
) -> None:
    """Of functions that one run defines one after the other under one name the last has it, also when reloaded."""
    source = textwrap.dedent(source).replace("DECORATE", decorate)
    if indent:
        source = indent + textwrap.indent(source, "    ")
    name = "f" if "name=" in decorate else f"{module.name}.{'C.' * bool(indent)}f"
    for _ in range(3):
        loaded = module.load(source)
        live = loaded.C.f if indent else loaded.f
        assert names(own) == [name]
        assert own[live].name == name
        assert own[name] is own[live]


def test_a_name_goes_back_from_what_does_not_stay(own: Registry, module: Module) -> None:
    """What a reload replaced has its name again once the newcomer is gone, as IPython's autoreload does it."""
    base = f"{module.name}.f"
    source = "@bounded(max=3)\ndef f(x=0): return 1"
    loaded = module.load(source)
    first = loaded.f
    for _ in range(3):
        exec(compile(HEAD + source, str(module.path), "exec"), vars(loaded))
        second = vars(loaded).pop("f")
        assert [own[one].name for one in (first, second)] == [f"{base}#2", base]
        del second
        assert own[first].name == base
        assert own[base] is own[first]
        assert names(own) == [base]
    loaded = module.load(source)
    second, loaded = loaded.f, module.load(source)
    assert [own[one].name for one in (first, second, loaded.f)] == [f"{base}#2", f"{base}#3", base]
    del loaded.f
    assert [own[one].name for one in (second, first)] == [base, f"{base}#2"]
    del second
    assert names(own) == [base]
    assert own[base] is own[first]


def test_an_explicit_name_of_other_functions_does_not_go_back(own: Registry) -> None:
    """Functions that share no more than ``name=``, or a factory, keep their numbers when one of them goes."""
    functions = [bounded(max=3, name="f")(one) for one in (abs, len, sum)]
    del functions[0]
    assert [own[one].name for one in functions] == ["f#2", "f#3"]
    assert names(own) == ["f#2", "f#3"]


def test_a_record_that_outlives_its_function_has_no_name(own: Registry) -> None:
    """Whoever keeps a record keeps neither the function nor its name, and sees that nothing is there any more."""
    functions = [bounded(max=3, name="f")(lambda x: x) for _ in range(3)]
    for function in functions:
        function(1)
    records = [own[function] for function in functions]
    del function, functions
    gc.collect()
    assert names(own) == []
    assert len(own) == 0
    assert "f" not in own
    with pytest.raises(KeyError):
        own["f"]
    assert own.report().stores == ()
    assert own.cleanup().total == 0
    later = [bounded(max=3, name="f")(abs) for _ in range(2)]
    assert own[later[0]].name == "f"
    assert len(set(names(own))) == 2
    assert [record.cache for record in records] == [None] * 3
    assert records[0].stats().cache is None
    records.clear()
    assert own["f"] is own[later[0]]


def test_a_number_that_somebody_chose_is_passed_over(own: Registry) -> None:
    """``name="f#2"`` is a name like any other."""
    chosen = bounded(max=3, name="f#2")(abs)
    others = [bounded(max=3, name="f")(abs) for _ in range(3)]
    assert [own[one].name for one in (chosen, *others)] == ["f#2", "f", "f#3", "f#4"]
    del chosen
    gc.collect()
    assert own[(last := bounded(max=3, name="f")(abs))].name == "f#2"
    assert last in own


def test_many_of_one_name_take_no_longer_than_few() -> None:
    """Registering a function costs the same however many there are of its name: their names are not looked through."""
    looked = 0

    class Counting(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            nonlocal looked
            looked += 1
            return super().__contains__(key)

        def get(self, key: Any, default: Any = None) -> Any:
            nonlocal looked
            looked += 1
            return super().get(key, default)

    class One:
        def __init__(self) -> None:
            self.name, self.number, self.origin = "", None, origin

        def is_gone(self) -> bool:
            return False

    origin = Origin(abs, "m", "f")
    table = Names()
    table._records.data = Counting()  # type: ignore[attr-defined]
    kept: Any = [One() for _ in range(3_000)]
    for one in kept:
        table.add(one, "f", explicit=False)
    assert looked < 5 * len(kept)
    assert {one.name for one in kept} == {"f", *(f"f#{n}" for n in range(2, 3_001))}
    looked = 0
    for n in range(0, 3_000, 3):  # every third one dies, and another comes
        kept[n] = None
        kept[n] = One()
        table.add(kept[n], "f", explicit=False)
    assert looked < 5 * 1_000
    assert len({one.name for one in kept}) == 3_000
    assert len(table) == 3_000


def test_reloading_many_twins_looks_at_each_once(own: Registry, module: Module) -> None:
    """Functions that are replaced by their successors are found without looking through all of them each time."""
    source = "several = [bounded(max=3)(lambda x: x) for _ in range(300)]"
    asked = 0
    replaces = Origin.replaces

    def counting(self: Origin, holder: Origin, *, explicit: bool) -> bool:
        nonlocal asked
        asked += 1
        return replaces(self, holder, explicit=explicit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Origin, "replaces", counting)
        for _ in range(3):
            loaded = module.load(source)
            assert asked <= 2 * 300
            asked = 0
            numbers = [own[one].name.rpartition("#")[2] for one in loaded.several]
            assert numbers[1:] == [str(n) for n in range(2, 301)]
    del loaded
    assert len(names(own)) == 300


def test_nothing_is_left_of_names_that_nobody_has(own: Registry) -> None:
    """Names that had twins and are gone leave no memory behind, also if each is used only once."""
    for n in range(500):
        pair = [bounded(max=3, name=f"name {n}")(abs) for _ in range(3)]
        assert own[pair[2]].name == f"name {n}#3"
        del pair
        if n % 10 == 0:
            gc.collect()
    assert names(own) == []
    assert len(own._by_name) == 0
    assert len(own._by_name._twins) < 100


def test_a_number_is_given_back_from_any_thread() -> None:
    """Records may die in other threads while names are given: no number is lost or given twice."""
    twins = _Twins()
    over = threading.Event()
    dead: list[int] = []

    def give_back() -> None:
        while not over.is_set() or dead:
            if dead:
                twins.given_back.append(dead.pop())
            else:
                time.sleep(0)

    thread = threading.Thread(target=give_back, daemon=True)
    thread.start()
    held: list[int] = []
    try:
        for n in range(5_000):
            held.append(twins.take())
            assert len(set(held)) == len(held)
            if n % 2 and len(held) > 20:
                dead.append(held.pop(n % 20))
                dead.append(held.pop(0))
    finally:
        over.set()
        thread.join(20)
    twins.collect()
    assert sorted([*held, *twins.free]) == list(range(2, twins.next))


def test_a_run_is_not_kept_alive(own: Registry) -> None:
    """A record holds neither the code nor the namespace of the run that made it, nor a frame of it."""

    class Namespace(dict[str, Any]):
        pass

    namespace = Namespace(__name__="cell")
    code = compile(HEAD + "f = bounded(max=3)(abs)", "<cell>", "exec")
    exec(code, namespace)
    function = namespace.pop("f")
    gone = weakref.ref(code), weakref.ref(namespace)
    del code, namespace
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert function in own


# -- notebooks


def test_cells_of_a_notebook(own: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """In IPython a cell that is run again, edited or not, replaces what it defined before."""
    shell_class = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    shell = shell_class()
    shell.history_manager.enabled = False

    def run(cell: str) -> None:
        result = shell.run_cell(cell, store_history=False)
        result.raise_error()

    try:
        run(HEAD)
        name = shell.user_module.__name__
        cell = "@bounded(max=3)\ndef f(x): return {}\n\nclass C:\n    @bounded(max=3)\n    def m(self): return {}\n"
        for version in (1, 1, 2, 3, 3):
            run("# a comment\n" * version + cell.format(version, version))
            assert shell.user_ns["f"](0) == version
            assert own[f"{name}.f"] is own[shell.user_ns["f"]]
            assert own[f"{name}.C.m"] is own[shell.user_ns["C"].m]
        assert names(own) == [f"{name}.C.m", f"{name}.f"]
        lambdas = "g = bounded(max=3)(lambda x: x)\nh = bounded(max=3)(lambda x: -x)\n"
        for _ in range(3):
            run(lambdas)
        assert own[shell.user_ns["g"]].name == f"{name}.<lambda>"
        assert own[shell.user_ns["h"]].name == f"{name}.<lambda>#2"
        run("import asyncio\nawait asyncio.sleep(0)\n" + cell.format(4, 4))
        assert own[f"{name}.f"] is own[shell.user_ns["f"]]
    finally:
        shell.reset(new_session=False)


def test_adopted_caches_are_replaced_too(own: Registry) -> None:
    """A cell that adopts a cache and is run again leaves the name with the new one."""
    namespace: dict[str, Any] = {"__name__": "cell", "own": own}
    source = "import functools\n@functools.lru_cache\ndef f(x): return x\nown.adopt(f)"
    keep = []
    for _ in range(3):
        exec(source, namespace)
        keep.append(namespace["f"])
        assert own["cell.f"] is own[namespace["f"]]
    assert names(own) == ["cell.f", "cell.f#2", "cell.f#3"]


def test_copies_of_decorated_functions_are_themselves(own: Registry) -> None:
    """Copying decorates nothing, so it takes no name."""
    f = bounded(max=3, name="f")(functools.partial(abs))
    assert copy.copy(f) is f
    both = sliding_window("1h")(dedupe_inflight(f))
    assert names(own) == ["f"]
    assert own[both] is own[f]
