"""A question becomes a spoken answer; the command `converse`."""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from media import audio
from media.errors import FileMissing
from media.files import write_text
from media.limits import Limits
from speech import subtitles, synthesis
from speech.clause import Clause
from speech.engines import choice
from speech.engines.port import Engine
from speech.errors import (
    HistoryInvalid,
    LanguageUnsupported,
    ReplyEmpty,
    TextEmpty,
    TextTooLong,
    TextUnreadable,
    TextUnspeakable,
    VoiceUnknown,
)
from speech.reading import text
from speech.reply import SYSTEM_PROMPT, Answer, ReplyModel, Turn
from speech.sentences import sentences
from speech.synthesis import Piece, Spoken
from speech.transcription import Recognizer, Transcript
from steps.progress import Reporter

QUESTION = Limits(max_seconds=300.0)
"""Of a recorded question."""
LONGEST_QUESTION = LONGEST_PROMPT = 4_000
"""Characters."""
MOST_TURNS, MOST_CHARACTERS = 20, 8_000
"""Of what was said before, as far as the model is told; the oldest is left out first."""
MOST_BYTES = 4_000_000
"""Of the file with what was said before."""

_TURNS = TypeAdapter(list[Turn])


class Told(Iterator[Clause]):
    """Clauses of an answer, each as soon as its sentence is written. `text`: the answer as far as it was handed out."""

    def __init__(self, answer: Answer, language: str | None) -> None:
        self.text = ""
        self._answer, self._language = answer, language
        self._clauses = self._cut()

    def __next__(self) -> Clause:
        return next(self._clauses)

    def _cut(self) -> Iterator[Clause]:
        some = False
        for sentence in sentences(self._answer):
            if self._answer.cut and not sentence.ended and some:
                return  # it would stop in the middle of what it says
            self.text += sentence.text
            try:
                found = text.clauses(sentence.text, self._language)
            except (TextEmpty, TextUnspeakable):
                continue
            some = True
            yield from found


def options(parser: argparse.ArgumentParser) -> None:
    """The words of `converse`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--audio", type=Path, help="the question, spoken")
    what.add_argument("--text", help="the question, written")
    what.add_argument("--text_file", type=Path, help="the same in a file, UTF-8")
    parser.add_argument("--history", type=Path, help="what was said before: a JSON list of objects with role and text")
    parser.add_argument("--system_prompt", help="what the model is told to be and to do, instead of answering briefly")
    synthesis.add_voice(parser)
    parser.add_argument("--out", type=Path, required=True, help="the wav")
    parser.add_argument("--out_json", type=Path, required=True, help="question, answer, and what was spoken")
    subtitles.options(parser)


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """A question becomes a spoken answer. What can be wrong without asking the model is found before it is asked."""
    model = ReplyModel.from_environment()
    turns = [] if arguments.history is None else history(arguments.history)
    prompt = _bounded(arguments.system_prompt or SYSTEM_PROMPT, LONGEST_PROMPT, "--system_prompt")
    engine = choice.found(arguments.engine, clones=arguments.reference is not None)
    _check_voice(arguments, engine)
    question, transcript = _question(arguments, engine, reporter)
    answer = model.stream([*recent(turns), Turn("user", question)], prompt)
    try:
        spoken, reply = _spoken(arguments, engine, answer, model.settings.host, reporter)
    finally:
        answer.close()
    subtitles.write(arguments, spoken.words)
    result = {
        "transcript": transcript.text if transcript else None,
        "question": question,
        "reply": reply,
        "model": model.name,
        "language": spoken.language,
        "speech": spoken.as_json(),
    }
    write_text(arguments.out_json, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    reporter.message(f"{arguments.out}: {spoken.seconds:.1f} s by {engine.name}, voice {spoken.voice}; answered by {model.name}")
    short = {name: result[name] for name in ("question", "reply", "model", "language")}
    return {"out": str(arguments.out), **short, "voice": spoken.voice, "seconds": round(spoken.seconds, 3)}


def history(path: Path) -> list[Turn]:
    """The turns in a file. Raises FileMissing, HistoryInvalid."""
    if not path.is_file():
        raise FileMissing(path.name)
    if path.stat().st_size > MOST_BYTES:
        raise HistoryInvalid(name=path.name, reason=f"it is larger than {MOST_BYTES} bytes")
    try:
        return _TURNS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HistoryInvalid(name=path.name, reason=f"{where}: {first['msg']}" if where else first["msg"]) from None


def recent(turns: Sequence[Turn]) -> list[Turn]:
    """The last turns, as many as the model is told; the first of them is the person's."""
    kept, length = list[Turn](), 0
    for turn in reversed([turn for turn in turns if turn.text.strip()]):
        length += len(turn.text)
        if len(kept) == MOST_TURNS or length > MOST_CHARACTERS:
            break
        kept.insert(0, turn)
    while kept and kept[0].role == "assistant":
        kept.pop(0)
    return kept


def _question(arguments: argparse.Namespace, engine: Engine, reporter: Reporter) -> tuple[str, Transcript | None]:
    """What is asked, and how it was heard if it was. Raises LanguageUnsupported when it could not be answered in its language."""
    if arguments.audio is None:
        written = arguments.text if arguments.text_file is None else synthesis.read_text(arguments.text_file)
        question = _bounded(written.strip(), LONGEST_QUESTION, "--text")
        language = synthesis.language_of(text.clauses(question, arguments.language))
        transcript = None
    else:
        samples = audio.read(arguments.audio, limits=QUESTION)
        reporter.progress("transcribe", 0, 1)
        transcript = Recognizer.found().transcribe(samples, arguments.language, reporter)
        question, language = transcript.text, transcript.language
        reporter.message(f"heard ({language}): {question}")
    if language not in engine.languages:
        raise LanguageUnsupported(language=language, known=", ".join(sorted(engine.languages)))
    return question, transcript


def _spoken(
    arguments: argparse.Namespace, engine: Engine, answer: Answer, host: str, reporter: Reporter
) -> tuple[Spoken, str]:  # fmt: skip
    """Speaks the answer while it is being written; what was spoken, and the answer itself. Raises ReplyEmpty."""
    reporter.progress("reply", 0, 1)
    told = Told(answer, arguments.language)
    first = next(told, None)
    if first is None:
        raise ReplyEmpty(host=host)
    reporter.progress("reply", 1, 1)
    speaker = synthesis.speaker_of(arguments, engine, first.language)
    sound = synthesis.pieces(chain([first], told), engine, speaker, arguments.speed)
    voice = speaker.name if isinstance(speaker, Path) else speaker
    spoken = synthesis.write(_reported(sound, answer, reporter), arguments.out, engine, voice)
    return spoken, told.text.strip()


def _reported(sound: Iterable[Piece], answer: Answer, reporter: Reporter) -> Iterator[Piece]:
    """The pieces, with progress by characters: of what is written so far, which is all of it long before all is spoken."""
    done = 0
    for piece in sound:
        yield piece
        done += len(piece.clause.text)
        reporter.progress("synthesize", done, max(done + 1, answer.written))
    reporter.progress("synthesize", done, done)


def _check_voice(arguments: argparse.Namespace, engine: Engine) -> None:
    """Raises VoiceUnknown, FileMissing, SpeedOutOfRange."""
    names = [voice.name for voice in engine.voices()]
    if arguments.voice and arguments.reference is None and names and arguments.voice not in names:
        raise VoiceUnknown(voice=arguments.voice)
    speaker = synthesis.speaker_of(arguments, engine, arguments.language or "en")
    next(synthesis.pieces((), engine, speaker, arguments.speed), None)  # nothing is spoken, the speed is looked at


def _bounded(words: str, limit: int, name: str) -> str:
    """The words. Raises TextTooLong, and TextUnreadable for halves of characters, which wrong bytes of a command line become."""
    if len(words) > limit:
        raise TextTooLong(length=len(words), limit=limit)
    try:
        words.encode()
    except UnicodeEncodeError:
        raise TextUnreadable(name=name) from None
    return words
