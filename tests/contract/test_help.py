"""What ``help()`` shows: short signatures, lines that fit a terminal, and every option with its unit and its None."""

import ast
import inspect
import pydoc
import re
from pathlib import Path
from typing import Any

import pytest
from kit.docstrings import DECORATORS, entries, options

import memo

WIDTH = 80
THINGS = (*DECORATORS, "cached_property", "Registry")
OF_REGISTRIES = [
    name
    for name, method in inspect.getmembers(memo.Registry)
    if not name.startswith("_") and (inspect.isfunction(method) or isinstance(method, property))
]
INTERNAL = {"admit", "covers", "enter", "leave", "notes", "observe", "tell", "watch_switch"}
"""What other parts of the package ask of a registry."""


def shown(thing: Any) -> list[str]:
    """The lines that ``help()`` prints."""
    return pydoc.plain(pydoc.render_doc(thing)).splitlines()


@pytest.mark.parametrize("name", DECORATORS)
def test_help_of_a_decorator_fits_a_terminal(name: str) -> None:
    """No line is cut at 80 columns, each option of a long signature has one of its own, and no alias is spelled out."""
    lines = shown(getattr(memo, name))[2:]  # below a head that Python gives it
    assert [line for line in lines if len(line) > WIDTH] == []
    head = "\n".join(lines[: next(number for number, line in enumerate(lines) if ") -> " in line) + 1])
    assert "timedelta" not in head
    assert "typing." not in head
    assert len(options(name)) < 5 or all(f"\n    {option}: " in head for option in options(name))


def test_a_signature_is_as_it_is_written() -> None:
    """Annotations are shown without quotes, and the marks of kinds are there."""
    told = str(inspect.signature(memo.dedupe_inflight))
    assert "    timeout: Duration = 30.0,\n" in told
    assert told.startswith("(\n    function: Any = None,\n    /,\n    *,\n")
    assert str(inspect.signature(memo.lru_cache)) == "(maxsize: Any = 128, typed: bool = False) -> Any"


@pytest.mark.parametrize("name", DECORATORS)
def test_every_option_says_its_unit_and_what_none_means(name: str) -> None:
    """The first line of its entry is a sentence: "duration" where it is one, "None" where that is the default."""
    decorator = getattr(memo, name)
    told = entries(decorator)
    assert list(told) == [*(["function"] if "function" in told else []), *options(name)]
    for option, parameter in inspect.signature(decorator).parameters.items():
        if option not in told or option == "function":
            continue
        assert told[option].endswith("."), f"{name}: {option}: {told[option]}"
        kind = str(parameter.annotation)
        assert "duration" in told[option].lower() or not any(alias in kind for alias in ("Duration |", "TtlOption"))
        assert "None" in told[option] or parameter.default is not None, f"{name}: {option}: {told[option]}"


@pytest.mark.parametrize("name", THINGS)
def test_the_first_line_is_short(name: str) -> None:
    """It is a sentence of one line, with an empty one below it."""
    first, *below = (inspect.getdoc(getattr(memo, name)) or "").splitlines()
    assert len(first) < WIDTH - 4
    assert first.endswith(".")
    assert below[:1] == [""]


@pytest.mark.parametrize("name", [name for name in OF_REGISTRIES if name not in INTERNAL])
def test_a_method_of_a_registry_is_told_of(name: str) -> None:
    """Its first line is a short sentence, no line of ``help()`` is cut at 80 columns, each parameter is told of."""
    method = inspect.getattr_static(memo.Registry, name)
    lines = (inspect.getdoc(method) or "").splitlines()
    assert lines[0].endswith((".", "?"))
    assert [line for line in lines if len(line) > WIDTH - 8] == []
    if inspect.isfunction(method):
        signature = str(inspect.signature(method))
        assert not re.search(r"timedelta|typing\.|: '", signature), signature
        parameters = [each for each in inspect.signature(method).parameters if each != "self"]
        assert list(entries(method)) in ([], parameters)
        assert name == "invalidate" or list(entries(method)) == parameters


def test_bounded_names_every_option_where_it_begins() -> None:
    """What each option is about stands in a table above all else, every option once."""
    text = inspect.getdoc(memo.bounded) or ""
    table = text.partition("by what they are about")[2].partition("\n\nA duration")[0]
    assert sorted(word.strip("`,") for word in table.split() if word.startswith("``")) == sorted(options("bounded"))


def fields(path: str, name: str) -> dict[str, str]:
    """The fields of a TypedDict, with what stands below each of them in its source."""
    tree = ast.parse((Path(memo.__file__).parent / path).read_text(encoding="utf-8"))
    (made,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    found: dict[str, str] = {}
    for field, below in zip(made.body, [*made.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            found[field.target.id] = str(below.value.value) if is_text else ""  # type: ignore[union-attr]
    return found


def test_editors_are_told_the_same_of_an_option() -> None:
    """Below each field that type checkers know stands the line that the docstring has of the option."""
    told = entries(memo.bounded)
    shared = fields("_bounded/option_types.py", "SharedOptions")
    own = fields("_bounded/decorator.py", "_Options")
    assert {**shared, **own} == {option: told[option] for option in (*shared, *own)}
    assert {*shared, *own, "max", "max_bytes"} == set(options("bounded"))
    many = fields("_bounded_many.py", "_Options")
    assert many == {option: entries(memo.bounded_many)[option] for option in many}
