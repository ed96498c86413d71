"""What people ask for, and what is refused with which code."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from store import ids
from store.models import Avatar, Request

CONSENT = {"statement": "I agree", "by": "Ada"}
NOBODY = str(uuid4())


def row(running: Any, request: str) -> Request:
    with running.database.begin() as session:
        return session.scalar(select(Request).where(Request.id == request))


def test_training(platform: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.settings, "gpu_classes", {"h200": {}})
    asset = platform.asset()
    body = {
        "avatar": "ann",
        "title": "Ann 安",
        "video": {"asset": asset},
        "epochs": 3,
        "gpu": "h200",
        "renderer": "nerf",
        "seed": 7,
        "consent": CONSENT,
    }
    answer = platform.client.post("/v1/trainings", json=body)
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/requests/{made['id']}"
    assert made["state"] == "queued" and made["attempts"] == []
    seen = platform.client.get(f"/v1/requests/{made['id']}").json()
    assert seen["waiting_reason"] == f"place {seen['place']} in the queue"
    spec = row(running, made["id"]).spec
    assert spec["steps"] == ["preprocess", "train"]
    assert (spec["epochs"], spec["profile"], spec["gpu"], spec["renderer"], spec["seed"]) == (3, "gpu", "h200", "nerf", 7)
    (video,) = spec["inputs"]
    assert video["name"] == "inputs/video" and video["key"] == f"assets/{asset}/file" and len(video["sha256"]) == 64
    assert row(running, made["id"]).uses == [f"asset:{asset}", f"video:{video['sha256']}"]
    with running.database.begin() as session:
        avatar = session.scalar(select(Avatar).where(Avatar.name == "ann"))
    assert avatar.title == "Ann 安" and avatar.consent["by"] == "Ada" and "at" in avatar.consent


@pytest.mark.parametrize(
    ("asked", "default", "means"),
    [(None, "none", None), (None, "big", "big"), ("none", "big", None), ("small", "big", "small")],
)
def test_the_gpu_class_of_each_kind(platform: Any, monkeypatch: Any, asked: str, default: str, means: str) -> None:
    settings = platform.running.settings
    monkeypatch.setattr(settings, "gpu_classes", {"big": {}, "small": {}})
    monkeypatch.setattr(settings, "default_gpu", default)
    platform.trained("gpus")
    audio = platform.asset()
    gpu = {} if asked is None else {"gpu": asked}
    for path, body in (
        ("/v1/renderings", {"avatar": "gpus", "audio": {"asset": audio}}),
        ("/v1/evaluations", {"avatar": "gpus"}),
    ):
        made = platform.client.post(path, json={**body, **gpu})
        assert made.status_code == 202, made.text
        assert made.json()["spec"]["gpu"] == means


def test_a_gpu_class_that_nobody_configured(platform: Any) -> None:
    body = {"avatar": "gpu", "video": {"asset": platform.asset()}, "gpu": "h200", "consent": CONSENT}
    answer = platform.client.post("/v1/trainings", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "gpu_unknown")
    assert answer.json()["detail"] == "there is no GPU class 'h200' here; known: none"
    assert platform.client.get("/v1/avatars/gpu").status_code == 404


def test_rendering_pins_the_version(platform: Any, running: Any) -> None:
    trained = platform.trained("bea")
    made = platform.post("/v1/renderings", {"avatar": "bea", "audio": {"asset": platform.asset()}})
    platform.trained("bea")
    seen = platform.client.get(f"/v1/requests/{made['id']}").json()
    assert (made["version"], seen["version"], seen["spec"]["version"]) == (1, 1, 1)
    found = row(running, made["id"])
    names = [item["name"] for item in found.spec["inputs"]]
    assert names == ["inputs/audio", "model/model.json", "model/weights.safetensors"]
    assert found.spec["inputs"][1]["key"] == f"requests/{trained['id']}/1/model/model.json"
    assert f"request:{trained['id']}" in found.uses
    named = platform.post("/v1/renderings", {"avatar": "bea", "version": 1, "audio": {"asset": platform.asset()}})
    assert named["version"] == 1
    newest = platform.post("/v1/renderings", {"avatar": "bea", "audio": {"asset": platform.asset()}})
    assert newest["version"] == 2


def test_evaluations(platform: Any, running: Any) -> None:
    platform.trained("cat")
    of_avatar = platform.post("/v1/evaluations", {"avatar": "cat"})
    assert of_avatar["spec"]["steps"] == ["render", "evaluate"] and of_avatar["version"] == 1
    predictions = [{"asset": platform.asset()}, {"asset": platform.asset()}]
    of_files = platform.post("/v1/evaluations", {"ground_truth": {"asset": platform.asset()}, "predictions": predictions})
    names = [item["name"] for item in row(running, of_files["id"]).spec["inputs"]]
    assert names == ["inputs/ground_truth", "inputs/prediction-0", "inputs/prediction-1"]
    assert of_files["avatar"] is None and of_files["spec"]["steps"] == ["evaluate"]


def test_what_a_request_made_is_an_input(platform: Any, running: Any) -> None:
    trained = platform.trained("dot")
    reference = {"request": trained["id"], "output": "report"}
    made = platform.post("/v1/renderings", {"avatar": "dot", "audio": reference})
    audio = row(running, made["id"]).spec["inputs"][0]
    assert audio == {
        "name": "inputs/audio",
        "key": f"requests/{trained['id']}/1/report.json",
        "size": 4,
        "sha256": audio["sha256"],
    }

    def refusal(reference: dict[str, Any]) -> tuple[int, str]:
        answer = platform.client.post("/v1/renderings", json={"avatar": "dot", "audio": reference})
        return answer.status_code, answer.json()["code"]

    assert refusal({"request": trained["id"], "output": "nothing"}) == (404, "output_not_found")
    assert refusal({"request": NOBODY, "output": "report"}) == (404, "request_not_found")
    assert refusal({"request": made["id"], "output": "video"}) == (409, "request_not_ready")


TRAINING = {"avatar": "ann", "video": {"asset": NOBODY}, "consent": CONSENT}
RENDERING = {"avatar": "nobody", "audio": {"asset": NOBODY}}
REFUSED = [
    ("trainings", {**TRAINING, "colour": "red"}, 422, "field_unknown"),
    ("trainings", {**TRAINING, "video": {"asset": NOBODY, "path": "/etc/passwd"}}, 422, "field_unknown"),
    ("trainings", {**TRAINING, "epochs": -1}, 422, "epochs_invalid"),
    ("trainings", {**TRAINING, "epochs": True}, 422, "epochs_invalid"),
    ("trainings", {**TRAINING, "epochs": "5"}, 422, "epochs_invalid"),
    ("trainings", {**TRAINING, "epochs": 5, "profile": "cpu"}, 422, "field_invalid"),
    ("trainings", {**TRAINING, "profile": "fast"}, 422, "field_invalid"),
    ("trainings", {**TRAINING, "renderer": "paint"}, 422, "field_invalid"),
    ("trainings", {**TRAINING, "avatar": "Ann Lee"}, 422, "name_invalid"),
    ("trainings", {**TRAINING, "avatar": "-ann"}, 422, "name_invalid"),
    ("trainings", {**TRAINING, "avatar": "a" * 64}, 422, "name_invalid"),
    ("trainings", {**TRAINING, "avatar": "ann\n"}, 422, "name_invalid"),
    ("trainings", {**TRAINING, "title": "a\0b"}, 422, "field_invalid"),
    ("trainings", {name: value for name, value in TRAINING.items() if name != "consent"}, 422, "consent_required"),
    ("trainings", {**TRAINING, "consent": {"statement": "", "by": "Ada"}}, 422, "consent_required"),
    ("trainings", {**TRAINING, "consent": {"statement": "I agree"}}, 422, "consent_required"),
    ("trainings", {**TRAINING, "video": "me.mp4"}, 422, "field_invalid"),
    ("trainings", {**TRAINING, "video": {"asset": "../../etc"}}, 422, "field_invalid"),
    ("trainings", TRAINING, 404, "asset_not_found"),
    ("trainings", [], 422, "field_invalid"),
    ("renderings", RENDERING, 404, "avatar_not_found"),
    ("renderings", {"avatar": "ann"}, 422, "field_invalid"),
    ("renderings", {**RENDERING, "version": 0}, 422, "field_invalid"),
    ("renderings", {**RENDERING, "background": "blue"}, 422, "field_invalid"),
    ("evaluations", {}, 422, "field_invalid"),
    ("evaluations", {"avatar": "ann", "ground_truth": {"asset": NOBODY}}, 422, "field_invalid"),
    ("evaluations", {"ground_truth": {"asset": NOBODY}, "predictions": []}, 422, "field_invalid"),
    ("evaluations", {"avatar": "nobody"}, 404, "avatar_not_found"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), REFUSED)
def test_refusals(client: httpx.Client, path: str, body: Any, status: int, code: str) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status), problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == f"urn:geneface:error:{code}" and problem["detail"]


def test_an_unknown_field_is_named(client: httpx.Client) -> None:
    problem = client.post("/v1/trainings", json={**TRAINING, "colour": "red"}).json()
    assert "'colour'" in problem["detail"] and problem["errors"][0]["field"] == "colour"


def test_an_avatar_without_a_version(platform: Any) -> None:
    platform.training("eve")
    answer = platform.client.post("/v1/renderings", json={"avatar": "eve", "audio": {"asset": platform.asset()}})
    assert (answer.status_code, answer.json()["code"]) == (409, "avatar_not_ready")
    answer = platform.client.post("/v1/evaluations", json={"avatar": "eve", "version": 4})
    assert (answer.status_code, answer.json()["code"]) == (404, "version_not_found")


def test_sound_is_no_video(platform: Any) -> None:
    sound = platform.asset(b"RIFF\x24\x08\0\0WAVEfmt " + bytes(1000), "hello.wav")
    answer = platform.client.post("/v1/trainings", json={**TRAINING, "video": {"asset": sound}})
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_media")


def test_refused_before_it_is_queued(platform: Any, running: Any) -> None:
    """Nothing half-made is left: no request, and no avatar of that name."""
    platform.client.post("/v1/trainings", json={**TRAINING, "avatar": "nil"})
    assert platform.client.get("/v1/avatars/nil").status_code == 404
    assert platform.client.get("/v1/requests", params={"avatar": "nil"}).json()["items"] == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "body_invalid"),
        (b"[" * 100_000, 400, "body_invalid"),
        (b"\xff", 400, "body_invalid"),
        (b"", 422, "field_invalid"),
    ],
)
def test_unreadable_bodies(client: httpx.Client, content: bytes, status: int, code: str) -> None:
    answer = client.post("/v1/trainings", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_large_bodies(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/trainings", content=b" " * (2 << 20), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    chunked = client.post("/v1/trainings", content=(b" " * 65_536 for _ in range(40)), headers=headers)
    assert (chunked.status_code, chunked.json()["code"]) == (413, "body_too_large")


def test_routes_and_methods(client: httpx.Client) -> None:
    answer = client.get("/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
    answer = client.put("/v1/requests")
    assert (answer.status_code, answer.json()["code"], answer.headers["Allow"]) == (405, "method_not_allowed", "GET")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get(f"/v1/requests/{ids.new()}").json()["code"] == "request_not_found"
    assert client.get("/v1/requests/nothing").json()["code"] == "field_invalid"
