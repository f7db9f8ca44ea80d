"""A dictionary in parts is a dictionary, none of whose parts grows large, whoever reads it meanwhile."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit.dictionaries import KEYS, delete, look
from kit.strikes import Struck, strike

from memo._store import parted
from memo._store.parted import MOST, PLACES, Parted


def largest(table: Parted[Any, Any]) -> int:
    return max(map(len, table.parts()))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are 13 places, and parts of more than three keys are divided."""
    set_small(monkeypatch)


def set_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parted, "MOST", 3)
    patch.setattr(parted, "PLACES", 13)


# -- a dictionary


class AsADictionary(RuleBasedStateMachine):
    """Whatever is done to it, it has what a dictionary has, and its parts are whole."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        set_small(self.patch)
        self.model: dict[int, int] = {n: n for n in range(10)}
        self.table: Parted[int, int] = Parted(dict(self.model))

    keys = st.integers(-40, 40)

    @rule(key=keys, value=st.integers())
    def put(self, key: int, value: int) -> None:
        self.model[key] = self.table[key] = value

    @rule(key=keys)
    def look(self, key: int) -> None:
        look(self.table, self.model, key)

    @rule(key=keys)
    def delete(self, key: int) -> None:
        delete(self.table, self.model, key)

    @rule(key=keys)
    def pop(self, key: int) -> None:
        assert self.table.pop(key, None) == self.model.pop(key, None)

    @rule(key=keys)
    def set_default(self, key: int) -> None:
        assert self.table.setdefault(key, 5) == self.model.setdefault(key, 5)

    @precondition(lambda self: len(self.model) > 20)
    @rule()
    def clear(self) -> None:
        self.model.clear()
        self.table.clear()

    @rule()
    def divide(self) -> None:
        self.table.divide()
        in_each_place = Counter(hash(key) % parted.PLACES for key in self.model)
        assert largest(self.table) <= max(parted.MOST, *in_each_place.values(), 0)

    @invariant()
    def is_the_same(self) -> None:
        assert dict(self.table.items()) == self.model
        assert list(zip(self.table, self.table.values(), strict=True)) == list(self.table.items())
        assert len(self.table) == len(self.model)
        self.table._check()

    def teardown(self) -> None:
        self.patch.undo()


AsADictionary.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestAsADictionary = AsADictionary.TestCase


def test_a_key_that_cannot_be_hashed() -> None:
    """It is refused as by a dictionary, whatever is asked."""
    table: Parted[Any, int] = Parted({})
    wrong: Any = []
    for ask in (lambda: table[wrong], lambda: wrong in table, lambda: table.get(wrong), lambda: table.pop(wrong, None)):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            ask()


def test_a_dictionary_becomes_the_first_part() -> None:
    """It is not copied."""
    small: dict[int, int] = dict.fromkeys(range(MOST), 0)
    assert [part is small for part in Parted(small).parts()] == [True]


# -- none is large


@pytest.mark.parametrize("kind", KEYS)
def test_no_part_is_ever_large(kind: str) -> None:
    """No insertion meets a part of more than MOST keys and some, while it grows and when it has grown."""
    make, count = KEYS[kind], 30 * MOST
    table: Parted[Any, int] = Parted({})
    met = 0
    for n in range(2 * count):
        if n >= count:
            del table[make(n - count)]
        met = max(met, len(table._places[hash(make(n)) % PLACES]))
        table[make(n)] = n
    assert met <= MOST + 10  # one that is divided in vain, since all of its keys are in one half, comes again
    assert largest(table) <= MOST + 10
    assert len(table) == count
    table._check()


def test_a_large_dictionary_is_divided_at_once_if_it_is_asked_for() -> None:
    """divide() leaves no large part, whatever it began with."""
    table = Parted(dict.fromkeys(range(0, 50_000, 5), 0))
    table.divide()
    assert largest(table) <= MOST
    table._check()


def test_keys_that_share_a_remainder_stay_together() -> None:
    """They are found all the same, and cost no more than they would in one dictionary."""
    table: Parted[int, int] = Parted({})
    for n in range(2 * MOST):
        table[n * PLACES] = n
    assert largest(table) == 2 * MOST
    assert [table[n * PLACES] for n in (0, MOST, 2 * MOST - 1)] == [0, MOST, 2 * MOST - 1]
    table._check()


# -- others meanwhile


class Slow:
    """A key whose hash takes its time: others go on meanwhile."""

    def __init__(self) -> None:
        self.meanwhile: list[Callable[[], object]] = []
        """What happens while it is hashed the next time, the time after that, ..."""

    def __hash__(self) -> int:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return 1


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("leaves", ["divided", "cleared"])
def test_who_looks_into_a_part_that_is_no_more_finds_nothing(leaves: str) -> None:
    """A reader between part and key, where the part is divided, or all is cleared, finds nothing that left."""
    key = Slow()
    table: Parted[Any, int] = Parted({key: 0, 2: 0, 3: 0})

    def nothing() -> None: ...

    def change() -> None:
        if leaves == "divided":
            table[4] = 0
            assert len(table.parts()) == 2
            del table[key]
        else:
            table.clear()

    key.meanwhile = [nothing, change]  # in the second of the two hashes of a look-up
    with pytest.raises(KeyError):
        table[key]
    assert not key.meanwhile
    table._check()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_change_that_is_cut_short_is_done_or_not(everywhere: bool) -> None:
    """Struck anywhere, each change of one key has happened or not, others are as they were, and all are counted."""
    changes: list[Callable[[Parted[int, int]], object]] = [
        lambda table: table.__setitem__(100, 1),
        lambda table: table.__setitem__(3, 1),
        lambda table: table.__delitem__(3),
        lambda table: table.pop(4),
        lambda table: table.divide(),
    ]
    before = dict.fromkeys(range(10), 0)
    for change in changes:
        after: Parted[int, int] = Parted(dict(before))
        change(after)
        for at in range(10_000):
            table = Parted(dict(before))
            where, raised = strike(lambda table=table, change=change: change(table), at, Struck, everywhere)  # type: ignore[misc]
            del raised
            table._check()
            assert dict(table.items()) in (before, dict(after.items())), where
            table[200] = 2
            del table[0]
            table._check()
            if where is None:
                break
        else:
            pytest.fail("it never ends")


def test_what_is_taken_out_key_by_key_gives_its_memory_back_by_the_way() -> None:
    """A part that has lost its last key takes no more than a new dictionary, while others are still full."""
    table: Parted[int, int] = Parted({n: n for n in range(20_000)})
    table.divide()
    parts = {id(part): part for part in table.parts()}
    smallest = sys.getsizeof({})
    assert min(map(sys.getsizeof, parts.values())) > smallest
    for n in range(20_000):
        del table[n]
        if n == 10_000:
            for part in parts.values():
                assert part or sys.getsizeof(part) == smallest
    assert {sys.getsizeof(part) for part in parts.values()} == {smallest}
    table._check()
