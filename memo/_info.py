"""What the package runs on: ``python -m memo info``."""

import importlib.metadata
import platform

from memo._native import speed, why

__all__ = ("calls_run_in", "info")


def info() -> str:
    """The text that the command prints: versions, which path calls take, and why."""
    rows = [
        ("memo-toolkit", _version("memo-toolkit")),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        *((name, _version(name)) for name in ("wrapt", "cachetools")),
        ("calls run in", f"{calls_run_in()}: {why}"),
    ]
    return "".join(f"{name:<14}{value}\n" for name, value in rows)


def calls_run_in() -> str:
    """The path that common calls take: "C" or "Python"."""
    return "Python" if speed is None else "C"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed (its modules are imported from elsewhere)"
