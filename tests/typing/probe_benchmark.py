"""What type checkers must see of the fixture ``memo_benchmark``; for mypy --strict and pyright, never run."""

from typing import assert_type

from memo import bounded
from memo.testing import MemoBenchmark


@bounded(max=10)
def fetch(x: int, *, lang: str = "en") -> float:
    return 1.0


@bounded(max=10)
async def ask(x: int) -> str:
    return ""


def test_it(memo_benchmark: MemoBenchmark) -> None:
    assert_type(memo_benchmark(fetch, 1), float)
    assert_type(memo_benchmark(fetch, 1, lang="de"), float)
    assert_type(memo_benchmark(ask, 1), str)
    memo_benchmark(fetch, "1")  # type: ignore[call-overload]
    memo_benchmark(ask)  # type: ignore[call-overload]
