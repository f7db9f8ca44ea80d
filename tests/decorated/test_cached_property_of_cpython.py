"""``memo.cached_property`` under CPython's own tests of that of ``functools``, where the interpreter has them."""

import importlib.util
from typing import Any

import pytest

import memo

helper: Any = pytest.importorskip("test.support.import_helper", reason="the interpreter came without its own tests")
found = importlib.util.find_spec("test.test_functools")
if found is None or found.loader is None:
    pytest.skip("the interpreter came without its own tests", allow_module_level=True)


def with_ours(name: str, *args: Any, **options: Any) -> Any:
    """A fresh module as their tests import it, with our property in the place of that of functools."""
    module = import_fresh(name, *args, **options)
    if module is not None and name == "functools":
        module.cached_property = memo.cached_property
    return module


import_fresh = helper.import_fresh_module
helper.import_fresh_module = with_ours
try:
    theirs: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(theirs)
finally:
    helper.import_fresh_module = import_fresh


class TestOfCPython(theirs.TestCachedProperty):  # type: ignore[misc]
    """Their tests, all made with our property."""


def test_they_are_about_ours() -> None:
    """What their tests look at was made by our class; none of them is left out."""
    assert type(theirs.CachedCostItem.__dict__["cost"]) is memo.cached_property
