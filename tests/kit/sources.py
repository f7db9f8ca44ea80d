"""What is written in files, parsed once, when somebody asks for it."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ("Trees",)


class Trees(Mapping[str, ast.Module]):
    """The syntax trees of modules.

    Args:
        paths: Where each lies, by its name.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def __getitem__(self, name: str) -> ast.Module:
        path = self._paths[name]
        if path not in _parsed:
            _parsed[path] = ast.parse(path.read_text(encoding="utf-8"), str(path))
        return _parsed[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


_parsed: dict[Path, ast.Module] = {}
