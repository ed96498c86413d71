"""The whole platform as a process of its own, with a stand-in for the method, so that its own time is what is seen."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.servers import free_port

HERE = Path(__file__).parent
FINAL = ("succeeded", "failed", "cancelled")
CONSENT = {"statement": "I agree.", "by": "a test"}


class Up:
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
            "GENEFACE_STEP_ENVIRONMENT": json.dumps({"STAND_IN_SECONDS": seconds}),
            "PYTHONPATH": str(HERE / "stand_in"),
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

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Polls until `condition` gives something true, and returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.05)
        pytest.fail(f"waited {seconds} s in vain for {what}\n" + (self.home / "platform.log").read_text()[-4000:])

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

    def post(self, path: str, body: dict[str, Any], code: int = 202) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, timeout=30)
        assert answer.status_code == code, answer.text
        return answer.json()

    def get(self, request: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/v1/requests/{request}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def asset(self, content: bytes, filename: str = "me.mp4") -> str:
        """Uploads `content` behind the signature of its container."""
        head = {"mp4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "wav": b"RIFF\0\0\0\0WAVEfmt "}[filename[-3:]]
        answer = httpx.post(f"{self.url}/v1/assets", files={"file": (filename, head + content)}, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def training(self, avatar: str, video: str | None = None) -> str:
        video = video or self.asset(os.urandom(2000))
        body = {"avatar": avatar, "video": {"asset": video}, "profile": "quick", "consent": CONSENT}
        return str(self.post("/v1/trainings", body)["id"])

    def rendering(self, avatar: str) -> str:
        audio = self.asset(os.urandom(2000), "a.wav")
        return str(self.post("/v1/renderings", {"avatar": avatar, "audio": {"asset": audio}})["id"])

    def final(self, request: str, seconds: float = 60) -> dict[str, Any]:
        """Waits for the request's end and returns it."""
        self.wait(lambda: self.get(request)["state"] in FINAL, seconds, f"the end of {request}: {self.get(request)}")
        return self.get(request)

    def avatar(self, name: str) -> None:
        assert self.final(self.training(name))["state"] == "succeeded"


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
