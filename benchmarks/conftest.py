"""How `python -m pytest benchmarks` shows its figures: in 100 columns, unless others are asked for."""

from __future__ import annotations

import textwrap
from collections.abc import Generator
from typing import Any

import pytest

WIDTH = 100
COLUMNS = ["min", "median", "rounds"]
"""The mean, and what is made of it, say how busy the machine was."""


def pytest_configure(config: pytest.Config) -> None:
    asked = any(str(arg).startswith("--benchmark-columns") for arg in config.invocation_params.args)
    if hasattr(config.option, "benchmark_columns") and not asked:
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
    """And of its legend."""
    write_line = terminalreporter.write_line
    terminalreporter.write_line = lambda line, **markup: write_line(folded(line), **markup)
    try:
        yield
    finally:
        del terminalreporter.write_line
