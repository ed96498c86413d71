"""What happens to a step when the platform is away, changes its mind, or somebody pulls the plug."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest
from platform_double import until

from worker.spool import Spool

VIDEO = b"a video" * 1000
DATASET = {"dataset/dataset.json": b"{}", "dataset/frames.mp4": b"frames" * 100}


@pytest.fixture
def training(platforms):
    """A training whose dataset is there already, so that its second step can run by itself."""
    platform = platforms(inputs={"inputs/video": VIDEO})
    platform.offer(dataset=DATASET)
    return platform


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_an_api_that_is_away_only_delays(training, start):
    worker = start(training, "train", FAKE_STEP="0.05")
    under_way(training)
    began = time.monotonic()
    training.away(4)
    assert worker.wait() == 0
    assert time.monotonic() - began > 4
    assert worker.lines == training.lines
    done = [line["done"] for line in training.lines if line.get("stage") == "train motion"]
    assert done == list(range(1, 21))
    assert training.seen("result")


def test_an_api_that_stays_away(training, run):
    training.away(60)
    worker = run(training, "train", GENEFACE_DEADLINE="0.3")
    assert worker.code == 75
    assert worker.words["code"] == "platform_unreachable"


def under_way(training):
    until(lambda: any(report["stage"] == "train motion" for report in training.reports))


def test_a_twin_waits_and_writes_nothing(training, run, tmp_path):
    training.owner = "pod-0"

    def meanwhile():
        until(lambda: len(training.calls) >= 3)
        training.away(0.6)
        time.sleep(0.6)
        training.state = "final"

    twin = run(training, "train", meanwhile, GENEFACE_DEADLINE="0.1")
    assert twin.code == 0
    assert {call for call, _ in training.calls} == {"claim"}
    assert list((tmp_path / "pod/work").iterdir()) == [] and not twin.log.exists()
    assert not training.puts


def test_a_stale_attempt_writes_nothing(training, run):
    training.state = "stale"
    worker = run(training, "train")
    assert worker.code == 143
    assert worker.words["code"] == "attempt_stale"
    assert [call for call, _ in training.calls] == ["claim"]


@pytest.mark.parametrize(("state", "published", "code"), [("stale", False, 143), ("final", False, 143), ("final", True, 0)])
def test_an_attempt_that_ends_under_way(training, run, state, published, code):
    def meanwhile():
        under_way(training)
        training.reclaimable, training.state = published, state

    worker = run(training, "train", meanwhile, FAKE="long")
    assert worker.code == code
    assert not training.seen("result")
    if code:
        assert worker.words["code"] == f"attempt_{state}"


def test_stop_saves_the_checkpoint(training, run):
    def meanwhile():
        under_way(training)
        training.stop = True

    worker = run(training, "train", meanwhile, FAKE="long")
    assert worker.code == 143
    assert worker.words == {"code": "stopped", "message": "stopped: the platform asked for it"}
    last = training.seen("checkpoint")[-1]
    assert last["checkpoint"]["step"] > 1000
    assert {file["name"].rsplit("/", 1)[1] for file in last["files"]} == {"state.json", "net.safetensors"}
    assert "stopped; the checkpoint is on disk" in training.messages()


def test_sigterm_while_the_api_is_away(training, start):
    """The checkpoint is still published when the API comes back within the grace."""
    worker = start(training, "train", FAKE="long")
    until(lambda: training.seen("checkpoint"))
    training.away(1)
    worker.process.terminate()
    assert worker.wait() == 143
    assert worker.words["message"] == "stopped by SIGTERM"
    assert training.seen("checkpoint")[-1]["checkpoint"]["step"] > 1000


def test_sigterm_to_a_step_that_does_not_listen(training, start):
    worker = start(training, "train", FAKE="deaf", GENEFACE_GRACE="1.5")
    until(lambda: "deaf" in training.messages())
    began = time.monotonic()
    worker.process.terminate()
    assert worker.wait() == 143
    assert 0.9 < time.monotonic() - began < 4
    assert "the step did not end in time after SIGTERM and was killed" in training.messages()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_is_left(training, start, number):
    worker = start(training, "train", FAKE="family", GENEFACE_GRACE="1")
    (line,) = until(lambda: [line for line in training.lines if "pids" in line])
    assert all(alive(pid) for pid in line["pids"])
    os.kill(worker.process.pid, number)
    worker.wait()
    until(lambda: not any(alive(pid) for pid in line["pids"]), 3)


def test_a_result_that_the_api_does_not_find_is_uploaded_anew(training, run):
    training.fault("POST", "publish", 503, (429, {"Retry-After": "0"}))
    original = training._publish
    told = []

    def lose_once(message):
        if message["what"] == "result" and not told:
            told.append(training.objects.pop("/out/model/model.json"))
        return original(message)

    training._publish = lose_once
    assert run(training, "train").code == 0
    assert training.puts["/out/model/model.json"] == 2
    assert training.seen("result")


def test_the_answer_to_publishing_is_lost(training, run):
    """The API commits, then dies before it answers: asking again finds the result there, once."""
    original = training._publish

    def lose_the_answer(message):
        answer = original(message)
        if message["what"] == "result" and len(training.seen("result")) == 1:
            training.away(0.5)
            return 502, {}, b""
        return answer

    training._publish = lose_the_answer
    assert run(training, "train").code == 0
    assert training.seen("result")


def test_a_worker_started_again_goes_on_with_its_log(training, start, run):
    first = start(training, "train", FAKE="family")
    until(lambda: [line for line in training.lines if "pids" in line])
    first.process.kill()
    first.wait()
    before = [line for line in training.lines if "pids" in line]
    for report in training.reports:
        report["progress"] = 0.0  # it is counted anew; the API keeps the highest
    assert run(training, "train").code == 0
    assert [line for line in training.lines if "pids" in line] == before
    assert training.gets["/in/dataset/frames.mp4"] == 1


def test_a_step_that_nobody_would_hear_of_ends(training, run, monkeypatch):
    """The reports' own thread meets the full disk, not the step's lines."""
    full = []
    cut = Spool.cut

    def once_under_way(self):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return cut(self)

    def meanwhile():
        under_way(training)
        full.append(True)

    monkeypatch.setattr("worker.spool.Spool.cut", once_under_way)
    worker = run(training, "train", meanwhile, FAKE="long")
    assert worker.code == 75
    assert worker.words["code"] == "disk_full"


def test_a_full_disk_is_named(training, run, monkeypatch):
    def full(self, line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("worker.spool.Spool.add", full)
    worker = run(training, "train")
    assert worker.code == 75
    assert worker.words["code"] == "disk_full"
