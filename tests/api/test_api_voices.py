"""Voices: enrolled from a recording, used, deleted."""

from typing import Any

import httpx
import pytest
from speech_requests import CONSENT, enrolled, recording, refusal, row, succeed

from store import removals


@pytest.fixture(scope="module")
def running(make_settings: Any, serve: Any) -> Any:
    """Where everything is set up: an engine that clones, and a language model."""
    return serve(make_settings(tts_engine="http", reply_available=True))


def test_a_voice_from_its_recording_to_a_video(platform: Any, running: Any, client: httpx.Client) -> None:
    platform.trained("fay")
    body = {"name": "fay", "title": "Fay 菲", "recording": recording(platform), "consent": CONSENT}
    answer = client.post("/v1/voices", json=body)
    made = answer.json()
    assert answer.status_code == 202 and answer.headers["Location"] == f"/v1/requests/{made['id']}"
    assert (made["kind"], made["spec"]["steps"]) == ("synthesis", ["enrol"])
    seen = client.get("/v1/voices/fay").json()
    assert (seen["state"], seen["request"], seen["url"], seen["checks"]) == ("pending", made["id"], None, None)
    assert seen["consent"]["by"] == "Ada" and "at" in seen["consent"]
    for path, more in (("syntheses", {}), ("renderings", {"avatar": "fay"}), ("dialogues", {"avatar": "fay"})):
        assert refusal(client.post(f"/v1/{path}", json={"text": "Hello", "voice": "fay", **more})) == (409, "voice_not_ready")
    assert refusal(client.post("/v1/voices", json={**body, "recording": recording(platform)})) == (409, "voice_exists")
    assert refusal(client.delete("/v1/voices/fay")) == (409, "voice_in_use")
    succeed(platform, made["id"], "enrol", {"reference": "reference.wav", "voice": "voice.json"}, voice={"seconds": 9.5})
    seen = client.get("/v1/voices/fay").json()
    assert (seen["state"], seen["checks"], seen["error"]) == ("ready", {"seconds": 9.5}, None)
    assert httpx.get(seen["url"]).content == b"data"
    assert "fay" in [one["name"] for one in client.get("/v1/voices").json()["items"]]
    spoken = platform.post("/v1/renderings", {"avatar": "fay", "text": "Hello", "voice": "fay"})
    reference = row(running, spoken["id"]).spec["inputs"][0]
    key = f"requests/{made['id']}/1/reference.wav"
    assert (reference["name"], reference["key"], reference["size"]) == ("inputs/reference/fay", key, 4)
    worker = platform.worker(spoken["id"])
    worker.post("claim", step="synthesize")
    link = worker.post("links", get=["inputs/reference/fay"]).json()["get"]["inputs/reference/fay"]
    assert httpx.get(link).content == b"data"


@pytest.mark.parametrize(
    ("engine", "known", "unknown"),
    [
        ("http", ("Ana Florence", "zm_nobody"), ("nobody", "-x", "../etc", "a;b")),
        ("kokoro", ("af_heart", "zm_yunxi"), ("nobody", "zm_nobody", "Ana Florence")),
    ],
)
def test_voices_of_the_engines_own(
    running: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, engine: str, known: list[str], unknown: list[str]
) -> None:
    """Only Kokoro's are known before the Job runs."""
    monkeypatch.setattr(running.settings, "tts_engine", engine)
    for name in (*known, *unknown):
        answer = client.post("/v1/syntheses", json={"text": "Hello", "voice": name})
        assert answer.status_code == 202 if name in known else refusal(answer) == (422, "voice_unknown"), name
    assert ("zm_yunxi" in client.get("/v1/voices").json()["built_in"]) == (engine == "kokoro")


def test_deleting_a_voice_deletes_the_recording(platform: Any, running: Any, client: httpx.Client) -> None:
    request = enrolled(platform, "gil")
    spoken = platform.post("/v1/syntheses", {"text": "Hello", "voice": "gil"})
    answer = client.delete("/v1/voices/gil")
    assert refusal(answer) == (409, "voice_in_use") and spoken["id"] in answer.json()["detail"]
    client.delete(f"/v1/requests/{spoken['id']}")
    assert running.objects.names(f"requests/{request}/")
    assert client.delete("/v1/voices/gil").status_code == 204
    removals.sweep(running.database, running.objects)
    assert running.objects.names(f"requests/{request}/") == []
    for path in ("/v1/voices/gil", f"/v1/requests/{request}"):
        assert client.get(path).status_code == 404
    assert refusal(client.post("/v1/syntheses", json={"text": "Hello", "voice": "gil"})) == (422, "voice_unknown")
    assert refusal(client.delete("/v1/voices/gil")) == (404, "voice_not_found")
    enrolled(platform, "gil")


def test_a_failed_voice_says_why_and_its_name_is_free(platform: Any, client: httpx.Client) -> None:
    body = {"name": "hal", "recording": recording(platform), "consent": CONSENT}
    first = platform.post("/v1/voices", body)
    client.delete(f"/v1/requests/{first['id']}")
    seen = client.get("/v1/voices/hal").json()
    assert (seen["state"], seen["error"]["code"]) == ("failed", "cancelled")
    assert refusal(client.post("/v1/syntheses", json={"text": "Hello", "voice": "hal"})) == (409, "voice_not_ready")
    second = platform.post("/v1/voices", body)
    assert client.get("/v1/voices/hal").json()["request"] == second["id"] != first["id"]


def test_an_enrolment_hands_the_reference_over(platform: Any) -> None:
    body = {"name": "ida", "recording": recording(platform), "consent": CONSENT}
    worker = platform.worker(platform.post("/v1/voices", body)["id"])
    worker.post("claim", step="enrol")
    result = {"outputs": {"voice": "voice.json"}}
    answer = worker.post("publish", step="enrol", what="result", files=worker.put("voice.json"), result=result)
    assert refusal(answer) == (422, "field_invalid")


def test_voices_by_page(platform: Any, client: httpx.Client) -> None:
    for name in ("va", "vb", "vc"):
        platform.post("/v1/voices", {"name": name, "recording": recording(platform), "consent": CONSENT})
    seen, cursor = [], None
    while True:
        page = client.get("/v1/voices", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [one["name"] for one in page["items"]]
        if (cursor := page["cursor"]) is None:
            break
    assert seen == sorted(seen) and {"va", "vb", "vc"} <= set(seen)
