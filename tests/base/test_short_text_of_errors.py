"""Errors as short text, and what caches and windows say of values."""

import decimal
import pathlib
from collections.abc import Callable, Iterator
from datetime import date

import pytest
from kit.short_texts import hostile, ran

from memo import bounded, freeze, sliding_window
from memo._base.key_text import failure_text

# -- errors


def raised(error: BaseException) -> str | None:
    @sliding_window("1h")
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        work()
    return work.window.errors()[0].message


def standard_errors() -> Iterator[BaseException]:
    yield from (ValueError(), ValueError("m"), ValueError("m", 1), ValueError(None), ValueError([1, "a"]))
    yield from (KeyError("k"), KeyError(), KeyError("a", "b"), OSError(2, "No such file", "name"), OSError("plain"))
    yield from (ImportError("no"), SyntaxError("bad", ("f.py", 1, 2, "x", 1, 3)), StopIteration(3), AssertionError())
    yield from (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ExceptionGroup("two", [ValueError(1), KeyError(2)]))
    yield from (ValueError(date(2024, 1, 1)), ValueError(decimal.Decimal(1)), ValueError(pathlib.Path("/a")))
    yield from (RuntimeError(ValueError("inner")), RuntimeError(KeyError("inner")), ValueError(b"b"), ValueError(1.5))
    try:
        open("/does/not/exist")  # noqa: SIM115
    except OSError as error:
        yield error
    try:
        {}["k"]
    except KeyError as error:
        yield error


@pytest.mark.parametrize("error", list(standard_errors()), ids=repr)
def test_messages_are_those_that_exceptions_show(error: BaseException) -> None:
    """The message of a standard exception with ordinary arguments is its str()."""
    assert raised(error) == str(error)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda value: ValueError(value), "<Hostile>"),
        (lambda value: ValueError("m", value), "('m', <Hostile>)"),
        (lambda value: KeyError(value), "<Hostile>"),
        (lambda value: KeyError([value]), "[<Hostile>]"),
        (lambda value: OSError(2, value), "(2, <Hostile>)"),
        (lambda value: OSError(value), "<Hostile>"),
        (lambda value: RuntimeError(ValueError(value)), "<Hostile>"),
        (lambda value: SystemError([[value]]), "[[<Hostile>]]"),
    ],
)
def test_no_code_of_an_exception_s_arguments_runs(make: Callable[[object], BaseException], message: str) -> None:
    """An exception that would ask its arguments for their text is shown without that."""
    assert raised(make(hostile()())) == message


def test_text_of_one_s_own_kind() -> None:
    """A str of a class of its own, as translations and markup are, is taken for its characters."""

    class Lazy(str):
        __str__ = __repr__ = ran

    assert raised(ValueError(Lazy("text"))) == "text"


def test_an_exception_s_own_text() -> None:
    """What an exception was written to say is asked for once."""
    asked = []

    class Refused(Exception):
        def __str__(self) -> str:
            asked.append(1)
            return "status 403"

    assert raised(Refused(hostile()())) == "status 403"
    assert asked == [1]


def test_names_of_exceptions() -> None:
    """The type's name is what the type says, not its metaclass."""

    class Meta(type):
        __name__ = property(ran)  # type: ignore[assignment]

    kind = Meta("Odd", (ValueError,), {})
    assert failure_text(kind("m")) == (f"{__name__}.Odd", "m")


def test_record_error_runs_no_code() -> None:
    """Neither of the error's arguments, nor of the key that it is counted under."""
    window = sliding_window("1h")(lambda: None).window
    window.record_error(ValueError(hostile()()), key=hostile()())
    (event,) = window.events()
    assert (event.key, event.message) == ("<Hostile>", "<Hostile>")
    with pytest.raises(TypeError, match="<Hostile> is no exception"):
        window.record_error(hostile()())


# -- what a cache says of values


class Silent:
    """Cannot be hashed, and says nothing."""

    __hash__ = None  # type: ignore[assignment]
    __repr__ = __str__ = ran


def test_messages_of_a_cache_run_no_code_of_values(caplog: pytest.LogCaptureFixture) -> None:
    """Neither of an argument that cannot be a key, nor of what a function of the caller's returned."""
    plain = bounded(max=3)(lambda x: x)
    with pytest.raises(TypeError, match="unhashable type"):
        plain(Silent())
    with pytest.raises(TypeError, match="unhashable type"):
        plain([Silent()])
    with pytest.raises(TypeError, match=r"put_many: \[<Silent>\] is no pair"):
        plain.cache.put_many([[Silent()]])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="<Silent>"):
        freeze(Silent())
    keyed = bounded(max=3, key=lambda x: Silent())(lambda x: x)
    with pytest.raises(TypeError, match="unhashable type"):
        keyed(1)
    sized = bounded(max_bytes=1000, sizeof=lambda value: Silent())(lambda x: x)  # type: ignore[arg-type, return-value]
    assert sized(1) == 1
    assert "sizeof returned <Silent>, not a number" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        ValueError("caf\udce9"),
        ValueError("\ud800" * 1000),
        KeyError("caf\udce9"),
        FileNotFoundError(2, "none", "caf\udce9"),
        ValueError("m", "caf\udce9"),
        RuntimeError(ValueError("caf\udce9")),
        type("Caf\xe9", (Exception,), {"__str__": lambda self: "caf\udce9"})(),
    ],
    ids=ascii,
)
def test_every_text_can_be_written(error: Exception) -> None:
    """What no encoding can write, as names of files may have it, is spelled out in events and may be sent anywhere."""

    @sliding_window("1h")
    def fetch(name: str) -> None:
        raise error

    with pytest.raises(type(error)):
        fetch("caf\udce9")
    (event,) = fetch.window.events()
    texts = [event.key, event.error, event.message, repr(event), fetch.window.by_key()[0][0]]
    assert all(text is not None and len(text.encode()) < 1000 for text in texts)
    assert event.message is not None
    assert "\\ud" in event.message
    assert len(event.message) <= 200
    assert "caf\\udce9" in event.key
    assert raised(ValueError("caf\xe9 \u20ac \U0001f40d")) == "caf\xe9 \u20ac \U0001f40d"
