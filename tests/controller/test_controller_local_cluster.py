"""LocalCluster with real processes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from local_jobs import finished, manifest, parsed, processes_with, python, stubborn, until

from controller.errors import ClusterError, FolderError, JobExistsError
from controller.local_cluster import LocalCluster
from store import ids


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path / "cluster", slots=2)
    yield cluster
    cluster.close(grace=0.5)


def work(cluster: LocalCluster, name: str) -> Path:
    return cluster._folder / "jobs" / name / "volumes" / "work"


def test_containers_run_in_order_in_one_work_folder(cluster: LocalCluster):
    write = "open(os.path.join(WORK, 'order'), 'a').write(sys.argv[1])"
    cluster.create(manifest("gf-a-1", [*python(write), "1"], [*python(write), "2"], [*python(write), "3"]), {"token": "t"})
    job, pod = finished(cluster, "gf-a-1")
    assert (job.completed is not None, pod.phase) == (True, "Succeeded")
    assert [one.terminated.exit_code for one in pod.containers if one.terminated] == [0, 0, 0]
    assert (work(cluster, "gf-a-1") / "order").read_text() == "123"


def test_failing_init_container_stops_the_rest(cluster: LocalCluster):
    words = (
        """open(os.environ['GENEFACE_TERMINATION_LOG'], 'w').write('{"code": "no_face_detected", "message": "none"}'); exit(64)"""
    )
    cluster.create(manifest("gf-b-1", python(words), python("open(os.path.join(WORK, 'never'), 'w')")), {"token": "t"})
    job, pod = finished(cluster, "gf-b-1")
    assert (job.failed is not None, pod.phase) == (True, "Failed")
    first, second = pod.containers
    assert first.terminated is not None
    assert (first.terminated.exit_code, first.terminated.words()) == (64, ("no_face_detected", "none"))
    assert second.terminated is None
    assert not (work(cluster, "gf-b-1") / "never").exists()


def test_environment_is_the_manifests_and_holds_nothing_of_the_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENEFACE_S3_SECRET_KEY", "hidden")
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", "/of/the/platform")
    with_claim = manifest(
        "gf-c-1", python("print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))"), request=str(ids.new())
    )
    pod = with_claim["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "weights", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}})
    pod["containers"][0]["volumeMounts"].append({"name": "weights", "mountPath": "/weights"})
    pod["containers"][0]["env"] = [*pod["containers"][0]["env"], {"name": "CLAIM", "value": "/weights/a"}]
    cluster = LocalCluster(tmp_path / "cluster", claims={"weights": tmp_path})
    cluster.create(with_claim, {"token": "the-token"})
    _, status = finished(cluster, "gf-c-1")
    lines = dict(line.split("=", 1) for line in cluster.tail(status.name, "step-0"))
    cluster.close()
    assert lines["GENEFACE_WORK_DIR"] == str(work(cluster, "gf-c-1"))
    assert lines["CHECKPOINTS"] == lines["GENEFACE_WORK_DIR"] + "/checkpoints"
    assert lines["CLAIM"] == f"{tmp_path}/a"
    assert lines["GENEFACE_ATTEMPT_TOKEN"] == "the-token"
    assert lines["GENEFACE_WEIGHTS_DIR"] == "/of/the/platform"
    assert UUID(lines["GENEFACE_RUN"])
    assert "GENEFACE_S3_SECRET_KEY" not in lines


def test_the_language_models_key_goes_where_the_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZHIPU_MODEL", "glm-5")

    def seen(folder: str) -> list[str]:
        tell = python("print(os.environ.get('ZHIPU_API_KEY'), os.environ.get('ZHIPU_MODEL'))")
        job = manifest("gf-key-1", tell, tell)
        reference = {"name": "brain", "key": "ZHIPU_API_KEY", "optional": True}
        pod = job["spec"]["template"]["spec"]
        own = {"name": "ZHIPU_API_KEY", "valueFrom": {"secretKeyRef": reference}}
        pod["initContainers"][0]["env"] = [*pod["initContainers"][0]["env"], own]
        cluster = LocalCluster(tmp_path / folder)
        cluster.create(job, {"token": "t"})
        _, status = finished(cluster, "gf-key-1")
        lines = [line for step in ("step-0", "step-1") for line in cluster.tail(status.name, step)]
        cluster.close()
        assert not [
            path for path in tmp_path.rglob("*") if path.is_file() and b"the-key" in path.read_bytes() and path.suffix != ".log"
        ]
        return lines

    monkeypatch.setenv("ZHIPU_API_KEY", "the-key")
    assert seen("with") == ["the-key glm-5", "None glm-5"]
    monkeypatch.delenv("ZHIPU_API_KEY")
    assert seen("without") == ["None glm-5", "None glm-5"]


def test_secret_is_not_on_disk_and_output_is(cluster: LocalCluster):
    talk = "print('out'); print('err', file=sys.stderr); [print(i) for i in range(200)]"
    cluster.create(manifest("gf-d-1", python(talk)), {"token": "secret-token"})
    _, pod = finished(cluster, "gf-d-1")
    assert cluster.tail(pod.name, "step-0") == [str(number) for number in range(100, 200)]
    assert cluster.tail(pod.name, "step-9") == cluster.tail("unknown-local", "step-0") == []
    files = [path for path in cluster._folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"secret-token" in path.read_bytes()]


def test_command_that_cannot_be_started(cluster: LocalCluster):
    cluster.create(manifest("gf-e-1", ["no-such-program-here"]), {"token": "t"})
    _, pod = finished(cluster, "gf-e-1")
    assert pod.containers[0].terminated is not None
    assert pod.containers[0].terminated.exit_code == 127
    assert cluster.tail(pod.name, "step-0") == ["no-such-program-here: No such file or directory"]


def test_full_disk_is_a_container_that_cannot_be_started(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cluster._records, "add", full)
    cluster.create(manifest("gf-f-1", python("pass")), {"token": "t"})
    _, pod = finished(cluster, "gf-f-1")
    end = pod.containers[0].terminated
    assert end is not None
    assert (end.exit_code, end.reason) == (128, "StartError")
    assert "No space left on device" in end.message


def test_whatever_goes_wrong_the_slot_becomes_free(cluster: LocalCluster):
    for number in (1, 2, 3):
        job = manifest(f"gf-w-{number}", python("pass"))
        job["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "\0"}]
        cluster.create(job, {"token": "t"})
    for number in (1, 2, 3):
        _, pod = finished(cluster, f"gf-w-{number}")
        end = pod.containers[0].terminated
        assert end is not None and end.reason == "StartError" and "null byte" in end.message


def test_killed_process(cluster: LocalCluster):
    cluster.create(manifest("gf-g-1", python("os.kill(os.getpid(), signal.SIGKILL)")), {"token": "t"})
    _, pod = finished(cluster, "gf-g-1")
    end = pod.containers[0].terminated
    assert end is not None
    assert (end.exit_code, end.reason) == (137, "Error")


def test_deadline(cluster: LocalCluster):
    cluster.create(manifest("gf-h-1", python("time.sleep(60)"), activeDeadlineSeconds=0.5), {"token": "t"})
    job, pod = finished(cluster, "gf-h-1")
    assert job.failed is not None
    assert (pod.phase, pod.reason) == ("Failed", "DeadlineExceeded")


def test_sigterm_reaches_the_step_which_may_finish_its_work(cluster: LocalCluster):
    code = """
def save(*_):
    time.sleep(0.2)
    open(sys.argv[1], 'w').write('saved')
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
open(os.path.join(WORK, 'ready'), 'w').close()
while True: time.sleep(0.05)
"""
    saved = cluster._folder / "saved"
    cluster.create(manifest("gf-i-1", [*python(code), str(saved)], terminationGracePeriodSeconds=30), {"token": "t"})
    until((work(cluster, "gf-i-1") / "ready").exists)
    cluster.delete("gf-i-1")
    job, pod = parsed(cluster, "gf-i-1")
    assert job.deleting
    assert pod.deleted_at is not None
    until(lambda: cluster.get("gf-i-1") is None)
    assert saved.read_text() == "saved"
    assert not work(cluster, "gf-i-1").exists()


def test_grace_ends_with_sigkill_for_grandchildren_too(cluster: LocalCluster):
    mark = f"mark-{ids.new()}"
    cluster.create(manifest("gf-j-1", stubborn(mark), terminationGracePeriodSeconds=0.5), {"token": "t"})
    until((work(cluster, "gf-j-1") / "started").exists)
    until(lambda: len(processes_with(mark)) >= 2)
    began = time.monotonic()
    cluster.delete("gf-j-1")
    until(lambda: cluster.get("gf-j-1") is None)
    assert 0.5 <= time.monotonic() - began < 3
    assert processes_with(mark) == []


def test_what_a_step_leaves_running_ends_with_it(cluster: LocalCluster):
    mark = f"mark-{ids.new()}"
    leave = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]], start_new_session=True)"
    cluster.create(manifest("gf-k-1", [*python(leave), mark]), {"token": "t"})
    job, _ = finished(cluster, "gf-k-1")
    assert job.completed is not None
    assert processes_with(mark) == []


def test_slots_first_come_first_served(cluster: LocalCluster):
    hold = python("\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)")
    gate = cluster._folder / "gate"
    for number in range(4):
        cluster.create(manifest(f"gf-{number}-1", [*hold, str(gate)]), {"token": "t"})
    pods = [parsed(cluster, f"gf-{number}-1")[1] for number in range(4)]
    assert [pod.phase for pod in pods] == ["Running", "Running", "Pending", "Pending"]
    gates = [pod.condition("PodScheduled") for pod in pods[2:]]
    assert [(gate.reason, gate.message) for gate in gates if gate] == [
        ("SchedulingGated", "waiting for a slot (place 1)"), ("SchedulingGated", "waiting for a slot (place 2)")
    ]  # fmt: skip
    cluster.delete("gf-2-1")
    assert cluster.get("gf-2-1") is None
    moved = parsed(cluster, "gf-3-1")[1].condition("PodScheduled")
    assert moved is not None
    assert moved.message == "waiting for a slot (place 1)"
    gate.touch()
    assert finished(cluster, "gf-3-1")[0].completed is not None


def test_names_are_taken_until_the_job_is_gone(cluster: LocalCluster):
    request = str(ids.new())
    uid = cluster.create(manifest("gf-l-1", python("pass"), request=request), {"token": "t"})
    with pytest.raises(JobExistsError):
        cluster.create(manifest("gf-l-1", python("pass")), {"token": "t"})
    with pytest.raises(ClusterError, match="no name for a Job"):
        cluster.create(manifest("../escape", python("pass")), {"token": "t"})
    assert [raw["metadata"]["uid"] for raw in cluster.jobs(UUID(request))] == [uid]
    assert cluster.jobs(ids.new()) == []
    finished(cluster, "gf-l-1")
    cluster.delete("gf-l-1")
    until(lambda: cluster.get("gf-l-1") is None)
    cluster.delete("gf-l-1")


def test_changes_are_hinted_at(cluster: LocalCluster):
    request, heard = ids.new(), []
    cluster.watch(heard.append)
    cluster.create(manifest("gf-m-1", python("pass"), request=str(request)), {"token": "t"})
    finished(cluster, "gf-m-1")
    until(lambda: len(heard) >= 3)
    assert set(heard) == {request}


def test_steps_are_background_work(cluster: LocalCluster):
    cluster.create(manifest("gf-n-1", python("print(os.nice(0))")), {"token": "t"})
    _, pod = finished(cluster, "gf-n-1")
    assert int(cluster.tail(pod.name, "step-0")[0]) >= os.nice(0) + 5


def test_close_ends_everything(tmp_path: Path):
    mark = f"mark-{ids.new()}"
    cluster = LocalCluster(tmp_path / "cluster")
    cluster.create(manifest("gf-o-1", stubborn(mark)), {"token": "t"})
    until((work(cluster, "gf-o-1") / "started").exists)
    cluster.close(grace=0.3)
    assert processes_with(mark) == []
    with pytest.raises(ClusterError, match="closed"):
        cluster.create(manifest("gf-o-2", python("pass")), {"token": "t"})
    LocalCluster(tmp_path / "cluster").close()


def test_folder_in_use_or_not_writable(tmp_path: Path, cluster: LocalCluster):
    with pytest.raises(FolderError, match="in use by another program"):
        LocalCluster(cluster._folder)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="cannot be written"):
        LocalCluster(tmp_path / "file")


def test_guard_that_is_killed_takes_the_step_with_it(cluster: LocalCluster):
    mark = f"mark-{ids.new()}"
    cluster.create(manifest("gf-p-1", stubborn(mark)), {"token": "t"})
    until((work(cluster, "gf-p-1") / "started").exists)
    (guard,) = [process for process in psutil.Process().children() if "guard.py" in " ".join(process.cmdline())]
    guard.send_signal(signal.SIGKILL)
    job, pod = finished(cluster, "gf-p-1")
    assert job.failed is not None
    assert pod.containers[0].terminated is not None
    assert pod.containers[0].terminated.exit_code == 137
    assert processes_with(mark) == []
