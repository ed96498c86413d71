"""Idempotency-Key: one answer a key."""

import threading
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text

from store import idempotency, ids
from store.models import IdempotencyKey

CONSENT = {"statement": "I agree", "by": "Ada"}


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def body(asset: str, avatar: str = "ann") -> dict[str, Any]:
    return {"avatar": avatar, "video": {"asset": asset}, "consent": CONSENT}


def test_the_first_answer_comes_again(platform: Any, client: httpx.Client) -> None:
    asset, headers = platform.asset(), key()
    first = client.post("/v1/trainings", json=body(asset), headers=headers)
    again = client.post("/v1/trainings", json=dict(reversed(body(asset).items())), headers=headers)
    assert first.status_code == again.status_code == 202
    assert (again.content, again.headers["Location"]) == (first.content, first.headers["Location"])
    client.delete(f"/v1/requests/{first.json()['id']}")
    assert client.post("/v1/trainings", json=body(asset), headers=headers).content == first.content
    assert len(client.get("/v1/requests", params={"avatar": "ann"}).json()["items"]) == 1


def test_another_body_or_address_is_refused(platform: Any, client: httpx.Client) -> None:
    asset, headers = platform.asset(), key()
    client.post("/v1/trainings", json=body(asset), headers=headers)
    for path, other in (("trainings", body(asset, "bea")), ("assets", {"filename": "a.mp4", "size": 1})):
        answer = client.post(f"/v1/{path}", json=other, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    strange = client.post("/v1/trainings", json=body(asset), headers={"Idempotency-Key": "a b"})
    assert (strange.status_code, strange.json()["code"]) == (422, "field_invalid")


def test_a_refusal_is_not_kept(platform: Any, client: httpx.Client) -> None:
    headers, missing = key(), str(uuid4())
    assert client.post("/v1/trainings", json=body(missing), headers=headers).status_code == 404
    assert client.post("/v1/trainings", json=body(platform.asset()), headers=headers).status_code == 202


def test_in_flight(platform: Any, client: httpx.Client, running: Any) -> None:
    headers = key()
    with running.database.begin() as session:
        assert idempotency.keep(session, IdempotencyKey(owner="local", key=headers["Idempotency-Key"], body_sha256="x"))
        answer = client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}, headers=headers)
        session.rollback()
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (409, "idempotency_in_flight", "1")
    assert client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}, headers=headers).status_code == 201


def test_ten_at_once_make_one_request(platform: Any, running: Any) -> None:
    asset, headers = platform.asset(), key()
    answers: list[httpx.Response] = []

    def post() -> None:
        answers.append(httpx.post(f"{running.url}/v1/trainings", json=body(asset, "cat"), headers=headers, timeout=30))

    threads = [threading.Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = {answer.content for answer in answers if answer.status_code == 202}
    assert len(accepted) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len(platform.client.get("/v1/requests", params={"avatar": "cat"}).json()["items"]) == 1


def test_forms_and_completions(client: httpx.Client) -> None:
    data, headers = b"\0\0\0\x20ftypisom" + ids.new().bytes, key()
    first = client.post("/v1/assets", files={"file": ("a.mp4", data)}, headers=headers)
    again = client.post("/v1/assets", files={"file": ("a.mp4", data)}, headers=headers)
    assert first.status_code == 201 and again.content == first.content
    other = client.post("/v1/assets", files={"file": ("a.mp4", data + b"x")}, headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"
    assert len(client.get("/v1/assets").json()["items"]) == len({item["id"] for item in client.get("/v1/assets").json()["items"]})

    asset = client.post("/v1/assets", json={"filename": "b.mp4", "size": len(data)}).json()
    httpx.put(asset["upload"]["url"], content=data)
    headers = key()
    first = client.post(f"/v1/assets/{asset['id']}/complete", headers=headers)
    assert first.status_code == 200
    assert client.post(f"/v1/assets/{asset['id']}/complete", headers=headers).content == first.content


def test_a_key_is_forgotten_after_a_day(client: httpx.Client, running: Any) -> None:
    headers = key()
    first = client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}, headers=headers)
    with running.database.begin() as session:
        session.execute(text("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'"))
    again = client.post("/v1/assets", json={"filename": "b.mp4", "size": 2}, headers=headers)
    assert again.status_code == 201 and again.json()["id"] != first.json()["id"]
