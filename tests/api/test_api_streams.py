"""Events and logs: pages, streams that end with the request, and with the API."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from urllib3.exceptions import HTTPError

EVENT_STREAM = {"Accept": "text/event-stream"}


def messages(answer: httpx.Response) -> Iterator[dict[str, str]]:
    message: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
        elif message:
            yield message
            message = {}


def test_pages_of_events(platform: Any) -> None:
    trained = platform.trained("ann")
    url = f"/v1/requests/{trained['id']}/events"
    page = platform.client.get(url).json()
    assert [item["type"] for item in page["items"]] == ["created", "submitted", "started", "succeeded"]
    rest = platform.client.get(url, params={"after": page["items"][1]["id"], "limit": 1}).json()
    assert [item["type"] for item in rest["items"]] == ["started"] and rest["after"] == page["items"][2]["id"]
    assert platform.client.get(url, params={"after": page["after"]}).json() == {"items": [], "after": page["after"]}
    assert platform.client.get("/v1/requests/00000000-0000-7000-8000-000000000000/events").status_code == 404


def test_a_stream_of_events_ends_after_the_final_one(platform: Any) -> None:
    request = platform.training("bea")["id"]
    told: list[dict[str, str]] = []

    def follow() -> None:
        with httpx.stream(
            "GET", f"{platform.running.url}/v1/requests/{request}/events", headers=EVENT_STREAM, timeout=20
        ) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            told.extend(messages(answer))

    thread = threading.Thread(target=follow)
    thread.start()
    worker = platform.worker(request)
    worker.post("claim", step="preprocess")
    worker.post("report", step="preprocess", seq=0, stage="landmarks", progress=0.25, eta_seconds=60)
    deadline = time.monotonic() + 10
    while not any('"progress": 0.25' in message.get("data", "") for message in told) and time.monotonic() < deadline:
        time.sleep(0.05)
    platform.client.delete(f"/v1/requests/{request}")
    files = worker.put("model/model.json")
    worker.post("publish", step="train", what="result", result={"outputs": {}}, files=files)
    thread.join(timeout=10)
    assert not thread.is_alive()
    events = [message for message in told if "id" in message]
    expected = ["created", "submitted", "started", "stage", "cancel_requested", "succeeded"]
    assert [message["event"] for message in events] == expected
    progress = [json.loads(message["data"]) for message in told if message.get("event") == "progress"]
    assert any(one["stage"] == "landmarks" and one["progress"] == 0.25 and one["eta_seconds"] == 60 for one in progress)

    headers = {**EVENT_STREAM, "Last-Event-ID": events[3]["id"]}
    with platform.client.stream("GET", f"/v1/requests/{request}/events", headers=headers) as answer:
        again = [message["event"] for message in messages(answer) if "id" in message]
    assert again == expected[4:]


def test_a_silent_stream_has_heartbeats(platform: Any) -> None:
    request = platform.training("cat")["id"]
    with platform.client.stream("GET", f"/v1/requests/{request}/events", headers=EVENT_STREAM) as answer:
        comments = (line for line in answer.iter_lines() if line.startswith(":"))
        assert [next(comments), next(comments)] == [": the stream begins", ": still here"]


def lines(text: str) -> list[Any]:
    return [json.loads(line)["message"] for line in text.splitlines()]


def test_logs(platform: Any, running: Any) -> None:
    request = platform.training("dot")["id"]
    url = f"/v1/requests/{request}/logs"
    assert platform.client.get(url).text == ""
    assert platform.client.get(url, params={"attempt": 1}).json()["code"] == "attempt_not_found"
    worker = platform.worker(request)
    worker.post("claim", step="preprocess")
    for seq in (9, 10):
        worker.post("report", step="preprocess", seq=seq, lines=[{"message": f"p{seq}"}])
    worker.post("report", step="preprocess", seq=10, lines=[{"message": "p10 again"}, {"message": "中文 \ud800", "loss": 1}])
    worker.post("claim", step="train")
    worker.post("report", step="train", seq=0, lines=[{"message": "t0"}])
    assert lines(platform.client.get(url).text) == ["p9", "p10 again", "中文 ?", "t0"]
    assert platform.client.get(url).headers["Content-Type"].startswith("application/x-ndjson")

    followed: list[str] = []

    def follow() -> None:
        with httpx.stream("GET", running.url + url, params={"follow": True}, timeout=20) as answer:
            followed.extend(line for line in answer.iter_lines() if line)

    thread = threading.Thread(target=follow)
    thread.start()
    deadline = time.monotonic() + 10
    while len(followed) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.post("report", step="train", seq=1, lines=[{"message": "t1"}])
    # A second attempt: whoever follows hears it too.
    with running.database.begin() as session:
        session.execute(text("UPDATE attempts SET ended_at = now() WHERE request_id = :id"), {"id": request})
        session.execute(text("UPDATE requests SET state = 'queued' WHERE id = :id"), {"id": request})
    second = platform.worker(request, "run-2")
    second.post("claim", step="preprocess")
    second.post("report", step="preprocess", seq=0, lines=[{"message": "second"}])
    with running.database.begin() as session:
        session.execute(text("UPDATE requests SET state = 'failed' WHERE id = :id"), {"id": request})
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert lines("\n".join(followed)) == ["p9", "p10 again", "中文 ?", "t0", "t1", "second"]
    assert lines(platform.client.get(url, params={"attempt": 1}).text)[-1] == "t1"
    assert lines(platform.client.get(url, params={"follow": True}).text) == ["second"]


def test_whoever_follows_misses_nothing_of_many_attempts(platform: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = platform.training("gil")["id"]
    url = f"{running.url}/v1/requests/{request}/logs"
    get, refused = running.objects.get, []

    def shaky(key: str) -> bytes:
        if "/10/" in key and not refused:
            refused.append(key)
            raise HTTPError("away")
        return get(key)

    monkeypatch.setattr(running.objects, "get", shaky)

    def attempt(number: int) -> None:
        with running.database.begin() as session:
            session.execute(
                text("UPDATE requests SET state = 'queued', attempt = :before WHERE id = :id"),
                {"id": request, "before": number - 1},
            )
        worker = platform.worker(request, f"run-{number}")
        worker.post("claim", step="preprocess")
        for seq in (0, 1):
            worker.post("report", step="preprocess", seq=seq, lines=[{"message": f"{number}.{seq}"}])

    followed: list[str] = []

    def follow() -> None:
        with httpx.stream("GET", url, params={"follow": True}, timeout=20) as answer:
            followed.extend(line for line in answer.iter_lines() if line)

    attempt(9)
    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(0.5)
    attempt(10)
    attempt(11)
    with running.database.begin() as session:
        session.execute(text("UPDATE requests SET state = 'failed' WHERE id = :id"), {"id": request})
    thread.join(timeout=10)
    assert not thread.is_alive() and refused
    assert lines("\n".join(followed)) == ["9.0", "9.1", "10.0", "10.1", "11.0", "11.1"]


def test_streams_end_when_the_api_stops(platform: Any, make_settings: Any, serve: Any) -> None:
    request = platform.training("eve")["id"]
    other = serve(make_settings(heartbeat_seconds=60, poll_seconds=30))
    ended = []

    def follow(path: str) -> None:
        with httpx.stream("GET", f"{other.url}/v1/requests/{request}/{path}", headers=EVENT_STREAM, timeout=30) as answer:
            answer.read()
        ended.append(path)

    threads = [threading.Thread(target=follow, args=(path,)) for path in ("events", "logs?follow=true")]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    other.server.should_exit = True
    for thread in threads:
        thread.join(timeout=10)
    assert sorted(ended) == ["events", "logs?follow=true"]
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("path", ["events", "logs?follow=true"])
def test_a_stream_of_a_deleted_request_ends(platform: Any, path: str) -> None:
    name = f"fay-{path[0]}"
    request = platform.training(name)["id"]
    with platform.client.stream("GET", f"/v1/requests/{request}/{path}", headers=EVENT_STREAM) as answer:
        platform.client.delete(f"/v1/requests/{request}")
        assert platform.client.delete(f"/v1/avatars/{name}").status_code == 204
        answer.read()
