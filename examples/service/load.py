"""Calls the service for a while: a bounded number of times, for a bounded time, on this machine alone.

python examples/service/load.py http://127.0.0.1:8000 --calls 2000 --seconds 10
"""

import argparse
import http.client
import ipaddress
import random
import threading
import time
import urllib.parse
from collections import Counter

MOST_CALLS = 1_000_000
MOST_SECONDS = 600.0
THREADS = 8
CALLS_A_CONNECTION = 10  # a connection stays with one worker: with few calls for each all workers get some


class Load:
    """Calls from several threads until there were enough, or the time is over.

    Args:
        url: Of the service, on a loopback address.
        calls: How many calls, in all.
        seconds: For how long at most.
        seed: The same one asks the same questions.
    """

    def __init__(self, url: str, *, calls: int, seconds: float, seed: int = 0) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        if self.host != "localhost" and not _is_loopback(self.host):
            raise ValueError(f"load: {url!r} is not on this machine; give a URL such as 'http://127.0.0.1:8000'.")
        if not 0 < calls <= MOST_CALLS or not 0 < seconds <= MOST_SECONDS:
            raise ValueError(f"load: at most {MOST_CALLS:,} calls and {MOST_SECONDS:g} seconds, and more than none.")
        self.until = time.monotonic() + seconds
        self.answers: Counter[tuple[str, int]] = Counter()
        """How many answers there were, by what was asked for, such as "profile", and status; 0: there was none."""
        self._paths = _paths(calls, seed)
        self._lock = threading.Lock()

    def run(self) -> None:
        """Call; returns when it is over."""
        threads = [threading.Thread(target=self._call) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self) -> None:
        while paths := self._some():
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
            try:
                for path in paths:
                    status = _asked(connection, path)
                    with self._lock:
                        self.answers[path.split("/")[1], status] += 1
            finally:
                connection.close()

    def _some(self) -> list[str]:
        if time.monotonic() >= self.until:
            return []
        with self._lock:
            taken, self._paths = self._paths[:CALLS_A_CONNECTION], self._paths[CALLS_A_CONNECTION:]
        return taken


def _asked(connection: http.client.HTTPConnection, path: str) -> int:
    """The status of the answer; 0 if there is none, as when a worker was killed."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next one connects anew
        return 0
    return answer.status


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _paths(calls: int, seed: int) -> list[str]:
    """What is asked for: a few things often, many seldom."""
    chance = random.Random(seed)

    def name() -> str:
        return f"user{int(chance.paretovariate(0.6)) % 1_000}"

    kinds = chance.choices(("profile", "avatar", "answer"), weights=(6, 3, 1), k=calls)
    first = {"profile": "", "avatar": "", "answer": "what-is-"}
    return [
        f"/{kind}/{'why-is-' if kind == 'answer' and chance.random() < 0.1 else first[kind]}{name()}" for kind in kinds
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Call the example service for a while.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load = Load(given.url, calls=given.calls, seconds=given.seconds, seed=given.seed)
    begun = time.monotonic()
    load.run()
    total = sum(load.answers.values())
    print(f"{total:,} calls in {time.monotonic() - begun:.1f} s")
    for (kind, status), count in sorted(load.answers.items()):
        print(f"  {kind:<8} {status or '---'}  {count:,}")


if __name__ == "__main__":
    main()
