"""kill -9 of the whole program, then up again: the request goes on and ends well, once."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from running import Up

from tests.person import CONSENT

SAMPLES = Path(__file__).parents[2] / "samples"


def objects(up: Up, request: str) -> list[str]:
    """The request's objects without logs, as files of the embedded object storage."""
    folder = up.home / "objects" / "geneface" / "requests" / request
    # os.walk, because folders vanish while they are looked at.
    names = (str((Path(where) / name).relative_to(folder)) for where, _, files in os.walk(folder) for name in files)
    return sorted(name for name in names if "/log/" not in name)


def log(up: Up, request: str) -> list[dict[str, Any]]:
    """What the last attempt has said so far."""
    return [json.loads(line) for line in httpx.get(f"{up.url}/v1/requests/{request}/logs", timeout=30).text.splitlines()]


def restarted(up: Up) -> None:
    """Kills, starts again; what was left of the old processes has ended within 10 s of the new start."""
    old = [process for process in up.processes() if "postgres" not in process.name()]
    up.kill()
    started = time.monotonic()
    up.start()
    survivors = [
        process
        for process in psutil.wait_procs(old, timeout=max(0, 10 - (time.monotonic() - started)))[1]
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
    assert not survivors, f"left after 10 s: {survivors}"


def reaches(up: Up, request: str, stage: str) -> Callable[[], bool]:
    def look() -> bool:
        row = up.get(request)
        assert row["state"] not in ("failed", "cancelled"), row
        return row["state"] == "running" and (row["stage"] or "").startswith(stage) and row["progress"] > 0

    return look


def test_during_upload(up: Up) -> None:
    created = up.post("/v1/assets", {"filename": "me.mp4", "size": 2028}, 201)

    def interrupted() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="half.mp4"\r\n\r\n'
        yield b"\0\0\0\x20ftypisom" + bytes(100_000)
        up.kill()
        yield bytes(1_000_000)

    with pytest.raises(httpx.TransportError):
        httpx.post(f"{up.url}/v1/assets", content=interrupted(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    up.start()
    assert [asset["state"] for asset in httpx.get(f"{up.url}/v1/assets").json()["items"]] in (["pending"], ["pending", "pending"])
    content = b"\0\0\0\x20ftypisom" + os.urandom(2016)
    link = created["upload"]
    assert httpx.put(link["url"], content=content, headers=link["headers"]).status_code == 200
    assert up.post(f"/v1/assets/{created['id']}/complete", {}, 200)["state"] == "ready"


def test_between_commit_and_start(up: Up) -> None:
    video = up.asset(b"x")
    request = up.post("/v1/trainings", {"avatar": "ann", "video": {"asset": video}, "profile": "quick", "consent": CONSENT})["id"]
    restarted(up)
    row = up.final(request)
    assert row["state"] == "succeeded", row
    assert httpx.get(f"{up.url}/v1/avatars/ann").json()["versions"][0]["version"] == 1


def test_mid_training_goes_on_from_the_last_checkpoint(make_up: Callable[..., Up]) -> None:
    up = make_up(seconds="4")
    up.start()
    request = up.training("ann")
    up.wait(lambda: any("checkpoints/" in name for name in objects(up, request)), 40, "a checkpoint")
    time.sleep(0.5)  # so that it is published, too
    restarted(up)
    row = up.final(request)
    assert row["state"] == "succeeded", row
    assert row["attempt"] == 2
    report = httpx.get(row["outputs"]["report"]["url"]).json()
    assert report["resumed_from"] > 0
    left = up.wait(
        lambda: (found := objects(up, request)) and not any("checkpoints" in name for name in found) and found, 20, "sweeping"
    )
    assert [name for name in left if name.startswith("1/")] == ["1/dataset/dataset.json", "1/dataset/frames.mp4"]
    assert len([name for name in left if name.endswith("model.json")]) == 1


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_mid_training_with_the_real_method(make_up: Callable[..., Up]) -> None:
    up = make_up(PYTHONPATH="", GENEFACE_STEP_ENVIRONMENT="{}")
    up.start()
    with (SAMPLES / "talker.mp4").open("rb") as video:
        asset = httpx.post(f"{up.url}/v1/assets", files={"file": ("talker.mp4", video)}, timeout=60).json()["id"]
    request = up.training("ann", asset)
    up.wait(lambda: any(" published (" in line.get("message", "") for line in log(up, request)), 900, "a checkpoint")
    restarted(up)
    row = up.final(request, 1200)
    assert row["state"] == "succeeded", row
    assert row["attempt"] == 2
    lines = log(up, request)
    assert any("resuming from checkpoint" in line.get("message", "") for line in lines)
    assert not any(line.get("stage") == "landmarks" for line in lines), "its dataset was found"
    assert [version["version"] for version in httpx.get(f"{up.url}/v1/avatars/ann").json()["versions"]] == [1]
    assert len([name for name in objects(up, request) if name.endswith("model/report.json")]) == 1
    up.wait(lambda: not any("checkpoints/" in name for name in objects(up, request)), 20, "sweeping")


def test_mid_publish(make_up: Callable[..., Up]) -> None:
    up = make_up()
    up.start()
    request = up.training("ann")
    up.wait(lambda: any("/model/" in name for name in objects(up, request)), 40, "the first file of the model")
    restarted(up)
    row = up.final(request)
    assert row["state"] == "succeeded", row
    versions = httpx.get(f"{up.url}/v1/avatars/ann").json()["versions"]
    assert [version["version"] for version in versions] == [1]
    models = up.wait(
        lambda: len(found := [name for name in objects(up, request) if name.endswith("model.json")]) == 1 and found,
        20,
        "one model",
    )
    assert models == [f"{row['attempt']}/model/model.json"]


@pytest.mark.parametrize("stage", ["render", "compare"])
def test_mid_evaluation(up: Up, stage: str) -> None:
    up.avatar("ann")
    request = up.post("/v1/evaluations", {"avatar": "ann"})["id"]
    up.wait(reaches(up, request, stage), 40, stage)
    restarted(up)
    row = up.final(request)
    assert row["state"] == "succeeded", row
    assert row["scores"]["psnr"] == 30.0
    made = up.wait(
        lambda: len(found := [n for n in objects(up, request) if n.endswith("scores.json")]) == 1 and found, 20, "one result"
    )
    assert made == [f"{row['attempt']}/scores.json"]


def test_a_client_still_gets_its_answer_by_idempotency_key(up: Up, tmp_path: Path) -> None:
    video = up.asset(b"x")
    body = {"avatar": "ann", "video": {"asset": video}, "profile": "quick", "consent": CONSENT}
    key = {"Idempotency-Key": "once"}
    first = httpx.post(f"{up.url}/v1/trainings", json=body, headers=key)
    restarted(up)
    again = httpx.post(f"{up.url}/v1/trainings", json=body, headers=key)
    assert again.content == first.content
    assert len(httpx.get(f"{up.url}/v1/requests").json()["items"]) == 1
