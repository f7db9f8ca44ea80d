"""What is released: what an index shows of it, what is in it, and what is said of versions and of trust."""

import importlib.util
import re
import tomllib
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kit.places import ROOT

import memo

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = ("README.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md", "examples/service/README.md")


def script(path: str) -> ModuleType:
    """A script of the checkout, loaded and not started."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described(readme: str) -> str:
    """What an index shows of that README.md."""
    shown: str = script("setup.py").description(readme)
    return shown


def anchors(page: Path) -> set[str]:
    """The names that the headings of a page have as targets."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- what an index shows


def test_an_index_shows_no_link_that_leads_nowhere() -> None:
    """Of README.md an index shows every word, and of its links those that have an address."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = described(readme)
    assert re.findall(r"\]\((?!https?:)[^)]*\)", shown) == []
    for block in re.findall(r"^```.*?^```$", readme, re.DOTALL | re.MULTILINE):
        assert block in shown
    words = re.sub(r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", readme)

    assert set(re.findall(r"\w+", words)) <= set(re.findall(r"\w+", shown))


def test_links_with_an_address_and_code_stay_as_they_are() -> None:
    """Only what is relative is taken out, and nothing of a block of code is."""
    text = "a [b](docs/c.md) [d\ne](x.md#y) [f](https://g.example/h)\n\n```python\nf[0](1)\n```\n![i](j.png)\n"
    shown = described(text)
    assert shown.startswith(
        "a *b* *d\ne* [f](https://g.example/h)\n\n```python\nf[0](1)\n```\n*(A picture: i)*\n"
    )  # fmt: skip
    assert "in the source distribution" in shown


# -- what is in it


def test_what_is_missing_or_too_much_in_a_source_distribution_is_named() -> None:
    """Each file of the tree is to be in it, and nothing else but what the build makes."""
    check = script(".ci/check_dist.py")
    names = ["memo-1/PKG-INFO", "memo-1/memo.egg-info/SOURCES.txt", "memo-1/tests/test_a.py", "memo-1/notes.txt"]
    assert check.check_source(names, {"tests/test_a.py"}) == [
        "in the source distribution, and no part of it: notes.txt",
    ]
    assert check.check_source(names[:2], {"tests/test_a.py"}) == ["not in the source distribution: tests/test_a.py"]


def test_what_is_missing_or_too_much_in_a_wheel_is_named() -> None:
    """A wheel has the package and its extension, neither the source of that nor tests."""
    check = script(".ci/check_dist.py")
    wanted = {"memo/__init__.py", "memo/py.typed", "memo/_native/_speed.c", "tests/test_a.py"}
    good = ["memo/__init__.py", "memo/py.typed", "memo/_native/_speed.cpython-311.so", "memo-1.dist-info/METADATA"]
    assert check.check_wheel(good, wanted) == []
    assert check.check_wheel([*good[1:], "tests/test_a.py"], wanted) == [
        "not in the wheel: memo/__init__.py",
        "in the wheel, and no part of it: tests/test_a.py",
    ]


def test_metadata_that_an_index_would_not_take_is_named() -> None:
    """The version, the classifiers and the description are looked at."""
    check = script(".ci/check_dist.py")
    told = Message()
    for field, value in (("Version", "1"), ("Classifier", "Good"), ("Description-Content-Type", "text/markdown")):
        told[field] = value
    told.set_payload("# memo\n[a](https://b.example)\n")
    assert check.check_metadata(told, {"version": "1"}, ["Good"]) == []
    told.set_payload("[a](b.md)")
    assert len(check.check_metadata(told, {"version": "2"}, ["Other"])) == 4


def test_the_tree_has_what_a_source_distribution_must_have() -> None:
    """No file is forgotten in the list that the release is checked by, and MANIFEST.in names each folder of it."""
    check = script(".ci/check_dist.py")
    assert [name for name in check.FILES if not (ROOT / name).is_file()] == []
    grafted = set(re.findall(r"^graft (\S+)$", (ROOT / "MANIFEST.in").read_text(encoding="utf-8"), re.MULTILINE))
    assert grafted == set(check.FOLDERS) - {"memo"}
    assert {"tests/contract/test_release.py", "tests/kit/places.py", "docs/index.md"} <= check.files_of(ROOT)


# -- what is said of it


def test_classifiers_say_what_is_there() -> None:
    """Versions of Python are those that .ci/run tests; typing, the plugin and the extension are there."""
    said = set(PROJECT["classifiers"])
    assert PROJECT["classifiers"] == sorted(said)
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    later = re.search(r"^for minor in ([\d. ]+); do$", run, re.MULTILINE)
    assert later is not None
    tested = [PROJECT["requires-python"].removeprefix(">="), *later[1].split()]
    versions = [name.rpartition(" ")[2] for name in said if re.search(r":: Python :: 3\.\d+$", name)]
    assert sorted(versions) == tested
    assert ("Typing :: Typed" in said) == Path(memo.__file__).with_name("py.typed").is_file()
    assert ("Framework :: Pytest" in said) == ("pytest11" in PROJECT["entry-points"])
    assert ("Programming Language :: C" in said) == any((ROOT / "memo").rglob("*.c"))
    assert {"Framework :: AsyncIO", "Programming Language :: Python :: Implementation :: CPython"} <= said


def test_the_version_stands_in_one_place() -> None:
    """No module has a version of its own; CITATION.cff, which cannot ask, has that of pyproject.toml."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "memo").rglob("*.py")]
    assert [source for source in sources if PROJECT["version"] in source or "__version__ =" in source] == []
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in cited
    assert f"\nlicense: {PROJECT['license']}\n" in cited
    assert "AdaptiveCache" in cited
    assert hasattr(memo.policies, "AdaptiveCache")


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    """Each link within the repository leads to a file, and to a heading of it where it names one."""
    page = ROOT / name
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        target = page.parent / path if path else page
        assert target.exists(), f"{name}: {path} is not there"
        assert not anchor or anchor in anchors(target), f"{name}: {path} has no heading {anchor}"


def test_changelog_has_the_newest_on_top_and_links_to_pages() -> None:
    """What is not released is told first, by kinds; where an entry names a page of docs/, it links to it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    kinds = ("Removed", "Added", "Changed", "Deprecated", "Fixed", "Security")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        found = re.findall(r"^### (.+)$", part, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]
        assert all(f"[{kind}](#{kind.lower()})" in text for kind in found)
    assert re.findall(r"(?<![\[(/\w])`?docs/[a-z_/]+\.md", text) == [], "write [docs/page.md](docs/page.md)"
