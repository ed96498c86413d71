"""The workers' door: who may enter, what they get, what counts."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from store import jobs, objects, tokens
from store.models import State

KEY = {"version": 1, "options_hash": "quick"}


def outcome(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def video_sha256(platform: Any, worker: Any) -> str:
    return str(worker.post("claim", step="preprocess").json()["inputs"][0]["sha256"])


def test_a_training_from_claim_to_result(platform: Any) -> None:
    request = platform.training("ann")
    worker = platform.worker(request["id"])
    claimed = worker.post("claim", step="preprocess", dataset=KEY).json()
    assert (claimed["request"], claimed["attempt"], claimed["kind"], claimed["avatar"]) == (request["id"], 1, "training", "ann")
    assert claimed["steps"] == ["preprocess", "train"] and claimed["spec"]["profile"] == "quick"
    assert [item["name"] for item in claimed["inputs"]] == ["inputs/video"] and "key" not in claimed["inputs"][0]
    assert (claimed["dataset"], claimed["checkpoint"], claimed["published"]) == (None, None, False)
    seen = platform.client.get(f"/v1/requests/{request['id']}").json()
    assert seen["state"] == "running" and seen["attempts"][0]["step"] == "preprocess"

    link = worker.post("links", get=["inputs/video"]).json()
    assert httpx.get(link["get"]["inputs/video"]).content.startswith(b"\0\0\0\x20ftyp") and link["expires_in"] == 3600

    files = worker.put("dataset/frames.mp4", "dataset/dataset.json")
    made = {**KEY, "video_sha256": claimed["inputs"][0]["sha256"], "options": {"crop": [1, 2]}}
    for _ in range(2):
        published = worker.post("publish", step="preprocess", what="dataset", dataset=made, files=files)
        assert published.json() == {"accepted": True}, published.text
    worker.post("claim", step="train")
    files = worker.put("checkpoints/motion-100/state.safetensors")
    checkpoint = {"name": "motion-100", "step": 100}
    for _ in range(2):
        assert worker.post("publish", step="train", what="checkpoint", checkpoint=checkpoint, files=files).status_code == 200
    again = worker.post("claim", step="train", dataset=KEY).json()
    assert [file["name"] for file in again["dataset"]] == ["dataset/frames.mp4", "dataset/dataset.json"]
    assert again["checkpoint"]["name"] == "motion-100"
    assert [file["name"] for file in again["checkpoint"]["files"]] == ["checkpoint/state.safetensors"]
    kinds = {"a/b.html": "text/html", "c.csv": "text/csv", "d.mp4": "video/mp4", "e.bin": "application/octet-stream"}
    put = worker.post("links", put=[{"name": name, "size": 1, "sha256": "0" * 64} for name in kinds]).json()["put"]
    assert {name: link["headers"] for name, link in put.items()} == {n: {"Content-Type": kind} for n, kind in kinds.items()}
    names = ["dataset/frames.mp4", "checkpoint/state.safetensors"]
    link = worker.post("links", get=names).json()["get"]
    assert [httpx.get(link[name]).content for name in names] == [b"data", b"data"]

    files = worker.put("model/model.json", "report.json")
    result = {"outputs": {"report": "report.json"}, "scores": {"psnr": float("nan")}, "seconds": 3}
    for _ in range(2):
        published = worker.post("publish", step="train", what="result", result=result, files=files)
        assert published.json() == {"accepted": True}, published.text
    seen = platform.client.get(f"/v1/requests/{request['id']}").json()
    assert (seen["state"], seen["progress"], seen["version"], seen["scores"]) == ("succeeded", 1.0, 1, {"psnr": None})
    assert httpx.get(seen["outputs"]["report"]["url"]).content == b"data"
    assert worker.post("claim", step="train").json()["published"] is True
    assert outcome(worker.post("links")) == (409, "attempt_final")
    assert outcome(worker.post("report", step="train", seq=1)) == (409, "attempt_final")


def test_an_evaluation_from_claim_to_result(platform: Any) -> None:
    """Of a rendering's output and an asset, against an asset: files by name, and the figures in the last event."""
    trained = platform.trained("amy")
    predictions = [{"request": trained["id"], "output": "report"}, {"asset": platform.asset()}]
    body = {"ground_truth": {"asset": platform.asset()}, "predictions": predictions}
    request = platform.post("/v1/evaluations", body)["id"]
    worker = platform.worker(request)
    claimed = worker.post("claim", step="evaluate").json()
    assert [item["name"] for item in claimed["inputs"]] == ["inputs/ground_truth", "inputs/prediction-0", "inputs/prediction-1"]
    link = worker.post("links", get=["inputs/prediction-0"]).json()["get"]["inputs/prediction-0"]
    assert httpx.get(link).content == b"data"
    outputs = {
        "scores": "scores.json", "report-0": "report-0.html", "metrics-0": "metrics-0.csv", "report-1": "report-1.html",
        "metrics-1": "metrics-1.csv", "comparison": "comparison.json",
    }  # fmt: skip
    six = {"niqe": 5.5, "psnr": float("nan"), "ssim": 0.9, "fid": None, "lse_c": 6.5, "lse_d": 7.5}
    scores = {"predictions": [{**six, "details": {"frames_compared": 50}}, {**six, "psnr": 30.5}]}
    result = {"outputs": outputs, "scores": scores}
    published = worker.post("publish", step="evaluate", what="result", result=result, files=worker.put(*outputs.values()))
    assert published.json() == {"accepted": True}, published.text
    seen = platform.client.get(f"/v1/requests/{request}").json()
    assert set(seen["outputs"]) == set(outputs)
    assert seen["scores"]["predictions"][0]["details"] == {"frames_compared": 50}
    page = httpx.get(seen["outputs"]["report-0"]["url"])
    assert page.headers["Content-Type"].startswith("text/html") and "report-0.html" in page.headers["Content-Disposition"]
    assert httpx.get(seen["outputs"]["metrics-0"]["url"]).headers["Content-Type"].startswith("text/csv")
    last = platform.client.get(f"/v1/requests/{request}/events").json()["items"][-1]
    told = {"predictions": [{**six, "psnr": None}, {**six, "psnr": 30.5}]}
    assert (last["type"], last["data"]) == ("succeeded", {"state": "succeeded", "attempt": 1, "scores": told})


def test_the_next_training_finds_the_dataset(platform: Any, running: Any) -> None:
    asset = platform.asset()
    first = platform.worker(platform.training("bea", video={"asset": asset})["id"])
    second = platform.worker(platform.training("cat", video={"asset": asset})["id"])
    sha256 = video_sha256(platform, first)
    second.post("claim", step="preprocess", dataset=KEY)
    for worker, accepted in ((first, True), (second, False)):
        files = worker.put("dataset/frames.mp4", data=worker.run.encode() + bytes([accepted]))
        body = {"what": "dataset", "dataset": {**KEY, "video_sha256": sha256}, "files": files}
        assert worker.post("publish", step="preprocess", **body).json() == {"accepted": accepted}
        assert worker.post("publish", step="preprocess", **body).json() == {"accepted": accepted}
    other = {**KEY, "options_hash": "cpu"}
    assert second.post("claim", step="preprocess", dataset=other).json()["dataset"] is None
    assert outcome(second.post("links", get=["dataset/frames.mp4"])) == (422, "object_missing")
    assert second.post("claim", step="preprocess", dataset=KEY).json()["dataset"][0]["size"] == 6
    link = second.post("links", get=["dataset/frames.mp4"]).json()["get"]["dataset/frames.mp4"]
    assert httpx.get(link).content == b"run-1\x01"
    wrong = {"what": "dataset", "dataset": {**KEY, "video_sha256": "0" * 64}, "files": files}
    assert outcome(second.post("publish", step="preprocess", **wrong)) == (422, "field_invalid")


def test_one_run_owns_the_attempt(platform: Any, running: Any) -> None:
    request = platform.training("dot")["id"]
    worker = platform.worker(request)
    worker.post("claim", step="preprocess")
    worker.run = "twin"
    for path, body in (("claim", {"step": "preprocess"}), ("links", {}), ("report", {"step": "preprocess", "seq": 0})):
        assert outcome(worker.post(path, **body)) == (409, "attempt_owned")
    worker.run = "run-1"
    with running.database.begin() as session:
        jobs.requeue(session, request, 1, counted=False, code="lost", message="the Job is gone", next_try_at=None)
    assert outcome(worker.post("claim", step="preprocess")) == (409, "attempt_final")
    second = platform.worker(request, "run-2")
    assert second.post("claim", step="preprocess").json()["attempt"] == 2
    assert outcome(worker.post("links")) == (409, "attempt_stale")
    files = [{"name": "model/model.json", "size": 1, "sha256": "0" * 64}]
    stale = worker.post("publish", step="train", what="result", result={"outputs": {}}, files=files)
    assert outcome(stale) == (409, "attempt_stale")
    with running.database.begin() as session:
        jobs.finish(session, request, 2, State.FAILED, "no_face_detected", "There is no face.")
    assert outcome(second.post("claim", step="preprocess")) == (409, "attempt_final")
    seen = platform.client.get(f"/v1/requests/{request}").json()
    assert seen["error"] == {"code": "no_face_detected", "message": "There is no face."}
    assert [one["outcome"] for one in seen["attempts"]] == ["disrupted", "failed"]


def test_tokens(platform: Any, client: httpx.Client) -> None:
    worker = platform.worker(platform.training("eve")["id"])
    other = platform.worker(platform.training("eve")["id"])
    good = worker.token
    for token in ("x", f"{worker.attempt}.x", other.token, tokens.sign(worker.attempt, "another key" * 4), good + "é"):
        worker.headers = {"Authorization": f"Bearer {token}".encode()}
        answer = worker.post("claim", step="preprocess")
        assert outcome(answer) == (401, "token_invalid") and answer.headers["WWW-Authenticate"] == "Bearer"
    worker.headers = {}
    assert outcome(worker.post("claim", step="preprocess")) == (401, "token_invalid")
    worker.headers = {"Authorization": f"Basic {good}"}
    assert outcome(worker.post("claim", step="preprocess")) == (401, "token_invalid")
    unknown = uuid4()
    worker.attempt, worker.headers = unknown, {"Authorization": f"Bearer {tokens.sign(unknown, 'k' * 32)}"}
    assert outcome(worker.post("claim", step="preprocess")) == (404, "attempt_not_found")


def test_a_key_is_rotated(platform: Any, make_settings: Any, serve: Any) -> None:
    worker = platform.worker(platform.training("fay")["id"])
    rotated = serve(make_settings(token_key="n" * 32, token_key_previous="k" * 32))
    with httpx.Client(base_url=rotated.url) as client:
        worker.client = client
        assert worker.post("claim", step="preprocess").status_code == 200


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/etc/passwd", "a//b", "", "a b", "a/./b", "log/00-train-00000000.ndjson", "ä"]
)
def test_names_stay_below_the_prefix(platform: Any, name: str) -> None:
    worker = platform.worker(platform.training("gil")["id"])
    worker.post("claim", step="preprocess")
    file = {"name": name, "size": 1, "sha256": "0" * 64}
    assert outcome(worker.post("links", put=[file])) == (422, "field_invalid")
    answer = worker.post("publish", step="train", what="result", result={"outputs": {}}, files=[file])
    assert outcome(answer) == (422, "field_invalid")


def test_what_is_published_must_be_there(platform: Any) -> None:
    worker = platform.worker(platform.training("hal")["id"])
    worker.post("claim", step="train")
    missing = [{"name": "model/model.json", "size": 4, "sha256": "0" * 64}]
    short = [{**worker.put("model/weights.safetensors")[0], "size": 5}]
    for files in (missing, short):
        answer = worker.post("publish", step="train", what="result", result={"outputs": {}}, files=files)
        assert outcome(answer) == (422, "object_missing") and files[0]["name"] in answer.json()["detail"]
    files = worker.put("model/model.json")
    unknown = worker.post("publish", step="train", what="result", result={"outputs": {"video": "video.mp4"}}, files=files)
    assert outcome(unknown) == (422, "field_invalid")
    checkpoint = {"what": "checkpoint", "checkpoint": {"name": "a-1", "step": 1}, "files": files}
    assert outcome(worker.post("publish", step="train", **checkpoint)) == (422, "field_invalid")
    assert platform.client.get(f"/v1/requests/{worker.request}").json()["state"] == "running"


def test_progress_never_falls(platform: Any, running: Any) -> None:
    worker = platform.worker(platform.training("ida")["id"])
    worker.post("claim", step="preprocess")

    def progress(value: Any, eta: Any = None) -> Any:
        worker.post("report", step="preprocess", seq=0, stage="s", progress=value, eta_seconds=eta)
        return platform.client.get(f"/v1/requests/{worker.request}").json()["progress"]

    assert [progress(0.5), progress(0.25), progress(0.75, 12.5)] == [0.5, 0.5, 0.75]
    for wrong in (1.5, -1, float("nan"), float("inf")):
        assert outcome(worker.post("report", step="preprocess", seq=1, progress=wrong)) == (422, "field_invalid")
    assert outcome(worker.post("report", step="render", seq=1)) == (422, "field_invalid")
    odd = {"step": "preprocess", "seq": 2, "stage": "a\0b", "metrics": {"loss": float("nan")}, "lines": [{"loss": float("inf")}]}
    assert worker.post("report", **odd).status_code == 200
    assert running.objects.get(objects.log_key(worker.request, 1, 0, "preprocess", 2)) == b'{"loss": null}\n'


def test_the_door_needs_no_lock_of_its_own(platform: Any, running: Any) -> None:
    """A claim waits for whoever holds the request's row, and no longer."""
    worker = platform.worker(platform.training("jon")["id"])
    with running.database.begin() as session:
        session.execute(text("SELECT 1 FROM requests WHERE id = :id FOR KEY SHARE"), {"id": worker.request})
        assert worker.post("claim", step="preprocess").status_code == 200
