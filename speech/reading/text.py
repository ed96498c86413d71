"""Text becomes clauses: cleaned, its language found, cut into pieces that an engine speaks in one go, numbers put into words."""

import re
from functools import lru_cache

from speech.clause import Clause
from speech.errors import TextEmpty, TextTooLong, TextUnspeakable
from speech.reading import cuts, english, mandarin
from speech.reading.cleaning import HAN, LATIN, cleaned
from speech.reading.cuts import Span
from speech.reading.scripts import dominant, language_code, part_language, require_known, romanised

MOST_CHARACTERS = 20_000
"""Of a text: about half an hour of speech."""
MOST_SPOKEN = {"en": 250, "zh": 82}
"""Characters of a clause as read out: XTTS v2 speaks no more at once."""
MOST_SYMBOLS = 500
"""Of a clause's phonemes, by an estimate that is never too low; Kokoro speaks 510 at once."""
FIRST = {"en": (8, 45), "zh": (3, 12)}
"""Characters of the first clause, where a mark allows it: the shorter, the earlier the first sound."""
_LONGEST_READ = 1000
"""Written characters; a longer piece is cut before anything is read out."""
SHORT = {"en": 12, "zh": 4}
"""Clauses with fewer letters and digits are spoken together with a neighbour."""

_CHINESE_PART = re.compile(rf"(?:[\d.,:%/-]*\d[\d.,:%/-]*)?[{HAN}](?:[{HAN}\d.,:%/，。、-]*[{HAN}\d%])?")
_HAN = re.compile(f"[{HAN}]")
_TOKEN = re.compile(f"[{LATIN}]+")
_CAPITAL = re.compile("[A-Z]")
_VOWEL = re.compile("[aeiouyà-öø-ÿāăēĕīĭōŏūŭAEIOUY]")


def clauses(text: str, language: str | None = None) -> list[Clause]:
    """What is spoken one after the other; every letter and digit of the text is in one of them. A language that is not given is
    found for each clause by its letters.

    Raises:
        TextEmpty, TextTooLong, TextUnspeakable: nothing to read, too much, or no letter and no number in it.
        LanguageUnsupported: a language, or letters, that nothing here speaks.
    """
    if len(text) > MOST_CHARACTERS:
        raise TextTooLong(length=len(text), limit=MOST_CHARACTERS)
    given = language_code(language) if language else None
    shown = cleaned(text)
    if not text.strip() or (not shown and not re.search(r"[^\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]", text)):
        raise TextEmpty
    if not any(character.isalnum() for character in shown):
        raise TextUnspeakable
    require_known(shown)
    main = given or dominant(shown) or "en"
    found = [_clause(shown, span, given, main) for span in _spans(shown, given, main)]
    return [clause for clause in found if _TOKEN.search(clause.spoken) or _HAN.search(clause.spoken)]


@lru_cache(maxsize=1024)
def spoken(text: str, language: str) -> str:
    """A piece of text as it is read out; parts in the other language are read in theirs."""
    text = re.sub(r"\s+", " ", romanised(text)).strip()
    if language == "zh":
        return mandarin.read(text)
    if not _HAN.search(text):
        return english.read(text)
    parts, end = list[str](), 0
    for found in _CHINESE_PART.finditer(text):
        parts += [english.read(text[end : found.start()]), mandarin.read(found[0])]
        end = found.end()
    parts.append(english.read(text[end:]))
    return re.sub(r"\s+(?=[,.!?;:，。！？；：、])", "", " ".join(part for part in parts if part))


def symbols(words: str) -> int:
    """No fewer than the phonemes of words as read out, spaces included."""
    count = 8 * len(_HAN.findall(words))
    for found in _TOKEN.finditer(words):
        spelled = len(found[0]) == 1 or found[0].isupper() or not _VOWEL.search(found[0])
        count += 9 * len(found[0]) if spelled else round(1.3 * len(found[0])) + 3 + 8 * len(_CAPITAL.findall(found[0][1:]))
    return count + 2 * len(re.findall(rf"[^\s\w{HAN}]", words)) + words.count(" ")


def _spans(shown: str, given: str | None, main: str) -> list[Span]:
    """The clauses' places in the cleaned text."""

    def fits(piece: str) -> bool:
        if len(piece) > _LONGEST_READ:
            return False
        language = part_language(piece, main, given is not None)
        words = spoken(piece, language)
        return len(words) <= MOST_SPOKEN[language] and symbols(words) <= MOST_SYMBOLS

    def short(span: Span) -> bool:
        piece = shown[span.start : span.end]
        return sum(map(str.isalnum, piece)) < SHORT[part_language(piece, main, given is not None)]

    whole = cuts.joined(list(cuts.sentences(shown)), short, lambda span: fits(shown[span.start : span.end]))
    if whole:
        least, most = FIRST[part_language(shown[whole[0].start : whole[0].end], main, given is not None)]
        whole[:1] = cuts.opening(whole[0], shown, least, most)
    return [piece for span in whole for piece in cuts.fitted(span, shown, fits)]


def _clause(shown: str, span: Span, given: str | None, main: str) -> Clause:
    text = re.sub(r"\s+", " ", shown[span.start : span.end]).strip()
    language = part_language(text, main, given is not None)
    return Clause(text, spoken(text, language), language, span.pause)
