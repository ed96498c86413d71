"""Syntheses, renderings from text, dialogues and their conversations: what becomes of a body, and what is refused."""

import threading
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from speech_requests import CONSENT, WAV, enrolled, names, recording, refusal, row, succeed


@pytest.fixture(scope="module")
def running(make_settings: Any, serve: Any) -> Any:
    """Where everything is set up: an engine that clones, and a language model."""
    return serve(make_settings(tts_engine="http", reply_available=True))


def test_synthesis(platform: Any, running: Any) -> None:
    body = {"text": "Good \x00\x07morning.\n早上好 😀", "voice": "af_heart", "language": "en", "speed": 1.5}
    answer = platform.client.post("/v1/syntheses", json=body)
    assert answer.status_code == 202 and answer.headers["Location"] == f"/v1/requests/{answer.json()['id']}"
    made = answer.json()
    assert (made["kind"], made["spec"]["steps"], made["avatar"], made["conversation"]) == (
        "synthesis",
        ["synthesize"],
        None,
        None,
    )
    spec = row(running, made["id"]).spec
    assert (spec["text"], spec["voice"], spec["speed"], spec["inputs"]) == ("Good  morning.\n早上好 😀", "af_heart", 1.5, [])
    outputs = {"audio": "speech.wav", "speech": "speech.json", "subtitles": "subtitles.srt", "vtt": "subtitles.vtt"}
    succeed(platform, made["id"], "synthesize", outputs)
    seen = platform.client.get(f"/v1/requests/{made['id']}").json()
    assert seen["state"] == "succeeded" and set(seen["outputs"]) == set(outputs)
    page = httpx.get(seen["outputs"]["vtt"]["url"])
    assert page.headers["Content-Type"].startswith("text/vtt")
    again = platform.client.post("/v1/syntheses", json={"text": "x" * 20_000})
    assert again.status_code == 202


def test_rendering_of_a_text(platform: Any, running: Any) -> None:
    platform.trained("ann")
    made = platform.post("/v1/renderings", {"avatar": "ann", "text": "Hello", "voice": "zm_yunxi", "subtitles": "burn"})
    assert (made["spec"]["steps"], made["version"]) == (["synthesize", "render"], 1)
    assert made["spec"]["subtitles"] == "burn"
    assert names(running, made["id"]) == ["model/model.json", "model/weights.safetensors"]
    worker = platform.worker(made["id"])
    claimed = worker.post("claim", step="synthesize").json()
    assert (claimed["spec"]["text"], claimed["steps"]) == ("Hello", ["synthesize", "render"])


def test_rendering_of_a_recording_listens_where_subtitles_are_wanted(platform: Any, running: Any) -> None:
    platform.trained("bea")
    body = {"avatar": "bea", "audio": recording(platform)}
    plain = platform.post("/v1/renderings", body)
    burnt = platform.post("/v1/renderings", {**body, "subtitles": "burn", "language": "zh"})
    assert (plain["spec"]["steps"], burnt["spec"]["steps"]) == (["render"], ["transcribe", "render"])
    assert names(running, burnt["id"])[0] == "inputs/audio" and burnt["spec"]["language"] == "zh"


def turn(platform: Any, running: Any, conversation: str | None, question: str, **more: Any) -> dict[str, Any]:
    """A dialogue that was answered; as it was submitted."""
    body = {"avatar": "cat", "text": question, **more}
    made = platform.post("/v1/dialogues", body if conversation is None else {**body, "conversation": conversation})
    said = {"question": question, "reply": f"re {question}", "transcript": None, "model": "m", "language": "en"}
    succeed(platform, made["id"], "converse", {"turn": "turn.json"}, turn=said)
    return made


def test_a_conversation(platform: Any, running: Any, client: httpx.Client) -> None:
    platform.trained("cat")
    first = turn(platform, running, None, "one", system_prompt="You are\na pirate.")
    conversation = first["conversation"]
    assert UUID(conversation).version == 7 and first["spec"]["conversation"] == conversation
    assert first["spec"]["steps"] == ["converse", "render"]
    assert row(running, first["id"]).spec["system_prompt"] == "You are\na pirate."
    seen = client.get(f"/v1/requests/{first['id']}").json()
    assert seen["turn"] == {"question": "one", "reply": "re one", "transcript": None, "model": "m", "language": "en"}
    failed = platform.post("/v1/dialogues", {"avatar": "cat", "text": "lost", "conversation": conversation})
    assert refusal(client.post("/v1/dialogues", json={"avatar": "cat", "text": "no", "conversation": conversation})) == (
        409, "conversation_busy"
    )  # fmt: skip
    assert client.get(f"/v1/conversations/{conversation}").json()["under_way"] == failed["id"]
    client.delete(f"/v1/requests/{failed['id']}")
    second = turn(platform, running, conversation, "two")
    turn(platform, running, None, "elsewhere")
    spoken = {"avatar": "cat", "audio": recording(platform), "conversation": conversation}
    third = platform.post("/v1/dialogues", spoken)
    assert "history" not in third["spec"], "a conversation is read at its own address"
    assert names(running, third["id"])[0] == "inputs/audio"
    history = [
        {"role": "user", "text": "one"}, {"role": "assistant", "text": "re one"},
        {"role": "user", "text": "two"}, {"role": "assistant", "text": "re two"},
    ]  # fmt: skip
    assert row(running, third["id"]).spec["history"] == history
    assert platform.worker(third["id"]).post("claim", step="converse").json()["spec"]["history"] == history
    page = client.get(f"/v1/conversations/{conversation}", params={"limit": 1}).json()
    assert [one["request"] for one in page["turns"]] == [first["id"]] and page["under_way"] == third["id"]
    rest = client.get(f"/v1/conversations/{conversation}", params={"cursor": page["cursor"]}).json()
    assert [(one["request"], one["question"], one["reply"]) for one in rest["turns"]] == [(second["id"], "two", "re two")]
    assert rest["cursor"] is None


def test_two_questions_at_once_are_one_after_the_other(platform: Any, running: Any) -> None:
    platform.trained("cat")
    conversation = turn(platform, running, None, "one")["conversation"]
    barrier, found = threading.Barrier(4), []

    def ask() -> None:
        barrier.wait()
        body = {"avatar": "cat", "text": "two", "conversation": conversation}
        found.append(httpx.post(f"{running.url}/v1/dialogues", json=body, timeout=30).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [202, 409, 409, 409]


def test_the_first_answer_names_the_conversation_again(platform: Any, client: httpx.Client) -> None:
    platform.trained("dot")
    body, headers = {"avatar": "dot", "text": "one"}, {"Idempotency-Key": str(uuid4())}
    first, again = (client.post("/v1/dialogues", json=body, headers=headers) for _ in range(2))
    assert first.status_code == 202 and again.content == first.content


def test_a_dialogue_without_its_turn_is_no_result(platform: Any) -> None:
    platform.trained("eve")
    worker = platform.worker(platform.post("/v1/dialogues", {"avatar": "eve", "text": "one"})["id"])
    worker.post("claim", step="render")
    files = worker.put("video.mp4")
    for said in ({}, {"turn": None}, {"turn": {"question": "one"}}, {"turn": {"question": 1, "reply": "x"}}):
        answer = worker.post(
            "publish", step="render", what="result", files=files, result={"outputs": {"video": "video.mp4"}, **said}
        )
        assert refusal(answer) == (422, "field_invalid"), said
    said = {"question": "one\0", "reply": "\ud800", "seconds": float("nan")}
    answer = worker.post(
        "publish", step="render", what="result", files=files, result={"outputs": {"video": "video.mp4"}, "turn": said}
    )
    assert answer.json() == {"accepted": True}, answer.text
    seen = platform.client.get(f"/v1/requests/{worker.request}").json()
    assert seen["turn"] == {"question": "one?", "reply": "?", "seconds": None}


NOBODY = {"asset": str(uuid4())}
VOICE = {"name": "ann", "recording": NOBODY, "consent": CONSENT}
REFUSED = [
    ("syntheses", {"text": ""}, 422, "text_empty"),
    ("syntheses", {"text": " \n\t "}, 422, "text_empty"),
    ("syntheses", {"text": "\x00\x01\x7f\x9f"}, 422, "text_empty"),
    ("syntheses", {"text": "x" * 20_001}, 422, "text_too_long"),
    ("syntheses", {"text": "早" * 100_000}, 422, "text_too_long"),
    ("syntheses", {}, 422, "field_invalid"),
    ("syntheses", {"text": ["Hello"]}, 422, "field_invalid"),
    ("syntheses", {"text": "Hello", "language": "tlh"}, 422, "language_unsupported"),
    ("syntheses", {"text": "Hello", "speed": 5}, 422, "field_invalid"),
    ("syntheses", {"text": "Hello", "voice": "nobody"}, 422, "voice_unknown"),
    ("syntheses", {"text": "Hello", "voice": "../etc"}, 422, "voice_unknown"),
    ("syntheses", {"text": "Hello", "voice": "af_heart; rm"}, 422, "voice_unknown"),
    ("syntheses", {"text": "Hello", "gpu": "h200"}, 422, "gpu_unknown"),
    ("syntheses", {"text": "Hello", "avatar": "ann"}, 422, "field_unknown"),
    ("renderings", {"avatar": "ann", "text": "Hello", "audio": NOBODY}, 422, "field_invalid"),
    ("renderings", {"avatar": "ann"}, 422, "field_invalid"),
    ("renderings", {"avatar": "ann", "audio": NOBODY, "voice": "af_heart"}, 422, "field_invalid"),
    ("renderings", {"avatar": "ann", "text": "\x0b"}, 422, "text_empty"),
    ("renderings", {"avatar": "ann", "text": "Hello", "subtitles": "below"}, 422, "field_invalid"),
    ("renderings", {"avatar": "nobody", "text": "Hello"}, 404, "avatar_not_found"),
    ("dialogues", {"avatar": "ann"}, 422, "field_invalid"),
    ("dialogues", {"avatar": "ann", "text": "Hello", "audio": NOBODY}, 422, "field_invalid"),
    ("dialogues", {"avatar": "ann", "text": " "}, 422, "text_empty"),
    ("dialogues", {"avatar": "ann", "text": "x" * 4001}, 422, "text_too_long"),
    ("dialogues", {"avatar": "ann", "text": "Hello", "system_prompt": "x" * 4001}, 422, "field_invalid"),
    ("dialogues", {"avatar": "ann", "text": "Hello", "conversation": "last"}, 422, "field_invalid"),
    ("dialogues", {"avatar": "nobody", "text": "Hello"}, 404, "avatar_not_found"),
    ("voices", VOICE, 404, "asset_not_found"),
    ("voices", {**VOICE, "name": "af_heart"}, 422, "name_invalid"),
    ("voices", {**VOICE, "name": "Ann"}, 422, "name_invalid"),
    ("voices", {name: value for name, value in VOICE.items() if name != "consent"}, 422, "consent_required"),
    ("voices", {**VOICE, "consent": {"statement": "I agree"}}, 422, "consent_required"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), REFUSED)
def test_refusals(client: httpx.Client, path: str, body: Any, status: int, code: str) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    assert refusal(answer) == (status, code), answer.text
    assert answer.json()["detail"]


def test_a_conversation_that_nobody_began(platform: Any, client: httpx.Client) -> None:
    platform.trained("jim")
    body = {"avatar": "jim", "text": "Hello", "conversation": str(uuid4())}
    assert refusal(client.post("/v1/dialogues", json=body)) == (404, "conversation_not_found")
    assert refusal(client.get(f"/v1/conversations/{uuid4()}")) == (404, "conversation_not_found")


def test_where_nothing_is_set_up_it_is_said_at_once(platform: Any, running: Any, tmp_path: Path, monkeypatch: Any) -> None:
    settings, client = running.settings, platform.client
    platform.trained("kim")
    enrolled(platform, "kim")
    voice = {"name": "lea", "recording": recording(platform), "consent": CONSENT}
    spoken = {"text": "Hello", "voice": "kim"}
    for changes, what in (
        ({"tts_engine": "kokoro"}, "Set GENEFACE_TTS_ENGINE to xtts"),
        ({"tts_engine": "xtts"}, "COQUI_TOS_AGREED=1"),
    ):
        with monkeypatch.context() as here:
            for name, value in changes.items():
                here.setattr(settings, name, value)
            for path, body in (("voices", voice), ("syntheses", spoken), ("renderings", {**spoken, "avatar": "kim"})):
                answer = client.post(f"/v1/{path}", json=body)
                assert refusal(answer) == (409, "voice_cloning_unavailable") and what in answer.json()["detail"]
            assert client.post("/v1/syntheses", json={"text": "Hello", "voice": "af_heart"}).status_code == 202
    with monkeypatch.context() as here:
        here.setattr(settings, "reply_available", False)
        answer = client.post("/v1/dialogues", json={"avatar": "kim", "text": "Hello"})
        assert refusal(answer) == (409, "reply_key_missing") and "ZHIPU_API_KEY" in answer.json()["detail"]
    with monkeypatch.context() as here:
        here.setattr(settings, "tts_engine", "xtts")
        here.setattr(settings, "coqui_tos_agreed", True)
        assert client.post("/v1/syntheses", json=spoken).status_code == 202


def test_weights_that_are_not_there_are_named(platform: Any, running: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from api.speech import DRAWING, LISTENING, WEIGHTS

    platform.trained("max")
    monkeypatch.setattr(running.settings, "tts_engine", "kokoro")
    monkeypatch.setattr(running.settings, "weights_dir", tmp_path)
    speaks = "make weights " + " ".join(WEIGHTS["kokoro"])
    listens = "make weights " + " ".join(WEIGHTS[LISTENING])
    both = f"{speaks} {' '.join(WEIGHTS[LISTENING])}"
    film = {"avatar": "max"}
    asked = [
        ("syntheses", {"text": "Hello"}, speaks), ("renderings", {**film, "text": "Hello"}, speaks),
        ("renderings", {**film, "audio": recording(platform), "subtitles": "burn"}, listens),
        ("renderings", {**film, "audio": recording(platform)}, None),
        ("renderings", {**film, "text": "Hello", "subtitles": "burn"}, speaks),
        ("renderings", {**film, "text": "你好", "subtitles": "burn"}, f"{speaks} {' '.join(WEIGHTS[DRAWING])}"),
        ("dialogues", {**film, "text": "Hello"}, speaks), ("dialogues", {**film, "audio": recording(platform)}, both),
    ]  # fmt: skip
    for path, body, brings in asked:
        answer = platform.client.post(f"/v1/{path}", json=body)
        if brings is None:
            assert answer.status_code == 202
        else:
            assert refusal(answer) == (409, "weights_missing") and f"`{brings}`" in answer.json()["detail"]
    for file in (*WEIGHTS["kokoro"].values(), *WEIGHTS[LISTENING].values(), *WEIGHTS[DRAWING].values()):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    for path, body, _ in asked:
        assert platform.client.post(f"/v1/{path}", json=body).status_code == 202


def test_weights_are_called_as_in_their_table() -> None:
    from api.speech import WEIGHTS
    from steps import weights

    table = weights.table()
    assert all(table[name].file == file for files in WEIGHTS.values() for name, file in files.items())


def test_a_request_that_only_speaks_waits_for_no_gpu_that_its_engine_leaves_idle(
    platform: Any, running: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(running.settings, "gpu_classes", {"big": {}})
    monkeypatch.setattr(running.settings, "default_gpu", "big")
    monkeypatch.setattr(running.settings, "coqui_tos_agreed", True)

    def means(**body: str) -> str | None:
        found: str | None = platform.post("/v1/syntheses", {"text": "Hello", **body})["spec"]["gpu"]
        return found

    assert (means(), means(gpu="big")) == (None, "big")
    monkeypatch.setattr(running.settings, "tts_engine", "xtts")
    assert (means(), means(gpu="none")) == ("big", None)


def test_each_has_their_own_voices_and_conversations(make_settings: Any, serve: Any) -> None:
    url = serve(make_settings(tts_engine="http", reply_available=True, owner_header="X-Remote-User")).url

    def asking(who: str) -> httpx.Client:
        return httpx.Client(base_url=url, headers={"X-Remote-User": who}, timeout=30)

    with asking("ann") as ann, asking("bob") as bob:
        asset = ann.post("/v1/assets", files={"file": ("me.wav", WAV)}).json()["id"]
        body = {"name": "own", "recording": {"asset": asset}, "consent": CONSENT}
        assert ann.post("/v1/voices", json=body).status_code == 202
        assert refusal(bob.post("/v1/voices", json=body)) == (404, "asset_not_found")
        assert (ann.get("/v1/voices/own").status_code, bob.get("/v1/voices/own").status_code) == (200, 404)
        assert bob.get("/v1/voices").json()["items"] == []
        assert refusal(bob.post("/v1/syntheses", json={"text": "Hello", "voice": "own"})) == (422, "voice_unknown")
        assert refusal(bob.delete("/v1/voices/own")) == (404, "voice_not_found")
