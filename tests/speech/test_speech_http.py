"""The engine that asks another server, against a real one on this machine in several moods."""

import base64
import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media import audio
from media.errors import UnsupportedMedia
from speech.clause import Clause
from speech.engines import choice, http
from speech.engines.http import RATE, HttpTtsCloner
from speech.errors import EngineUnavailable, EngineUnknown, TtsRefused, TtsUnreachable, VoiceCloningUnavailable, VoiceUnknown
from steps.errors import Exit

HELLO = Clause("Room 3.", "Room three.", "en", 0.3)
Answer = tuple[int, dict[str, str], bytes]


def tone(seconds: float = 1.0, rate: int = 16_000) -> bytes:
    """A wav of silence, tone, silence: 0.5 s, `seconds`, 0.5 s."""
    samples = np.sin(np.arange(round(seconds * rate)) * 0.2) * 0.5
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.pad(samples, rate // 2) * 32767).astype("<i2").tobytes())
    return held.getvalue()


class Server:
    """Answers by `moods`, one a request, the last for ever; keeps what it was asked."""

    def __init__(self) -> None:
        self.moods: list[Callable[[], Answer]] = [lambda: (200, {}, tone())]
        self.asked: list[dict[str, Any]] = []
        self.voices: Answer = (404, {}, b"")
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                assert self.path == "/v2/tts"
                mood = server.moods[0] if len(server.moods) == 1 else server.moods.pop(0)
                try:
                    self.answer(mood())
                except ConnectionError:  # by the mood, or by a client that has gone
                    self.close_connection = True
                    self.connection.close()

            def do_GET(self) -> None:
                assert self.path == "/v2/voices"
                self.answer(server.voices)

            def answer(self, answer: Answer) -> None:
                status, headers, body = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # closing waits for them
        self.address = f"http://127.0.0.1:{self.server.server_port}/v2/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def engine(server: Server, monkeypatch: pytest.MonkeyPatch) -> HttpTtsCloner:
    monkeypatch.setenv("GENEFACE_TTS_URL", server.address)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # must not be asked for a server of this machine
    monkeypatch.setattr(http, "WAIT", 0.05)
    found = choice.found("http")
    assert isinstance(found, HttpTtsCloner)
    return found


def cut() -> Answer:
    raise ConnectionAbortedError


def test_the_terms_of_the_servers_voices_are_passed_on(engine: HttpTtsCloner, server: Server) -> None:
    assert engine.terms is None
    server.moods = [lambda: (200, {"Speech-Terms": "no commercial use"}, tone())]
    engine.speak(HELLO, "somebody", 1.0)
    assert engine.terms == "no commercial use"


def test_the_sound_comes_at_our_rate_without_silent_ends(engine: HttpTtsCloner, server: Server) -> None:
    samples = engine.speak(HELLO, "somebody", 1.25)
    assert samples.dtype == np.float32 and len(samples) / RATE == pytest.approx(1.06, abs=0.03)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)
    wanted = {"text": "Room three.", "voice": "somebody", "language": "en", "format": "wav", "speed": 1.25, "reference": None}
    assert server.asked == [wanted]
    engine.speak(HELLO, "", 1.0)
    assert server.asked[1]["voice"] is None


def test_a_recording_goes_along_as_mono_wav(engine: HttpTtsCloner, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    audio.write_wav(path, np.sin(np.arange(44_100 * 2) * 0.05) * 0.5, 44_100)
    engine.speak(HELLO, path, 1.0)
    engine.speak(HELLO, path, 1.0)
    first, second = (base64.b64decode(asked["reference"]) for asked in server.asked)
    assert first == second and server.asked[0]["voice"] is None
    with wave.open(io.BytesIO(first)) as sent:
        assert (sent.getnchannels(), sent.getframerate(), sent.getnframes()) == (1, RATE, 2 * RATE)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(UnsupportedMedia):
        engine.speak(HELLO, tmp_path / "text.wav", 1.0)
    assert len(server.asked) == 2


@pytest.mark.parametrize("mood", [cut, lambda: (503, {}, b"loading"), lambda: (429, {"Retry-After": "0"}, b"")])
def test_one_more_try_where_it_may_help(engine: HttpTtsCloner, server: Server, mood: Callable[[], Answer]) -> None:
    server.moods.insert(0, mood)
    assert len(engine.speak(HELLO, "somebody", 1.0))
    assert len(server.asked) == 2


def test_retry_after_is_waited_for(engine: HttpTtsCloner, server: Server) -> None:
    server.moods.insert(0, lambda: (429, {"Retry-After": "1"}, b""))
    begun = time.monotonic()
    engine.speak(HELLO, "somebody", 1.0)
    assert 1.0 <= time.monotonic() - begun < 5.0


@pytest.mark.parametrize(
    ("mood", "tries", "sentence"),
    [
        (cut, 2, "did not answer"),
        (lambda: (429, {}, b"full"), 2, "HTTP 429 full"),
        (lambda: (500, {}, b"broken"), 1, "HTTP 500 broken"),
    ],
)
def test_a_server_that_cannot_is_tried_again_later(
    engine: HttpTtsCloner, server: Server, mood: Callable[[], Answer], tries: int, sentence: str
) -> None:
    server.moods = [mood]
    with pytest.raises(TtsUnreachable, match=sentence) as told:
        engine.speak(HELLO, "somebody", 1.0)
    assert (told.value.code, told.value.exit_code, len(server.asked)) == ("tts_unreachable", Exit.TRY_AGAIN, tries)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WAIT", 0.01)
    with pytest.raises(TtsUnreachable, match=r"127\.0\.0\.1:9"):
        HttpTtsCloner("http://127.0.0.1:9").speak(HELLO, "somebody", 1.0)


def test_a_server_that_hangs_is_given_up(engine: HttpTtsCloner, server: Server) -> None:
    engine._client.timeout = http.httpx.Timeout(0.2)
    server.moods = [lambda: time.sleep(1) or (200, {}, tone())]  # type: ignore[func-returns-value]
    with pytest.raises(TtsUnreachable, match="nothing came"):
        engine.speak(HELLO, "somebody", 1.0)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("mood", "error", "code"),
    [
        (lambda: (422, {}, b'{"code": "text_unspeakable"}'), TtsRefused, "tts_refused"),
        (lambda: (404, {}, b'{"code": "voice_unknown"}'), VoiceUnknown, "voice_unknown"),
        (lambda: (200, {}, b"<html>welcome</html>"), TtsRefused, "tts_refused"),
        (lambda: (200, {}, b""), TtsRefused, "tts_refused"),
    ],
)
def test_what_it_refuses_is_final(
    engine: HttpTtsCloner, server: Server, mood: Callable[[], Answer], error: type[TtsRefused], code: str
) -> None:
    server.moods = [mood]
    with pytest.raises(error) as told:
        engine.speak(HELLO, "somebody", 1.0)
    assert (told.value.code, told.value.exit_code, len(server.asked)) == (code, Exit.INPUT, 1)


def test_an_endless_answer_is_cut(engine: HttpTtsCloner, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 10_000)
    with pytest.raises(TtsRefused, match="longer than"):
        engine.speak(HELLO, "somebody", 1.0)


def test_its_voices(engine: HttpTtsCloner, server: Server) -> None:
    assert engine.voices() == [] and choice.voice(engine, "zh") == ""
    listed = {"voices": [{"name": "a", "language": "en", "gender": "male"}, {"name": "b", "language": "zh"}]}
    server.voices = 200, {}, json.dumps(listed).encode()
    assert [voice.name for voice in engine.voices()] == ["a", "b"] and choice.voice(engine, "zh") == "b"
    server.voices = 200, {}, b"[1, 2]"
    assert engine.voices() == []


def test_which_engine_is_found(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GENEFACE_TTS_URL", "GENEFACE_TTS_ENGINE", "COQUI_TOS_AGREED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="GENEFACE_TTS_URL"):
        choice.found("http")
    with pytest.raises(EngineUnknown, match="kokoro, xtts, http") as told:
        choice.found("espeak")
    assert told.value.code == "engine_unknown"
    with pytest.raises(VoiceCloningUnavailable, match=r"GENEFACE_TTS_URL.*COQUI_TOS_AGREED=1") as no_clones:
        choice.found(clones=True)
    assert no_clones.value.code == "voice_cloning_unavailable"
    with pytest.raises(VoiceCloningUnavailable, match="kokoro has only"):
        choice.found("kokoro", clones=True)
    with pytest.raises(Exception, match="make weights kokoro"):
        choice.found()
    monkeypatch.setenv("GENEFACE_TTS_URL", server.address)
    assert choice.found().name == choice.found(clones=True).name == "http"
    monkeypatch.setenv("GENEFACE_TTS_ENGINE", "kokoro")
    with pytest.raises(Exception, match="make weights kokoro"):
        choice.found()
