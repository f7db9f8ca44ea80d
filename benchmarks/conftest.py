"""How ``pytest benchmarks`` shows its figures: in one table, and nothing beside it unless that is asked for."""

from __future__ import annotations

import textwrap
from collections.abc import Generator
from typing import Any

import pytest

WIDTH = 100
COLUMNS = ["min", "median", "rounds"]
"""The mean, and what is made of it, say how busy the machine was."""
THEIRS = ("columns", "compare", "cprofile", "group-by", "histogram", "name", "sort", "time-unit", "verbose")
"""Options of pytest-benchmark by which somebody asks for its own tables."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config.option, "benchmark_columns"):
        return
    given = [str(arg).partition("=")[0] for arg in config.invocation_params.args]
    if not any(arg.startswith(f"--benchmark-{theirs}") for arg in given for theirs in THEIRS):
        config.option.benchmark_quiet = True
        session = getattr(config, "_benchmarksession", None)  # which may have read the options before
        if session is not None:
            session.quiet = True
    if "--benchmark-columns" not in given:
        config.option.benchmark_columns = COLUMNS
        config.option.benchmark_name = "short"


def folded(line: str) -> str:
    return line if len(line) <= WIDTH else textwrap.fill(line, WIDTH, subsequent_indent="  ")


@pytest.hookimpl(wrapper=True)
def pytest_report_header() -> Generator[None, list[str | list[str]], list[str | list[str]]]:
    """Also of what pytest-benchmark says about itself."""
    return [folded(part) if isinstance(part, str) else [folded(line) for line in part] for part in (yield)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None]:
    """The table, and in narrow lines what pytest-benchmark has to say before it."""
    write_line = terminalreporter.write_line
    terminalreporter.write_line = lambda line, **markup: write_line(folded(line), **markup)
    try:
        yield
    finally:
        del terminalreporter.write_line
    rows = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "row"
    ]
    if rows:
        from _shown import Measured, shown  # not where nothing was measured: it imports the package

        terminalreporter.section("memo beside others", sep="-")
        terminalreporter.write_line(
            shown(
                [Measured(**row) for row in rows], min(WIDTH, terminalreporter.config.get_terminal_writer().fullwidth)
            )
        )
