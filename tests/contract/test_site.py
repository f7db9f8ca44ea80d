"""The site of the documentation: every page is reached, every public name has its entry, and nothing is fetched."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from kit.places import ROOT

import memo

DOCS = ROOT / "docs"
REFERENCE = {page.name: page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md"))}
PUBLIC_MODULES = (
    "memo",
    "memo.errors",
    "memo.exporters",
    "memo.exporters.asgi",
    "memo.exporters.http",
    "memo.exporters.opentelemetry",
    "memo.exporters.prometheus",
    "memo.policies",
    "memo.shared",
    "memo.testing",
)


def checker() -> ModuleType:
    """The script that looks through a built site."""
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_a_table_of_contents() -> None:
    """A reader comes from the first page to each page, those of the reference included."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    named = [line for tree in trees for line in tree.splitlines() if re.fullmatch(r"[a-z_/]+", line)]
    pages = [str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(page for page in pages if page != "index")


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """Each public name of a module is documented by itself, or with the whole module that it is shown as a part of."""
    if module.endswith((".opentelemetry", ".prometheus")):
        pytest.importorskip("opentelemetry" if module.endswith("opentelemetry") else "prometheus_client")
    text = "\n".join(REFERENCE.values())
    shown = set(re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.MULTILINE))
    for whole in re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE):
        if module == "memo" and whole != "memo.errors":
            continue
        if whole == module or whole == "memo.errors":
            shown |= {f"{module}.{name}" for name in importlib.import_module(whole).__all__}
    names = importlib.import_module(module).__all__
    assert [name for name in names if f"{module}.{name}" not in shown and name != "registry"] == []


def test_module_list_is_whole() -> None:
    """No public module of the package is forgotten above."""
    package = Path(memo.__file__).parent
    found = {
        ".".join(("memo", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        for path in package.rglob("*.py")
    }
    public = {name for name in found if not any(part.startswith("_") for part in name.split(".")[1:])}
    parts = {name for name in public if name.startswith("memo.policies.")}  # its face has their names
    assert public - parts - {"memo.__init__", "memo.pytest_plugin"} <= {*PUBLIC_MODULES}


EVIL = """<html><head>
<link rel="stylesheet" href="https://fonts.example/css"><link rel="canonical" href="https://good.example/">
<link rel="icon" href="//icons.example/i.png"><style>@import "http://style.example/a.css";</style>
<script src="http://script.example/s.js"></script></head>
<body style="background: url('https://back.example/b.png')"><a href="https://good.example/">follow me</a>
<img src="data:image/png;base64,AAAA" srcset="here.png 1x, https://set.example/2.png 2x">
<iframe src="https://frame.example/"></iframe><a href="missing.html#there">gone</a><a href="#here">here</a>
<a href="here.png?x=1">there</a></body></html>
"""


def test_what_is_fetched_from_elsewhere_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Style sheets, fonts, scripts, pictures, frames are named; links that a reader may follow are not."""
    (tmp_path / "here.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(EVIL, encoding="utf-8")
    (tmp_path / "a.css").write_text("@font-face { src: url(https://font.example/f.woff2) }", encoding="utf-8")
    check = checker()
    assert check.main([str(tmp_path)]) == 1
    told = capsys.readouterr().err
    hosts = ("fonts", "icons", "style", "script", "back", "set", "frame", "font")
    assert [host for host in hosts if f"{host}.example" not in told] == []
    assert "good.example" not in told
    assert "index.html leads to missing.html#there, which is not there." in told
    assert told.count("\n") == len(hosts) + 1


def test_a_folder_without_pages_is_no_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check does not pass for want of anything to look at, and passes where all is well."""
    check = checker()
    assert check.main([str(tmp_path)]) == 2
    assert "build it first" in capsys.readouterr().err
    (tmp_path / "index.html").write_text("<p>hello</p>", encoding="utf-8")
    assert check.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 pages, 0 problems\n"


def test_page_of_the_reference_for_each_module() -> None:
    """What the reference names can be imported by that path."""
    for text in REFERENCE.values():
        for path in re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.MULTILINE):
            module, _, name = path.rpartition(".")
            importlib.import_module(module)
            assert hasattr(sys.modules[module], name), f"{path} is not there"


def test_citation_names_the_version() -> None:
    """What is cited is the version that pyproject.toml names."""
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    project = re.search(r'^version = "(\S+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert project is not None
    assert cited[1] == project[1]
