"""A platform killed with SIGKILL: what it had started ends, at the latest when the next one starts on the same folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from local_jobs import manifest, processes_with, python, stubborn, until

from controller import processes
from controller.local_cluster import LocalCluster
from controller.processes import Record, Records
from store import ids

HOST = """
import json, os, pathlib, signal, sys, time
from controller import processes
from controller.local_cluster import LocalCluster

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

point, folder, manifest = sys.argv[1:]
add = processes.Records.add
if point == "before the record":
    processes.Records.add = die
if point == "in the record":
    os.fsync = die
if point == "after the record":
    processes.Records.add = lambda *record: (add(*record), die())
cluster = LocalCluster(pathlib.Path(folder))
cluster.create(json.loads(manifest), {"token": "t"})
time.sleep(600)
"""


def host(folder: Path, mark: str, point: str = "") -> subprocess.Popen[bytes]:
    """A program with a LocalCluster and one stubborn Job; it kills itself at `point`. The mark is not in its own command line."""
    job = json.dumps(manifest("gf-a-1", [*python("exec(open(sys.argv[1]).read())"), str(folder / "step")]))
    folder.mkdir(exist_ok=True)
    (folder / "step").write_text(stubborn(mark)[2].replace("sys.argv[1]", repr(mark)))
    return subprocess.Popen([sys.executable, "-c", HOST, point, str(folder), job], cwd=Path(processes.__file__).parents[1])


def restarted(folder: Path) -> float:
    """Seconds until a new cluster on the folder accepts work."""
    began = time.monotonic()
    cluster = LocalCluster(folder)
    seconds = time.monotonic() - began
    assert cluster.jobs() == []
    assert not list((folder / "processes").glob("*.json"))
    assert not (folder / "jobs").exists()
    cluster.close()
    return seconds


def guards_of(folder: Path) -> list[psutil.Process]:
    return processes_with(str(folder / "step"))


@pytest.mark.parametrize("point", ["before the record", "in the record", "after the record"])
def test_killed_while_starting_a_step(tmp_path: Path, point: str):
    mark = f"mark-{ids.new()}"
    program = host(tmp_path, mark, point)
    assert program.wait(20) == -signal.SIGKILL
    until(lambda: not guards_of(tmp_path), 5)  # without any new platform: the guard never got its byte
    assert processes_with(mark) == []
    assert not (tmp_path / "jobs" / "gf-a-1" / "volumes" / "work" / "started").exists()
    assert restarted(tmp_path) < 3


def test_killed_while_a_stubborn_step_runs(tmp_path: Path):
    mark = f"mark-{ids.new()}"
    program = host(tmp_path, mark)
    until((tmp_path / "jobs" / "gf-a-1" / "volumes" / "work" / "started").exists)
    program.kill()
    program.wait()
    assert processes_with(mark), "its child ignores SIGTERM"
    assert restarted(tmp_path) < 10
    assert processes_with(mark) == guards_of(tmp_path) == []


def test_platform_and_guard_killed(tmp_path: Path):
    """The step dies with its guard; its detached child is left for the next platform."""
    mark = f"mark-{ids.new()}"
    program = host(tmp_path, mark)
    until((tmp_path / "jobs" / "gf-a-1" / "volumes" / "work" / "started").exists)
    for process in [*guards_of(tmp_path), psutil.Process(program.pid)]:
        if "guard.py" in " ".join(process.cmdline()) or process.pid == program.pid:
            process.kill()
    program.wait()
    until(lambda: not guards_of(tmp_path))
    assert len(processes_with(mark)) == 1
    assert restarted(tmp_path) < 10
    assert processes_with(mark) == []


def test_nothing_is_left_even_if_no_platform_comes_back(tmp_path: Path):
    mark = f"mark-{ids.new()}"
    program = host(tmp_path, mark)
    until((tmp_path / "jobs" / "gf-a-1" / "volumes" / "work" / "started").exists)
    program.kill()
    program.wait()
    until(lambda: not processes_with(mark) and not guards_of(tmp_path), 10)


def test_a_strangers_process_with_a_recorded_pid_is_left_alone(tmp_path: Path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        Records(tmp_path / "processes").add(Record("earlier-run", stranger.pid, "another-boot:12345"))
        assert restarted(tmp_path) < 3
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_start_time_tells_processes_apart():
    time.sleep(0.03)  # the kernel counts in hundredths of a second
    later = subprocess.Popen(["sleep", "60"])
    assert processes.identity(os.getpid()) == processes.identity(os.getpid())
    assert processes.identity(os.getpid()) != processes.identity(later.pid)
    later.kill()
    later.wait()
    assert processes.identity(later.pid) is None
