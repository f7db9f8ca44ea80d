"""The tests say what they check, in modules that can be read in one go."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from kit.places import ROOT

pytestmark = pytest.mark.any_version

TESTS = ROOT / "tests"
PATHS = [path for path in sorted(TESTS.rglob("test_*.py")) if path.relative_to(TESTS).parts[0] not in ("kit", "typing")]
MAX_LINES = 500
# Modules above it: one harness that its tests cannot share, and the lines that it may have.
LONG = {"flight/test_flights_threads_steps.py": 600}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_says_what_it_checks(path: Path) -> None:
    """Each test, in classes and functions too, has a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    silent = [f"{test.name} in line {test.lineno}" for test in tests if not ast.get_docstring(test)]
    assert not silent, f"{path.name}: give each of these a sentence that is true: {', '.join(silent)}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_example_has_a_deadline(path: Path) -> None:
    """Each test of hypothesis's says that its examples may take long, as they do on a busy machine."""
    text = path.read_text(encoding="utf-8")
    tests = [node for node in ast.walk(ast.parse(text, str(path))) if isinstance(node, ast.FunctionDef)]
    called = [(test, [ast.unparse(one) for one in test.decorator_list]) for test in tests]
    hurried = [
        f"{test.name} in line {test.lineno}"
        for test, marks in called
        if any(mark.startswith("given(") for mark in marks) and not any("deadline=None" in mark for mark in marks)
    ]
    assert not hurried, f"{path.name}: give each of these @settings(deadline=None): {', '.join(hurried)}"


def test_no_two_modules_of_tests_have_one_name() -> None:
    """Each module of tests has a name of its own, without which pytest collects one of two and stops at the other."""
    assert [name for name, times in Counter(path.name for path in PATHS).items() if times > 1] == []


def test_no_module_of_tests_is_too_long_to_be_read() -> None:
    """A module of tests has at most 500 lines, and the few that are named have at most their own number."""
    lengths = {path.relative_to(TESTS).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in PATHS}
    long = {name: lines for name, lines in lengths.items() if lines > LONG.get(name, MAX_LINES)}
    assert not long, f"split these modules at their headings: {long}"
    assert {name for name, lines in lengths.items() if lines > MAX_LINES} == set(LONG), "an exception is none any more"
