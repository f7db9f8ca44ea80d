"""The curves as a picture."""

import importlib
import os
from typing import Any

from memo._replay.advice import Advice
from memo._replay.curves import OPTIMUM, Curves
from memo._replay.faults import BadInputError, spelled
from memo.errors import MissingExtra

__all__ = ("KINDS", "check_plot", "plot")

KINDS = (".svg", ".png")
_INCHES = (8, 5)
_DOTS_AN_INCH = 150


def check_plot(path: str) -> None:
    """Refuse what ``plot`` could not write, before hours of work.

    Raises:
        BadInputError: The name has another ending, or there is no such folder.
        MissingExtra: matplotlib is not installed.
    """
    if not path.casefold().endswith(KINDS):
        raise BadInputError(f"--plot {spelled(path)} is neither .svg nor .png; write for example --plot curves.svg.")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise BadInputError(f"--plot {spelled(path)} is no place for a file; name one in a folder that exists.")
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise MissingExtra(
            f"memo replay: --plot needs the package 'matplotlib', which cannot be imported ({error}); "
            f'run: pip install "memo-toolkit[plot]"'
        ) from error


def plot(path: str, curves: Curves, advice: Advice | None) -> None:
    """Draw what is known of the curves; the same curves make the same file.

    Raises:
        BadInputError: The file cannot be written.
    """
    matplotlib = importlib.import_module("matplotlib")
    # Without pyplot, which would look for a display.
    figure: Any = importlib.import_module("matplotlib.figure").Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    for name in curves.names:
        points = curves.points(name)
        style = {"linestyle": "--", "color": "black"} if name == OPTIMUM else {}
        axes.plot([size for size, _ in points], [100 * ratio for _, ratio in points], marker=".", label=name, **style)
    axes.axhline(100 * curves.reachable, linestyle=":", color="grey", label="without a bound")
    if advice is not None:
        axes.axvline(advice.max, linestyle=":", color="tab:red", label=f"advice: max={advice.max}")
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("max (entries)")
    axes.set_ylabel("hit ratio (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    is_svg = path.casefold().endswith(".svg")
    with matplotlib.rc_context({"svg.hashsalt": "memo"}):
        try:
            figure.savefig(path, dpi=_DOTS_AN_INCH, metadata={"Date": None} if is_svg else None)
        except OSError as error:
            why = error.strerror or str(error)
            raise BadInputError(f"--plot {spelled(path)} cannot be written ({why}); choose another place.") from error
