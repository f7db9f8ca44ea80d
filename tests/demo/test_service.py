"""The demonstration's service: repeatable, with the habits of a real one, and gone when it is stopped."""

import importlib.util
import json
import select
import socket
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

if importlib.util.find_spec("aiohttp") is None:
    pytest.skip("aiohttp is not installed; pip install '.[demo]' brings it", allow_module_level=True)

from memo._demo.client import Client, ServiceFailed
from memo._demo.service import Service

LIMIT_S = 30
# A proxy that the environment names would look for 127.0.0.1 on its own machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, Any]:
    """Status and content of an answer; JSON as an object."""
    request = urllib.request.Request(url, method=method, data=body)
    try:
        with OPENER.open(request, timeout=LIMIT_S) as answer:
            status, kind, content = answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, kind, content = error.code, error.headers["content-type"], error.read()
    return status, json.loads(content) if "json" in kind else content


def everything(seed: int) -> list[tuple[int, Any]]:
    """The answers of one service to a fixed list of questions."""
    with Service(seed=seed, pace=0) as service:
        url = service.url
        answers = [ask(f"{url}/profile/alice") for _ in range(30)]
        answers += [ask(f"{url}/webhook/news", "POST"), ask(f"{url}/webhook/news", "DELETE")]
        answers += [ask(f"{url}/avatar/bob?size=16"), ask(f"{url}/ai", "POST", b'{"prompt": "rain?"}')]
        answers += [ask(f"{url}/messages?after={after}") for after in (0, 7, 40)]
        return [*answers, ask(f"{url}/stats")]


def test_same_seed_same_answers() -> None:
    """What the service answers depends on the seed and on nothing else."""
    first = everything(1)
    assert first == everything(1)
    assert first != everything(2)


def test_profiles_fail_and_change() -> None:
    """Some requests for a profile are refused; its revision grows, and never falls."""
    with Service(seed=1, pace=0, failures=0.3) as service:
        answers = [ask(f"{service.url}/profile/alice") for _ in range(60)]
        stats = ask(f"{service.url}/stats")[1]
    refused = [content for status, content in answers if status == 503]
    revisions = [content["revision"] for status, content in answers if status == 200]
    assert 0 < len(refused) < 60
    assert len(refused) + len(revisions) == 60
    assert revisions == sorted(revisions)
    assert revisions[-1] > revisions[0]
    assert (stats["profile"], stats["failures"]) == (60, len(refused))


def test_webhooks_are_counted() -> None:
    """Webhooks are opened, closed by channel or by id, and counted; closing what is not open is an error."""
    with Service(pace=0) as service:
        url = service.url
        opened = [ask(f"{url}/webhook/{channel}", "POST") for channel in ("a", "b", "b")]
        assert [status for status, _ in opened] == [201] * 3
        assert ask(f"{url}/webhook/b?id={opened[2][1]['id']}", "DELETE") == (200, opened[2][1])
        assert ask(f"{url}/webhook/b", "DELETE") == (200, opened[1][1])
        status, refusal = ask(f"{url}/webhook/b", "DELETE")
        assert status == 404
        assert "'b'" in refusal["error"]
        assert ask(f"{url}/webhook/open")[1] == {"open": 1, "most": 3, "opened": 3, "closed": 2}


@pytest.mark.parametrize("size", [8, 64, 128])
def test_avatars_have_the_size_asked_for(size: int) -> None:
    """An avatar is an image of as many pixels as were asked for."""
    with Service(pace=0) as service:
        status, image = ask(f"{service.url}/avatar/bob?size={size}")
    header = f"P5 {size} {size} 255\n".encode()
    assert status == 200
    assert image.startswith(header)
    assert len(image) == len(header) + size * size


@pytest.mark.parametrize(
    ("method", "path", "body", "shown"),
    [
        ("GET", "/avatar/bob?size=9000", None, "'9000'"),
        ("GET", "/avatar/bob?size=big", None, "'big'"),
        ("GET", "/messages?after=-1", None, "'-1'"),
        ("GET", "/messages?after=now", None, "'now'"),
        ("POST", "/ai", b"[]", '{"prompt"'),
        ("POST", "/ai", b"nonsense", '{"prompt"'),
        ("POST", "/ai", b"\xff", '{"prompt"'),
    ],
)
def test_bad_requests_are_refused(method: str, path: str, body: bytes | None, shown: str) -> None:
    """A request that makes no sense is refused with a message that shows what was wrong."""
    with Service(pace=0) as service:
        status, content = ask(service.url + path, method, body)
    assert status == 400
    assert shown in content["error"]


def test_messages_come_again() -> None:
    """Whoever reads on from the last id sees every id, and a few that he has seen before."""
    with Service(seed=1, pace=0) as service:
        after, ids = 0, []
        for _ in range(10):
            batch = ask(f"{service.url}/messages?after={after}")[1]
            after = batch["last"]
            ids += [message["id"] for message in batch["messages"]]
    assert set(ids) == set(range(1, after + 1))
    assert len(ids) > len(set(ids))


def test_stuck_answer_does_not_come_and_the_second_attempt_does() -> None:
    """The first attempt at some prompts hangs; the next is answered, and stop() does not wait for the first."""
    service = Service(seed=1, pace=0.01, stuck_s=1e6)
    prompt = next(p for p in map(str, range(1000)) if service._chance("ai", p, 1).random() < 0.15)
    body = json.dumps({"prompt": prompt}).encode()
    with service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
            connection.sendall(b"POST /ai HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            while ask(f"{service.url}/stats")[1]["ai"] == 0:  # until the first attempt has arrived
                pass
            status, answer = ask(f"{service.url}/ai", "POST", body)
            assert (status, answer["attempt"]) == (200, 2)
            assert select.select([connection], [], [], 0)[0] == []
            service.stop()
            assert connection.recv(1) == b""


def test_life_of_a_service() -> None:
    """A service has an address while it runs, starts once, and leaves no thread behind."""
    before = set(threading.enumerate())
    service = Service(pace=0)
    service.stop()  # never started: without effect
    with pytest.raises(RuntimeError, match=r"call start\(\) first"):
        _ = service.url
    url = service.start()
    assert url == service.url
    with pytest.raises(RuntimeError, match="already started"):
        service.start()
    service.stop()
    service.stop()
    assert not set(threading.enumerate()) - before  # of those, others' may have ended meanwhile
    with pytest.raises(ServiceFailed, match="/stats"):
        Client(url).request("/stats")
