"""Speech on this machine: which of its weights are there, and the TTS service that `up` starts beside the platform.

The service never keeps the platform from starting: it is started afterwards, nobody waits for it, and its end is only noted.
"""

import logging
import os
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psutil

from controller import processes
from controller.processes import Record, Records
from local.servers import answers, free_port
from local.settings import LocalSettings
from steps import weights
from steps.errors import InputError

ENGINE = "kokoro"
"""What speaks where nothing else is chosen."""
WANTED = (ENGINE, "g2p-en", "faster-whisper-base", "resemblyzer")
"""What `make weights` brings for speech."""
STOP_SECONDS = 10.0
_SECRET = re.compile(r"ZHIPU_API_KEY|GENEFACE_(DATABASE_URL|S3_\w+|TOKEN_KEY\w*)|AWS_\w+")
"""Variables that are none of the service's business."""

log = logging.getLogger(__name__)


def lack() -> str | None:
    """For people: what the engine of this environment lacks to read a text out, and what brings it. None: nothing, as far as can
    be told from here.
    """
    if os.environ.get("GENEFACE_TTS_ENGINE", ENGINE) != ENGINE:
        return None
    try:
        weights.path(ENGINE)
    except InputError as error:
        return error.message
    return None


class TtsService:
    """`python -m speech serve` on 127.0.0.1, behind a guard that ends it when the platform is gone."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder`: its log and the record of its process."""
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "tts.log"
        self._port = port
        self._records = Records(folder / "tts")
        self._record: Record | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once: it answers when its model is loaded. Raises OSError."""
        self._end_leftovers()
        command = [sys.executable, "-m", "speech", "serve", "--host", "127.0.0.1", "--port", str(self._port)]
        run = str(uuid.uuid4())
        with self.log.open("wb") as output:
            self._guard = processes.start(run, command, _environment(), Path.cwd(), output, self._records)
        self._record = Record(run, self._guard.pid, processes.identity(self._guard.pid) or "")
        threading.Thread(target=self._note_end, args=(self._guard,), name="tts", daemon=True).start()

    def stop(self) -> None:
        """Ends it and all that it started."""
        if self._guard is None or self._record is None:
            return
        guard, self._guard = self._guard, None
        guard.terminate()
        try:
            guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the TTS service does not end and is killed")
        if guard.stdin is not None:
            guard.stdin.close()
        processes.end([self._record], grace=0)
        self._records.remove(self._record.run)

    def _note_end(self, guard: "subprocess.Popen[bytes]") -> None:
        code = guard.wait()
        if self._guard is guard:
            log.warning("the TTS service has ended with exit code %d; see %s", code, self.log)

    def _end_leftovers(self) -> None:
        left = self._records.all()
        try:
            processes.end(left)
        except (TimeoutError, psutil.Error) as error:
            log.warning("what an earlier TTS service left does not end: %s", error)
        for record in left:
            self._records.remove(record.run)


def service(settings: LocalSettings, folder: Path) -> TtsService | str:
    """The TTS service for `up`, not started; or, for people, why there is none."""
    if settings.tts_serve is False:
        return "No TTS service: GENEFACE_TTS_SERVE is off."
    if why := lack():
        return f"No TTS service: {why}."
    port = settings.tts_port
    if answers(port):
        if "tts_port" in settings.model_fields_set:
            return f"No TTS service: port {port} is in use; choose another with GENEFACE_TTS_PORT."
        port = free_port()
    return TtsService(folder, port)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _SECRET.fullmatch(name)}
    if kept.get("GENEFACE_TTS_ENGINE") != "xtts":  # it cannot speak by way of another service
        kept["GENEFACE_TTS_ENGINE"] = ENGINE
    kept.setdefault("GENEFACE_TTS_DRAIN_SECONDS", "5")
    return kept
