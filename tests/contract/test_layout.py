"""The modules import in one direction, say what they export, and do nothing when imported."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from kit.places import ROOT
from kit.sources import Trees

PACKAGE = ROOT / "memo"
PATHS = sorted(PACKAGE.rglob("*.py"))

# What each folder, and each file beside them, may import from this package, for annotations and in functions too; from
# a folder, only what its face names.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "_native": set(),
    "_info": {"_native"},
    "_freeze": set(),
    "_rings": {"_native"},
    "_late": set(),
    "policies": {"_rings", "_late"},
    "_base": {"_late", "errors"},
    "_call": {"_base", "_freeze", "_native"},
    "_store": {"policies", "_rings", "_call", "_base", "_native", "_late"},
    "_flight": {"_call", "_base", "_native", "errors"},
    "_window": {"_call", "_base", "_native", "_late"},
    "_rate": {"_call", "_base", "_late", "errors"},
    "_adopted": {"_base"},
    "_cache": {"_store", "_flight", "_call", "_base", "_native", "_late", "errors"},
    "_many": {"_native", "_cache", "_store", "_flight", "_call", "_base", "errors"},
    "shared": {"_cache", "_flight", "_call", "_base", "_freeze", "errors"},
    "_registry": {"shared", "_cache", "_store", "_flight", "_window", "_rate", "_adopted", "_call", "_base", "_late"},
    "_decorated": {"_registry", "_cache", "_flight", "_window", "_rate", "_call", "_base", "_native", "_late"},
    "_bounded": {"shared", "_decorated", "_registry", "_cache", "_store", "_flight", "_call", "_base"},
    "_bounded_many": {
        "_bounded",
        "_decorated",
        "_registry",
        "_many",
        "_cache",
        "_store",
        "_flight",
        "_call",
        "_base",
        "errors",
    },
    "_dedupe_inflight": {"_decorated", "_registry", "_flight", "_call", "_base"},
    "_sliding_window": {"_decorated", "_registry", "_window", "_call", "_base"},
    "_limit": {"_decorated", "_registry", "_rate", "_call", "_base"},
    "_lru_cache": {"_bounded", "_decorated", "_cache", "_call", "_base"},
    "_cached_property": {"_dedupe_inflight", "_decorated", "_registry", "_flight", "_call", "_base"},
    "_benchmark": {"_base"},
    "testing": {"_benchmark", "_decorated", "_registry", "_base"},
    "pytest_plugin": {"_benchmark", "testing"},
    # Users of the package like any other; of the rest they have what makes text of figures.
    "exporters": {"__init__", "_base", "_info", "_late", "errors"},
    "_demo": {"__init__", "_base", "errors", "shared"},
    "_replay": {"__init__", "_base", "errors", "policies"},
    "_commands": {"exporters", "_base", "errors"},
    "__main__": {"_commands", "_demo", "_info", "_replay", "errors"},
}
# Folders of which users import: their faces name what is for users, and nothing that is for the package alone.
PUBLIC: dict[str, tuple[str, ...]] = {
    "exporters": ("Place", "Source", "SourceError", "serving"),
    "policies": ("AdaptiveCache", "LIRSCache", "S3FIFOCache", "SieveCache"),
    "shared": ("Shared", "Tier", "TierStats"),
}
# What a face has besides, to import what it names when that is asked for.
LAZY_FACE = {"TYPE_CHECKING", "__dir__", "__getattr__", "late"}
# The one call upwards: registry.serve(), which is looked for on a registry, and is the work of what stands on the roof.
# It is imported when called, by name; this is the annotation of what it returns.
UPWARDS = {"_registry.registries": {"memo.exporters.http.Server"}}
# What the store may know of calls: that keys can belong to instances, and that they are not compared under its lock.
OF_CALLS = {
    "InstanceRef", "Undecided", "belongs_to", "comparing_outside", "held_parts", "owner_of", "refs_in",
    "rest_of",
}  # fmt: skip
# Which folders and files may import a library that the package is built on, or an extra.
USERS = {
    "wrapt": {"_decorated"},
    "cachetools": {"_rings", "_adopted", "_store", "_window", "_replay", "policies"},
    "aiohttp": {"_demo"},
    "rich": {"_commands", "_demo"},
    "prometheus_client": {"exporters"},
    "opentelemetry": {"exporters"},
}
# Commands are started by a user, fixtures by a test, exporters by a scrape: they import what a run needs when it needs
# it.
LAZY = {"__main__", "_commands", "_demo", "exporters", "pytest_plugin"}
# What few programs use and takes long to import.
RARE = {
    "_cache.dump_entries", "_cache.recording_file", "_decorated.limit_of_every_class",
    "_store.entry_s3fifo", "_store.entry_sieve", "_store.frequency", "_store.orders", "policies",
}  # fmt: skip


def name_of(path: Path) -> str:
    """The module's name within the package: ``_call.signature``, ``_demo.service``, ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


TREES = Trees({name_of(path): path for path in PATHS})


FOLDERS = sorted({name.partition(".")[0] for name in TREES if "." in name} - {"_demo"})


def imports_of(
    node: ast.AST, *, package: str = "memo", in_function: bool = False, for_types: bool = False
) -> Iterator[tuple[str, bool, bool]]:
    """Each dotted name that is imported, whether inside a function, whether for annotations alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, in_function, for_types
        elif isinstance(child, ast.ImportFrom):
            outer = package.rsplit(".", child.level - 1)[0] if child.level else ""
            base = ".".join(filter(None, (outer, child.module)))
            for alias in child.names:
                yield f"{base}.{alias.name}", in_function, for_types
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part, typed in ((child.body, True), (child.orelse, for_types)):
                yield from imports_of(ast.Module(part, []), package=package, in_function=in_function, for_types=typed)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(child, package=package, in_function=in_function or function, for_types=for_types)


@functools.cache
def imports(module: str) -> list[tuple[str, bool, bool]]:
    parent = PACKAGE / module.replace(".", "/")
    package = f"memo.{module}" if parent.is_dir() else ".".join(["memo", *module.split(".")[:-1]])
    upwards = {(dotted, False, True) for dotted in UPWARDS.get(module, ())}
    found = list(imports_of(TREES[module], package=package))
    assert upwards <= set(found), f"{module} does not need its exception any more"
    return [one for one in found if one not in upwards]


def own_module(dotted: str) -> str | None:
    """The module of this package that an import reaches; ``__init__`` for the package, None for others."""
    first, *rest = dotted.split(".")
    if first != "memo":
        return None
    for end in range(len(rest), 0, -1):
        if ".".join(rest[:end]) in TREES:
            return ".".join(rest[:end])
    # ``from memo import name`` reaches the package itself, ``from memo.name import x`` a module that is not there.
    return rest[0] if len(rest) > 1 else "__init__"


def folder_of(module: str) -> str:
    """The folder that a module lies in, or its own name if it lies beside them."""
    return module.partition(".")[0]


def own_imports(module: str) -> set[str]:
    """Modules of this package that it imports, for annotations and in functions too."""
    reached = {own_module(dotted) for dotted, _, _ in imports(module)}
    return {name for name in reached if name is not None and name != module}


def test_every_room_has_an_arrow() -> None:
    """The table has a row for each folder and each file beside them, and no other."""
    assert set(ARROWS) == {folder_of(module) for module in TREES} - {"__init__"}


@pytest.mark.any_version
@pytest.mark.parametrize("module", [module for module in TREES if module != "__init__"])
def test_arrows_point_one_way(module: str) -> None:
    """A module imports from outside its folder only what the plan allows, annotations and lazy imports included."""
    own = folder_of(module)
    reached = {folder_of(name) for dotted, _, _ in imports(module) if (name := own_module(dotted)) is not None}
    assert reached - {own} <= ARROWS[own], f"{module} must not import {reached - {own} - ARROWS[own]}"


def faces(tree: ast.Module) -> set[str]:
    """The names that others may take from a folder: those of ``__all__``, and those that are for annotations alone."""
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if "__all__" in {ast.unparse(target) for target in targets}:
                names.update(ast.literal_eval(statement.value))
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            names.update(
                alias.asname
                for part in statement.body
                if isinstance(part, ast.ImportFrom)
                for alias in part.names
                if alias.asname is not None
            )
    return names


@pytest.mark.any_version
@pytest.mark.parametrize("module", [module for module in TREES if module != "__init__"])
def test_visitors_enter_by_the_face(module: str) -> None:
    """From another folder a module takes what the folder's face names, and nothing from behind it."""
    for dotted, _, _ in imports(module):
        _, *parts = dotted.split(".")
        if (
            own_module(dotted) in (None, "__init__")
            or folder_of(parts[0]) == folder_of(module)
            or parts[0] not in FOLDERS
        ):
            continue
        taken = ".".join(parts[1:])
        if (module, parts[0]) == ("__main__", "_demo"):
            continue  # a command runs its file
        # of a face that is imported whole, whatever is read, in annotations that are text too
        read = {taken} if taken else set(re.findall(rf"\bmemo\.{parts[0]}\.(\w+)", ast.unparse(TREES[module])))
        assert read, f"{module} imports {parts[0]} and takes nothing"
        assert read <= faces(TREES[parts[0]]), f"{module} takes {read} from behind the face of {parts[0]}"
        if folder_of(module) == "_store" and parts[0] == "_call":
            assert taken in OF_CALLS, f"{module} must not know {taken}"


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in PUBLIC])
def test_faces_offer_what_is_asked_for(folder: str) -> None:
    """A face names what some other room takes from it or the package exports, and nothing more."""
    taken = {
        parts[2]
        for module in TREES
        if folder_of(module) != folder
        for dotted, _, _ in imports(module)
        if (parts := dotted.split("."))[:2] == ["memo", folder] and len(parts) == 3
    }
    assert faces(TREES[folder]) <= taken


@pytest.mark.parametrize("folder", PUBLIC)
def test_public_folders_show_what_is_for_users(folder: str) -> None:
    """The face of a public folder names its own classes; each has the path that users import it by, and a docstring."""
    face = importlib.import_module(f"memo.{folder}")
    assert face.__all__ == PUBLIC[folder]
    for name in face.__all__:
        public = getattr(face, name)
        assert public.__module__ == face.__name__, f"{name} is said to be from {public.__module__}"
        assert public.__doc__, f"{name} has no docstring"
    bound = {*bound_names(TREES[folder].body)}
    besides = LAZY_FACE if "__getattr__" in bound else set()
    assert bound == {"__all__", *besides, *face.__all__}, "the face binds more than it names"


def test_imports_have_no_cycle() -> None:
    """The modules can be put in an order in which each imports only earlier ones, for annotations too."""
    graph = {module: own_imports(module) for module in TREES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")
    assert set(TREES) <= set(order)


@pytest.mark.any_version
@pytest.mark.parametrize("module", TREES)
def test_no_import_hides_in_a_function(module: str) -> None:
    """No module imports another of this package inside a function, except the commands, and what few programs use."""
    own = {own_module(dotted) for dotted, in_function, _ in imports(module) if in_function}
    hidden = own - RARE - {None}
    assert not hidden or module.partition(".")[0] in LAZY, f"{module} hides the import of {hidden}"


@pytest.mark.parametrize("library", USERS)
def test_library_has_few_users(library: str) -> None:
    """Each library is imported by the modules that are there to wrap it, so that it can be exchanged."""
    users = {
        module.partition(".")[0]
        for module in TREES
        for dotted, _, _ in imports(module)
        if dotted.partition(".")[0] == library
    }
    assert users <= USERS[library]


def bound_names(body: list[ast.stmt]) -> Iterator[str]:
    """Every name that the module's top level binds, also under ``if``, ``try`` and ``with``."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
            case _:
                for field in ("body", "orelse", "finalbody"):
                    yield from bound_names(getattr(statement, field, []))
                for handler in getattr(statement, "handlers", []):
                    yield from bound_names(handler.body)


@pytest.mark.any_version
@pytest.mark.parametrize("module", TREES)
def test_exports_are_declared(module: str) -> None:
    """``__all__`` is a tuple of names that exist, and lists each public class and function defined there."""
    tree = TREES[module]
    values = [
        statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and "__all__" in {ast.unparse(t) for t in getattr(statement, "targets", [getattr(statement, "target", None)])}
    ]
    assert len(values) == 1, f"{module} assigns __all__ {len(values)} times"
    assert isinstance(values[0], ast.Tuple), f"{module}.__all__ is not a tuple"
    declared = [ast.literal_eval(item) for item in values[0].elts]
    assert len(declared) == len(set(declared)), f"{module}.__all__ lists a name twice"
    assert set(declared) <= set(bound_names(tree.body)), f"{module}.__all__ lists names that do not exist"
    defined = {
        statement.name
        for statement in tree.body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not statement.name.startswith("_")
    }
    assert defined <= set(declared), f"{module}.__all__ misses {defined - set(declared)}"


@pytest.mark.any_version
@pytest.mark.parametrize("module", TREES)
def test_module_says_what_it_is(module: str) -> None:
    """Every module has a docstring."""
    assert ast.get_docstring(TREES[module])


WATCHED_IMPORT = """
import asyncio.base_events, os, sys, threading

loops, threads = [], []
make, start = asyncio.base_events.BaseEventLoop.__init__, threading.Thread.start
asyncio.base_events.BaseEventLoop.__init__ = lambda self: (loops.append(self), make(self))[1]
threading.Thread.start = lambda self: (threads.append(self), start(self))[1]

def descriptors():
    return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0

before = descriptors()
from memo import *
# Frames count threads that were started below the threading module, too.
print(len(loops), len(threads), len(sys._current_frames()) - 1, descriptors() - before)

# The watchers do see what they are to see.
release = threading.Event()
thread = threading.Thread(target=release.wait)
thread.start()
asyncio.new_event_loop().close()
with open(os.devnull):
    opened = descriptors() - before if os.path.isdir("/dev/fd") else 1
print(len(loops), len(threads), len(sys._current_frames()) - 1, opened)
release.set()
thread.join()
"""


def test_import_does_nothing() -> None:
    """Importing the package starts no thread, creates no event loop, leaves no file open."""
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["0 0 0 0", "1 1 1 1"]


def test_import_needs_no_extra() -> None:
    """The package itself loads neither an extra nor a tool of the tests."""
    script = "import sys, memo; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=True
    )
    extras = {"aiohttp", "opentelemetry", "prometheus_client", "rich", "starlette"}
    assert not {*extras, "uvloop", "pytest", "hypothesis"} & set(ran.stdout.split())


def test_a_decorated_function_loads_nothing_rare() -> None:
    """What dumps, recordings, exporters and a shared tier are made of is not imported by a program that has none."""
    script = "import sys; from memo import bounded; bounded(max=9)(str)(1); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=True
    )
    policies = {f"memo.policies.{name}" for name in ("lirs", "s3fifo", "sieve")}  # the face is asked for the default
    rare = {*(f"memo.{name}" for name in RARE - {"policies"}), *policies, "memo._cache.dump_values", "memo.exporters"}
    assert not {*rare, "memo.shared", "redis", "valkey", "uuid", "decimal"} & set(ran.stdout.split())
