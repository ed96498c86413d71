"""Text becomes clauses: cleaned, cut, nothing lost, what cannot be spoken refused by name."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.errors import LanguageUnsupported, SpeechError, TextEmpty, TextTooLong, TextUnspeakable
from speech.reading.cleaning import cleaned
from speech.reading.text import MOST_CHARACTERS, MOST_SPOKEN, clauses

LONG = "word " * 200


def spoken(text: str, language: str | None = None) -> str:
    return " ".join(clause.spoken for clause in clauses(text, language))


def shown(text: str) -> list[str]:
    return [clause.text for clause in clauses(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<speak>hi &amp; bye</speak>", "hi and bye"),
        ('<speak version="1.1"><prosody rate="slow">Good</prosody> morning</speak>', "Good morning"),
        ("<b>Bold</b> and <i>italic</i><br/>text", "Bold and italic text"),
        ("<mstts:express-as style='cheerful'>Hello</mstts:express-as> there", "Hello there"),
        ("<script>alert(1)</script>Safe<!-- secret -->", "Safe"),
        ("Hello 👋🏽 world! I ❤️ you 👨‍👩‍👧.", "Hello world! I you."),
        ("你好👍的世界🎉。", "你好的世界。"),
        ("1️⃣ one", "one one"),
        ("zero\u200bwidth and\u0007 bell\u202e", "zerowidth and bell"),
        ("ＡＢＣ　ｄｅｆ", "ABC def"),
        ("ﬁne 𝓗𝓮𝓵𝓵𝓸", "fine Hello"),
        ("# Title", "Title"),
        ("**Bold** `code` [link](https://example.com/x)", "Bold code link"),
        ("a < b and c > d", "a less than b and c greater than d"),
    ],
)
def test_what_is_not_spoken_is_taken_out(text, expected):
    assert spoken(text) == expected


def test_a_sign_that_is_no_tag_keeps_its_letters():
    assert cleaned("x<y, vector<int> z>w") == "x<y, vector<int> z>w"


def test_text_as_written_stays_beside_what_is_spoken():
    (clause,) = clauses("It costs $5.")
    assert (clause.text, clause.spoken, clause.language) == ("It costs $5.", "It costs five dollars.", "en")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", TextEmpty), (" \n\t", TextEmpty), ("\x00\x01\u200b", TextEmpty),
        ("😀🎉", TextUnspeakable), ("...!?", TextUnspeakable), ("<speak></speak>", TextUnspeakable), ("。，！", TextUnspeakable),
        ("x" * 100_000, TextTooLong), ("x" * (MOST_CHARACTERS + 1), TextTooLong),
    ],
)  # fmt: skip
def test_what_cannot_be_spoken_is_refused(text, error):
    with pytest.raises(error):
        clauses(text)


def test_the_longest_text_is_read():
    assert clauses("a" * MOST_CHARACTERS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Привет, как дела?", "Cyrillic"), ("こんにちは、元気ですか", "Japanese"), ("今日はいい天気ですね", "Japanese"),
        ("안녕하세요", "Korean"),
        ("مرحبا بالعالم", "Arabic"), ("שלום עולם", "Hebrew"), ("नमस्ते दुनिया", "Devanagari"), ("ჰელო", "Georgian"),
    ],
)  # fmt: skip
def test_languages_without_a_voice_are_named(text, name):
    with pytest.raises(LanguageUnsupported, match=name):
        clauses(text)


def test_a_language_asked_for_that_is_none_of_ours_is_refused():
    with pytest.raises(LanguageUnsupported, match="fr"):
        clauses("Bonjour", "fr")
    assert clauses("Hello", "en-US")[0].language == "en"
    assert clauses("你好", "zh_CN")[0].language == "zh"


def test_a_foreign_word_among_others_is_spoken_by_its_latin_form():
    assert spoken("The Russian word for hello is привет, they say.") == "The Russian word for hello is privet, they say."


def test_each_clause_has_the_language_of_its_letters():
    found = clauses("It is 5 o'clock now and we are going home. 现在是5点，我们回家吧。")
    assert [clause.language for clause in found] == ["en", "zh"]
    assert found[0].spoken.startswith("It is five o'clock") and "五点" in found[1].spoken


def test_letters_that_are_missing_take_the_language_of_the_whole():
    assert clauses("1234", "zh")[0].spoken == "一千二百三十四"
    assert clauses("1234")[0].spoken == "one thousand two hundred thirty-four"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (
            "Dr. Smith met J. K. Rowling at 5 p.m. on Jan. 5 in St. Louis, e.g. for No. 5.",
            1,
        ),
        ("Version 3.14 costs $2.50 at example.com today and tomorrow.", 1),
        ("Are you sure about it? Yes, I am quite sure! Let us leave this place now.", 3),
        ("你今天去哪里了？我去图书馆看书了。晚上一起吃饭吧！", 3),
    ],
)
def test_clauses_end_where_sentences_end(text, count):
    assert len(clauses(text)) == count


def test_a_first_clause_is_short_so_that_sound_comes_early():
    first = clauses("Well then, this is what happened on the evening of the day before yesterday in our little town.")[0]
    assert first.text == "Well then,"
    assert clauses("大家好，欢迎收听今天的节目，我们要谈谈人工智能。")[0].text == "大家好，"


def test_very_short_sentences_are_spoken_together():
    assert shown("We should go there together. Yes. Do you think that it will rain?") == [
        "We should go there together. Yes.",
        "Do you think that it will rain?",
    ]


def test_pauses_follow_the_marks():
    found = clauses(
        "The first sentence ends here. The second one, " + "a long one, " * 30 + "ends there.\n\nThe last paragraph is here."
    )
    pauses = [clause.pause for clause in found]
    assert pauses[0] > pauses[1] > 0
    assert pauses[-2] > pauses[-1] == pauses[0]


def test_lines_broken_for_their_length_go_on():
    text = "This is a line that somebody has broken because of\nits length alone. The rest follows."
    assert shown(text)[0].endswith("because of its length alone.")
    assert shown("Milk and sugar\nbread and butter") == ["Milk and sugar", "bread and butter"]


@pytest.mark.parametrize(
    "text", [LONG, "汉" * 1000, "x" * 1000, "WWW " * 300, "8" * 500, "很长的句子，" * 200, "A" * 999 + "b" * 999]
)
def test_no_clause_is_longer_than_engines_speak(text):
    for clause in clauses(text):
        assert 0 < len(clause.spoken) <= MOST_SPOKEN[clause.language]


def test_a_sentence_without_marks_is_cut_between_words():
    assert all(set(clause.text.split()) == {"word"} for clause in clauses(LONG))


LETTERS = st.sampled_from("abcXYZéü中文字一二你好的。，、！？；：,.;:!?'-—()“”\n    0123456789%$¥/+=~")


@settings(max_examples=300, deadline=None)
@given(st.text(LETTERS, max_size=400), st.sampled_from([None, "en", "zh"]))
def test_every_letter_and_digit_of_the_text_is_in_a_clause_in_order(text, language):
    kept = re.findall(r"\w", text)
    try:
        found = clauses(text, language)
    except SpeechError:
        assert not kept
        return
    assert re.findall(r"\w", "".join(clause.text for clause in found)) == kept
    assert all(re.search("[A-Za-zéü\u4e00-\u9fff]", clause.spoken) for clause in found)
    assert not any(re.search("[0-9]", clause.spoken) for clause in found)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_becomes_clauses_or_a_named_error(text):
    try:
        found = clauses(text)
    except SpeechError:
        return
    assert all(len(clause.spoken) <= MOST_SPOKEN[clause.language] for clause in found)


@pytest.mark.parametrize(
    "piece", [".", "?", "-", "a.", "a-", '"', "1.", "<", "[a](", "_a", "1:", "+1 ", "&amp;", "汉，", "\n", "$1"]
)
def test_no_text_takes_long(piece):
    begun = time.process_time()
    clauses((piece * MOST_CHARACTERS)[: MOST_CHARACTERS - 2] + " a")
    assert time.process_time() - begun < 3
