"""The words of a clause and their sounds: nothing skipped, only Kokoro's symbols, the right reading of words that have two."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.clause import Clause
from speech.errors import SpeechError
from speech.reading import letters
from speech.reading.letters import from_arpabet, from_ipa
from speech.reading.phonemes import Spelled, spelled
from speech.reading.text import clauses
from steps import weights

VOCABULARY = frozenset(
    ';:,.!?—…"()“” \u0303ʣʥʦʨᵝ\uab67AIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ'
)
"""Of Kokoro v1.0's config.json."""
MOST = 510


def sounds(text: str, language: str = "en") -> str:
    return "".join(word.phonemes for word in spelled(Clause(text, text, language, 0.0)))


def written(text: str) -> list[Spelled]:
    return [word for clause in clauses(text) for word in spelled(clause)]


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """Neither the network nor espeak-ng."""
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    letters.sounds.cache_clear()
    yield tmp_path
    letters.sounds.cache_clear()


def test_the_vocabulary_is_kokoros():
    assert len(VOCABULARY) == 114


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world!", "həlˈO wˈɜɹld!"),
        ("The apple and the pear.", "ði ˈæpᵊl ænd ðə pˈɛɹ."),
        ("a cat, an owl", "ɐ kˈæt, ɐn ˈWl"),
        ("to go to eat, go to", "tə ɡˌO tʊ ˈit, ɡˌO tu"),
        ("I am in. I am in it.", "ˌI æm ˈɪn. ˌI æm ɪn ɪt."),
        ("I used to use it.", "ˌI jˈust tə jˈuz ɪt."),
        ("Vitamin A", "vˈITəmən ˈA"),
        ("“Yes,” she said — (no)", "“jˈɛs,” ʃi sˈɛd — (nˈO)"),
        ('"Yes," she said.', "“jˈɛs,” ʃi sˈɛd."),
    ],
)
def test_english_sentences(text, expected):
    assert sounds(text) == expected


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("I will read it", "read", "ɹˈid"), ("I have read it", "read", "ɹˈɛd"), ("She read it yesterday", "read", "ɹˈɛd"),
        ("We live here", "live", "lˈɪv"), ("a live show", "live", "lˈIv"), ("Use the tool", "Use", "jˈuz"),
        ("no use for it", "use", "jˈus"),
        ("Record the song", "Record", "ɹəkˈɔɹd"), ("the record", "record", "ɹˈɛkəɹd"), ("to record it", "record", "ɹəkˈɔɹd"),
        ("they present it", "present", "pɹizˈɛnt"), ("a present", "present", "pɹˈɛzᵊnt"),
        ("the increase", "increase", "ˈɪnkɹˌis"),
        ("to increase it", "increase", "ɪnkɹˈis"), ("to close it", "close", "klˈOz"), ("very close", "close", "klˈOs"),
        ("to refuse it", "refuse", "ɹəfjˈuz"), ("the wind", "wind", "wˈɪnd"), ("the content", "content", "kˈɑntɛnt"),
    ],
)  # fmt: skip
def test_words_with_two_readings(text, word, expected):
    assert {found.text: found.phonemes.strip() for found in spelled(Clause(text, text, "en", 0.0))}[word] == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("NASA", "nˈæsə"), ("USA", "jˌuˌɛsˈA"), ("CPUs", "sˌipˌijˈuz"), ("U.S.", "jˌuˈɛs"), ("ID", "ˌIdˈi"),
        ("AI", "ˈAˌI"), ("PM", "pˌiˈɛm"),
        ("STOP", "stˈɑp"), ("IT", "ˌItˈi"), ("well-known", "wˈɛlnˌOn"), ("café", "kæfˈA"), ("naïve", "nɑˈiv"),
        ("don’t", "dˈOnt"),
        ("Kubernetes", "kˌubəɹnˈɛTiz"), ("NVIDIA's", "ɛnvˈɪdiəz"), ("OpenCV", "ˈOpᵊnsˌivˈi"), ("apps", "ˈæps"),
        ("emailing", "ˈimˌAlɪŋ"),
        ("googled", "ɡˈuɡᵊld"), ("tweeted", "twˈiTᵻd"), ("chatbots", "ʧˈætbˌɑts"), ("tensorflow", "tˈɛnsəɹflˌO"),
        ("unfollowed", "ʌnfˈɑlOd"),
        ("xqz", "ˌɛkskjˌuzˈi"),
    ],
)  # fmt: skip
def test_english_words(word, expected):
    assert sounds(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天天气很好。", "ʨi→ntʰjɛ→n tʰjɛ→nʨʰi↘ xə↓nxau↓."),
        ("银行行长，重庆", "i↗nxa↗ŋ xa↗ŋꭧa↓ŋ, ꭧʰʊ↗ŋʨʰi↘ŋ"),
        ("《红楼梦》……", "“xʊ↗ŋlou↗mə↘ŋ”…"),
        ("我有apple。", "wo↓ jou↓ ˈæpᵊl."),
        ("〇", "li↗ŋ"),
        ("他讲得很好", "tʰa→ ʨja↓ŋ tɤ xə↓n xau↓"),
        ("慢慢地走在地上", "ma↘nma↘n tɤ ʦou↓ ʦai↘ ti↘ʂa↘ŋ"),
    ],
)
def test_chinese(text, expected):
    found = sounds(text, "zh")
    assert found.replace(" ", "") == expected.replace(" ", "")
    assert set(found) <= VOCABULARY


def test_words_of_chinese_stand_apart():
    assert [word.phonemes for word in spelled(Clause("我们学习。", "我们学习。", "zh", 0.0))] == ["wo↓", "mən ", "ɕɥe↗", "ɕi↗."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It costs $3.50 and 20% more.", ["It", "costs", "$3.50", "and", "20%", "more."]),
        ("Dr. Who, e.g. at 5 p.m.", ["Dr.", "Who,", "e.g.", "at", "5", "p.m."]),
        ("See https://example.com/a now — yes", ["See", "https://example.com/a", "now —", "yes"]),
        ("臺灣2萬人。", ["臺", "灣", "2", "萬", "人。"]),
        ("我有3.5元，“好”。", ["我", "有", "3.5", "元，", "“好”。"]),
    ],
)
def test_words_are_those_that_were_written(text, words):
    assert [word.text for word in written(text)] == words
    assert all(word.phonemes.strip() for word in written(text))


def test_signs_alone_have_sounds():
    assert spelled(Clause("<%", "less than percent", "en", 0.0)) == [Spelled("<%", "lˈɛs ðən pəɹsˈɛnt")]


def test_what_was_written_has_the_sounds_of_what_is_said():
    by_text = {word.text: word.phonemes.strip() for word in written("It costs $3.50 and 20% more.")}
    assert by_text["$3.50"] == "θɹˈi dˈɑləɹz ænd fˈɪfti sˈɛnts"
    assert by_text["20%"] == "twˈɛnti pəɹsˈɛnt"


TEXT = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzABCW éüßñ 中文字一行长好的。,.!?-'’“”…—（） 0123456789%$&<=+°"),
    min_size=1,
    max_size=150,
)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_every_written_word_is_there_with_kokoros_symbols_alone(text):
    try:
        found = clauses(text)
    except SpeechError:
        return
    for clause in found:
        words = spelled(clause)
        said = "".join(word.phonemes for word in words)
        assert set(said) <= VOCABULARY
        assert 0 < len(said) <= MOST
        assert all(word.phonemes.strip(" ,.!?—…()“”") for word in words)
        assert "".join(word.text for word in words).replace(" ", "") == clause.text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["WWW " * 200, "x w " * 300, "双" * 500, "长庄" * 200, "iWWWWWWWW " * 90, "$1,234,567.89 " * 60, "wpm " * 200]
)
def test_no_clause_has_more_phonemes_than_kokoro_speaks(text):
    assert all(len("".join(word.phonemes for word in spelled(clause))) <= MOST for clause in clauses(text))


def test_letters_alone_are_never_skipped(no_weights, caplog):
    caplog.set_level(logging.DEBUG)
    assert sounds("blargify") == "blˈɑɹɡɪfi"
    assert "by rules" in caplog.text
    assert sounds("zake") == "zˈAk"


def test_the_network_reads_what_the_dictionaries_lack(no_weights, caplog):
    random = np.random.default_rng(3)
    hidden, emb = 6, 4
    arrays = {
        "enc_emb": (29, emb), "enc_w_ih": (3 * hidden, emb), "enc_w_hh": (3 * hidden, hidden), "enc_b_ih": (3 * hidden,),
        "enc_b_hh": (3 * hidden,), "dec_emb": (74, emb), "dec_w_ih": (3 * hidden, emb), "dec_w_hh": (3 * hidden, hidden),
        "dec_b_ih": (3 * hidden,), "dec_b_hh": (3 * hidden,), "fc_w": (74, hidden), "fc_b": (74,),
    }  # fmt: skip
    file = no_weights / weights.table()[letters.NETWORK].file
    file.parent.mkdir()
    values = {name: random.normal(size=shape).astype(np.float32) for name, shape in arrays.items()}
    values["fc_b"][letters._PHONEMES.index("AA1")] = 50.0  # whatever it reads, it says ah
    np.savez(file, **values)
    caplog.set_level(logging.DEBUG)
    assert sounds("blargify").startswith("ˈɑˌɑ")
    assert "by network" in caplog.text


def real_network() -> Path | None:
    try:
        return weights.path(letters.NETWORK)
    except Exception:
        return None


@pytest.mark.skipif(real_network() is None, reason="g2p-en is not in GENEFACE_WEIGHTS_DIR")
@pytest.mark.parametrize(
    ("word", "expected"), [("zelenskyy", "zɪlˈɛnski"), ("geneface", "ʤˈɛnəfˌAs"), ("antidisestablishmentarianismus", None)]
)
def test_the_published_network(word, expected):
    letters.sounds.cache_clear()
    found = letters._by_network(word)
    assert found == expected if expected else len(found) > 20


def test_the_network_steps_as_a_gru_does():
    """Against the equations, a gate at a time."""
    random = np.random.default_rng(1)
    shapes = {"enc_w_ih": (18, 4), "enc_w_hh": (18, 6), "enc_b_ih": (18,), "enc_b_hh": (18,)}
    network = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    value, state = random.normal(size=4).astype(np.float32), random.normal(size=6).astype(np.float32)
    given, held = ([network[f"enc_w_{k}"][6 * g : 6 * g + 6] @ v + network[f"enc_b_{k}"][6 * g : 6 * g + 6] for g in range(3)]
                   for k, v in (("ih", value), ("hh", state)))  # fmt: skip
    reset, update = (1 / (1 + np.exp(-(given[gate] + held[gate]))) for gate in (0, 1))
    expected = (1 - update) * np.tanh(given[2] + reset * held[2]) + update * state
    np.testing.assert_allclose(letters._step(value, state, network, "enc"), expected, atol=1e-6)


def test_arpabet_in_kokoros_alphabet():
    assert from_arpabet(["HH", "AH0", "L", "OW1"]) == "həlˈO"
    assert from_arpabet(["B", "EH1", "T", "ER0"]) == "bˈɛTəɹ"
    assert from_arpabet(["AE1", "P", "AH0", "L"]) == "ˈæpᵊl"


@pytest.mark.parametrize(
    ("ipa", "expected"), [("kjˈuːbɚnˌiːts", "kjˈubəɹnˌits"), ("tˈɛnsoːɹflˌoʊ", "tˈɛnsɔɹflˌO"), ("dʒˈɔɪn\n", "ʤˈYn"), ("ɬ", "")]
)
def test_ipa_of_espeak_in_kokoros_alphabet(ipa, expected):
    assert from_ipa(ipa) == expected


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_reads_as_a_process(monkeypatch, tmp_path):
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    assert re.fullmatch("blˈɑɹʤ.fˌI", letters._by_espeak("blargify"))


def test_an_espeak_that_fails_is_passed_over(no_weights, monkeypatch, caplog):
    broken = no_weights / "espeak-ng"
    broken.write_text("#!/bin/sh\necho no voice >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(broken))
    caplog.set_level(logging.DEBUG)
    assert sounds("blargify") == "blˈɑɹɡɪfi"
    assert "no voice" in caplog.text


def test_all_characters_have_sounds():
    some = [chr(code) for code in range(0x4E00, 0x9FA6, 25)]
    unknown_to_misaki = "兙兡嗧桛烪瓧瓰瓱瓼甅"
    assert [character for character in (*some, *unknown_to_misaki) if not sounds(character, "zh")] == []


def test_chinese_needs_no_home_and_no_place_to_write(tmp_path):
    """jieba's cache and log stay away, in a process of its own without HOME and without a folder to write to."""
    code = (
        "import json; from speech.reading.text import clauses; from speech.reading.phonemes import spelled; "
        "print(json.dumps([w.phonemes for c in clauses('重庆人2个') for w in spelled(c)]))"
    )
    nowhere = tmp_path / "nowhere"
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path.cwd()), "TMPDIR": str(nowhere)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0].startswith("ꭧʰʊ↗ŋ")
    assert done.stderr == ""
    assert not nowhere.exists()
