from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geneface.sound import features as sound
from geneface.sound import hubert, pitch, whisper
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


def test_mel_does_not_hear_the_volume():
    rng = np.random.default_rng(0)
    speech = (rng.normal(size=32_000) * np.repeat(rng.uniform(0, 1, 50), 640)).astype(np.float32)
    assert np.abs(sound.Mel()(speech) - sound.Mel()(0.1 * speech)).max() < 0.05


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


HUBERT_LENGTHS = {
    True: ("weight_g", "weight_v"),
    False: ("parametrizations.weight.original0", "parametrizations.weight.original1"),
}


@pytest.mark.parametrize("old", [True, False])
def test_hubert_reads_hugging_faces_layout(tmp_path, monkeypatch, old):
    """As published: under `hubert.`, with a head, the positional convolution as length and direction."""
    torch.manual_seed(0)
    encoder = hubert.Encoder(16, 64, 128, 2, 16, 4).eval()
    tensors = {f"hubert.{key}": value for key, value in encoder.state_dict().items()}
    weight = tensors.pop("hubert.encoder.pos_conv_embed.conv.weight")
    length, direction = (f"hubert.encoder.pos_conv_embed.conv.{name}" for name in HUBERT_LENGTHS[old])
    tensors |= {length: weight.norm(dim=(0, 1), keepdim=True), direction: 3 * weight, "lm_head.weight": torch.zeros(2, 64)}
    tensors["hubert.masked_spec_embed"] = torch.zeros(64)
    (tmp_path / "hubert-large").mkdir()
    if old:
        torch.save(tensors, tmp_path / "hubert-large" / "pytorch_model.bin")
    else:
        save_file(tensors, tmp_path / "hubert-large" / "model.safetensors")
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    features = sound.features_named("hubert")
    assert (features.name, features.dim) == ("hubert", 64)
    samples = np.random.default_rng(0).normal(0, 0.1, 45 * 16_000).astype(np.float32)
    heard = features(samples)
    assert heard.shape == (2250, 64) and (np.abs(heard).sum(1) > 0).all()
    with torch.inference_mode():
        short = encoder(torch.from_numpy((samples[:32_000] - samples.mean()) / np.sqrt(samples.var() + 1e-7))[None])[0]
    assert short.shape == (99, 64) and np.allclose(heard[:90], short[:90], atol=0.2)


EXTRACTORS = {
    "mel": sound.Mel,
    "whisper": lambda: whisper.Whisper(whisper.Encoder(whisper.EncoderDims(80, 1500, 64, 2)), levels()),
    "hubert": lambda: hubert.Hubert(hubert.Encoder(16, 64, 128, 2, 16, 4)),
}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_recording_read_in_pieces_is_heard_as_a_whole(name):
    torch.manual_seed(0)
    features = EXTRACTORS[name]()
    loudness = np.repeat([0.1, 0.001, 0.3], 1120 * 640 // 3 + 1)[: 1120 * 640]
    samples = (np.random.default_rng(0).normal(size=len(loudness)) * loudness).astype(np.float32)
    read = features.reader(samples)
    pieces = np.concatenate([read(first, last) for first, last in pairwise((0, 100, 101, 600, 1120))])
    assert np.allclose(pieces, features(samples), atol=1e-5)


def test_missing_hubert_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(InputError) as raised:
        sound.features_named("hubert")
    assert raised.value.code == "weights_missing" and "hubert-large" in raised.value.message


def test_other_files_are_no_weights(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "base.safetensors")
    with pytest.raises(InputError) as raised:
        whisper.Whisper.read(tmp_path / "base.safetensors", levels())
    assert raised.value.code == "weights_invalid"


def test_slaney_filters_cover_speech():
    filters = whisper.slaney_filters(80)
    assert filters.shape == (80, 201)
    assert (filters.sum(1) > 0).all() and (filters[:, 5:150].sum(0) > 0).all()
