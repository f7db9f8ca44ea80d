"""What a process says of itself, beside the figures of its functions."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from memo._base import real
from memo._info import calls_run_in

__all__ = ("default_name", "group_of", "process_json", "uptime")

_imported_s = real.monotonic()


def default_name() -> str:
    """What a service is called that was given no name: the module or script that was started."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    script = Path(sys.argv[0] if sys.argv else "")
    started = getattr(spec, "name", "") or (script.parent.name if script.stem == "__main__" else script.stem)
    started = started.removesuffix(".__main__")
    told = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "_" for letter in started)
    return told[-40:].lstrip("-.") or "python"


def group_of(name: str | None) -> str:
    """What the workers of one service have in common: their name; without one, how and where they were started."""
    if name is not None:
        return name
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        folder = ""
    started = "\0".join([folder, *sys.argv])
    return f"{default_name()}:{hashlib.sha256(started.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def uptime() -> float:
    """Seconds since this process began; where the system does not tell, since this module was imported."""
    if sys.platform == "linux":
        try:
            told = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
            ticks = int(told.rpartition(")")[2].split()[19])
            since_boot = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
            return max(0.0, since_boot - ticks / os.sysconf("SC_CLK_TCK"))
        except (OSError, ValueError, IndexError):
            pass
    return real.monotonic() - _imported_s


def process_json(name: str, group: str) -> dict[str, Any]:
    """This process: a new dictionary."""
    up = uptime()
    return {
        "pid": os.getpid(),
        "name": name,
        "group": group,
        "started": round(real.wall() - up, 3),
        "uptime": round(up, 3),
        "python": platform.python_version(),
        "memo": _version(),
        "path": calls_run_in(),
    }


@functools.cache
def _version() -> str | None:
    try:
        return importlib.metadata.version("memo-toolkit")
    except importlib.metadata.PackageNotFoundError:
        return None
