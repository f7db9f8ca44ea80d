"""Names in the registry when code is run again and when functions are alike: what replaces what, what gets a number."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import memo
from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo._registry.names import Names, _Twins
from memo._registry.origins import Origin

HEAD = "from memo import bounded, dedupe_inflight, sliding_window\n"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry in place of the default one, so that sources need not name it."""
    own = Registry()
    monkeypatch.setattr(memo._registry.enrolling, "registry", own)  # type: ignore[attr-defined]
    return own


class Module:
    """A module in a file, which can be written and reloaded."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}.py"
        self.name = name
        self._stamp = 1_000_000_000

    def load(self, source: str) -> types.ModuleType:
        self.path.write_text(HEAD + textwrap.dedent(source))
        importlib.invalidate_caches()
        self.path.with_suffix(".pyc").unlink(missing_ok=True)
        for cached in self.path.parent.glob("__pycache__/*"):
            cached.unlink()
        there = sys.modules.get(self.name)
        return importlib.import_module(self.name) if there is None else importlib.reload(there)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """A module of a name of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Module(tmp_path, "memo_reloaded_module")
    sys.modules.pop("memo_reloaded_module", None)


def names(own: Registry) -> list[str]:
    gc.collect()
    return [record.name for record in own]


# -- what is replaced

PLACEMENTS = {
    "function": ("@bounded(max=3)\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "coroutine": ("@bounded(max=3)\nasync def f(x=0): return VERSION", "f", lambda m: m.f),
    "flights": ("@dedupe_inflight\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "window": ("@sliding_window('1h')\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "stack": (
        "@sliding_window('1h')\n@bounded(max=3)\n@dedupe_inflight(timeout=5)\ndef f(x=0): return VERSION",
        "f",
        lambda m: m.f,
    ),
    "method": ("class C:\n    @bounded(max=3)\n    def f(self, x=0): return VERSION", "C.f", lambda m: m.C.f),
    "class method": (
        "class C:\n    @classmethod\n    @bounded(max=3)\n    def f(cls, x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "outer class method": (
        "class C:\n    @bounded(max=3)\n    @classmethod\n    def f(cls, x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "static method": (
        "class C:\n    @staticmethod\n    @bounded(max=3)\n    def f(x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "property": (
        "class C:\n    @bounded(max=3)\n    @property\n    def f(self): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "inner class": (
        "class C:\n    class D:\n        @bounded(max=3)\n        def f(self, x=0): return VERSION",
        "C.D.f",
        lambda m: m.C.D.f,
    ),
    "wrapped": (
        (
            "import functools\n"
            "def passing(fn):\n    @functools.wraps(fn)\n    def inner(*a, **k): return fn(*a, **k)\n    return inner\n"
            "@bounded(max=3)\n@passing\ndef f(x=0): return VERSION"
        ),
        "f",
        lambda m: m.f,
    ),
    "helper": (
        "def cached(fn): return bounded(max=3)(fn)\n@cached\ndef f(x=0): return VERSION",
        "f",
        lambda m: m.f,
    ),
    "lambda": ("f = bounded(max=3)(lambda x=0: VERSION)", "<lambda>", lambda m: m.f),
    "closure": (
        "def make():\n    @bounded(max=3)\n    def f(x=0): return VERSION\n    return f\ng = make()",
        "make.<locals>.f",
        lambda m: m.g,
    ),
    "of a library": ("import textwrap\nf = bounded(max=3)(textwrap.dedent)\n# VERSION", None, lambda m: m.f),
    "partial": (
        "import functools\ndef g(x=0): return VERSION\nf = bounded(max=3)(functools.partial(g, 0))",
        None,
        lambda m: m.f,
    ),
}
every_placement = pytest.mark.parametrize(("source", "name", "find"), PLACEMENTS.values(), ids=PLACEMENTS)


@every_placement
@pytest.mark.parametrize("held", [False, True], ids=["let go", "held"])
def test_a_reloaded_module(
    own: Registry, module: Module, source: str, name: str | None, find: Callable[[Any], Any], held: bool
) -> None:
    """After each reload the name leads to the live function at once; an earlier one that is held gets a number."""
    keep = []
    base = f"{module.name}.{name}"
    for version in range(4):
        loaded = module.load(source.replace("VERSION", str(version)))
        live = find(loaded)
        if name is None:
            base = own[live].name
        assert own[live].name == base
        assert own[base] is own[live]
        if held:
            keep.append(live)
        else:
            assert names(own) == [base]
    if held:
        assert sorted(names(own)) == [base, *(f"{base}#{n}" for n in (2, 3, 4))]
        assert {own[one].name for one in keep} == set(names(own))
        keep.clear()
        assert names(own) == [base]


@every_placement
@pytest.mark.parametrize("new_namespace", [False, True])
def test_a_source_that_is_executed_again(
    own: Registry, source: str, name: str | None, find: Callable[[Any], Any], new_namespace: bool
) -> None:
    """Executing the same text again replaces what it made, in the same namespace or in another."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    keep = []
    for _ in range(3):
        if new_namespace:
            namespace = {"__name__": "cell"}
            keep.append(namespace)
        exec(HEAD + source.replace("VERSION", "1"), namespace)
        live = find(types.SimpleNamespace(**namespace))
        assert "#" not in own[live].name
        assert own[own[live].name] is own[live]
    assert len(names(own)) == (3 if new_namespace else 1)


@every_placement
@pytest.mark.parametrize("new_namespace", [False, True])
def test_code_that_is_compiled_once_and_executed_again(
    own: Registry, source: str, name: str | None, find: Callable[[Any], Any], new_namespace: bool
) -> None:
    """Executing one code object again replaces what it defined, unless that may as well have been a loop or a call."""
    code = compile(HEAD + source.replace("VERSION", "1"), "<cell>", "exec")
    namespace: dict[str, Any] = {"__name__": "cell"}
    keep = []
    for _ in range(3):
        namespace = {"__name__": "cell"} if new_namespace else namespace
        exec(code, namespace)
        keep.append(live := find(types.SimpleNamespace(**namespace)))
    is_definition = name is not None and ("<locals>" not in name or new_namespace)
    assert ("#" not in own[live].name) == is_definition


@pytest.mark.parametrize(
    "loop",
    [
        "while len(found) < 3:\n    {}",
        "for _ in range(3):\n    {}",
        "for _ in range(3):\n    class C:\n        {}",
        "class C:\n    for _ in range(3):\n        {}",
        "class C:\n    class D:\n        while len(found) < 3:\n            {}",
    ],
)
def test_loops_are_told_from_runs(own: Registry, loop: str) -> None:
    """A definition in a loop, be it within a class, makes twins; the same without a loop is a run of its own."""
    depth = " " * (len(loop.splitlines()[-1]) - 2)
    definition = f"@bounded(max=3)\n{depth}def f(x): return x\n{depth}found.append(f)"
    namespace: dict[str, Any] = {"__name__": "cell", "found": []}
    exec(compile(HEAD + loop.format(definition), "<cell>", "exec"), namespace)
    assert [own[one].name.partition("#")[2] for one in namespace["found"]] == ["", "2", "3"]


EDITABLE = (
    "function", "coroutine", "flights", "window", "stack", "method", "class method", "static method", "property",
)  # fmt: skip


@pytest.mark.parametrize("placement", EDITABLE)
def test_an_edited_cell_is_run_again(own: Registry, placement: str) -> None:
    """A function that is defined again in one namespace replaces the earlier one, whatever else has changed."""
    source, name, find = PLACEMENTS[placement]
    namespace: dict[str, Any] = {"__name__": "cell"}
    keep = []
    for version in range(3):
        text = HEAD + f"# {version}\n" * version + source.replace("VERSION", str(version))
        exec(compile(text, f"<cell {version}>", "exec"), namespace)
        live = find(types.SimpleNamespace(**namespace))
        keep.append(live)
        assert own[live].name == f"cell.{name}"
        assert own[f"cell.{name}"] is own[live]
    assert names(own) == [f"cell.{name}", f"cell.{name}#2", f"cell.{name}#3"]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        "@bounded(max=3, name='profiles')\ndef f(x): return VERSION",
        "f = bounded(max=3, name='profiles')(lambda x: VERSION)",
        "@sliding_window('1h', name='profiles')\n@bounded(max=3)\ndef f(x): return VERSION",
        "@sliding_window('1h')\n@bounded(max=3, name='profiles')\ndef f(x): return VERSION",
        "class C:\n    @bounded(max=3, name='profiles')\n    def g(self): return VERSION\nf = C.g",
    ],
)
@pytest.mark.parametrize("way", ["reload", "cell"])
def test_an_explicit_name_goes_over(own: Registry, module: Module, source: str, held: bool, way: str) -> None:
    """An explicit name leads to the function that bears it now, also where it is that of one decorator of a stack."""
    namespace: dict[str, Any] = {"__name__": "cell"}
    keep = []
    for version in range(3):
        text = "# edited\n" * version + source.replace("VERSION", str(version))
        if way == "reload":
            live = module.load(text).f
        else:
            exec(HEAD + text, namespace)
            live = namespace["f"]
        assert own[live].name == "profiles"
        assert own["profiles"] is own[live]
        if held:
            keep.append(live)
    del live
    assert len(names(own)) == (3 if held else 1)


def test_a_module_that_is_imported_again_under_its_name(own: Registry, module: Module) -> None:
    """A module that was thrown out of ``sys.modules`` and imported once more replaces what is left of the first."""
    source = PLACEMENTS["function"][0]
    first = module.load(source)
    del sys.modules[module.name]
    second = module.load(source.replace("VERSION", "2"))
    assert first is not second
    assert own[f"{module.name}.f"] is own[second.f]
    assert own[f"{module.name}.f#2"] is own[first.f]


def test_a_script_that_is_run_again(own: Registry, tmp_path: Path) -> None:
    """``runpy`` and what resembles it (``%run``) make a new namespace for the same file each time."""
    script = tmp_path / "script.py"
    script.write_text(HEAD + PLACEMENTS["function"][0].replace("VERSION", "1"))
    first = runpy.run_path(str(script), run_name="script")
    second = runpy.run_path(str(script), run_name="script")
    assert own["script.f"] is own[second["f"]]
    assert own["script.f#2"] is own[first["f"]]


def test_twins_are_replaced_in_their_order(own: Registry, module: Module) -> None:
    """Each of several functions alike replaces its own predecessor, so that reloading does not count upwards."""
    source = """
    import functools

    @functools.singledispatch
    def show(x): ...

    @show.register
    @bounded(max=3)
    def _(x: int): return "int"

    @show.register
    @bounded(max=3)
    def _(x: str): return "str"

    several = [bounded(max=3)(lambda x: x) for _ in range(3)]

    def make():
        @bounded(max=3)
        def f(x): return x
        return f

    closures = [make(), make()]
    """
    keep = []
    for round_ in range(4):
        loaded = module.load(source)
        found = {own[one].name.rpartition(".")[2] for one in (loaded.show.dispatch(int), loaded.show.dispatch(str))}
        assert found == {"_", "_#2"}
        assert [own[one].name.rpartition("#")[2] for one in loaded.several][1:] == ["2", "3"]
        assert [own[one].name for one in loaded.closures] == [
            f"{module.name}.make.<locals>.f",
            f"{module.name}.make.<locals>.f#2",
        ]
        if round_ == 1:
            keep.append((loaded.several, loaded.closures, loaded.show))
    assert len(names(own)) == 14
    keep.clear()
    assert len(names(own)) == 7


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
