"""Stands in for speech: the same words and files, no sound. A recording `silence` has no speech in it."""

import argparse
import json
import sys
from pathlib import Path

SUBTITLES = ("srt", "vtt")
SPEAKING = ("voice", "reference", "language", "engine", "speed")
WORDS = {
    "transcribe": ("audio", "language", "model", "out_json", *SUBTITLES),
    "synthesize": ("text", "text_file", *SPEAKING, "out", "out_json", *SUBTITLES),
    "converse": ("audio", "text", "text_file", "history", "system_prompt", *SPEAKING, "out", "out_json", *SUBTITLES),
    "enrol": ("audio", "out", "out_json", "engine"),
}


def line(**fields):
    print(json.dumps({"time": "2026-01-01T00:00:00.000+00:00", "level": "info", **fields}), file=sys.stderr, flush=True)


def heard(given):
    said = Path(given.audio).read_text()
    if said == "silence":
        line(level="error", code="no_speech", message="nobody speaks in the recording")
        sys.exit(64)
    return said


def voice(given):
    return (
        f"{Path(given.reference).name}, the voice of {Path(given.reference).read_text()}"
        if given.reference
        else given.voice or "a default voice"
    )


def spoken(given, text):
    line(stage="synthesize", done=1, total=2)
    Path(given.out).write_text(f"{voice(given)} says: {text}")
    return {"text": text, "language": given.language, "voice": voice(given), "words": [{"text": text, "start": 0, "end": 1}]}


def transcribe(given):
    return {"text": heard(given), "language": given.language or "en"}


def synthesize(given):
    return spoken(given, Path(given.text_file).read_text())


def converse(given):
    transcript = heard(given) if given.audio else None
    question = transcript or Path(given.text_file).read_text()
    before = json.loads(Path(given.history).read_text())
    reply = f"answer {len(before) // 2 + 1} to {question}, as {given.system_prompt}"
    turn = {"transcript": transcript, "question": question, "reply": reply, "model": "stand-in", "language": "en"}
    return {**turn, "speech": spoken(given, reply)}


def enrol(given):
    Path(given.out).write_text(f"clean {heard(given)}")
    return {"seconds": 9.5, "speech_share": 0.9, "speakers": 1, "clipping": 0.0, "similarity": 0.8}


command, *words = sys.argv[1:]
parser = argparse.ArgumentParser()
for word in WORDS[command]:
    parser.add_argument(f"--{word}")
arguments = parser.parse_args(words)
result = {"transcribe": transcribe, "synthesize": synthesize, "converse": converse, "enrol": enrol}[command](arguments)
Path(arguments.out_json).write_text(json.dumps(result, ensure_ascii=False))
for kind in SUBTITLES:
    if path := getattr(arguments, kind, None):
        Path(path).write_text(f"{kind} of what is said")
print(json.dumps(result))
