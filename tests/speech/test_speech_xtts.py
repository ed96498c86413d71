"""XTTS on a tiny random network of the published layout, where coqui-tts is installed."""

import stat
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from media import audio
from media.errors import AudioSilent
from speech.clause import Clause
from speech.engines import choice, xtts
from speech.errors import EngineUnavailable, LanguageUnsupported, VoiceUnknown
from steps.errors import InputError

installed = pytest.mark.skipif(find_spec("TTS") is None, reason="coqui-tts is not installed")
HELLO = Clause("Hello there.", "Hello there.", "en", 0.2)


def test_nobody_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    with pytest.raises(EngineUnavailable, match=r"coqui-tts.*COQUI_TOS_AGREED=1.*non-commercial") as told:
        choice.found("xtts")
    assert told.value.code == "engine_unavailable"


def test_weights_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(InputError, match="make weights xtts") as told:
        choice.found("xtts")
    assert told.value.code == "weights_missing"


@pytest.mark.skipif(find_spec("TTS") is not None, reason="coqui-tts is installed")
def test_a_program_without_coqui_tts_says_how_it_comes(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"coqui-tts.*No module named 'TTS'"):
        xtts.Xtts(tmp_path)


def test_long_text_is_cut_at_punctuation_and_nothing_is_lost() -> None:
    text = "One, two, three; four five six seven eight."
    assert list(xtts._within(text, 20)) == ["One, two, three;", "four five six seven", "eight."]
    assert list(xtts._within("啊" * 50, 20)) == ["啊" * 20, "啊" * 20, "啊" * 10]
    assert list(xtts._within("", 20)) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two layers with the files' names, tokens and checkpoint layout of XTTS v2, which nobody may write to."""
    import torch
    from tokenizers import Tokenizer, models
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models import xtts as coqui

    place = tmp_path_factory.mktemp("xtts_v2")
    signs = ["[STOP]", "[UNK]", "[SPACE]", "[en]", "[zh-cn]", "[START]", *"abcdefghijklmnopqrstuvwxyz.,!?'12345"]
    tokenizer = Tokenizer(models.BPE({sign: number for number, sign in enumerate(signs)}, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(signs[:6])
    tokenizer.save(str(place / "vocab.json"))
    config = XttsConfig()
    config.model_args.update({
        "gpt_layers": 2, "gpt_n_model_channels": 64, "gpt_n_heads": 2, "decoder_input_dim": 64,
        "gpt_use_perceiver_resampler": True,
        "gpt_number_text_tokens": len(signs), "gpt_start_text_token": 5, "gpt_stop_text_token": 0, "gpt_max_audio_tokens": 12,
        "gpt_num_audio_tokens": 34, "gpt_start_audio_token": 32, "gpt_stop_audio_token": 33,
    })  # fmt: skip
    config.save_json(str(place / "config.json"))
    torch.manual_seed(1)
    network = coqui.Xtts(config)
    network.tokenizer = coqui.VoiceBpeTokenizer(vocab_file=place / "vocab.json")
    network.init_models()
    with coqui._legacy_safe_globals():  # as published: under the classes' old names
        torch.save({"config": config, "model": network.state_dict()}, place / "model.pth")
    speaker = {"gpt_cond_latent": torch.randn(1, 32, 64), "speaker_embedding": torch.randn(1, 512, 1)}
    torch.save({"Some Speaker": speaker}, place / "speakers_xtts.pth")
    for file in place.iterdir():
        file.chmod(stat.S_IRUSR)
    return place


@pytest.fixture(scope="module")
def engine(folder: Path) -> xtts.Xtts:
    before = (folder / "model.pth").read_bytes()
    made = xtts.Xtts(folder)
    assert (folder / "model.pth").read_bytes() == before
    return made


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "voice.wav"
    tone = np.sin(np.arange(48_000 * 7) * 0.03) * np.sin(np.arange(48_000 * 7) * 0.0002)
    audio.write_wav(path, 0.4 * tone, 48_000)
    return path


@installed
def test_it_loads_the_published_layout_and_lists_its_speakers(engine: xtts.Xtts) -> None:
    assert [voice.name for voice in engine.voices()] == ["Some Speaker"]
    assert engine.clones and "non-commercial" in engine.terms
    assert choice.voice(engine, "zh") == "Some Speaker"


@installed
@pytest.mark.parametrize("clause", [HELLO, Clause("你好，今天。", "你好，今天。", "zh", 0.2)])
def test_a_clause_in_a_built_in_and_in_a_cloned_voice(engine: xtts.Xtts, recording: Path, clause: Clause) -> None:
    built_in = engine.speak(clause, "Some Speaker", 1.0)
    cloned = engine.speak(clause, recording, 1.0)
    for samples in (built_in, cloned):
        assert samples.dtype == np.float32 and samples.ndim == 1 and 0 < len(samples) < 30 * 24_000
        assert np.isfinite(samples).all()
    assert np.array_equal(cloned, engine.speak(clause, recording, 1.0))
    assert len(engine._latents) == 1


@installed
def test_what_it_refuses(engine: xtts.Xtts, tmp_path: Path) -> None:
    with pytest.raises(VoiceUnknown):
        engine.speak(HELLO, "nobody", 1.0)
    with pytest.raises(LanguageUnsupported):
        engine.speak(Clause("x", "x", "fr", 0), "Some Speaker", 1.0)
    audio.write_wav(tmp_path / "silent.wav", np.zeros(48_000))
    with pytest.raises(AudioSilent):
        engine.speak(HELLO, tmp_path / "silent.wav", 1.0)
