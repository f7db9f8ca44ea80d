"""Logger "memo" says at DEBUG what leaves stores, whenever that is switched on."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from memo import Registry, bounded
from memo._cache.eviction_log import evictions_logged

LOG = logging.getLogger("memo")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The levels of this logger and of the root as they were."""
    before = LOG.level, logging.getLogger().level, LOG.manager.disable
    logging.getLogger().setLevel(logging.WARNING)
    LOG.setLevel(logging.NOTSET)
    yield
    LOG.setLevel(before[0])
    logging.getLogger().setLevel(before[1])
    logging.disable(before[2])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.name == "memo"]
    caplog.clear()
    return said


@pytest.mark.parametrize(
    "options", [{}, {"ttl": 60}, {"policy": "lru"}, {"on_evict": lambda *left: None}, {"tags": "t"}]
)
def test_it_follows_the_level(own: Registry, caplog: pytest.LogCaptureFixture, options: dict[str, Any]) -> None:
    """Each value that leaves while the logger is enabled for DEBUG is one line; before and after it is none."""
    f = bounded(max=2, registry=own, **options)(lambda x: x)
    caplog.handler.setLevel(logging.DEBUG)
    for x in range(4):
        f(x)
    assert lines(caplog) == []
    LOG.setLevel(logging.DEBUG)
    (f(7), f(8), f.cache.clear())
    said = lines(caplog)
    assert len(said) == f.cache.stats().evictions["cleared"] + 2 == 4
    assert [line.rpartition(" (")[2] for line in said] == ["size)", "size)", "cleared)", "cleared)"]
    assert said[2].startswith("test_it_follows_the_level.<locals>.<lambda>: the value of ")
    LOG.setLevel(logging.INFO)
    f.cache.put(1, 1)
    f.cache.clear()
    assert lines(caplog) == []


def test_it_follows_the_root_and_disable(caplog: pytest.LogCaptureFixture) -> None:
    """It hears of the root's level as well, and of ``logging.disable()``."""
    assert not evictions_logged[0]
    logging.getLogger().setLevel(logging.DEBUG)
    assert evictions_logged[0]
    logging.disable(logging.DEBUG)
    assert not evictions_logged[0]
    logging.disable(logging.NOTSET)
    assert evictions_logged[0]
    LOG.setLevel(logging.INFO)
    assert not evictions_logged[0]


def test_awaited_loads(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What a coroutine function's loads put out is said as well, those that their callers lead too."""
    caplog.handler.setLevel(logging.DEBUG)
    for work in ("shared", "caller"):

        @bounded(max=1, work=work, registry=own)  # type: ignore[call-overload]
        async def g(x: int) -> int:
            return x

        async def main(call: Any = g) -> None:
            await call(1)
            LOG.setLevel(logging.DEBUG)
            await call(2)

        asyncio.run(main())
        LOG.setLevel(logging.NOTSET)
        assert [line.rpartition(": ")[2] for line in lines(caplog)] == ["the value of 1 left (size)"]


def test_handlers_that_raise(own: Registry) -> None:
    """What a handler raises harms no call."""

    class Raising(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError("full")

    handler = Raising()
    LOG.addHandler(handler)
    try:
        LOG.setLevel(logging.DEBUG)
        f = bounded(max=1, registry=own)(lambda x: x)
        assert [f(1), f(2)] == [1, 2]
        assert f.cache.clear() == 1
    finally:
        LOG.removeHandler(handler)
