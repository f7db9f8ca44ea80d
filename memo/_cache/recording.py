"""A recording of which keys a function is asked for: what ``f.cache.record()`` returns.

- Calls put hashes into ``KeyNotes``; one thread of the recording's own takes them out and writes them.  It alone
  touches the file once it runs, and it puts the file in its place, whoever ends the recording, and how.
- A function is recorded while ``Cache.notes`` holds its notes; whoever changes that has the wrappers written anew.
- A forked child records nothing: the file is its parent's.
"""

import atexit
import logging
import os
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from memo._base import (
    Bell,
    EnteredByWith,
    Gate,
    Pace,
    Path,
    Stage,
    Staying,
    counted,
    format_bytes,
    real,
    recording_header,
    recording_seal,
    renew,
    start,
)
from memo._cache.cache import Cache
from memo._cache.key_notes import KeyNotes
from memo._late import in_time

if TYPE_CHECKING:
    from memo._cache.recording_file import RecordingFile

__all__ = ("Recording",)

log = logging.getLogger("memo")

_EVERY_S = 0.1
_TAKEN = 1 << 17  # hashes that are taken together
_SLICE = 256  # hashes that are written before others get their turn
_BEHIND = 1 << 16  # hashes that wait, from which on the writer takes no rest
_SEAL_SIZE = len(recording_seal(0, False, 0))


class Recording(Staying):
    """What ``f.cache.record()`` records, and how far it has come.

    To be entered once, with ``with``.  The file is there when the block has ended.

    Args:
        cache: The results of the function.
        name: Its name in the registry.
        path: Where to.
        max_bytes: The most that the file may take.

    Attributes:
        path: Where to.
        error: What ended it before its time, if anything did; then there is no file.
    """

    __module__ = "memo"

    def __init__(self, cache: Cache, name: str, path: Path, max_bytes: int) -> None:
        self.path: str = os.fsdecode(path)
        self.error: BaseException | None = None
        self._cache: Cache | None = cache
        """None once it is over: whoever keeps the recording is not to keep the results."""
        self._name = name
        store = cache.store
        self._header = recording_header(name, real.wall(), store.max_entries, store.max_bytes)
        room = max_bytes - len(self._header) - _SEAL_SIZE
        if room < 8:
            raise ValueError(
                f"record: max_bytes={max_bytes!r} leaves no room for a request; give at least "
                f"{max_bytes - room + 8}, better megabytes: a request takes 8 bytes."
            )
        self._notes = KeyNotes(self.path, room // 8)
        self._file: RecordingFile | None = None
        self._is_entered = False
        self._is_over = False
        self._ending = Gate()
        self._is_ending = False
        self._is_dropped = False
        self._ended = Bell()

    def _stays(self) -> tuple[str, str]:
        return f"record: a recording of {self._name} is written by this process", "its path"

    @property
    def requests(self) -> int:
        """How many calls were recorded."""
        file = self._file
        return file.count if file is not None and self._is_over else self._notes.count

    @property
    def bytes(self) -> int:
        """What the file takes; 0 if an error has ended the recording."""
        return 0 if self.error is not None else len(self._header) + 8 * self.requests + _SEAL_SIZE

    @property
    def is_full(self) -> bool:
        """Whether it has reached ``max_bytes``, and so ended before the block."""
        return self._notes.is_full

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("record: a recording")

    def __enter__(self) -> "Recording":
        with in_time(f"recording {self._name}()"):
            from memo._cache.recording_file import RecordingFile

        cache, notes = self._cache, self._notes
        if self._is_entered or cache is None:
            raise RuntimeError("record: this recording was begun before; call record() again for another.")
        self._is_entered = True
        begun: list[int] = []
        try:
            other = cache.begin_notes(notes)
            if other is not None:
                raise RuntimeError(
                    f"record: {self._name}() is being recorded already, to {other.path!r}; end that recording first."
                )
            self._file = RecordingFile(self.path, self._header)
            self._file.open()
            renew(Stage.RECORDINGS, self)
            start(threading.Thread(target=self._run, name="memo-recording", daemon=True), begun)
            atexit.register(self.stop)
            cache.upwards.rewrite()
            if cache.upwards.is_off():
                log.warning(
                    "record: %s() is switched off here (MEMO_DISABLE, or registry.disabled()); calls that go straight "
                    "to the function are not recorded.", self._name,
                )  # fmt: skip
        except BaseException:
            self._is_dropped = True
            if begun:
                self.stop()
            else:
                self._end_notes()
                if self._file is not None:
                    self._file.abandon()
                self._is_over = True
                self._cache = None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait until the file is written.  Once more does no harm."""
        self._is_ending = True
        self._ending.open()
        self._end_notes()  # before the writer does: it is to get to the end of what was noted
        ended = self._ended.listen()
        if self._is_entered and not self._is_over:
            ended.wait()
        atexit.unregister(self.stop)

    def renew(self) -> None:
        """Leave the recording to the parent of this process."""
        if self._is_over or self._file is None:
            return
        self._is_over = True
        self._end_notes()
        self._cache = None
        self._file.leave()

    def _end_notes(self) -> None:
        cache = self._cache
        if cache is not None:
            cache.end_notes(self._notes)

    # -- the thread that writes

    def _run(self) -> None:
        file, notes = self._file, self._notes
        assert file is not None
        try:
            while not self._is_ending and not notes.is_full:
                self._ending.wait(0.0 if notes.waiting >= _BEHIND else _EVERY_S)
                self._write(file)
            self._end_notes()
            if self._is_dropped:
                file.abandon()
                return
            while notes.waiting:
                self._write(file)
            file.finish(notes.is_full)
        except BaseException as error:
            self.error = error
            self._end_notes()
            file.abandon()
            log.error(
                "record: the recording of %s() to %r has ended after %s, and no file is left of it: %s; free some room "
                "or give another path, and record anew.", self._name, self.path, counted(file.count, "request"), error,
            )  # fmt: skip
        finally:
            self._is_over = True
            self._cache = None
            self._ended.ring()

    def _write(self, file: "RecordingFile") -> None:
        """Write what waits, or a part of it; somebody who waits for the end is not kept waiting by rests."""
        pace = Pace()
        codes = self._notes.take(_TAKEN)
        for begin in range(0, len(codes), _SLICE):
            file.add(codes[begin : begin + _SLICE])
            if not self._is_ending and self._notes.waiting < _BEHIND:
                pace.rest()

    def __repr__(self) -> str:
        state = "not begun"
        if self.error is not None:
            state = f"failed: {self.error}"
        elif self._is_over:
            state = "ended"
        elif self._is_entered:
            state = "on"
        full = ", full" if self.is_full else ""
        return (
            f"<recording of {self._name} to {self.path!r}: {state}, {counted(self.requests, 'request')}, "
            f"{format_bytes(self.bytes)}{full}>"
        )
