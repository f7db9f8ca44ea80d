"""URLs taken apart, refused, and shown without what they must not show."""

import logging
import sys
from typing import Any

import pytest

from memo.errors import MissingExtra
from memo.shared._scripts import ping
from memo.shared._unreachable import Unreachable
from memo.shared._url import address, check_options
from memo.shared._wire import Wire

SECRET = "s3cr%2Ft"


def parts(url: str) -> tuple[str, bool, dict[str, Any], dict[str, Any], dict[str, Any]]:
    found = address(url)
    return found.library, found.tls, {**found.place}, {**found.login}, {**found.options}


@pytest.mark.parametrize(
    ("url", "expected", "shown"),
    [
        ("redis://h", ("redis", False, {"host": "h", "port": 6379}, {}, {}), "redis://h/0"),
        ("REDISS://h:1/", ("redis", True, {"host": "h", "port": 1}, {}, {}), "rediss://h:1/0"),
        (
            "valkey://u:p%40w@h:1/3",
            ("valkey", False, {"host": "h", "port": 1}, {"username": "u", "password": "p@w", "db": 3}, {}),
            "valkey://u:***@h:1/3",
        ),
        (
            "valkeys://:pw@[::1]:7/0?ssl_ca_certs=%2Fca.pem&ssl_check_hostname=no",
            (
                "valkey", True, {"host": "::1", "port": 7}, {"password": "pw", "db": 0},
                {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False},
            ),
            "valkeys://:***@[::1]:7/0",
        ),
        ("redis://pw@h", ("redis", False, {"host": "h", "port": 6379}, {"username": "pw"}, {}), "redis://***@h/0"),
        ("valkey://", ("valkey", False, {"host": "localhost", "port": 6379}, {}, {}), "valkey://localhost/0"),
        (
            "unix:///run/a%20b.sock?db=2&password=pw&username=u",
            ("redis", False, {"path": "/run/a b.sock"}, {"db": 2, "password": "pw", "username": "u"}, {}),
            "unix://u:***@/run/a b.sock?db=2",
        ),
        ("valkey+unix:///s", ("valkey", False, {"path": "/s"}, {}, {}), "valkey+unix:///s"),
    ],
)  # fmt: skip
def test_a_url_says_where_and_who(url: str, expected: object, shown: str) -> None:
    """Every scheme, with and without a login, and how it is shown."""
    assert parts(url) == expected
    assert address(url).shown == shown
    assert repr(address(url)) == f"<Address {shown}>"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://u:{SECRET}@h", "'http' is not known; write one of redis://"),
        (f"redis:/u:{SECRET}@h", "has no scheme"),
        ("", "has no scheme"),
        (f"redis://u:{SECRET}@h:{SECRET}/0", "host or port cannot be read"),
        ("redis://u:a/s3cr@h:1/0", "host or port cannot be read"),
        ("redis://u:a#s3cr@h:1/0", "host or port cannot be read"),
        ("redis://ua#s3cr@h:1/0", "it has a '#'"),
        ("redis://u:1/s3cr@h:1/0", "no number of a database"),
        ("redis://u:1?s3cr@h:1/0", "behind its '?' stands an option that is not known"),
        (f"redis://u:{SECRET}@h/s3cr", "no number of a database"),
        (f"redis://u:{SECRET}@h?db=s3cr", "its option db is no number"),
        (f"rediss://u:{SECRET}@h?ssl_check_hostname=s3cr", "neither true nor false"),
        (f"rediss://u:{SECRET}@h?ssl_ca_cert=s3cr", "did you mean 'ssl_ca_certs'"),
        (f"unix://u:{SECRET}@host/s", "begins with a third '/'"),
        (f"unix://:{SECRET}@", "no path of a socket"),
    ],
)
def test_a_wrong_url_is_refused(url: str, says: str) -> None:
    """With a sentence that says what is wrong, and no piece of the secret, nor a chained exception that has one."""
    with pytest.raises(ValueError, match="Tier: ") as told:
        Wire(url, timeout_s=1, connections=1)
    assert says in str(told.value)
    assert "s3cr" not in str(told.value)
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_what_is_no_text_is_refused() -> None:
    """A URL is text, or a function that returns it; nothing of it is shown."""
    with pytest.raises(TypeError, match="the URL is of type bytes; give it as text"):
        address(b"redis://:s3cret@h")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["socket_timeout", "retry", "protocol", "max_connections", "host", "password", "db"])
def test_options_that_are_the_tiers_are_refused(name: str) -> None:
    """What would undo its timeouts, and what belongs into the URL, by name alone."""
    with pytest.raises(ValueError, match=f"client_options has '{name}'") as told:
        check_options({name: "s3cret"})
    assert "s3cret" not in str(told.value)
    assert check_options({"ssl_ca_certs": "/ca"}) == {"ssl_ca_certs": "/ca"}
    assert check_options(None) == {}


def test_two_logins_are_refused() -> None:
    """A provider of logins beside a login in the URL."""
    with pytest.raises(ValueError, match="give one of them"):
        Wire("redis://:s3cret@h", timeout_s=1, connections=1, client_options={"credential_provider": object()})


def test_what_surprises_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Options of the URL that are not used, and certificates that are not verified."""
    with caplog.at_level(logging.WARNING):
        Wire("rediss://:s3cret@h?socket_timeout=60&ssl_cert_reqs=none", timeout_s=1, connections=1)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "Tier: the options socket_timeout of the URL rediss://:***@h/0 are not used: the tier sees to that itself; "
            "see its timeout= and connections=."
        ),
        "Tier: the certificate of rediss://:***@h/0 is not verified, so anybody may stand in for it.",
    ]


def test_options_that_no_library_takes_are_refused() -> None:
    """As the wire is made, by name, and never by value."""
    with pytest.raises(ValueError, match="does not take the options that it is given, one of ssl_magic") as told:
        Wire("rediss://h", timeout_s=1, connections=1, client_options={"ssl_magic": "s3cret"})
    assert "s3cret" not in str(told.value)
    assert told.value.__suppress_context__


def test_without_a_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is taken, and where there is none, the extra is named."""
    monkeypatch.setitem(sys.modules, "redis.connection", None)
    Wire("redis://h", timeout_s=1, connections=1)
    monkeypatch.setitem(sys.modules, "valkey.connection", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memo-toolkit\[shared\]'"):
        Wire("redis://h", timeout_s=1, connections=1)


def test_a_function_that_returns_no_url(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with it is told, once a minute, without what it returned."""
    wire = Wire(lambda: "http://:s3cret@h", timeout_s=1, connections=1)
    for _ in range(2):
        with pytest.raises(Unreachable, match="the function that returns its URL, or"):
            wire.run(ping())
    (record,) = caplog.records
    assert "failed by ValueError: Tier: a URL of the scheme 'http' is not known" in record.getMessage()
    assert "s3cret" not in record.getMessage()
