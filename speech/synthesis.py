"""Clauses become sound with word times; the command `synthesize`."""

import argparse
import json
import re
import struct
import wave
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from media import ffmpeg
from media.errors import FileMissing
from media.files import write_text, written
from speech import subtitles, timing
from speech.clause import Clause, Word
from speech.engines import choice
from speech.engines.port import Engine, Samples, TimedEngine
from speech.errors import SpeedOutOfRange, TextEmpty, TextUnreadable
from speech.loudness import Leveller
from speech.reading.text import clauses
from steps.program import check_stop
from steps.progress import Reporter

SLOWEST, FASTEST = 0.5, 2.0
"""Times the voice's own speed."""
_LOUDNESS = re.compile(r"^\s+I:\s+(-?[\d.]+) LUFS", re.MULTILINE)
_UNMEASURED = -70.0
"""What ebur128 says of sound that is too short or too quiet."""


@dataclass(frozen=True)
class Piece:
    """A clause as sound."""

    clause: Clause
    samples: Samples
    """At the engine's rate, levelled, the clause's pause behind it."""
    words: tuple[Word, ...]
    """Their times count from the beginning of the first piece."""


@dataclass(frozen=True)
class Spoken:
    """What was written."""

    seconds: float
    rate: int
    engine: str
    voice: str
    language: str
    terms: str | None
    loudness: float | None
    """LUFS of the whole; None when it is too short to tell."""
    words: tuple[Word, ...]
    text: str

    def as_json(self) -> dict[str, Any]:
        """As in S.json."""
        words = [{"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in self.words]
        return {**asdict(self), "seconds": round(self.seconds, 3), "words": words}


def pieces(clauses: Iterable[Clause], engine: Engine, speaker: str | Path, speed: float = 1.0) -> Iterator[Piece]:
    """Each clause as it is spoken, as loud as `speech.loudness` says.

    Raises SpeedOutOfRange, StoppedError, and what the engine raises.
    """
    if not SLOWEST <= speed <= FASTEST:
        raise SpeedOutOfRange(speed=speed, slowest=SLOWEST, fastest=FASTEST)
    leveller, at = Leveller(engine.rate), 0.0
    for clause in clauses:
        check_stop()
        sound, words = _spoken(clause, engine, speaker, speed)
        pause = np.zeros(round(clause.pause * engine.rate), np.float32)
        samples = np.concatenate([leveller.levelled(sound), pause])
        yield Piece(clause, samples, tuple(Word(word.text, at + word.start, at + word.end) for word in words))
        at += len(samples) / engine.rate


def write(pieces: Iterable[Piece], out: Path, engine: Engine, voice: str) -> Spoken:
    """Writes the pieces as 16-bit wav, whole or not at all; its metadata say that a model made it, which, and on what terms.

    Raises TextEmpty when there are no pieces, DiskFull, StoppedError.
    """
    said, words, count = list[Clause](), list[Word](), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with written(out) as partial:
        with wave.open(str(partial), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(engine.rate)
            for piece in pieces:
                check_stop()
                file.writeframes(np.round(np.clip(piece.samples, -1, 1) * 32767).astype("<i2").tobytes())
                said.append(piece.clause)
                words += piece.words
                count += len(piece.samples)
        if not said:
            raise TextEmpty
        _mark(partial, engine, voice)
        loudness = _loudness(partial)
    return Spoken(
        count / engine.rate, engine.rate, engine.name, voice, language_of(said), engine.terms, loudness, tuple(words),
        subtitles.joined(clause.text.strip() for clause in said),
    )  # fmt: skip


def language_of(said: Iterable[Clause]) -> str:
    """The language of most of the text."""
    letters = Counter[str]()
    for clause in said:
        letters[clause.language] += len(clause.text)
    return letters.most_common(1)[0][0]


def voice_language(said: Iterable[Clause]) -> str:
    """The language of the voice that can say all of it: Chinese voices speak English too, English ones no Chinese."""
    said = list(said)
    return "zh" if any(clause.language == "zh" for clause in said) else language_of(said)


def options(parser: argparse.ArgumentParser) -> None:
    """The words of `synthesize`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text")
    what.add_argument("--text_file", type=Path, help="UTF-8")
    add_voice(parser)
    parser.add_argument("--out", type=Path, required=True, help="the wav")
    parser.add_argument("--out_json", type=Path, help="what was said, with the times of the words")
    subtitles.options(parser)


def add_voice(parser: argparse.ArgumentParser) -> None:
    """The words that choose a voice."""
    parser.add_argument("--voice", help="a built-in one (`python -m speech voices`); by default the language's")
    parser.add_argument("--reference", type=Path, help="instead: a recording of the person whose voice is cloned")
    parser.add_argument("--language", choices=("zh", "en"), help="of the text, instead of the one it is written in")
    parser.add_argument("--engine", choices=choice.ENGINES)
    parser.add_argument("--speed", type=float, default=1.0, help=f"{SLOWEST} to {FASTEST} times the voice's own")


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Text becomes a recording."""
    text = arguments.text if arguments.text_file is None else read_text(arguments.text_file)
    said = clauses(text, arguments.language)
    engine = choice.found(arguments.engine, clones=arguments.reference is not None)
    speaker = speaker_of(arguments, engine, voice_language(said))
    sound = _reported(pieces(said, engine, speaker, arguments.speed), said, reporter)
    spoken = write(sound, arguments.out, engine, speaker.name if isinstance(speaker, Path) else speaker)
    result = spoken.as_json()
    subtitles.write(arguments, spoken.words)
    if arguments.out_json:
        write_text(arguments.out_json, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    rest = {name: result[name] for name in ("engine", "voice", "language", "terms", "seconds", "rate", "loudness")}
    reporter.message(f"{arguments.out}: {spoken.seconds:.1f} s by {engine.name}, voice {spoken.voice}")
    return {"out": str(arguments.out), **rest}


def speaker_of(arguments: argparse.Namespace, engine: Engine, language: str) -> str | Path:
    """The voice that the words name, or the language's. Raises FileMissing."""
    reference: Path | None = arguments.reference
    if reference is None:
        return str(arguments.voice or choice.voice(engine, language))
    if not reference.is_file():
        raise FileMissing(reference.name)
    return reference


def _spoken(clause: Clause, engine: Engine, speaker: str | Path, speed: float) -> tuple[Samples, tuple[Word, ...]]:
    if isinstance(engine, TimedEngine):
        return engine.speak_timed(clause, speaker, speed)
    sound = engine.speak(clause, speaker, speed)
    return sound, timing.shared(clause, sound, engine.rate)


def _reported(pieces: Iterable[Piece], said: Sequence[Clause], reporter: Reporter) -> Iterator[Piece]:
    """The pieces, with progress by characters, as clauses differ in length."""
    total, done = sum(len(clause.text) for clause in said), 0
    reporter.progress("speak", 0, total)
    for piece in pieces:
        yield piece
        done += len(piece.clause.text)
        reporter.progress("speak", done, total)


def read_text(path: Path) -> str:
    """A UTF-8 file. Raises FileMissing, TextUnreadable."""
    try:
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise FileMissing(path.name) from None
    except UnicodeDecodeError:
        raise TextUnreadable(name=path.name) from None


def _mark(path: Path, engine: Engine, voice: str) -> None:
    """Appends a LIST chunk of kind INFO to a wav: software and comment."""
    comment = f"AI-generated speech. {engine.terms or ''}".strip()
    fields = _chunk(b"ISFT", f"geneface-platform, {engine.name}, {voice}") + _chunk(b"ICMT", comment)
    chunk = struct.pack("<4sI4s", b"LIST", 4 + len(fields), b"INFO") + fields
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(chunk)
        length = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", length - 8))


def _chunk(name: bytes, text: str) -> bytes:
    content = text.encode() + b"\0"
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def _loudness(path: Path) -> float | None:
    """LUFS of the file, as ffmpeg's EBU R 128 meter finds it."""
    said = ffmpeg.run([*ffmpeg.source(path), "-af", "ebur128=framelog=quiet", "-f", "null", "-"])
    found = _LOUDNESS.search(said.stderr)
    value = float(found[1]) if found else _UNMEASURED
    return value if value > _UNMEASURED else None
