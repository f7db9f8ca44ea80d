"""What a tier's user must be allowed on the server, and no more."""

import re

from memo.shared._names import Names

__all__ = ("acl",)

# What a tier sends, and what its scripts do: a server looks at both.
_SENT = ("evalsha", "eval", "xread", "ping", "hello", "auth", "select")
_IN_SCRIPTS = (
    "get", "set", "del", "strlen", "pttl", "pexpire", "hget", "hset", "hincrby", "xadd", "xrevrange",
)  # fmt: skip
_GLOB = re.compile(rb"([\\*?\[\]])")


def acl(prefix: str) -> str:
    """The rules for ``ACL SETUSER``, behind the name of the user and the password."""
    names = Names(prefix)
    start = names.log.removesuffix(b"log")
    keys = _GLOB.sub(rb"\\\1", start).decode("utf-8", "surrogatepass")
    return " ".join((f"resetkeys ~{keys}*", "resetchannels", "-@all", *(f"+{name}" for name in (*_SENT, *_IN_SCRIPTS))))
