"""The tokens of instances, in C: a dictionary of addresses in which no change takes long."""

import gc
import random
import subprocess
import sys
import weakref
from typing import Any

import pytest
from kit.places import ROOT
from kit.processes import counts_alone

from memo._native import speed, why

pytestmark = pytest.mark.skipif(speed is None, reason=why)

LOT = 65536 + 100
"""Bytes of a lot, or somewhat more."""


def made() -> Any:
    return speed.Refs()  # type: ignore[union-attr]


def addresses(count: int) -> list[int]:
    """Of objects as the interpreter has them, side by side, and of some far away."""
    return [16 * (1_000_000 + number + (number % 7 == 0) * 10**9) for number in range(count)]


def assert_same(refs: Any, model: dict[int, str], known: list[int]) -> None:
    assert len(refs) == len(model)
    assert [refs.get(address) for address in known] == [model.get(address) for address in known]
    assert [address in refs for address in known] == [address in model for address in known]
    assert sorted(refs.values()) == sorted(model.values())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [30, 1000, 10_000])
def test_it_is_a_dictionary_of_addresses(count: int, seed: int) -> None:
    """Whatever comes and goes, in tides of all sizes, while the table is exchanged for larger and for smaller ones."""
    rng = random.Random(seed)
    known = addresses(count)
    rng.shuffle(known)
    refs, model = made(), {}
    for tide in range(12):
        coming = rng.choice([0.05, 0.5, 0.95])
        for step in range(len(known)):
            address = rng.choice(known)
            if rng.random() < coming:
                token = f"{tide} {step}"
                if rng.random() < 0.5:
                    assert refs.setdefault(address, token) == model.setdefault(address, token)
                else:
                    refs[address] = model[address] = token
            elif rng.random() < 0.5:
                assert refs.pop(address, "nobody") == model.pop(address, "nobody")
            elif address in model:
                assert refs[address] == model[address]
                del refs[address], model[address]
            else:
                with pytest.raises(KeyError, match=str(address)):
                    refs[address]
                with pytest.raises(KeyError, match=str(address)):
                    del refs[address]
        assert_same(refs, model, known)
        if tide == 8:
            refs.clear()
            model.clear()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 4096])
def test_rows_of_addresses_that_lie_together(step: int) -> None:
    """All are found at every moment, also while the table is exchanged."""
    refs = made()
    known = [16 * (1 + step * number) for number in range(6000)]
    for number, address in enumerate(known):
        refs[address] = number
        if number in {10, 100, 1000, 2000, 2100, 2300, 2700, 2731, 2732, 2800, 3000, 5461, 5462, 5500}:
            assert [refs.get(one) for one in known] == [*range(number + 1), *[None] * (len(known) - number - 1)]
    for number, address in enumerate(known):
        assert refs.pop(address, None) == number
        if number % 500 == 7 or number > 5950:
            assert sorted(refs.values()) == list(range(number + 1, len(known)))
            assert [refs.get(one) for one in known[number - 7 : number + 9]] == [
                *[None] * 8,
                *range(number + 1, min(number + 9, len(known))),
            ]


def home_of(address: int, places: int) -> int:
    """The first place, of so many, at which an address may lie."""
    return (((address >> 4) * 0x9E3779B97F4A7C15) % 2**64 >> 20) % places


@pytest.mark.parametrize("count", [1366, 2731, 10_923])
def test_what_leaves_while_the_table_is_exchanged_has_left(count: int) -> None:
    """What was moved may still stand in the old table, where nobody must find it; and nothing else is lost."""
    refs, known = made(), addresses(count)
    for number, address in enumerate(known):
        refs[address] = number
    for number in range(100):
        assert refs.pop(known[7 * number], None) == 7 * number
        gone = set(known[: 7 * number + 1 : 7])
        looked_at = known[:: max(1, count // 300)] + known[:700]
        assert [refs.get(one) is None for one in looked_at] == [one in gone for one in looked_at]


def test_a_row_of_tokens_that_goes_on_at_the_first_place() -> None:
    """Of those that would all lie at the last place, most lie at the first ones: they are found at every moment."""
    last = [address for address in addresses(200_000) if home_of(address, 2048) == 2047][:60]
    refs, others = made(), addresses(3000)
    for address in last:
        refs[address] = address
    assert len(last) == 60
    for number, address in enumerate(others):
        refs[address] = address
        if 1200 < number < 1600:
            assert [refs.get(one) for one in last] == last


@counts_alone
def test_no_change_takes_or_gives_back_much() -> None:
    """Memory, by which time goes: no more than three lots, and the list of them that a new table has."""
    refs, known = made(), addresses(300_000)
    rng = random.Random(1)
    size = sys.getsizeof(refs)

    def change() -> int:
        nonlocal size
        before, size = size, sys.getsizeof(refs)
        return size - before

    largest = smallest = 0
    for address in known:
        refs[address] = None
        difference = change()
        largest, smallest = max(largest, difference), min(smallest, difference)
    assert 16 * 300_000 < size < 60 * 300_000
    rng.shuffle(known)
    for address in known:
        refs.pop(address, None)
        difference = change()
        largest, smallest = max(largest, difference), min(smallest, difference)
    assert size < LOT
    assert largest < 3.5 * LOT
    assert smallest > -3.5 * LOT


def test_instances_that_come_and_go_leave_nothing() -> None:
    """However many have died, the table is as large as those need that live."""
    refs, known = made(), addresses(100)
    for number in range(200_000):
        refs[known[0] + 16 * number] = number
        refs.pop(known[0] + 16 * (number - 50), None)
    assert len(refs) == 50
    assert sys.getsizeof(refs) < 4096


@pytest.mark.parametrize("count", [5, 700, 50_000])
def test_all_are_taken_by_and_by(count: int) -> None:
    """Also what comes meanwhile, and what is still to be moved."""
    refs, known = made(), addresses(count + 10)
    for address in known[:count]:
        refs[address] = address
    taken: list[int] = []
    calls = 0
    while refs:
        some = refs.take(100)
        assert len(some) <= 100
        taken += some
        calls += 1
        if calls <= 10:
            refs[known[-calls]] = known[-calls]
    for address in known:
        refs.pop(address, None)
    assert sorted(taken) == sorted(known[:count] + known[count + 10 - min(calls, 10) :])
    assert calls < 60 + count / 10
    assert refs.take(100) == []


@pytest.mark.parametrize("wrong", ["many", None, 1.5])
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    """Of how many are taken, and as an address."""
    refs = made()
    for act in (refs.take, refs.get, refs.__getitem__, refs.__contains__):
        with pytest.raises(TypeError):
            act(wrong)
    for address in (0, 1):
        with pytest.raises(ValueError, match="nothing lies at that address"):
            refs.get(address)


class Token:
    """Something that can be watched."""


@pytest.mark.parametrize("count", [3, 2750])
def test_tokens_are_let_go(count: int) -> None:
    """By each way out of the table, each once, also from the middle of an exchange."""

    def full() -> tuple[Any, list[weakref.ref[Token]]]:
        refs, tokens = made(), [Token() for _ in range(count)]
        for address, token in zip(addresses(count), tokens, strict=True):
            refs[address] = token
        return refs, [weakref.ref(token) for token in tokens]

    refs, watched = full()
    refs.clear()
    assert not any(ref() for ref in watched)
    refs, watched = full()
    del refs
    assert not any(ref() for ref in watched)
    refs, watched = full()
    while refs:
        refs.take(7)
    assert not any(ref() for ref in watched)
    refs, watched = full()
    for address in addresses(count):
        refs[address] = None
    assert not any(ref() for ref in watched)
    refs, watched = full()
    for ref in watched:
        ref().itself = refs  # type: ignore[union-attr]
    del refs
    gc.collect()
    assert not any(ref() for ref in watched)


WITHOUT_MEMORY = """
import _testcapi
import sys
from memo._native import speed

def addresses():
    return [16 * (7 + number) for number in range(4000)]

for begin in range(0, 60):
    refs, there = speed.Refs(), {}
    for number, address in enumerate(addresses()):
        if number % 173 == begin % 173 or number in (5, 682, 683, 1365, 1366, 2730, 2731, 2732):
            _testcapi.set_nomemory(begin % 5, begin % 5 + 1 + begin // 20)
        is_put = False
        try:
            refs[address] = number
            is_put = True
        except MemoryError:
            pass
        finally:
            _testcapi.remove_mem_hooks()
        if is_put:
            there[address] = number
    assert len(refs) == len(there), begin
    assert all(refs.get(address) == there.get(address) for address in addresses()), begin
    for number, address in enumerate(addresses()):
        if number % 97 == begin:
            _testcapi.set_nomemory(begin % 3, begin % 3 + 2)
        try:
            found = refs.pop(address, None)
        finally:
            _testcapi.remove_mem_hooks()
        assert found == there.pop(address, None), begin
    assert sorted(refs.values()) == sorted(there.values()), begin
print("whole")
"""


def test_it_stays_whole_where_memory_is_refused() -> None:
    """What cannot be put in raises MemoryError and leaves all as it was; what there is can be taken out in any case."""
    pytest.importorskip("_testcapi")
    ran = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("whole\n", 0), ran.stderr[-800:]
