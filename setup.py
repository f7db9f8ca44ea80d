"""What ``pyproject.toml`` cannot say of the package: its extension in C, and what an index shows as its description."""

import re
from pathlib import Path

README = Path(__file__).parent / "README.md"

_FENCED = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)[^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")

_NOTE = """
---

Pages that are named *in italics* are in the source distribution: `README.md` there has links to them.
"""


def description(readme: str) -> str:
    """README.md as an index shows it: what it links to in the repository, which the index does not have, is italic.

    A link to an address stays, and so does every block of code.
    """
    parts = _FENCED.split(readme)
    for place in range(0, len(parts), 2):
        parts[place] = _LINK.sub(r"*\1*", _PICTURE.sub(r"*(A picture: \1)*", parts[place]))
    return "".join(parts) + _NOTE


if __name__ == "__main__":
    from setuptools import Extension, setup  # not above: the tests of what is above do without

    setup(
        # Without a compiler that works the package installs all the same, and runs in Python: `python -m memo info`
        # tells.
        ext_modules=[Extension("memo._native._speed", ["memo/_native/_speed.c"], optional=True)],
        long_description=description(README.read_text(encoding="utf-8")),
        long_description_content_type="text/markdown",
    )
