"""`make demo`: the main job on this machine, shown as it goes.

Everything is asked for by REST, just as a person or a program would: upload, training, rendering, evaluation.
"""

import getpass
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local import speech
from local.client import ApiError, Client
from local.errors import LocalError

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SAMPLE_CONSENT = {"statement": "The sample talker is a synthetic person who does not exist.", "by": "the project"}
LINE_SECONDS = 10.0
WHOLE_FRAME = {
    "psnr": ("full frame PSNR, dB (pasted back)", 1), "ssim": ("full frame SSIM (pasted back)", 3),
    "niqe": ("full frame NIQE (pasted back)", 2), "fid": ("full frame FID (pasted back)", 1),
    "lpips": ("full frame LPIPS (pasted back)", 3), "lse_c": ("lip sync LSE-C", 2), "lse_d": ("lip sync LSE-D", 2),
}  # fmt: skip
"""How a person reads each figure, and its digits."""
Json = dict[str, Any]


def run(
    client: Client, console: Console, folder: Path, video: Path | None, audio: Path | None, text: str | None = None
) -> None:  # fmt: skip
    """Trains, renders, evaluates and says where everything lies. Raises LocalError when a request fails.

    `text` is read out first, where there is something to read it with: what cannot be spoken is refused before anything is
    trained. Else the sample sentence is heard, and that is said.
    """
    started = time.monotonic()
    avatar = _name(video) if video else "sample-talker"
    video_file, audio_file = video or SAMPLES / "talker.mp4", audio or SAMPLES / "sentence.wav"
    for file in (video_file, audio_file):
        if not file.is_file():
            raise LocalError(f"there is no file {file}")
    consent = _consent(console) if video else SAMPLE_CONSENT
    spoken = None if text is None else _read_out(client, console, text)
    with console.status(f"Uploading {video_file.name} and {audio_file.name}"):
        video_id, audio_id = client.upload(video_file), client.upload(audio_file)
    training = {"avatar": avatar, "video": {"asset": video_id}, "profile": "quick", "consent": consent}
    _follow(client, console, "Training", client.post("/v1/trainings", training))
    heard = {"asset": audio_id} if spoken is None else {"request": spoken["id"], "output": "audio"}
    rendering = client.post("/v1/renderings", {"avatar": avatar, "audio": heard})
    evaluation = client.post("/v1/evaluations", {"avatar": avatar})
    rendered = _follow(client, console, "Rendering", rendering)
    evaluated = _follow(client, console, "Evaluation", evaluation)
    files = _fetch(client, rendered, evaluated, spoken, folder / avatar)
    console.print(_scores(evaluated["scores"]))
    if missing := _missing(evaluated["scores"]):
        console.print(f"Not measured: {missing}", highlight=False)
    if "Words" in files:
        console.print(_spoken(json.loads(files["Words"].read_text())), highlight=False, soft_wrap=True)
    for what, file in files.items():
        console.print(f"{what:<14} {file}", highlight=False, soft_wrap=True)
    console.print(f"Done in {time.monotonic() - started:.0f} s.", highlight=False)


def _read_out(client: Client, console: Console, text: str) -> Json | None:
    """The synthesis of `text`; None, which is said, where something that it needs is missing."""
    lack = speech.lack()
    if lack is None:
        try:
            return _follow(client, console, "Speech", client.post("/v1/syntheses", {"text": text}))
        except ApiError as error:  # a platform that was up already looks for its weights elsewhere
            if error.code != "weights_missing":
                raise
            lack = str(error)
    console.print(f"The text cannot be read out, the sample sentence is heard instead: {lack}", highlight=False, soft_wrap=True)
    return None


def _follow(client: Client, console: Console, title: str, request: Json) -> Json:
    show = _bar if console.is_terminal else _lines
    with show(console, title) as seen:
        row = client.follow(request["id"], seen)
    if row["state"] != "succeeded":
        error = row["error"] or {"code": row["state"], "message": f"the {row['kind']} was {row['state']}"}
        raise LocalError(f"{title} failed: {error['message']} [{error['code']}]")
    return row


@contextmanager
def _bar(console: Console, title: str) -> Iterator[Callable[[Json], None]]:
    """Shows a request as a live bar."""
    note = TextColumn("{task.fields[note]}")
    with Progress(
        TextColumn("{task.description:<11}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), note, console=console
    ) as bar:
        task = bar.add_task(title, total=1.0, note="")
        yield lambda row: bar.update(task, completed=row["progress"], note=_note(row))


@contextmanager
def _lines(console: Console, title: str) -> Iterator[Callable[[Json], None]]:
    """Shows a request as lines of a log: one a stage, and one whenever LINE_SECONDS have passed."""
    said: dict[str, Any] = {"stage": "", "at": 0.0}

    def seen(row: Json) -> None:
        stage, now = row["stage"] or row["state"], time.monotonic()
        if stage != said["stage"] or now - said["at"] > LINE_SECONDS:
            said.update(stage=stage, at=now)
            console.print(f"{title:<11} {row['progress']:4.0%} {_note(row)}", highlight=False, soft_wrap=True)

    yield seen


def _note(row: Json) -> str:
    if row["state"] in ("queued", "submitted"):
        return row["waiting_reason"] or "waiting"
    eta = row["eta_seconds"]
    return f"{row['stage'] or ''}{'' if eta is None else f', {eta:.0f} s left'}"


def _fetch(client: Client, rendered: Json, evaluated: Json, spoken: Json | None, folder: Path) -> dict[str, Path]:
    """Brings the outputs home and writes the report; what a person looks at, by name."""
    outputs = {
        "Video": (rendered, "video", "video.mp4"), "Contact sheet": (rendered, "contact_sheet", "contact_sheet.png"),
        "Report": (evaluated, "report", "report.html"), "Frame by frame": (evaluated, "metrics", "metrics.csv"),
    }  # fmt: skip
    if spoken:
        outputs |= {
            "Speech": (spoken, "audio", "speech.wav"), "Subtitles": (spoken, "subtitles", "subtitles.srt"),
            "Words": (spoken, "speech", "speech.json"),
        }  # fmt: skip
    for request, output, name in outputs.values():
        client.download(request["outputs"][output]["url"], folder / name)
    files = {what: folder / name for what, (_, _, name) in outputs.items()} | {"All scores": folder / "report.json"}
    report = {
        "rendering": rendered["id"],
        "evaluation": evaluated["id"],
        "avatar": rendered["avatar"],
        "scores": evaluated["scores"],
    }
    files["All scores"].write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return files


def _spoken(words: Json) -> str:
    """What read the text out, and how."""
    terms = f"; {words['terms']}" if words["terms"] else ""
    by = f"{words['engine']}, voice {words['voice']} ({words['language']})"
    return f"Spoken by {by}, {words['seconds']:.1f} s{terms}: {words['text']}"


def _scores(scores: Json) -> Table:
    mouth, constant = scores["mouth"], scores["constant_mouth"]
    table = Table("Held-out tail, driven by its sound", "value", "its own constant mouth", title_justify="left")
    table.add_row("mouth PSNR, dB", _number(mouth["psnr"], 1), _number(constant["psnr"], 1))
    table.add_row("lip aperture r", _number(mouth["aperture_r"], 2), _number(constant["aperture_r"], 2))
    table.add_row("lip aperture amplitude", _number(mouth["aperture_amplitude"], 2), _number(constant["aperture_amplitude"], 2))
    for name, (label, digits) in WHOLE_FRAME.items():
        if scores[name] is not None:
            table.add_row(label, _number(scores[name], digits), "")
    return table


def _missing(scores: Json) -> str:
    """The figures that are not in the table, by the evaluator's reason."""
    reasons: dict[str, list[str]] = {}
    for name in WHOLE_FRAME:
        if scores[name] is None:
            reasons.setdefault(scores["errors"].get(name, "unknown"), []).append(name.upper().replace("_", "-"))
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _consent(console: Console) -> Json:
    by = getpass.getuser()
    statement = "The person in the video agreed to be made into an avatar."
    console.print(f"By going on, {by} states: {statement}", highlight=False)
    return {"statement": statement, "by": by}


def _name(file: Path) -> str:
    """An avatar's name made of a file's: `Me at home.mp4` → `me-at-home`."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in file.stem.lower())
    return "-".join(part for part in kept.split("-") if part)[:63].strip("-") or "my-avatar"
