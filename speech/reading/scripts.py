"""Which language a text is in, by its letters, and what of it nothing here can speak."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from anyascii import anyascii

from speech.errors import LanguageUnsupported
from speech.reading.cleaning import HAN, LATIN

KNOWN = "zh and en"
_CODES = {"zh": "zh", "cmn": "zh", "en": "en"}
_NAMES = {
    "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean",
    "CYRILLIC": "Russian or another language in Cyrillic letters",
    "ARABIC": "Arabic or another language in Arabic letters", "HEBREW": "Hebrew", "THAI": "Thai", "GREEK": "Greek",
    "DEVANAGARI": "Hindi or another language in Devanagari letters",
}  # fmt: skip
_LARGEST_SHARE = 0.25
"""Of all letters that may be of other scripts: a name or a quotation is spoken by its Latin form, a text is refused."""
_HAN = re.compile(f"[{HAN}]")
_LATIN_WORD = re.compile(rf"[{LATIN}]+(?:['’][{LATIN}]+)*")
_ENGLISH_WORD = re.compile(r"(?<![\d/A-Za-z°])[A-Za-z]{2,}")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[!-~]+|(?<![A-Za-z0-9_.+-])(?:[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+|(?:[A-Za-z0-9-]+\.)+[a-z]{2,})"
)
_LATIN_LETTER = re.compile(f"[{LATIN}ªºˈ-ˌ]")


def language_code(language: str) -> str:
    """`zh` or `en` of a language tag (`zh-CN`, `en_US`). Raises LanguageUnsupported."""
    primary = re.split("[-_]", language.strip().lower())[0]
    if primary not in _CODES:
        raise LanguageUnsupported(language=language, known=KNOWN)
    return _CODES[primary]


def dominant(text: str) -> str | None:
    """`zh` where Chinese characters are no fewer than Latin words, else `en`; None without either."""
    text = _ADDRESS.sub(" ", text)
    characters, words = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    if not characters and not words:
        return None
    return "zh" if characters >= words else "en"


def part_language(part: str, main: str, given: bool) -> str:
    """The language of a part of a text that is mainly, or said to be, in `main`. Two Latin words are no English yet."""
    if main == "zh" and not _HAN.search(part):
        return "en" if len(_ENGLISH_WORD.findall(_ADDRESS.sub(" ", part))) >= 3 else "zh"
    if main == "en" and given and _LATIN_WORD.search(part):
        return "en"
    return main if given and main == "zh" else dominant(part) or main


def require_known(text: str) -> None:
    """Raises LanguageUnsupported when more than a quarter of the letters are neither Chinese nor Latin."""
    words = (word for word in re.findall(r"\w+", text) if _is_foreign_word(word))
    foreign = Counter(script for script in map(_foreign, "".join(words)) if script)
    if foreign.total() > _LARGEST_SHARE * sum(map(str.isalpha, text)):
        script = foreign.most_common(1)[0][0]
        raise LanguageUnsupported(language=_NAMES.get(script, f"a language in {script.title()} letters"), known=KNOWN)


def romanised(text: str) -> str:
    """Words of other scripts in Latin letters: привет → privet. Single Greek letters stay: they are signs."""
    if not any(_foreign(character) for character in text):
        return text
    return re.sub(r"\w+", lambda found: "".join(map(_latin, found[0])) if _is_foreign_word(found[0]) else found[0], text)


def _is_foreign_word(word: str) -> bool:
    scripts = [_foreign(character) for character in word]
    return any(scripts) and not (scripts.count(None) + scripts.count("GREEK") == len(word) and scripts.count("GREEK") == 1)


def _latin(character: str) -> str:
    return anyascii(character) if _foreign(character) else character


@lru_cache(maxsize=4096)
def _foreign(character: str) -> str | None:
    """The script of a letter that is neither Chinese nor Latin."""
    if not character.isalpha() or _HAN.match(character) or _LATIN_LETTER.match(character):
        return None
    script = unicodedata.name(character, "UNKNOWN").split()[0]
    return None if script in ("LATIN", "MODIFIER", "CJK", "MICRO", "FEMININE", "MASCULINE") else script
