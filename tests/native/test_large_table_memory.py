"""The memory of the large table in C: it has few holes, counts, and is given back bit by bit."""

import subprocess
import sys
from typing import Any

import pytest
from kit.places import ROOT
from kit.processes import counts_alone

from memo._native import speed, why
from memo._store.entries import Entry

pytestmark = pytest.mark.skipif(speed is None, reason=why)


def made(items: Any = ()) -> Any:
    return speed.LargeTable(dict(items))


def entry(key: Any) -> Any:
    new = Entry()
    new.key, new.value = key, None
    return new


PROGRAM = """
import itertools
from memo._native import speed
from memo._store.entries import Entry

def jumps(table):
    values = []
    for number in range(20_000):
        values.append([number])
        table[number] = entry = Entry()
        entry.key, entry.value = number, values[-1]
    return sum(abs(id(one) - id(other)) > 16384 for one, other in itertools.pairwise(values))

print(jumps(speed.LargeTable({})) < 500 > jumps({}))
"""


def test_values_lie_together_however_it_grows() -> None:
    """What a table does with its bins leaves no holes, in which what is made meanwhile would lie far apart."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("True\n", 0), ran.stderr[-500:]


@counts_alone
def test_spare_bins_go_as_a_table_shrinks() -> None:
    """Of the bins that chains no longer need some are kept for others, and none for a table that is small again."""
    table = made((number, entry(number)) for number in range(20_000))
    for number in range(20_000):
        del table[number]
        if number % 1000 == 999:
            table._check()
    blocks = sys.getallocatedblocks()
    del table
    assert blocks - sys.getallocatedblocks() < 30


@counts_alone
def test_its_size_tells_of_all_bins() -> None:
    """Those that follow others, and those that are kept for that, count as those in segments do."""
    entries = [entry(number) for number in range(20_000)]
    before = sys.getallocatedblocks()
    table = made()
    for one in entries:
        table[one.key] = one
    for kept in (20_000, 16_000, 11_000, 10_500, 3_000, 100, 0):
        for number in range(kept, len(table)):
            del table[number]
        segments = -(-table._check()[0] // 7)
        loose = sys.getallocatedblocks() - before - 1 - segments
        places = (table.__sizeof__() - made().__sizeof__() - segments * 512) / 8 - 8 * loose
        assert segments - 160 <= places <= max(8, 4 * segments) + 160  # a few blocks are others' own


@counts_alone
def test_few_blocks_go_with_each_key() -> None:
    """What a table kept for its chains goes with what it gives away, and bit by bit as that is taken."""
    entries = [entry(number) for number in range(20_000)]
    table = made()
    for one in entries:
        table[one.key] = one
    for number in range(9_500):  # from now on chains are shorter, and bins spare
        del table[number]
    heirs = table.heirs()
    table.give_away(heirs)
    assert table.__sizeof__() == made().__sizeof__()
    had = sys.getallocatedblocks()
    most = 0
    while heirs[0]:
        heirs[0].take(1, [])
        has = sys.getallocatedblocks()
        most = max(most, had - has)
        had = has
    assert most <= 8
    heirs.clear()
    assert had - sys.getallocatedblocks() <= 20
