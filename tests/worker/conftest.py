"""The worker as it really runs: a process of its own against a platform that it knows by HTTP alone."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from platform_double import ATTEMPT, TOKEN, Platform

from worker.main import main
from worker.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def environment(folder, platform, run="pod-1", **more):
    """What the pod's environment holds, with short waits."""
    (folder / "work").mkdir(parents=True, exist_ok=True)
    settings = {
        "API_URL": platform.url, "ATTEMPT": ATTEMPT, "ATTEMPT_TOKEN": TOKEN, "RUN": run, "WORK_DIR": str(folder / "work"),
        "TERMINATION_LOG": str(folder / "termination-log"), "REPORT_INTERVAL": "0.1", "BACKOFF_FIRST": "0.05",
        "BACKOFF_MOST": "0.2", "DEADLINE": "20", "GRACE": "10",
    }  # fmt: skip
    path = f"{HERE / 'programs'}{os.pathsep}{ROOT}"
    return {"PYTHONPATH": path, **{f"GENEFACE_{name}": value for name, value in settings.items()}, **more}


class Worker:
    """A worker that has been started, its output and what it left."""

    def __init__(self, folder):
        self.log = folder / "termination-log"
        self.out = folder / f"stdout-{time.monotonic_ns()}"

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.read_bytes().split(b"\n") if line]

    @property
    def words(self):
        return json.loads(self.log.read_text())


class Process(Worker):
    """`python -m worker STEP` as a process of its own."""

    def __init__(self, folder, platform, step, **more):
        super().__init__(folder)
        env = os.environ | environment(folder, platform, **more)
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker", step], cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT
            )

    def wait(self, timeout=60):
        return self.process.wait(timeout)


@pytest.fixture
def platforms():
    """Makes platforms; at the end each must have been treated as the protocol says."""
    made = []

    def make(*args, **kwargs):
        made.append(Platform(*args, **kwargs))
        return made[-1]

    yield make
    for platform in made:
        platform.close()
    assert [violation for platform in made for violation in platform.violations] == []


@pytest.fixture
def start(tmp_path):
    """Starts workers as processes; none outlives the test."""
    started = []

    def begin(platform, step, **env):
        started.append(Process(tmp_path / "pod", platform, step, **env))
        return started[-1]

    yield begin
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


@pytest.fixture
def run(tmp_path, monkeypatch, capsysbinary):
    """Runs a worker in this process, which is quicker; its step is a process all the same. `code` is its exit code.

    `meanwhile` is called in another thread while it runs.
    """

    def finish(platform, step, meanwhile=None, **more):
        for name, value in environment(tmp_path / "pod", platform, **more).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        worker = Worker(tmp_path / "pod")
        with ThreadPoolExecutor() as pool:
            other = pool.submit(meanwhile or (lambda: None))
            worker.code = main(Settings(), step)
            other.result()
        worker.out.write_bytes(capsysbinary.readouterr().out)
        return worker

    return finish
