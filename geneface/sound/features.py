"""Speech features behind one port, 50 a second: exactly two for each video frame.

`mel` is always there: 80 log-mel bands, window 25 ms, hop 320 samples at 16 kHz (HTK mel scale, 60-7,600 Hz), levelled over the
utterance; energy; and pitch. `whisper` is the encoder of Whisper-base (whisper.py), `hubert` that of
HuBERT-large (hubert.py), when their weights are there.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, Self

import numpy as np

from geneface.face.geometry import Array
from geneface.sound.pitch import pitch
from media.clock import SAMPLE_RATE, SAMPLES_PER_FRAME, frame_count
from steps.errors import InputError

HOP = 320
"""Samples from one feature to the next."""
WINDOW = 400
FFT = 512
BANDS = 80
LOWEST, HIGHEST = 60.0, 7_600.0
PIECES, PIECE = 30, 2 * SAMPLE_RATE
"""Of a recording over a minute long, so many pieces of so many samples tell what is usual in it."""


Reader = Callable[[int, int], Array]
"""(first, last) frames of one recording to the features of those before `last`, [2 * (last - first), dim]."""
_MARGIN = 10
"""Frames of sound around those whose mel and pitch are read: more than any of their windows reaches."""


class AudioFeatures(Protocol):
    """Turns sound into features of a fixed rate; `name` and `dim` are stored with what was trained on them."""

    name: str
    dim: int

    def __call__(self, samples: Array) -> Array:
        """samples [N] at 16 kHz, -1 to 1, to [2 * frame_count(N), dim]."""
        raise NotImplementedError

    def reader(self, samples: Array) -> Reader:
        """The same, piece by piece: however a recording is read, its features are those of the whole."""
        raise NotImplementedError


@dataclass(frozen=True)
class Voice:
    """What is usual in a recording: the quietest that counts in log-mel, each band's mean over the speech, the pitch in Hz."""

    floor: float
    mean: Array
    hertz: float

    @classmethod
    def of(cls, samples: Array) -> Self:
        """Measured on a minute of the recording at most: pieces spread over it."""
        pieces = np.linspace(0, max(0, len(samples) - PIECE), PIECES).astype(int)
        heard = samples if len(samples) <= PIECES * PIECE else np.concatenate([samples[p : p + PIECE] for p in pieces])
        mel, (hertz, voiced) = log_mel(heard), pitch(heard)
        floor = float(np.percentile(mel, 99.5)) - 13.8
        energy = np.maximum(mel, floor).mean(1)
        loud = energy > (np.percentile(energy, 10) + np.percentile(energy, 95)) / 2
        mean = np.maximum(mel[loud] if loud.any() else mel, floor).mean(0)
        return cls(floor, mean, float(np.median(hertz[voiced > 0.5])) if (voiced > 0.5).any() else 1.0)


class Mel:
    """Log-mel bands less each band's mean over the recording's speech, floored 60 dB under the loudest, in units of 2 nepers;
    their mean; pitch in octaves from the usual one, 0 where nothing is voiced.
    """

    name, dim = "mel", BANDS + 2

    def reader(self, samples: Array) -> Reader:
        """See AudioFeatures."""
        voice, count = Voice.of(samples), frame_count(len(samples))

        def read(first: int, last: int) -> Array:
            start, stop = max(0, first - _MARGIN), min(count, last + _MARGIN)
            rows = _heard(samples[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME], voice)
            return rows[2 * (first - start) : 2 * (last - start)]

        return read

    def __call__(self, samples: Array) -> Array:
        return _heard(samples, Voice.of(samples))


def _heard(samples: Array, voice: Voice) -> Array:
    mel = (np.maximum(log_mel(samples), voice.floor) - voice.mean) / 2.0
    hertz, voiced = pitch(samples)
    octaves = np.clip(np.log2(hertz / voice.hertz), -1, 1) * voiced
    return np.concatenate([mel, mel.mean(1, keepdims=True), octaves[:, None]], 1).astype(np.float32)


def chunked(firsts: Sequence[int], chunk: Callable[[int], Array]) -> Reader:
    """A reader of features that are made in chunks at fixed places of the recording: `chunk(k)` gives the rows from number
    `firsts[k]` on, at least up to where the next chunk's begin. The last two chunks read are held.
    """
    held = lru_cache(maxsize=2)(chunk)

    def read(first: int, last: int) -> Array:
        rows, row = [], 2 * first
        while row < 2 * last:
            at = bisect_right(firsts, row) - 1
            stop = min(2 * last, firsts[at + 1]) if at + 1 < len(firsts) else 2 * last
            rows.append(held(at)[row - firsts[at] : stop - firsts[at]])
            row = stop
        return np.concatenate(rows)

    return read


def features_named(name: str) -> AudioFeatures:
    """The extractor of this name. Raises InputError `weights_missing` when it needs weights that are not there."""
    if name == "mel":
        return Mel()
    if name == "whisper":
        from geneface.sound.whisper import Whisper  # noqa: PLC0415 - only who asks for it loads its weights

        return Whisper.load()
    if name == "hubert":
        from geneface.sound.hubert import Hubert  # noqa: PLC0415

        return Hubert.load()
    raise InputError(
        "audio_features_unknown", f"This model was trained on audio features called {name!r}, which this version does not know."
    )


def mel_filters() -> Array:
    """Triangles [BANDS, FFT // 2 + 1] evenly spaced on the HTK mel scale, each of area 1 in bins."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    bins = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles / np.maximum(triangles.sum(1, keepdims=True), 1e-3)).astype(np.float32)


def log_mel(samples: Array) -> Array:
    """[2 * frame_count(N), BANDS]: natural log of mel power; row k is centred on sample (k + 1/2) * HOP."""
    count = 2 * frame_count(len(samples))
    padded = np.zeros(count * HOP + WINDOW, np.float32)
    start = (WINDOW - HOP) // 2
    padded[start : start + len(samples)] = samples[: count * HOP]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    filters = mel_filters().T
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    rows = []
    for block in range(0, count, 4096):
        power = np.abs(np.fft.rfft(frames[block : block + 4096] * window, FFT)) ** 2
        rows.append(np.log(power.astype(np.float32) @ filters + 1e-8))
    return np.concatenate(rows).astype(np.float32)
