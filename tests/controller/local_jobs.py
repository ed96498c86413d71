"""Small Jobs for LocalCluster, and ways to see what became of them."""

import time
from collections.abc import Callable
from typing import Any

import psutil

from controller.local_cluster import LocalCluster
from controller.observed import REQUEST_LABEL, Job, Pod
from store import ids


def manifest(name: str, *commands: list[str], request: str | None = None, **spec: Any) -> dict[str, Any]:
    """A Job whose containers run `commands`, one after the other."""
    labels = {REQUEST_LABEL: request or str(ids.new())}
    env: list[dict[str, Any]] = [
        {"name": "GENEFACE_WORK_DIR", "value": "/work"},
        {"name": "GENEFACE_TERMINATION_LOG", "value": "/dev/termination-log"},
        {"name": "GENEFACE_RUN", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "GENEFACE_ATTEMPT_TOKEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "token"}}},
        {"name": "CHECKPOINTS", "value": "/work/checkpoints"},
    ]
    steps = [
        {"name": f"step-{number}", "command": command, "env": env, "volumeMounts": [{"name": "work", "mountPath": "/work"}]}
        for number, command in enumerate(commands)
    ]
    pod = {"initContainers": steps[:-1], "containers": steps[-1:], "volumes": [{"name": "work", "emptyDir": {}}], **spec}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def python(code: str) -> list[str]:
    """A step that runs `code`; WORK is its work folder."""
    return ["python", "-c", "import os, sys, time, signal, subprocess\nWORK = os.environ['GENEFACE_WORK_DIR']\n" + code]


def parsed(cluster: LocalCluster, name: str) -> tuple[Job, Pod]:
    """How Job and pod stand, through the parser that serves Kubernetes too."""
    raw = cluster.get(name)
    assert raw is not None
    request = raw["metadata"]["labels"][REQUEST_LABEL]
    pods = [pod for pod in cluster.pods(ids_of(request)) if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name]
    return Job.parse(raw), Pod.parse(pods[0])


def ids_of(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


def until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Waits for something true and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


def finished(cluster: LocalCluster, name: str, seconds: float = 10.0) -> tuple[Job, Pod]:
    """Waits for the Job's end."""
    until(lambda: parsed(cluster, name)[0].finished, seconds)
    return parsed(cluster, name)


def processes_with(mark: str) -> list[psutil.Process]:
    """Living processes that have `mark` in their command line, the test itself excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if mark in " ".join(line) and "pytest" not in " ".join(line) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


STUBBORN = """
mark = sys.argv[1]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'
subprocess.Popen([sys.executable, '-c', deaf, mark], start_new_session=True)
open(os.path.join(WORK, 'started'), 'w').close()
time.sleep(600)
"""
"""A step that ignores SIGTERM, with a child in a session of its own that does so too. Its argument marks both."""


def stubborn(mark: str) -> list[str]:
    return [*python(STUBBORN), mark]
