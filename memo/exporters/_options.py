"""What ``serve()`` is asked for, checked."""

from collections.abc import Iterable
from dataclasses import dataclass

from memo._base import given_text
from memo.exporters._guard import check_token, host_of, is_loopback
from memo.exporters._sockets import NAME

__all__ = ("Options", "checked", "host_names")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of ``serve()``."""

    address: tuple[str, int] | None
    """Where to listen for HTTP."""
    socket: bool
    token: str | None
    hosts: frozenset[str]
    """Names by which the server may be asked, beside the loopback's."""
    show_keys: bool
    actions: bool
    name: str | None

    def __repr__(self) -> str:
        return f"<options of a server at {self.address}>"  # without the token


def checked(
    *,
    http: int | tuple[str, int] | None,
    socket: bool,
    token: str | None,
    show_keys: bool,
    actions: bool,
    name: str | None,
    hosts: Iterable[str],
) -> Options:
    """The options, if they are such as can be served safely.

    Raises:
        TypeError: One is of the wrong type.
        ValueError: One has a wrong value, or two of them together would let in others.
    """
    for option, flag in (("socket", socket), ("show_keys", show_keys), ("actions", actions)):
        if not isinstance(flag, bool):
            raise TypeError(f"serve: {option}={given_text(flag)} is neither True nor False.")
    address = _address(http)
    if address is None and not socket:
        raise ValueError("serve: http=None and socket=False leave nothing to serve at; give one of them.")
    if token is not None:
        check_token("serve", token)
    if address is not None and token is None:
        if not is_loopback(address[0]):
            raise ValueError(
                f"serve: http={given_text(address)} can be reached by other machines; give token=, such as "
                f"secrets.token_urlsafe(), or an address of the loopback, such as http={address[1]}."
            )
        if actions:
            raise ValueError(
                "serve: actions=True with http= and no token= would let every page and user of this machine clear "
                "caches; give token=, or leave http= out: the socket is its user's alone."
            )
    return Options(address, socket, token, host_names("serve", hosts), show_keys, actions, _name(name))


def _address(http: object) -> tuple[str, int] | None:
    if http is None:
        return None
    host, port = http if isinstance(http, tuple) and len(http) == 2 else ("127.0.0.1", http)
    if not isinstance(host, str) or isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"serve: http={given_text(http)} is neither a port nor an address such as ('127.0.0.1', 8080).")
    if not 0 <= port <= 65_535:
        raise ValueError(f"serve: http={given_text(http)} is no port; give one from 0 (any that is free) to 65535.")
    return host, port


def _name(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"serve: name={given_text(name)} is not text.")
    if not NAME.match(name):
        raise ValueError(
            f"serve: name={given_text(name)} becomes part of a file's name; give at most 40 letters, digits, '_', '.' "
            "and '-'."
        )
    return name


def host_names(where: str, hosts: Iterable[str]) -> frozenset[str]:
    """Names of machines, as a request may have them.

    Raises:
        TypeError: hosts is text.
        ValueError: One is no name of a machine.
    """
    if isinstance(hosts, str):
        raise TypeError(
            f"{where}: hosts={given_text(hosts)} is text; give a list of names, such as [{given_text(hosts)}]."
        )
    found: set[str] = set()
    for host in hosts:
        name = host_of(host) if isinstance(host, str) else None
        if name is None or name != host.lower().strip("[]").rstrip("."):
            raise ValueError(
                f"{where}: {given_text(host)} in hosts= is no name of a machine; give one such as 'web.example.org'."
            )
        found.add(name)
    return frozenset(found)
