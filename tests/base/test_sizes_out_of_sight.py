"""``sizeof`` of what holds memory where neither attributes nor the collector show it."""

import ctypes
import functools
import io
import mmap
from typing import Any

import pytest

from memo import bounded, dedupe_inflight, sizeof, sliding_window


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def _decorated() -> Any:
    data = bytes(50_000)

    @dedupe_inflight
    @bounded(max=8)
    def closure() -> bytes:
        return data

    return closure


def _buffer_of_ctypes() -> Any:
    return (ctypes.c_char * 50_000)()


def _structure_of_ctypes() -> Any:
    return type("Structure", (ctypes.Structure,), {"_fields_": [("data", ctypes.c_char * 50_000)]})()


@pytest.mark.parametrize(
    "make",
    [
        _decorated,
        lambda: bounded(max=8)(Plain(data=bytes(50_000)).__init__),
        lambda: sliding_window("1h")(functools.partial(print, bytes(50_000))),
        lambda: io.StringIO("x" * 50_000),
        lambda: type("Text", (io.StringIO,), {})("x" * 50_000),
        lambda: io.BytesIO(bytes(50_000)),
        lambda: mmap.mmap(-1, 50_000),
        _buffer_of_ctypes,
        _structure_of_ctypes,
    ],
    ids=["closure", "method", "partial", "text", "subclass", "bytes", "mmap", "array", "structure"],
)
def test_what_is_held_out_of_sight_counts(make: Any) -> None:
    """Decorated functions count what they decorate; streams and buffers the memory that no object stands for."""
    value = make()
    assert 50_000 < sizeof(value) < 65_000
    assert sizeof([value, value]) < 65_000
    store = bounded(max_bytes=1_000_000)(lambda number: make())
    for number in range(40):
        store(number)
    assert 15 <= len(store.cache) <= 20


def test_a_closed_stream_is_measured() -> None:
    """What has given its memory back counts as itself."""
    stream = io.StringIO("x" * 50_000)
    stream.close()
    assert 0 < sizeof(stream) < 1_000
    buffer = mmap.mmap(-1, 50_000)
    buffer.close()
    assert 0 < sizeof(buffer) < 1_000
