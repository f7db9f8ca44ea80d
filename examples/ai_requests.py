"""A table of pending AI requests: ``python examples/ai_requests.py``.

Many people ask the same questions at the same time, and the model is slow.  Equal questions share one request; one that
never comes back is given up after a time, and the next who asks begins anew.
"""

import asyncio

from memo import InflightTimeout, dedupe_inflight

requests: list[str] = []


@dedupe_inflight(timeout="200ms", name="ask_model")  # in earnest: "30s", which is also the default
async def ask_model(prompt: str) -> str:
    requests.append(prompt)
    if prompt == "what is love?" and requests.count(prompt) == 1:
        await asyncio.Event().wait()  # this time, the model never answers
    await asyncio.sleep(0.02)
    return f"an answer to {prompt!r}"


async def reply(prompt: str) -> str:
    try:
        return await ask_model(prompt)
    except InflightTimeout:
        return await ask_model(prompt)  # one more try, shared again


async def main() -> None:
    questions = ["why?", "what is love?", "how far is the moon?"] * 50
    callers = [asyncio.create_task(reply(question)) for question in questions]
    await asyncio.sleep(0)  # each of them has asked now
    for flight in ask_model.inflight.pending():
        print(f"{flight.key!r}: one asks, {flight.waiters} wait for it")

    answers = await asyncio.gather(*callers)
    stats = ask_model.inflight.stats()
    print(f"{len(answers)} answers from {len(requests)} requests; {stats.timeouts} request was given up")
    print(f"{stats.active} are running now")


if __name__ == "__main__":
    asyncio.run(main())
