"""An engine without weights: a tone for each word, and a process that converses with it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speech.clause import Clause, Word
from speech.engines import choice
from speech.engines.port import Samples, Voice


class ToneEngine:
    """Speaks 0.1 s of 220 Hz for each word or Chinese character, and knows when."""

    name = "tone"
    rate = 16_000
    languages = frozenset({"zh", "en"})
    clones = True
    terms = None

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        """That a clause takes to be made."""
        self.spoken: list[tuple[float, Clause, str | Path, float]] = []

    def voices(self) -> Sequence[Voice]:
        return [Voice("af_heart", "en", "female"), Voice("am_adam", "en", "male"), Voice("zf_xiaoxiao", "zh", "female")]

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        return self.speak_timed(clause, speaker, speed)[0]

    def speak_timed(self, clause: Clause, speaker: str | Path, speed: float) -> tuple[Samples, tuple[Word, ...]]:
        self.spoken.append((time.monotonic(), clause, speaker, speed))
        time.sleep(self.seconds)
        texts = clause.text.split() if clause.language == "en" else list(clause.text)
        words = tuple(Word(text, place / 10, place / 10 + 0.1) for place, text in enumerate(texts))
        sound = np.sin(2 * np.pi * 220 / self.rate * np.arange(len(texts) * self.rate // 10))
        return 0.3 * sound.astype(np.float32), words


if __name__ == "__main__":
    from speech.__main__ import main

    engine = ToneEngine(seconds=float(sys.argv[1]))
    choice.found = lambda name=None, clones=False: engine
    sys.exit(main(sys.argv[2:]))
