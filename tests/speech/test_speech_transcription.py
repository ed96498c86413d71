"""Recordings become text: with a Whisper of random numbers, with answers from a script, and with the real one if it is here."""

import json
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from media import audio, ffmpeg
from speech import activity, transcription
from speech.__main__ import main
from speech.errors import LanguageNotUnderstood, NoSpeech
from speech.transcription import Recognizer, whole, windows
from steps import program, weights
from steps.errors import InputError, StoppedError
from steps.progress import Reporter

activity.library("faster_whisper")
from tests.speech import tiny_whisper  # noqa: E402 - it asks faster-whisper for its languages

RATE = 16_000
SENTENCE = Path(__file__).parents[2] / "samples/sentence.wav"
"""Two sentences of the sample talker, 7.5 s."""
WORDS = "good afternoon dear friends today i will read you something new which i have never said before"
REAL = (weights.folder() / "faster-whisper-base/model.bin").is_file()
needs_weights = pytest.mark.skipif(not REAL, reason="`make weights faster-whisper-base`")


@pytest.fixture(scope="module")
def sentence() -> np.ndarray:
    return audio.read(SENTENCE)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with a `base` of random numbers."""
    folder = tmp_path_factory.mktemp("weights")
    tiny_whisper.lay_out(folder / "faster-whisper-base")
    return folder


@pytest.fixture
def base(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tiny))
    return tiny / "faster-whisper-base"


class Scripted:
    """Stands in for faster-whisper's model: says the next of `answers` [(text, start, end), …], each a segment of one word."""

    supported_languages = ("zh", "en")

    def __init__(self, *answers: list[tuple[str, float, float]], languages: tuple[str, ...] = ("en",), **traits: float) -> None:
        self.answers, self.languages = list(answers), list(languages)
        self.traits = {"avg_logprob": -0.2, "compression_ratio": 1.0, **traits}
        self.asked: list[tuple[float, str]] = []
        """Seconds and language of every window it heard."""

    def detect_language(self, audio: np.ndarray) -> tuple[str, float, list[tuple[str, float]]]:
        language = self.languages.pop(0) if len(self.languages) > 1 else self.languages[0]
        return language, 0.9, [(language, 0.9)]

    def transcribe(self, samples: np.ndarray, language: str, **_: Any) -> tuple[Iterator[SimpleNamespace], None]:
        self.asked.append((round(len(samples) / RATE, 1), language))
        answer = self.answers.pop(0) if self.answers else []
        return iter([self._segment(*one) for one in answer]), None

    def _segment(self, text: str, start: float, end: float) -> SimpleNamespace:
        return SimpleNamespace(text=text, words=[SimpleNamespace(word=text, start=start, end=end)], **self.traits)


def heard(model: Scripted, samples: np.ndarray, **options: Any) -> transcription.Transcript:
    return Recognizer(model, "scripted").transcribe(samples.astype(np.float32), **options)


def chord(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    notes = [np.sin(2 * np.pi * note * time) * (1 + 0.5 * np.sin(4 * np.pi * time)) for note in (261.6, 329.6, 392.0)]
    return 0.1 * np.sum(notes, axis=0)


SPEECHLESS = {
    "silence": np.zeros(8 * RATE),
    "noise": np.random.default_rng(0).normal(size=8 * RATE) * 0.1,
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * np.arange(8 * RATE) / RATE),
    "music": chord(8),
    "a click": np.eye(1, 8 * RATE, 4 * RATE).ravel(),
    "nothing": np.zeros(0),
}


@pytest.mark.parametrize("what", SPEECHLESS)
def test_where_nobody_speaks_whisper_is_not_even_asked(what: str) -> None:
    invents = Scripted([("Thanks for watching!", 0.0, 2.0)])
    with pytest.raises(NoSpeech) as refused:
        heard(invents, SPEECHLESS[what])
    assert refused.value.code == "no_speech" and not invents.asked


@pytest.mark.parametrize("unsure", [{"avg_logprob": -1.2}, {"compression_ratio": 3.0}])
def test_what_whisper_itself_doubts_is_not_said(sentence: np.ndarray, unsure: dict[str, float]) -> None:
    with pytest.raises(NoSpeech):
        heard(Scripted([(" Thanks.", 0.0, 2.0)], **unsure), sentence)


def test_words_have_the_times_of_the_recording_and_stand_where_somebody_speaks(sentence: np.ndarray) -> None:
    model = Scripted([(" Good", 0.3, 0.5), (" music", 6.2, 7.0), (" day.", 9.0, 15.6), (" Bye.", 16.6, 16.6)])
    samples = np.concatenate([np.zeros(60 * RATE), sentence[: 5 * RATE], chord(3.5), sentence, np.zeros(RATE)])
    found = heard(model, samples)
    (first, _), *_ = activity.stretches(samples.astype(np.float32))
    assert found.words[0].start == pytest.approx(first / RATE + 0.3) and first / RATE == pytest.approx(60, abs=0.5)
    assert found.text == "Good day." and len(model.asked) == 1
    assert found.seconds == pytest.approx(len(samples) / RATE) and found.model == "scripted" and found.probability == 0.9


def test_what_is_left_of_a_window_is_listened_to_again_in_its_own_language(sentence: np.ndarray) -> None:
    model = Scripted([("你好，", 0.3, 2.5)], [(" Today.", 0.1, 4.4)], languages=("zh", "en"))
    found = heard(model, sentence)
    assert found.text == "你好， Today." and found.language == "zh"
    assert [language for _, language in model.asked] == ["zh", "en"]
    assert model.asked[1][0] == pytest.approx(model.asked[0][0] - 2.5, abs=0.11)
    assert found.words[1].start == pytest.approx(found.words[0].end + 0.1)


def test_a_language_that_is_given_is_kept(sentence: np.ndarray) -> None:
    model = Scripted([("你好", 0.3, 2.5)], languages=("en",))
    found = heard(model, sentence, language="zh")
    assert {language for _, language in model.asked} == {"zh"} and found.probability is None
    with pytest.raises(LanguageNotUnderstood, match=r"scripted does not understand tlh; it knows en, zh") as refused:
        heard(model, sentence, language="tlh")
    assert refused.value.code == "language_unsupported"


def test_the_prompt_alone_is_nothing_that_was_said(sentence: np.ndarray) -> None:
    with pytest.raises(NoSpeech):
        heard(Scripted([("以下是普通话的句子", 0.0, 2.0)], languages=("zh",)), sentence)


def test_chinese_is_written_simplified_and_english_words_in_it_stay_whole(sentence: np.ndarray) -> None:
    found = heard(Scripted([("這個,", 0.3, 0.9), ("後面,", 0.9, 7.2)], languages=("zh",)), sentence)
    assert found.text == "这个，后面，" and [word.text for word in found.words] == ["这个，", "后面，"]
    pieces = [
        ("用", 0.0, 0.2),
        (" Kub", 0.2, 0.4),
        ("ern", 0.4, 0.5),
        ("etes", 0.5, 0.8),
        (" ", 0.8, 0.8),
        (" GPU", 0.8, 1.0),
        ("吗？", 1.0, 1.2),
    ]
    assert whole(pieces) == [("用", 0.0, 0.2), (" Kubernetes", 0.2, 0.8), (" GPU", 0.8, 1.0), ("吗？", 1.0, 1.2)]


def test_windows_end_at_long_pauses_and_before_whisper_is_full() -> None:
    seconds = [(0, 10), (12, 20), (21, 30), (31, 40), (46, 48)]
    found = windows([(first * RATE, last * RATE) for first, last in seconds])
    assert [(first / RATE, last / RATE) for first, last in found] == [(0, 20), (21, 40), (46, 48)]


def test_blocks_hide_no_speech_and_cut_none(sentence: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([np.zeros(RATE, np.float32), *[sentence, np.zeros(2 * RATE, np.float32)] * 4])
    at_once = activity.stretches(samples)
    monkeypatch.setattr(activity, "_BLOCK", 11 * RATE)
    in_blocks = activity.stretches(samples)
    assert all(one[1] <= other[0] for one, other in pairwise(in_blocks))
    mask, other = np.zeros((2, len(samples)), bool)
    for spans, row in ((at_once, mask), (in_blocks, other)):
        for first, last in spans:
            row[first:last] = True
    assert (mask ^ other).mean() < 0.05 and mask.mean() > 0.5


def test_a_stop_is_heard_and_progress_told(
    sentence: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = np.concatenate([sentence, np.zeros(5 * RATE), sentence])
    heard(Scripted([(" A.", 0.3, 7.2)], [(" B.", 0.3, 7.2)]), samples, reporter=Reporter())
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["stage"] == "transcribe" and lines[-1]["done"] == lines[-1]["total"] == pytest.approx(19.9, abs=0.3)
    monkeypatch.setattr(program, "_stop_requested", True)
    with pytest.raises(StoppedError):
        heard(Scripted(), sentence)


def test_pyav_is_neither_loaded_nor_seemingly_there() -> None:
    code = "from speech import activity; import sys; activity.library('faster_whisper'); sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert find_spec("av") is None and os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_random_model_understands_nothing(base: Path, sentence: np.ndarray) -> None:
    recognizer = Recognizer.found()
    assert recognizer.name == "base"
    with pytest.raises(NoSpeech):
        recognizer.transcribe(sentence[: 2 * RATE], "en")


def test_a_gpu_that_is_of_no_use_leaves_it_to_the_cpu(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = activity.library("ctranslate2")
    if engine.get_cuda_device_count():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(engine, "get_cuda_device_count", lambda: 1)
    assert Recognizer.found("base", Reporter())._model.model.device == "cpu"
    assert "the CPU transcribes: CUDA" in json.loads(capsys.readouterr().err)["message"]


def spoil(folder: Path, file: str, content: bytes | None) -> Path:
    copy = folder.parent / "faster-whisper-own"
    subprocess.run(["rm", "-rf", str(copy)], check=True)
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    return copy


def test_any_folder_of_the_layout_is_a_model(base: Path) -> None:
    spoil(base, "config.json", (base / "config.json").read_bytes())
    assert Recognizer.found("own").name == "own"


@pytest.mark.parametrize(("file", "content", "code"), [
    ("tokenizer.json", None, "weights_missing"), ("vocabulary.txt", None, "weights_missing"),
    ("model.bin", None, "weights_missing"),
    ("model.bin", b"nothing", "weights_invalid"), ("tokenizer.json", b"{}", "weights_invalid"),
])  # fmt: skip
def test_a_model_that_is_not_whole_is_refused(base: Path, file: str, content: bytes | None, code: str) -> None:
    copy = spoil(base, file, content)
    with pytest.raises(InputError, match=copy.name) as refused:
        Recognizer.found("own")
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["small", "../base", "nonsense"])
def test_a_model_that_is_not_there_is_named(base: Path, name: str) -> None:
    with pytest.raises(InputError, match="make weights faster-whisper-small" if name == "small" else "large-v3") as refused:
        Recognizer.found(name)
    assert refused.value.code == "weights_missing"


def convert(source: Path, out: Path, *arguments: str) -> Path:
    command = [ffmpeg.binary(), "-nostdin", "-loglevel", "error", "-y", "-i", str(source), *arguments, str(out)]
    subprocess.run(command, check=True, timeout=60)
    return out


def three_hours(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes([128]) * 8000 * 3600 * 3)
    return path


def empty(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    return path


def silent(path: Path) -> Path:
    audio.write_wav(path, np.zeros(3 * RATE))
    return path


def text(path: Path) -> Path:
    path.write_text("This is no sound.", "utf-8")
    return path


def picture_only(path: Path) -> Path:
    arguments = ["-f", "lavfi", "-i", "color=c=gray:s=64x64:d=1", str(path.with_suffix(".mp4"))]
    subprocess.run([ffmpeg.binary(), "-loglevel", "error", "-y", *arguments], check=True, timeout=60)
    return path.with_suffix(".mp4")


@pytest.mark.parametrize(("make", "code"), [
    (empty, "audio_empty"), (silent, "no_speech"), (text, "unsupported_media"), (picture_only, "audio_missing"),
    (three_hours, "media_too_large"), (lambda path: path, "file_missing"),
])  # fmt: skip
def test_bad_recordings_are_refused_and_nothing_is_written(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, code: str
) -> None:
    out = tmp_path / "out.json"
    assert main(["transcribe", "--audio", str(make(tmp_path / "a.wav")), "--out_json", str(out)]) == 64
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == code and not out.exists()


@needs_weights
@pytest.mark.parametrize("form", ["opus.webm", "mkv"])
def test_the_real_one_writes_down_what_was_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    arguments = {
        "opus.webm": ["-c:a", "libopus", "-b:a", "32k"],
        "mkv": ["-filter_complex", "color=c=gray:s=64x64:r=5[v];[0:a]aresample=48000,pan=stereo|c0=0*c0|c1=c0[a]",
                "-map", "[v]", "-map", "[a]", "-shortest", "-c:a", "aac"],
    }[form]  # fmt: skip
    path, out = convert(SENTENCE, tmp_path / f"a.{form}", *arguments), tmp_path / "out.json"
    assert main(["transcribe", "--audio", str(path), "--out_json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    assert json.loads(capsys.readouterr().out) == found
    said = "".join(letter for letter in found["text"].lower() if letter.isalpha() or letter == " ").split()
    assert len(set(said) & set(WORDS.split())) >= 15 and found["language"] == "en" and found["language_probability"] > 0.5
    starts = [word["start"] for word in found["words"]]
    assert starts == sorted(starts) and 0 <= starts[0] < 1 and found["words"][-1]["end"] <= found["seconds"] + 0.1
    assert found["words"][4]["text"] == "Today" and found["words"][4]["start"] == pytest.approx(2.9, abs=0.4)


@needs_weights
def test_of_an_opus_stream_that_was_cut_there_is_what_there_is(tmp_path: Path) -> None:
    whole_stream = convert(SENTENCE, tmp_path / "a.ogg", "-c:a", "libopus", "-b:a", "32k").read_bytes()
    (tmp_path / "cut.ogg").write_bytes(whole_stream[: len(whole_stream) // 2])
    found = Recognizer.found().transcribe(audio.read(tmp_path / "cut.ogg"), "en")
    assert "afternoon" in found.text and "before" not in found.text and found.seconds < 6


@needs_weights
@pytest.mark.parametrize("what", ["a voice turned round", "noise that comes and goes"])
def test_what_is_no_language_becomes_no_sentence(what: str, sentence: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=8 * RATE) * 0.1
    samples = sentence[::-1].copy() if what == "a voice turned round" else noise * (1 + chord(8) * 5)
    with pytest.raises(NoSpeech):
        Recognizer.found().transcribe(samples.astype(np.float32))
