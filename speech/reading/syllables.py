"""Chinese characters in Kokoro's alphabet: jieba finds the words, pypinyin their syllables, misaki's table the sounds."""

import logging
import re
from functools import cache
from typing import Any

from anyascii import anyascii

from speech.reading import letters
from speech.reading.lists import set_of

_AFTER_DE = set_of("很 太 非常 不 更 多 好 真 特别 挺 十分 比较 这么 那么 越来越")
_AFTER_GROUND = set_of("上 里 下 中 是 的 有 在 和 也 都")
_NON_SYLLABIC = "\u032f"


def words(characters: str) -> list[list[str]]:
    """The words of a run of Chinese characters, each as the sounds of its characters."""
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415 - for Chinese alone

    found = list[list[str]]()
    parts = _tokenizer().lcut(characters)
    for before, word, after in zip(["", *parts[:-1]], parts, [*parts[1:], ""], strict=True):
        if _is_particle(before, word, after):
            found.append([_sounds(word, "de5")])
            continue
        syllables = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True)
        if len(syllables) != len(word):  # characters without a reading stay together
            syllables = [lazy_pinyin(character, style=Style.TONE3, neutral_tone_with_five=True)[0] for character in word]
        found.append([_sounds(character, syllable) for character, syllable in zip(word, syllables, strict=True)])
    return found


def _is_particle(before: str, word: str, after: str) -> bool:
    """讲得很清楚, 慢慢地走: 得 and 地 as particles, whose other readings pypinyin prefers."""
    if word == "得":
        return bool(before) and after in _AFTER_DE
    return word == "地" and len(before) > 1 and bool(after) and after not in _AFTER_DE and after not in _AFTER_GROUND


def _sounds(character: str, syllable: str) -> str:
    """The syllable's sounds and tone; a character that pypinyin does not know is read by anyascii's transliteration."""
    from misaki.zh import ZHG2P  # noqa: PLC0415 - for Chinese alone

    if re.fullmatch("[a-zêü]+[1-5]", syllable):
        try:
            sounds: str = ZHG2P.py2ipa(syllable)
        except ValueError:  # a syllable that misaki's table lacks
            logging.getLogger(__name__).debug("%s: no sounds for %s", character, syllable)
        else:
            return sounds.replace(_NON_SYLLABIC, "")
    plain = re.sub("[^a-z]", "", anyascii(character).lower())
    return letters.sounds(plain) if plain else ""


@cache
def _tokenizer() -> Any:
    """jieba's dictionary, built anew: its cache would lie in a folder that everybody can write to, or that nobody can."""
    import jieba  # noqa: PLC0415 - 1 s, for Chinese alone

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
