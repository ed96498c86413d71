"""Subtitles: cues that can be read, in files that players accept."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from media import ffmpeg
from speech.clause import Word
from speech.subtitles import COLUMNS, SHORTEST, cues, joined, srt, vtt

ENGLISH = (
    "When the committee finally met on Tuesday, it had, as everybody expected, nothing to say about the budget; the chair, "
    "who had been ill, thanked all of them for coming. Then they all left. Nobody knows why!"
)
CHINESE = (
    "这个平台把一段录像变成一个会说话的人，然后任何文字都可以由他说出来。真的吗？是的，而且很快；你只要等一会儿就可以看到结果了。"
)


def spoken(texts: list[str], each: float = 0.3, gap: float = 0.02) -> list[Word]:
    return [Word(text, place * (each + gap), place * (each + gap) + each) for place, text in enumerate(texts)]


def characters(text: str) -> list[str]:
    return re.findall(r".[，。！？；]*", text)


def width(line: str) -> int:
    return sum(2 if ord(sign) > 0x2E80 else 1 for sign in line)


@pytest.mark.parametrize(("words", "lines"), [(spoken(ENGLISH.split()), 2), (spoken(characters(CHINESE), 0.2), 1)])
def test_cues_fit_follow_each_other_and_lose_nothing(words: list[Word], lines: int) -> None:
    found = cues(words)
    assert len(found) > 3
    assert joined(line for cue in found for line in cue.lines) == joined(word.text for word in words)
    for cue in found:
        assert 1 <= len(cue.lines) <= lines and all(0 < width(line) <= COLUMNS for line in cue.lines)
        assert cue.end - cue.start >= min(SHORTEST, 0.9)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert found[0].start == words[0].start and found[-1].end >= words[-1].end


def test_languages_that_meet() -> None:
    words = ["Good", "morning.", "早", "上", "好。", "It", "is", "Python", "吗？"]
    assert joined(words) == "Good morning. 早上好。It is Python吗？"


def test_cuts_are_at_sentences_and_punctuation() -> None:
    ends = [cue.lines[-1][-1] for cue in cues(spoken(ENGLISH.split()))]
    assert ends[-1] == "!" and ends.count(".") == 2
    assert set(ends) <= set(",;.!")
    assert all(cue.lines[-1][-1] in "，。？；" for cue in cues(spoken(characters(CHINESE), 0.2)))


def test_no_cue_stands_over_a_long_pause() -> None:
    first, second = cues([Word("wait", 0.0, 0.5), Word("here", 6.0, 6.4)])
    assert first.end == pytest.approx(SHORTEST) and second.start == 6.0


def test_words_at_the_same_time_or_far_too_long_still_make_cues_in_order() -> None:
    found = cues([Word("a.", 1.0, 1.0), Word("b.", 1.0, 1.0), Word("x" * 100, 1.0, 30.0)])
    assert all(before.end <= after.start and before.start < before.end for before, after in pairwise(found))
    assert found[-1].lines == ("x" * 100,)


def test_nothing_said_is_an_empty_file() -> None:
    assert srt([]) == "" and vtt([]) == "WEBVTT\n"
    assert cues([Word(" \n", 0, 1)]) == []


def test_what_looks_like_a_tag_a_time_or_a_line_stays_text() -> None:
    words = [Word("<b>\n\nx</b>", 3661.5, 3662), Word("a-->b", 3662, 3663.9994), Word("&amp;", 3664, 3665)]
    assert srt(words) == "1\n01:01:01,500 --> 01:01:05,300\n＜b＞ x＜/b＞ a--＞b &amp;\n"
    assert vtt(words) == "WEBVTT\n\n01:01:01.500 --> 01:01:05.300\n&lt;b&gt; x&lt;/b&gt; a--&gt;b &amp;amp;\n"


@pytest.mark.parametrize(("form", "name"), [(srt, "a.srt"), (vtt, "a.vtt")])
def test_ffmpeg_reads_them(form: object, name: str, tmp_path: Path) -> None:
    assert callable(form)
    (tmp_path / name).write_text(form(spoken(ENGLISH.split())), "utf-8")
    done = ffmpeg.run(["-loglevel", "error", "-i", str(tmp_path / name), "-f", "srt", "-"])
    assert done.code == 0 and not done.stderr
    assert done.stdout.count(" --> ") == len(cues(spoken(ENGLISH.split())))
    assert "nothing to say about the budget" in " ".join(done.stdout.split())
