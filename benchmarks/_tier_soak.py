"""A service that shares results for minutes: what it has of threads, connections and memory must not grow."""

import logging
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

from kit.crews import Door, crew
from kit.servers import Server
from kit.ways import Memo

__all__ = ("soak",)

PROCESSES = 3
THREADS = 4
KEYS = 20_000


class Soaked:
    """One process: calls, changes, loads that fail, and values of all sizes."""

    def __init__(self, door: Door, url: str, prefix: str) -> None:
        logging.disable()  # of each outage, in each process
        self._memo = Memo(url, prefix, self._load)
        self._is_over = threading.Event()
        self._errors: list[str] = []
        self._calls = [0] * THREADS
        for number in range(THREADS):
            threading.Thread(target=self._go_on, args=(number,), daemon=True).start()

    def _load(self, key: int) -> Any:
        if key % 50 == 0:
            raise LookupError(key)
        return [key] * (key % 100)

    def _go_on(self, number: int) -> None:
        chance = random.Random()
        while not self._is_over.is_set():
            key = int(KEYS * chance.random() ** 3)
            try:
                if chance.random() < 0.02:
                    self._memo.invalidate(key)
                else:
                    self._memo.read(key)
            except LookupError:
                pass
            except Exception as error:
                self._errors.append(f"{type(error).__name__}: {error}")
            self._calls[number] += 1
            if chance.random() < 0.05:
                self._is_over.wait(0.001)

    def look(self) -> dict[str, Any]:
        """What the process has now."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return {
            "calls": sum(self._calls), "errors": self._errors[:3], "threads": threading.active_count(),
            "kB": pages * os.sysconf("SC_PAGE_SIZE") // 1024, "files": len(os.listdir("/proc/self/fd")),
        }  # fmt: skip


def soak(seconds: float) -> bool:
    """Run so long, print what there is every twentieth of it, and say whether nothing grew.

    The server is killed and begun anew now and then.  What is there after the first third is what is compared with.
    """
    with Server() as server, crew(PROCESSES, Soaked, server.url_of("redis"), "soak") as workers:
        began = time.perf_counter()
        rows: list[dict[str, Any]] = []
        for step in range(1, 21):
            threading.Event().wait(max(0.0, began + seconds * step / 20 - time.perf_counter()))
            looks = [worker.call("look") for worker in workers]
            row = {name: max(look[name] for look in looks) for name in ("threads", "kB", "files")}
            row["calls"] = sum(look["calls"] for look in looks)
            row["errors"] = [error for look in looks for error in look["errors"]]
            row["connections"] = len(server.clients())
            row["server kB"] = int(server.info("used_memory")) // 1024
            rows.append(row)
            print(f"{time.perf_counter() - began:6.0f} s  {'  '.join(f'{n} {v}' for n, v in row.items())}", flush=True)
            if step % 5 == 2:
                server.restart(empty=True)
    settled, last = rows[6:10], rows[-4:]
    kept = not any(row["errors"] for row in rows)
    for name, more in (("threads", 0), ("connections", 0), ("files", 0), ("kB", 4_096), ("server kB", 4_096)):
        before, after = max(row[name] for row in settled), max(row[name] for row in last)
        within = after <= before + more
        kept &= within
        print(f"{'within' if within else 'OVER  '}  {name}: {before} after a third, {after} at the end")
    return kept
