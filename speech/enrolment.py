"""A recording of a person becomes a voice: checked, cut to what is said, written as the reference that engines clone from."""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media import audio
from media.clock import SAMPLE_RATE
from media.errors import AudioMissing
from media.files import write_text
from media.probe import probe
from speech import activity
from speech.clause import Clause
from speech.engines.port import Samples
from speech.errors import (
    MultipleSpeakers,
    ReferenceClipped,
    ReferenceRateTooLow,
    ReferenceTooLong,
    ReferenceTooShort,
    ReferenceWithoutSpeech,
)
from speech.speaker import Embedder, Embedding, similarity
from steps.errors import InputError, TryAgainError
from steps.progress import Reporter

SHORTEST, LONGEST = 5.0, 60.0
"""Seconds of the recording."""
LEAST_RATE = 16_000
"""Samples a second of the recording."""
RATE = 24_000
"""Samples a second of the reference: what cloning engines work at."""
LEAST_SPEECH = 0.5
"""Share of the recording. Of six recordings of people it was 0.95 and more, of music and noise 0."""
MOST_CLIPPING = 0.02
"""Share of the loud samples. Of twelve sound recordings it was 0.000 to 0.005; overdriven by 6 dB 0.02 to 0.17, by 12 dB 0.1 to
0.5, and by 12 dB and then coded as 64 kb/s AAC or 32 kb/s Opus 0.02 to 0.2.
"""
ONE_VOICE = 0.79
"""Cosine. Of the two halves into which one voice falls apart best it was 0.83 to 0.95 (20 voices, of people and engines); of two
people one after the other 0.39 to 0.78 (but for two all too like voices of one engine), taking turns every 3 s 0.62 to 0.85.
"""
TRIALS = {
    "en": "This is how my voice sounds when I read a sentence that I have never said before.",
    "zh": "这是我的声音，读的是一句我从来没有说过的话。",
}


@dataclass(frozen=True)
class Voice:
    """What was found in a recording that is good enough."""

    seconds: float
    """Of the reference."""
    speech_share: float
    speakers: int | None
    """1; None where nobody looked (the encoder's weights are missing)."""
    clipping: float
    """Share of the loud samples that stand at the limit."""
    similarity: float | None
    """Of a trial sentence in the cloned voice to the reference; None where no engine clones, or the encoder is missing."""
    checked: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For files and answers."""
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**rounded, "checked": list(self.checked)}


def enrol(recording: Path, reference: Path, reporter: Reporter, engine: str | None = None) -> Voice:
    """Checks the recording and writes its speech as `reference`: mono, 24 kHz, without what lies before the first word and after
    the last.

    Raises MediaError; ReferenceTooShort, ReferenceTooLong, ReferenceRateTooLow, ReferenceClipped, ReferenceWithoutSpeech,
    MultipleSpeakers; with an `engine` asked for by name, VoiceCloningUnavailable and what that engine raises.
    """
    rate = _measured(recording)
    clipping = clipped(audio.read(recording, rate))
    if clipping > MOST_CLIPPING:
        raise ReferenceClipped(share=clipping)
    samples = audio.read(recording, SAMPLE_RATE)
    heard = activity.stretches(samples)
    share = sum(last - first for first, last in heard) / len(samples)
    if share < LEAST_SPEECH:
        raise ReferenceWithoutSpeech(share=share, limit=LEAST_SPEECH)
    embedder = Embedder.found()
    checked = ["length", "rate", "clipping", "speech"]
    spoken = np.concatenate([samples[first:last] for first, last in heard])
    first, last = (end * RATE // SAMPLE_RATE for end in (heard[0][0], heard[-1][1]))
    whole = audio.read(recording, RATE)[first:last]
    likeness = None
    if embedder is None:
        reporter.message("nobody looked for a second speaker: `make weights resemblyzer` brings what that needs", level="warning")
    else:
        partials = embedder.partials(spoken)
        if two_voices(partials):
            raise MultipleSpeakers
        likeness = _similarity(whole, partials.mean(0), embedder, engine, reporter)
        checked += ["speakers"] if likeness is None else ["speakers", "similarity"]
    audio.write_wav(reference, whole, RATE)
    return Voice(len(whole) / RATE, share, None if embedder is None else 1, clipping, likeness, tuple(checked))


def clipped(samples: NDArray[np.floating]) -> float:
    """How many of the loud samples (over half of the peak) lie on a flat top: within 10 % of the peak, and hardly different
    from both neighbours. Samples at the rate they were recorded at: resampling rounds flat tops off.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return 0.0
    loud = np.abs(samples)
    flat = np.abs(np.diff(samples)) < 0.004 * peak
    tops = (loud[1:-1] >= 0.9 * peak) & flat[:-1] & flat[1:]
    return float(tops.sum() / (loud > 0.5 * peak).sum())


def two_voices(partials: NDArray[np.float32]) -> bool:
    """Whether the partial utterances [P, 256] fall into two groups (k-means on the sphere, from the two most unlike) that lie
    further apart than one voice's do.
    """
    if len(partials) < 4:
        return False
    alike = partials @ partials.T
    centres = partials[list(np.unravel_index(alike.argmin(), alike.shape))]
    for _ in range(20):
        group = (partials @ centres.T).argmax(1)
        sizes = np.bincount(group, minlength=2)
        if sizes.min() < 2:
            return False
        means = np.stack([partials[group == one].mean(0) for one in (0, 1)])
        moved = means / np.linalg.norm(means, axis=1, keepdims=True)
        if np.allclose(moved, centres):
            break
        centres = moved
    return similarity(*centres) < ONE_VOICE


def options(parser: argparse.ArgumentParser) -> None:
    """Flags of `enrol`."""
    parser.add_argument("--audio", type=Path, required=True, help="5 to 60 s of one person speaking; any sound or video file")
    parser.add_argument("--out", type=Path, required=True, help="the reference, wav")
    parser.add_argument("--out_json", type=Path, required=True, help="what was found in it")
    parser.add_argument("--engine", help="which clones the trial sentence; by default any that is set up")


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """`enrol`. Raises what `enrol` raises."""
    result = enrol(arguments.audio, arguments.out, reporter, arguments.engine).as_json()
    write_text(arguments.out_json, json.dumps(result, indent=1) + "\n")
    return result


def _measured(recording: Path) -> int:
    """The recording's own rate. Raises MediaError, ReferenceTooShort, ReferenceTooLong, ReferenceRateTooLow."""
    track = probe(recording).audio
    if track is None:
        raise AudioMissing(recording.name)
    if track.seconds < SHORTEST:
        raise ReferenceTooShort(seconds=track.seconds, limit=SHORTEST)
    if track.seconds > LONGEST:
        raise ReferenceTooLong(seconds=track.seconds, limit=LONGEST)
    if track.rate < LEAST_RATE:
        raise ReferenceRateTooLow(rate=track.rate, limit=LEAST_RATE)
    return track.rate


def _similarity(whole: Samples, own: Embedding, embedder: Embedder, asked: str | None, reporter: Reporter) -> float | None:
    """How like the voice `own` a sentence sounds that an engine speaks in it; None when none can, and none was asked for."""
    with tempfile.TemporaryDirectory(prefix="geneface-voice-") as folder:
        reference, trial = Path(folder, "reference.wav"), Path(folder, "trial.wav")
        audio.write_wav(reference, whole, RATE)
        try:
            made, rate = _trial(reference, asked)
        except (InputError, TryAgainError) as error:
            if asked:
                raise
            reporter.message(f"no trial sentence was spoken in this voice: {error.message}", level="warning")
            return None
        audio.write_wav(trial, made, rate)
        heard = activity.speech(audio.read(trial, SAMPLE_RATE))
    return similarity(own, embedder.embed(heard)) if len(heard) else 0.0


def _trial(reference: Path, asked: str | None) -> tuple[Samples, int]:
    """A sentence in the voice of the reference, and its rate."""
    from speech.engines import choice  # noqa: PLC0415 - engines are heavy

    engine = choice.found(asked, clones=True)
    language = next((one for one in TRIALS if one in engine.languages), "en")
    sentence = TRIALS[language]
    return engine.speak(Clause(sentence, sentence, language, 0.0), reference, 1.0), engine.rate
