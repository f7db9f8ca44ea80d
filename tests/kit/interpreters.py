"""Interpreters that run one program after the other, so that what is dear to import is imported once."""

import atexit
import os
import select
import subprocess
import sys
import tempfile

import pytest

from kit.places import ROOT

__all__ = ("LIMIT_S", "Interpreter", "run_after")

LIMIT_S = 60
"""Turns a hang into a failure."""

_SERVE = """
import os, sys
def serve(answers, read=os.read, write=os.write):  # as they are before anything is exchanged
    def text():
        size = b""
        while not size.endswith(b"\\n"):
            size += read(0, 1) or os._exit(0)
        parts, left = [], int(size)
        while left:
            parts.append(read(0, left) or os._exit(0))
            left -= len(parts[-1])
        return b"".join(parts).decode()
    common = None
    while True:
        names = dict(common or {"__name__": "__main__"})
        try:
            exec(compile(text(), "<program>", "exec"), names)
        except BaseException:
            import traceback
            traceback.print_exc()
            write(answers, b"!")
        else:
            write(answers, b".")
        common = common or names
        del names
"""


class Interpreter:
    """A process that has run *head*, and then runs programs, each with a copy of the names that *head* left.

    Args:
        head: Runs first.
        options: Of the interpreter.
    """

    def __init__(self, head: str, *options: str) -> None:
        self.is_alive = True
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # is there for as long as the process
        self._answers, answers = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, *options, "-u", "-c", f"{_SERVE}\nserve({answers})"],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[answers],
            )
        finally:
            os.close(answers)
        atexit.register(self.end)
        self.run(head)

    def run(self, program: str) -> None:
        """Run *program*; the test fails, and the process ends, if it fails or takes too long."""
        assert self._process.stdin is not None
        text = program.encode()
        try:
            self._process.stdin.write(b"%d\n" % len(text) + text)
            ready, _, _ = select.select([self._answers], [], [], LIMIT_S)
            answer = os.read(self._answers, 1) if ready else b""
        except BrokenPipeError:
            answer = b""
        if answer != b".":
            said = self.end()
            pytest.fail(f"the program failed, or took more than {LIMIT_S} s:\n{said}")

    def end(self) -> str:
        """End the process, whatever it does; what it has said."""
        self.is_alive = False
        atexit.unregister(self.end)
        self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        os.close(self._answers)
        with self._said:
            self._said.seek(0)
            return self._said.read().decode(errors="replace")


_running: dict[tuple[str, ...], Interpreter] = {}


def run_after(head: str, program: str, *options: str) -> None:
    """Run *program* with the names that *head* leaves, in a process that other programs after that head share."""
    there = _running.get((head, *options))
    if there is None or not there.is_alive:
        there = _running[head, *options] = Interpreter(head, *options)
    there.run(program)
