"""Checkpoints on their way: one at a time, the newest first, whatever the training deletes meanwhile."""

import shutil
import threading

import pytest
from platform_double import until

from worker.checkpoints import Checkpoints
from worker.control import Control
from worker.errors import AttemptStaleError, AwayError
from worker.patience import Patience
from worker.protocol import File


class Carrier:
    """Stands in for transfer and door; `gate` holds an upload up."""

    def __init__(self):
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.published = []
        self.said = []
        self.trouble = None

    def send(self, paths, _patience):
        self.begun.release()
        assert self.gate.wait(5)
        if self.trouble:
            raise self.trouble
        return [File.of(name, path) for name, path in paths.items()]

    def publish_checkpoint(self, _patience, checkpoint):
        self.published.append((checkpoint.name, checkpoint.step, [file.name for file in checkpoint.files]))

    def say(self, message, level):
        self.said.append((level, message))


@pytest.fixture
def carrier():
    return Carrier()


@pytest.fixture
def control():
    return Control(5)


@pytest.fixture
def checkpoints(carrier, control, tmp_path):
    patience = Patience(1, 0.1, 0.1, control.abandoned)
    return Checkpoints(carrier, carrier, tmp_path / "shelf", control, patience, carrier.say, 0)


def folder(tmp_path, name):
    made = tmp_path / "made" / name
    (made / "net").mkdir(parents=True)
    (made / "net/a.safetensors").write_bytes(b"tensors")
    (made / ".partial").write_bytes(b"")
    return made


def test_the_newest_goes_first(checkpoints, carrier, tmp_path):
    made = [folder(tmp_path, f"motion-{step}") for step in (10, 20, 30)]
    checkpoints.offer(made[0])
    assert carrier.begun.acquire(timeout=5)
    checkpoints.offer(made[1])
    checkpoints.offer(made[2])
    shutil.rmtree(tmp_path / "made")
    carrier.gate.set()
    checkpoints.close(flush=True)
    assert carrier.published == [(f"motion-{n}", n, [f"checkpoints/motion-{n}/net/a.safetensors"]) for n in (10, 30)]
    assert list((tmp_path / "shelf").iterdir()) == []


def test_steps_rise_from_stage_to_stage(checkpoints, carrier, tmp_path):
    carrier.gate.set()
    for name in ("motion-300", "plane-5", "plane-6", "last"):
        checkpoints.offer(folder(tmp_path, name))
        assert carrier.begun.acquire(timeout=5)
    checkpoints.close(flush=True)
    assert [step for _, step, _ in carrier.published] == [300, 301, 302, 303]


def test_what_waits_is_dropped_at_a_good_end(checkpoints, carrier, tmp_path):
    checkpoints.offer(folder(tmp_path, "motion-10"))
    assert carrier.begun.acquire(timeout=5)
    checkpoints.offer(folder(tmp_path, "motion-20"))
    carrier.gate.set()
    checkpoints.close(flush=False)
    assert [name for name, _, _ in carrier.published] == ["motion-10"]


def test_one_that_fails_is_said_and_the_next_is_tried(checkpoints, carrier, control, tmp_path):
    carrier.gate.set()
    carrier.trouble = AwayError("s3")
    checkpoints.offer(folder(tmp_path, "motion-10"))
    assert carrier.begun.acquire(timeout=5)
    until(lambda: carrier.said)
    carrier.trouble = None
    checkpoints.offer(folder(tmp_path, "motion-20"))
    checkpoints.offer(tmp_path / "made/nowhere")
    checkpoints.close(flush=True)
    assert [name for name, _, _ in carrier.published] == ["motion-20"]
    assert [level for level, _ in carrier.said].count("warning") == 2
    assert control.cause is None


def test_a_refusal_ends_the_step(checkpoints, carrier, control, tmp_path):
    carrier.gate.set()
    carrier.trouble = AttemptStaleError(409, "attempt_stale", "late")
    checkpoints.offer(folder(tmp_path, "motion-10"))
    checkpoints.close(flush=True)
    assert control.cause is carrier.trouble and control.abandoned.is_set()
