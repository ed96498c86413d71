"""What only a real node does to a pod: drain it, kill it for its memory, kill it without a word."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.conftest import Release, namespace

KILLER = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        worker = b"worker" in (folder / "cmdline").read_bytes().split(b"\\0")
        if worker and b"GENEFACE_ATTEMPT=ATTEMPT_ID" in (folder / "environ").read_bytes().split(b"\\0"):
            os.kill(int(folder.name), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
"""


@pytest.fixture(scope="module")
def one(kubectl: Callable[..., str], images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Every request has one try: a second attempt is one that was not counted."""
    with namespace(kubectl, images, tmp_path_factory.mktemp("release")) as release:
        release.stand_in(8)
        release.values["controller"]["settings"] |= {"tries": 1, "graceSeconds": 30}
        release.install()
        release.forward()
        yield release


def the_pod(one: Release, request: str) -> dict[str, str]:
    """Name, node and attempt of the pod that runs the request."""
    (pod,) = json.loads(one.kubectl("get", "pods", "-l", f"geneface.io/request={request}", "-o", "json"))["items"]
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    return {"name": pod["metadata"]["name"], "node": pod["spec"]["nodeName"], "attempt": variables["GENEFACE_ATTEMPT"]}


def test_drain_resumes_and_does_not_count(one: Release) -> None:
    request = one.training("drained")
    one.wait(lambda: one.get(request)["stage"] == "train" and one.get(request)["progress"] > 0.4, 120, "some training")
    node = the_pod(one, request)["node"]
    try:
        one.apply(
            "drain", node, f"--pod-selector=geneface.io/request={request}", "--delete-emptydir-data", "--ignore-daemonsets",
            "--timeout=90s",
        )  # fmt: skip
        one.wait(lambda: one.get(request)["attempt"] == 2, 60, "a second attempt")
    finally:
        one.apply("uncordon", node)
    final = one.final(request, 180)
    assert (final["state"], final["attempt"]) == ("succeeded", 2)
    assert final["attempts"][0]["outcome"] == "disrupted"
    assert "resuming from checkpoint" in one.logs(request)
    assert len(one.avatar_versions("drained")) == 1


def test_out_of_memory(one: Release) -> None:
    request = one.training("hungry", one.asset(b"much memory"))
    final = one.final(request, 120)
    assert (final["state"], final["error"]["code"], final["attempt"]) == ("failed", "out_of_memory", 1), final["error"]
    assert "GENEFACE_RESOURCES" in final["error"]["message"]


def test_the_last_lines_of_a_killed_pod_can_be_read(one: Release) -> None:
    """The worker reports every two seconds; what was written since then is had from the cluster."""
    request = one.training("silenced", one.asset(b"many lines"))
    one.wait(lambda: "line 200." in one.logs(request), 120, "lines")
    pod = the_pod(one, request)
    with subprocess.Popen(one.command("logs", pod["name"], "-c", "preprocess", "-f"), stdout=subprocess.PIPE) as follower:
        kill(one, pod)
        written, _ = follower.communicate(timeout=60)
    final = one.final(request, 60)
    assert (final["state"], final["attempt"]) == ("failed", 1)
    one.wait(lambda: not one.jobs(), 60, "the Job to be cleared away")
    lines = numbers(one.logs(request))
    last = numbers(written.decode())[-1]
    assert lines[-100:] == list(range(last - 99, last + 1))
    assert set(lines) == set(range(last + 1))


def numbers(log: str) -> list[int]:
    return [int(number) for number in re.findall(r"line (\d+)\.", log)]


def kill(one: Release, pod: dict[str, str]) -> None:
    """SIGKILL for the worker, which is its container's first process, so only the node may."""
    killer = f"killer-{pod['attempt'][-6:]}"
    api = one.values["images"]["api"]
    container = {
        "name": "killer", "image": f"{api['repository']}:{api['tag']}", "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", KILLER.replace("ATTEMPT_ID", pod["attempt"])],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }  # fmt: skip
    spec = {"hostPID": True, "restartPolicy": "Never", "nodeName": pod["node"], "containers": [container]}
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": killer, "namespace": "default"}, "spec": spec}
    one.apply("create", "-f", "-", input=json.dumps(raw))
    try:
        one.apply("-n", "default", "wait", f"pod/{killer}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    finally:
        one.apply("-n", "default", "delete", "pod", killer, "--wait=false")
