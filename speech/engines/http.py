"""Any server that speaks: `POST /tts` (GENEFACE_TTS_URL), another of ours (`python -m speech serve`) among them.

The request is JSON: `text`, `voice` (or null), `language`, `format` "wav", `speed`, and `reference`, null or a recording of the
person to be cloned as base64 of a wav. The answer is the sound, in any container that can be read here. `GET /voices`, where the
server has it, lists the voices. Terms on which the sound may be used are told by the header `Speech-Terms`.
"""

import base64
import ipaddress
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from media import audio
from media.errors import MediaError
from speech.clause import Clause
from speech.engines.ends import bounds
from speech.engines.port import Samples, Voice
from speech.errors import EngineUnavailable, TtsRefused, TtsUnreachable, VoiceUnknown
from steps.program import check_stop

RATE = 24_000
CONNECT, SILENT, WHOLE = 5.0, 120.0, 300.0
"""Seconds: to connect, without a byte, and for one clause in all."""
WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before the second try, and the most that a Retry-After may ask for."""
LARGEST = 64 << 20
"""Bytes of an answer."""
REFERENCE_SECONDS = 60.0
BUSY = (429, 503)


class HttpTtsCloner:
    """An Engine at another address. Several threads may speak with one."""

    name = "http"
    rate = RATE
    languages = frozenset({"zh", "en"})
    clones = True

    def __init__(self, address: str) -> None:
        """`address`: of the server, without `/tts`."""
        self._address = address.rstrip("/")
        self._client = httpx.Client(timeout=httpx.Timeout(SILENT, connect=CONNECT), trust_env=not _is_here(address))
        self._references = dict[tuple[Path, int], str]()
        self.terms: str | None = None
        """As the server's last answer says in its header `Speech-Terms`."""

    @classmethod
    def found(cls) -> Self:
        """The server of GENEFACE_TTS_URL. Raises EngineUnavailable."""
        address = os.environ.get("GENEFACE_TTS_URL", "")
        if not address.startswith(("http://", "https://")):
            raise EngineUnavailable(engine=cls.name, how="GENEFACE_TTS_URL is not the http address of a speech server")
        return cls(address)

    def voices(self) -> Sequence[Voice]:
        """What the server lists; none when it lists nothing."""
        with suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
            answer = self._client.get(f"{self._address}/voices", timeout=CONNECT).raise_for_status().json()
            listed = answer["voices"] if isinstance(answer, dict) else answer
            return [Voice(str(one["name"]), str(one["language"]), str(one.get("gender", ""))) for one in listed]
        return []

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        """The clause's sound. Raises TtsRefused, TtsUnreachable, VoiceUnknown, and MediaError for an unreadable reference."""
        cloned = isinstance(speaker, Path)
        body = {
            "text": clause.spoken,
            "voice": None if cloned else str(speaker) or None,
            "language": clause.language,
            "format": "wav",
            "speed": speed,
            "reference": self._reference(speaker) if isinstance(speaker, Path) else None,
        }
        samples = _decoded(self._answer(body))
        first, last = bounds(samples, RATE)
        return samples[first:last]

    def _answer(self, body: dict[str, Any]) -> bytes:
        """Tries twice where another try may help."""
        try:
            return self._asked(body)
        except _BusyError as busy:
            _wait(busy.seconds)
        try:
            return self._asked(body)
        except _BusyError as busy:
            raise TtsUnreachable(reason=busy.reason) from None

    def _asked(self, body: dict[str, Any]) -> bytes:
        deadline, content = time.monotonic() + WHOLE, bytearray()
        try:
            with self._client.stream("POST", f"{self._address}/tts", json=body) as answer:
                for block in answer.iter_bytes():
                    check_stop()
                    content += block
                    if len(content) > LARGEST:
                        raise TtsRefused(reason=f"its answer is longer than {LARGEST >> 20} MiB")
                    if time.monotonic() > deadline:
                        raise TtsUnreachable(reason=f"its answer took longer than {WHOLE:.0f} s")
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            raise TtsUnreachable(reason=f"nothing came for {SILENT:.0f} s, {self._address}") from None
        except httpx.TransportError as error:
            raise _BusyError(f"{error or type(error).__name__}, {self._address}", WAIT) from None
        if answer.is_success:
            self.terms = answer.headers.get("Speech-Terms")
            return bytes(content)
        said = _sentence(answer, bytes(content))
        if answer.status_code in BUSY:
            raise _BusyError(said, _seconds(answer.headers.get("Retry-After", "")))
        if answer.is_client_error:
            if '"voice_unknown"' in content.decode(errors="replace"):
                raise VoiceUnknown(voice=body["voice"])
            raise TtsRefused(reason=said)
        raise TtsUnreachable(reason=said)

    def _reference(self, path: Path) -> str:
        """The recording as base64 of a mono wav, kept while the file is the same."""
        key = (path, path.stat().st_mtime_ns)
        if key not in self._references:
            samples = audio.read(path, RATE, seconds=REFERENCE_SECONDS)
            with tempfile.TemporaryDirectory() as folder:
                wav = Path(folder, "reference.wav")
                audio.write_wav(wav, samples, RATE)
                self._references = {key: base64.b64encode(wav.read_bytes()).decode()}
        return self._references[key]


class _BusyError(Exception):
    """Another try may help, in `seconds`."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


def _is_here(address: str) -> bool:
    """Whether the server is on this machine: a proxy of the environment, which httpx would take, does not reach it."""
    host = httpx.URL(address).host
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _decoded(content: bytes) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answer")
        path.write_bytes(content)
        try:
            return audio.read(path, RATE)
        except MediaError as error:
            raise TtsRefused(reason=f"its answer is no sound: {error.message}") from None


def _sentence(answer: httpx.Response, content: bytes) -> str:
    """What the server said, shortly, for people."""
    said = " ".join(content.decode(errors="replace").split())[:300]
    return f"HTTP {answer.status_code} {said}".strip()


def _seconds(retry_after: str) -> float:
    return min(float(retry_after), LONGEST_WAIT) if retry_after.isdecimal() else WAIT


def _wait(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        check_stop()
        time.sleep(min(left, 0.2))
