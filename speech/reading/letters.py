"""Sounds of words that no dictionary has, from their letters: a network, espeak-ng, or a few rules, the first that is there.

The network is g2p_en's (Park and Kim, Apache-2.0): a GRU reads the letters, a second one says ARPAbet, phoneme by phoneme.
"""

import logging
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speech.reading.lists import listed
from steps import weights
from steps.errors import InputError

NETWORK = "g2p-en"
_LONGEST = 16
"""Letters that the network reads at once; of longer words it loses the end."""
_LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
_PHONEMES = listed(
    "<pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 EH2 "
    "ER0 ER1 ER2 "
    "EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 "
    "UW1 UW2 V W "
    "Y Z ZH"
)
_BEGIN, _END = 2, 3
_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AY": "I", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "EH": "ɛ",
    "ER": "ɜɹ",
    "EY": "A", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "O", "OY": "Y", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w",
    "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_UNSTRESSED = {"AH0": "ə", "ER0": "əɹ"}
_STRESS = {"0": "", "1": "ˈ", "2": "ˌ"}
_ESPEAK = (
    ("oːɹ", "ɔɹ"), ("oː", "ɔ"), ("ɚɹ", "əɹ"), ("eɪ", "A"), ("aɪ", "I"), ("aʊ", "W"), ("oʊ", "O"), ("əʊ", "O"), ("ɔɪ", "Y"),
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("ɜː", "ɜɹ"), ("ɝ", "ɜɹ"),
    ("ɚ", "əɹ"), ("əl", "ᵊl"), ("n̩", "ᵊn"), ("l̩", "ᵊl"), ("r", "ɹ"), ("g", "ɡ"), ("ɐ", "ə"), ("ɾ", "T"), ("e", "A"), ("o", "O"),
    ("a", "æ"), ("ɒ", "ɑ"), ("ɫ", "l"), ("x", "k"), ("ç", "h"), ("y", "i"),
)  # fmt: skip
_RULES = (
    ("tion", "ʃən"), ("sion", "ʒən"), ("ough", "O"), ("eigh", "A"), ("augh", "ɔ"), ("tch", "ʧ"), ("igh", "I"), ("dge", "ʤ"),
    ("sch", "ʃ"),
    ("ch", "ʧ"), ("sh", "ʃ"), ("th", "θ"), ("ph", "f"), ("gh", "ɡ"), ("wh", "w"), ("ck", "k"), ("ng", "ŋ"), ("qu", "kw"),
    ("kn", "n"),
    ("wr", "ɹ"), ("ee", "i"), ("ea", "i"), ("oo", "u"), ("ou", "W"), ("ow", "O"), ("ai", "A"), ("ay", "A"), ("ei", "A"), ("ey",
    "i"),
    ("oi", "Y"), ("oy", "Y"), ("oa", "O"), ("au", "ɔ"), ("aw", "ɔ"), ("ew", "u"), ("ie", "i"), ("ue", "u"), ("ar", "ɑɹ"),
    ("er", "əɹ"),
    ("ir", "ɜɹ"), ("or", "ɔɹ"), ("ur", "ɜɹ"), ("ce", "s"), ("ci", "sɪ"), ("cy", "si"), ("ge", "ʤ"), ("a", "æ"), ("b", "b"),
    ("c", "k"),
    ("d", "d"), ("e", "ɛ"), ("f", "f"), ("g", "ɡ"), ("h", "h"), ("i", "ɪ"), ("j", "ʤ"), ("k", "k"), ("l", "l"), ("m", "m"),
    ("n", "n"),
    ("o", "ɑ"), ("p", "p"), ("q", "k"), ("r", "ɹ"), ("s", "s"), ("t", "t"), ("u", "ʌ"), ("v", "v"), ("w", "w"), ("x", "ks"),
    ("y", "i"),
    ("z", "z"),
)  # fmt: skip
_VOWELS = "AIOWYaiuæɑəɛɜɪʊʌɔᵊᵻ"
_ENGLISH = frozenset("AIOWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧˈˌθᵊᵻT")

Weights = dict[str, NDArray[np.float32]]
_log = logging.getLogger(__name__)


@lru_cache(maxsize=10_000)
def sounds(word: str) -> str:
    """A word of a–z in Kokoro's alphabet; never empty."""
    for source, read in (("network", _by_network), ("espeak-ng", _by_espeak)):
        found = read(word)
        if any(sound in _VOWELS for sound in found):
            _log.debug("%s: read by %s as %s", word, source, found)
            return found
    found = _by_rules(word)
    _log.debug("%s: read by rules as %s", word, found)
    return found


def from_arpabet(phonemes: list[str]) -> str:
    """`HH AH0 L OW1` → həlˈO; T between vowels, the second without stress, is flapped."""
    words = ""
    for number, phoneme in enumerate(phonemes):
        base, stress = (phoneme[:-1], phoneme[-1]) if phoneme[-1].isdigit() else (phoneme, "0")
        following, next_but_one = [*phonemes[number + 1 : number + 3], "", ""][:2]
        if phoneme == "T" and words[-1:] and words[-1] in _VOWELS + "ɹ" and following.endswith("0"):
            words += "T"
        elif phoneme == "AH0" and number and following == "L" and not next_but_one[-1:].isdigit():
            words += "ᵊ"
        else:
            words += _UNSTRESSED.get(phoneme) or _STRESS[stress] + _ARPABET[base]
    return words


def from_ipa(ipa: str) -> str:
    """espeak-ng's American IPA in Kokoro's alphabet."""
    for theirs, ours in _ESPEAK:
        ipa = ipa.replace(theirs, ours)
    return "".join(sound for sound in ipa if sound in _ENGLISH)


def _by_network(word: str) -> str:
    try:
        network = _network(weights.path(NETWORK))
    except InputError:  # the file is optional
        return ""
    parts = -(-len(word) // _LONGEST)
    size = -(-len(word) // parts)
    spoken = "".join(from_arpabet(_said(word[start : start + size], network)) for start in range(0, len(word), size))
    first = spoken.find("ˈ")
    return spoken[: first + 1] + spoken[first + 1 :].replace("ˈ", "ˌ")


@lru_cache(maxsize=1)
def _network(file: Path) -> Weights:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: np.asarray(arrays[name], np.float32) for name in arrays.files}


def _said(letters: str, network: Weights) -> list[str]:
    """ARPAbet of a few letters, the likeliest phoneme at every step."""
    state = np.zeros(network["enc_w_hh"].shape[1], np.float32)
    for letter in (*letters, "</s>"):
        state = _step(network["enc_emb"][_LETTERS.index(letter)], state, network, "enc")
    said, last = list[str](), _BEGIN
    for _ in range(2 * len(letters) + 4):
        state = _step(network["dec_emb"][last], state, network, "dec")
        last = int(np.argmax(network["fc_w"] @ state + network["fc_b"]))
        if last == _END:
            break
        if last > _END:
            said.append(_PHONEMES[last])
    return said


def _step(value: NDArray[np.float32], state: NDArray[np.float32], network: Weights, part: str) -> NDArray[np.float32]:
    """A GRU's next state (Cho et al. 2014, gates in PyTorch's order: reset, update, new)."""
    given = network[f"{part}_w_ih"] @ value + network[f"{part}_b_ih"]
    held = network[f"{part}_w_hh"] @ state + network[f"{part}_b_hh"]
    size = len(state)
    reset, update = np.split(1 / (1 + np.exp(-(given[: 2 * size] + held[: 2 * size]))), 2)
    new = np.tanh(given[2 * size :] + reset * held[2 * size :])
    following: NDArray[np.float32] = (1 - update) * new + update * state
    return following


def _by_espeak(word: str) -> str:
    """espeak-ng is GPL: a process of its own."""
    program = shutil.which("espeak-ng")
    if program is None:
        return ""
    answer = subprocess.run([program, "-q", "--ipa", "-v", "en-us", word], capture_output=True, timeout=10, check=False)
    if answer.returncode:
        _log.debug("espeak-ng failed: %s", answer.stderr.decode("utf-8", "replace"))
        return ""
    return from_ipa(answer.stdout.decode("utf-8", "replace"))


def _by_rules(word: str) -> str:
    spoken, place = "", 0
    silent_e = re.search("[aeiou][^aeiouwxy]e$", word)
    while place < len(word) - (1 if silent_e else 0):
        letters, sound = next(rule for rule in _RULES if word.startswith(rule[0], place))
        if silent_e and place == len(word) - 3:
            sound = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u"}[letters[0]]
        if len(letters) == 1 and word[place : place + 2] == 2 * letters and letters not in "aeiou":
            place += 1
        spoken += sound
        place += len(letters)
    vowel = re.search(f"[{_VOWELS}]", spoken)
    return spoken[: vowel.start()] + "ˈ" + spoken[vowel.start() :] if vowel else spoken
