"""Speech on one machine: the service beside the platform, the demo that reads a text out, what doctor says."""

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from running import HERE, Up, platforms

from local import demo, doctor, speech
from local.client import ApiError, Client
from local.errors import LocalError
from local.servers import free_port
from local.settings import LocalSettings
from steps import weights


def pretend(folder: Path, *names: str) -> Path:
    """Files that lie where those of weights.toml do."""
    for name in names:
        entry = weights.table()[name]
        for one in (entry, *entry.beside):
            file = folder / one.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
    return folder


def told(up: Up) -> str:
    return (up.home.parent / f"{up.home.name}.out").read_text()


def answer(url: str) -> dict[str, str]:
    try:
        return dict(httpx.get(url).json())
    except httpx.TransportError:
        return {}


def test_the_tts_service_comes_and_goes_with_the_platform(make_up: Callable[..., Up], tmp_path: Path) -> None:
    up = make_up(
        GENEFACE_TTS_SERVE="true", GENEFACE_TTS_PORT=str(free_port()), GENEFACE_WEIGHTS_DIR=str(pretend(tmp_path, speech.ENGINE)),
        GENEFACE_TTS_ENGINE="http", GENEFACE_TTS_URL="http://127.0.0.1:1", ZHIPU_API_KEY="secret",
    )  # fmt: skip
    url = f"http://127.0.0.1:{up.environment['GENEFACE_TTS_PORT']}"
    up.start()
    up.wait(lambda: answer(url), 20, "the TTS service")
    up.kill()
    up.wait(lambda: not answer(url), 20, "its end, as the platform was killed")
    up.start()
    seen = up.wait(lambda: answer(url), 20, "the TTS service once more")
    assert f"{url} (POST /tts" in told(up)
    assert seen["GENEFACE_TTS_ENGINE"] == "kokoro", "it never asks itself"
    assert "ZHIPU_API_KEY" not in seen
    assert up.stop() == 0
    assert answer(url) == {}


def test_the_end_of_a_tts_service_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HERE / 'stand_in'}{os.pathsep}{HERE.parents[1]}")
    monkeypatch.chdir(tmp_path)  # not where speech itself is
    monkeypatch.setenv("STAND_IN_SERVE", "fails")
    tts = speech.TtsService(tmp_path, free_port())
    tts.start()
    until = time.monotonic() + 20
    while "the TTS service has ended with exit code 3" not in caplog.text:
        assert time.monotonic() < until, tts.log.read_text()
        time.sleep(0.05)
    tts.stop()
    assert list((tmp_path / "tts").iterdir()) == []


def test_why_there_is_no_tts_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: object) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.delenv("GENEFACE_TTS_ENGINE", raising=False)
    assert "`make weights kokoro`" in speech.service(LocalSettings(home=tmp_path), tmp_path)
    pretend(tmp_path, speech.ENGINE)
    assert isinstance(speech.service(LocalSettings(home=tmp_path), tmp_path), speech.TtsService)
    taken = s3.server.port
    found = speech.service(LocalSettings(home=tmp_path, tts_port=taken), tmp_path)
    assert found == f"No TTS service: port {taken} is in use; choose another with GENEFACE_TTS_PORT."
    assert "GENEFACE_TTS_SERVE" in speech.service(LocalSettings(home=tmp_path, tts_serve=False), tmp_path)


@pytest.fixture(scope="module")
def with_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = pretend(tmp_path_factory.mktemp("weights"), speech.ENGINE)
    with platforms() as make:
        one = make(GENEFACE_WEIGHTS_DIR=str(folder))
        one.start()
        yield one


def demonstrate(up: Up, folder: Path, text: str) -> str:
    console = Console(file=io.StringIO(), width=400)
    demo.run(Client(up.url), console, folder, None, None, text)
    return console.file.getvalue()


def test_the_demo_reads_a_text_out(with_weights: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", with_weights.environment["GENEFACE_WEIGHTS_DIR"])
    said = demonstrate(with_weights, tmp_path, "Good morning. 早上好。")
    assert "Spoken by kokoro, voice af_heart (en), 1.5 s: Good morning. 早上好。" in said
    folder = tmp_path / "sample-talker"
    assert (folder / "speech.wav").read_text() == "sound of Good morning. 早上好。"
    assert (folder / "subtitles.srt").exists() and str(folder / "subtitles.srt") in said
    versions = with_weights.avatar_versions("sample-talker")
    with pytest.raises(ApiError) as refused:
        demonstrate(with_weights, tmp_path, " ")
    assert refused.value.code == "text_empty"
    with pytest.raises(LocalError, match="text_empty"):
        demonstrate(with_weights, tmp_path, "unspeakable")
    assert with_weights.avatar_versions("sample-talker") == versions, "it is refused before anything is trained"


def test_the_demo_without_weights_says_what_brings_them(shared_up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path / "none"))
    said = demonstrate(shared_up, tmp_path, "Good morning.")
    (line,) = [line for line in said.splitlines() if "cannot be read out" in line]
    assert "`make weights kokoro`" in line
    assert (tmp_path / "sample-talker" / "video.mp4").exists() and "Spoken by" not in said
    assert not (tmp_path / "sample-talker" / "speech.wav").exists()


def test_a_platform_that_looks_elsewhere_for_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(Client):
        def post(self, path: str, body: demo.Json) -> demo.Json:
            raise ApiError("kokoro not in /there [weights_missing]", "weights_missing")

    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(pretend(tmp_path, "kokoro", "g2p-en")))
    console = Console(file=io.StringIO(), width=400)
    assert demo._read_out(Refusing("http://127.0.0.1:1"), console, "Hello.") is None
    assert "kokoro not in /there" in console.file.getvalue()


def test_doctor_says_what_speech_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [name for name in speech.WANTED if name in weights.table()]
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(pretend(tmp_path, *wanted[1:])))
    monkeypatch.delenv("ZHIPU_API_KEY", raising=False)
    settings = LocalSettings(home=tmp_path)
    found, model = doctor._speech(settings), doctor._reply(settings)
    assert (found.level, found.found) == ("note", f"without {wanted[0]}")
    assert f"`make weights {wanted[0]}` brings them" in found.cost
    assert (model.level, model.found) == ("note", "ZHIPU_API_KEY is not set")
    pretend(tmp_path, wanted[0])
    monkeypatch.setenv("ZHIPU_API_KEY", "a-secret")
    monkeypatch.setenv("ZHIPU_MODEL", "glm-5")
    assert doctor._speech(settings).level == "ok"
    said = doctor._reply(settings)
    assert said.level == "ok" and "glm-5" in said.found and "a-secret" not in json.dumps(said.__dict__)
    assert not any(name in doctor._weights(settings).found for name in wanted)
