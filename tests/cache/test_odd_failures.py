"""Failures of every make are remembered by ``cache_errors``, without frames and with no traceback that grows."""

import asyncio
import gc
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded
from memo._base.exception_copies import frameless_copy, shared_copy


class OddNew(Exception):
    """Its ``__new__`` asks for what nobody kept."""

    def __new__(cls, *, code: int) -> "OddNew":
        made = super().__new__(cls)
        made.code = code
        return made

    code: int

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


class OnlyOnce(Exception):
    """It can be made only once."""

    made = False

    def __new__(cls, *args: Any) -> "OnlyOnce":
        if cls.made:
            raise RuntimeError("only once")
        cls.made = True
        return super().__new__(cls, *args)


class OddReduce(Exception):
    """It refuses to be pickled, and its ``__init__`` asks for what nobody kept."""

    def __init__(self, first: Any, *, second: Any) -> None:
        super().__init__(first)
        self.second = second

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


class OddOS(OSError):
    """A builtin with a ``__new__`` of its own beneath, and one that asks for other things above."""

    def __new__(cls, where: str) -> "OddOS":
        return super().__new__(cls, 2, "gone", where)

    def __init__(self, where: str) -> None:
        super().__init__(2, "gone", where)


class Untrue(Exception):
    """It is false, and copies itself by no means."""

    def __len__(self) -> int:
        return 0

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


def validation_error() -> Exception:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        x: int

    try:
        Model(x="many")
    except pydantic.ValidationError as error:
        return error  # type: ignore[no-any-return]
    raise AssertionError("it was valid")


def once() -> Exception:
    OnlyOnce.made = False
    return OnlyOnce("a")


ODD: dict[str, Callable[[], Exception]] = {
    "new": lambda: OddNew(code=3),
    "once": once,
    "reduce": lambda: OddReduce(1, second=[2]),
    "os": lambda: OddOS("/x"),
    "untrue": lambda: Untrue("a"),
    "pydantic": validation_error,
}
every_odd = pytest.mark.parametrize("make", ODD.values(), ids=ODD)


@every_odd
def test_a_copy_is_alike(make: Callable[[], Exception]) -> None:
    """A copy that holds no frames has the type, the text, the arguments and the attributes."""
    error = make()
    copy = frameless_copy(error)
    assert copy is not None
    assert copy is not error
    assert type(copy) is type(error)
    assert (str(copy), repr(copy), copy.args) == (str(error), repr(error), error.args)
    assert getattr(copy, "__dict__", {}) == getattr(error, "__dict__", {})
    assert copy.__traceback__ is copy.__cause__ is copy.__context__ is None
    if hasattr(error, "errors"):
        assert copy.errors() == error.errors()  # type: ignore[attr-defined]


@every_odd
@pytest.mark.parametrize("is_async", [False, True])
def test_the_failure_is_remembered(make: Callable[[], Exception], is_async: bool) -> None:
    """One load for many calls, each of which raises alike, however often."""
    calls: list[None] = []
    error = make()

    def fail() -> None:
        calls.append(None)
        raise error

    async def fail_later() -> None:
        fail()

    options: Any = {"max": 9, "cache_errors": Exception, "error_ttl": 60, "registry": Registry()}
    f: Any = bounded(**options)(fail_later if is_async else fail)

    def depth() -> int:
        with pytest.raises(type(error)) as caught:
            asyncio.run(f()) if is_async else f()
        assert str(caught.value) == str(error)
        return len(traceback.extract_tb(caught.value.__traceback__))

    depth()
    depths = {depth() for _ in range(20)}
    assert (len(calls), len(depths)) == (1, 1)
    assert f.cache.stats().error_hits == 20


@every_odd
def test_what_is_remembered_holds_no_frame(make: Callable[[], Exception]) -> None:
    """Arguments and locals of the failed call, and of those who were told of it, go."""

    class Token:
        pass

    @bounded(max=9, key=lambda x: 0, cache_errors=Exception, error_ttl=60, registry=Registry())
    def f(x: Any) -> None:
        raise make()

    def call() -> weakref.ref[Any]:
        token = Token()
        try:
            f(token)
        except Exception:
            pass
        return weakref.ref(token)

    held = [call() for _ in range(3)]
    gc.collect()
    assert [ref() for ref in held] == [None] * 3
    assert f.cache.stats().error_hits == 2


def test_joiners_of_a_type_that_is_not_written_in_python_get_copies() -> None:
    """An exception whose type cannot be instantiated is shared by copies as well."""
    error = validation_error()
    copy = shared_copy(error, None)
    assert copy is not error
    assert str(copy) == str(error)
