"""A second run of the same code takes over the names of the first."""

import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.reloading import HEAD, PLACEMENTS, Module, names

import memo
from memo import Registry


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry in place of the default one, so that sources need not name it."""
    own = Registry()
    monkeypatch.setattr(memo._registry.enrolling, "registry", own)  # type: ignore[attr-defined]
    return own


# -- what is replaced

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
    "function", "coroutine", "flights", "window", "limit", "stack", "method", "class method", "static method",
    "property",
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
