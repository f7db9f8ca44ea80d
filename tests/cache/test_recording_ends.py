"""How a recording begins and ends: bounds, files, errors, forks, and the end of the process."""

import logging
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT
from kit.processes import in_a_child
from kit.recordings import layer_of_store, recorded
from kit.strikes import held_locks, locks_of, strike
from kit.threads import until

from memo import Registry, bounded, read_recording


def make(**options: Any) -> Any:
    return bounded(**{"max": 100, "registry": Registry(), "name": "bot.load", **options})(lambda x: x)


def is_noting(function: Any) -> bool:
    """Whether a call of the function notes its key."""
    return "_memo_note" in layer_of_store(function).wrapper.__code__.co_names


# -- bounds


def size_of_nothing(path: Path) -> int:
    with make().cache.record(path):
        pass
    return path.stat().st_size


@pytest.mark.parametrize("most", [1, 7, 8, 5_000])
def test_a_recording_that_is_full_ends(path: Path, most: int) -> None:
    """At max_bytes it stops: the file is in its place before the block ends, and calls note nothing any more."""
    bound = size_of_nothing(path) + 8 * most
    path.unlink()
    f = make()
    with f.cache.record(path, max_bytes=bound + 7) as recording:
        for x in range(most - 1):
            f(x)
        assert not recording.is_full
        for x in range(100):
            f(x)
        assert recording.is_full
        until(path.exists)
        until(lambda: not is_noting(f))
        f(1)
        assert recording.requests == most
    assert (recording.requests, recording.bytes, recording.error) == (most, bound, None)
    assert ", full" in repr(recording)
    found = read_recording(path)
    assert (len(found), found.is_full, path.stat().st_size) == (most, True, bound)


def test_bad_bounds_are_refused(path: Path) -> None:
    """max_bytes is a size with room for a call; else nothing is recorded, and the message says what to give."""
    f = make()
    for wrong, error, match in (
        (0, ValueError, "max_bytes=0 is"),
        ("64 bits", ValueError, "max_bytes='64 bits'"),
        (True, TypeError, "max_bytes=True"),
        (1.5, TypeError, "max_bytes=1.5"),
        (100, ValueError, r"record: max_bytes=100 leaves no room for a request; give at least \d+, better megabytes"),
    ):
        with pytest.raises(error, match=match):
            f.cache.record(path, max_bytes=wrong)
    least = size_of_nothing(path) + 8
    with pytest.raises(ValueError, match=f"give at least {least},"):
        f.cache.record(path, max_bytes=least - 1)
    with f.cache.record(path, max_bytes=least):
        f(1)
    assert recorded(path) == [0]


# -- one at a time


def test_two_recordings_of_one_function_are_refused(path: Path, tmp_path: Path) -> None:
    """The second one says where the first one goes, and leaves it as it is; others may be recorded meanwhile."""
    f, g = make(), make()
    with f.cache.record(path):
        f(1)
        with pytest.raises(RuntimeError, match=r"bot\.load\(\) is being recorded already, to '.*profiles\.memo'"):
            f.cache.record(tmp_path / "other").__enter__()
        assert not (tmp_path / "other").exists()
        with g.cache.record(tmp_path / "third"):
            f(2), g(1)
    assert recorded(path) == [0, 1]
    assert recorded(tmp_path / "third") == [0]


def test_a_recording_is_entered_once(path: Path) -> None:
    """A second time it refuses; another may follow, and replaces the file."""
    f = make()
    recording = f.cache.record(path)
    with recording:
        f(1)
        with pytest.raises(RuntimeError, match="was begun before"):
            recording.__enter__()
        f(1)
    with pytest.raises(RuntimeError, match=r"was begun before; call record\(\) again"):
        recording.__enter__()
    assert recorded(path) == [0, 0]
    with f.cache.record(path):
        f(1)
    assert recorded(path) == [0]
    recording.stop()
    assert recorded(path) == [0]


# -- files


@pytest.mark.skipif(os.name != "posix", reason="permissions and pipes are those of POSIX")
def test_the_file_is_replaced_whole(path: Path) -> None:
    """Until the end there is what was there; then all of it, with the permissions of the old file, or the owner's."""
    f = make()
    path.write_text("before")
    path.chmod(0o640)
    with f.cache.record(path):
        f(1)
        assert path.read_text() == "before"
    assert recorded(path) == [0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.unlink()
    with f.cache.record(os.fsencode(path)):  # type: ignore[arg-type]
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and pipes are those of POSIX")
def test_where_no_file_can_be_made(path: Path) -> None:
    """The block is not entered, nothing is noted, and the function can be recorded elsewhere."""
    f = make()
    pipe = path.parent / "pipe"
    os.mkfifo(pipe)
    for wrong, error, match in (
        (path.parent / "missing" / "file", FileNotFoundError, "missing"),
        (path.parent, IsADirectoryError, "directory"),
        (pipe, OSError, "record: not a regular file, so it cannot be replaced; give another path"),
    ):
        recording = f.cache.record(wrong)
        with pytest.raises(error, match=match):
            recording.__enter__()
        assert not is_noting(f)
        recording.__exit__(None, None, None)
    assert [found.name for found in path.parent.iterdir()] == ["pipe"]
    with f.cache.record(path):
        f(1)
    assert recorded(path) == [0]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_an_error_at_the_end(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once and kept, the block ends as ever, and there is what was there before."""
    f = make()
    path.write_text("before")

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with f.cache.record(path) as recording:
            f(1)
    assert isinstance(recording.error, OSError)
    assert recording.bytes == 0
    assert ": failed: [Errno 28] No space left on device, 1 request" in repr(recording)
    [record] = [record for record in caplog.records if record.name == "memo"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"record: the recording of bot.load() to {str(path)!r} has ended after 1 request, and no file is left of it: "
        f"[Errno 28] No space left on device; free some room or give another path, and record anew."
    )
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path]
    assert f(1) == 1


def run(script: str, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


FULL_DISK = """
    import logging, resource, sys, threading
    from memo import bounded
    logging.basicConfig(format="%(name)s %(message)s")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # more than that cannot be written
    @bounded(max=10)
    def f(x):
        return x
    with f.cache.record(sys.argv[1]) as recording:
        count = 0
        while recording.error is None:
            assert f(count % 100) == count % 100
            count += 1
        for x in range(1000):
            assert f(x) == x
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(20)  # it has said that it ends, and does so in its own time
    print(type(recording.error).__name__, threading.active_count())
"""


def test_a_disk_that_is_full(path: Path) -> None:
    """Calls go on undisturbed; it is logged once, and no file is left."""
    pytest.importorskip("resource")
    ran = run(FULL_DISK, str(path))
    assert (ran.returncode, ran.stdout) == (0, "OSError 1\n"), ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("memo record: the recording of __main__.f() to ")
    assert list(path.parent.iterdir()) == []


# -- ends


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_block_that_is_left_by_an_exception(path: Path, error: type[BaseException]) -> None:
    """What came until then is in the file, and the exception goes on."""
    f = make()
    with pytest.raises(error), f.cache.record(path):
        f(1), f(2)
        raise error
    assert recorded(path) == [0, 1]
    assert not is_noting(f)


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=[pytest.mark.stress, pytest.mark.timeout(300)])])
def test_entering_and_leaving_that_is_cut_short(path: Path, step: int) -> None:
    """Struck at any point, no lock stays taken and no hidden file; the function works and can be recorded anew."""
    at = 0
    where: str | None = ""
    while where is not None:
        f = make()
        f(1)
        recording = f.cache.record(path)

        def block(recording: Any = recording, f: Any = f) -> None:
            with recording:
                f(1)

        where, raised = strike(block, at)
        del raised
        if where is not None and where.partition(" ")[2] in ("Recording.__exit__ begins", "Recording.stop begins"):
            recording.stop()  # else it would go on to the end of the process
        assert not held_locks(locks_of(f)), where
        until(lambda r=recording: r._is_over or not r._is_entered)  # type: ignore[misc]
        assert not is_noting(f), where
        assert f(1) == 1, where
        with f.cache.record(path):
            f(1)
        assert recorded(path) == [0], where
        assert [found.name for found in path.parent.iterdir()] == [path.name], where
        at += step
    assert at > 50


EXITS = {
    "the block never ends": """
        recording = f.cache.record(sys.argv[1])
        recording.__enter__()
        f(1), f(2), f(1)
    """,
    "a daemon thread is in the block": """
        def work():
            with f.cache.record(sys.argv[1]):
                f(1), f(2), f(1)
                done.set()
                threading.Event().wait()
        done = threading.Event()
        threading.Thread(target=work, daemon=True).start()
        done.wait()
    """,
    "an exception ends the program": """
        with f.cache.record(sys.argv[1]):
            f(1), f(2), f(1)
            sys.exit(0)
    """,
    "a generator was left in the block": """
        def work():
            with f.cache.record(sys.argv[1]):
                f(1), f(2), f(1)
                yield
        kept = work()
        next(kept)
    """,
}


@pytest.mark.parametrize("how", EXITS)
def test_the_end_of_the_process(path: Path, how: str) -> None:
    """A recording that is on as the interpreter ends is finished by it."""
    head = """
        import sys, threading
        from memo import bounded
        @bounded(max=10)
        def f(x):
            return x
    """
    ran = run(textwrap.dedent(head) + textwrap.dedent(EXITS[how]), str(path))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert recorded(path) == [0, 1, 0]
    assert list(path.parent.iterdir()) == [path]


def test_a_process_that_is_killed(path: Path) -> None:
    """It leaves what was there before, and beside it a hidden file that is no recording."""
    path.write_text("before")
    ran = run(
        """
        import os, signal, sys
        from memo import bounded
        f = bounded(max=10)(abs)
        with f.cache.record(sys.argv[1]):
            f(1)
            os._exit(7)
        """,
        str(path),
    )
    assert ran.returncode == 7, ran.stderr
    assert path.read_text() == "before"
    [hidden] = [found for found in path.parent.iterdir() if found != path]
    assert hidden.name.startswith(".profiles.memo.")
    assert hidden.name.endswith(".tmp")
    hidden.unlink()


# -- forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_in_the_midst(path: Path, tmp_path: Path) -> None:
    """The child's calls are not recorded, nor is the parent's file touched; the child may record elsewhere."""
    f = make()
    other = tmp_path / "of the child"
    with f.cache.record(path) as recording:
        f(1), f(2)

        def act() -> bool:
            quiet = not is_noting(f) and f(3) == 3
            with f.cache.record(other):
                f(4), f(4)
            recording.__exit__(None, None, None)
            return quiet and recorded(other) == [0, 0] and not path.exists()

        assert in_a_child(act) == 0
        f(1)
    assert recorded(path) == [0, 1, 0]
    assert recorded(other) == [0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_ends_as_programs_do(path: Path) -> None:
    """A child that leaves the block, or the interpreter, leaves the file to its parent."""
    ran = run(
        """
        import os, sys
        from memo import bounded
        f = bounded(max=10)(abs)
        with f.cache.record(sys.argv[1]) as recording:
            f(1), f(2)
            child = os.fork()
            if not child:
                f(3)
                sys.exit(5)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
            assert not os.path.exists(sys.argv[1])
            f(1)
        """,
        str(path),
    )
    assert ran.returncode == 0, ran.stderr
    assert recorded(path) == [0, 1, 0]
    assert list(path.parent.iterdir()) == [path]


# -- switched off


def test_what_is_switched_off_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beginning to record a function that is off logs that its calls are not recorded."""
    own = Registry()
    f = make(registry=own)
    with own.disabled(), f.cache.record(path):
        f(1)
    assert recorded(path) == []
    assert [record.getMessage() for record in caplog.records] == [
        (
            "record: bot.load() is switched off here (MEMO_DISABLE, or registry.disabled()); calls that go straight to "
            "the function are not recorded."
        )
    ]
    ran = run(
        """
        import sys
        from memo import bounded
        f = bounded(max=10)(abs)
        with f.cache.record(sys.argv[1]):
            assert f(-1) == 1
        """,
        str(path), env={**os.environ, "MEMO_DISABLE": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "builtins.abs() is switched off here" in ran.stderr
    assert recorded(path) == []
