"""Which of a word's readings is meant, by its neighbours: `I will record a record`."""

import re
from dataclasses import dataclass

from speech.reading.lists import set_of

_DETERMINERS = set_of(
    "the a an my your his her its our their this that these those some any no each every another of in on for with per "
    "new old good bad "
    "great big small first second next last own best many few several most more both all"
)
_VERB_SIGNS = set_of(
    "to will would can could may might must shall should do does did don't doesn't didn't can't won't couldn't wouldn't "
    "shouldn't i you we "
    "they who please let's not never always also cannot i'll you'll we'll they'll i'd you'd we'd they'd and then"
)
_SINGULAR = set_of("he she it who that which")
_PERFECT = set_of("have has had having i've you've we've they've been was were is are be being he's she's just already")
_PAST = set_of("yesterday ago last was were did had earlier once before")
_OBJECTS = set_of("the a an my your his her its our their this that these those it them me us him all")
_WEAK: dict[str, dict[bool | None, str]] = {
    "the": {None: "ðə", False: "ðə", True: "ði"},
    "a": {False: "ɐ", True: "ɐ"},
    "an": {None: "ɐn", False: "ɐn", True: "ɐn"},
    "to": {None: "tu", False: "tə", True: "tʊ"},
    "in": {None: "ˈɪn", False: "ɪn", True: "ɪn"},
    "i": {None: "ˌI", False: "ˌI", True: "ˌI"},
}
"""By whether a vowel follows."""


@dataclass(frozen=True)
class Context:
    """The words around a word, small letters; empty at a clause's ends and beside marks."""

    before: str = ""
    after: str = ""
    vowel: bool | None = None
    """Whether the next word begins with a vowel's sound; None where no word follows."""
    words: frozenset[str] = frozenset()
    """All words of the clause."""
    first: bool = False
    shouted: bool = False
    """The whole clause is in capitals, so that capitals mean nothing."""


def weak_form(word: str, context: Context) -> str | None:
    """Small words whose sound depends on what follows; None for others. `word` as written."""
    low = word.lower()
    if low == "used" and context.after == "to":
        return "jˈust"
    if low in ("a", "an", "in") and word.isupper() and not context.shouted and not (low == "a" and context.first):
        return None  # a letter, an abbreviation
    if low == "a" and context.vowel is None:
        return None
    return _WEAK[low][context.vowel] if low in _WEAK and (low != "i" or word == "I") else None


def reading(word: str, readings: dict[str, str | None], context: Context) -> str | None:
    """One reading of an entry that has several, by part of speech (VERB, NOUN, …), else DEFAULT; None: to be spelled out."""
    if context.vowel is None and "None" in readings:
        return readings["None"]
    kind = _kind(word, readings, context)
    return readings.get(kind, readings["DEFAULT"])


def _kind(word: str, readings: dict[str, str | None], context: Context) -> str:
    if "VBN" in readings:
        past = context.before in _PERFECT or (
            context.words & _PAST and context.before not in _VERB_SIGNS - {"i", "you", "we", "they", "and"}
        )
        third = context.before in ("he", "she", "it")
        return "VBD" if past or third else "DEFAULT"
    if "VERB" in readings and _is_verb(word, context):
        return "VERB"
    if "NOUN" in readings and context.before in _DETERMINERS and not _is_verb(word, context):
        return "NOUN" if not _before_noun(context) or "ADJ" not in readings else "ADJ"
    if "ADJ" in readings and context.before in ("very", "so", "too", "more", "most"):
        return "ADJ"
    return "DEFAULT"


def _is_verb(word: str, context: Context) -> bool:
    if context.before in _VERB_SIGNS:
        return context.before not in ("and", "then") or context.after in _OBJECTS
    if word.endswith("s") and context.before in _SINGULAR:
        return True
    return not context.before and context.after in _OBJECTS


def _before_noun(context: Context) -> bool:
    return bool(re.fullmatch("[a-z]+", context.after)) and context.after not in _OBJECTS
