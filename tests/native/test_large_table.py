"""The large table in C is a dictionary, whatever its keys do, and may change while it is gone through."""

import gc
import random
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit.dictionaries import KEYS, delete, look

from memo._native import speed, why
from memo._store import large_table
from memo._store.entries import Entry, TrackedEntry
from memo._store.large_table import taken

pytestmark = pytest.mark.skipif(speed is None, reason=why)


def made(items: Any = ()) -> Any:
    return speed.LargeTable(dict(items))


def entry(key: Any, value: Any = None, kind: Any = Entry) -> Any:
    new = kind()
    new.key, new.value = key, value
    return new


class Alike:
    """A key whose hash is one of few, and which is equal to those of its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number % 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike) and self.number == other.number


# -- a dictionary


class AsADictionary(RuleBasedStateMachine):
    """Whatever is done to it, it has what a dictionary has, entries among it, and is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Any, Any] = {n: n for n in range(10)}
        self.table: Any = speed.LargeTable(self.model)

    numbers = st.integers(-60, 60)
    keys = st.one_of(numbers, numbers.map(str), numbers.map(Alike), st.tuples(numbers, numbers))

    @rule(key=keys, value=st.integers())
    def put(self, key: Any, value: int) -> None:
        self.model[key] = self.table[key] = value

    @rule(key=keys, kind=st.sampled_from([Entry, TrackedEntry]), other=st.booleans())
    def put_an_entry(self, key: Any, kind: Any, other: bool) -> None:
        self.model[key] = self.table[key] = entry(("another", key) if other else key, key, kind)

    @rule(numbers=st.lists(numbers))
    def put_many(self, numbers: list[int]) -> None:
        for number in numbers:
            self.model[3 * number] = self.table[3 * number] = entry(3 * number)

    @rule(key=keys)
    def look(self, key: Any) -> None:
        look(self.table, self.model, key)

    @rule(key=keys)
    def delete(self, key: Any) -> None:
        delete(self.table, self.model, key)

    @rule(key=keys)
    def pop(self, key: Any) -> None:
        assert self.table.pop(key, None) == self.model.pop(key, None)
        with pytest.raises(KeyError):
            self.table.pop(key)

    @rule(key=keys)
    def set_default(self, key: Any) -> None:
        assert self.table.setdefault(key, 5) == self.model.setdefault(key, 5)

    @precondition(lambda self: self.model)
    @rule()
    def pop_any(self) -> None:
        key, value = self.table.popitem()
        assert self.model.pop(key) == value

    @rule(most=st.integers(0, 20))
    def take(self, most: int) -> None:
        before = dict(self.table.items())
        values: list[Any] = [None]
        self.table.take(most, values)
        assert len(values) == 1 + min(most, len(self.model))
        self.model = dict(self.table.items())
        left = [value for key, value in before.items() if key not in self.model]
        assert Counter(map(id, left)) == Counter(map(id, values[1:]))

    @precondition(lambda self: len(self.model) > 20)
    @rule(away=st.booleans())
    def clear(self, away: bool) -> None:
        if away:
            heirs = self.table.heirs()
            assert not self.table.gave_away(heirs)
            self.table.give_away(heirs)
            assert self.table.gave_away(heirs)
            assert dict(heirs[0].items()) == self.model
            heirs[0]._check()
        else:
            self.table.clear()
        self.model.clear()

    @invariant()
    def is_the_same(self) -> None:
        assert dict(self.table.items()) == self.model
        assert list(self.table) == list(self.table.keys()) == [key for key, _ in self.table.items()]
        assert list(map(id, self.table.values())) == [id(value) for _, value in self.table.items()]
        assert Counter(id(v) for lot in self.table.lots() for v in lot) == Counter(map(id, self.model.values()))
        assert len(self.table) == len(self.model)
        assert bool(self.table) == bool(self.model)
        self.table._check()


AsADictionary.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestAsADictionary = AsADictionary.TestCase


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_all_kinds_spread(kind: str) -> None:
    """No chain grows long while a table grows and shrinks, and what leaves gives its memory back by the way."""
    make, count, table = KEYS[kind], 20_000, made()
    for n in range(count):
        table[make(n)] = n
    bins, _, longest = table._check()
    assert longest <= 25
    assert count / 4 <= bins <= count / 2
    assert [table[make(n)] for n in range(0, count, 37)] == list(range(0, count, 37))
    full = table.__sizeof__()
    for n in range(count):
        del table[make(n)]
        if n == count * 3 // 4:
            table._check()
            assert table.__sizeof__() < full / 1.5
    assert table.__sizeof__() <= made({1: 1}).__sizeof__()
    assert table._check() == (1, 0, 0)


def test_a_key_that_cannot_be_hashed() -> None:
    """It is refused as by a dictionary, whatever is asked."""
    table, wrong = made(), []  # type: ignore[var-annotated]
    for ask in (
        lambda: table[wrong], lambda: wrong in table, lambda: table.get(wrong), lambda: table.pop(wrong, None),
        lambda: table.setdefault(wrong), lambda: table.__setitem__(wrong, 1), lambda: table.__delitem__(wrong),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            ask()


def test_equal_keys_of_other_types_are_one() -> None:
    """So it is with numbers in a dictionary; the key that was there first stays."""
    table = made({1: "a", 0: "b"})
    assert (table[1.0], table[True], table[False]) == ("a", "a", "b")
    table[1.0] = "c"
    assert [type(key) for key, value in table.items() if value == "c"] == [int]


def test_wrong_arguments() -> None:
    """They are refused."""
    table = made({1: 1})
    for wrong in (
        lambda: speed.LargeTable(), lambda: speed.LargeTable([]), lambda: table.get(), lambda: table.pop(1, 2, 3),
        lambda: table.take(1), lambda: table.take("1", []), lambda: table.take(1, ()), lambda: table.give_away([]),
        lambda: table.give_away([table]), lambda: table.gave_away([{}]), lambda: table.setdefault(),
        lambda: type(iter(table))(),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            wrong()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="have something already"):
        table.give_away([made({2: 2})])
    with pytest.raises(KeyError, match="is empty"):
        made().popitem()
    table._check()


# -- going through it while it changes


@pytest.mark.parametrize("seed", range(30))
def test_what_stays_is_met_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come and leave between two lots, so that bins are divided and merged: what stays is met, and once."""
    monkeypatch.setattr(large_table, "LOT", seed % 7)
    dice = random.Random(seed)
    key: Callable[[int], Any] = Alike if seed % 5 == 0 else str
    table = made((key(n), object()) for n in range(dice.randrange(1, 300)))
    staying = {id(value): name for name, value in dice.sample(list(table.items()), len(table) // 2)}
    others = [name for name in table if id(table[name]) not in staying]
    kept = list(table.values())  # so that no address comes again
    met: Counter[int] = Counter()
    grows = dice.random() < 0.5
    for lot in table.lots():
        met.update(map(id, lot))
        for _ in range(dice.randrange(30)):
            if dice.random() < (0.8 if grows else 0.3):
                others.append(key(dice.randrange(1_000, 10**9)))
                value = object()
                kept.append(value)
                table[others[-1]] = value
            elif others:
                table.pop(others.pop(dice.randrange(len(others))), None)
        if dice.random() < 0.1:
            grows = not grows
        table._check()
    assert {met[identity] for identity in staying} <= {1}
    assert set(met.values()) <= {1}


def test_a_lot_is_small() -> None:
    """No lot has many more values than ``LOT`` where keys spread, few have less, and together they are all."""
    table = made((n, n) for n in range(50_000))
    sizes = [len(lot) for lot in table.lots()]
    assert sum(sizes) == 50_000
    assert max(sizes) <= 1.2 * large_table.LOT  # the last chain of bins in it may be a long one
    assert len(sizes) < 1.2 * 50_000 / large_table.LOT
    few = [len(values) for values in taken(table)]
    assert (sum(few), max(few)) == (50_000, large_table.LOT)


def test_a_walk_tells_of_changes_and_goes_on() -> None:
    """An iterator raises as that of a dictionary does; asked again it goes on, and misses nothing that stayed."""
    table = made((n, n) for n in range(200))
    walk = iter(table.values())
    met = {next(walk) for _ in range(50)}
    assert len(met) == 50
    table[1_000] = 1_000
    with pytest.raises(RuntimeError, match="changed size during iteration"):
        next(walk)
    met |= set(walk)
    assert set(range(200)) <= met
    assert list(walk) == []


def test_it_is_emptied_in_the_middle_of_a_walk() -> None:
    """Nothing more is met, by iterators or in lots."""
    for empty in (lambda table: table.clear(), lambda table: table.give_away(table.heirs())):
        table = made((n, n) for n in range(2_000))
        lots, walk = table.lots(), iter(table)
        next(lots)
        next(walk)
        empty(table)  # type: ignore[no-untyped-call]
        assert list(lots) == []
        with pytest.raises(RuntimeError):
            next(walk)
        assert list(walk) == []


def test_values_are_taken_in_lists() -> None:
    """taken() empties it at once, and hands out what it had, a little at a time."""
    table = made((n, n) for n in range(3_000))
    lots = taken(table)
    first = next(lots)
    assert len(table) == 0
    assert 0 < len(first) <= 500
    assert sorted(first + [value for lot in lots for value in lot]) == list(range(3_000))


# -- keys that do anything


class Evil:
    """A key whose hash, comparison and end do what they are told to."""

    act: Callable[[], object] | None = None

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def perhaps(cls) -> None:
        act, Evil.act = Evil.act, None
        if act is not None:
            try:
                act()
            finally:
                Evil.act = act

    def __hash__(self) -> int:
        self.perhaps()
        return self.number % 5

    def __eq__(self, other: object) -> bool:
        self.perhaps()
        return isinstance(other, Evil) and self.number == other.number

    def __del__(self) -> None:
        try:
            self.perhaps()
        except ZeroDivisionError:
            pass


@pytest.fixture
def calm_in_the_end() -> Iterator[None]:
    yield
    Evil.act = None


@pytest.mark.usefixtures("calm_in_the_end")
@pytest.mark.parametrize("seed", range(25))
def test_evil_keys(seed: int) -> None:
    """In the middle of a comparison, a hash or an end the table changes, or is emptied: it is whole all the same."""
    dice = random.Random(seed)
    table = made()
    walks: list[Any] = []

    def change() -> None:
        key: Any = Evil(dice.randrange(40)) if dice.random() < 0.7 else dice.randrange(40)
        chance = dice.random()
        if chance < 0.5:
            table[key] = entry(key, [table]) if dice.random() < 0.5 else Evil(0)
        elif chance < 0.7:
            table.pop(key, None)
        elif chance < 0.75:
            table.setdefault(key, key)
        elif chance < 0.8 and table:
            table.popitem()
        elif chance < 0.83:
            table.take(dice.randrange(5), [])
        elif chance < 0.84:
            table.clear()
        elif chance < 0.85:
            speed.LargeTable({key: key, Evil(1): 1})
        elif chance < 0.86:
            table.give_away(table.heirs())
        elif chance < 0.88:
            gc.collect(0)
        elif chance < 0.95:
            walks.append(dice.choice([table.lots, table.items, table.keys])())
        else:
            table.get(key)

    def mischief() -> None:
        chance = dice.random()
        if chance < 0.1:
            raise ZeroDivisionError
        if chance < 0.4:
            change()

    Evil.act = mischief
    for _ in range(1_500):
        try:
            change()
            for walk in walks[-2:]:
                next(walk, None)
        except (ZeroDivisionError, RuntimeError, KeyError):
            pass
        del walks[:-3]
        table._check()
    Evil.act = None
    assert len(list(table)) == len(table)


@pytest.mark.usefixtures("calm_in_the_end")
def test_a_comparison_that_changes_the_table_is_made_again() -> None:
    """A look-up finds what is there in the end, and not where it was before."""
    keys = [Evil(5 * n) for n in range(12)]
    table = made((key, key.number) for key in keys)
    changes = [lambda: table.pop(keys[0], None), lambda: table.__setitem__("x", 1), lambda: table.pop(keys[7], None)]

    def change() -> None:
        if changes:
            changes.pop()()

    Evil.act = change
    assert table.get(Evil(55)) == 55
    assert table.get(Evil(35), "gone") == "gone"
    assert not changes
    table._check()


# -- who owns what


def test_references_are_given_up() -> None:
    """Keys and values have as many as before once they have left, whichever way they left."""
    key, value, one = ("key", 1.5), object(), entry("name", object())
    before = [sys.getrefcount(item) for item in (key, value, one, one.value)]
    leave: list[Callable[[Any], object]] = [
        lambda table: (table.pop(key), table.pop("name")),
        lambda table: (table.popitem(), table.popitem()),
        lambda table: table.clear(),
        lambda table: table.take(5, []),
        lambda table: (table.__delitem__(key), table.__delitem__("name")),
        lambda table: (table.__setitem__(key, 1), table.__setitem__("name", 1)),
        lambda table: table.give_away(table.heirs()),
        lambda table: [list(table), list(table.items()), list(table.values()), list(table.lots()), next(iter(table))],
        lambda table: None,
    ]
    for way in leave:
        table = made()
        table[key] = value
        table["name"] = one
        table["name"] = one
        way(table)
        table._check()
        del table
        assert [sys.getrefcount(item) for item in (key, value, one, one.value)] == before


def test_an_entry_keeps_its_key_for_the_table() -> None:
    """The table has no reference of its own to the key of an entry that is listed under it."""
    key = "a key " * 3
    one = entry(key)
    before = sys.getrefcount(key)
    table = made()
    table[key] = one
    assert sys.getrefcount(key) == before
    assert table[key] is one
    one.key = "another"
    assert list(table.keys()) == ["another"]
    table._check()


@pytest.mark.parametrize("kind", [Entry, TrackedEntry])
def test_the_collector_goes_through_it(kind: Any) -> None:
    """A table in a circle with what it has is collected, but for entries, for which queues are responsible."""

    class Value:
        table: Any

    def circle(value: Any) -> weakref.ref[Any]:
        gone = Value()
        gone.table = made((n, n) for n in range(1_000))
        gone.table["value"] = value(gone)
        return weakref.ref(gone)

    seen = circle(lambda gone: gone)
    by_entry = circle(lambda gone: entry("value", gone, TrackedEntry))
    other_key = circle(lambda gone: entry("other", gone, TrackedEntry))
    gc.collect()
    assert [ref() for ref in (seen, by_entry, other_key)] == [None, None, None]


def test_a_table_that_the_collector_has_cleared_has_no_lots() -> None:
    """A finalizer may ask for them after that, and anything else."""
    found: list[Any] = []

    class Value:
        def __init__(self, table: Any) -> None:
            self.table = table

        def __del__(self) -> None:
            found.append([list(self.table.lots()), list(self.table), len(self.table), self.table.get(1)])

    table = made({1: 1})
    table[2] = Value(table)
    table.clear()
    assert found == [[[], [], 0, None]]
