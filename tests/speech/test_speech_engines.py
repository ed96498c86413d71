"""What all engines share: the ends of speech, loudness, times that are estimated."""

from pathlib import Path

import numpy as np
import pytest

from media import audio, ffmpeg
from speech import timing
from speech.clause import Clause
from speech.engines.ends import MARGIN, bounds
from speech.loudness import CEILING, TARGET, Leveller, blocks, integrated, limited
from speech.reading.phonemes import Spelled

RATE = 24_000


def syllables(seconds: float, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """A buzz of voice-like harmonics that swells four times a second."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 140 * number * time) / number for number in range(1, 20))
    return np.asarray(level * buzz * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * time)), np.float32)


def meter(path: Path, samples: np.ndarray, rate: int = RATE) -> tuple[float, float]:
    """ffmpeg's integrated loudness and true peak."""
    audio.write_wav(path, samples, rate)
    said = ffmpeg.run(["-i", str(path), "-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"]).stderr
    found = dict(line.split(":") for line in map(str.strip, said.splitlines()) if line.startswith(("I:", "Peak:")))
    return float(found["I"].split()[0]), float(found["Peak"].split()[0])


def test_silence_at_the_ends_is_cut_and_what_is_within_stays() -> None:
    quiet, loud = np.full(RATE, 1e-4, np.float32), syllables(0.5)
    first, last = bounds(np.concatenate([quiet, loud, quiet, loud, quiet]), RATE)
    assert first / RATE == pytest.approx(1.0 - MARGIN, abs=0.03)
    assert last / RATE == pytest.approx(3.0 + MARGIN, abs=0.03)
    assert bounds(np.zeros(RATE, np.float32), RATE) == (0, 0) == bounds(np.empty(0, np.float32), RATE)
    assert bounds(loud, RATE) == (0, len(loud))


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_loudness_is_what_ffmpegs_meter_says(tmp_path: Path, rate: int) -> None:
    samples = np.concatenate([syllables(3, 0.05, rate), np.zeros(rate), syllables(2, 0.2, rate)]).astype(np.float32)
    assert integrated(blocks(samples, rate)) == pytest.approx(meter(tmp_path / "a.wav", samples, rate)[0], abs=0.15)


def test_silence_has_no_loudness_and_stays() -> None:
    silence = np.zeros(RATE, np.float32)
    assert integrated(blocks(silence, RATE)) is None and integrated(blocks(silence[:0], RATE)) is None
    assert not Leveller(RATE).levelled(silence).any() and len(Leveller(RATE).levelled(silence[:0])) == 0


@pytest.mark.parametrize("level", [0.02, 0.05, 0.9])
def test_clauses_are_brought_to_the_target(tmp_path: Path, level: float) -> None:
    leveller = Leveller(RATE)
    samples = np.concatenate([leveller.levelled(syllables(seconds, level)) for seconds in (0.3, 1.0, 2.0)])
    loudness, peak = meter(tmp_path / "a.wav", samples)
    assert loudness == pytest.approx(TARGET, abs=0.7) and peak <= -1.0


def test_peaks_are_pressed_down_also_those_between_samples(tmp_path: Path) -> None:
    between = (np.sin(np.arange(RATE) * np.pi / 2 + np.pi / 4) * 0.95).astype(np.float32)  # all samples at 0.67, peaks at 0.95
    assert meter(tmp_path / "before.wav", between)[1] > -1.0
    assert meter(tmp_path / "after.wav", limited(between, RATE))[1] <= -1.0
    loud = syllables(2.0, 0.6)
    pressed = limited(loud, RATE)
    assert np.abs(pressed).max() <= CEILING and pressed.dtype == np.float32 and len(pressed) == len(loud)
    assert np.corrcoef(loud, pressed)[0, 1] > 0.98  # no clipping
    soft = syllables(1.0, 0.1)
    assert limited(soft, RATE) is soft


def test_shared_times_leave_pauses_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [Spelled("long,", "aaaaaa, "), Spelled("I", "a "), Spelled("end.", "aaa.")]
    monkeypatch.setattr(timing, "spelled", lambda _: words)
    samples = np.concatenate([np.full(RATE * 6 // 10, 0.3), np.zeros(RATE // 2), np.full(RATE * 4 // 10, 0.3)]).astype(np.float32)
    long, one, end = timing.shared(Clause("", "", "en", 0), samples, RATE)
    assert (long.start, long.end) == (0.0, pytest.approx(0.6))
    assert (one.start, one.end) == (pytest.approx(1.1), pytest.approx(1.2))
    assert (end.start, end.end, end.text) == (pytest.approx(1.2), pytest.approx(1.5), "end.")
    assert [word.end for word in timing.shared(Clause("", "", "en", 0), np.zeros(RATE, np.float32), RATE)] == [0.0] * 3
