"""The words of a clause, as written, each with its sounds in Kokoro's alphabet (misaki's)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from speech.clause import Clause
from speech.reading.cleaning import HAN, LATIN
from speech.reading.context import Context
from speech.reading.mandarin import simplified
from speech.reading.pronunciation import pronounced
from speech.reading.syllables import words
from speech.reading.text import spoken

_HAN = re.compile(f"[{HAN}]")
_OPEN = "“‘「『（(《【〈«"
_WORD = rf"[{HAN}]|[^\W{HAN}](?:[^\s{HAN}]*[^\W{HAN}])?"
_TOKEN = re.compile(
    rf"[^\w{HAN}]*(?:{_WORD})(?:(?![-+−$€£¥￥#@.]\w)[^\s\w{HAN}{_OPEN}])*(?:\s+[^\s\w{HAN}]+(?=\s|$))*(?:[^\w{HAN}]+$)?"
)
"""A word or a Chinese character, with the marks before it, behind it, and alone behind it."""
_CORE = re.compile(_WORD)
_ATOM = re.compile(rf"[{HAN}]|[{LATIN}]+(?:['’\-][{LATIN}]+)*['’]?(?:\.(?:[A-Za-z]\b\.?)+)?|[^\s{LATIN}{HAN}]")
_MARKS = {
    "，": ",", "、": ",", ",": ",", "。": ".", "｡": ".", ".": ".", "！": "!", "!": "!", "？": "?", "?": "?", "；": ";", ";": ";",
    "：": ":", ":": ":", "…": "…", "—": "—", "–": "—", "―": "—", "）": ")", ")": ")", "”": "”", "»": "”", "》": "”", "」": "”",
    "』": "”",
    "】": "”", "〉": "”", "]": ")",
}  # fmt: skip
_OPENING = {"（": "(", "(": "(", "“": "“", "«": "“", "《": "“", "「": "“", "『": "“", "【": "“", "〈": "“", "[": "("}
_VOWELS = "AIOQWYaiuæɑɒɐɔəɛɜɪʊʌᵻ"


@dataclass(frozen=True)
class Spelled:
    """A word of a clause as it is written, or a Chinese character, with its marks; and how it sounds."""

    text: str
    phonemes: str
    """With the marks and spaces that follow."""


@dataclass
class _Atom:
    """A Chinese character, a Latin word or a mark of what is read out."""

    text: str
    token: int
    sounds: str = ""
    apart: bool = True
    """Whether a space stands before it."""


def spelled(clause: Clause) -> list[Spelled]:
    """The clause's words in their order; "".join of their phonemes is what Kokoro gets. What is read out as several words (`$5`)
    is one, and so is what was written as several and is read out in another order.
    """
    said = _tokens(clause.spoken)
    sounds = _sounds(said)
    found = list[Spelled]()
    for text, phonemes in _aligned(clause, said, sounds):
        if (found and (not phonemes.strip() or not text)) or (found and not found[-1].phonemes.strip()):
            found[-1] = Spelled(f"{found[-1].text} {text}".strip(), found[-1].phonemes + phonemes)
        else:
            found.append(Spelled(text, phonemes))
    if found:
        found[-1] = Spelled(found[-1].text, found[-1].phonemes.rstrip())
    return found


def _tokens(text: str) -> list[re.Match[str]]:
    """Chinese characters and words between spaces, with the marks around them."""
    return list(_TOKEN.finditer(text))


def _key(token: re.Match[str]) -> str:
    core = _CORE.search(token[0])
    return "" if core is None else simplified(core[0]) if _HAN.match(core[0]) else core[0].lower()


def _aligned(clause: Clause, said: list[re.Match[str]], sounds: list[str]) -> Iterator[tuple[str, str]]:
    """What was written beside its sounds: each word read alone tells which of the words said are its own; where it is said
    otherwise, all that differs stays together.
    """
    written = _tokens(clause.text)
    if not written:  # signs alone
        yield clause.text, "".join(sounds)
        return
    alone = [(key, owner) for owner, token in enumerate(written) for key in _keys_alone(token, clause.language)]
    matcher = SequenceMatcher(None, [key for key, _ in alone], [_key(token) for token in said], autojunk=False)
    groups = list[tuple[int, int, str]]()
    """First and last of the words written, and their sounds."""
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            groups += [(alone[first + step][1], alone[first + step][1], sounds[begin + step]) for step in range(end - begin)]
        else:
            owners = [owner for _, owner in alone[first:last]] or [groups[-1][1] if groups else 0]
            groups.append((owners[0], owners[-1], "".join(sounds[begin:end])))
    for start, stop, phonemes in _merged(groups):
        yield clause.text[written[start].start() : written[stop].end()].strip(), phonemes


def _merged(groups: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Groups that share a word are one."""
    whole = list[tuple[int, int, str]]()
    for start, stop, phonemes in groups:
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]), whole[-1][2] + phonemes)
        else:
            whole.append((start, stop, phonemes))
    return whole


def _keys_alone(token: re.Match[str], language: str) -> list[str]:
    key = _key(token)
    if (key.isalpha() and key.isascii()) or _HAN.fullmatch(key):
        return [key]
    return [_key(found) for found in _tokens(spoken(token[0], language))] or [key]


def _sounds(said: list[re.Match[str]]) -> list[str]:
    """The sounds of each token, with the space before the next one."""
    atoms = [_Atom(found[0], number) for number, token in enumerate(said) for found in _ATOM.finditer(token[0])]
    _chinese(atoms)
    _english(atoms)
    _marks(atoms, [token[0] for token in said])
    heard, last = [""] * len(said), 0
    for atom in atoms:
        if not atom.sounds:
            continue
        so_far = heard[last]
        if atom.apart and any(heard) and not so_far.endswith((" ", "“", "(")):
            heard[last] += " "
        heard[atom.token] += atom.sounds
        last = atom.token
    return heard


def _chinese(atoms: list[_Atom]) -> None:
    for run in _runs(atoms):
        at = 0
        for word in words("".join(atom.text for atom in run)):
            for number, sounds in enumerate(word):
                run[at].sounds, run[at].apart = sounds, number == 0
                at += 1


def _runs(atoms: Iterable[_Atom]) -> Iterator[list[_Atom]]:
    """Chinese characters that stand together."""
    run = list[_Atom]()
    for atom in atoms:
        if _HAN.match(atom.text):
            run.append(atom)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _english(atoms: list[_Atom]) -> None:
    """From the last word to the first, since `the` sounds as the next word wants it."""
    latin = re.compile(f"[{LATIN}]")
    all_words = frozenset(atom.text.lower() for atom in atoms if latin.match(atom.text))
    letters = "".join(atom.text for atom in atoms if latin.match(atom.text) and len(atom.text) > 1)
    shouted = letters.isupper() and sum(len(word) > 3 for word in all_words) > 2
    vowel: bool | None = None
    for number in range(len(atoms) - 1, -1, -1):
        atom = atoms[number]
        if not latin.match(atom.text):
            vowel = None if atom.text in _MARKS else False if _HAN.match(atom.text) else vowel
            continue
        before = atoms[number - 1].text.lower().replace("’", "'") if number else ""
        after = atoms[number + 1].text.lower().replace("’", "'") if number + 1 < len(atoms) else ""
        around = Context(
            before if latin.match(before) else "", after if latin.match(after) else "", vowel, all_words, number == 0, shouted
        )
        atom.sounds = pronounced(atom.text, around)
        vowel = next((sound in _VOWELS for sound in atom.sounds if sound not in "ˈˌ"), None)


def _marks(atoms: list[_Atom], tokens: list[str]) -> None:
    """Marks that Kokoro knows; others are silent. A straight quotation mark opens where a word follows it in its token."""
    for number, atom in enumerate(atoms):
        if atom.sounds or atom.text.isalnum():
            continue
        if atom.text == '"':
            opens = tokens[atom.token].startswith('"') and (number == 0 or atoms[number - 1].token != atom.token)
            atom.sounds, atom.apart = ("“", True) if opens else ("”", False)
        elif atom.text in _OPENING:
            atom.sounds, atom.apart = _OPENING[atom.text], True
        elif atom.text in _MARKS:
            atom.sounds, atom.apart = _MARKS[atom.text], _MARKS[atom.text] == "—"
            if number and atoms[number - 1].sounds == atom.sounds and atom.sounds in "…—,":
                atom.sounds = ""
