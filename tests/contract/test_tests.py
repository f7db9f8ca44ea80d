"""The tests say what they check, in modules that can be read in one go."""

import ast
from pathlib import Path

import pytest
from kit.places import ROOT

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


def test_no_module_of_tests_is_too_long_to_be_read() -> None:
    """A module of tests has at most 500 lines, and the few that are named have at most their own number."""
    lengths = {path.relative_to(TESTS).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in PATHS}
    long = {name: lines for name, lines in lengths.items() if lines > LONG.get(name, MAX_LINES)}
    assert not long, f"split these modules at their headings: {long}"
    assert {name for name, lines in lengths.items() if lines > MAX_LINES} == set(LONG), "an exception is none any more"
