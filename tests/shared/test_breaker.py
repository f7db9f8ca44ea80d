"""When a server is left alone, and what is said of it."""

import logging

import pytest

from memo.shared._breaker import Breaker
from memo.shared._unreachable import Reason, Unreachable
from memo.testing import FakeClock

TEMPORARY = [
    Reason.TIMEOUT, Reason.REFUSED, Reason.RESET, Reason.LOADING, Reason.READ_ONLY, Reason.FULL, Reason.GARBLED,
    Reason.ADDRESS,
]  # fmt: skip
FINAL = [Reason.DENIED, Reason.TLS, Reason.CLUSTER, Reason.TOO_OLD, Reason.MISUSED]
OURS = [Reason.WAITING, Reason.OPEN, Reason.CLOSED, Reason.OTHERS, Reason.LOST]


def breaker(clock: FakeClock | None = None, opened: list[int] | None = None) -> Breaker:
    on_open = None if opened is None else lambda: opened.append(1)
    return Breaker(lambda: "valkey://u:***@h/0", on_open=on_open, read=clock or FakeClock())


def fail(breaker: Breaker, *reasons: Reason) -> None:
    for reason in reasons:
        breaker.failed(Unreachable(reason), breaker.era)


def test_every_reason_is_of_one_kind() -> None:
    """Each passes by itself, or does not, or is none of the server's."""
    assert {*TEMPORARY, *FINAL, *OURS} == {*Reason}
    assert len(TEMPORARY + FINAL + OURS) == len(Reason)


@pytest.mark.parametrize("reason", TEMPORARY)
def test_three_failures_in_a_row_open_it(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """With one warning; a success between them begins the count anew; once it closes, one line says for how long."""
    clock, opened = FakeClock(), []
    one = breaker(clock, opened)
    with caplog.at_level(logging.DEBUG, "memo"):
        fail(one, reason, reason)
        one.ok(one.era, has_room=True)
        fail(one, reason, reason)
        assert not one.is_open
        fail(one, reason, reason, reason)
        assert one.is_open
        assert (one.opened, opened, one.probe_s) == (1, [1], (0.25, 0.6))
        clock.advance(90)
        one.close()
        one.close()
    assert not one.is_open
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"tier: valkey://u:***@h/0 {reason.value}; results are kept in this process alone until it is back.",
        ),
        ("INFO", "tier: valkey://u:***@h/0 is used again, after 1m 30s."),
    ]


@pytest.mark.parametrize("reason", FINAL)
def test_what_does_not_pass_opens_it_at_once(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """With one error, and half a minute between probes."""
    opened: list[int] = []
    one = breaker(opened=opened)
    fail(one, reason, reason)
    assert one.is_open
    assert (one.opened, opened, one.probe_s) == (1, [1], (30.0, 30.0))
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("reason", OURS)
def test_what_is_not_the_servers_fault_does_not_count(reason: Reason) -> None:
    """Not between failures, either."""
    one = breaker()
    fail(one, *[reason] * 10)
    assert not one.is_open
    fail(one, Reason.RESET, reason, Reason.RESET, reason, Reason.RESET)
    assert one.is_open


@pytest.mark.parametrize("reason", [Reason.FULL, Reason.READ_ONLY])
def test_a_server_that_takes_nothing_is_opened_for(reason: Reason) -> None:
    """What such a server does all the same does not begin the count anew; what it would refuse does."""
    one = breaker()
    for _ in range(2):
        fail(one, reason)
        one.ok(one.era)
    one.ok(one.era, has_room=True)
    for _ in range(2):
        fail(one, reason)
        one.ok(one.era)
    assert not one.is_open
    fail(one, reason)
    assert one.is_open


def test_what_began_before_says_nothing() -> None:
    """Operations that began before it opened or closed neither open it again nor begin the count anew."""
    one = breaker()
    before = one.era
    fail(one, *[Reason.RESET] * 3)
    while_open = one.era
    one.close()
    for era in (before, while_open) * 3:
        one.failed(Unreachable(Reason.RESET), era)
    assert not one.is_open
    fail(one, Reason.RESET, Reason.RESET)
    one.ok(before)
    fail(one, Reason.RESET)
    assert one.is_open


def test_probes_that_fail_otherwise_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """A server that comes back with another password is an error, once, and is looked after seldom."""
    one = breaker()
    fail(one, *[Reason.REFUSED] * 3)
    for _ in range(3):
        one.probe_failed(Unreachable(Reason.REFUSED))
        one.probe_failed(Unreachable(Reason.DENIED))
    assert (one.reason, one.probe_s) == (Reason.DENIED, (30.0, 30.0))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    one.close()
    one.probe_failed(Unreachable(Reason.DENIED))
    assert not one.is_open
