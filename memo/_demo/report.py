"""What the demonstration shows on the terminal: progress while it runs, its table and its words afterwards."""

import textwrap
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from memo._demo.uses import Outcome, Use
from memo.errors import MissingExtra

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text
except ImportError as error:
    raise MissingExtra(
        f"memo demo: the package 'rich' cannot be imported ({error}); run: pip install \"memo-toolkit[demo]\""
    ) from error

__all__ = ("Report", "RunningBars")

_WIDEST = 100


class RunningBars:
    """A bar for the time, and one for each use that fills up to its bound.

    Where the output is no terminal, they are shown once, at the end.
    """

    def __init__(self, console: Console, uses: Sequence[Use], seconds: float) -> None:
        self._uses = uses
        self._seconds = seconds
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[figures]}"),
            console=console,
            refresh_per_second=8,
        )
        self._time = self._progress.add_task("time", total=seconds, figures="")
        self._bars = [self._progress.add_task(use.title, total=None, figures="") for use in uses]

    def __enter__(self) -> Self:
        self.show(0.0)
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, elapsed_s: float) -> None:
        """Show where everything stands."""
        elapsed_s = min(elapsed_s, self._seconds)
        self._progress.update(self._time, completed=elapsed_s, figures=f"{elapsed_s:.1f} of {self._seconds:g} s")
        for bar, use in zip(self._bars, self._uses, strict=True):
            gauge = use.gauge()
            self._progress.update(bar, completed=gauge.now, total=gauge.most, figures=gauge.text)


class Report:
    """The demonstration's output, in the order in which it is called for."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._held = self._unbounded = 0

    def begin(self, url: str, uses: Sequence[Use], seed: int, shown: str) -> None:
        """Say what is about to run, and where its figures are shown."""
        callers = sum(use.workers for use in uses)
        self.console.print(f"[bold]memo demo[/]: {len(uses)} uses, {callers} callers, seed {seed}, a service at {url}")
        self.console.print(f"{shown}\nCtrl-C ends it early.\n", markup=False)

    def bars(self, uses: Sequence[Use], seconds: float) -> RunningBars:
        """The bars to show while it runs."""
        return RunningBars(self.console, uses, seconds)

    def table(self, table: str, interrupted: bool) -> None:
        """Show the registry's table."""
        title = "Interrupted. print(registry) says so far" if interrupted else "print(registry) says"
        self.console.print(f"\n[bold]{title}:[/]\n")
        # As it is: what is wider than the terminal is for the terminal to wrap.
        self.console.print(Text(table), soft_wrap=True)
        self.console.print("\n[bold]What the bounds kept from growing:[/]\n")

    def outcome(self, use: Use, outcome: Outcome) -> None:
        """Tell what came of a use."""
        self._held += outcome.held
        self._unbounded += outcome.unbounded
        self._paragraph(use.title, f": {outcome.text}", indent="  ")

    def end(self) -> None:
        """Sum up."""
        self._paragraph(
            "Together",
            f" they held {self._held:,} entries and running calls at the end; without bounds it would have been "
            f"{self._unbounded:,}.",
        )

    def _paragraph(self, title: str, rest: str, indent: str = "") -> None:
        # Wrapped here, as the console would fill each line with blanks, which look odd in a file.
        width = min(self.console.width, _WIDEST)
        lines = textwrap.fill(title + rest, width, initial_indent=indent, subsequent_indent=indent)
        text = Text(f"{lines}\n")
        text.stylize("bold", len(indent), len(indent) + len(title))
        self.console.print(text, soft_wrap=True)
