"""What calls with many keys refuse, and how they fail."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from kit.batches import Source, answered

from memo import AbsentKey, Registry, bounded, bounded_many
from memo.testing import FakeClock

Make = Callable[..., Source]


def test_an_error_names_the_keys_that_did_not_come(make: Make) -> None:
    """What came from another call of the function is kept; the error is the function's own, with a note of the rest."""
    source = make(max_batch=2)
    error = RuntimeError("down")

    def fail(keys: list[str]) -> None:
        if "c" in keys:
            raise error

    source.before = fail
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            answered(lambda: source.many(["a", "b", "c", "d"]))
        assert caught.value is error
    note = "(): no result for the keys 'c', 'd'; what else was asked for is kept."
    assert error.__notes__ == [source.many.__qualname__ + note]
    assert source.calls == [["a", "b"], ["c", "d"], ["c", "d"]]
    assert len(source.many.inflight) == 0
    stats = source.many.cache.stats()
    assert (stats.loads, stats.load_errors) == (2, 4)


class Sealed(Exception):
    """Cannot be given notes, as an exception that is a frozen dataclass."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__notes__":
            raise AttributeError(name)
        super().__setattr__(name, value)


class Reserved(Exception):
    """Refuses notes."""

    def add_note(self, note: str) -> None:
        raise TypeError(note)


@pytest.mark.parametrize("error", [Sealed("x"), Reserved("x")], ids=["sealed", "reserved"])
def test_an_error_that_takes_no_notes_is_raised_as_it_is(make: Make, error: Exception) -> None:
    """Where the keys that did not come cannot be noted on an error, the caller gets the error all the same."""
    source = make()

    def fail(keys: list[str]) -> None:
        raise error

    source.before = fail
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            answered(lambda: source.many(["a", "b"]))
        assert caught.value is error
    with pytest.raises(type(error)):
        answered(lambda: source.many.one("a"))


@pytest.mark.parametrize("absent_ttl", [None, 0])
@pytest.mark.parametrize("limits", [{}, {"limit": "10s"}], ids=["", "limit"])
def test_a_default_for_an_absent_key_is_no_failure(
    make: Make, limits: dict[str, str], absent_ttl: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets it, and nothing is logged, as of what failed is."""
    source = make(absent_ttl=absent_ttl)
    source.lacking = {"x"}
    within = source.many.cache.within(*limits.values(), default="none")
    assert [answered(functools.partial(within.call, name)) for name in "xax"] == ["none", "a-en", "none"]
    assert not caplog.records
    source.before = lambda keys: 1 / 0
    assert answered(lambda: within.call("b")) == "none"
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_an_absent_key_is_a_failure_to_another_function() -> None:
    """What asks for a key inside of a function of its own fails: an old value answers, and it counts as an error."""
    clock, own = FakeClock(), Registry()
    known = {"a": 1}
    many = bounded_many(max=9, ttl="1s", clock=clock, registry=own)(
        lambda names: {name: known[name] for name in names if name in known}
    )

    @bounded(max=9, ttl="1m", stale_if_error="1h", clock=clock, registry=own)
    def outer(name: str) -> int:
        return many.one(name) + 1

    assert outer("a") == 2
    known.clear()
    clock.advance("2m")
    assert outer("a") == 2
    assert (outer.cache.stats().load_errors, outer.cache.stats().stale_hits) == (1, 1)


def test_an_absent_key_of_another_function_makes_none_absent(make: Make) -> None:
    """It comes out as the error that it is, and nothing is remembered of it."""
    source = make()
    other = bounded_many(max=9, registry=Registry())(lambda names: {})
    source.before = lambda keys: other.one("owner")
    for ask in (lambda: source.many(["a", "b"]), lambda: source.many.one("a")):
        with pytest.raises(RuntimeError, match=r"raised AbsentKey\(.*'owner'.*catch it") as caught:
            answered(ask)
        assert isinstance(caught.value.__cause__, AbsentKey)
    source.before = lambda keys: None
    assert answered(lambda: source.many(["a", "b"])) == {"a": "a-en", "b": "b-en"}
    stats = source.many.cache.stats()
    assert (stats.error_hits, stats.load_errors) == (0, 3)


def test_one_bad_value_spares_the_others(make: Make) -> None:
    """A value that cannot be remembered is the failure of its key; the others of its batch are stored."""
    source = make()
    source._values = lambda names, lang: {name: iter(()) if name == "b" else name for name in names}  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(TypeError, match="only once") as caught:
        answered(lambda: source.many(["a", "b", "c"]))
    assert caught.value.__notes__[-1].endswith("no result for the keys 'b'; what else was asked for is kept.")
    assert [("a", "en") in source.many.cache, ("c", "en") in source.many.cache] == [True, True]


def test_what_is_no_mapping_is_refused(make: Make) -> None:
    """A list of values in place of a mapping is an error that says what to return."""
    source = make()
    source._values = lambda names, lang: list(names)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(TypeError, match=r"returned \['a'\], which is no mapping; return one from key to value"):
        answered(lambda: source.many(["a"]))


def test_a_coroutine_is_closed_and_refused() -> None:
    """A plain function that returns one hides a coroutine function; the error says so, and nothing warns."""

    async def load(names: list[str]) -> dict[str, str]:
        return dict.fromkeys(names, "value")

    many: Any = bounded_many(max=3)(lambda names: load(names))
    for call in (lambda: many(["a"]), lambda: many.one("a")):
        with pytest.raises(TypeError, match=r"returned a coroutine object, .*; make it a coroutine function"):
            call()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("ab", r"'ab' is one key; write many\(\['ab'\]\) for a mapping, or many.one\('ab'\)"),
        (b"ab", "is one key"),
        (5, r"5 is no collection of keys; write many\(\[5\]\)"),
        ([["a"]], "unhashable type: 'list'"),
    ],
    ids=["text", "bytes", "number", "unhashable"],
)
def test_what_are_no_keys(make: Make, keys: Any, message: str) -> None:
    """One key where many are asked for, and what cannot be a key, is refused before anything is called."""
    source = make()
    source.many.__name__ = "many"
    with pytest.raises(TypeError, match=message):
        answered(lambda: source.many(keys))
    assert source.calls == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max": None}, "bounded_many: neither max= nor max_bytes= is given; write for example @bounded_many"),
        ({"max_batch": 0}, "bounded_many: max_batch=0"),
        ({"gather": "5 apples"}, "bounded_many: gather='5 apples'"),
        ({"absent_ttl": -1}, "bounded_many: absent_ttl=-1"),
        ({"ttl": "2h5"}, "bounded_many: ttl='2h5'"),
        ({"stale_if_error": "1h"}, "'stale_if_error'; which bounded_many has not, for loads of many keys"),
        ({"cache_errors": OSError}, "'cache_errors'; which bounded_many has not"),
        ({"work": "caller"}, "'work'; which bounded_many has not: several callers share a batch"),
        ({"batch_size": 5}, "did you mean max_batch=?"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_options(make: Make, options: dict[str, Any], message: str) -> None:
    """Options that make no sense, or none for batches, are refused at decoration with a remedy."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make(**options)
    assert message in str(caught.value)


def test_what_takes_no_keys() -> None:
    """What has no parameter for keys, and a plain function that is to gather, is refused at decoration."""
    decorate: Any = bounded_many(max=3)
    with pytest.raises(TypeError, match="takes no keys; its first parameter must be a collection of them, as in def"):
        decorate(dict)
    with pytest.raises(TypeError, match="takes no keys"):
        decorate(lambda *names: {})
    with pytest.raises(TypeError, match="takes no keys; its first parameter after the instance"):
        decorate(property(lambda self: {}))
    gathering: Any = bounded_many(max=3, gather="5ms")
    with pytest.raises(TypeError, match="a plain function, whose calls would each block a thread"):
        gathering(lambda names: {})
    kept: Any = bounded_many(max=3, keep="5s")
    with pytest.raises(TypeError, match=r"bounded_many: keep='5s' has no effect"):
        kept(lambda names: {})

    async def close(key: object, value: object, reason: object) -> None: ...

    closing: Any = bounded_many(max=3, on_evict=close)
    with pytest.raises(TypeError, match=r"bounded_many: on_evict=.* is a coroutine function, and .*lambda.* is none"):
        closing(lambda names: {})
    bare: Any = bounded_many
    with pytest.raises(TypeError, match=r"without a bound; write @bounded_many\(max=500\)"):
        bare(lambda names: {})


def test_nothing_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Absent keys and failures reach the callers, and no log."""
    source = make()
    source.lacking = {"x"}
    with caplog.at_level(logging.DEBUG, "memo"):
        answered(lambda: source.many(["x", "a"]))
        source.before = lambda keys: 1 / 0
        with pytest.raises(ZeroDivisionError):
            answered(lambda: source.many(["b"]))
    assert [record for record in caplog.records if record.name == "memo"] == []
