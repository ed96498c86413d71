"""The whole platform as a process of its own, with a stand-in for the method, so that its own time is what is seen."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from local.servers import free_port
from tests.person import Person

HERE = Path(__file__).parent


class Up(Person):
    """`python -m local up` on one state folder: started, killed, started again."""

    def __init__(self, home: Path, seconds: str = "0.6", **environment: str) -> None:
        self.home = home
        self.url = ""
        self.environment = {
            **os.environ,
            "GENEFACE_HOME": str(home),
            "GENEFACE_PORT": str(free_port()),
            "GENEFACE_LOCAL_S3_PORT": str(free_port()),
            "GENEFACE_SLOTS": "2",
            "GENEFACE_REPORT_SECONDS": "0.1",
            "GENEFACE_TTS_SERVE": "false",
            "GENEFACE_STEP_ENVIRONMENT": json.dumps({"STAND_IN_SECONDS": seconds}),
            "PYTHONPATH": f"{HERE / 'stand_in'}{os.pathsep}{HERE.parents[1]}",
            **environment,
        }
        self.url = f"http://127.0.0.1:{self.environment['GENEFACE_PORT']}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home.parent / f"{self.home.name}.out").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local", "up"], env=self.environment, stdout=output, stderr=output, cwd=self.home.parent
            )
        self.wait(self._ready, 40, "the platform to be ready")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def end(self) -> None:
        """Stops it, if it was started; no process may be left."""
        if self.process and self.process.poll() is not None:
            self.start()  # a test killed it and failed: what it left is ended by the next start
        if self.process:
            self.process.send_signal(signal.SIGCONT)  # a test stopped it and failed
            assert self.stop() == 0
        assert self.wait(lambda: not self.processes(), 10, "its processes to end") is True

    def _ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            pytest.fail((self.home.parent / f"{self.home.name}.out").read_text())
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def story(self) -> str:
        return (self.home / "platform.log").read_text()[-4000:]

    def processes(self) -> list[psutil.Process]:
        """All processes that belong to this state folder: its name is in their command or environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("GENEFACE_HOME") == str(self.home) or str(self.home) in " ".join(process.cmdline()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


@contextmanager
def platforms() -> Iterator[Callable[..., Up]]:
    """Makes platforms; at the end each is stopped and must leave no process."""
    made: list[Up] = []
    with tempfile.TemporaryDirectory(prefix="gf-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)

        def make(**settings: str) -> Up:
            one = Up(Path(folder) / f"home{len(made)}", **settings)
            made.append(one)
            return one

        yield make
        for one in made:
            one.end()
