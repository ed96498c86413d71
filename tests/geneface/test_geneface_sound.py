import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geneface.sound import features as sound
from geneface.sound import pitch, whisper
from steps.errors import InputError


def test_a_tone_is_loudest_in_its_band():
    time = np.arange(16_000) / 16_000
    mel = sound.log_mel(np.sin(2 * np.pi * 1000 * time).astype(np.float32))
    centres = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)), 82)[1:-1] / 2595) - 1)
    assert mel.shape == (50, 80)
    assert abs(centres[mel[10:40].mean(0).argmax()] - 1000) < 50


@pytest.mark.parametrize(("samples", "rows"), [(1, 2), (640, 2), (641, 4), (16_000, 50)])
def test_two_features_a_frame(samples, rows):
    assert sound.Mel()(np.ones(samples, np.float32)).shape == (rows, 82)


def test_a_moment_of_sound_stands_at_its_moment():
    samples = np.zeros(32_000, np.float32)
    samples[16_000:16_160] = 0.5
    assert sound.log_mel(samples).sum(1).argmax() in (49, 50)


def test_levelled_mel_does_not_hear_the_volume():
    rng = np.random.default_rng(0)
    speech = (rng.normal(size=32_000) * np.repeat(rng.uniform(0, 1, 50), 640)).astype(np.float32)
    assert np.abs(sound.levelled(sound.log_mel(speech)) - sound.levelled(sound.log_mel(0.1 * speech))).max() < 0.05


@pytest.mark.parametrize("hertz", [85, 120, 220, 330])
def test_pitch_of_a_voice(hertz):
    time = np.arange(16_000) / 16_000
    voice = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8)).astype(np.float32)
    found, voiced = pitch.pitch(0.1 * voice)
    assert found.shape == (50,) and abs(np.median(found) / hertz - 1) < 0.02 and voiced.mean() > 0.95


def test_noise_has_no_pitch():
    assert pitch.pitch(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32))[1].mean() < 0.05


def encoder_tensors(state=64, layers=2, bands=80, context=1500):
    torch.manual_seed(0)
    made = whisper.Encoder(whisper.EncoderDims(bands, context, state, layers)).state_dict()
    return {f"encoder.{key}": torch.randn_like(value) * 0.05 for key, value in made.items()} | {
        "decoder.ln.weight": torch.ones(2)
    }


def levels(blocks=2, state=64):
    return whisper.Levels(torch.zeros(blocks - 1, state), torch.ones(blocks - 1, state))


@pytest.mark.parametrize("layout", ["pt", "safetensors"])
def test_whisper_reads_openais_layout(tmp_path, layout):
    tensors = encoder_tensors()
    assert {
        "encoder.conv1.weight",
        "encoder.blocks.0.attn.query.weight",
        "encoder.blocks.1.mlp.2.bias",
        "encoder.ln_post.weight",
    } <= set(tensors)
    assert "encoder.blocks.0.attn.key.bias" not in tensors
    path = tmp_path / f"base.{layout}"
    if layout == "pt":
        torch.save({"dims": {"n_mels": 80}, "model_state_dict": {k: v.half() for k, v in tensors.items()}}, path)
    else:
        save_file(tensors, path)
    features = whisper.Whisper.read(path, levels())
    assert (features.name, features.dim) == ("whisper", 64)
    heard = features(np.random.default_rng(0).normal(size=16_000).astype(np.float32))
    assert heard.shape == (50, 64) and np.isfinite(heard).all()


def test_whisper_hears_long_sound_in_overlapping_chunks():
    features = whisper.Whisper(whisper.Encoder(whisper.EncoderDims(80, 1500, 64, 2)), levels())
    heard = features(np.random.default_rng(0).normal(size=56 * 16_000).astype(np.float32))
    assert heard.shape == (2800, 64) and (np.abs(heard).sum(1) > 0).all()


def test_other_files_are_no_weights(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "base.safetensors")
    with pytest.raises(InputError) as raised:
        whisper.Whisper.read(tmp_path / "base.safetensors", levels())
    assert raised.value.code == "weights_invalid"


def test_slaney_filters_cover_speech():
    filters = whisper.slaney_filters(80)
    assert filters.shape == (80, 201)
    assert (filters.sum(1) > 0).all() and (filters[:, 5:150].sum(0) > 0).all()
