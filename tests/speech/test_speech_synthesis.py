"""From text to a wav, its words and its subtitles: the whole command on the tiny network."""

import json
import signal
import sys
import wave
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_kokoro

from media import ffmpeg
from media.provenance import is_generated
from speech import synthesis
from speech.__main__ import main
from speech.clause import Clause
from speech.engines.port import Samples, Voice
from speech.errors import SpeedOutOfRange, TextEmpty
from speech.loudness import TARGET
from speech.synthesis import Piece, pieces, write
from steps import program

TEXT = "Hello, this is a small test. It costs $3 <b>today</b>! Is that all?"


class Humming:
    """An engine without times: every clause hums as long as its text, at a loudness of its own."""

    name, rate, languages, clones, terms = "humming", 16_000, frozenset({"en"}), False, "For nobody."

    def voices(self) -> Sequence[Voice]:
        return [Voice("low", "en", "male")]

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        time = np.arange(round(len(clause.spoken) * 0.08 / speed * self.rate)) / self.rate
        return np.asarray(clause.pause * np.sin(2 * np.pi * 400 * time) * (np.sin(2 * np.pi * 3 * time) > -0.5), np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kokoro.write(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def settings(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(weights))
    for name in ("GENEFACE_TTS_URL", "GENEFACE_TTS_ENGINE", "COQUI_TOS_AGREED"):
        monkeypatch.delenv(name, raising=False)


def code_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and error code of the command."""
    done = main(words)
    lines = capsys.readouterr().err.splitlines()
    return done, json.loads(lines[-1]).get("code", "")


def loudness(path: Path) -> tuple[float, float]:
    """LUFS and true peak in dB, by ffmpeg."""
    said = ffmpeg.run(["-i", str(path), "-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"]).stderr
    found = dict(line.split(":") for line in map(str.strip, said.splitlines()) if line.startswith(("I:", "Peak:")))
    return float(found["I"].split()[0]), float(found["Peak"].split()[0])


@pytest.mark.parametrize(("text", "voice"), [(TEXT, "af_heart"), ("你好，今天是3号。我们用 Python 吗？", "zf_xiaoxiao")])
def test_the_command_writes_wav_json_and_subtitles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, voice: str
) -> None:
    (tmp_path / "text.txt").write_text("\ufeff" + text, "utf-8")
    out = tmp_path / "new" / "o.wav"
    names = {name: tmp_path / f"o.{name}" for name in ("json", "srt", "vtt")}
    files = ["--out_json", str(names["json"]), "--srt", str(names["srt"]), "--vtt", str(names["vtt"])]
    assert main(["synthesize", "--text_file", str(tmp_path / "text.txt"), "--out", str(out), *files]) == 0
    printed = capsys.readouterr()
    result, spoken = json.loads(printed.out), json.loads(names["json"].read_text("utf-8"))
    assert set(spoken) == {"text", "language", "engine", "voice", "terms", "seconds", "rate", "loudness", "words"}
    assert (result["engine"], result["voice"], result["terms"]) == ("kokoro", voice, None)
    assert spoken["language"] == ("zh" if voice[0] == "z" else "en")
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, spoken["rate"])
        assert file.getnframes() / file.getframerate() == pytest.approx(spoken["seconds"], abs=6e-4)
    measured, peak = loudness(out)
    assert measured == pytest.approx(spoken["loudness"], abs=0.2) and measured == pytest.approx(TARGET, abs=1.0) and peak <= -1.0
    words = spoken["words"]
    assert "".join(word["text"] for word in words).replace(" ", "") == spoken["text"].replace(" ", "")
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= spoken["seconds"]
    assert names["srt"].read_text("utf-8").startswith("1\n00:00:00,") and names["vtt"].read_text("utf-8").startswith("WEBVTT\n")
    progress = [json.loads(line) for line in printed.err.splitlines()]
    assert [line["done"] == line["total"] for line in progress if line.get("stage") == "speak"][-1]
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == [
        "o.json",
        "o.srt",
        "o.vtt",
        "o.wav",
        "text.txt",
    ]


def test_the_wav_says_that_a_model_made_it_and_on_what_terms(tmp_path: Path) -> None:
    piece = Piece(Clause("a", "a", "en", 0.0), np.zeros(4_001, np.float32), ())
    spoken = write([piece], tmp_path / "o.wav", Humming(), "low")
    assert (spoken.terms, spoken.loudness, spoken.seconds) == ("For nobody.", None, 4_001 / 16_000)
    content = (tmp_path / "o.wav").read_bytes()
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    asked = ["-i", str(tmp_path / "o.wav"), "-f", "ffmetadata", "-"]
    tags = dict(line.split("=", 1) for line in ffmpeg.run(asked).stdout.splitlines() if "=" in line)
    assert is_generated(tags) and tags["comment"].endswith("For nobody.") and b"humming, low" in content
    with wave.open(str(tmp_path / "o.wav")) as file:
        assert file.getnframes() == 4_001


def test_an_engine_without_times_gets_words_that_share_its_sound() -> None:
    said = [Clause("One two.", "One two.", "en", 0.5), Clause("Three.", "Three.", "en", 0.25)]
    first, second = pieces(said, Humming(), "low", 2.0)
    assert len(first.samples) == round((8 * 0.04 + 0.5) * 16_000) and not first.samples[-7_000:].any()
    assert [word.text.strip() for word in (*first.words, *second.words)] == ["One", "two.", "Three."]
    one, two = first.words
    assert 0 <= one.start < one.end <= two.start < two.end <= 8 * 0.04 + 1e-6
    start = len(first.samples) / 16_000
    assert start <= second.words[0].start < second.words[0].end <= start + 6 * 0.04 + 1e-6


def test_clauses_come_one_by_one_at_one_loudness() -> None:
    asked: list[int] = []

    def clauses() -> object:
        for place, level in enumerate((0.1, 0.1, 0.2)):
            asked.append(place)
            yield Clause("w" * 30, "w" * 30, "en", level)  # the pause is the hum's amplitude

    stream = pieces(clauses(), Humming(), "low")  # type: ignore[arg-type]
    levels = [np.abs(next(stream).samples).max()]
    assert asked == [0]
    levels += [np.abs(piece.samples).max() for piece in stream]
    assert levels[1] == pytest.approx(levels[0], rel=0.01) and levels[0] > 0.1
    assert levels[2] == pytest.approx(levels[0] * np.sqrt(2), rel=0.05)  # louder, as it was meant, by half


@pytest.mark.parametrize("speed", [0.49, 2.01, float("nan"), -1.0])
def test_a_speed_that_nobody_understands(speed: float) -> None:
    with pytest.raises(SpeedOutOfRange, match=r"from 0\.5 to 2\.0"):
        next(pieces([], Humming(), "low", speed))


def test_nothing_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(TextEmpty):
        write([], tmp_path / "o.wav", Humming(), "low")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--text", " "], "text_empty"),
        (["--text", "😀😀"], "text_unspeakable"),
        (["--text", "a" * 100_000], "text_too_long"),
        (["--text", "hi", "--voice", "nobody"], "voice_unknown"),
        (["--text", "hi", "--speed", "9"], "speed_out_of_range"),
        (["--text", "hi", "--reference", __file__], "voice_cloning_unavailable"),
        (["--text", "hi", "--engine", "http"], "engine_unavailable"),
        (["--text_file", "/nowhere/text.txt"], "file_missing"),
        (["--text_file", sys.executable], "text_unreadable"),
    ],
)
def test_each_bad_input_its_code_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    outputs = ["--out", str(tmp_path / "o.wav"), "--out_json", str(tmp_path / "o.json"), "--srt", str(tmp_path / "o.srt")]
    assert code_of(["synthesize", *words, *outputs], capsys) == (64, code)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENEFACE_TTS_URL", "http://127.0.0.1:9")
    words = ["synthesize", "--text", "hi", "--reference", str(tmp_path / "no.wav"), "--out", str(tmp_path / "o.wav")]
    assert code_of(words, capsys) == (64, "file_missing")


def test_a_stopped_synthesis_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(said: Iterable[Clause], *speaker: Any) -> Iterator[Piece]:
        for count, piece in enumerate(pieces(said, *speaker)):
            if count == 2:
                assert list(tmp_path.iterdir())
                signal.raise_signal(signal.SIGTERM)
            yield piece

    monkeypatch.setattr(program, "_stop_requested", False)
    monkeypatch.setattr(synthesis, "pieces", stopped)
    words = ["synthesize", "--text", f"{TEXT} " * 150, "--out", str(tmp_path / "o.wav"), "--out_json", str(tmp_path / "o.json")]
    assert code_of(words, capsys) == (143, "stopped")
    assert list(tmp_path.iterdir()) == []


def test_the_voices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["engine"], listed["clones"], listed["languages"]) == ("kokoro", False, ["en", "zh"])
    assert {"name": "zf_xiaoxiao", "language": "zh", "gender": "female"} in listed["voices"]


def test_the_language_is_that_of_most_of_the_text() -> None:
    assert synthesis.language_of([Clause("你好", "你好", "zh", 0), Clause("Hello there", "", "en", 0)]) == "en"
    assert synthesis.voice_language([Clause("你好", "你好", "zh", 0), Clause("Hello there", "", "en", 0)]) == "zh"
    assert synthesis.voice_language([Clause("Hello there", "", "en", 0)]) == "en"
