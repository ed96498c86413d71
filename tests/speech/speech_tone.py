"""An engine that needs no model: each clause is a tone, made when the test lets it."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speech.clause import Clause
from speech.engines.port import Samples, Voice
from speech.errors import VoiceUnknown


class Tone:
    """Speaks a second of 440 Hz a clause; with `gated`, only when `allow` is called."""

    name = "tone"
    rate = 24000
    languages = frozenset({"en", "zh"})
    terms: str | None = None

    def __init__(self, gated: bool = False, clones: bool = False) -> None:
        self.clones = clones
        self.gate = threading.Semaphore(0) if gated else None
        self.spoken: list[tuple[Clause, str | Path, float]] = []
        self.references: list[bytes] = []
        self.failure: Exception | None = None

    def allow(self, clauses: int = 1) -> None:
        assert self.gate
        self.gate.release(clauses)

    def voices(self) -> Sequence[Voice]:
        return (Voice("alto", "en", "female"), Voice("bass", "en", "male"), Voice("zhong", "zh", "female"))

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        self.spoken.append((clause, speaker, speed))
        if self.gate:
            assert self.gate.acquire(timeout=20)
        if self.failure:
            raise self.failure
        if isinstance(speaker, Path):
            self.references.append(speaker.read_bytes())
        elif speaker not in {one.name for one in self.voices()}:
            raise VoiceUnknown(voice=speaker)
        return (0.2 * np.sin(2 * np.pi * 440 / self.rate * np.arange(self.rate))).astype(np.float32)
