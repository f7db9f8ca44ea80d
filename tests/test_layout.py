"""The modules import in one direction, say what they export, and do nothing when imported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "memo"
PATHS = sorted(PACKAGE.rglob("*.py"))

# What a module may import from this package; one that is not listed may import any, in one direction.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_closest": set(),
    "_origins": set(),
    "_names": {"_origins"},
    "_snapshots": {"_key_text", "_units"},
    "_stats": {"_snapshots"},
    "_clock": {"_real_time"},
    "_loop_time": {"_real_time"},
    "_callers": set(),
    "_depth": set(),
    "_waits": {"_loop_time"},
    "_real_time": set(),
    "_instances": {"_weakly"},
    "_oneshot": set(),
    "_errors_shared": set(),
    "_policies": set(),
    "_stored_keys": {"_instances"},
    "_store": {
        "_store.departures",
        "_store.entries",
        "_store.entry_policy",
        "_store.entry_s3fifo",
        "_store.frequency",
        "_store.orders",
    },
    "_store.departures": {"_stats"},
    "_store.entries": {"_policies"},
    "_store.entry_policy": {"_policies"},
    "_store.entry_s3fifo": {"_policies", "_store.entry_policy"},
    "_store.frequency": {"_policies", "_store.entry_policy"},
    "_store.orders": {"_policies", "_store.entry_policy"},
    "_units": {"errors"},
    "_sizes": {"errors"},
    "_fields": set(),
    "_freeze": {"_fields", "_short_text", "errors"},
    "_pace": set(),
    "_walks": {"_policies"},
    "_weights": {"_instances", "_sizes"},
    "_asides": set(),
    "_stores": {"_asides", "_instances", "_policies", "_stats", "_store", "_walks"},
    "_gates": set(),
    "_janitor": {"_callers", "_clock", "_gates", "_real_time", "_stats", "_units"},
    "_calls": set(),
    "_bound_calls": {"_calls"},
    "_asking": {"_calls"},
    "_keys": {"_asking", "_calls", "_instances", "_short_text", "_stored_keys"},
    "_wrappers": {"_asking", "_calls", "_keys"},
    "_weakly": set(),
    "_flight_table": {
        "_asides",
        "_callers",
        "_clock",
        "_errors_shared",
        "_gates",
        "_loop_time",
        "_oneshot",
        "_stats",
        "_waits",
        "errors",
    },
    "_flight_threads": {"_callers", "_clock", "_flight_table", "_oneshot", "_real_time", "_stored_keys"},
    "_flight_tasks": {
        "_depth",
        "_callers",
        "_clock",
        "_flight_table",
        "_loop_time",
        "_oneshot",
        "_stored_keys",
        "_waits",
    },
    "_flights": {"_flight_table", "_flight_tasks", "_flight_threads"},
    "_inflight_handle": {"_flights", "_instances", "_stats", "_wrappers"},
    "_dump": {"_real_time", "errors"},
    "_persist": {"_dump", "_key_text", "_pace", "_real_time", "_stored_keys", "errors"},
    "_tags": set(),
    "_slips": set(),
    "_switch": set(),
    "_error_types": set(),
    "_background": {"_callers", "_clock", "_flight_table", "_flight_tasks", "_gates", "_real_time", "_waits"},
    "_cache_options": {"_error_types", "_stats", "_stores", "_tags", "_units"},
    "_loads": {
        "_asides",
        "_cache_options",
        "_clock",
        "_depth",
        "_flights",
        "_instances",
        "_oneshot",
        "_pace",
        "_short_text",
        "_sizes",
        "_stats",
        "_stored_keys",
        "_stores",
        "_units",
        "_weights",
    },
    "_jobs": {"_asides", "_background", "_cache_options", "_clock", "_flights", "_loads"},
    "_freshness": {
        "_background",
        "_cache_options",
        "_errors_shared",
        "_flights",
        "_jobs",
        "_real_time",
        "_short_text",
        "_stored_keys",
        "_stores",
        "_weights",
        "errors",
    },
    "_within": {"_freshness", "_wrappers"},
    "_cache": {
        "_freshness",
        "_inflight_handle",
        "_pace",
        "_persist",
        "_short_text",
        "_stats",
        "_stores",
        "_units",
        "_within",
        "_wrappers",
    },
    "_short_text": {"_real_time"},
    "_key_text": {"_short_text"},
    "_events": {"_key_text"},
    "_totals": {"_events"},
    "_window_records": {"_snapshots"},
    "_intake": {"_asides", "_events", "_key_text", "_pace", "_real_time", "_totals", "_window_records"},
    "_recorder": {"_events", "_intake", "_key_text", "_real_time", "_totals", "_window_records"},
    "_window_handle": {"_key_text", "_recorder", "_units", "_window_records"},
    "_table": {"_units"},
    "_peek": set(),
    "_adopted": {"_peek", "_snapshots", "_tags"},
    "_arguments": {"_pace", "_sizes"},
    "_report": {
        "_adopted",
        "_arguments",
        "_instances",
        "_pace",
        "_peek",
        "_sizes",
        "_snapshots",
        "_stored_keys",
        "_table",
        "_units",
    },
    "_cleanup": {"_pace", "_stats"},
    "_records": {
        "_adopted",
        "_cache",
        "_cleanup",
        "_inflight_handle",
        "_names",
        "_origins",
        "_snapshots",
        "_stats",
        "_tags",
        "_window_handle",
        "_window_records",
    },
    "_views": {
        "_adopted",
        "_cleanup",
        "_closest",
        "_records",
        "_report",
        "_sizes",
        "_stats",
        "_switch",
        "_table",
        "_tags",
        "_units",
    },
    "_registry": {
        "_adopted",
        "_background",
        "_cache",
        "_cleanup",
        "_gates",
        "_inflight_handle",
        "_janitor",
        "_names",
        "_origins",
        "_records",
        "_stats",
        "_units",
        "_views",
        "_window_handle",
    },
    "_layer": {
        "_asides",
        "_bound_calls",
        "_calls",
        "_clock",
        "_flights",
        "_instances",
        "_keys",
        "_records",
        "_sizes",
        "_switch",
        "_tags",
        "_weakly",
        "_wrappers",
    },
    "_assigned": {"_layer"},
    "_every_class": {"_cache", "_inflight_handle"},
    "_handles": {"_cache", "_inflight_handle", "_layer", "_records", "_stats", "_window_handle"},
    "_holders": {"_handles", "_layer"},
    "_bound": {"_handles", "_layer"},
    "_decorated": {
        "_assigned",
        "_bound",
        "_cache",
        "_every_class",
        "_handles",
        "_holders",
        "_inflight_handle",
        "_keys",
        "_layer",
        "_wrappers",
    },
    "_decorated_object": {"_decorated", "_holders", "_layer"},
    "_shipping": {"_bound", "_decorated", "_decorated_object", "_holders", "_layer"},
    "_placement": {
        "_bound_calls",
        "_decorated",
        "_decorated_object",
        "_holders",
        "_key_text",
        "_layer",
        "_origins",
        "_registry",
        "_shipping",
        "_slips",
    },
    "testing": {"_asides", "_clock", "_layer", "_records", "_registry", "_units", "_views"},
}
# Which modules may import a library that the package is built on, or an extra.
USERS = {
    "wrapt": {"_decorated", "_decorated_object", "_shipping"},
    "cachetools": {"_events", "_peek", "_policies", "_store", "_stores"},
    "aiohttp": {"_demo"},
    "rich": {"_demo"},
}
# Commands are started by a user, fixtures by a test: they import what a run needs when it needs it.
LAZY = {"__main__", "_demo", "pytest_plugin"}
# What few programs use and takes long to import.
RARE = {"_persist"}


def name_of(path: Path) -> str:
    """The module's name within the package: ``_calls``, ``_demo.service``, ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in PATHS}


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


def imports(module: str) -> list[tuple[str, bool, bool]]:
    parent = PACKAGE / module.replace(".", "/")
    package = f"memo.{module}" if parent.is_dir() else ".".join(["memo", *module.split(".")[:-1]])
    return list(imports_of(TREES[module], package=package))


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


def own_imports(module: str) -> set[str]:
    """Modules of this package that it imports when it runs.

    Imports for annotations alone are left out: two modules may name each other's classes there.
    """
    reached = {own_module(dotted) for dotted, _, for_types in imports(module) if not for_types}
    return {name for name in reached if name is not None and name != module}


@pytest.mark.parametrize("module", TREES)
def test_imports_point_one_way(module: str) -> None:
    """A module imports only what the layering allows, and never from the package's public face."""
    reached = own_imports(module)
    assert "__init__" not in reached, f"{module} must import from the module that defines the name"
    assert reached <= ALLOWED.get(module, reached), f"{module} must not import {reached - ALLOWED[module]}"


def test_imports_have_no_cycle() -> None:
    """The modules can be put in an order in which each imports only earlier ones."""
    graph = {module: own_imports(module) for module in TREES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")
    assert set(TREES) <= set(order)


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
    assert not {"aiohttp", "rich", "uvloop", "pytest", "hypothesis"} & set(ran.stdout.split())
