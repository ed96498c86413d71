"""The TTS service over real HTTP, with an engine that needs no model."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from speech_tone import Tone

from media import audio
from speech import formats, service
from speech.errors import ServiceError
from speech.service_settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = [f"This is sentence number {word} of the whole long text." for word in ("one", "two", "three", "four")]
TEXT = " ".join(SENTENCES)
MIME = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg; codecs=opus"}


class Away(ServiceError):
    """The other server is away."""

    stable_code = "tts_unreachable"


class Served:
    """A service that runs in this process."""

    def __init__(self, url: str, app: Any, engine: Tone) -> None:
        self.url, self.desk, self.engine = url, app.state.desk, engine
        self.http = httpx.Client(base_url=url, timeout=20)

    def tts(self, **body: Any) -> httpx.Response:
        return self.http.post("/tts", json={"text": TEXT, **body})

    def wait(self, done: Callable[[], Any], what: str) -> None:
        until = time.monotonic() + 10
        while not done():
            assert time.monotonic() < until, f"waited for {what}"
            time.sleep(0.01)

    def idle(self) -> None:
        self.wait(lambda: self.desk.admitted == self.desk.speaking == 0, "all places to be free")


@contextmanager
def served(engine: Tone, load: Callable[[], Any] | None = None, **settings: Any) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = service.create(load or (lambda: engine), ServiceSettings(**settings), lambda: None)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    one = Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app, engine)
    try:
        if load is None:
            one.wait(lambda: one.desk.staff, "the engine")
        yield one
    finally:
        if engine.gate:
            engine.allow(1000)
        one.http.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def talker() -> Iterator[Served]:
    with served(Tone()) as one:
        yield one


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, whose form is checked."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:geneface:error:{body['code']}"
    assert body["title"] and body["detail"]
    return answer.status_code, body["code"]


def heard(content: bytes, tmp_path: Path) -> tuple[float, float]:
    """Seconds and main frequency of a whole file."""
    file = tmp_path / "heard"
    file.write_bytes(content)
    samples = audio.read(file, 24000)
    spectrum = np.abs(np.fft.rfft(samples))
    return len(samples) / 24000, float(np.fft.rfftfreq(len(samples), 1 / 24000)[spectrum.argmax()])


@pytest.mark.parametrize("form", MIME)
def test_a_text_becomes_a_file_that_media_programs_read(talker: Served, tmp_path: Path, form: str) -> None:
    answer = talker.tts(format=form, voice="bass")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MIME[form])
    assert answer.headers["transfer-encoding"] == "chunked"
    told = {name: answer.headers[f"speech-{name}"] for name in ("engine", "voice", "language")}
    assert told == {"engine": "tone", "voice": "bass", "language": "en"}
    seconds, frequency = heard(answer.content, tmp_path)
    assert len(SENTENCES) <= seconds <= 2 * len(SENTENCES)
    assert frequency == pytest.approx(440, abs=2)


def test_formats_are_equally_long(talker: Served, tmp_path: Path) -> None:
    wav, mp3, ogg = (heard(talker.tts(format=form).content, tmp_path)[0] for form in MIME)
    assert mp3 == pytest.approx(wav, abs=0.1)
    assert ogg == pytest.approx(wav, abs=0.1)


def test_a_wavs_samples_are_those_of_the_engine(tmp_path: Path) -> None:
    head, tone = formats.wav_head(24000), np.array([0.0, 0.5, -0.5, 2.0, -2.0], np.float32)
    (tmp_path / "a.wav").write_bytes(head + formats.pcm(np.tile(tone, 1000)))
    assert len(head) == 44
    assert np.abs(audio.read(tmp_path / "a.wav", 24000) - np.tile(np.clip(tone, -1, 1), 1000)).max() < 1e-4


@pytest.mark.parametrize("form", MIME)
def test_sound_comes_while_the_rest_is_still_to_be_spoken(form: str, tmp_path: Path) -> None:
    with served(Tone(gated=True)) as one:
        one.engine.allow(2)
        with one.http.stream("POST", "/tts", json={"text": TEXT, "format": form}) as answer:
            parts = answer.iter_raw()
            got = next(parts)
            while len(got) < 4000:
                got += next(parts)
            assert len(one.engine.spoken) <= 3
            one.engine.allow(100)
            got += b"".join(parts)
        assert heard(got, tmp_path)[0] >= len(SENTENCES)


def test_what_is_asked_for_reaches_the_engine(talker: Served) -> None:
    talker.engine.spoken.clear()
    assert talker.tts(text="你好，世界。今天天气很好。", speed=1.5).status_code == 200
    assert talker.tts(text="Hello there.", voice="bass", language="en").status_code == 200
    assert {(clause.language, speaker, speed) for clause, speaker, speed in talker.engine.spoken} == {
        ("zh", "zhong", 1.5), ("en", "bass", 1.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected", "named"),
    [
        (b"{", (400, "body_invalid"), "JSON"),
        (b'{"text": "\\ud800"}', (400, "body_invalid"), "JSON"),
        ({"txt": "a", "text": "a"}, (422, "field_unknown"), "txt"),
        ({}, (422, "field_invalid"), "text"),
        ({"text": 5}, (422, "field_invalid"), "text"),
        ({"text": "a", "format": "flac"}, (422, "field_invalid"), "format"),
        ({"text": "a", "speed": 9}, (422, "speed_out_of_range"), "0.5"),
        ({"text": "a", "voice": ""}, (422, "field_invalid"), "voice"),
        ({"text": "a", "reference": "@@"}, (422, "field_invalid"), "base64"),
        ({"text": "a", "voice": "alto", "reference": "YQ=="}, (422, "field_invalid"), "not both"),
        ({"text": "a", "reference": "YQ=="}, (422, "voice_cloning_unavailable"), "tone"),
        ({"text": " "}, (422, "text_empty"), "empty"),
        ({"text": "Hallo Welt.", "language": "de"}, (422, "language_unsupported"), "de"),
        ({"text": "Hello there.", "voice": "tenor"}, (422, "voice_unknown"), "tenor"),
        ({"text": "a" * 5000}, (413, "body_too_large"), "4096"),
    ],
)
def test_what_a_wrong_body_gets(small: Served, body: Any, expected: tuple[int, str], named: str) -> None:
    answer = small.http.post("/tts", **({"content": body} if isinstance(body, bytes) else {"json": body}))
    assert code(answer) == expected
    assert named in answer.json()["detail"]
    small.idle()


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    with served(Tone(), tts_body_limit=4096) as one:
        yield one


def test_what_a_wrong_address_gets(talker: Served) -> None:
    assert code(talker.http.get("/nothing")) == (404, "route_not_found")
    assert code(talker.http.get("/tts")) == (405, "method_not_allowed")


def test_voices_and_health(talker: Served) -> None:
    assert {"name": "zhong", "language": "zh", "gender": "female"} in talker.http.get("/voices").json()["voices"]
    talker.idle()
    health = talker.http.get("/health").json()
    assert (health["status"], health["engine"], health["rate"], health["clones"]) == ("ready", "tone", 24000, False)
    assert health["queue"] == {"admitted": 0, "speaking": 0, "limit": 8}
    assert "/tts" in talker.http.get("/openapi.json").json()["paths"]


def test_nothing_is_taken_before_the_model_is_loaded() -> None:
    loaded, engine = threading.Event(), Tone()

    def load() -> Tone:
        assert loaded.wait(20)
        return engine

    with served(engine, load) as one:
        try:
            assert (one.http.get("/health").status_code, one.http.get("/health").json()) == (503, {"status": "loading"})
            assert code(one.http.get("/voices")) == code(one.tts()) == (503, "not_ready")
        finally:
            loaded.set()
        one.wait(lambda: one.http.get("/health").status_code == 200, "the model")
        assert one.tts().status_code == 200


def test_a_full_queue_says_when_to_come_back() -> None:
    with served(Tone(gated=True), tts_queue=1) as one:
        first, second = (threading.Thread(target=one.tts) for _ in range(2))
        first.start()
        one.wait(lambda: one.desk.speaking == 1, "the first to be spoken")
        second.start()
        one.wait(lambda: one.desk.admitted == 2, "the second to wait")
        answer = one.tts()
        assert code(answer) == (429, "queue_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        health = one.http.get("/health")
        assert (health.status_code, health.json()["queue"]) == (200, {"admitted": 2, "speaking": 1, "limit": 1})
        one.engine.allow(100)
        first.join()
        second.join()
        one.idle()
        assert one.tts().status_code == 200


def test_a_client_that_goes_ends_the_speaking() -> None:
    with served(Tone(gated=True)) as one:
        one.engine.allow(1)
        with one.http.stream("POST", "/tts", json={"text": TEXT}) as answer:
            next(answer.iter_raw())
        one.wait(lambda: one.desk.admitted == 0, "the place to be free")
        one.engine.allow(100)
        one.idle()
        assert len(one.engine.spoken) < len(SENTENCES)


def test_a_client_that_goes_while_it_waits_costs_nothing() -> None:
    with served(Tone(gated=True)) as one:
        first = threading.Thread(target=one.tts)
        first.start()
        one.wait(lambda: one.desk.speaking == 1, "the first to be spoken")
        with pytest.raises(httpx.ReadTimeout):
            one.http.post("/tts", json={"text": "Nobody waits for this."}, timeout=0.3)
        one.wait(lambda: one.desk.admitted == 1, "the place to be free")
        one.engine.allow(100)
        first.join()
        one.idle()
        assert all("Nobody" not in clause.text for clause, _, _ in one.engine.spoken)


def test_a_text_that_takes_too_long() -> None:
    with served(Tone(gated=True), tts_seconds=0.5) as one:
        assert code(one.tts()) == (504, "synthesis_timeout")
        one.engine.allow(100)
        one.idle()
        spoken = len(one.engine.spoken)
        assert spoken < len(SENTENCES)


def test_an_answer_that_cannot_be_finished_is_cut_off() -> None:
    with served(Tone(gated=True), tts_seconds=1.0) as one:
        one.engine.allow(1)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            one.tts()
        one.engine.allow(100)
        one.idle()


def test_an_engine_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    with served(Tone()) as one:
        one.engine.failure = Away()
        answer = one.tts()
        assert code(answer) == (503, "tts_unreachable")
        assert int(answer.headers["retry-after"]) > 0
        one.engine.failure = ZeroDivisionError("by what")
        assert code(one.tts()) == (500, "internal_error")
        assert "by what" in caplog.text
        one.engine.failure = None
        assert one.tts().status_code == 200


def test_a_reference_reaches_an_engine_that_clones() -> None:
    with served(Tone(clones=True)) as one:
        answer = one.tts(reference=base64.b64encode(b"a recording").decode())
        assert (answer.status_code, answer.headers["speech-voice"]) == (200, "reference")
        assert set(one.engine.references) == {b"a recording"}
        one.idle()
        assert not any(speaker.exists() for _, speaker, _ in one.engine.spoken if isinstance(speaker, Path))


def test_terms_of_the_weights_are_told() -> None:
    engine = Tone()
    engine.terms = "not for money – ever"
    with served(engine) as one:
        assert one.tts().headers["speech-terms"] == "not for money ? ever"
        assert one.http.get("/voices").json()["terms"] == engine.terms


SERVE = """
import sys
from speech_tone import Tone
from speech.engines import choice
from speech.__main__ import main

class Slow(Tone):
    def speak(self, clause, speaker, speed):
        import time
        time.sleep(0.3)
        return super().speak(clause, speaker, speed)

choice.found = lambda name=None: Slow()
sys.exit(main(["serve", *sys.argv[1:]]))
"""


@contextmanager
def program(*arguments: str, code: str = SERVE, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONPATH": path, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(process)
        stack.callback(process.kill)
        yield process


def test_sigterm_lets_what_was_begun_be_finished() -> None:
    with program("--port", "0") as process:
        url = json.loads(process.stderr.readline())["message"].removeprefix("listening on ")
        assert "tone is loaded" in process.stderr.readline()
        with httpx.stream("POST", f"{url}/tts", json={"text": TEXT}, timeout=20) as answer:
            parts = answer.iter_raw()
            got = next(parts)
            process.send_signal(signal.SIGTERM)
            got += b"".join(parts)
        assert len(got) > len(SENTENCES) * 24000 * 2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, json.loads(out)) == (0, {"spoken": 1})


def test_what_keeps_it_from_starting_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, program("--port", str(taken.getsockname()[1])) as process:
        _, said = process.communicate(timeout=20)
        assert (process.returncode, json.loads(said)["code"]) == (75, "address_in_use")
    with program(GENEFACE_TTS_QUEUE="many") as process:
        _, said = process.communicate(timeout=20)
        assert (process.returncode, json.loads(said)["code"]) == (64, "settings_invalid")
        assert "GENEFACE_TTS_QUEUE" in said
    missing = SERVE.replace("lambda name=None: Slow()", "lambda name=None: weights.path('inception')")
    code = missing.replace("import sys", "import sys\nfrom steps import weights", 1)
    with program("--port", "0", code=code, GENEFACE_WEIGHTS_DIR=str(tmp_path)) as process:
        _, said = process.communicate(timeout=20)
        assert (process.returncode, json.loads(said.splitlines()[-1])["code"]) == (64, "weights_missing")


def test_speech_needs_nothing_of_the_other_rooms_images() -> None:
    """Its image has no torch, no OpenCV and no MediaPipe."""
    code = """
import importlib, pkgutil, sys
for name in ("cv2", "mediapipe", "torch", "TTS"):
    sys.modules[name] = None
import speech
names = [one.name for one in pkgutil.walk_packages(speech.__path__, "speech.") if not one.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    with program(code=code) as process:
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert int(out) >= 12
