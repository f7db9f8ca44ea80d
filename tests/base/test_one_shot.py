"""Results that can be used only once are refused, unless they are meant to be shared; nothing else is."""

import asyncio
import codecs
import contextlib
import csv
import http.client
import io
import itertools
import os
import socket
import sys
import threading
import types
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from memo import Registry, bounded, dedupe_inflight
from memo.testing import FakeClock


async def work() -> int:
    return 1


def numbers() -> Iterator[int]:
    yield 1


async def awaited_numbers() -> AsyncIterator[int]:
    yield 1


@contextlib.contextmanager
def opened() -> Iterator[int]:
    yield 1


@contextlib.asynccontextmanager
async def opened_async() -> AsyncIterator[int]:
    yield 1


@types.coroutine
def old_work() -> Generator[Any, Any, int]:
    yield
    return 1


class Request:
    """As HTTP clients have them: made of a coroutine, to be awaited or entered."""

    def __init__(self) -> None:
        self.coroutine = work()

    def __await__(self) -> Any:
        return self.coroutine.__await__()


class SlottedRequest:
    __slots__ = ("__coroutine",)

    def __init__(self) -> None:
        self.__coroutine = work()

    def __await__(self) -> Any:
        return self.__coroutine.__await__()


class OldRequest(Request):
    def __init__(self) -> None:
        self.coroutine = old_work()  # type: ignore[assignment]


class Like(Coroutine[Any, Any, int]):
    """What stands for a coroutine object."""

    def __init__(self) -> None:
        self._coroutine = work()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()


class Client:
    """Awaited to connect, as often as one likes, and used afterwards: what a cache is for."""

    def __await__(self) -> Any:
        return self._connect().__await__()

    async def _connect(self) -> "Client":
        return self


class Session(Client):
    """Its coroutine functions are no coroutine objects."""

    def __init__(self) -> None:
        self.hook = work
        self.__dict__["numbers"] = [1]


class NoIterator:
    __next__ = None
    __anext__ = None


class AnswersForAll(type):
    def __getattr__(cls, name: str) -> Any:
        return lambda self: 1


class Dynamic(metaclass=AnswersForAll):
    pass


class Hostile(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__next__", "__anext__", "__await__", "__mro__", "__dict__", "__module__"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Closed(metaclass=Hostile):
    pass


class Iterates:
    def __iter__(self) -> Iterator[int]:
        return iter([1])

    def __next__(self) -> int:
        return 1


def reader() -> Any:
    return csv.reader(io.StringIO("a,b"))


def aiohttp_request() -> Any:
    client = pytest.importorskip("aiohttp.client")
    return client._RequestContextManager(work())


def httpx_stream() -> Any:
    httpx = pytest.importorskip("httpx")
    return httpx.Client().stream("GET", "http://localhost")


def httpx_stream_async() -> Any:
    httpx = pytest.importorskip("httpx")
    return httpx.AsyncClient().stream("GET", "http://localhost")


def pipe() -> Any:
    reader, writer = os.pipe()
    os.close(writer)
    return PIPES.enter_context(os.fdopen(reader, "rb"))


def response() -> Any:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    with ours:
        found = PIPES.enter_context(http.client.HTTPResponse(ours))
        found.begin()
    return found


PIPES = contextlib.ExitStack()
"""What the tests opened, to be closed at their end."""


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    with PIPES:
        yield


ONE_SHOT: list[Callable[[], Any]] = [
    work, old_work, numbers, awaited_numbers, opened, opened_async, Request, SlottedRequest, OldRequest, Like, Iterates,
    reader, lambda: iter([1]), lambda: map(str, [1]), lambda: filter(None, [1]), lambda: zip([1], [2], strict=True),
    lambda: reversed([1]), lambda: enumerate([1]), lambda: itertools.count(), lambda: itertools.cycle([1]),
    lambda: Path().iterdir(), pipe, response, aiohttp_request, httpx_stream, httpx_stream_async,
]  # fmt: skip


class Kept:
    def __init__(self) -> None:
        self.data = 1


KEPT = Kept()


def future() -> Any:
    loop = asyncio.new_event_loop()
    try:
        made = loop.create_future()
        made.set_result(1)
        return made
    finally:
        loop.close()


def task() -> Any:
    async def make() -> Any:
        made = asyncio.ensure_future(work())
        await made
        return made

    return asyncio.run(make())


REUSABLE: list[Callable[[], Any]] = [
    mock.Mock, mock.MagicMock, mock.AsyncMock, mock.NonCallableMock, mock.NonCallableMagicMock, mock.PropertyMock,
    lambda: mock.MagicMock(spec=Iterates), lambda: mock.create_autospec(Iterates),
    lambda: mock.create_autospec(Iterates, instance=True), lambda: mock.create_autospec(work),
    lambda: mock.create_autospec(numbers), lambda: mock.MagicMock().method.return_value, lambda: mock.mock_open()(),
    lambda: type("OwnMock", (mock.MagicMock,), {})(), lambda: mock.call(1), lambda: mock.sentinel.value,
    Client, Session, NoIterator, Dynamic, lambda: object.__new__(Closed), lambda: weakref.proxy(KEPT), lambda: [1],
    lambda: {}.keys(), lambda: range(3), lambda: memoryview(b"x"), lambda: numbers, lambda: work, lambda: Iterates,
    lambda: sys.stdout,
    lambda: io.StringIO("text"), lambda: io.BytesIO(b"x"), contextlib.nullcontext, contextlib.ExitStack,
    lambda: contextlib.suppress(ValueError), threading.Lock, lambda: codecs.getreader("utf-8")(io.BytesIO(b"x")),
    future, task, lambda: contextlib.contextmanager(numbers),
]  # fmt: skip


def calls(function: Callable[[], Any], decorator: Callable[..., Any], **options: Any) -> list[Callable[[], Any]]:
    """Calls of *function*, decorated in several placements."""
    decorate = decorator(registry=Registry(), **options)

    class Place:
        @decorate
        def method(self) -> Any:
            return function()

        @decorate
        async def awaited(self) -> Any:
            return function()

        @classmethod
        @decorate
        def of_class(cls) -> Any:
            return function()

        @decorate
        @staticmethod
        def static() -> Any:
            return function()

        @decorate
        @property
        def attribute(self) -> Any:
            return function()

    place = Place()
    return [
        decorate(lambda: function()),
        place.method,
        lambda: asyncio.run(place.awaited()),
        place.of_class,
        place.static,
        lambda: place.attribute,
    ]


DECORATORS = pytest.mark.parametrize(
    ("decorator", "options"),
    [
        (bounded, {"max": 5}),
        (bounded, {"max": 5, "policy": "lru", "ttl": 60, "clock": FakeClock()}),
        (dedupe_inflight, {}),
    ],
    ids=["bounded", "bounded lru ttl", "dedupe_inflight"],
)


@DECORATORS
@pytest.mark.parametrize("make", ONE_SHOT)
def test_what_can_be_used_only_once_is_refused(make: Callable[[], Any], decorator: Any, options: Any) -> None:
    """In each placement the call raises TypeError that says what to do, and no coroutine is left to warn."""
    for call in calls(make, decorator, **options):
        with pytest.raises(TypeError, match=r"returned an? .* once; (make|return)"):
            call()


@DECORATORS
@pytest.mark.parametrize("make", REUSABLE)
def test_what_can_be_used_again_passes(make: Callable[[], Any], decorator: Any, options: Any) -> None:
    """Mocks, files, clients that are awaited to connect, and whatever is not known to be used up pass."""
    value = make()
    for call in calls(lambda: value, decorator, **options):
        assert call() is value
        assert call() is value


@DECORATORS
@pytest.mark.parametrize("make", [lambda: itertools.cycle("ab"), numbers, opened, Request])
def test_what_is_meant_to_be_shared(make: Callable[[], Any], decorator: Any, options: Any) -> None:
    """With ``one_shot='share'`` everything passes."""
    value = make()
    for call in calls(lambda: value, decorator, **options, one_shot="share"):
        assert call() is value
    if isinstance(value, Request):
        value.coroutine.close()


def test_a_round_robin() -> None:
    """Callers of a function that remembers an ``itertools.cycle`` draw from it in turn."""

    @bounded(max=10, one_shot="share", registry=Registry())
    def servers(region: str) -> Iterator[str]:
        return itertools.cycle([f"{region}-1", f"{region}-2"])

    assert [next(servers("eu")) for _ in range(3)] == ["eu-1", "eu-2", "eu-1"]
    assert next(servers("us")) == "us-1"


@pytest.mark.parametrize("decorator", [lambda **options: bounded(max=5, **options), dedupe_inflight])
def test_bad_options(decorator: Any) -> None:
    """What ``one_shot=`` does not know is refused at decoration."""
    with pytest.raises(ValueError, match=r"one_shot='copy' is unknown; write 'refuse' or 'share'"):
        decorator(one_shot="copy")
    with pytest.raises(TypeError, match=r"one_shot=True is not text; write 'refuse' or 'share'"):
        decorator(one_shot=True)


def test_mocks_with_real_threads_and_waiters() -> None:
    """A mock that a function under test returns is shared by those who waited, and remembered."""
    service = mock.MagicMock()
    fetch = bounded(max=5, registry=Registry())(lambda name: service.fetch(name))
    assert fetch("a") is fetch("a") is service.fetch.return_value
    service.fetch.assert_called_once_with("a")
    fetch_async = mock.AsyncMock(return_value=mock.MagicMock())
    awaited = bounded(max=5, registry=Registry())(fetch_async)

    async def main() -> None:
        results = await asyncio.gather(*(awaited("a") for _ in range(5)))
        assert all(result is fetch_async.return_value for result in results)

    asyncio.run(main())
    fetch_async.assert_awaited_once_with("a")
