"""Voices told apart: against torch's own LSTM, and by the published weights if they are here."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from media import audio, ffmpeg
from speech import speaker
from speech.speaker import Embedder, similarity
from steps import resemblyzer, weights
from steps.errors import InputError
from tests.speech import tiny_encoder

RATE = 16_000
SENTENCE = Path(__file__).parents[2] / "samples/sentence.wav"
needs_weights = pytest.mark.skipif(
    not (weights.folder() / "resemblyzer.safetensors").is_file(), reason="`make weights resemblyzer`"
)


@pytest.fixture(scope="module")
def sentence() -> np.ndarray:
    return audio.read(SENTENCE)


def by_torch(mels: np.ndarray) -> np.ndarray:
    """What torch.nn.LSTM makes of mel bands [B, T, 40]."""
    state = {name: torch.from_numpy(values) for name, values in tiny_encoder.tensors().items()}
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name.removeprefix("lstm."): values for name, values in state.items() if name.startswith("lstm.")})
    linear.load_state_dict({name.removeprefix("linear."): values for name, values in state.items() if name.startswith("linear.")})
    with torch.inference_mode():
        raw = torch.relu(linear(lstm(torch.from_numpy(mels))[1][0][-1]))
        return (raw / raw.norm(dim=1, keepdim=True)).numpy()


def test_the_encoder_is_torchs_lstm_over_windows_of_sixteen_tenths(sentence: np.ndarray) -> None:
    encoder = Embedder(tiny_encoder.tensors())
    found = encoder.partials(sentence)
    bands = speaker.mel(speaker.louder(sentence))
    starts = speaker.slices(len(sentence))
    assert starts == [0, 77, 154, 231, 308, 385, 462, 539, 616]
    padded = np.pad(bands, ((0, 160), (0, 0)))
    wanted = by_torch(np.stack([padded[start : start + 160] for start in starts[:-2]]))
    assert np.abs(found[:-2] - wanted).max() < 1e-5
    mean = found.mean(0)
    assert similarity(encoder.embed(sentence), mean) == pytest.approx(1) and np.linalg.norm(
        encoder.embed(sentence)
    ) == pytest.approx(1)


def test_mel_bands_are_slaneys(sentence: np.ndarray) -> None:
    filters = speaker.filters()
    frequencies = np.arange(201) * 40.0
    assert filters.shape == (40, 201) and speaker.mel(sentence).shape == (1 + len(sentence) // 160, 40)
    peaks = frequencies[filters.argmax(1)]
    assert (np.diff(peaks) >= 0).all() and peaks[-1] > 7000
    wide = filters[-5:]  # of those that many frequencies fall into
    assert (wide.sum(1) * 40.0) == pytest.approx(np.ones(5), abs=0.02)
    time = np.arange(RATE) / RATE
    for hertz in (400.0, 1000.0, 3000.0):
        loudest = speaker.mel(np.sin(2 * np.pi * hertz * time))[50].argmax()
        assert abs(peaks[loudest] - hertz) < 0.08 * hertz + 40


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(RATE), np.ones(100) * 0.1, np.full(40_000, 1e-9)])
def test_little_or_no_sound_has_a_direction_too(samples: np.ndarray) -> None:
    found = Embedder(tiny_encoder.tensors()).embed(samples)
    assert found.shape == (256,) and np.isfinite(found).all()


def test_loudness_does_not_matter_below_the_common_level(sentence: np.ndarray) -> None:
    encoder = Embedder(tiny_encoder.tensors())
    quiet, quieter = (encoder.embed(sentence * factor) for factor in (0.01, 0.001))
    assert similarity(quiet, quieter) == pytest.approx(1, abs=1e-5)


def test_weights_come_out_of_the_published_checkpoint(tmp_path: Path) -> None:
    state = {name: torch.from_numpy(values) for name, values in tiny_encoder.tensors().items()}
    torch.save({"step": 1, "model_state": {**state, "similarity_bias": torch.zeros(1)}}, tmp_path / "a.pt")
    resemblyzer.write_safetensors(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors").keys() == resemblyzer.SHAPES.keys()
    assert np.array_equal(
        Embedder.read(tmp_path / "a.safetensors").embed(np.ones(9)), Embedder(tiny_encoder.tensors()).embed(np.ones(9))
    )
    torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(4, 40)}}, tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"b\.pt is no speaker encoder: lstm\.weight_ih_l0"):
        resemblyzer.write_safetensors(tmp_path / "b.pt", tmp_path / "b.safetensors")


def test_missing_weights_are_none_and_wrong_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    assert Embedder.found() is None
    file = tmp_path / "resemblyzer.safetensors"
    for spoil in (lambda: file.write_bytes(b"nothing"), lambda: save_file({"a": np.zeros(1)}, file)):
        spoil()
        with pytest.raises(InputError, match="make weights resemblyzer") as refused:
            Embedder.found()
        assert refused.value.code == "weights_invalid"
    tiny_encoder.lay_out(tmp_path)
    assert Embedder.found() is not None


def other_voice(tmp_path: Path) -> np.ndarray:
    """The sentence by a longer vocal tract."""
    path = tmp_path / "other.wav"
    filters = ["-af", "asetrate=11500,aresample=16000,atempo=1.391"]
    subprocess.run(
        [ffmpeg.binary(), "-loglevel", "error", "-y", "-i", str(SENTENCE), *filters, str(path)], check=True, timeout=60
    )
    return audio.read(path)


@needs_weights
def test_one_voice_is_like_itself_and_unlike_another(sentence: np.ndarray, tmp_path: Path) -> None:
    encoder = Embedder.found()
    assert encoder
    first, second = encoder.embed(sentence[: 3 * RATE]), encoder.embed(sentence[3 * RATE :])
    other = encoder.embed(other_voice(tmp_path))
    assert similarity(first, second) > 0.8 and similarity(second, other) < 0.72
