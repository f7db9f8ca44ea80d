"""What one call with many keys loads, stores, and returns."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from kit.batches import Source, answered

from memo import AbsentKey, Registry, bounded_many
from memo.testing import FakeClock

Make = Callable[..., Source]


def test_the_missing_keys_alone_are_loaded(make: Make) -> None:
    """The function gets each key that is not stored once, in the order of first appearance; the result keeps that."""
    source = make()
    assert answered(lambda: source.many(["b", "a", "b"])) == {"b": "b-en", "a": "a-en"}
    result = answered(lambda: source.many(iter(["c", "a", "c", "d"])))
    assert list(result.items()) == [("c", "c-en"), ("a", "a-en"), ("d", "d-en")]
    assert source.calls == [["b", "a"], ["c", "d"]]
    assert answered(lambda: source.many({"d", "c"})) == {"c": "c-en", "d": "d-en"}
    assert answered(lambda: source.many([])) == {}
    assert len(source.calls) == 2
    result.clear()
    assert answered(lambda: source.many(["a"])) == {"a": "a-en"}, "a result is the caller's own"


def test_other_arguments_are_part_of_each_key(make: Make) -> None:
    """One key with other arguments is another entry, however they are spelled."""
    source = make()
    answered(lambda: source.many(["a"], "de"))
    assert answered(lambda: source.many(names=["a"], lang="de")) == {"a": "a-de"}
    assert answered(lambda: source.many(["a"])) == {"a": "a-en"}
    assert answered(lambda: source.many(["a"], lang="en")) == {"a": "a-en"}
    assert source.calls == [["a"], ["a"]]
    assert "a" in source.many.cache
    assert ("a", "de") in source.many.cache
    assert ("a", "fr") not in source.many.cache


def test_each_key_counts_by_itself(make: Make) -> None:
    """Hits, misses and absent keys are counted by key, and add up to the keys that were asked for."""
    source = make()
    source.lacking = {"x"}
    answered(lambda: source.many(["a", "b", "x"]))
    answered(lambda: source.many(["a", "a", "c", "x"]))
    answered(lambda: source.many.one("a"))
    stats = source.many.cache.stats()
    assert (stats.hits, stats.misses, stats.joins, stats.error_hits) == (2, 4, 0, 1)
    assert (stats.loads, stats.load_errors) == (4, 0), "that there is no value is an answer"
    assert source.many.cache_info()[:2] == (3, 4)


def test_absent_keys_are_left_out_and_remembered(make: Make) -> None:
    """The result lacks what the function's mapping lacks, as long as ``absent_ttl`` without asking again."""
    clock = FakeClock()
    source = make(ttl="1h", absent_ttl="1m", clock=clock)
    source.lacking = {"x"}
    assert answered(lambda: source.many(["x", "a"])) == {"a": "a-en"}
    assert answered(lambda: source.many(["x", "a"])) == {"a": "a-en"}
    with pytest.raises(KeyError, match="no value for the key 'x'") as caught:
        answered(lambda: source.many.one("x"))
    assert isinstance(caught.value, AbsentKey)
    assert caught.value.key == "x"
    assert source.calls == [["x", "a"]]
    assert "x" not in source.many.cache
    assert source.many.cache.entry("x") is None
    assert source.many.cache.items() == [(("a", "en"), "a-en")]
    source.lacking = set()
    clock.advance(60)
    assert answered(lambda: source.many(["x", "a"])) == {"x": "x-en", "a": "a-en"}
    assert source.calls == [["x", "a"], ["x"]]


@pytest.mark.parametrize(
    ("options", "asked_again"),
    [
        ({}, False),
        ({"ttl": "1h"}, True),
        ({"ttl": "1h", "absent_ttl": "3h"}, False),
        ({"absent_ttl": 0}, True),
        ({"ttl": lambda value: "9h"}, True),
    ],
    ids=["no ttl", "ttl", "longer", "none", "ttl of values"],
)
def test_how_long_absence_lasts(make: Make, options: dict[str, Any], asked_again: bool) -> None:
    """Without ``absent_ttl``, as long as a value; not at all where a function of the value says how long."""
    clock = FakeClock()
    source = make(clock=clock, **options)
    source.lacking = {"x"}
    answered(lambda: source.many(["x"]))
    clock.advance("2h")
    answered(lambda: source.many(["x"]))
    assert len(source.calls) == 1 + asked_again


def test_absence_replaces_a_value(make: Make) -> None:
    """A refresh that finds no value any more drops the one that was stored; a put ends the absence."""
    gone: list[Any] = []
    for options in ({}, {"absent_ttl": 0}):
        source = make(on_evict=lambda key, value, reason: gone.append((key[0], str(reason))), **options)
        answered(lambda source=source: source.many(["a"]))
        source.lacking = {"a"}
        with pytest.raises(AbsentKey):
            answered(lambda source=source: source.many.cache.refresh("a"))
        assert "a" not in source.many.cache
        assert answered(lambda source=source: source.many(["a"])) == {}
        source.many.cache.put("put", "a")
        assert answered(lambda source=source: source.many(["a"])) == {"a": "put"}
    assert gone == [("a", "replaced")] * 2


def test_ttl_of_each_value(make: Make) -> None:
    """Each value has its own life, also one that ``ttl(value)`` makes."""
    clock = FakeClock()
    source = make(ttl=lambda value: {"a": 10, "b": 20}.get(value[0]), clock=clock)
    answered(lambda: source.many(["a", "b", "c"]))
    clock.advance(10)
    answered(lambda: source.many(["a", "b", "c"]))
    clock.advance(10)
    answered(lambda: source.many(["b", "c", "a"]))
    assert source.calls == [["a", "b", "c"], ["a"], ["b", "a"]]


def test_ttl_and_cache_if_of_each_call(make: Make) -> None:
    """Both may ask about the call, which is that of one key."""
    clock = FakeClock()
    source = make(
        ttl=lambda value, call: 10 if call["names"] == "a" else 20,
        cache_if=lambda value, call: call["names"] != "c",
        clock=clock,
    )
    answered(lambda: source.many(["a", "b", "c"]))
    clock.advance(10)
    answered(lambda: source.many(["a", "b", "c"]))
    assert source.calls == [["a", "b", "c"], ["a", "c"]]


def test_tags_of_each_key(make: Make, own: Registry) -> None:
    """``tags=`` is asked with one key in place of the keys, and drops single entries; so of absent ones."""
    source = make(tags=lambda names, lang: f"user:{names}")
    source.lacking = {"x"}
    answered(lambda: source.many(["a", "b", "x"]))
    assert own.invalidate(tag="user:a") == 1
    own.invalidate(tag="user:x")
    answered(lambda: source.many(["a", "b", "x"]))
    assert source.calls[1:] == [["a", "x"]]


def test_the_handle_works_by_key(make: Make) -> None:
    """Looking, dropping, putting, refreshing: each is about one key, and calls see it."""
    source = make()
    cache = source.many.cache
    answered(lambda: source.many(["a", "b"]))
    assert cache.entry("a").value == "a-en"
    assert cache.invalidate("a") is True
    assert cache.invalidate("a") is False
    cache.put("mine", "c")
    assert cache.put_many({("d", "en"): "4", ("e", "de"): "5"}) == 2
    source.version = 2
    assert answered(lambda: cache.refresh("b")) == "b-en2"
    assert answered(lambda: source.many(["a", "b", "c", "d"])) == {"a": "a-en2", "b": "b-en2", "c": "mine", "d": "4"}
    assert source.calls == [["a", "b"], ["b"], ["a"]]
    assert cache.invalidate_where(lambda key, value: key[0] == "a") == 1
    assert answered(lambda: cache.call("a")) == "a-en2"
    assert answered(lambda: cache.within("10s").call("a")) == "a-en2"
    assert cache.clear() == 5


def test_more_keys_than_the_store_holds(make: Make) -> None:
    """A call with more keys than ``max`` is answered completely, and the bound holds."""
    source = make(max=3)
    keys = [str(number) for number in range(50)]
    assert list(answered(lambda: source.many(keys))) == keys
    assert len(source.many.cache) == 3
    assert list(answered(lambda: source.many(keys))) == keys


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs"])
@pytest.mark.parametrize("options", [{}, {"ttl": "1h", "idle": "1h"}, {"max_bytes": "1MB"}], ids=lambda o: "-".join(o))
def test_every_policy(make: Make, policy: str, options: dict[str, Any]) -> None:
    """Hits within a batch are hits to the policy, and leave the store whole."""
    source = make(policy=policy, max=4, **{"key": None, **options})
    for keys in ("abcd", "ab", "abxy", "abxyz"):
        assert list(answered(lambda keys=keys: source.many(list(keys)))) == list(keys)
        source.many.cache._check()
    assert sum(source.many.cache.stats().as_dict()[name] for name in ("hits", "misses")) == 15


def test_max_batch_splits(make: Make) -> None:
    """No call of the function has more keys than ``max_batch``."""
    source = make(max_batch=3)
    assert list(answered(lambda: source.many("abcdefg".__iter__()))) == list("abcdefg")
    assert source.calls == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_cache_if_and_copy(make: Make) -> None:
    """Both are asked for each value."""
    source = make(cache_if=lambda value: not value.startswith("b"), copy=lambda value: value + "'")
    assert answered(lambda: source.many(["a", "b"])) == {"a": "a-en''", "b": "b-en''"}
    assert answered(lambda: source.many(["a", "b"])) == {"a": "a-en''", "b": "b-en''"}
    assert source.calls == [["a", "b"], ["b"]]


def test_keys_of_ones_own(make: Make) -> None:
    """Keys that ``key=`` takes for one are loaded once, and each is answered."""
    source = make(key=lambda names, lang: names.lower())
    assert answered(lambda: source.many(["A", "a", "b"])) == {"A": "A-en", "a": "A-en", "b": "b-en"}
    assert source.calls == [["A", "b"]]
    assert answered(lambda: source.many.one("B")) == "b-en"


def test_what_else_the_function_returns_is_left_out(make: Make) -> None:
    """Keys that were not asked for are neither returned nor stored; any mapping will do, and none is made in it."""
    import collections

    source = make()
    made: Any = collections.defaultdict(list, {"a": 1, "z": 26})
    for mapping in (made, MappingProxyType({"a": 1, "z": 26})):
        source._values = lambda names, lang, mapping=mapping: mapping  # type: ignore[method-assign, misc]
        assert answered(lambda: source.many(["a", "b"])) == {"a": 1}
        source.many.cache.clear()
    assert sorted(made) == ["a", "z"]
    assert "z" not in source.many.cache


def test_keys_that_users_hash(make: Make) -> None:
    """Keys with a hash and a comparison of their own are found again by equal ones."""

    class Name:
        def __init__(self, text: str) -> None:
            self.text = text

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Name) and other.text == self.text

        def __repr__(self) -> str:
            return self.text

    source = make()
    assert list(answered(lambda: source.many([Name("a"), Name("b")])).values()) == ["a-en", "b-en"]
    assert list(answered(lambda: source.many([Name("b"), Name("c")])).values()) == ["b-en", "c-en"]
    assert [[str(name) for name in keys] for keys in source.calls] == [["a", "b"], ["c"]]


def test_signature_and_names(make: Make) -> None:
    """The decorated function stays what it was to ``inspect``, and the one of one key shows what it takes."""
    import inspect

    source = make(name="many")
    assert list(inspect.signature(source.many).parameters) == ["names", "lang"]
    assert str(inspect.signature(source.many.one)) == "(names, lang: str = 'en')"
    assert inspect.iscoroutinefunction(source.many) is inspect.iscoroutinefunction(source.many.one)
    assert source.many.cache.stats().name == source.many.one.cache.stats().name == "many"
    assert "one" in dir(source.many)
    assert source.many.one is source.many.one


def test_others_decorate_it_before(make: Make) -> None:
    """A function that documents other parameters than it takes is called as it was spelled, and hits all the same."""
    import functools

    calls: list[list[str]] = []

    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @bounded_many(max=10)
    @traced
    def many(names: list[str], lang: str = "en") -> Mapping[str, str]:
        calls.append(names)
        return {name: name + lang for name in names}

    assert many(["a", "b"]) == {"a": "aen", "b": "ben"}
    assert many(names=["b", "c"]) == {"b": "ben", "c": "cen"}
    assert many.one("c") == "cen"
    assert calls == [["a", "b"], ["c"]]


def test_switched_off(make: Make, own: Registry) -> None:
    """While it is off, calls go straight to the function, those of one key too."""
    source = make()
    answered(lambda: source.many(["a"]))

    def off() -> Any:
        with own.disabled():
            return answered(lambda: source.many(["a"])), answered(lambda: source.many.one("a"))

    assert off() == ({"a": "a-en"}, "a-en")
    assert source.calls == [["a"]] * 3
    answered(lambda: source.many(["a"]))
    assert len(source.calls) == 3


def test_records_and_reports(make: Make, own: Registry, tmp_path: Any) -> None:
    """In the registry it is one function, of which each key asked for can be recorded, dumped and restored."""
    source = make(name="many", ttl="1h")
    assert own.stats()["many"].cache is not None
    with source.many.cache.record(tmp_path / "keys") as recording:
        answered(lambda: source.many(["a", "b"]))
        answered(lambda: source.many(["a", "c"]))
    assert recording.requests == 4
    assert source.many.cache.dump(tmp_path / "dump") == 3
    other = make(name="many", ttl="1h", registry=Registry())
    assert other.many.cache.load(tmp_path / "dump") == 3
    assert answered(lambda: other.many(["a", "b", "c"])) == {"a": "a-en", "b": "b-en", "c": "c-en"}
    assert other.calls == []
    assert own["many"].cache is not None
    assert len(own) == 1
    assert "many" in str(own)
    own.clear()
    assert len(source.many.cache) == 0
    assert own.cleanup().total == 0


def test_set_aside_and_put_back(make: Make) -> None:
    """Within ``isolated()`` it starts empty, and afterwards it holds what it held."""
    from memo.testing import isolated

    source = make()
    answered(lambda: source.many(["a"]))
    with isolated(source.many):
        assert len(source.many.cache) == 0
        answered(lambda: source.many(["a", "b"]))
    assert answered(lambda: source.many(["a"])) == {"a": "a-en"}
    assert source.calls == [["a"], ["a", "b"]]


def test_installed_clock(make: Make) -> None:
    """A clock that is installed later drives calls with many keys as well."""
    source = make(ttl="1h")
    answered(lambda: source.many(["a"]))
    with FakeClock() as clock:
        clock.advance("59m")
        answered(lambda: source.many(["a"]))
        clock.advance("1m")
        answered(lambda: source.many(["a"]))
    assert source.calls == [["a"]] * 2


def test_new_defaults(make: Make) -> None:
    """Another default that is assigned to the function changes what calls with many keys and with one ask for."""
    source = make()
    answered(lambda: source.many(["a"]))
    source.many.__defaults__ = ("de",)
    assert answered(lambda: source.many(["a"])) == {"a": "a-de"}
    assert answered(lambda: source.many.one("a")) == "a-de"
