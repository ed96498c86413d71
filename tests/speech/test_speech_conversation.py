"""`converse` against a real language model server on this machine; engine and recognizer are small doubles."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glm_server import ANSWERS, KEY, GlmServer, serving
from tone_engine import ToneEngine

from media.audio import write_wav
from speech import conversation
from speech.clause import Word
from speech.engines import choice
from speech.reply import Turn
from speech.transcription import Recognizer, Transcript
from steps.errors import Exit, StepError
from steps.progress import Reporter

ROOT = Path(__file__).resolve().parents[2]
Converse = Callable[..., dict[str, Any]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ToneEngine:
    tone = ToneEngine()
    monkeypatch.setattr(choice, "found", lambda name=None, clones=False: tone)
    return tone


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GlmServer]:
    """Set up in the environment; tests change its mode."""
    with serving() as running:
        monkeypatch.setenv("ZHIPU_API_KEY", KEY)
        monkeypatch.setenv("ZHIPU_BASE_URL", running.base_url)
        monkeypatch.setenv("ZHIPU_FIRST_TOKEN_SECONDS", "1")
        yield running


@pytest.fixture
def converse(tmp_path: Path, engine: ToneEngine) -> Converse:
    """The command with the words given; what it wrote into turn.json."""

    def run(*words: str) -> dict[str, Any]:
        parser = argparse.ArgumentParser()
        conversation.options(parser)
        out = tmp_path / "out"
        files = [
            "--out",
            str(out / "o.wav"),
            "--out_json",
            str(out / "turn.json"),
            "--srt",
            str(out / "o.srt"),
            "--vtt",
            str(out / "o.vtt"),
        ]
        with Reporter() as reporter:
            conversation.command(parser.parse_args([*words, *files]), reporter)
        return json.loads((out / "turn.json").read_text("utf-8"))

    return run


def written(tmp_path: Path) -> list[str]:
    """Names of the files that are there, however hidden."""
    return sorted(path.name for path in (tmp_path / "out").glob("*")) if (tmp_path / "out").is_dir() else []


@pytest.mark.parametrize(
    ("question", "language", "voice"), [("How are you?", "en", "af_heart"), ("你好吗？", "zh", "zf_xiaoxiao")]
)  # fmt: skip
def test_a_question_becomes_an_answer(
    question: str, language: str, voice: str, server: GlmServer, converse: Converse, tmp_path: Path
) -> None:  # fmt: skip
    turn = converse("--text", question)
    assert turn["transcript"] is None
    assert turn["question"] == question
    assert turn["reply"] == ANSWERS[language]
    assert (turn["model"], turn["language"]) == ("glm-4-flashx", language)
    speech = turn["speech"]
    assert (speech["engine"], speech["voice"], speech["language"]) == ("tone", voice, language)
    assert "".join(word["text"] for word in speech["words"]).replace(" ", "") == ANSWERS[language].replace(" ", "")
    with wave.open(str(tmp_path / "out" / "o.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(speech["seconds"], abs=0.001)
    assert written(tmp_path) == ["o.srt", "o.vtt", "o.wav", "turn.json"]
    assert ANSWERS[language][:5] in (tmp_path / "out" / "o.srt").read_text("utf-8")
    assert (tmp_path / "out" / "o.vtt").read_text("utf-8").startswith("WEBVTT\n")
    assert server.asked[0]["messages"][-1] == {"role": "user", "content": question}


def test_a_spoken_question(server: GlmServer, converse: Converse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Transcript("你好吗？", "zh", 0.9, (Word("你好吗？", 0.0, 1.0),), 1.0, "base")

    class Double:
        def transcribe(self, samples: Any, language: str | None = None, reporter: Any = None) -> Transcript:
            assert len(samples) == 16_000
            assert language is None
            return heard

    monkeypatch.setattr(Recognizer, "found", classmethod(lambda cls, model=None: Double()))
    write_wav(tmp_path / "question.wav", 0.1 * np.sin(np.arange(16_000)))
    turn = converse("--audio", str(tmp_path / "question.wav"))
    assert turn["transcript"] == turn["question"] == "你好吗？"
    assert turn["reply"] == ANSWERS["zh"]


def test_a_question_that_could_not_be_answered_in_its_language(
    server: GlmServer, converse: Converse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Double:
        def transcribe(self, samples: Any, language: str | None = None, reporter: Any = None) -> Transcript:
            return Transcript("Ça va ?", "fr", 0.9, (), 1.0, "base")

    monkeypatch.setattr(Recognizer, "found", classmethod(lambda cls, model=None: Double()))
    write_wav(tmp_path / "question.wav", 0.1 * np.sin(np.arange(16_000)))
    with pytest.raises(StepError) as caught:
        converse("--audio", str(tmp_path / "question.wav"))
    assert caught.value.code == "language_unsupported"
    assert server.asked == []


def test_speech_begins_while_the_model_still_writes(server: GlmServer, converse: Converse, engine: ToneEngine) -> None:
    server.pace, server.answer = 0.02, ANSWERS["en"] * 2
    converse("--text", "How are you?")
    first, last = engine.spoken[0][0], engine.spoken[-1][0]
    assert last - first > 0.4


def test_a_voice_and_a_speed_of_ones_own(server: GlmServer, converse: Converse, engine: ToneEngine) -> None:
    turn = converse("--text", "How are you?", "--voice", "am_adam", "--speed", "1.5")
    assert turn["speech"]["voice"] == "am_adam"
    assert {(speaker, speed) for _, _, speaker, speed in engine.spoken} == {("am_adam", 1.5)}


def test_the_answers_language_chooses_the_voice(server: GlmServer, converse: Converse) -> None:
    server.answer = "你好，很高兴认识你。"
    turn = converse("--text", "Say in Chinese: hello, nice to meet you.")
    assert (turn["language"], turn["speech"]["voice"]) == ("zh", "zf_xiaoxiao")


def test_what_was_said_before_is_told(server: GlmServer, converse: Converse, tmp_path: Path) -> None:
    said = [{"role": "user", "text": "I am Ann."}, {"role": "assistant", "text": "Hello, Ann."}]
    (tmp_path / "h.json").write_text(json.dumps(said))
    converse("--text", "Who am I?", "--history", str(tmp_path / "h.json"), "--system_prompt", "You are a nurse.")
    assert [message["content"] for message in server.asked[0]["messages"]] == [
        "You are a nurse.", "I am Ann.", "Hello, Ann.", "Who am I?",
    ]  # fmt: skip


def test_only_the_last_of_a_long_history() -> None:
    turns = [Turn("user" if place % 2 == 0 else "assistant", f"{place}") for place in range(101)]
    assert [turn.text for turn in conversation.recent(turns)] == [str(place) for place in range(82, 101)]
    assert conversation.recent([Turn("user", "x" * 8_000), Turn("assistant", "y")]) == []
    assert len(conversation.recent([Turn("user", "x" * 4_000), Turn("assistant", " "), Turn("user", "y" * 4_000)])) == 2


@pytest.mark.parametrize(
    "content",
    ["", "{", "{}", "[1]", '[{"role": "system", "text": "x"}]', '[{"role": "user"}]', '[{"role": "user", "text": 1}]',
    "[" * 100_000,
     '[{"role": "user", "text": "\\ud800"}]', b"\xff\xfe", " " * (conversation.MOST_BYTES + 1)],
)  # fmt: skip
def test_a_history_that_is_none(content: str | bytes, server: GlmServer, converse: Converse, tmp_path: Path) -> None:
    (tmp_path / "h.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StepError) as caught:
        converse("--text", "Hello?", "--history", str(tmp_path / "h.json"))
    assert caught.value.code == "history_invalid"
    assert caught.value.message.startswith("h.json: not the turns")
    assert len(caught.value.message) < 300
    assert server.asked == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--text", ""], "text_empty"), (["--text", "  \n"], "text_empty"), (["--text", "😀🎉"], "text_unspeakable"),
        (["--text", "a" * 4_001], "text_too_long"), (["--text", "Hello?\udcff"], "text_unreadable"),
        (["--text", "Hello?", "--system_prompt", "a" * 4_001], "text_too_long"),
        (["--text", "Hello?", "--voice", "nobody"], "voice_unknown"),
        (["--text", "Hello?", "--speed", "9"], "speed_out_of_range"),
        (["--text", "Hello?", "--reference", "none.wav"], "file_missing"),
        (["--text", "Hello?", "--history", "none.json"], "file_missing"), (["--text_file", "none.txt"], "file_missing"),
        (["--audio", "none.wav"], "file_missing"),
    ],
)  # fmt: skip
def test_bad_input_is_found_before_the_model_is_asked(
    words: list[str], code: str, server: GlmServer, converse: Converse, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as caught:
        converse(*words)
    assert (caught.value.code, caught.value.exit_code) == (code, Exit.INPUT)
    assert server.asked == []
    assert written(tmp_path) == []


def test_without_a_key_nothing_else_is_looked_at(converse: Converse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHIPU_API_KEY", raising=False)
    monkeypatch.delattr(choice, "found")
    with pytest.raises(StepError) as caught:
        converse("--audio", "none.wav")
    assert (caught.value.code, caught.value.exit_code) == ("reply_key_missing", Exit.INPUT)


@pytest.mark.parametrize(
    ("mode", "code", "status"),
    [
        ("401", "reply_key_refused", 64), ("429_balance", "reply_quota", 64), ("429_rate", "reply_rate_limited", 75),
        ("500", "reply_failed", 75),
        ("cut", "reply_interrupted", 75), ("moderated_in_the_middle", "reply_moderated", 64),
        ("empty", "reply_empty", 75), ("slow", "reply_timeout", 75),
    ],
)  # fmt: skip
def test_a_failing_model_leaves_nothing(
    mode: str, code: str, status: int, server: GlmServer, converse: Converse, tmp_path: Path
) -> None:
    server.mode, server.answer = mode, ANSWERS["en"] * 3
    with pytest.raises(StepError) as caught:
        converse("--text", "How are you?")
    assert (caught.value.code, caught.value.exit_code) == (code, status)
    assert written(tmp_path) == []


def test_an_answer_of_nothing_but_emoji(server: GlmServer, converse: Converse, tmp_path: Path) -> None:
    server.answer = "😀🎉"
    with pytest.raises(StepError) as caught:
        converse("--text", "How are you?")
    assert caught.value.code == "reply_empty"
    assert written(tmp_path) == []


def test_markup_is_not_spoken(server: GlmServer, converse: Converse) -> None:
    server.mode = "marked"
    turn = converse("--text", "How do I get in?")
    assert turn["reply"].split() == ["Yes.", "It", "is", "very", "easy:", "1.", "Open", "the", "door.", "Go", "in.", "😀"]
    assert not set("*[]()`") & set("".join(word["text"] for word in turn["speech"]["words"]))


def test_an_answer_that_is_too_long_ends_with_a_whole_sentence(server: GlmServer, converse: Converse) -> None:
    server.mode = "long"
    assert converse("--text", "How are you?")["reply"] == ANSWERS["en"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_killed_process_leaves_nothing_half_written(number: int, status: int, server: GlmServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    server.answer = ANSWERS["en"] * 20
    words = ["converse", "--text", "How are you?", "--out", str(out / "o.wav"), "--out_json", str(out / "turn.json")]
    command = [sys.executable, str(ROOT / "tests" / "speech" / "tone_engine.py"), "0.1", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / ".o.wav.partial").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == status
    assert [name for name in written(tmp_path) if not name.endswith(".partial")] == []
    assert status < 0 or written(tmp_path) == []
    assert KEY not in said
    assert '"stage": "reply"' in said
    assert '"stage": "synthesize"' in said
