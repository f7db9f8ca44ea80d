"""A small HTTP service on loopback, with the habits of a real one: it is slow, it fails, its data changes.

What an answer contains, how late it comes and whether it fails depends on the seed, on what was
asked for and on how often that had been asked for before, so that a run can be repeated whatever
the order in which concurrent requests arrive.
"""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import Future
from typing import Any, Self

from memo.errors import MissingExtra

try:
    from aiohttp import web
except ImportError as error:
    raise MissingExtra(
        f"memo demo: the package 'aiohttp' cannot be imported ({error}); run: pip install \"memo-toolkit[demo]\""
    ) from error

__all__ = ("Service",)

_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 10.0
_SIZES = range(8, 129)


class Service:
    """The service, in a thread and an event loop of its own.

    ======  ========================  ==============================================================
    GET     ``/profile/<name>``       JSON: name, title, revision; the revision grows now and then;
                                      some requests fail with status 503
    POST    ``/webhook/<channel>``    opens one more webhook; JSON: id, channel
    DELETE  ``/webhook/<channel>``    closes the channel's oldest open webhook, or the one of ``?id=``;
                                      status 404 if there is none
    GET     ``/webhook/open``         JSON: open, most (open at once), opened, closed
    GET     ``/avatar/<name>?size=``  a square grey image (PGM) of that many pixels a side, 8 to 128
    POST    ``/ai``                   ``{"prompt": ...}`` to ``{"answer": ..., "attempt": n}``, slowly;
                                      the first attempt at some prompts comes very late
    GET     ``/messages?after=``      JSON: messages (id, author, text), last; a few messages that were
                                      delivered before come again
    GET     ``/stats``                JSON: number of requests served by kind, failures among them
    ======  ========================  ==============================================================

    ``start()`` and ``stop()`` may be called from any thread, once each; as a context manager the
    service does so itself.  A request whose client has gone away is abandoned.

    Args:
        seed: The same seed gives the same answers, delays and failures.
        pace: Factor on all delays; 0 answers everything at once.
        stuck_s: Length of a very late ``/ai`` answer, in seconds, before ``pace``.
        failures: Share of the profile requests that fail, 0 to 1.
    """

    def __init__(self, *, seed: int = 0, pace: float = 1.0, stuck_s: float = 60.0, failures: float = 0.08) -> None:
        self._seed = seed
        self._pace = pace
        self._stuck_s = stuck_s
        self._failures = failures
        self._url: str | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        # Below: touched by the service's own loop only.
        self._served: Counter[str] = Counter()
        self._asked: Counter[tuple[str, str]] = Counter()
        self._revisions: Counter[str] = Counter()
        self._open: dict[str, str] = {}
        self._most_open = 0
        self._opened = 0

    @property
    def url(self) -> str:
        """Where the service listens, such as ``http://127.0.0.1:40123``; no slash at the end.

        Raises:
            RuntimeError: The service was not started.
        """
        if self._url is None:
            raise RuntimeError("Service.url: the service was not started; call start() first.")
        return self._url

    def start(self) -> str:
        """Listen on a free port of 127.0.0.1.

        Returns:
            The base URL, once connections are accepted.

        Raises:
            RuntimeError: It was started before.
            OSError: No port could be opened.
        """
        if self._thread is not None:
            raise RuntimeError(f"Service.start(): already started at {self._url}; make another Service.")
        ready: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="memo-demo-service", daemon=True
        )
        self._thread.start()
        self._url = ready.result(_START_LIMIT_S)
        return self._url

    def stop(self) -> None:
        """Close all connections and join the thread; without effect if that was done or never started.

        Raises:
            RuntimeError: The thread did not end within ten seconds.
        """
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        self._loop = None
        loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_LIMIT_S)
        if thread.is_alive():
            raise RuntimeError(
                f"Service.stop(): thread {thread.name!r} still runs after {_STOP_LIMIT_S:g} s; "
                f"it is a daemon and ends with the process."
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def _serve(self, ready: Future[str]) -> None:
        """Serve until told to stop; report the address, or what went wrong, to *ready*."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/profile/{name}", self._get_profile),
                web.get("/webhook/open", self._get_webhooks),
                web.post("/webhook/{channel}", self._post_webhook),
                web.delete("/webhook/{channel}", self._delete_webhook),
                web.get("/avatar/{name}", self._get_avatar),
                web.post("/ai", self._post_ai),
                web.get("/messages", self._get_messages),
                web.get("/stats", self._get_stats),
            ]
        )
        runner = web.AppRunner(
            app, handle_signals=False, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            ready.set_result(f"http://{host}:{port}")
            await self._stopping.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            await runner.cleanup()

    def _ask(self, kind: str, what: str) -> tuple[int, random.Random]:
        """Count a request; return its number among its like, and the chance that belongs to it."""
        self._served[kind] += 1
        self._asked[kind, what] += 1
        attempt = self._asked[kind, what]
        return attempt, self._chance(kind, what, attempt)

    def _chance(self, *parts: object) -> random.Random:
        return random.Random("/".join(map(str, (self._seed, *parts))))

    async def _delay(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)

    async def _get_profile(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        _, chance = self._ask("profile", name)
        fails = chance.random() < self._failures
        if chance.random() < 0.3:
            self._revisions[name] += 1
        revision = 1 + self._revisions[name]
        await self._delay(chance.uniform(0.02, 0.08))
        if fails:
            self._served["failures"] += 1
            return web.json_response({"error": "overloaded, try again"}, status=503)
        title = self._chance("title", name, revision).choice(("member", "editor", "moderator", "guest"))
        return web.json_response({"name": name, "title": title, "revision": revision})

    async def _post_webhook(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        attempt, chance = self._ask("webhook open", channel)
        await self._delay(chance.uniform(0.005, 0.02))
        identity = f"{channel}-{attempt}"
        self._open[identity] = channel
        self._opened += 1
        self._most_open = max(self._most_open, len(self._open))
        return web.json_response({"id": identity, "channel": channel}, status=201)

    async def _delete_webhook(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        wanted = request.query.get("id")
        _, chance = self._ask("webhook close", channel)
        await self._delay(chance.uniform(0.002, 0.01))
        for identity, owner in self._open.items():
            if owner == channel and wanted in (None, identity):
                del self._open[identity]
                return web.json_response({"id": identity, "channel": channel})
        return _refusal(404, f"no open webhook {wanted!r} on channel {channel!r}")

    async def _get_webhooks(self, request: web.Request) -> web.Response:
        still_open = len(self._open)
        return web.json_response(
            {
                "open": still_open,
                "most": self._most_open,
                "opened": self._opened,
                "closed": self._opened - still_open,
            }
        )

    async def _get_avatar(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        size = _integer(request, "size", default=64)
        if size is None or size not in _SIZES:
            return _refusal(400, f"size={request.query['size']!r} is not from {_SIZES[0]} to {_SIZES[-1]}")
        _, chance = self._ask("avatar", f"{name}?size={size}")
        await self._delay(chance.uniform(0.01, 0.04))
        pixels = self._chance("pixels", name, size).randbytes(size * size)
        return web.Response(body=f"P5 {size} {size} 255\n".encode() + pixels, content_type="image/x-portable-graymap")

    async def _post_ai(self, request: web.Request) -> web.Response:
        try:
            prompt = (await request.json())["prompt"]
        except (ValueError, KeyError, TypeError):  # no JSON, no text, no such key, no object
            prompt = None
        if not isinstance(prompt, str):
            return _refusal(400, 'the body is not of the form {"prompt": "some text"}')
        attempt, chance = self._ask("ai", prompt)
        # Only a first attempt gets stuck: whoever gives up and asks again is rewarded.
        stuck = attempt == 1 and chance.random() < 0.15
        await self._delay(self._stuck_s if stuck else chance.uniform(0.3, 0.9))
        word = self._chance("answer", prompt).choice(("Yes", "No", "Perhaps", "Ask again"))
        return web.json_response({"answer": f"{word}: {prompt}", "attempt": attempt})

    async def _get_messages(self, request: web.Request) -> web.Response:
        after = _integer(request, "after", default=0)
        if after is None or after < 0:
            return _refusal(400, f"after={request.query['after']!r} is not the id of a message, nor 0")
        _, chance = self._ask("messages", str(after))
        await self._delay(chance.uniform(0.01, 0.05))
        # What one reader is told depends on the id alone, so that readers do not disturb each other.
        batch = self._chance("batch", after)
        last = after + batch.randint(3, 8)
        again = sorted(batch.sample(range(max(1, after - 9), after + 1), k=min(after, batch.randint(0, 3))))
        return web.json_response(
            {"messages": [self._message(number) for number in (*again, *range(after + 1, last + 1))], "last": last}
        )

    def _message(self, number: int) -> dict[str, Any]:
        chance = self._chance("message", number)
        author = chance.choice(("alice", "bob", "carol", "dave"))
        return {"id": number, "author": author, "text": chance.choice(("hello", "any news?", "done", "thanks"))}

    async def _get_stats(self, request: web.Request) -> web.Response:
        kinds = ("profile", "failures", "webhook open", "webhook close", "avatar", "ai", "messages")
        return web.json_response({kind: self._served[kind] for kind in kinds})


def _integer(request: web.Request, name: str, *, default: int) -> int | None:
    """The query's number of that name; None if it is there but is no number."""
    try:
        return int(request.query.get(name, default))
    except ValueError:
        return None


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
