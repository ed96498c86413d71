"""A recording becomes text with word times: Whisper by faster-whisper, where the VAD hears somebody and nowhere else."""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from media import audio
from media.clock import SAMPLE_RATE
from media.files import write_text
from speech import activity, subtitles
from speech.activity import Stretch
from speech.clause import Word
from speech.engines.port import Samples
from speech.errors import LanguageNotUnderstood, NoSpeech
from steps import weights
from steps.errors import InputError
from steps.program import check_stop
from steps.progress import Reporter

DEFAULT = "base"
WINDOW = 29.0
"""Seconds that Whisper hears at once (it takes 30)."""
GAP = 4.0
"""Seconds without speech at which a window ends."""
REST = 0.7
"""Seconds of speech after the last word from which on they are listened to again: Whisper may drop a begun sentence."""
EDGE = 0.05
"""Seconds before a window's end in which no word begins: Whisper puts there what it only expects to follow."""
BEAM = 5
TEMPERATURES = (0.0, 0.4)
"""The second one, drawn by lot, breaks the loops that the first may fall into."""
TOKENS = 224
"""Whisper's own limit for a window: half of its context."""
LEAST_LOGPROB, MOST_COMPRESSION, MOST_SILENCE = -1.0, 2.4, 0.6
"""Whisper's own bounds (Radford et al. 2022, 4.5): of the mean log probability of tokens, the text's compression ratio, and the
probability of no speech.
"""
SURE = 0.5
"""Probability from which on one window settles the language; else the first three vote."""
VOTES = 3
PROMPTS = {"zh": "以下是普通话的句子。"}
"""What stands before the sentence, so that Whisper goes on in the same characters and with punctuation."""

_NEEDED = ("config.json", "model.bin", "tokenizer.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LATIN = re.compile(r"[A-Za-z0-9'’]")
_HAN = re.compile(r"[㐀-鿿]")
_WIDE = {",": "，", ".": "。", "?": "？", "!": "！", ":": "：", ";": "；"}
_NARROW = re.compile(r"(?<=[㐀-鿿])[,.?!:;]")


@dataclass(frozen=True)
class Transcript:
    """What was said, and when."""

    text: str
    language: str
    """As Whisper names it: `zh`, `en`, …"""
    probability: float | None
    """Of the language, where it was found; None where it was given."""
    words: tuple[Word, ...]
    seconds: float
    """Of the recording."""
    model: str

    def as_json(self) -> dict[str, Any]:
        """For files and answers; times in seconds, to 1/100."""
        words = [{**asdict(word), "start": round(word.start, 2), "end": round(word.end, 2)} for word in self.words]
        return {
            "text": self.text,
            "language": self.language,
            "language_probability": None if self.probability is None else round(self.probability, 3),
            "model": self.model,
            "seconds": round(self.seconds, 3),
            "words": words,
        }


class Recognizer:
    """A loaded Whisper. One call at a time uses all of the processor; more are safe, and wait."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self.name = name

    @classmethod
    def found(cls, model: str | None = None, reporter: Reporter | None = None) -> Self:
        """The model `faster-whisper-NAME` of the weights folder (`base` by default): float16 on a GPU, int8 on a CPU.

        Raises InputError `weights_missing` or `weights_invalid`.
        """
        name = model or DEFAULT
        folder = _folder(name)
        try:
            loaded = _on_gpu(folder, reporter) or _on_cpu(folder)
        except Exception as error:  # ctranslate2 and tokenizers raise what they like
            raise InputError("weights_invalid", f"{folder} holds no Whisper for CTranslate2: {error}") from error
        if len(loaded.feature_extractor.mel_filters) != loaded.model.n_mels:
            raise InputError("weights_invalid", f"{folder} lacks its preprocessor_config.json: {loaded.model.n_mels} mel bands")
        return cls(loaded, name)

    def transcribe(self, samples: Samples, language: str | None = None, reporter: Reporter | None = None) -> Transcript:
        """What is said in `samples` [N], 16 kHz. Beside them it takes the memory of 5 minutes, however many there are.

        `language`: None: found by itself, among those the model knows. Raises NoSpeech, LanguageNotUnderstood; StoppedError.
        """
        known = sorted(self._model.supported_languages)
        if language is not None and language not in known:
            raise LanguageNotUnderstood(model=self.name, language=language, known=", ".join(known))
        heard = activity.stretches(samples)
        cuts = windows(heard)
        if not cuts:
            raise NoSpeech
        probability = None
        given = language is not None
        if language is None:
            language, probability = self._language(samples, cuts)
        words: list[Word] = []
        for first, last in cuts:
            check_stop()
            if reporter:
                reporter.progress("transcribe", round(first / SAMPLE_RATE, 1), round(cuts[-1][1] / SAMPLE_RATE, 1))
            words += self._window(samples, (first, last), language, given, heard)
        if reporter:
            reporter.progress("transcribe", *[round(cuts[-1][1] / SAMPLE_RATE, 1)] * 2)
        if not words:
            raise NoSpeech
        text = "".join(word.text for word in words).strip()
        plain = tuple(Word(word.text.strip(), word.start, word.end) for word in words)
        return Transcript(text, language, probability, plain, len(samples) / SAMPLE_RATE, self.name)

    def _language(self, samples: Samples, cuts: Sequence[Stretch]) -> tuple[str, float]:
        """Of the first window that is sure of it, else the one of which the first three are surest together."""
        votes: dict[str, float] = {}
        asked = cuts[:VOTES]
        for first, last in asked:
            found, probability, every = self._model.detect_language(audio=samples[first:last])
            if probability >= SURE:
                return found, probability
            for name, share in every or [(found, probability)]:
                votes[name] = votes.get(name, 0.0) + share / len(asked)
        return max(votes.items(), key=lambda vote: vote[1])

    def _window(self, samples: Samples, window: Stretch, language: str, given: bool, heard: Sequence[Stretch]) -> list[Word]:
        """The words of one window. What Whisper leaves of it, as it does where the language changes, is listened to again."""
        words: list[Word] = []
        first, last = window
        while True:
            more = list(self._words(samples[first:last], first / SAMPLE_RATE, language, heard))
            words += more
            rest = round(more[-1].end * SAMPLE_RATE) if more else first
            if _spoken((rest, last), heard) < REST * SAMPLE_RATE or (given and rest <= first):
                return words
            if not given:
                found, probability = self._language(samples, [(rest, last)])
                if rest <= first and (found == language or probability < SURE):
                    return words
                language = found if probability >= SURE else language
            first = rest

    def _words(self, window: Samples, start: float, language: str, heard: Sequence[Stretch]) -> Iterator[Word]:
        """Of one window that begins at `start` seconds; texts with the spaces before them."""
        segments, _ = self._model.transcribe(
            window, language=language, beam_size=BEAM, best_of=1, temperature=TEMPERATURES, max_new_tokens=TOKENS,
            word_timestamps=True, condition_on_previous_text=False, initial_prompt=PROMPTS.get(language),
            log_prob_threshold=LEAST_LOGPROB, compression_ratio_threshold=MOST_COMPRESSION, no_speech_threshold=MOST_SILENCE,
        )  # fmt: skip
        end = start + len(window) / SAMPLE_RATE - EDGE
        for segment in segments:
            if not _said(segment) or _echo(segment.text, language):
                continue
            pieces = whole((piece.word, start + float(piece.start), start + float(piece.end)) for piece in segment.words or ())
            for text, first, last in pieces:
                if first < end and _spoken((int(first * SAMPLE_RATE), int(last * SAMPLE_RATE) + 1), heard):
                    yield Word(simplified(text) if language == "zh" else text, first, last)


def windows(heard: Sequence[Stretch]) -> list[Stretch]:
    """The stretches joined into windows that Whisper hears at once, pauses within them included."""
    joined: list[Stretch] = []
    for first, last in heard:
        if joined and last - joined[-1][0] <= WINDOW * SAMPLE_RATE and first - joined[-1][1] <= GAP * SAMPLE_RATE:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


Piece = tuple[str, float, float]
"""Text with the space before it, start, end."""


def whole(pieces: Iterable[Piece]) -> list[Piece]:
    """Where the language is written without spaces, Whisper's words are its tokens: pieces of a Latin word become one again."""
    joined: list[Piece] = []
    for text, start, end in pieces:
        if joined and _LATIN.match(text[:1]) and _LATIN.match(joined[-1][0][-1:]):
            joined[-1] = (joined[-1][0] + text, joined[-1][1], end)
        elif text.strip():
            joined.append((text, start, max(start, end)))
    return joined


def simplified(text: str) -> str:
    """Traditional characters as simplified ones, one by one, so that times stay; punctuation after them in full width."""
    from wetext.utils import preprocess  # noqa: PLC0415 - only Chinese needs it

    plain = _HAN.sub(lambda found: preprocess(found[0], traditional_to_simple=True), text)
    return _NARROW.sub(lambda found: _WIDE[found[0]], plain)


def options(parser: argparse.ArgumentParser) -> None:
    """Flags of `transcribe`."""
    parser.add_argument("--audio", type=Path, required=True, help="any sound or video file")
    parser.add_argument("--language", help="zh, en, …; by default it is found by itself")
    parser.add_argument("--model", default=DEFAULT, help="a folder faster-whisper-NAME of the weights folder (%(default)s)")
    parser.add_argument("--out_json", type=Path, required=True, help="text, language and words with their times")
    subtitles.options(parser)


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """`transcribe`. Raises MediaError, NoSpeech, LanguageNotUnderstood, InputError."""
    recognizer = Recognizer.found(arguments.model, reporter)
    transcript = recognizer.transcribe(audio.read(arguments.audio), arguments.language, reporter)
    result = transcript.as_json()
    write_text(arguments.out_json, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    subtitles.write(arguments, transcript.words)
    return result


def _folder(name: str) -> Path:
    """Where that model lies, whole. Raises InputError `weights_missing`."""
    entry = f"faster-whisper-{name}"
    known = [one.removeprefix("faster-whisper-") for one in weights.table() if one.startswith("faster-whisper-")]
    if name in known:
        folder = weights.path(entry).parent
    elif _NAME.fullmatch(name):
        folder = weights.folder() / entry
    else:
        raise InputError("weights_missing", f"there is no Whisper model {name!r}; there are {', '.join(known)}")
    if not all((folder / file).is_file() for file in _NEEDED) or not list(folder.glob("vocabulary.*")):
        how = f"`make weights {entry}` brings it" if name in known else f"known are {', '.join(known)}"
        files = ", ".join([*_NEEDED, "vocabulary.txt or .json"])
        raise InputError("weights_missing", f"{folder} is no whole Whisper for CTranslate2 ({files}); {how}")
    return folder


def _on_cpu(folder: Path) -> Any:
    whisper = activity.library("faster_whisper")
    return whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)


def _on_gpu(folder: Path, reporter: Reporter | None) -> Any:
    """None where there is no GPU, or CTranslate2 does not get on with it: CUDA's libraries are no part of its wheel."""
    engine = activity.library("ctranslate2")
    engine.set_random_seed(0)
    if not engine.get_cuda_device_count():
        return None
    whisper = activity.library("faster_whisper")
    try:
        loaded = whisper.WhisperModel(str(folder), device="cuda", compute_type="float16", local_files_only=True)
        loaded.encode(np.zeros((loaded.model.n_mels, 3000), np.float32))  # libraries are sought when they are first needed
    except (RuntimeError, ValueError) as error:
        if reporter:
            reporter.message(f"the GPU is of no use to Whisper here, so that the CPU transcribes: {error}", level="warning")
        return None
    return loaded


def _said(segment: Any) -> bool:
    """Whether Whisper itself holds the segment for speech that it understood."""
    if segment.compression_ratio > MOST_COMPRESSION or segment.avg_logprob < LEAST_LOGPROB:
        return False
    return bool(segment.text.strip())


def _echo(text: str, language: str) -> bool:
    """Whether it is only the prompt again."""
    return re.sub(r"\W", "", text) == re.sub(r"\W", "", PROMPTS.get(language, ""))


def _spoken(within: Stretch, heard: Sequence[Stretch]) -> int:
    """Samples of speech within these."""
    return sum(max(0, min(last, within[1]) - max(first, within[0])) for first, last in heard)
