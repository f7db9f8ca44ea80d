"""How the site is built: ``python -m sphinx -W docs build/site``.

Everything that a page needs lies within the built folder: no font, script, style sheet or picture is fetched from
elsewhere (``docs/check_site.py`` holds that), so that it can be read from a disk, and tells nobody who reads it.
"""

import builtins
import pkgutil
import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).parent.parent))  # what is documented is this checkout

import memo

project = "memo"
author = "memo contributors"
copyright = author  # noqa: A001  # the name that Sphinx gives it
version = release = installed_version("memo-toolkit")
html_title = f"memo {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = False  # annotations name private types, which have no page

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches the pages found, which browsers refuse for pages on a disk
html_static_path = ["_static"]
html_css_files = ["site.css"]
pygments_style = "tango"  # furo has no contrast of its own for code: these two can be read in either scheme
pygments_dark_style = "monokai"

myst_heading_anchors = 4  # a link to a heading is checked as one to a page is
myst_links_external_new_tab = False

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

_GOOGLE = Config(napoleon_use_rtype=False, napoleon_use_ivar=True)
_PASSED_ON = re.compile(r"(\*\*?\w+): [\w.~]*\bP\b(?:\.args|\.kwargs)?")

_DURATION = re.compile(r"int \| float \| str \| [\w.~]*timedelta \| [\w.~]*SupportsIndex \| [\w.~]*SupportsFloat")


def _with_private_modules() -> None:
    """Have ``memo`` stand for the modules that its public names are made in, where Sphinx looks for their source.

    Classes say that they are of ``memo``; the docstrings of their fields are read from source, which is elsewhere.
    """
    whole = ModuleAnalyzer.for_module("memo")
    whole.analyze()
    for module in pkgutil.walk_packages(memo.__path__, "memo."):
        if not module.name.startswith(tuple(f"memo.{face}" for face in memo._FACES)):
            continue
        part = ModuleAnalyzer.for_module(module.name)
        part.analyze()
        part.overloads.clear()  # the definition has every option, with its default
        for name in ("annotations", "attr_docs", "tagorder"):
            getattr(whole, name).update(getattr(part, name))


def _signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str, returned: str
) -> tuple[str, str] | None:
    """Show no constructor of what the package makes and users only get, and no type of what is passed on."""
    if what == "class" and "Args:" not in (obj.__doc__ or ""):
        return "", ""
    return (_DURATION.sub("Duration", _PASSED_ON.sub(r"\1", arguments)), returned) if arguments else None


def _docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Translate Args, Returns and Raises; in that of a field, a colon is a colon."""
    if what not in ("attribute", "data"):
        what = "method" if what == "property" else what
        lines[:] = GoogleDocstring(lines, _GOOGLE, app, what, name, obj, options).lines()


def _builtins(app: Sphinx, doctree: nodes.document) -> None:
    """Leave built-in types as they are: ``bytes`` in a signature is no field of that name."""
    for reference in list(doctree.findall(pending_xref)):
        if reference.get("refdomain") == "py" and reference["reftarget"] in vars(builtins):
            reference.replace_self(nodes.Text(reference["reftarget"]))


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("doctree-read", _builtins)
    _with_private_modules()
