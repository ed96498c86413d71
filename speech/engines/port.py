"""What every engine is to the rest of the room."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from speech.clause import Clause, Word

Samples = NDArray[np.float32]
"""Mono, -1 to 1, [N]."""


@dataclass(frozen=True)
class Voice:
    """A voice that is built in."""

    name: str
    """As in requests: `af_heart`."""
    language: str
    """`zh`, `en`, …: what it was recorded in."""
    gender: str
    """`female` or `male`."""


class Engine(Protocol):
    """Speaks clauses. A speaker is the name of a built-in voice, or the recording of the person to be cloned."""

    name: str
    rate: int
    """Samples a second of what it makes."""
    languages: frozenset[str]
    clones: bool
    """Whether a speaker may be a recording."""
    terms: str | None
    """What the weights' licence says of the sound they make; None where it may be used for anything."""

    def voices(self) -> Sequence[Voice]:
        """The built-in ones."""
        ...

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        """The clause alone, silence at its ends cut off. Raises VoiceUnknown, LanguageUnsupported, VoiceCloningUnavailable."""
        ...


@runtime_checkable
class TimedEngine(Protocol):
    """An engine that knows when it says each word."""

    def speak_timed(self, clause: Clause, speaker: str | Path, speed: float) -> tuple[Samples, tuple[Word, ...]]:
        """As `speak`, and the clause's words with their times from the beginning of these samples. Raises as `speak`."""
        ...
