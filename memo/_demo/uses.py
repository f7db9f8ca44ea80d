"""The uses that the demonstration shows: each a few decorated lines, some callers, and what came of it.

To add one, write a function that takes the world and returns a ``Use``, and list it in ``USES``.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from memo import CacheStats, EvictionReason, InflightTimeout, bounded, dedupe_inflight, sliding_window
from memo._base import counted, format_bytes, format_seconds
from memo._demo.client import AsyncClient, Client, ServiceFailed

__all__ = (
    "USES",
    "Gauge",
    "Outcome",
    "Use",
    "World",
    "ai_requests",
    "avatars",
    "error_tracker",
    "message_tracker",
    "profiles",
    "webhooks",
)

log = logging.getLogger("memo.demo")


@dataclass(frozen=True, slots=True)
class World:
    """What the uses share: the ways to the service, and how fast time passes (1.0: as in earnest)."""

    connection: AsyncClient
    blocking: Client
    pace: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a bound holds at one moment, of how much, and the figures to show beside it (40 characters)."""

    now: int
    most: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one use."""

    text: str
    """In plain words, with the figures of this run."""
    held: int
    """Entries (or calls) that its bound left at the end."""
    unbounded: int
    """How many there would have been without the bound."""


@dataclass(frozen=True, slots=True)
class Use:
    """A decorated function and those who call it."""

    title: str
    function: Any
    """Decorated; the registry holds it weakly, so somebody must hold it."""
    workers: int
    step: Callable[[Random], Any]
    """What a worker does over and over.  A coroutine function's workers are tasks, another's are threads."""
    gauge: Callable[[], Gauge]
    conclude: Callable[[], Outcome]
    """Called once, when the workers have ended: gives back what the use still holds, tells what came of it."""


def profiles(world: World) -> Use:
    """A profile cache: concurrent calls share one request, evictions are logged with their reason."""

    def log_eviction(name: str, value: object, reason: EvictionReason) -> None:
        log.info("the profile of %s left the cache (%s)", name, reason)

    @bounded(max=1_000, ttl="24h", on_evict=log_eviction, name="profile")
    async def profile(name: str) -> Any:
        return await world.connection.get(f"/profile/{name}")

    lines = _LastLines()
    log.handlers, log.propagate = [lines], False
    log.setLevel(logging.INFO)
    asked: set[str] = set()
    known: set[str] = set()

    async def step(chance: Random) -> None:
        # A message arrived: the greeting, the permissions and the statistics each ask who wrote it.
        name = f"user-{_popular(chance, 20_000)}"
        asked.add(name)
        answers = await asyncio.gather(profile(name), profile(name), profile(name), return_exceptions=True)
        for answer in answers:
            if not isinstance(answer, BaseException):
                known.add(name)
            elif not isinstance(answer, ServiceFailed):
                raise answer
        await asyncio.sleep(chance.uniform(0.005, 0.03) * world.pace)

    def conclude() -> Outcome:
        stats = profile.cache.stats()
        served = world.blocking.json("/stats")
        text = (
            f"{stats.requests:,} calls for {counted(len(asked), 'name')}. {_bound(stats, len(known), 'profile')} "
            f"Only {counted(served['profile'], 'request')} reached the service: {counted(stats.hits, 'call')} found "
            f"the answer kept, {stats.joins:,} shared the request of another. {counted(served['failures'], 'request')} "
            f"failed; no failure was remembered."
        )
        if lines.count:
            text += f" {counted(lines.count, 'line')} in the log, the last: {lines.last[-1]!r}."
        return Outcome(text, stats.size, len(known))

    return Use("profiles", profile, 60, step, lambda: _gauge(profile.cache.stats()), conclude)


def webhooks(world: World) -> Use:
    """A webhook cache: an evicted webhook is closed at the service, in the thread that evicted it."""

    def close_webhook(channel: str, webhook: Any, reason: EvictionReason) -> None:
        world.blocking.json(f"/webhook/{channel}?id={webhook['id']}", "DELETE")

    @bounded(max=100, ttl="24h", on_evict=close_webhook, name="webhook")
    def webhook(channel: str) -> Any:
        return world.blocking.json(f"/webhook/{channel}", "POST")

    channels: set[str] = set()

    def step(chance: Random) -> None:
        channel = f"channel-{_popular(chance, 1_000)}"
        webhook(channel)
        channels.add(channel)

    def conclude() -> Outcome:
        stats = webhook.cache.stats()
        during = world.blocking.json("/webhook/open")
        left = webhook.cache.clear()
        after = world.blocking.json("/webhook/open")
        text = (
            f"{stats.requests:,} posts to {counted(len(channels), 'channel')}. "
            f"{_bound(stats, len(channels), 'webhook')} Each that left was closed by a DELETE: "
            f"the service counts {during['opened']:,} opened, {during['closed']:,} closed, "
            f"never more than {during['most']:,} open at once. "
            f"At the end clear() closed the other {left:,}, so that {after['open']:,} are open now."
        )
        return Outcome(text, stats.size, len(channels))

    return Use("webhooks", webhook, 4, step, lambda: _gauge(webhook.cache.stats()), conclude)


def avatars(world: World) -> Use:
    """An avatar cache: 500 entries, nothing else."""

    @bounded(max=500, name="avatar")
    def avatar(name: str, size: int = 64) -> bytes:
        return world.blocking.request(f"/avatar/{name}?size={size}")

    sizes: dict[str, int] = {}

    def step(chance: Random) -> None:
        name = f"user-{_popular(chance, 3_000)}"
        # Three spellings of one call, and one key.
        image = chance.choice((lambda: avatar(name), lambda: avatar(name=name), lambda: avatar(name, size=64)))()
        sizes[name] = len(image)

    def conclude() -> Outcome:
        stats = avatar.cache.stats()
        kept = sum(len(image) for _, image in avatar.cache.items())
        text = (
            f"{stats.requests:,} calls for {counted(len(sizes), 'image')}. {_bound(stats, len(sizes), 'image')} "
            f"That is {format_bytes(kept)} where there would be {format_bytes(sum(sizes.values()))}."
        )
        return Outcome(text, stats.size, len(sizes))

    return Use("avatars", avatar, 6, step, lambda: _gauge(avatar.cache.stats()), conclude)


def ai_requests(world: World) -> Use:
    """A table of pending AI requests: duplicates join, and one that is stuck is given up."""
    timeout_s = 2.0 * world.pace  # as answers take under a second here; in earnest, "30s"

    @dedupe_inflight(timeout=timeout_s, name="ask_ai")
    async def ask_ai(prompt: str) -> Any:
        return await world.connection.post("/ai", {"prompt": prompt})

    callers, together = 18, 6
    numbers = itertools.count()
    asked: set[str] = set()
    released: set[tuple[int, str]] = set()
    answered: set[tuple[int, str]] = set()
    waits = 0

    async def step(chance: Random) -> None:
        nonlocal waits
        number = next(numbers)
        prompt = f"What about {number // together}?"  # the same from several at a time
        asked.add(prompt)
        while (number, prompt) not in answered:
            try:
                await ask_ai(prompt)
            except InflightTimeout:
                released.add((number, prompt))
                waits += 1
            else:
                answered.add((number, prompt))
        await asyncio.sleep(chance.uniform(0, 0.05) * world.pace)

    def gauge() -> Gauge:
        stats = ask_ai.inflight.stats()
        return Gauge(
            stats.active,
            callers,
            f"{stats.active} running, {stats.joined:,} joined, {stats.timeouts:,} given up",
        )

    def conclude() -> Outcome:
        stats = ask_ai.inflight.stats()
        text = (
            f"{stats.started + stats.joined:,} calls for {counted(len(asked), 'question')}, and only "
            f"{counted(stats.started, 'request')}: {counted(stats.joined, 'call')} joined one that was running. "
        )
        again = _share(len(released & answered), len(released))
        text += _about_stuck(stats.timeouts, format_seconds(timeout_s), waits, again)
        return Outcome(text, stats.active, stats.timeouts + stats.active)

    return Use("AI requests", ask_ai, callers, step, gauge, conclude)


def _about_stuck(timeouts: int, timeout: str, waits: int, again: str) -> str:
    """What became of requests that got stuck, of those who waited, and of those who asked again."""
    if not timeouts:
        return f"None got stuck this time; timeout={timeout!r} would have given it up."
    return (
        f"{counted(timeouts, 'request')} got stuck; timeout={timeout!r} gave up each and released the "
        f"{counted(waits, 'caller')} who waited; {again} had an answer by asking again. "
        f"Without it they would be waiting still."
    )


def error_tracker(world: World) -> Use:
    """An error tracker: told of errors, it knows those of the last 24 hours; the latest 50 in full, all in figures."""
    kept = 50

    @sliding_window("24h", max=kept, only=Exception, name="track_error")
    def track_error(error: Exception, where: str) -> None:
        track_error.window.record_error(error, key=where)

    mistakes = (
        ("avatars", "/avatar/alice?size=500"),
        ("messages", "/messages?after=-1"),
        ("messages", "/messages?after=yesterday"),
    )

    async def step(chance: Random) -> None:
        where, path = chance.choice(mistakes)
        try:
            await world.connection.get(path)
        except ServiceFailed as error:
            track_error(error, where)
        await asyncio.sleep(chance.uniform(0.005, 0.03) * world.pace)

    def gauge() -> Gauge:
        stats = track_error.window.stats()
        return Gauge(stats.kept, kept, f"{stats.kept:,} kept in full of {stats.count:,} errors")

    def conclude() -> Outcome:
        stats = track_error.window.stats()
        text = f"{counted(stats.count, 'error')} in the last 24 hours, {stats.kept:,} of them kept in full. "
        if errors := track_error.window.errors():
            where, times = track_error.window.by_key(1)[0]
            text += f"The latest: {errors[0].message!r}. Of those kept, {times:,} came from {where}. "
        text += f"A list that nobody trims would hold {counted(stats.count, 'exception')}, each with its traceback."
        return Outcome(text, stats.kept, stats.count)

    return Use("error tracker", track_error, 4, step, gauge, conclude)


def message_tracker(world: World) -> Use:
    """A message tracker: ids seen of late, bounded by number and age, so that each message is handled once."""
    handled = 0

    @sliding_window("24h", max=100, key=lambda message: message["author"], name="on_message")
    @bounded(max=500, ttl="24h", key=lambda message: message["id"])
    def on_message(message: Any) -> None:
        nonlocal handled
        handled += 1

    last = 0

    async def step(chance: Random) -> None:
        nonlocal last
        answer = await world.connection.get(f"/messages?after={last}")
        for message in answer["messages"]:
            on_message(message)
        last = max(last, answer["last"])

    def conclude() -> Outcome:
        arrived, stats = on_message.window.stats(), on_message.cache.stats()
        again = arrived.count - handled
        text = (
            f"{counted(arrived.count, 'message')} came, {handled:,} of them new and handled; "
            f"{again:,} had been seen before. {_bound(stats, handled, 'id')} "
        )
        if authors := on_message.window.by_key(1):
            text += f"Of the last {arrived.kept:,}, {authors[0][1]:,} were by {authors[0][0]}."
        return Outcome(text, stats.size + arrived.kept, handled + arrived.count)

    return Use("message tracker", on_message, 2, step, lambda: _gauge(on_message.cache.stats()), conclude)


USES: tuple[Callable[[World], Use], ...] = (profiles, webhooks, avatars, error_tracker, ai_requests, message_tracker)
"""What ``python -m memo demo`` runs, in the order in which it tells of them."""


class _LastLines(logging.Handler):
    """Counts the lines of the log and keeps the last ones: thousands would scroll the screen away."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.last: deque[str] = deque(maxlen=3)

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.last.append(self.format(record))


def _popular(chance: Random, population: int) -> int:
    """One of so many numbers, the lower the likelier: as with people, a few are met all the time."""
    return int(population ** chance.random())


def _gauge(stats: CacheStats) -> Gauge:
    evicted = stats.evictions[EvictionReason.SIZE]
    return Gauge(stats.size, stats.max or 0, f"{stats.size:,} kept of {stats.requests:,} calls, {evicted:,} evicted")


def _bound(stats: CacheStats, different: int, what: str) -> str:
    """What a store's bound did."""
    evicted = stats.evictions[EvictionReason.SIZE]
    if not evicted:
        return f"max={stats.max:,} was not reached yet: {counted(stats.size, what)} kept."
    return (
        f"max={stats.max:,} kept {stats.size:,} and evicted {evicted:,}; without it {counted(different, what)} would "
        f"be held by now, and one more for each new name."
    )


def _share(part: int, whole: int) -> str:
    return "all" if part == whole else f"{part:,} of them"
