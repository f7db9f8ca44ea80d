"""Runs the demonstration: the service, the callers of each use, the clock, and the report."""

import asyncio
import inspect
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random

from memo import registry
from memo._demo.client import AsyncClient, Client, ServiceFailed
from memo._demo.report import Report, RunningBars
from memo._demo.service import Service
from memo._demo.uses import USES, Use, World

__all__ = ("run",)

_NAME = "memo-demo"
_SHOWN_EVERY_S = 0.1
_FULL_PACE_S = 5.0
"""Runs that are shorter than this pass the service's time faster, so that they show the same."""
_THREAD_PAUSE_S = 0.001
_RETRY_PAUSE_S = 0.01


def run(*, seconds: float, seed: int) -> bool:
    """Run every use for so many seconds, then report.

    Ctrl-C ends the run early; what there is by then is reported all the same.  To be called in the
    main thread.

    Args:
        seconds: How long the callers call.
        seed: What the service answers and what the callers ask for; their order is up to the
            scheduler, so that figures vary a little between runs.

    Returns:
        Whether Ctrl-C ended it.
    """
    report = Report()
    pace = min(1.0, max(0.2, seconds / _FULL_PACE_S))
    # An answer that is stuck is so for longer than the run.
    with Service(seed=seed, pace=pace, stuck_s=10 * (60.0 + seconds)) as service, ExitStack() as until_the_end:
        world = World(AsyncClient(service.url), Client(service.url), pace)
        uses = [use(world) for use in USES]
        shown = _serve(until_the_end)
        interrupted = False
        try:
            report.begin(service.url, uses, seed, shown)
            with report.bars(uses, seconds) as bars:
                asyncio.run(_play(world, uses, seconds, seed, bars))
        except KeyboardInterrupt:
            interrupted = True
        report.table(str(registry), interrupted)
        for use in uses:
            report.outcome(use, use.conclude())
        report.end()
    return interrupted


def _serve(until_the_end: ExitStack) -> str:
    """Serve the figures while the demonstration runs; where they are, or why they are not there."""
    try:
        server = until_the_end.enter_context(registry.serve(http=0, name=_NAME))
    except OSError as error:
        return f"Its figures are not served: {error}"
    return f"Its figures, live: {server.url}\nIn another terminal: python -m memo top {_NAME}"


async def _play(world: World, uses: Sequence[Use], seconds: float, seed: int, bars: RunningBars) -> None:
    """Let the callers of every use call until the time is up; an error in one of them ends all."""
    stop = threading.Event()
    threads = sum(use.workers for use in uses if not inspect.iscoroutinefunction(use.step))
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="memo-demo-caller") as pool:
        try:
            async with world.connection, asyncio.TaskGroup() as group:
                tasks: list[asyncio.Task[None]] = []
                for use in uses:
                    for number in range(use.workers):
                        chance = Random(f"{seed}/{use.title}/{number}")
                        tasks.append(group.create_task(_call(use, chance, pool, stop)))
                began = time.monotonic()
                while (elapsed_s := time.monotonic() - began) < seconds:
                    bars.show(elapsed_s)
                    await asyncio.sleep(min(_SHOWN_EVERY_S, seconds - elapsed_s))
                bars.show(seconds)
                for task in tasks:
                    task.cancel()
        finally:
            stop.set()  # before the pool is left, which waits for its threads


async def _call(use: Use, chance: Random, pool: ThreadPoolExecutor, stop: threading.Event) -> None:
    """One caller of a use, until it is cancelled."""
    if inspect.iscoroutinefunction(use.step):
        while True:
            try:
                await use.step(chance)
            except ServiceFailed:
                await asyncio.sleep(_RETRY_PAUSE_S)
    await asyncio.get_running_loop().run_in_executor(pool, _call_in_thread, use, chance, stop)


def _call_in_thread(use: Use, chance: Random, stop: threading.Event) -> None:
    """One caller of a use in a thread of its own, until told to stop."""
    while not stop.wait(_THREAD_PAUSE_S):
        try:
            use.step(chance)
        except ServiceFailed:
            stop.wait(_RETRY_PAUSE_S)
