"""Whether an installed package works: ``python -I .ci/smoke.py [C]``, in an environment that has nothing else.

With ``C`` calls must run in C; ``MEMO_PURE=1`` in the environment has them run in Python.
"""

import asyncio
import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Mapping

import memo

calls: list[object] = []


@memo.bounded(max=2, ttl="1h")
def profile(name: str) -> dict[str, str]:
    calls.append(name)
    return {"name": name}


@memo.bounded(max=2)
async def awaited(name: str) -> str:
    calls.append(name)
    await asyncio.sleep(0)
    return name.title()


@memo.dedupe_inflight(timeout=30)
async def ask(prompt: str) -> str:
    calls.append(prompt)
    await asyncio.sleep(0)
    return prompt.upper()


@memo.sliding_window("24h")
def reply(text: str) -> str:
    return text


@memo.limit("2/1h")
def send() -> None: ...


@memo.bounded_many(max=10)
def many(names: Iterable[str]) -> Mapping[str, str]:
    calls.append(tuple(names))
    return {name: name.title() for name in names}


@memo.lru_cache(maxsize=2)
def squared(number: int) -> int:
    return number * number


class Page:
    @memo.cached_property
    def title(self) -> str:
        calls.append("title")
        return "Page"


async def in_a_loop() -> None:
    assert [await awaited("bob"), await awaited(name="bob")] == ["Bob", "Bob"]
    assert await asyncio.gather(ask("why"), ask("why"), ask("why")) == ["WHY"] * 3


def use() -> None:
    """Each decorator once missed and once hit."""
    assert profile("alice") is profile(name="alice")
    asyncio.run(in_a_loop())
    reply("hello")
    assert reply.window.count() == 1
    send(), send()
    assert send.limit.remaining() == 0
    assert many(["a", "b"]) == many(["b", "a"]) == {"a": "A", "b": "B"}
    assert squared(3) == squared(number=3) == 9
    page = Page()
    assert page.title is page.title
    assert calls == ["alice", "bob", "why", ("a", "b"), "title"], calls
    assert profile.cache_info() == (1, 1, 2, 1), profile.cache_info()
    assert [profile(str(number))["name"] for number in range(5)] == list("01234")
    assert len(profile.cache) == 2


def modules() -> tuple[int, int]:
    """How many modules can be imported, and how many say which extra they are for."""
    there = wanting = 0
    for module in pkgutil.walk_packages(memo.__path__, "memo."):
        if module.name == "memo.__main__":
            continue
        try:
            importlib.import_module(module.name)
        except memo.MissingExtra:
            wanting += 1
        except ModuleNotFoundError as error:
            if error.name not in ("pytest", "opentelemetry"):  # behind a plugin, and a module that names the extra
                raise
            wanting += 1
        else:
            there += 1
    return there, wanting


def main() -> None:
    if sys.prefix not in (memo.__file__ or ""):
        sys.exit(f"{memo.__file__} was imported, which is not what is installed in {sys.prefix}")
    use()
    table = str(memo.registry)
    for name in ("profile", "awaited", "ask", "reply", "send", "many", "squared"):
        assert name in table, table
    there, wanting = modules()
    told = subprocess.run([sys.executable, "-I", "-m", "memo", "info"], capture_output=True, text=True, check=True)
    (runs,) = (line for line in told.stdout.splitlines() if line.startswith("calls run in"))
    if sys.argv[1:] == ["C"] and "  C: " not in runs:
        sys.exit(told.stdout)
    others = {each.name for each in importlib.metadata.distributions()} - {"memo-toolkit", "pip", "setuptools"}
    print(f"memo-toolkit {importlib.metadata.version('memo-toolkit')} works, with {', '.join(sorted(others))} alone:")
    print(f"{there} modules are imported, {wanting} name the extra that they are for; {runs}")


if __name__ == "__main__":
    main()
