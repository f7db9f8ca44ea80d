"""Check that the built site needs nothing from elsewhere: ``python docs/check_site.py build/site``.

Every font, script, style sheet, picture and frame of a page must lie within the folder, so that the site works from a
disk and tells nobody who reads it; and every link to a page of its own must lead to one.  Links to other sites, which a
reader may follow, are left alone.  Needs nothing but Python.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED_BY = {
    "audio": ("src",),
    "base": ("href",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""What a browser fetches without being asked, by element; of ``link`` all but what only tells of another page."""
ONLY_TOLD = {"alternate", "author", "canonical", "help", "index", "license", "next", "prev", "search", "up"}
IN_STYLE = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


class Page(HTMLParser):
    """What a page has fetched, and where it leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self._in_style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses that an element names."""
        given = {name: value or "" for name, value in attrs}
        names = LOADED_BY.get(tag, ())
        if tag == "link" and not {*given.get("rel", "").split()} <= ONLY_TOLD:
            names = ("href",)
        for name in names:
            if name == "srcset":
                self.loaded += [part.split()[0] for part in given.get(name, "").split(",") if part.strip()]
            elif name in given:
                self.loaded.append(given[name])
        if tag == "a" and "href" in given:
            self.linked.append(given["href"])
        self.loaded += addresses_in_style(given.get("style", ""))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        self._in_style = False

    def handle_data(self, data: str) -> None:
        """Look into a style sheet that stands in the page."""
        if self._in_style:
            self.loaded += addresses_in_style(data)


def addresses_in_style(text: str) -> list[str]:
    """What a style sheet has fetched."""
    return [first or second for first, second in IN_STYLE.findall(text)]


def problems_of(file: Path, site: Path) -> Iterator[str]:
    """What is wrong with one page or style sheet, a line each."""
    text = file.read_text(encoding="utf-8")
    page = Page(text) if file.suffix == ".html" else None
    loaded, linked = (page.loaded, page.linked) if page else (addresses_in_style(text), [])
    for address in loaded:
        parts = urlsplit(address)
        if parts.scheme not in ("", "data") or parts.netloc:
            yield f"{file.relative_to(site)} fetches {address}; put it into the site, or leave it out."
    for address in (*loaded, *linked):
        parts = urlsplit(address)
        if not (parts.scheme or parts.netloc) and parts.path:
            target = file.parent / unquote(parts.path)
            if not (target / "index.html" if target.is_dir() else target).is_file():
                yield f"{file.relative_to(site)} leads to {address}, which is not there."


def check(site: Path) -> tuple[int, list[str]]:
    """How many pages a built site has, and what is wrong with it."""
    pages = sorted(site.rglob("*.html"))
    return len(pages), [
        problem for file in (*pages, *sorted(site.rglob("*.css"))) for problem in problems_of(file, site)
    ]


def main(arguments: list[str]) -> int:
    """Print what is wrong; the exit status says whether anything is."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    count, problems = check(Path(arguments[0]))
    for problem in problems[:30]:
        print(problem, file=sys.stderr)
    if not count:
        print(f"{arguments[0]} has no page; build it first: python -m sphinx docs {arguments[0]}", file=sys.stderr)
        return 2
    print(f"{count} pages, {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
