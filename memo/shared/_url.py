"""Where the server is: the URL, taken apart and checked, and how it is shown to those who must not see its secret.

Whatever a message says of a URL is its scheme, or what ``Address.shown`` says.  Never more: a password with a ``/`` or
``#`` in it tears a URL apart in the wrong places, and what then looks like a host or a port may be a piece of it.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from memo._base import did_you_mean

__all__ = ("Address", "address", "check_options", "check_together")

log = logging.getLogger("memo")

_SCHEMES = {
    "redis": (False, "redis"),
    "rediss": (True, "redis"),
    "valkey": (False, "valkey"),
    "valkeys": (True, "valkey"),
    "unix": (False, "redis"),
    "redis+unix": (False, "redis"),
    "valkey+unix": (False, "valkey"),
}  # whether by TLS, and whose library is asked first
_PORT = 6379
_EXAMPLE = "valkey://user:password@host:6379/0"
_ESCAPES = "in a user name or a password, write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A and % as %25"

# What the tier sees to itself, whatever the URL or client_options say: else one operation might wait for minutes.
_OURS = {
    "connection_class", "connection_pool", "decode_responses", "encoder_class", "encoding", "encoding_errors",
    "health_check_interval", "legacy_responses", "max_connections", "parser_class", "protocol", "retry",
    "retry_on_error", "retry_on_timeout", "single_connection_client", "socket_connect_timeout", "socket_timeout",
    "timeout",
}  # fmt: skip
_PLACE = {"host", "port", "path", "url", "unix_socket_path", "ssl"}
_LOGIN = {"username", "password", "db"}
# What a URL may say besides, and of which type.
_TEXTS = {
    "client_name", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_cert_reqs", "ssl_ciphers",
    "ssl_keyfile", "ssl_password",
}  # fmt: skip
_FLAGS = {"socket_keepalive", "ssl_check_hostname"}
_NUMBERS = {"socket_read_size", "ssl_min_version"}
_WORDS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


class Address(NamedTuple):
    """A URL, taken apart.  Its ``repr()`` is safe to show."""

    library: str
    """Whose client is asked first: "redis" or "valkey"."""
    tls: bool
    place: Mapping[str, Any]
    """``host`` and ``port``, or ``path``."""
    login: Mapping[str, Any]
    """``username``, ``password`` and ``db``, as far as they are given."""
    options: Mapping[str, Any]
    """What else the client is to be told."""
    unused: tuple[str, ...]
    """Names of options that the tier sees to itself."""
    shown: str
    """The URL without its secret."""

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"


def address(url: str) -> Address:
    """Take *url* apart.

    Raises:
        TypeError: It is no text.
        ValueError: It is malformed, of a scheme that is not known, or has an option that is not known.  The message
            shows the scheme alone.
    """
    if not isinstance(url, str):
        raise TypeError(
            f"Tier: the URL is of type {type(url).__name__}; give it as text such as {_EXAMPLE!r}, or a function "
            f"without arguments that returns such."
        )
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or not scheme.replace("+", "").isalnum():
        raise ValueError(f"Tier: the URL has no scheme; write for example {_EXAMPLE!r}.")
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ValueError(f"Tier: a URL of the scheme {scheme!r} is not known; write one of {known}.")
    try:
        parts = urlsplit(url)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
    except ValueError:
        raise _malformed(scheme, "its host or port cannot be read") from None
    if parts.fragment or "#" in url:
        raise _malformed(scheme, "it has a '#'")
    login: dict[str, Any] = {}
    if user:
        login["username"] = unquote(user)
    if password:
        login["password"] = unquote(password)
    options, unused = _options(scheme, parts.query, login)
    tls, library = _SCHEMES[scheme]
    if scheme.endswith("unix"):
        place, shown = _socket_path(scheme, parts.path, host), f"{_shown_login(login)}{unquote(parts.path)}"
        if login.get("db"):
            shown += f"?db={login['db']}"
    else:
        place, shown = {"host": unquote(host or "localhost"), "port": port or _PORT}, ""
        _take_database(scheme, parts.path, login)
        at = f"[{host}]" if host and ":" in host else host or "localhost"
        shown = f"{_shown_login(login)}{at}{f':{port}' if port else ''}/{login.get('db', 0)}"
    return Address(library, tls, place, login, options, unused, f"{scheme}://{shown}")


def check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options for the client library that a user gives beside the URL.

    Raises:
        TypeError: They are no mapping of names.
        ValueError: One is the tier's own, or belongs into the URL.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise TypeError(
            f"Tier: client_options is of type {type(options).__name__}; write a dict such as "
            f"{{'ssl_ca_certs': '/etc/ssl/own.pem'}}."
        )
    for name in options:
        if name in _OURS:
            raise ValueError(
                f"Tier: client_options has {name!r}, which the tier sees to itself; see its timeout= and connections=."
            )
        if name in _PLACE or name in _LOGIN:
            raise ValueError(f"Tier: client_options has {name!r}; say it in the URL, or in what returns the URL.")
    return dict(options)


def check_together(given: Address, options: Mapping[str, Any]) -> None:
    """Look at what a URL and the options beside it say together, and warn of what may surprise.

    Raises:
        ValueError: Both say who logs in.
    """
    if options.get("credential_provider") is not None and {"username", "password"} & {*given.login}:
        raise ValueError(
            "Tier: the URL has a user or a password, and client_options a credential_provider; give one of them."
        )
    if given.unused:
        log.warning(
            "Tier: the options %s of the URL %s are not used: the tier sees to that itself; see its timeout= and "
            "connections=.",
            ", ".join(given.unused),
            given.shown,
        )
    told = {**given.options, **options}
    unsafe = str(told.get("ssl_cert_reqs", "required")).lower() in ("none", "optional", "0", "1")
    if given.tls and (unsafe or told.get("ssl_check_hostname") is False):
        log.warning("Tier: the certificate of %s is not verified, so anybody may stand in for it.", given.shown)


def _malformed(scheme: str, what: str) -> ValueError:
    return ValueError(f"Tier: the {scheme}:// URL is malformed: {what}; write it as {_EXAMPLE!r}, and {_ESCAPES}.")


def _shown_login(login: Mapping[str, Any]) -> str:
    # a name alone may be a password that somebody forgot to put a colon before
    if "password" not in login:
        return "***@" if "username" in login else ""
    return f"{login.get('username', '')}:***@"


def _socket_path(scheme: str, path: str, host: str | None) -> dict[str, Any]:
    if host:
        raise _malformed(scheme, "the path of a socket begins with a third '/', as in unix:///run/valkey.sock")
    if not path.strip("/"):
        raise _malformed(scheme, "it has no path of a socket, as in unix:///run/valkey.sock")
    return {"path": unquote(path)}


def _take_database(scheme: str, path: str, login: dict[str, Any]) -> None:
    number = unquote(path).strip("/")
    if not number:
        return
    if not (number.isascii() and number.isdigit()):
        raise _malformed(scheme, "what follows the host is no number of a database")
    login.setdefault("db", int(number))


def _options(scheme: str, query: str, login: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    options: dict[str, Any] = {}
    unused: list[str] = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _OURS:
            unused.append(name)
        elif name in ("username", "password"):
            login[name] = value
        elif name == "db" or name in _NUMBERS:
            if not (value.isascii() and value.isdigit()):
                raise _malformed(scheme, f"its option {name} is no number")
            (login if name == "db" else options)[name] = int(value)
        elif name in _FLAGS:
            if value.lower() not in _WORDS:
                raise _malformed(scheme, f"its option {name} is neither true nor false")
            options[name] = _WORDS[value.lower()]
        elif name in _TEXTS:
            options[name] = value
        else:
            raise _unknown_option(scheme, name)
    return options, tuple(unused)


def _unknown_option(scheme: str, name: str) -> ValueError:
    # its name is not shown: it may be a piece of a password with a '?' in it
    near = did_you_mean(name, [*_TEXTS, *_FLAGS, *_NUMBERS, *_LOGIN])
    return _malformed(scheme, f"behind its '?' stands an option that is not known (client_options= takes others){near}")
