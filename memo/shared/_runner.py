"""What the tier's thread does: reads the log, sends what is pending, renews leases, and brings the tier back.

Rules

- While the tier is up it waits for messages on a connection of its own.  What is to be sent meanwhile goes another way.
- A second without a message is followed by a question for the counter, on the same connection: so the whole way is
  proved, and not only that somebody is there.  It writes something: a primary that was cut off from its replicas may be
  told to take no changes (``min-replicas-to-write``), and nothing else would send those away who only read.
- Where the URL leads may change, and the line hears nothing where nobody speaks any more.  So its connection is not
  kept once callers have found that out, and when it makes another one, they do as well: values that are read from
  one server, and messages that are heard from another, may not belong together.
- While the tier is down it alone goes to the server.  The tier is up again when the server has answered and takes
  changes, the log has been read to its end, and all that was pending has been delivered.
- Whatever is raised here, the thread lives on.
"""

import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from memo._base import ReadClock, real
from memo.shared._breaker import Breaker
from memo.shared._gaps import Place, has_more, lost, place_of
from memo.shared._held import Held
from memo.shared._line_client import LineClient, Portion, WakeUp
from memo.shared._messages import Log, said
from memo.shared._names import Names
from memo.shared._pending import Entry, Pending, Run
from memo.shared._reader import Reader
from memo.shared._scripts import Command, Where, bump_function, bump_tag, drop, ping, release, renew, where
from memo.shared._unreachable import Reason, Skipped, Unreachable
from memo.shared._wire import Wire

__all__ = ("LineCounts", "Runner")

T = TypeVar("T")

log = logging.getLogger("memo")

_REST_S = 1.0  # without a message, before the counter is asked
_SHORTEST_REST_S = 0.05
_TIDY_STEPS = 1_000  # a second, of each function
_LOST = "the server does not have the latest message that is known"


class LineCounts:
    """What the threads of one line have done, one after the other."""

    def __init__(self) -> None:
        self.connected = 0
        self.replayed = 0
        self.turned_at = 0.0
        """When the thread last showed that it is at work."""
        self.answered_at = 0.0
        """When the server last answered the line, by its clock."""
        self.proved_at = 0.0
        """Up to when all that was said is known to have been read."""


class Runner:
    """One thread's work for one tier.

    Args:
        wire: The way to the server.
        breaker: Tells whether the tier is down.
        names: What things are called there.
        log_of: Tells where messages go.
        reader: Applies what is read.
        pending: What is to be sent.
        held: The leases that are to be renewed and given back.
        timeout_s: How long the server may take for an answer.
        counts: What is counted.
        clock: Tells the time.
        changed: Called when something has changed that callers may wait for.
        is_wanted: Whether this is still the one to do it.
        begins_with_gap: Why what was read before is not to be relied on; None: it is.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        breaker: Breaker,
        names: Names,
        log_of: Callable[[], Log],
        reader: Reader,
        pending: Pending,
        held: Held,
        timeout_s: float,
        counts: LineCounts,
        clock: ReadClock,
        changed: Callable[[], object],
        is_wanted: Callable[["Runner"], bool],
        begins_with_gap: str | None,
    ) -> None:
        self._wire = wire
        self._breaker = breaker
        self._names = names
        self._log_of = log_of
        self._reader = reader
        self._pending = pending
        self._held = held
        self._timeout_s = timeout_s
        self._counts = counts
        self._clock = clock
        self._changed = changed
        self._is_wanted = is_wanted
        self._gap_first = begins_with_gap
        self._client: LineClient | None = None
        self._made_in = 0
        """The ``turns`` of the wire as that was connected."""
        self._portion = Portion(timeout_s)
        self._failures = 0
        """Attempts to reach the server that failed in a row."""
        self._tidied_at = clock()
        self._wake_up: WakeUp | None = None
        self.is_asked = False
        """Somebody waits for the line to look whether it has read everything."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection."""
        return self._client is not None

    @property
    def is_failing(self) -> bool:
        """Whether it does not reach the server."""
        return self._failures > 0

    def ring(self) -> None:
        """Wake the thread: there is something to do.  Takes no lock."""
        wake_up = self._wake_up
        if wake_up is not None:  # else it has not begun, and will look
            wake_up.ring()

    def run(self) -> None:
        """Work until this is not wanted any more."""
        self._wake_up = WakeUp()
        while self._is_wanted(self):
            self.turn()

    def leave(self) -> None:
        """Close what it has opened; in a forked child, this process's end of it."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        if self._wake_up is not None:
            self._wake_up.close()

    def turn(self) -> None:
        """One round of the work."""
        self._counts.turned_at = self._clock()
        era, is_down = self._breaker.era, self._breaker.is_open
        try:
            if self._client is None or is_down or self._made_in != self._wire.turns:
                self._recover(era, is_down)
            else:
                self._work(self._client)
        except Unreachable as failure:
            if failure.reason is Reason.READ_ONLY:
                self._wire.turn()
            if is_down:
                self._breaker.probe_failed(failure)
            else:
                self._breaker.failed(failure, era, by_thread=True)
            self._give_up()
        except BaseException:
            log.exception("tier %r: the thread that reads the log was struck; it goes on", self._reader.name)
            self._gap_first = "its thread was struck by an exception"
            self._give_up()

    def _give_up(self) -> None:
        client, self._client = self._client, None
        self._failures += 1
        if client is not None:
            client.close()
        self._pending.put_no_more()
        self._changed()

    # -- while the tier is up

    def _work(self, client: LineClient) -> None:
        self._send(client)
        self._tidy()
        place = self._reader.place
        if place is None:
            self._catch_up(client)
            return
        wait_s = max(_SHORTEST_REST_S, self._held.rest_s(_REST_S))
        began = self._clock()
        messages = client.read(self._log_of().key, place.at, block_s=_REST_S, wait_s=wait_s)
        if messages is None:  # somebody has something for us, or leases are to be renewed
            return
        self._counts.answered_at = self._clock()
        if messages:
            self._take(client, messages)
            if client.has_all:
                self._counts.proved_at = began
            self._changed()
        else:
            self._look_around(client)

    def _look_around(self, client: LineClient) -> None:
        """Ask for the counter, and whether the server takes changes; one that is full has values nevertheless."""
        try:
            self._catch_up(client, prove=True)
        except Unreachable as failure:
            if failure.reason is not Reason.FULL:
                raise
            self._catch_up(client)

    def _send(self, client: LineClient) -> None:
        """Send what there is to send, on the line's connection if that is free, else as callers do."""
        if client.is_free:
            self._send_by(client.run)
            return
        try:
            self._send_by(self._wire.run)
            if self.is_asked:
                self.is_asked = False
                began = self._clock()
                there = self._wire.run(where(self._log_of(), self._names.everything))
                self._look(there)
                self._prove(began, there)
        except Unreachable as failure:  # later, then
            self._pending.put_no_more()
            if failure.reason is Reason.OTHERS:  # all else was counted
                raise

    def _send_by(self, run: Run) -> int:
        """Send all that there is; how many changes that were."""
        count = self._deliver(run)
        self._return(run)
        self._renew(run)
        return count

    def _deliver(self, run: Run) -> int:
        """Send all that is pending; how many changes that were."""
        count = 0
        for batch in self._pending.batches():
            put, log = batch[0].change.put, self._log_of()
            position = run(self._command(batch, log)) if put is None else put.send(run, log)
            if position and not self._reader.told(log, position):
                raise Skipped(Reason.LOST)
            self._pending.delivered(batch)
            count += len(batch)
        if count:
            self._changed()
        return count

    def _command(self, batch: Sequence[Entry], log: Log) -> Command[Any]:
        change, names = batch[0].change, self._names
        if change.tag is not None:
            return bump_tag(names.tag(change.tag), log, tag=change.tag)
        if change.digest is None:
            return bump_function(names.generation(change.function), log, function=change.function)
        values = [one.value for _, one in batch]
        digests = [one.digest for _, one in batch if one.digest is not None]
        return drop(values, list(map(names.lease, values)), log, function=change.function, digests=digests)

    def _return(self, run: Run) -> None:
        items = list(self._held.returned())
        try:
            while items:
                lease, _ = items[-1]
                run(release(lease.key, self._log_of(), token=lease.token, function=lease.function, digest=lease.digest))
                del items[-1]
        finally:
            self._held.not_returned(items)

    def _renew(self, run: Run) -> None:
        for leases in self._held.due():
            kept = run(renew([one.key for one in leases], [one.token for one in leases], leases[0].lease_ms))
            self._held.renewed(leases, kept)

    def _tidy(self) -> None:
        now = self._clock()
        if now - self._tidied_at >= _REST_S:
            self._tidied_at = now
            self._reader.forget_gone()
            for follower in self._reader.followers():
                follower.tidy(_TIDY_STEPS)

    # -- reading

    def _take(self, client: LineClient, messages: Any) -> None:
        for position, fields in messages:
            try:
                message = said(position, fields)
            except ValueError as error:
                self._reader.gap(str(error), place_of(client.run(where(self._log_of()))))
                return
            self._reader.take(message)
            self._counts.turned_at = self._clock()
            if not self._is_wanted(self):
                return

    def _look(self, there: Where) -> None:
        """Compare where the log ends with what was read."""
        place = self._reader.place
        if place is None:
            self._reader.begin(there)
        elif (why := self._gap_first or lost(place, there) or (_LOST if there.is_lost else None)) is not None:
            self._gap_first = None
            self._reader.gap(why, place_of(there), is_lost=there.is_lost)
        elif not has_more(place, there):
            self._reader.move(place, there)
        self._changed()

    def _catch_up(self, client: LineClient, *, prove: bool = False) -> None:
        """Read the log to its present end, on a connection that is free."""
        began = self._clock()
        there = client.run(where(self._log_of(), self._names.everything, prove=prove))
        self._look(there)
        place: Place | None
        while self._is_wanted(self) and (place := self._reader.place) is not None and has_more(place, there):
            messages = client.read(self._log_of().key, place.at)
            if not messages:
                self._reader.gap(f"the log has nothing after message {place.n}", place_of(there))
                break
            self._take(client, messages)
        self._counts.answered_at = self._clock()
        self._prove(began, there)
        self._changed()

    def _prove(self, began: float, there: Where) -> None:
        """The log ended there after *began*: if it was read so far, all that was said until then is known."""
        place = self._reader.place
        if place is not None and not has_more(place, there):
            self._counts.proved_at = began

    # -- while it is down

    def _recover(self, era: int, is_down: bool) -> None:
        if is_down:
            self._reader.call_all()
            self._pending.put_no_more()
        if is_down or self._failures:
            self._pause()
        if not self._is_wanted(self):
            return
        client, self._client = self._client, None
        if client is not None:
            client.close()
        wake_up = self._wake_up
        assert wake_up is not None
        if self._counts.connected:
            self._wire.turn()
        self._made_in = self._wire.turns
        connection = self._wire.line_connection()
        client = self._client = LineClient(connection, self._wire.reason_of, wake_up, self._timeout_s, self._portion)
        self._counts.connected += 1
        client.run(ping())
        self._catch_up(client)
        if not self._is_wanted(self):  # another one takes it up from here
            return
        count = self._send_by(client.run)  # all of it: what fails here is what it would fail at once more
        if is_down:
            self._counts.replayed += count
            self._catch_up(client, prove=True)
            self._breaker.close()
        else:
            self._breaker.ok(era, by_thread=True)
        self._failures = 0
        self._changed()

    def _pause(self) -> None:
        """Wait before the next attempt: twice as long as before the last, about; not once callers wait for it, who have
        reached a server that lacks something."""
        first_s, most_s = self._breaker.probe_s
        wait_s = min(most_s, first_s * 2 ** min(self._failures, 10)) * random.uniform(0.75, 1.25)
        ends = real.monotonic() + wait_s
        wake_up = self._wake_up
        assert wake_up is not None
        losses = self._wire.losses
        while self._is_wanted(self) and self._wire.losses == losses and (left_s := ends - real.monotonic()) > 0:
            self._counts.turned_at = self._clock()
            wake_up.wait(min(left_s, _REST_S))

    # -- at its end

    def part(self) -> None:
        """Send what is pending, and give all leases back, as far as that takes no longer than one answer may."""
        ends = real.monotonic() + self._timeout_s

        def run(command: Command[T]) -> T:
            if real.monotonic() > ends:
                raise Unreachable(Reason.TIMEOUT)
            return self._wire.run(command)

        if self._breaker.is_open:
            return
        self._held.return_all()
        try:
            self._deliver(run)
            self._return(run)
        except Unreachable:
            pass
