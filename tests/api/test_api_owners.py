"""Whose rows are whose, when a trusted proxy says who is asking."""

from typing import Any

import httpx
import pytest

CONSENT = {"statement": "I agree.", "by": "Ada"}
MP4 = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8


@pytest.fixture(scope="module")
def url(make_settings: Any, serve: Any) -> str:
    return str(serve(make_settings(owner_header="X-Remote-User")).url)


def asking(url: str, who: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"X-Remote-User": who}, timeout=30)


def training(client: httpx.Client) -> dict[str, Any]:
    asset = client.post("/v1/assets", files={"file": ("me.mp4", MP4)}).json()["id"]
    answer = client.post("/v1/trainings", json={"avatar": "ada", "video": {"asset": asset}, "consent": CONSENT})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_each_sees_their_own(url: str) -> None:
    with asking(url, "ann") as ann, asking(url, "bob") as bob:
        hers, his = training(ann)["id"], training(bob)["id"]
        assert [item["id"] for item in ann.get("/v1/requests").json()["items"]] == [hers]
        assert [item["id"] for item in bob.get("/v1/requests").json()["items"]] == [his]
        for path in (f"/v1/requests/{hers}", f"/v1/requests/{hers}/events", f"/v1/requests/{hers}/logs"):
            assert (ann.get(path).status_code, bob.get(path).status_code) == (200, 404)
        assert bob.delete(f"/v1/requests/{hers}").status_code == 404
        assert ann.get("/v1/avatars/ada").status_code == bob.get("/v1/avatars/ada").status_code == 200


def test_nobody_uses_anothers_video(url: str) -> None:
    with asking(url, "ann") as ann, asking(url, "bob") as bob:
        asset = ann.post("/v1/assets", files={"file": ("me.mp4", MP4)}).json()["id"]
        answer = bob.post("/v1/trainings", json={"avatar": "eve", "video": {"asset": asset}, "consent": CONSENT})
        assert answer.json()["code"] == "asset_not_found"


def test_who_is_not_named_is_refused(url: str) -> None:
    for headers in ({}, {"X-Remote-User": ""}, {"X-Remote-User": "a" * 201}):
        answer = httpx.get(f"{url}/v1/requests", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "owner_missing")
    assert httpx.get(f"{url}/readyz").status_code == 200
