"""Uploads: announced and put to a link, or in one form; what is refused leaves nothing behind."""

import socket
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from api import assets as endpoints
from store import assets as rows
from store import ids
from store.errors import ObjectNotRemovedError

MP4 = b"\0\0\0\x20ftypisom" + bytes(3000)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\nfile:///etc/passwd\n"


def announce(client: httpx.Client, data: bytes, filename: str = "me.mp4", **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/assets", json={"filename": filename, "size": len(data), **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/assets/{answer.json()['id']}"
    return dict(answer.json())


def put(asset: dict[str, Any], data: bytes) -> None:
    assert httpx.put(asset["upload"]["url"], content=data, headers=asset["upload"]["headers"]).status_code == 200


def complete(client: httpx.Client, asset: dict[str, Any]) -> httpx.Response:
    return client.post(f"/v1/assets/{asset['id']}/complete")


def stored(running: Any, asset: dict[str, Any]) -> list[str]:
    return running.objects.names(f"assets/{asset['id']}/")


def form(client: httpx.Client, data: bytes, filename: str = "me.mp4", **fields: str) -> httpx.Response:
    return client.post("/v1/assets", files={"file": (filename, data)}, data=fields)


@pytest.mark.parametrize("filename", ["me.mp4", "me talking.mp4", "我在说话.mp4", 'a "b";c%d\\e.mp4', "../../etc/passwd"])
def test_announced_put_completed(client: httpx.Client, running: Any, filename: str) -> None:
    asset = announce(client, MP4, filename, sha256=sha256(MP4).hexdigest())
    assert (asset["state"], asset["filename"], asset["url"]) == ("pending", filename, None)
    put(asset, MP4)
    done = complete(client, asset)
    assert done.status_code == 200
    seen = done.json()
    assert (seen["state"], seen["format"], seen["size"], seen["upload"]) == ("ready", "mp4", len(MP4), None)
    assert seen["sha256"] == sha256(MP4).hexdigest()
    assert stored(running, asset) == [f"assets/{asset['id']}/file"]
    assert complete(client, asset).json()["completed_at"] == seen["completed_at"]
    got = httpx.get(seen["url"])
    assert got.content == MP4 and got.headers["Content-Disposition"].endswith(f"filename*=UTF-8''{quote(filename, safe='')}")


@pytest.mark.parametrize(
    ("announced", "data", "more", "code"),
    [
        (MP4, MP4 + b"x", {}, "size_mismatch"),
        (MP4, MP4[:-1] + b"x", {"sha256": sha256(MP4).hexdigest()}, "sha256_mismatch"),
        (b"x" * 100, b"x" * 100, {}, "unsupported_media"),
        (PLAYLIST, PLAYLIST, {}, "unsupported_media"),
    ],
)
def test_what_is_not_as_announced(
    client: httpx.Client, running: Any, announced: bytes, data: bytes, more: dict[str, str], code: str
) -> None:
    asset = announce(client, announced, **more)
    put(asset, data)
    answer = complete(client, asset)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert stored(running, asset) == []
    again = complete(client, asset)
    assert (again.status_code, again.json()["code"]) == (409, "asset_not_uploaded")
    assert client.get(f"/v1/assets/{asset['id']}").json()["state"] == "pending"


def test_what_cannot_be_announced(client: httpx.Client) -> None:
    def refusal(**body: Any) -> tuple[int, str]:
        answer = client.post("/v1/assets", json=body)
        return answer.status_code, answer.json()["code"]

    assert refusal(filename="a.mp4", size=0) == (422, "file_empty")
    assert refusal(filename="a.mp4", size=(40 << 20) + 1) == (413, "asset_too_large")
    assert refusal(filename="a.mp4", size=10**30) == (413, "asset_too_large")
    assert refusal(filename="a.mp4", size=-1) == refusal(filename="a\0.mp4", size=1) == (422, "field_invalid")
    assert refusal(filename="a.mp4", size=1, sha256="abc") == refusal(filename="", size=1) == (422, "field_invalid")
    assert refusal(filename="a.mp4", size=1, url="http://169.254.169.254/") == (422, "field_unknown")
    answer = client.post("/v1/assets", content=b'{"filename": "a", "size": 1}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (400, "body_invalid")


def test_a_form(client: httpx.Client, running: Any) -> None:
    data = MP4 + bytes(20 << 20)
    answer = form(client, data, "我 talking.mp4", sha256=sha256(data).hexdigest())
    assert answer.status_code == 201, answer.text
    asset = answer.json()
    assert (asset["state"], asset["size"], asset["filename"]) == ("ready", len(data), "我 talking.mp4")
    assert asset["sha256"] == sha256(data).hexdigest()
    assert httpx.get(asset["url"]).content == data
    assert answer.headers["Location"] == f"/v1/assets/{asset['id']}"


def test_refused_forms_leave_nothing(client: httpx.Client, running: Any) -> None:
    def refusal(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["code"]

    def chunks() -> Iterator[bytes]:
        head = 'Content-Disposition: form-data; name="file"; filename="big.mp4"'
        yield f"--b\r\n{head}\r\n\r\n".encode() + MP4
        for _ in range(42):
            yield bytes(1 << 20)
        yield b"\r\n--b--\r\n"

    def listed() -> list[str]:
        return [item["id"] for item in client.get("/v1/assets").json()["items"]]

    before = listed()
    assert refusal(form(client, b"")) == (422, "file_empty")
    assert refusal(form(client, b"not a video")) == (422, "unsupported_media")
    assert refusal(form(client, PLAYLIST)) == (422, "unsupported_media")
    assert refusal(form(client, MP4, sha256="0" * 64)) == (422, "sha256_mismatch")
    assert refusal(form(client, MP4, sha256="zero")) == (422, "field_invalid")
    assert refusal(form(client, MP4, colour="red")) == (422, "field_unknown")
    assert refusal(client.post("/v1/assets", files={"other": ("a", MP4)})) == (422, "field_unknown")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert refusal(client.post("/v1/assets", content=b"--b--\r\n", headers=headers)) in [
        (422, "field_invalid"),
        (400, "body_invalid"),
    ]
    assert refusal(client.post("/v1/assets", content=b"nonsense", headers=headers)) == (400, "body_invalid")
    assert refusal(client.post("/v1/assets", content=b"x", headers={"Content-Type": "multipart/form-data"})) == (
        400,
        "body_invalid",
    )
    half = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + MP4
    assert refusal(client.post("/v1/assets", content=half, headers=headers)) == (400, "body_invalid")
    assert refusal(client.post("/v1/assets", content=chunks(), headers=headers)) == (413, "asset_too_large")
    assert listed() == before


def test_too_large_by_its_own_word(running: Any) -> None:
    """Refused before it is read: only the head of the request is sent."""
    head = f"POST /v1/assets HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 32}\r\n"
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.sendall((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n").encode())
        answer = b""
        while b"}" not in answer and (piece := connection.recv(65_536)):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413") and b"asset_too_large" in answer


def test_pages_and_deletion(platform: Any, client: httpx.Client, running: Any) -> None:
    made = [platform.asset() for _ in range(3)]
    first = client.get("/v1/assets", params={"limit": 2}).json()
    second = client.get("/v1/assets", params={"limit": 1, "cursor": first["cursor"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    request = platform.training("ann", video={"asset": made[0]})
    answer = client.delete(f"/v1/assets/{made[0]}")
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_in_use")
    client.delete(f"/v1/requests/{request['id']}")
    assert client.delete(f"/v1/assets/{made[0]}").status_code == 204
    assert client.get(f"/v1/assets/{made[0]}").json()["code"] == "asset_not_found"
    assert client.delete(f"/v1/assets/{uuid4()}").status_code == 404
    assert client.post(f"/v1/assets/{uuid4()}/complete").json()["code"] == "asset_not_found"


def test_a_pending_asset_cannot_be_used(platform: Any, client: httpx.Client) -> None:
    asset = announce(client, MP4)
    body = {"avatar": "bea", "video": {"asset": asset["id"]}, "consent": {"statement": "I agree", "by": "Bea"}}
    answer = client.post("/v1/trainings", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_not_uploaded")


def test_an_exchanged_asset_is_refused(platform: Any, client: httpx.Client, running: Any) -> None:
    """The link it was put by is still good: a request made afterwards is refused, one made before fails at its claim."""
    data = MP4 + ids.new().bytes
    asset = announce(client, data)
    put(asset, data)
    assert complete(client, asset).status_code == 200
    request = platform.training("cat", video={"asset": asset["id"]})
    put(asset, data[:-1] + b"?")
    body = {"avatar": "cat", "video": {"asset": asset["id"]}, "consent": {"statement": "I agree", "by": "Cat"}}
    answer = client.post("/v1/trainings", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_changed")
    answer = platform.worker(request["id"]).post("claim", step="preprocess")
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_changed")
    running.objects.remove(f"assets/{asset['id']}/")
    assert client.post("/v1/trainings", json=body).json()["code"] == "asset_changed"


def test_an_upload_that_is_cut_off_leaves_nothing(client: httpx.Client, running: Any) -> None:
    def cut() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + MP4
        raise ConnectionError

    with pytest.raises(ConnectionError):
        client.post("/v1/assets", content=cut(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    for _ in range(100):
        with running.database.begin() as session:
            left = [row for row in rows.page(session, "local", 100) if row.filename == "a.mp4"]
        if not left:
            break
    assert left == []


def test_an_upload_that_stalls_gives_its_slot_back(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "STALL_SECONDS", 0.3)
    host, port = running.url.removeprefix("http://").split(":")
    head = (
        b"POST /v1/assets HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="asleep.mp4"\r\n\r\n' + MP4
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head)
        answer = b""
        while b"body_invalid" not in answer:
            answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400") and b"nothing came for" in answer
    with running.database.begin() as session:
        assert "asleep.mp4" not in [row.filename for row in rows.page(session, "local", 100)]


def test_an_object_that_cannot_be_removed(client: httpx.Client, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ObjectNotRemovedError

    monkeypatch.setattr(running.objects, "remove", refuse)
    asset = announce(client, MP4)
    put(asset, MP4 + b"x")
    answer = complete(client, asset)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
