"""How fast speech is, and how well it understands itself: `python benchmarks/speech_speed.py [--sentences 40] [--model base]`.

Kokoro speaks the sentences of speech_sentences.toml; Whisper hears them by faster-whisper (int8) and, the same weights, by
openai-whisper (which `make test` lays into .venv/reference), both with beam 5 and word times. Each runs in a process of its own,
one after the other, the recognizers twice, and the faster time counts. Then the round trips: each sentence spoken, heard again
and compared with what was written: word error rate in English, character error rate in Chinese, after digits became words,
traditional characters simplified ones, and punctuation nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import safe_open

from media import audio
from media.clock import SAMPLE_RATE
from speech import synthesis
from speech.engines import choice
from speech.errors import NoSpeech
from speech.reading import text
from speech.transcription import Recognizer
from steps import weights
from steps.errors import InputError

SENTENCES = Path(__file__).with_name("speech_sentences.toml")
REFERENCE = Path(sys.prefix) / "reference"
LANGUAGES = ("en", "zh")
ROUNDS = 2
BEAM = 5
WORST = 5
_CLOCK = re.compile(r"(?<=\d)[:.](?=[0-5]\d\b)")
"""Whisper writes 10:30 and 10.30 for the same words."""
_NOT_SAID = re.compile(r"[^\w\s']|_")
_HAN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


def sentences(count: int) -> dict[str, list[str]]:
    """The first `count` of all, half of them of each language."""
    kept = tomllib.loads(SENTENCES.read_text("utf-8"))
    return {language: kept[language][: max(1, count // len(LANGUAGES))] for language in LANGUAGES}


def spoken(folder: Path, count: int) -> dict[str, Any]:
    """Kokoro speaks each sentence into `folder`/LANGUAGE-NUMBER.wav, and all of a language into LANGUAGE.wav."""
    began = time.perf_counter()
    engine = choice.found("kokoro")
    found: dict[str, Any] = {"load": time.perf_counter() - began}
    for language, written in sentences(count).items():
        voice = choice.voice(engine, language)
        began = time.perf_counter()
        for _ in synthesis.pieces(text.clauses("好。" if language == "zh" else "Yes.", language), engine, voice):
            found[f"{language} first ever"] = time.perf_counter() - began
        seconds, taken, firsts, whole = 0.0, 0.0, [], []
        for number, sentence in enumerate(written):
            began, first, parts = time.perf_counter(), None, []
            for piece in synthesis.pieces(text.clauses(sentence, language), engine, voice):
                first = first or time.perf_counter() - began
                parts.append(piece.samples)
            taken += time.perf_counter() - began
            sound = np.concatenate(parts)
            seconds += len(sound) / engine.rate
            firsts.append(first or 0.0)
            audio.write_wav(folder / f"{language}-{number}.wav", sound, engine.rate)
            whole += [sound, np.zeros(engine.rate // 2, np.float32)]
        audio.write_wav(folder / f"{language}.wav", np.concatenate(whole), engine.rate)
        found[language] = {"seconds": seconds, "taken": taken, "first": firsts}
    return found


def ours(folder: Path, model: str) -> dict[str, Any]:
    """faster-whisper by the room's own recognizer."""
    recognizer = Recognizer.found(model)
    return heard(folder, lambda samples, language: recognizer.transcribe(samples, language).text)


def theirs(folder: Path, model: str) -> dict[str, Any]:
    """openai-whisper in float32, as it runs on a CPU."""
    sys.path.append(str(REFERENCE))
    torch, whisper = import_module("torch"), import_module("whisper")  # not in the processes of the others: memory is compared
    with safe_open(weights.path(f"whisper-{model}"), "pt") as file, TemporaryDirectory() as scratch:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        checkpoint = Path(scratch, f"{model}.pt")
        torch.save({"dims": json.loads(file.metadata()["dims"]), "model_state_dict": state}, checkpoint)
        network = whisper.load_model(str(checkpoint), device="cpu")
    network.set_alignment_heads(whisper._ALIGNMENT_HEADS[model])

    def transcribe(samples: np.ndarray, language: str) -> str:
        return str(
            network.transcribe(
                samples, language=language, fp16=False, beam_size=BEAM, word_timestamps=True, condition_on_previous_text=False
            )["text"]
        )

    return heard(folder, transcribe)


def heard(folder: Path, transcribe: Callable[[np.ndarray, str], str]) -> dict[str, Any]:
    """Seconds that each language's whole recording takes, after a first sentence that does not count."""
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        transcribe(audio.read(folder / f"{language}-0.wav"), language)
        samples = audio.read(folder / f"{language}.wav")
        began = time.perf_counter()
        said = transcribe(samples, language)
        found[language] = {"seconds": len(samples) / SAMPLE_RATE, "taken": time.perf_counter() - began, "text": said}
    return found


def trips(folder: Path, model: str, count: int) -> dict[str, Any]:
    """Each sentence heard again: what was understood, and how many words or characters are wrong of how many."""
    recognizer = Recognizer.found(model)
    found: dict[str, Any] = {}
    for language, written in sentences(count).items():
        rows = []
        for number, sentence in enumerate(written):
            try:
                said = recognizer.transcribe(audio.read(folder / f"{language}-{number}.wav"), language).text
            except NoSpeech:
                said = ""
            wanted = units(sentence, language)
            rows.append({"sentence": sentence, "said": said, "wrong": distance(wanted, units(said, language)), "of": len(wanted)})
        found[language] = rows
    return found


def units(sentence: str, language: str) -> list[str]:
    """What is compared: words in English, characters and Latin words in Chinese."""
    plain = _NOT_SAID.sub(" ", _normalizer(language)(_CLOCK.sub(" ", sentence)).lower().replace("’", "'"))
    return _HAN.findall(plain) if language == "zh" else plain.split()


@cache
def _normalizer(language: str) -> Callable[[str], str]:
    if language == "en":
        return lambda sentence: text.spoken(sentence, "en")
    made = import_module("wetext").Normalizer(lang="zh", operator="tn", traditional_to_simple=True)
    read: Callable[[str], str] = made.normalize
    return read


def distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Levenshtein's: units replaced, left out or put in."""
    row = list(range(len(found) + 1))
    for place, unit in enumerate(wanted, 1):
        diagonal, row[0] = row[0], place
        for other, candidate in enumerate(found, 1):
            diagonal, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, diagonal + (unit != candidate))
    return row[-1]


def _peak() -> float:
    """MiB that this process took at most."""
    status = Path("/proc/self/status").read_text()
    return int((re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE) or [0, 0])[1]) / 1024


def part(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """One of the four in a process of its own, with its peak memory."""
    words = ["--part", name, "--folder", str(folder), "--sentences", str(asked.sentences), "--model", asked.model]
    patient = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # as everywhere here: threads that wait by turning stop one another
    done = subprocess.run([sys.executable, __file__, *words], env=patient, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(*cells: object) -> None:
    """One line of the table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def compare(asked: argparse.Namespace, folder: Path) -> None:
    """Prints the table, then the worst of the round trips."""
    row("what", "sound", "taken", "real-time factor", "beside it", "peak memory")
    row(*["---"] * 6)
    said = part("spoken", folder, asked)
    for language in LANGUAGES:
        own = said[language]
        first = f"first clause after {max(own['first']):.2f} s at most, {np.median(own['first']):.2f} s mostly"
        factor = f"{own['taken'] / own['seconds']:.2f}"
        row(f"Kokoro, {language}", f"{own['seconds']:.0f} s", f"{own['taken']:.1f} s", factor, first, f"{said['peak']:.0f} MiB")
    load = ", ".join(f"first words of all in {language} {said[f'{language} first ever']:.1f} s" for language in LANGUAGES)
    row("Kokoro, from nothing", "", f"{said['load']:.1f} s", "", load, "")
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, found in runs.items():
            if name == "ours" or (REFERENCE / "whisper").is_dir():
                found.append(part(name, folder, asked))
    for language in LANGUAGES:
        best = {name: min(found, key=lambda one: one[language]["taken"]) for name, found in runs.items() if found}
        for name, title in (("ours", f"whisper-{asked.model} int8"), ("theirs", f"openai-whisper {asked.model}")):
            if name not in best:
                row(f"{title}, {language}", "", "", "", f"not in {REFERENCE}: `make test` lays it there", "")
                continue
            own = best[name][language]
            ratio = f"{best['theirs'][language]['taken'] / own['taken']:.1f} times as fast" if "theirs" in best else ""
            cells = f"{own['seconds']:.0f} s", f"{own['taken']:.1f} s", f"{own['taken'] / own['seconds']:.3f}"
            row(f"{title}, {language}", *cells, ratio if name == "ours" else "", f"{best[name]['peak']:.0f} MiB")
    again = part("trips", folder, asked)
    for language, kind in (("en", "word"), ("zh", "character")):
        wrong, of = (sum(trip[name] for trip in again[language]) for name in ("wrong", "of"))
        row(f"there and back, {language}", f"{len(again[language])} sentences", "", "", f"{kind} error rate {wrong / of:.1%}", "")
    worst(trip for language in LANGUAGES for trip in again[language])


def worst(found: Iterable[dict[str, Any]]) -> None:
    """The sentences that were understood worst."""
    ordered = sorted(found, key=lambda trip: trip["wrong"] / max(1, trip["of"]), reverse=True)
    for trip in ordered[:WORST]:
        print(f"\n{trip['wrong']} of {trip['of']} wrong\n  written: {trip['sentence']}\n  heard:   {trip['said']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--model", default="base", help="of Whisper")
    parser.add_argument("--part", choices=("spoken", "ours", "theirs", "trips"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part is None:
        with TemporaryDirectory() as folder:
            compare(asked, Path(folder))
        return
    parts = {
        "spoken": lambda: spoken(asked.folder, asked.sentences),
        "ours": lambda: ours(asked.folder, asked.model),
        "theirs": lambda: theirs(asked.folder, asked.model),
        "trips": lambda: trips(asked.folder, asked.model, asked.sentences),
    }
    try:
        found = parts[asked.part]()
    except InputError as why:
        sys.exit(why.message)
    print(json.dumps({**found, "peak": _peak()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
