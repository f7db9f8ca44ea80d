"""Locks are taken in the few ways that leave none taken, whichever point an exception strikes.

``memo._base.gates`` says where one can strike.  What is safe follows from that:

- ``with lock:`` where the lock is written in C: entering it is one step.
- ``took.extend(map(lock.acquire, ...))`` first of all in a ``try`` whose ``finally`` asks ``took``: one step takes the
  lock and notes that it has.
- ``lock.acquire()`` first of all in a ``try`` whose ``finally`` releases it, where a release of what is not held is
  passed over.
- A lock that is a gate, made and taken by the one who will wait at it.

Within, no jump backward lies outside of what the compiler takes for the ``with`` or ``try``: see ``memo._base.gates``.

Conditions, events, semaphores and queues are written in Python, and so is whatever else has an ``__enter__``: cut
short, they stay taken.
"""

import ast
import dis
import functools
import re
import sys
import textwrap
import types
from _thread import LockType, RLock
from collections.abc import Iterator

import pytest
from kit.places import ROOT
from kit.sources import Trees
from kit.strikes import locks_of

from memo import registry

PACKAGE = ROOT / "memo"
TREES = Trees(
    {
        path.relative_to(PACKAGE).as_posix(): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if "_demo" not in path.parts  # which is a user
    }
)

MADE_IN_C = {"Lock", "RLock", "allocate_lock", "_allocate_lock", "rlock"}
MADE_IN_PYTHON = {
    "Barrier", "BoundedSemaphore", "Condition", "Event", "LifoQueue", "PriorityQueue", "Queue", "Semaphore",
}  # fmt: skip
THEIR_MODULES = {"threading", "queue", "multiprocessing", "concurrent", "asyncio"}
GATES = {"Gate", "_ThreadGate"}
"""Classes whose lock is where their one waiter stands."""
TAKES_MANY = {"Held.take"}
"""Takes locks for somebody who gives all of them back: a fork."""
OF_OTHERS = {"Adopted._guarded"}
"""Takes the lock of an adopted cache by its ``acquire``; one that has none can only be entered."""


def walk(node: ast.AST, above: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """Every node below, and what it stands in, outermost first."""
    for child in ast.iter_child_nodes(node):
        yield child, (*above, node)
        yield from walk(child, (*above, node))


def qualified(above: tuple[ast.AST, ...]) -> str:
    return ".".join(one.name for one in above if isinstance(one, ast.FunctionDef | ast.ClassDef))


def last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def locks_made(tree: ast.AST) -> Iterator[str]:
    """The names that locks are bound to."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        if any(isinstance(one, ast.Call) and last_name(one.func) in MADE_IN_C for one in ast.walk(node.value)):
            yield from map(last_name, node.targets if isinstance(node, ast.Assign) else [node.target])


@functools.cache
def locks() -> frozenset[str]:
    """The names that locks go by in the package; the parameter of the name ``lock`` is one."""
    return frozenset(name for tree in TREES.values() for name in locks_made(tree)) | {"lock"}


def is_called_on_lock(node: ast.AST, what: str) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and last_name(node.value.func) == what


def releases_what_may_not_be_held(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Try)
        and is_called_on_lock(statement.body[0], "release")
        and [last_name(one.type) for one in statement.handlers if one.type is not None] == ["RuntimeError"]
    )


def releases_what_was_noted(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.If)
        and any(isinstance(one, ast.Name) and one.id == "took" for one in ast.walk(statement.test))
        and is_called_on_lock(statement.body[0], "release")
    )


def is_taken_safely(above: tuple[ast.AST, ...]) -> bool:
    """Whether an ``acquire`` there is one of the ways above."""
    statements = [one for one in above if isinstance(one, ast.stmt)]
    statement = statements[-1]
    around = next((one for one in reversed(statements) if isinstance(one, ast.Try) and one.body[0] is statement), None)
    if around is None or not around.finalbody:
        return False
    if is_called_on_lock(statement, "acquire"):
        return releases_what_may_not_be_held(around.finalbody[0])
    return is_called_on_lock(statement, "extend") and releases_what_was_noted(around.finalbody[0])


_A_LOCK = re.compile(r"(?<!c)lock", re.IGNORECASE)


def enters_lock(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(last_name(item.context_expr) in locks() for item in node.items)


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What of a module may leave a lock taken."""
    for node, above in walk(tree):
        where = f"line {getattr(node, 'lineno', '?')}, {qualified(above)}"
        if isinstance(node, ast.Attribute) and node.attr == "acquire":
            ours = any(isinstance(one, ast.ClassDef) and one.name in GATES for one in above)
            if not ours and qualified(above) not in TAKES_MANY and not is_taken_safely(above):
                yield f"{where}: takes a lock in none of the safe ways; write 'with lock:'"
        if isinstance(node, ast.Attribute) and node.attr in MADE_IN_PYTHON and last_name(node.value) in THEIR_MODULES:
            yield f"{where}: {node.attr} is written in Python; use a lock or what memo._base.gates has"
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in THEIR_MODULES:
            for alias in node.names:
                if alias.name in MADE_IN_PYTHON:
                    yield f"{where}: {alias.name} is written in Python; use a lock or what memo._base.gates has"
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                name = last_name(item.context_expr)
                if name and name not in locks() and qualified(above) not in OF_OTHERS:
                    yield f"{where}: 'with {name}:' enters what is no lock that the package makes"
                if isinstance(item.context_expr, ast.Call) and _A_LOCK.search(last_name(item.context_expr.func)):
                    yield f"{where}: enters a lock through a call, which is struck once it has taken it"
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) and any(map(enters_lock, above)):
            yield f"{where}: gives way with a lock taken"


@pytest.mark.any_version
@pytest.mark.parametrize("module", TREES)
def test_every_lock_is_taken_in_a_safe_way(module: str) -> None:
    """No module takes a lock so that an exception could leave it taken."""
    assert not list(unsafe(TREES[module]))


@pytest.mark.parametrize(
    "way",
    [
        """
        self._lock.acquire()
        try:
            work()
        finally:
            self._lock.release()
        """,
        """
        try:
            self._lock.acquire()
            work()
        finally:
            self._lock.release()
        """,
        """
        try:
            work()
            lock.acquire()
        finally:
            try:
                lock.release()
            except RuntimeError:
                pass
        """,
        """
        took = [lock.acquire(False)]
        try:
            work()
        finally:
            if True in took:
                lock.release()
        """,
        """
        took = []
        took.extend(map(lock.acquire, (True,)))
        try:
            work()
        finally:
            if took:
                lock.release()
        """,
        "changed = threading.Condition()",
        "from threading import Event",
        "from queue import Queue",
        "with changed: work()",
        "with self.locked(): work()",
        """
        def locked():
            with lock:
                yield
        """,
    ],
)
def test_other_ways_are_found(way: str) -> None:
    """Each of these may leave a lock taken, or is such a thing."""
    assert list(unsafe(ast.parse(textwrap.dedent(way))))


def test_locks_are_written_in_c() -> None:
    """Whatever looks like a lock, in the package's modules and what they hold, is one of C."""
    assert {type(lock) for lock in locks_of(registry)} <= {LockType, RLock}
    assert len(locks()) > 3


def codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_of(constant)


def gives_back(statement: ast.AST) -> bool:
    return isinstance(statement, ast.Try) and any(
        isinstance(one, ast.Attribute) and one.attr == "release" for end in statement.finalbody for one in ast.walk(end)
    )


def left_out(source: str) -> Iterator[str]:
    """Jumps backward that stand below a lock and would leave it taken, as this interpreter compiles them."""
    tree = ast.parse(source)
    # which function each section with a lock stands in, and its lines
    sections = [
        (qualified(above), range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1))
        for node, above in walk(tree)
        if enters_lock(node) or gives_back(node)
        if isinstance(node, ast.With | ast.Try)
    ]
    if not sections:
        return
    for code in codes_of(compile(source, "module", "exec")):
        covered = dis._parse_exception_table(code)  # type: ignore[attr-defined]
        for step in dis.get_instructions(code):
            line = step.positions.lineno if step.positions is not None else None
            if not step.opname.startswith("JUMP_BACKWARD") or step.opname.endswith("NO_INTERRUPT"):
                continue
            if any(part.start <= step.offset < part.end for part in covered):
                continue
            name = code.co_qualname.replace("<locals>.", "")
            if any(function == name and line in lines for function, lines in sections):
                yield f"line {line}, {name}: move the loop into a function of its own"


@pytest.mark.parametrize("module", TREES)
def test_no_jump_leaves_a_lock_taken(module: str) -> None:
    """Where a lock is taken no jump backward lies outside of what gives it back."""
    assert not list(left_out((PACKAGE / module).read_text(encoding="utf-8")))


LOOPS = """
def f(lock, many):
    with lock:
        for one in many:
            if one:
                one()
    try:
        for one in many:
            if one:
                one()
    finally:
        lock.release()
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 compiles no such jump")
def test_jumps_that_are_left_out_are_found() -> None:
    """The compilers from 3.12 on do leave such jumps out; whoever finds none need not look."""
    assert len(list(left_out(LOOPS))) == 2
