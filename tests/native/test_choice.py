"""Which path runs, in C or in Python, and how one learns why."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.places import ROOT

from memo import _native
from memo.__main__ import main

built = pytest.mark.skipif(_native.speed is None, reason=_native.why)


FACE = ROOT / "memo" / "_native" / "__init__.py"


def chosen(face: Path = FACE) -> dict[str, Any]:
    """What the face of the folder would choose now, if it lay there."""
    names: dict[str, Any] = {"__name__": "memo._native", "__file__": str(face)}
    exec(FACE.read_text(encoding="utf-8"), names)
    return names


def run(script: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script],
        cwd=ROOT,
        env={**os.environ, "MEMO_PURE": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.returncode == 0
    return ran.stdout


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_pure_is_asked_for(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """MEMO_PURE, set to a word for yes, has everything run in Python, and is told as the reason."""
    monkeypatch.setenv("MEMO_PURE", word)
    found = chosen()
    assert found["speed"] is None
    assert found["why"] == f"MEMO_PURE={word.strip()} in the environment asks for it"


def test_unknown_word_means_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that says neither yes nor no is taken for yes, and the reason says so."""
    monkeypatch.setenv("MEMO_PURE", "maybe")
    found = chosen()
    assert found["speed"] is None
    assert found["why"] == "MEMO_PURE='maybe' in the environment is unknown, and taken to mean 1; set 1 or 0"


@pytest.mark.parametrize("word", ["", "0", "false", "No", "off"])
@built
def test_nothing_stands_in_the_way(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Without MEMO_PURE, or with a word for no, the extension that was built is taken, and told where it lies."""
    monkeypatch.setenv("MEMO_PURE", word)
    found = chosen()
    assert found["speed"] is _native.speed
    assert found["why"] == f"the extension was built ({_native.speed.__file__})"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("implementation", SimpleNamespace(name="pypy"), "the extension is for CPython, and this is pypy"),
        ("version_info", (3, 14, 0), "the extension is for CPython 3.11 to 3.13, and this is 3.14"),
        ("version", "3.13.0 experimental free-threading build", "the extension counts on the interpreter lock"),
    ],
    ids=["implementation", "version", "free-threaded"],
)
def test_other_interpreters_are_pure(monkeypatch: pytest.MonkeyPatch, name: str, value: object, reason: str) -> None:
    """Interpreters that the extension was not made for run in Python, whatever was built."""
    monkeypatch.delenv("MEMO_PURE", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(sys, name, value)
        found = chosen()
    assert found["speed"] is None
    assert found["why"].startswith(reason)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ModuleNotFoundError("no", name="memo._native._speed"),
            "the extension was not built, for want of a C compiler",
        ),
        (ModuleNotFoundError("no wrapt", name="wrapt"), "the extension cannot be loaded (no wrapt); install"),
        (ImportError("undefined symbol: x"), "the extension cannot be loaded (undefined symbol: x); install"),
        (SystemError("no such slot"), "the extension cannot be loaded (no such slot); install"),
    ],
    ids=["absent", "misses another", "broken", "fails"],
)
def test_what_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str) -> None:
    """Where the extension is missing or cannot be loaded the package runs in Python, and says what failed."""

    class Failing:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "memo._native._speed":
                raise error

    monkeypatch.delenv("MEMO_PURE", raising=False)
    monkeypatch.delitem(sys.modules, "memo._native._speed", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Failing, *sys.meta_path])
    found = chosen()
    assert found["speed"] is None
    assert found["why"].startswith(reason)
    assert ("imported from the checkout" in found["why"]) == ("was not built" in reason)


@built
@pytest.mark.parametrize(("newer_s", "stale"), [(-86_400, False), (0, False), (5, False), (60, True), (86_400, True)])
def test_what_is_older_than_its_source_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, newer_s: float, stale: bool
) -> None:
    """An extension that was built before its source changed is left alone, unless both came at once, as by a copy."""
    monkeypatch.delenv("MEMO_PURE", raising=False)
    source = tmp_path / "_speed.c"
    source.touch()
    written = os.stat(_native.speed.__file__).st_mtime + newer_s
    os.utime(source, (written, written))
    found = chosen(tmp_path / "__init__.py")
    assert (found["speed"] is None) == stale
    assert found["why"].startswith("the extension is older than its source; build it again (imported") == stale


@built
def test_module_is_made_anew_and_let_go() -> None:
    """The extension can be imported several times in a process; each module object goes with its last reference."""
    assert (
        run(
            """
import gc, sys, weakref
import memo._native._speed as first
here = weakref.ref(first)
face = sys.modules["memo._native"]
del sys.modules["memo._native._speed"], face._speed, face.speed, face._chosen
import memo._native._speed as second
assert second is not first
del first
gc.collect()
print(here())
"""
        )
        == "None\n"
    )


@pytest.mark.parametrize("pure", [True, False], ids=["pure", "as it is"])
def test_info_tells_the_path(pure: bool) -> None:
    """``python -m memo info`` prints the versions, then which path runs and why."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"MEMO_PURE": "1"} if pure else {})}
    ran = subprocess.run(
        [sys.executable, "-m", "memo", "info"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *versions, last = ran.stdout.splitlines()
    assert [line.split()[0] for line in versions] == ["memo-toolkit", "Python", "wrapt", "cachetools"]
    assert versions[1].split()[1:] == ["CPython", sys.version.split()[0]]
    if pure:
        assert last == "calls run in  Python: MEMO_PURE=1 in the environment asks for it"
    else:
        assert last == f"calls run in  {'Python' if _native.speed is None else 'C'}: {_native.why}"


@built
def test_whoever_imports_every_module_changes_no_path() -> None:
    """What goes through all modules of the package imports the extension as well: the chosen path stays."""
    program = (
        "import os; os.environ['MEMO_PURE'] = '1'; import memo._native, memo._native._speed; print(memo._native.speed)"
    )
    assert run(program) == "None\n"


@pytest.mark.parametrize("more", ["all", "--json"])
def test_info_takes_no_arguments(capsys: pytest.CaptureFixture[str], more: str) -> None:
    """An argument of ``info`` is answered as that of another command: with the usage, and status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["info", more])
    assert ended.value.code == 2
    assert f"unrecognized arguments: {more}" in capsys.readouterr().err
