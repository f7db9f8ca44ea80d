"""The pieces of a shared tier, put together for tests that look at one of them."""

from collections.abc import Callable
from typing import Any

from memo.shared import _scripts as scripts
from memo.shared._messages import Log, Said, said
from memo.shared._names import Names, function_label
from memo.shared._scripts import Command

__all__ = ("HEADER", "Key")

HEADER = b" %d %d m1\n"
"""What stands between the generations of a value and the rest: its life and its stale window, in ms."""


class Key:
    """All that the server has of one key, and what can be asked of it, by a *run* of commands."""

    def __init__(
        self,
        run: Callable[[Command[Any]], Any],
        prefix: str,
        *,
        function: str = "bot.f",
        digest: bytes = b"d" * 16,
        tags: tuple[bytes, ...] = (b"t" * 16,),
        sender: bytes = b"me",
    ) -> None:
        self.run = run
        names = Names(prefix)
        self.log = Log(names.log, names.sequence, 1_000, sender)
        self.function = function_label(function, "")
        self.digest = digest
        self.tags = tags
        self.value = names.value(self.function, digest)
        self.lease = names.lease(self.value)
        self.generation = names.generation(self.function)
        self.generations = [self.generation, *map(names.tag, tags)]

    def ask(self, token: bytes, **options: Any) -> Any:
        asked = {"lease_ms": 60_000, "max_value": 10_000, **options}
        return self.run(scripts.ask(self.value, self.lease, self.generations, self.log, token=token, **asked))

    def store(
        self, token: bytes, under: bytes, text: bytes, *, life_ms: int = 60_000, stale_ms: int = 0, tell: bool = False
    ) -> bool:
        data = HEADER % (life_ms, stale_ms) + text
        command = scripts.store(
            self.value, self.lease, self.generations, self.log, token=token, under=under, data=data, life_ms=life_ms,
            function=self.function, digest=self.digest, tell_drop=tell,
        )  # fmt: skip
        return self.run(command).is_stored

    def put(self, text: bytes, *, stale_ms: int = 0) -> bool:
        return self.store(b"", b"", text, stale_ms=stale_ms)

    def release(self, token: bytes) -> bool:
        return self.run(scripts.release(self.lease, self.log, token=token, function=self.function, digest=self.digest))

    def renew(self, *tokens: bytes, lease_ms: int = 60_000) -> tuple[bool, ...]:
        return self.run(scripts.renew([self.lease] * len(tokens), tokens, lease_ms))

    def drop(self) -> bytes:
        return self.run(
            scripts.drop([self.value], [self.lease], self.log, function=self.function, digests=[self.digest])
        )

    def clear(self) -> bytes:
        return self.run(scripts.bump_function(self.generation, self.log, function=self.function))

    def clear_tag(self) -> bytes:
        return self.run(scripts.bump_tag(self.generations[1], self.log, tag=self.tags[0]))

    def where(self, *, prove: bool = False) -> scripts.Where:
        return self.run(scripts.where(self.log, prove=prove))

    def messages(self) -> list[Said]:
        """All that the log holds."""
        read = self.run(Command((b"XRANGE", self.log.key, b"-", b"+"), list))
        return [said(position, fields) for position, fields in read]
