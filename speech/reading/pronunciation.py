"""English words in Kokoro's alphabet: misaki's dictionaries, inflections and compounds of their words, else by the letters."""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from anyascii import anyascii

from speech.reading import letters
from speech.reading.context import Context, reading, weak_form
from speech.reading.lists import set_of
from speech.reading.supplement import WORDS

_VOWELS = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ"
_FLAPPED_AFTER = "AIOWYiuæɑəɛɪɹʊʌ"
"""Between these and a vowel without stress, t is flapped."""
_SHOUTED = set_of(
    "the and not you all new now get how why who what our out one two can may yes no ok so but for are was has had her "
    "his its see let "
    "say big bad day men way off top hot red up on in is be we me my do go he if of or as at by to am an"
)
"""Words of up to three letters that are words in capitals too; others are spelled out."""
_PREFIXES = {"un": "ʌn", "re": "ɹi", "non": "nɑn", "anti": "ˌænti", "pre": "pɹi", "multi": "mˌʌlti", "over": "ˌOvəɹ",
    "sub": "sʌb",
             "super": "sˌupəɹ", "micro": "mˌIkɹO", "mis": "mɪs", "co": "kO", "inter": "ˌɪntəɹ", "cyber": "sˌIbəɹ",
             "hyper": "hˌIpəɹ"}  # fmt: skip
_SUFFIXES = {"ly": "li", "ness": "nəs", "less": "ləs", "ment": "mᵊnt", "ful": "fᵊl", "ers": "əɹz", "er": "əɹ", "est": "əst",
    "able": "əbᵊl",
             "ish": "ɪʃ", "like": "lˌIk", "ism": "ˌɪzəm", "ist": "ɪst"}  # fmt: skip
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

Entry = str | dict[str, str | None]


def pronounced(word: str, context: Context) -> str:
    """A word of Latin letters, apostrophes and hyphens inside; never empty. What comes first sound by sound: the small words, the
    dictionary, capitals letter by letter, hyphens, inflections, compounds, the letters.
    """
    word = word.replace("’", "'").replace("‘", "'")
    if not word.isascii():
        plain = re.sub("[^A-Za-z'-]", "", anyascii(word))
        word = plain or "x"
    found = weak_form(word, context) or _whole(word, context)
    return found.replace("ɾ", "T").replace("ʔ", "t")


def spelled_out(capitals: str) -> str:
    """USA → jˌuˌɛsˈA: each letter by its name, the last one stressed."""
    names = "".join(_sounds_of(letter.upper()) for letter in capitals if letter.isalpha()).replace("ˈ", "ˌ")
    head, stress, last = names.rpartition("ˌ")
    return f"{head}ˈ{last}" if stress else names


def _whole(word: str, context: Context) -> str:
    """The first that has an answer."""
    ways = (_capitals, _known, _quoted, _hyphenated, _inflected, _camel, _elided, _compound)
    return next((found for way in ways if (found := way(word, context))), None) or _by_letters(re.sub("[^a-z]", "", word.lower()))


def _by_letters(word: str) -> str:
    """Without a vowel there is nothing to be pronounced together."""
    return letters.sounds(word) if re.search("[aeiouy]", word) and len(word) > 1 else spelled_out(word)


def _known(word: str, context: Context) -> str | None:
    """What the dictionaries say of the word as written, in small letters, or as a name."""
    if len(word) == 1 and word.isalpha():
        return _sounds_of(word.upper())
    low = word.lower()
    if low in WORDS:
        return WORDS[low]
    gold, silver = _dictionaries()
    forms = (word,) if word in gold or word in silver else (low, low.capitalize())
    for form in forms:
        entry = gold.get(form) or silver.get(form)
        if isinstance(entry, dict):
            entry = reading(low, entry, context)
        if entry:
            return _stressed(entry, word)
    return None


def _capitals(word: str, context: Context) -> str | None:
    """Words in capitals, `CPUs` and `U.S.`: as words where they are, else letter by letter. None for others."""
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]?", word):
        return spelled_out(word)
    found = re.fullmatch(r"([A-Z]{2,})('?s)?", word)
    if not found:
        return None
    base, ending = found[1], found[2]
    gold, _ = _dictionaries()
    low = base.lower()
    if context.shouted and not ending and (low in gold or len(low) > 4):
        return None
    if low in WORDS:
        spoken = WORDS[low]
    elif isinstance(gold.get(base), str):
        spoken = str(gold[base])
    elif low in _SHOUTED or (len(low) > 3 and low in gold and base not in gold) or (len(low) > 4 and re.search("[AEIOUY]", base)):
        return None if not ending else _plural(_whole(low, context))
    else:
        spoken = spelled_out(base)
    return _plural(spoken) if ending else spoken


def _quoted(word: str, context: Context) -> str | None:
    """Apostrophes at the ends, which may be quotation marks."""
    inside = word.strip("'")
    return _whole(inside or "s", context) if inside != word else None


def _elided(word: str, context: Context) -> str | None:
    """What stands before an apostrophe, and behind it."""
    head, apostrophe, tail = word.partition("'")
    return _whole(head, context) + _by_letters(tail.replace("'", "").lower()) if apostrophe else None


def _hyphenated(word: str, context: Context) -> str | None:
    """The parts in one go; of several stressed ones the shorter have the secondary stress."""
    if "-" not in word:
        return None
    parts = [_whole(part, Context(shouted=context.shouted, vowel=False)) for part in word.split("-") if part.strip("'")]
    stressed = [number for number, part in enumerate(parts) if "ˈ" in part]
    if len(stressed) > 1:
        main = max(stressed, key=lambda number: len(parts[number]))
        parts = [part if number == main else part.replace("ˈ", "ˌ") for number, part in enumerate(parts)]
    return "".join(parts)


def _inflected(word: str, context: Context) -> str | None:
    """-s, -ed, -ing, 's and common beginnings and endings, of words that a dictionary has."""
    low = word.lower()
    for stem, inflect in _stems(low):
        known = _known(stem, context) if len(stem) > 1 else None
        if known:
            return _stressed(inflect(known), word)
    return _derived(low, context)


def _derived(low: str, context: Context) -> str | None:
    for suffix, spoken in _SUFFIXES.items():
        for stem in (low.removesuffix(suffix), low.removesuffix(suffix) + "e") if low.endswith(suffix) else ():
            known = _known(stem, context) if len(stem) > 3 else None
            if known:
                return known + spoken
    for prefix, spoken in _PREFIXES.items():
        rest = low.removeprefix(prefix)
        known = (_known(rest, context) or _inflected(rest, context)) if rest != low and len(rest) > 3 else None
        if known:
            return spoken + known
    return None


def _stems(low: str) -> list[tuple[str, Callable[[str], str]]]:
    """What the word may be an inflection of, and how its sounds change."""
    doubled = low[-4:-3]
    found = list[tuple[str, Callable[[str], str]]]()
    if low.endswith(("'s", "s'")):
        found += [(low[:-2] if low.endswith("'s") else low[:-1], _plural)]
    elif low.endswith("s") and not low.endswith("ss"):
        found += [
            (low[:-1], _plural),
            (low[:-3] + "y" if low.endswith("ies") else low[:-2] if low.endswith("es") else "", _plural),
        ]
    if low.endswith("ed"):
        found += [(low[:-3] + "y", _past)] if low.endswith("ied") else [(low[:-2], _past), (low[:-1], _past)]
        found += [(low[:-3], _past)] if low[-3:-2] == doubled else []
    if low.endswith("ing") and len(low) > 5:
        found += [(low[:-3], _continuous), (low[:-3] + "e", _continuous)]
        found += [(low[:-4], _continuous)] if doubled == low[-5:-4] else []
    return found


def _plural(stem: str) -> str:
    return stem + ("ᵻz" if stem[-1] in "szʃʒʧʤ" else "s" if stem[-1] in "ptkfθ" else "z")


def _past(stem: str) -> str:
    if stem[-1] == "t" and stem[-2:-1] and stem[-2] in _FLAPPED_AFTER:
        return stem[:-1] + "ɾᵻd"
    return stem + ("ᵻd" if stem[-1] in "td" else "t" if stem[-1] in "pkfθʃsʧ" else "d")


def _continuous(stem: str) -> str:
    flapped = stem[-1] == "t" and stem[-2:-1] and stem[-2] in _FLAPPED_AFTER
    return (stem[:-1] + "ɾ" if flapped else stem) + "ɪŋ"


def _camel(word: str, context: Context) -> str | None:
    """OpenCV → open, C V."""
    parts = _CAMEL.findall(word)
    if len(parts) < 2 or "".join(parts) != word:
        return None
    return "".join(_whole(part, Context(shouted=False, vowel=False, words=context.words)) for part in parts)


def _compound(word: str, _: Context) -> str | None:
    """Two words of the dictionary, each of four letters or more: the first has the stress."""
    low = word.lower()
    gold = _dictionaries()[0]
    for cut in range(len(low) - 4, 3, -1):
        first, second = gold.get(low[:cut]), gold.get(low[cut:])
        if first and second:
            one, two = (entry if isinstance(entry, str) else entry["DEFAULT"] for entry in (first, second))
            return f"{one}{(two or '').replace('ˈ', 'ˌ')}"
    return None


def _stressed(spoken: str, word: str) -> str:
    """A word with a capital has a stress at least: Kokoro has learnt it so."""
    if word == word.lower() or "ˈ" in spoken or "ˌ" in spoken:
        return spoken
    vowel = re.search(f"[{_VOWELS}]", spoken)
    mark = "ˈ" if word == word.upper() and len(word) > 1 else "ˌ"
    return spoken[: vowel.start()] + mark + spoken[vowel.start() :] if vowel else spoken


def _sounds_of(letter: str) -> str:
    entry = _dictionaries()[0][letter]
    return entry if isinstance(entry, str) else entry["DEFAULT"] or ""


@cache
def _dictionaries() -> tuple[dict[str, Entry], dict[str, Entry]]:
    """misaki's American ones: checked by hand, and made by rule."""
    folder = files("misaki") / "data"
    gold, silver = (json.loads((folder / f"us_{kind}.json").read_text("utf-8")) for kind in ("gold", "silver"))
    return gold, silver
