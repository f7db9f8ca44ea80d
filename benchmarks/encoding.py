"""How long a value that processes share takes to become bytes, and to come back, in units of json's time.

    python benchmarks/encoding.py [--rounds 15] [--gate]

``json.dumps`` and ``json.loads`` of the same value are the baseline, for bytes those of their Base64.  Each side runs
in turn within a round; the median of the ratios counts.  With --gate the exit status is 1 if a ratio is over its bound.
"""

import argparse
import binascii
import json
import random
import sys
from collections.abc import Callable
from typing import Any

from _ratios import Ratio, headline, interleaved, table, timed

from memo.shared._values import decoded_value, encoded_value

__all__ = ("main",)

BOUND = 2.0
_picked = random.Random(16)


def one() -> dict[str, Any]:
    """A dict that takes 1 kB as JSON."""
    kinds = [lambda: _picked.random() * 1000, lambda: _picked.randrange(10**6), lambda: "some words " * 3, lambda: None]
    return {f"field_{number:02}": kinds[number % 4]() for number in range(36)}


def rows() -> list[dict[str, Any]]:
    """A hundred rows as a query returns them: 13 kB."""
    return [
        {
            "id": number,
            "name": f"person number {number}",
            "mail": f"person{number}@example.com",
            "score": number / 7,
            "active": number % 2 == 0,
            "note": None,
            "city": "Berlin",
        }
        for number in range(100)
    ]


def by_base64(value: bytes) -> str:
    """Bytes as JSON holds them."""
    return json.dumps({"bytes": binascii.b2a_base64(value, newline=False).decode()})


def from_base64(text: str) -> bytes:
    """The bytes that JSON holds."""
    return binascii.a2b_base64(json.loads(text)["bytes"])


VALUES: list[tuple[str, Any, Callable[[Any], str], Callable[[str], Any], int]] = [
    ("dict of 1 kB", one(), json.dumps, json.loads, 1000),
    ("100 rows, 13 kB", rows(), json.dumps, json.loads, 60),
    ("64 kB of bytes", _picked.randbytes(1 << 16), by_base64, from_base64, 60),
]


def repeated(function: Callable[[Any], object], value: Any) -> Callable[[int], None]:
    """A batch of calls with one value."""

    def run(count: int) -> None:
        for _ in range(count):
            function(value)

    return run


def measured(rounds: int) -> list[Ratio]:
    """The six ratios."""
    found = []
    for case, value, dumps, loads, count in VALUES:
        text, data = dumps(value), encoded_value(value)
        assert loads(text) == value == decoded_value(data)
        for way, baseline, candidate in (
            ("encode", repeated(dumps, value), repeated(encoded_value, value)),
            ("decode", repeated(loads, text), repeated(decoded_value, data)),
        ):
            found.append(interleaved(case, way, timed(baseline, count), timed(candidate, count), rounds, BOUND))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a ratio is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    ratios = measured(options.rounds)
    print(table(ratios))
    return int(options.gate and not all(ratio.within for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
