"""A node for an API server that has none: each pod's containers run as processes of this machine, one after the other.

The Job controller is the real one; this is what it sees of a kubelet. A pod is bound to the node, waits for its Secret, runs,
says how each container ended, gets SIGTERM when it is deleted, and is removed then. What a test wants to go wrong, it sets.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.errors import ApiError, ClusterError
from controller.kube_api import KubeApi, namespaced

Raw = dict[str, Any]

NAME = "test-node"
READY = {"type": "Ready", "status": "True", "reason": "Test"}


class Node:
    """Runs the pods of one namespace, `slots` at once; those that `leaves` picks are left Pending."""

    def __init__(self, api: KubeApi, namespace: str, slots: int = 2, **environment: str) -> None:
        self.api, self.namespace = api, namespace
        self.environment = {**os.environ, **environment}
        self.leaves: Callable[[Raw], bool] = lambda _: False
        self.silent = False
        """Whether the node is lost: it no longer removes what is to be deleted."""
        self.before_start: Callable[[Raw], None] = lambda _: None
        self.runs: dict[str, int] = {}
        """How often a process was started, by container and request."""
        self._slots = threading.Semaphore(slots)
        self._seen: set[str] = set()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._register()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for thread in self._threads:
            thread.join(10)

    def pods(self) -> list[Raw]:
        return list(self.api.call("GET", self._path()).get("items") or ())

    def set_status(self, pod: str, status: Raw) -> None:
        """As a kubelet would report it; where it is gone, nothing happens."""
        for _ in range(20):
            try:
                raw = self.api.call("GET", self._path(pod))
                self.api.call("PUT", self._path(pod, "status"), {**raw, "status": {**raw["status"], **status}})
            except ApiError as error:
                if error.status == 404:
                    return
                if error.status != 409:
                    raise
            else:
                return

    def bind(self, pod: str) -> None:
        target = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": {"kind": "Node", "name": NAME}}
        self.api.call("POST", self._path(pod, "binding"), target)

    def remove(self, pod: str) -> None:
        with suppress(ApiError):
            self.api.call("DELETE", self._path(pod), {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})

    def _path(self, name: str = "", part: str = "") -> str:
        return namespaced("api/v1", self.namespace, "pods", name, part)

    def _register(self) -> None:
        with suppress(ApiError):
            self.api.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}})

    def _beat(self) -> None:
        """The node controller takes a silent node's pods away."""
        raw = self.api.call("GET", f"/api/v1/nodes/{NAME}")
        now = _now()
        status = {**raw.get("status", {}), "conditions": [{**READY, "lastHeartbeatTime": now, "lastTransitionTime": now}]}
        with suppress(ApiError):
            self.api.call("PUT", f"/api/v1/nodes/{NAME}/status", {**raw, "status": status})

    def _watch(self) -> None:
        beaten = 0.0
        while not self._stop.wait(0.05):
            try:
                if time.monotonic() > beaten + 10:
                    self._beat()
                    beaten = time.monotonic()
                for pod in self.pods():
                    uid = pod["metadata"]["uid"]
                    if self.leaves(pod):
                        if "deletionTimestamp" in pod["metadata"] and not self.silent:
                            self.remove(pod["metadata"]["name"])
                    elif uid not in self._seen:
                        self._seen.add(uid)
                        thread = threading.Thread(target=self._run, args=(pod,), daemon=True)
                        self._threads.append(thread)
                        thread.start()
            except ClusterError:
                continue  # the test plays with the API server

    def _run(self, pod: Raw) -> None:
        name = pod["metadata"]["name"]
        with self._slots, tempfile.TemporaryDirectory(prefix="pod-", ignore_cleanup_errors=True) as folder:
            try:
                self.before_start(pod)
                self.bind(name)
                secret = self._secret(pod)
                self._run_containers(pod, Path(folder), secret)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    def _run_containers(self, pod: Raw, folder: Path, secret: Raw) -> None:
        name, spec = pod["metadata"]["name"], pod["spec"]
        initial, main = spec.get("initContainers") or [], spec["containers"]
        ended: dict[str, Raw] = {}

        def status(phase: str, running: str | None = None) -> Raw:
            def one(container: Raw) -> Raw:
                state: Raw = {"waiting": {"reason": "PodInitializing"}}
                if container["name"] in ended:
                    state = {"terminated": ended[container["name"]]}
                elif container["name"] == running:
                    state = {"running": {"startedAt": _now()}}
                return {
                    "name": container["name"],
                    "image": "i",
                    "imageID": "i",
                    "ready": False,
                    "restartCount": 0,
                    "state": state,
                }

            return {
                "phase": phase, "initContainerStatuses": [one(c) for c in initial], "containerStatuses": [one(c) for c in main],
            }  # fmt: skip

        for container in [*initial, *main]:
            phase = "Running" if container in main else "Pending"
            self.set_status(name, status(phase, container["name"]))
            code, message, gone = self._process(pod, container, folder, secret)
            ended[container["name"]] = {
                "exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message, "startedAt": _now(),
                "finishedAt": _now(), "containerID": "test://1",
            }  # fmt: skip
            if code != 0 or gone:
                break
        failed = any(one["exitCode"] for one in ended.values())
        self.set_status(name, status("Failed" if failed else "Succeeded"))
        self._await_deletion(name)

    def _process(self, pod: Raw, container: Raw, folder: Path, secret: Raw) -> tuple[int, str, bool]:
        """Exit code, termination message, and whether the pod was deleted meanwhile."""
        log = folder / f"{container['name']}.termination"
        work = folder / "work"
        work.mkdir(exist_ok=True)
        environment = dict(self.environment)
        for variable in container["env"]:
            match variable:
                case {"valueFrom": {"secretKeyRef": {"key": key}}}:
                    environment[variable["name"]] = base64.b64decode(secret["data"][key]).decode()
                case {"valueFrom": _}:
                    environment[variable["name"]] = pod["metadata"]["uid"]
                case _:
                    environment[variable["name"]] = variable.get("value", "")
        environment |= {"GENEFACE_WORK_DIR": str(work), "GENEFACE_TERMINATION_LOG": str(log)}
        mark = f"{container['name']} {pod['metadata']['labels'].get('geneface.io/request')}"
        self.runs[mark] = self.runs.get(mark, 0) + 1
        command = [sys.executable if part == "python" else part for part in container["command"]]
        with (folder / f"{container['name']}.out").open("wb") as out:
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        gone, looked = False, 0.0
        while process.poll() is None:
            time.sleep(0.05)
            if not gone and time.monotonic() > looked + 0.3:
                looked = time.monotonic()
                gone = self._deleted(pod)
                if gone or self._stop.is_set():
                    process.send_signal(signal.SIGTERM)
                    gone = True
        code = process.returncode
        return (code if code >= 0 else 128 - code), log.read_text() if log.exists() else "", gone

    def _deleted(self, pod: Raw) -> bool:
        try:
            raw = self.api.call("GET", self._path(pod["metadata"]["name"]))
        except ApiError as error:
            return error.status == 404
        except ClusterError:
            return False
        return raw["metadata"]["uid"] != pod["metadata"]["uid"] or "deletionTimestamp" in raw["metadata"]

    def _await_deletion(self, name: str) -> None:
        def watch() -> None:
            while not self._stop.wait(0.2):
                try:
                    raw = self.api.call("GET", self._path(name))
                except ApiError:
                    return
                except ClusterError:
                    continue
                if "deletionTimestamp" in raw["metadata"]:
                    self.remove(name)
                    return

        threading.Thread(target=watch, daemon=True).start()

    def _secret(self, pod: Raw) -> Raw:
        names = [
            variable["valueFrom"]["secretKeyRef"]["name"] for container in pod["spec"]["containers"]
            for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})
        ]  # fmt: skip
        for _ in range(100):
            try:
                return self.api.call("GET", namespaced("api/v1", self.namespace, "secrets", names[0]))
            except ApiError as error:
                if error.status != 404:
                    raise
            time.sleep(0.1)
        raise AssertionError(json.dumps(names))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
