"""A small service whose caches can be seen from outside: by Prometheus, by a page, and in a terminal.

Started by gunicorn with ``gunicorn.conf.py``, four workers of it.
"""

import asyncio
import hashlib
import os
import time

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

import memo
from memo.exporters.asgi import app as page
from memo.exporters.prometheus import MemoCollector

app = FastAPI()

# Whichever worker is scraped tells of all four, each under a label `process`.
figures = CollectorRegistry()
figures.register(MemoCollector(memo.registry, per_process=True))

# The live page, for those who know the token; whoever reaches the service reaches this.
if token := os.environ.get("MEMO_TOKEN"):
    app.mount("/memo", page(memo.registry, token=token))


@memo.bounded(max=200, ttl="10s", stale_while_revalidate="1m")
async def profile(name: str) -> dict[str, str]:
    """What a slow database knows; a value past its ttl is answered at once, and loaded anew in the background."""
    await asyncio.sleep(0.01)
    return {"name": name, "title": f"The honourable {name.title()}"}


@memo.bounded(max_bytes="256kB", policy="lru")
def avatar(name: str) -> bytes:
    """An image that takes long to draw: bounded by its bytes."""
    time.sleep(0.005)
    return hashlib.sha256(name.encode()).digest() * 64


@memo.sliding_window("10m")
@memo.dedupe_inflight(timeout="5s")
async def answer(question: str) -> str:
    """Asked of a model: never twice at once for one question, and watched for failures."""
    await asyncio.sleep(0.02)
    if question.startswith("why"):
        raise TimeoutError(f"no answer to {question!r}")
    return question.upper()


@app.get("/profile/{name}")
async def get_profile(name: str) -> dict[str, str]:
    return await profile(name)


@app.get("/avatar/{name}")
def get_avatar(name: str) -> Response:
    return Response(avatar(name), media_type="application/octet-stream")


@app.get("/answer/{question}")
async def get_answer(question: str) -> str:
    try:
        return await answer(question)
    except TimeoutError as error:
        raise HTTPException(504, str(error)) from error


@app.get("/metrics")
def metrics() -> Response:  # no coroutine: it blocks, so it belongs into a thread
    return Response(generate_latest(figures), media_type=CONTENT_TYPE_LATEST)
