"""Subtitles from word times: SubRip and WebVTT."""

import argparse
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from media.files import write_text
from speech.clause import Word

COLUMNS = 42
"""Of a line; a Chinese character takes two."""
LINES = 2
"""Of a cue; one where most is Chinese."""
SHORTEST, LONGEST = 1.0, 7.0
"""Seconds that a cue stays, where the next one leaves room; seconds after which it ends at the next word."""
SILENCE = 0.7
"""Seconds between two words over which no cue stands."""
LINGER = 0.3
"""Seconds that a cue stays after its last word, where there is room."""
_MARKS = ".,!?;:"
_SENTENCE = re.compile(r"[.!?。！？…][\"'”’」』）)]*$")
_CLAUSE = re.compile(r"[,;:，；：、—][\"'”’」』）)]*$")
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_UNIT = re.compile(r"(?:[\u3400-\u9fff\uf900-\ufaff]|[^\s\u3400-\u9fff\uf900-\ufaff]+)[，。！？；：、…—”’」』）]*\s*")
"""What is not broken: a Chinese character or a word, its punctuation with it."""
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Cue:
    """What stands on the picture at once."""

    start: float
    end: float
    lines: tuple[str, ...]


def options(parser: argparse.ArgumentParser) -> None:
    """The words that ask for subtitles."""
    parser.add_argument("--srt", type=Path, help="also write SubRip subtitles")
    parser.add_argument("--vtt", type=Path, help="also write WebVTT subtitles")


def write(arguments: argparse.Namespace, words: Sequence[Word]) -> None:
    """The files that are asked for. Raises DiskFull."""
    for path, form in ((arguments.srt, srt), (arguments.vtt, vtt)):
        if path:
            write_text(path, form(words))


def srt(words: Iterable[Word]) -> str:
    """SubRip. It has no escapes: what would be a tag is written with full-width brackets."""
    blocks = []
    for number, cue in enumerate(cues(words), 1):
        text = "\n".join(cue.lines).replace("<", "＜").replace(">", "＞")
        blocks.append(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(words: Iterable[Word]) -> str:
    """WebVTT."""
    blocks = ["WEBVTT\n"]
    for cue in cues(words):
        text = html.escape("\n".join(cue.lines), quote=False)
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def cues(words: Iterable[Word]) -> list[Cue]:
    """Cues in order, none over the next: cut at the end of a sentence, at pauses, and where they would be too long, there at
    punctuation when some is near.
    """
    clean = [Word(text, word.start, word.end) for word in words if (text := _BLANK.sub(" ", word.text).strip())]
    groups = [group for sentence in _sentences(clean) for group in _fitting(sentence)]
    found = list[Cue]()
    for group, following in zip_longest(groups, groups[1:]):
        start = max(group[0].start, found[-1].end if found else 0.0)
        wanted = max(group[-1].end + LINGER, start + SHORTEST)
        end = max(min(wanted, following[0].start) if following else wanted, start + 0.001)
        found.append(Cue(start, end, tuple(_lines(_text(group)))))
    return found


def joined(texts: Iterable[str]) -> str:
    """Pieces of text as one: a space between two, unless one is Chinese at that side and no mark of ours ends the first."""
    whole = ""
    for text in texts:
        apart = whole and text and not _WIDE.match(whole[-1]) and (whole[-1] in _MARKS or not _WIDE.match(text[0]))
        whole += f"{' ' if apart else ''}{text}"
    return whole


def _sentences(words: Sequence[Word]) -> list[list[Word]]:
    """Cut after sentences and before silences; what is shown too shortly joins its successor while both fit."""
    found = list[list[Word]]()
    for word in words:
        last = found[-1][-1] if found else None
        if last is None or _SENTENCE.search(last.text) or word.start - last.end > SILENCE:
            short = found and word.start - found[-1][0].start < SHORTEST and word.start - found[-1][-1].end <= SILENCE
            if not short:
                found.append([])
        found[-1].append(word)
    return found


def _fitting(words: list[Word]) -> list[list[Word]]:
    """A sentence as cues that fit: halved where the cut is best until they do."""
    if len(words) < 2 or _fits(words):
        return [words]
    total = _width(_text(words))

    def cost(place: int) -> float:
        before = words[place - 1]
        uneven = abs(_width(_text(words[:place])) / total - 0.5)
        pause = words[place].start - before.end
        return uneven - 0.3 * bool(_CLAUSE.search(before.text) or _SENTENCE.search(before.text)) - min(pause, 0.3)

    place = min(range(1, len(words)), key=cost)
    return _fitting(words[:place]) + _fitting(words[place:])


def _fits(words: Sequence[Word]) -> bool:
    text = _text(words)
    lines = 1 if len(_HAN.findall(text)) * 4 > _width(text) else LINES
    return len(_lines(text)) <= lines and words[-1].end - words[0].start <= LONGEST


def _text(words: Iterable[Word]) -> str:
    return joined(word.text for word in words)


def _lines(text: str) -> list[str]:
    """Broken at spaces, or between Chinese characters, into lines of at most COLUMNS and of about one length."""
    if _width(text) <= COLUMNS:
        return [text]
    units = _UNIT.findall(text)
    for columns in (min(COLUMNS, _width(text) // 2 + 4), COLUMNS):  # of about one length, where that makes no more of them
        lines = [""]
        for unit in units:
            if lines[-1] and _width((lines[-1] + unit).rstrip()) > columns:
                lines.append("")
            lines[-1] += unit
        if len(lines) <= LINES:
            break
    return [line.strip() for line in lines]


def _width(text: str) -> int:
    return len(text) + len(_WIDE.findall(text))


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"
