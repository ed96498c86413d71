"""Kokoro: tokens, styles, times and ends on a tiny network of the same layout; the real one where its weights are."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_kokoro
from tiny_kokoro import LETTER, OTHER, VOICES

from api.speech import KOKORO
from speech.clause import Clause, Word
from speech.engines import choice, kokoro
from speech.engines.ends import MARGIN
from speech.engines.kokoro import FRAME, LONGEST, RATE, VOCABULARY, Kokoro
from speech.engines.port import TimedEngine
from speech.errors import LanguageUnsupported, VoiceCloningUnavailable, VoiceUnknown
from speech.reading.phonemes import Spelled
from steps.errors import InputError

SECONDS = FRAME / RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kokoro.write(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Kokoro:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(folder))
    return Kokoro.found()


def say(monkeypatch: pytest.MonkeyPatch, *words: tuple[str, str], language: str = "en") -> Clause:
    """A clause whose words have these phonemes."""
    monkeypatch.setattr(kokoro, "spelled", lambda _: [Spelled(*word) for word in words])
    text = " ".join(text for text, _ in words)
    return Clause(text, text, language, 0.0)


def test_the_vocabulary_is_the_published_one() -> None:
    assert len(VOCABULARY) == 114 and len(set(VOCABULARY.values())) == 114
    known = {";": 1, "…": 10, " ": 16, "I": 25, "S": 35, "ᵊ": 42, "f": 48, "h": 50, "æ": 72, "ç": 78, "ʤ": 82, "ɥ": 99, "ɴ": 115,
             "ɹ": 123, "ʧ": 133, "ʒ": 147, "ˈ": 156, "ː": 158, "↓": 169, "→": 171, "↘": 173, "ᵻ": 177}  # fmt: skip
    assert {symbol: VOCABULARY[symbol] for symbol in known} == known


def test_words_have_the_networks_own_times(engine: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    clause = say(monkeypatch, ("Ab,", "ab, "), ("c", "c "), ("?!", "?!"), ("def.", "def."))
    samples, words = engine.speak_timed(clause, "af_heart", 1.0)
    assert isinstance(engine, TimedEngine) and engine.rate == RATE
    assert len(samples) / RATE == pytest.approx((6 * LETTER + 5 * OTHER) * SECONDS + 2 * MARGIN, abs=0.011)
    ab, c, marks, def_ = words
    assert [word.text for word in words] == ["Ab,", "c", "?!", "def."]
    assert ab.start == pytest.approx(MARGIN, abs=0.011) and ab.end - ab.start == pytest.approx(2 * LETTER * SECONDS)
    assert c.start - ab.end == pytest.approx(2 * OTHER * SECONDS)  # the comma and the space are no part of either
    assert marks.start == marks.end == pytest.approx(c.end + OTHER * SECONDS)
    assert def_.end == pytest.approx(len(samples) / RATE - MARGIN, abs=0.011)
    tone = np.abs(np.fft.rfft(samples)).argmax() / len(samples) * 2 * np.pi
    assert tone == pytest.approx(VOICES["af_heart"], rel=0.05)


def test_faster_is_shorter_and_what_it_cannot_say_is_left_out(engine: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    clause = say(monkeypatch, ("abcd", "ab我cd"))
    slow, fast = (len(engine.speak(clause, "am_adam", speed)) / RATE - 2 * MARGIN for speed in (1.0, 2.0))
    assert slow == pytest.approx(4 * LETTER * SECONDS, abs=0.011)
    assert fast == pytest.approx(slow / 2, abs=0.011)


def test_a_clause_longer_than_the_network_is_said_whole(engine: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    clause = say(monkeypatch, *[(f"w{number}", "abcde ") for number in range(200)], ("long", "a" * (LONGEST + 90)))
    samples, words = engine.speak_timed(clause, "af_heart", 1.0)
    assert [word.text for word in words] == [*(f"w{number}" for number in range(200)), "long"]
    assert len(samples) / RATE > (200 * 5 + LONGEST + 90) * LETTER * SECONDS
    assert words[-1].end - words[-1].start == pytest.approx((LONGEST + 90) * LETTER * SECONDS, abs=0.1)
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(words))
    assert words[-1].end <= len(samples) / RATE


def test_nothing_to_say_is_no_sound(engine: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, words = engine.speak_timed(say(monkeypatch, ("…", "…"), ("我", "我")), "af_heart", 1.0)
    assert len(samples) == 0 and words == (Word("…", 0, 0), Word("我", 0, 0))
    assert engine.speak_timed(say(monkeypatch), "af_heart", 1.0)[1] == ()


def test_what_it_refuses(engine: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    clause = say(monkeypatch, ("a", "a"))
    with pytest.raises(VoiceUnknown, match="no voice nobody"):
        engine.speak(clause, "nobody", 1.0)
    with pytest.raises(VoiceCloningUnavailable):
        engine.speak(clause, Path("me.wav"), 1.0)
    with pytest.raises(LanguageUnsupported, match="speaks fr; there are en, zh"):
        engine.speak(say(monkeypatch, ("a", "a"), language="fr"), "af_heart", 1.0)


def test_voices_and_the_one_that_speaks_when_none_is_named(engine: Kokoro) -> None:
    assert [(voice.name, voice.language, voice.gender) for voice in engine.voices()] == [
        ("af_heart", "en", "female"), ("am_adam", "en", "male"), ("zf_xiaoxiao", "zh", "female"),
    ]  # fmt: skip
    assert choice.voice(engine, "zh") == "zf_xiaoxiao" and choice.voice(engine, "en") == "af_heart"


def test_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(InputError, match="make weights kokoro") as told:
        Kokoro.found()
    assert told.value.code == "weights_missing"


def test_the_real_network_speaks_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        engine = Kokoro.found()
    except InputError:
        pytest.skip("the weights of kokoro are not here")
    assert [voice.name for voice in engine.voices()] == KOKORO, "the API names the same"
    for voice, words in (
        ("af_heart", [("Hello,", "həlˈO, "), ("voice.", "vˈYs.")]),
        ("zf_xiaoxiao", [("你", "ni↓"), ("好。", "xau↓.")]),
    ):
        samples, said = engine.speak_timed(say(monkeypatch, *words), voice, 1.0)
        assert 0.4 < len(samples) / RATE < 2.5 and 0.1 < np.abs(samples).max() <= 1.2
        assert [word.text for word in said] == [text for text, _ in words]
        assert 0 <= said[0].start < said[0].end <= said[1].start < said[1].end <= len(samples) / RATE
