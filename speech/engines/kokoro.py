"""Kokoro v1.0 (hexgrad, Apache-2.0): phonemes become sound in one pass of an ONNX network of 82 million parameters.

Inputs of the network: `tokens` int64 [1, n + 2], 0 at both ends; `style` float32 [1, 256]; `speed` float32 [1]. Outputs: `audio`
float32 [600 · frames] at 24 kHz, and, as we ask for it, how many frames each token lasts.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from speech.clause import Clause, Word
from speech.engines.ends import bounds
from speech.engines.port import Samples, Voice
from speech.errors import LanguageUnsupported, VoiceCloningUnavailable, VoiceUnknown
from speech.reading.phonemes import Spelled, spelled
from steps import cores, weights

RATE = 24_000
FRAME = 600
"""Samples of one frame of the network's alignment: 25 ms."""
LONGEST = 510
"""Tokens that the network takes at once, less those at the ends."""
PADDING = 0

_RUNS = (
    (1, ";:,.!?"), (9, "—…\"()“” \u0303ʣʥʦʨᵝꭧAI"), (31, "O"), (33, "Q"), (35, "ST"), (39, "W"), (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"), (75, "βɔɕç"), (80, "ɖðʤə"), (85, "ɚɛɜ"),
    (90, "ɟ"), (92, "ɡ"), (99, "ɥ"), (101, "ɨɪʝ"), (110, "ɯɰŋɳɲɴø"), (118, "ɸθœ"),
    (123, "ɹ"), (125, "ɾɻ"), (128, "ʁɽʂʃʈʧ"), (135, "ʊʋ"), (138, "ʌɣɤ"), (142, "χʎ"), (147, "ʒʔ"), (156, "ˈˌː"), (162, "ʰ"),
    (164, "ʲ"), (169, "↓"), (171, "→↗↘"), (177, "ᵻ"),
)  # fmt: skip
VOCABULARY = {symbol: first + place for first, symbols in _RUNS for place, symbol in enumerate(symbols)}
"""Token of each phoneme and mark: config.json of hexgrad/Kokoro-82M."""
_MARKS = frozenset(VOCABULARY[symbol] for symbol in ';:,.!?—…"()“” ')

LANGUAGES = {
    "a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh",
}  # fmt: skip
"""First letter of a voice's name: what it was recorded in."""
GENDERS = {"f": "female", "m": "male"}
"""Second letter."""

DURATIONS = "/encoder/Clip_output_0"
"""The tensor inside the network that says how many frames each token lasts, float32 [1, n + 2]."""


class Kokoro:
    """An Engine and a TimedEngine. Several threads may speak with one."""

    name = "kokoro"
    rate = RATE
    languages = frozenset({"zh", "en"})
    clones = False
    terms = None

    def __init__(self, model: Path, voices: Path) -> None:
        """`model`: the ONNX file; `voices`: safetensors, [510, 256] under each voice's name."""
        self._session = _session(model)
        self._styles = load_file(voices)

    @classmethod
    def found(cls) -> Self:
        """With the weights of weights.toml. Raises InputError `weights_missing`."""
        model = weights.path("kokoro")
        return cls(model, model.with_name("voices.safetensors"))

    def voices(self) -> Sequence[Voice]:
        """Those of the voices' file, by name."""
        return [Voice(name, LANGUAGES.get(name[0], name[0]), GENDERS.get(name[1], "")) for name in sorted(self._styles)]

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        """The clause's sound."""
        return self.speak_timed(clause, speaker, speed)[0]

    def speak_timed(self, clause: Clause, speaker: str | Path, speed: float) -> tuple[Samples, tuple[Word, ...]]:
        """The clause's sound and words; their times are those that the network itself chose, to 25 ms."""
        if isinstance(speaker, Path):
            raise VoiceCloningUnavailable(how="kokoro has only voices that are built in")
        if speaker not in self._styles:
            raise VoiceUnknown(voice=speaker)
        if clause.language not in self.languages:
            raise LanguageUnsupported(language=clause.language, known=", ".join(sorted(self.languages)))
        sounds, words, done = [np.empty(0, np.float32)], list[Word](), 0.0
        for part in _parts(spelled(clause)):
            sound, said = self._say(part, self._styles[speaker], speed)
            sounds.append(sound)
            words += [Word(word.text, done + word.start, done + word.end) for word in said]
            done += len(sound) / RATE
        return np.concatenate(sounds), _joined(words)

    def _say(self, words: Sequence[Spelled], styles: Samples, speed: float) -> tuple[Samples, list[Word]]:
        """One pass of the network."""
        tokens = [_tokens(word) for word in words]
        ids = [token for own in tokens for token in own]
        if not set(ids) - _MARKS:
            return np.empty(0, np.float32), [Word(word.text, 0.0, 0.0) for word in words]
        inputs = {
            "tokens": np.array([[PADDING, *ids, PADDING]], np.int64),
            "style": styles[len(ids) - 1][None],
            "speed": np.array([speed], np.float32),
        }
        sound, frames = self._session.run(["audio", DURATIONS], inputs)
        first, last = bounds(sound, RATE)
        edges = [0, *accumulate(frames[0].tolist())]  # of every token, the one at the beginning included
        times = [min(max(0.0, edge * FRAME - first), last - first) / RATE for edge in edges]
        return sound[first:last], _timed(words, tokens, times)


def _tokens(word: Spelled) -> list[int]:
    """What the vocabulary does not have is left out, as Kokoro's own code does."""
    return [VOCABULARY[symbol] for symbol in word.phonemes if symbol in VOCABULARY]


def _parts(words: Iterable[Spelled]) -> Iterator[list[Spelled]]:
    """The words in parts that the network takes at once. Of a word that is longer itself, the rest follows without a text."""
    part, length = list[Spelled](), 0
    for word in words:
        for start in range(0, max(1, len(word.phonemes)), LONGEST):
            piece = Spelled("" if start else word.text, word.phonemes[start : start + LONGEST])
            count = len(_tokens(piece))
            if part and length + count > LONGEST:
                yield part
                part, length = [], 0
            part.append(piece)
            length += count
    if part:
        yield part


def _timed(words: Sequence[Spelled], tokens: Sequence[Sequence[int]], times: Sequence[float]) -> list[Word]:
    """Each word from its first to its last sound: marks and spaces at its ends are no part of it. `times`: the beginning of each
    token, the padding included.
    """
    timed, place = list[Word](), 1
    for word, own in zip(words, tokens, strict=True):
        sounding = [place + index for index, token in enumerate(own) if token not in _MARKS]
        first, last = (sounding[0], sounding[-1] + 1) if sounding else (place, place)
        timed.append(Word(word.text, times[first], times[last]))
        place += len(own)
    return timed


def _joined(words: Iterable[Word]) -> tuple[Word, ...]:
    """Words that have no text belong to the one before."""
    joined = list[Word]()
    for word in words:
        if word.text or not joined:
            joined.append(word)
        else:
            joined[-1] = Word(joined[-1].text, joined[-1].start, word.end)
    return tuple(joined)


def _session(model: Path) -> Any:
    """The network, with the frames of each token as one more output.

    A protobuf message may be continued by appending: these bytes are `graph.output += {name: DURATIONS}` (onnx.proto: field 7 of
    ModelProto, 12 of GraphProto, 1 of ValueInfoProto).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores.usable()
    options.log_severity_level = 3  # it warns of its own optimisations
    options.enable_mem_pattern = False  # it keeps one for every length of a clause
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a third less time of the cores, as fast
    output = _field(7, _field(12, _field(1, DURATIONS.encode())))
    return onnxruntime.InferenceSession(model.read_bytes() + output, options, providers=["CPUExecutionProvider"])


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes, shorter than 128."""
    return bytes([number << 3 | 2, len(content)]) + content
