"""What is asked of a voice's reference recording."""

import json
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from media import audio, ffmpeg
from speech import activity, enrolment
from speech.__main__ import main
from speech.engines.port import Samples
from speech.enrolment import clipped, two_voices
from speech.errors import VoiceCloningUnavailable
from steps import weights
from tests.speech import tiny_encoder

RATE = 16_000
SENTENCE = Path(__file__).parents[2] / "samples/sentence.wav"
REAL = weights.folder() / "resemblyzer.safetensors"


@pytest.fixture(scope="module")
def sentence() -> np.ndarray:
    return audio.read(SENTENCE)


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights, no engine that clones."""

    def none(_reference: Path, _asked: str | None) -> tuple[Samples, int]:
        raise VoiceCloningUnavailable(how="none is here")

    monkeypatch.setattr(enrolment, "_trial", none)
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(folder))
    return folder


def recorded(tmp_path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    audio.write_wav(tmp_path / "a.wav", samples, rate)
    return tmp_path / "a.wav"


def enrol(recording: Path, *more: str) -> tuple[int, Path, Path]:
    out, found = recording.with_name("reference.wav"), recording.with_name("voice.json")
    return main(["enrol", "--audio", str(recording), "--out", str(out), "--out_json", str(found), *more]), out, found


def test_a_good_recording_becomes_a_reference(tmp_path: Path, sentence: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, found = enrol(recorded(tmp_path, np.concatenate([np.zeros(2 * RATE), sentence, np.zeros(2 * RATE)])))
    assert code == 0
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 24_000, 2)
    reference = audio.read(out)
    assert len(reference) / RATE == pytest.approx(7.4, abs=0.5)
    (first, _), *_, (_, last) = activity.stretches(reference)
    assert first < 0.5 * RATE and last > len(reference) - 0.5 * RATE
    voice = json.loads(found.read_text("utf-8"))
    assert voice["seconds"] == pytest.approx(len(reference) / RATE, abs=0.01) and 0.5 < voice["speech_share"] < 0.8
    assert voice["speakers"] is None and voice["similarity"] is None and voice["clipping"] < 0.005
    assert voice["checked"] == ["length", "rate", "clipping", "speech"]
    said = capsys.readouterr()
    assert "make weights resemblyzer" in said.err and json.loads(said.out) == voice


def overdriven(sentence: np.ndarray) -> np.ndarray:
    return np.clip(sentence / np.abs(sentence).max() * 4, -0.7, 0.7)


def music(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.sum(
        [np.sin(2 * np.pi * note * time) * (1 + 0.5 * np.sin(4 * np.pi * time)) for note in (262, 330, 392)], axis=0
    )


BAD = {
    "reference_too_short": lambda sentence: (sentence[: 4 * RATE], RATE),
    "reference_too_long": lambda sentence: (np.tile(sentence, 9), RATE),
    "reference_rate_too_low": lambda sentence: (sentence[::2], RATE // 2),
    "reference_clipped": lambda sentence: (overdriven(sentence), RATE),
    "reference_without_speech": lambda sentence: (np.concatenate([sentence[: 4 * RATE], music(8)]), RATE),
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_recording_is_refused_by_its_cause(
    tmp_path: Path, sentence: np.ndarray, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    done, out, found = enrol(recorded(tmp_path, *BAD[code](sentence)))
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert done == 64 and last["code"] == code and "{" not in last["message"]
    assert not out.exists() and not found.exists()


@pytest.mark.parametrize("what", ["silence", "noise", "music"])
def test_without_any_speech_it_is_no_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    noise = np.random.default_rng(0).normal(size=8 * RATE) * 0.1
    samples = {"silence": np.zeros(8 * RATE), "noise": noise, "music": music(8)}[what]
    assert enrol(recorded(tmp_path, samples))[0] == 64
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == "reference_without_speech"


def test_a_picture_or_a_text_is_no_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    arguments = ["-f", "lavfi", "-i", "color=c=gray:s=64x64:d=8:r=5", str(tmp_path / "a.mp4")]
    subprocess.run([ffmpeg.binary(), "-loglevel", "error", "-y", *arguments], check=True, timeout=60)
    for name, code in (("a.wav", "unsupported_media"), ("a.mp4", "audio_missing")):
        assert enrol(tmp_path / name)[0] == 64
        assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == code


def test_clipping_is_seen_whatever_the_level(sentence: np.ndarray) -> None:
    assert clipped(sentence) < 0.005 and clipped(np.zeros(100)) == 0
    assert clipped(overdriven(sentence)) > 0.1 and clipped(overdriven(sentence) * 0.01) > 0.1


def voices(*counts: int, spread: float = 0.03) -> np.ndarray:
    """So many partial utterances of each voice."""
    random = np.random.default_rng(2)
    centres = np.abs(random.normal(size=(len(counts), 256)))
    rows = np.concatenate(
        [centre + random.normal(size=(count, 256)) * spread for centre, count in zip(centres, counts, strict=True)]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("partials", "two"), [
    (voices(10), False), (voices(10, spread=0.3), False), (voices(8, 8), True), (voices(20, 3), True),
    (voices(20, 1), False), (voices(2), False), (voices(5, 5, 5), True),
])  # fmt: skip
def test_two_voices_are_two_groups_far_apart(partials: np.ndarray, two: bool) -> None:
    assert two_voices(partials) is two


def test_similarity_is_that_of_a_trial_sentence(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_encoder.lay_out(bare)
    references: list[Path] = []

    def parrot(reference: Path, asked: str | None) -> tuple[Samples, int]:
        references.append(reference)
        assert asked is None
        return audio.read(reference, 24_000), 24_000

    monkeypatch.setattr(enrolment, "_trial", parrot)
    code, _, found = enrol(copied(tmp_path))
    voice = json.loads(found.read_text("utf-8"))
    assert code == 0 and voice["similarity"] > 0.99 and voice["speakers"] == 1
    assert voice["checked"][-2:] == ["speakers", "similarity"] and not references[0].exists()


def copied(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(SENTENCE.read_bytes())
    return tmp_path / "a.wav"


def test_an_engine_that_was_asked_for_must_be_there(tmp_path: Path, bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_encoder.lay_out(bare)
    code, out, found = enrol(copied(tmp_path), "--engine", "xtts")
    assert code == 64 and json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == "voice_cloning_unavailable"
    assert not out.exists() and not found.exists()
    code, _, found = enrol(copied(tmp_path))
    voice = json.loads(found.read_text("utf-8"))
    assert code == 0 and voice["similarity"] is None and voice["speakers"] == 1
    assert "none is here" in capsys.readouterr().err


@pytest.mark.skipif(not REAL.is_file(), reason="`make weights resemblyzer`")
@pytest.mark.parametrize("turns", [False, True])
def test_a_second_speaker_is_heard(
    tmp_path: Path, bare: Path, sentence: np.ndarray, capsys: pytest.CaptureFixture[str], turns: bool
) -> None:
    (bare / REAL.name).symlink_to(REAL)
    filters = ["-af", "asetrate=11500,aresample=16000,atempo=1.391"]  # a longer vocal tract
    arguments = ["-i", str(SENTENCE), *filters, str(tmp_path / "other.wav")]
    subprocess.run([ffmpeg.binary(), "-loglevel", "error", "-y", *arguments], check=True, timeout=60)
    other = audio.read(tmp_path / "other.wav")
    pieces = [sentence[: 3 * RATE], other[: 3 * RATE], sentence[3 * RATE :], other[3 * RATE :]] if turns else [sentence, other]
    assert enrol(recorded(tmp_path, np.concatenate(pieces)))[0] == 64
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == "multiple_speakers"
