"""Recordings of a live function, as ``f.cache.record()`` writes them."""

from collections.abc import Iterator
from itertools import islice

from memo import read_recording
from memo._base import counted
from memo._replay.faults import BadInputError, shown
from memo._replay.inputs import STANDARD_INPUT, Input
from memo._replay.sampled import CHUNK
from memo.errors import RecordingError

__all__ = ("Recorded",)


class Recorded:
    """The requests of a recording, and what it tells of the function.

    Args:
        source: The file, which has been found to be one.

    Raises:
        BadInputError: It is cut short, altered, of another version, or cannot be read; or has no requests.
    """

    def __init__(self, source: Input) -> None:
        if source.path == STANDARD_INPUT:
            raise BadInputError("standard input is a recording, which is read twice; name the file instead of -.")
        self._source = source
        try:
            self._requests = read_recording(source.path)
        except RecordingError as error:
            raise BadInputError(str(error)) from error
        except OSError as error:
            raise source.unreadable(error) from error
        if not self._requests:
            raise BadInputError(f"{source.name} is a recording without a request; record for longer.")

    def __str__(self) -> str:
        requests = self._requests
        bound = "without max" if requests.max is None else f"with max={requests.max}"
        full = ", until the recording was full" if requests.is_full else ""
        name = shown(requests.function)
        return f"{self._source.name} has {counted(len(requests), 'request')} of {name}, {bound} then{full}."

    def __iter__(self) -> Iterator[list[bytes]]:
        """The numbers of the keys as bytes, many at a time."""
        numbers = iter(self._requests)
        try:
            while several := [number.to_bytes(8, "little") for number in islice(numbers, CHUNK)]:
                yield several
        except RecordingError as error:
            raise BadInputError(str(error)) from error
        except OSError as error:
            raise self._source.unreadable(error) from error
