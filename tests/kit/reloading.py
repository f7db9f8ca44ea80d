"""Modules that are run again."""

import gc
import importlib
import importlib.util
import sys
import textwrap
import types
from pathlib import Path

from memo import Registry

__all__ = ("HEAD", "PLACEMENTS", "Module", "names")

HEAD = "from memo import bounded, dedupe_inflight, limit, sliding_window\n"


class Module:
    """A module in a file, which can be written and reloaded."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}.py"
        self.name = name
        self._stamp = 1_000_000_000

    def load(self, source: str) -> types.ModuleType:
        self.path.write_text(HEAD + textwrap.dedent(source))
        importlib.invalidate_caches()
        Path(importlib.util.cache_from_source(str(self.path))).unlink(missing_ok=True)  # it is told by seconds alone
        there = sys.modules.get(self.name)
        return importlib.import_module(self.name) if there is None else importlib.reload(there)


def names(own: Registry) -> list[str]:
    gc.collect()
    return [record.name for record in own]


PLACEMENTS = {
    "function": ("@bounded(max=3)\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "coroutine": ("@bounded(max=3)\nasync def f(x=0): return VERSION", "f", lambda m: m.f),
    "flights": ("@dedupe_inflight\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "window": ("@sliding_window('1h')\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "limit": ("@limit('9/1h')\ndef f(x=0): return VERSION", "f", lambda m: m.f),
    "stack": (
        "@sliding_window('1h')\n@bounded(max=3)\n@dedupe_inflight(timeout=5)\ndef f(x=0): return VERSION",
        "f",
        lambda m: m.f,
    ),
    "method": ("class C:\n    @bounded(max=3)\n    def f(self, x=0): return VERSION", "C.f", lambda m: m.C.f),
    "class method": (
        "class C:\n    @classmethod\n    @bounded(max=3)\n    def f(cls, x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "outer class method": (
        "class C:\n    @bounded(max=3)\n    @classmethod\n    def f(cls, x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "static method": (
        "class C:\n    @staticmethod\n    @bounded(max=3)\n    def f(x=0): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "property": (
        "class C:\n    @bounded(max=3)\n    @property\n    def f(self): return VERSION",
        "C.f",
        lambda m: m.C.f,
    ),
    "inner class": (
        "class C:\n    class D:\n        @bounded(max=3)\n        def f(self, x=0): return VERSION",
        "C.D.f",
        lambda m: m.C.D.f,
    ),
    "wrapped": (
        (
            "import functools\n"
            "def passing(fn):\n    @functools.wraps(fn)\n    def inner(*a, **k): return fn(*a, **k)\n    return inner\n"
            "@bounded(max=3)\n@passing\ndef f(x=0): return VERSION"
        ),
        "f",
        lambda m: m.f,
    ),
    "helper": (
        "def cached(fn): return bounded(max=3)(fn)\n@cached\ndef f(x=0): return VERSION",
        "f",
        lambda m: m.f,
    ),
    "lambda": ("f = bounded(max=3)(lambda x=0: VERSION)", "<lambda>", lambda m: m.f),
    "closure": (
        "def make():\n    @bounded(max=3)\n    def f(x=0): return VERSION\n    return f\ng = make()",
        "make.<locals>.f",
        lambda m: m.g,
    ),
    "of a library": ("import textwrap\nf = bounded(max=3)(textwrap.dedent)\n# VERSION", None, lambda m: m.f),
    "partial": (
        "import functools\ndef g(x=0): return VERSION\nf = bounded(max=3)(functools.partial(g, 0))",
        None,
        lambda m: m.f,
    ),
}
