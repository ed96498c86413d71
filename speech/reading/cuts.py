"""Where a text may be cut: paragraphs, lines, sentences, and inside a sentence that is too long for one breath."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from speech.reading.cleaning import HAN, LATIN

PARAGRAPH, SENTENCE, SEMICOLON, COMMA, NONE = 0.7, 0.4, 0.25, 0.18, 0.0
"""Seconds of silence after what ends so."""

_WRAPPED = 40
"""Characters of a line that may have been broken for its length alone."""
_CLOSING = "\"'”’」』）)】》\\]"
_SENTENCE_END = re.compile(
    rf"[。！？｡]+[.!?…。！？]*[{_CLOSING}]*|(?<![.!?…])[.!?…]+[{_CLOSING}]*(?=\s|$)|(?<=[{HAN}])(?:[!?]+|\.)(?=[{HAN}])|…{{2,}}|[；;](?=[{HAN}])"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:Dr|Mr|Mrs|Ms|Prof|St|Gen|Gov|Sen|Rep|Capt|Lt|Sgt|Col|Rev|Hon|Mt|Ft|No|Nos|Fig|fig|Vol|vol|Ch|Eq|pp?|cf|vs"
    r"|e\.g|i\.e|a\.k\.a|approx|ca|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|[A-HJ-Z])\.$|(?:^|\n)\s*\d{1,2}\.$"
)
_WEAKER = (
    re.compile(r"[；;：](?!\d)|:(?=\s)|\s[-–]\s|[—―]+|…+"),
    re.compile(rf"[，、]|(?<!\d),|,(?=\s(?!\d{{4}}\b))|[)）](?=[\s{HAN}])"),
    re.compile(r"\s(?=(?:and|but|or|because|which|who|when|while|where|if|so)\s)"),
    re.compile(r"\s(?=(?:that|than|to|with|for|from|in|on|at|of)\s)"),
    re.compile(rf"(?<=[{LATIN}])\s(?=[{LATIN}])|(?<=[{HAN}])\s(?=\D)"),
    re.compile(rf"\s|(?<=[{HAN}])(?=[{HAN}])"),
    re.compile(rf"(?<=[^{LATIN}\d])(?=.)"),
)


@dataclass(frozen=True)
class Span:
    """A piece of a text and the silence after it."""

    start: int
    end: int
    pause: float
    line: int
    """Pieces of different lines are never joined."""


def sentences(text: str) -> Iterator[Span]:
    """The sentences of a cleaned text in their order; between them is only white space."""
    lines = list(_lines(text))
    for number, (start, end, pause) in enumerate(lines):
        begin = start
        for found in _SENTENCE_END.finditer(text, start, end):
            if _ends(text, start, found, end):
                stop = SEMICOLON if found[0] in "；;" else SENTENCE
                yield Span(begin, found.end(), pause if found.end() >= end else stop, number)
                begin = found.end()
        if text[begin:end].strip():
            yield Span(begin, end, pause, number)


def fitted(span: Span, text: str, fits: Callable[[str], bool]) -> Iterator[Span]:
    """The span in pieces that fit, cut near the middle at the strongest mark there is."""
    if span.end - span.start < 2 or fits(text[span.start : span.end]):
        yield span
        return
    cut, pause = _cut(text, span)
    yield from fitted(replace(span, end=cut, pause=pause), text, fits)
    yield from fitted(replace(span, start=cut), text, fits)


def opening(span: Span, text: str, least: int, most: int) -> list[Span]:
    """A long first span with its first part on its own, `least` to `most` characters, so that the first sound comes early."""
    if span.end - span.start <= most:
        return [span]
    for marks in _WEAKER[: 3 if span.end - span.start > 2 * most else 2]:
        for found in marks.finditer(text, span.start + least, span.start + most):
            if found[0] != "、" and found.end() < span.end and text[found.end() : span.end].strip():
                first = replace(span, end=found.end(), pause=_pause(found[0]))
                return [first, replace(span, start=found.end())]
    return [span]


def joined(spans: list[Span], short: Callable[[Span], bool], fits: Callable[[Span], bool]) -> list[Span]:
    """Short spans together with the following one of their line, or the one before, where both fit."""
    whole = list[Span]()
    for span in spans:
        if whole and whole[-1].line == span.line and (short(whole[-1]) or short(span)):
            both = replace(whole[-1], end=span.end, pause=span.pause)
            if fits(both):
                whole[-1] = both
                continue
        whole.append(span)
    return whole


def _lines(text: str) -> Iterator[tuple[int, int, float]]:
    """Start, end and pause of each line; a long one and one that begins with a small letter are one."""
    start = 0
    for found in re.finditer(r"\n+", text):
        if _goes_on(text, found):
            continue
        if text[start : found.start()].strip():
            pause = PARAGRAPH if len(found[0]) > 1 else COMMA if text[found.start() - 1] in ",，、" else SENTENCE
            yield start, found.start(), pause
        start = found.end()
    if text[start:].strip():
        yield start, len(text), _last_pause(text[start:].rstrip())


def _goes_on(text: str, newlines: re.Match[str]) -> bool:
    long = newlines.start() - text.rfind("\n", 0, newlines.start()) > _WRAPPED
    small = re.match(r"[a-zß-öø-ÿ]", text[newlines.end() : newlines.end() + 1])
    return bool(len(newlines[0]) == 1 and long and small and text[newlines.start() - 1] not in ".!?")


def _last_pause(line: str) -> float:
    return COMMA if line[-1] in ",，、" else SEMICOLON if line[-1] in ";；:：" else SENTENCE


def _ends(text: str, start: int, found: re.Match[str], end: int) -> bool:
    """Whether the marks end a sentence: no abbreviation before, no small letter behind."""
    following = text[found.end() : end].lstrip()
    if not found[0].startswith("."):
        return not re.match(f"[{_CLOSING}]", following) and not (found[0][0] in "!?" and re.match("[a-z]", following))
    if len(found[0]) == 1 and _ABBREVIATION.search(text[max(start, found.end() - 12) : found.end()]):
        return False
    return not re.match("[a-z]", following)


def _cut(text: str, span: Span) -> tuple[int, float]:
    """Where the span is cut, and the silence there."""
    length = span.end - span.start
    middle = span.start + length // 2
    for low, high in ((length // 4, length - length // 4), (0, length)):
        for marks in _WEAKER:
            found = [
                mark for mark in marks.finditer(text, span.start, span.end)
                if max(low, 1) <= mark.end() - span.start <= min(high, length - 1) and text[mark.end() : span.end].strip()
                and text[span.start : mark.end()].strip()
            ]  # fmt: skip
            if found:
                best = min(found, key=lambda mark: abs(mark.end() - middle))
                return best.end(), _pause(best[0])
    return middle, NONE


def _pause(mark: str) -> float:
    mark = mark.strip()
    return NONE if not mark else COMMA if mark in ",，、)）" else SEMICOLON
