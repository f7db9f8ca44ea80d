"""Why an operation on the server came to nothing, in this package's own words."""

import enum
import re
import ssl
from collections.abc import Iterator
from typing import Any

__all__ = ("Reason", "Skipped", "Unreachable", "is_an_answer", "reason_of")


class Reason(enum.Enum):
    """What was the matter, and how it is said."""

    TIMEOUT = "did not answer in time"
    REFUSED = "refused the connection, or cannot be found"
    RESET = "cut the connection"
    LOADING = "is not ready (it loads its data, runs a script, or has too many clients)"
    READ_ONLY = "is a read-only replica"
    FULL = "has no memory left (maxmemory)"
    OTHERS = "answers with an error"
    GARBLED = "answers what makes no sense, and may be no Valkey or Redis"
    ADDRESS = "cannot be reached, since the function that returns its URL, or its credential_provider, failed"
    DENIED = "denies access"
    TLS = "cannot be trusted, or does not speak TLS"
    CLUSTER = "is part of a cluster, which the tier does not support"
    TOO_OLD = "is too old, or lacks a command: it must be Valkey, or Redis 6.0 or later, with no command renamed"
    MISUSED = "cannot be asked with these options"
    LOST = "has lost what was said before"
    WAITING = "was not asked, since no connection became free in time"
    OPEN = "was not asked, since it was not to be reached before"
    CLOSED = "was not asked, since the tier is closed"

    @property
    def is_final(self) -> bool:
        """Whether it will not pass by itself: somebody has to change a setting."""
        return self in _FINAL

    @property
    def counts(self) -> bool:
        """Whether it tells that the server cannot be used for now."""
        return self not in _OURS


_FINAL = {Reason.DENIED, Reason.TLS, Reason.CLUSTER, Reason.TOO_OLD, Reason.MISUSED}
_OURS = {Reason.WAITING, Reason.OPEN, Reason.CLOSED, Reason.OTHERS, Reason.LOST}

# Names of the client libraries' exception classes, and of the interpreter's, most telling first along each MRO.
_BY_CLASS = {
    "AuthenticationError": Reason.DENIED,
    "AuthorizationError": Reason.DENIED,
    "NoPermissionError": Reason.DENIED,
    "AuthenticationWrongNumberOfArgsError": Reason.DENIED,
    "BusyLoadingError": Reason.LOADING,
    "ReadOnlyError": Reason.READ_ONLY,
    "OutOfMemoryError": Reason.FULL,
    "MovedError": Reason.CLUSTER,
    "AskError": Reason.CLUSTER,
    "ClusterCrossSlotError": Reason.CLUSTER,
    "ClusterDownError": Reason.CLUSTER,
    "MasterDownError": Reason.LOADING,
    "DataError": Reason.MISUSED,
    "ResponseError": Reason.OTHERS,
    "InvalidResponse": Reason.GARBLED,
    "TimeoutError": Reason.TIMEOUT,
    "ConnectionRefusedError": Reason.REFUSED,
    "gaierror": Reason.REFUSED,
    "ConnectionError": Reason.RESET,
    "IncompleteReadError": Reason.RESET,
    "OSError": Reason.RESET,
}
# Codes in front of the server's errors; older ones have them behind a dash, in the middle of the error of a script.
_BY_CODE = {
    "OOM": Reason.FULL,
    "READONLY": Reason.READ_ONLY,
    "NOREPLICAS": Reason.READ_ONLY,
    "MISCONF": Reason.READ_ONLY,
    "LOADING": Reason.LOADING,
    "BUSY": Reason.LOADING,
    "MASTERDOWN": Reason.LOADING,
    "NOAUTH": Reason.DENIED,
    "WRONGPASS": Reason.DENIED,
    "NOPERM": Reason.DENIED,
    "MOVED": Reason.CLUSTER,
    "ASK": Reason.CLUSTER,
    "CROSSSLOT": Reason.CLUSTER,
    "CLUSTERDOWN": Reason.CLUSTER,
}
_CODE = re.compile(rf"(?:^|-)({'|'.join(_BY_CODE)})\b")
# What a script was kept from is said without a code that tells so.
_BY_TEXT = {
    "max number of clients": Reason.LOADING,
    "db index": Reason.MISUSED,  # of the URL's database, as a connection is made: no other one will do better
    "acl failure in script": Reason.DENIED,
    "the user executing the script can't": Reason.DENIED,
    "unknown command": Reason.TOO_OLD,
    "unknown redis command": Reason.TOO_OLD,
}
_WORD = re.compile(r"[A-Z]{3,20}(?= |$)")
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Unreachable(Exception):
    """The server did not do what it was asked for.  Never leaves this package.

    Holds nothing of the library's exception, which may name what nobody is to read, but the word in front of it.
    """

    def __init__(self, reason: Reason, word: str = "") -> None:
        self.reason = reason
        self.said = f"{reason.value} ({word})" if word else reason.value
        """What the server does, to be put behind its name."""
        self.word = word
        """What kind of error the server names, if it is none that is known here; the libraries leave ERR out."""
        super().__init__(f"the server {self.said}")


class Skipped(Unreachable):
    """The server was not asked at all, or did nothing."""


def reason_of(error: BaseException) -> Unreachable | None:
    """What an exception of a client library means; None for one that tells nothing about the server."""
    if isinstance(error, Unreachable):
        return error
    if not isinstance(error, Exception):
        return None
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _TLS_ENDS) and not isinstance(cause, TimeoutError):
            return Unreachable(Reason.TLS)
    if _is_theirs(error):
        reason = _of_text(error) or _of_class(error)
        return Unreachable(reason, _word_of(error) if reason is Reason.OTHERS else "")
    # what a library makes of an answer that is none is anything; what befell this process is not the server's fault,
    # nor is what somebody else's class says: a signal's exception, which may strike here
    if isinstance(error, MemoryError | RecursionError) or type(error).__module__.partition(".")[0] not in _PARSERS:
        return None
    return Unreachable(Reason.GARBLED)


def is_an_answer(error: BaseException) -> bool:
    """Whether *error* is what the server answered, so that its connection is fit for the next command."""
    return any(kind.__name__ == "ResponseError" for kind in type(error).__mro__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: Any = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _is_theirs(error: Exception) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in ("redis", "valkey") or isinstance(error, OSError | EOFError)


def _of_text(error: Exception) -> Reason | None:
    if not is_an_answer(error):
        return Reason.LOADING if "max number of clients" in str(error) else None
    text = str(error)
    code = _CODE.search(text)
    if code is not None:
        return _BY_CODE[code[1]]
    text = text.lower()
    return next((reason for part, reason in _BY_TEXT.items() if part in text), None)


def _word_of(error: Exception) -> str:
    found = _WORD.match(str(error))
    return "ERR" if found is None else found[0]


def _of_class(error: Exception) -> Reason:
    for kind in type(error).__mro__:
        reason = _BY_CLASS.get(kind.__name__)
        if reason is Reason.RESET and any(type(cause).__name__ in _REFUSED for cause in _causes(error)):
            return Reason.REFUSED
        if reason is not None:
            return reason
    return Reason.OTHERS


_PARSERS = {"builtins", "asyncio", "hiredis", "libvalkey", "struct"}
_REFUSED = {"ConnectionRefusedError", "gaierror", "FileNotFoundError"}
