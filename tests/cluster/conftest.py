"""A whole cluster, the platform's own images in it, and the chart installed: what a person who runs `helm install` has."""

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers import free_port
from tests.person import Person

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/geneface-platform"
PROGRAMS = Path(os.environ.get("GENEFACE_KUBE_BIN", Path.home() / ".cache/geneface-kube/bin"))
TAG = "test"
IMAGES = ("api", "controller", "geneface", "eval", "speech", "storage")
STAND_IN = "tests/cluster/stand-in"
"""Folder of the image that runs the real worker over a stand-in of the method."""
KINDS = ("training", "rendering", "evaluation", "synthesis", "dialogue")
SMALL = {"requests": {"cpu": "20m"}}
OTHERS_CPU = 0.3
"""Cores for all SMALL pods, those of an upgrade and the cluster's DNS included: on a small node a Job gets the rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def program(name: str) -> str:
    found = shutil.which(name) or (str(PROGRAMS / name) if (PROGRAMS / name).exists() else None)
    if found is None:
        pytest.skip(f"{name} is missing")
    return found


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., str]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: KUBECONFIG is not set")
    path = program("kubectl")
    return lambda *arguments, **options: run(path, *arguments, **options)


@pytest.fixture(scope="session")
def images(kubectl: Callable[..., str]) -> str:
    """The tag of the images, built from this tree and brought into the cluster by LOAD, a command that takes their names."""
    if given := os.environ.get("IMAGES_TAG"):
        return given
    load = os.environ.get("LOAD")
    if not load:
        pytest.skip("no way to bring images into the cluster: LOAD is not set (such as `kind load docker-image`)")
    run(ROOT / "images/build", *IMAGES, STAND_IN, env={**os.environ, "TAG": TAG, "PREFIX": "localhost/geneface-"})
    run(*shlex.split(load), *[f"localhost/geneface-{name}:{TAG}" for name in (*IMAGES, Path(STAND_IN).name)])
    return TAG


class Release(Person):
    """The chart, installed; api and object storage by port-forward, as its notes say."""

    pause = 0.5

    def __init__(self, kubectl: Callable[..., str], namespace: str, tag: str, folder: Path) -> None:
        self._kubectl, self.namespace, self.folder = kubectl, namespace, folder
        self._forwards: list[subprocess.Popen[bytes]] = []
        self.storage = "geneface-storage"
        """The object storage's Service."""
        self.api_port, self.storage_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.values = {
            "imagePullPolicy": "IfNotPresent",
            "images": {
                **{name: {"repository": f"localhost/geneface-{name}", "tag": tag} for name in IMAGES},
                "postgresql": image(os.environ.get("POSTGRESQL_IMAGE", "postgres:17")),
            },
            "objectStorage": {
                "publicEndpoint": f"http://127.0.0.1:{self.storage_port}",
                "embedded": {"resources": SMALL},
            },
            "gpuClasses": {"simulated": {"resource": "nvidia.com/gpu"}},
            "api": {"settings": {"defaultGpu": "simulated"}, "resources": SMALL},
            "migrations": {"resources": SMALL},
            "postgresql": {"embedded": {"resources": SMALL}},
            "controller": {
                "resources": SMALL,
                "settings": {
                    "stepEnvironment": {"GENEFACE_DEVICE": "cpu", "GENEFACE_VISIBLE_LABEL": "off"},
                    "resources": {kind: {"cpu": self._left_for_a_job(), "memory": "3Gi"} for kind in KINDS},
                },
            },
        }  # fmt: skip

    def stand_in(self, seconds: float, **environment: str) -> None:
        """Steps that take `seconds` each and need no torch."""
        name = Path(STAND_IN).name
        tag = self.values["images"]["geneface"]["tag"]
        for room in ("geneface", "eval", "speech"):
            self.values["images"][room] = image(f"localhost/geneface-{name}:{tag}")
        settings = self.values["controller"]["settings"]
        settings["stepEnvironment"] = {"STAND_IN_SECONDS": str(seconds), **environment}
        settings["resources"] = {kind: {"cpu": "100m", "memory": "256Mi"} for kind in KINDS}

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self._kubectl("-n", self.namespace, *arguments, **options)

    def _left_for_a_job(self) -> str:
        nodes = json.loads(self.apply("get", "nodes", "-o", "json"))["items"]
        cores = max(cpu(node["status"]["allocatable"]["cpu"]) for node in nodes)
        return f"{round(1000 * min(cores - OTHERS_CPU, 4))}m"

    def apply(self, *arguments: str | Path, **options: Any) -> str:
        """kubectl without a namespace of its own."""
        return self._kubectl(*arguments, **options)

    def helm(self, *arguments: str | Path) -> str:
        return run(program("helm"), "-n", self.namespace, *arguments)

    def install(self, *more: str) -> float:
        """Seconds until all is ready."""
        values = self.folder / "values.json"
        values.write_text(json.dumps(self.values))
        began = time.monotonic()
        self.helm("upgrade", "--install", "geneface", CHART, "-f", values, "--wait", "--timeout", "5m", *more)
        return time.monotonic() - began

    def command(self, *arguments: str) -> list[str]:
        """kubectl, for a process of its own."""
        return [program("kubectl"), "-n", self.namespace, *arguments]

    def forward(self) -> None:
        for port, service, name in ((self.api_port, 80, "geneface-api"), (self.storage_port, 9000, self.storage)):
            command = self.command("port-forward", f"service/{name}", f"{port}:{service}")
            self._forwards.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self.wait(self._answers, 30, "the forwarded ports")

    def forward_again(self) -> None:
        """A port-forward ends with the pod behind it."""
        self.unforward()
        self.forward()

    def unforward(self) -> None:
        for process in self._forwards:
            process.terminate()
            process.wait()
        self._forwards.clear()

    def _answers(self) -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{self.storage_port}/")
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def story(self) -> str:
        pods = self.kubectl("get", "pods", "-o", "wide")
        return pods + self.kubectl("logs", "-l", "app.kubernetes.io/component=controller", "--tail=30")

    def serve(self, container: dict[str, Any], port: int, user: int, volume: dict[str, Any]) -> None:
        """A pod and a Service of the container's name; waits until it answers."""
        name = container["name"]
        metadata = {"name": name, "labels": {"server": name}}
        spec = {
            "containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 2,
            "securityContext": {"runAsUser": user, "fsGroup": user},
        }  # fmt: skip
        ports = {"selector": metadata["labels"], "ports": [{"port": port}]}
        for kind, each in (("Pod", spec), ("Service", ports)):
            raw = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": each}
            self.kubectl("create", "-f", "-", input=json.dumps(raw))
        self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s")

    def serve_files(self, name: str, port: int, arguments: Sequence[str], *files: Path) -> None:
        """Python in the api's image, with `files` in /files."""
        self.kubectl("create", "configmap", name, *(f"--from-file={file}" for file in files))
        api = self.values["images"]["api"]
        container = secured(name, f"{api['repository']}:{api['tag']}", port, command=["python", *arguments])
        container["volumeMounts"] = [{"name": "files", "mountPath": "/files"}]
        self.serve(container, port, 10001, {"name": "files", "configMap": {"name": name}})

    def keep_weights(self, folder: Path) -> str:
        """`python -m store keep-weights` from this machine, by the port-forward that the notes name."""
        secret = json.loads(self.kubectl("get", "secret", "geneface-storage", "-o", "json"))["data"]
        keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "GENEFACE_S3_ENDPOINT": f"http://127.0.0.1:{self.storage_port}",
            "GENEFACE_S3_ACCESS_KEY": keys["access-key"], "GENEFACE_S3_SECRET_KEY": keys["secret-key"],
        }  # fmt: skip
        return run(sys.executable, "-m", "store", "keep-weights", folder, "--patience", "30", env=environment)

    def bring_weights(self, *names: str) -> None:
        """Installs with the weights' Job, and waits for its end."""
        self.values["weights"] = {"enabled": True, "job": {"names": names, "resources": SMALL}}
        self.install()
        self.kubectl("wait", "job", "-l", "app.kubernetes.io/component=weights", "--for=condition=Complete", "--timeout=240s")

    def upload(self, file: Path) -> str:
        with file.open("rb") as content:
            answer = httpx.post(f"{self.url}/v1/assets", files={"file": (file.name, content)}, timeout=120)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "jobs", "-l", "geneface.io/request", "-o", "json"))["items"]
        return found


def secured(name: str, server: str, port: int, **more: Any) -> dict[str, Any]:
    """A container of the image `server` that Pod Security `restricted` admits."""
    context = {
        "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    return {
        "name": name, "image": server, "imagePullPolicy": "IfNotPresent", "securityContext": context,
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}, "resources": SMALL, **more,
    }  # fmt: skip


def cpu(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def image(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"repository": repository, "tag": tag}


@contextmanager
def namespace(kubectl: Callable[..., str], tag: str, folder: Path) -> Iterator[Release]:
    """One that enforces Pod Security `restricted`; it goes with all that is in it."""
    name = f"gf-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    release = Release(kubectl, name, tag, folder)
    yield release
    release.unforward()
    kubectl("delete", "namespace", name, "--wait=false")
    # Its last objects go half a minute later, which nobody needs to wait for.
    release.wait(lambda: not kubectl("-n", name, "get", "pods", "-o", "name"), 180, "the end of all pods")


@pytest.fixture
def release(kubectl: Callable[..., str], images: str, tmp_path: Path) -> Iterator[Release]:
    """To be installed in a namespace of its own."""
    with namespace(kubectl, images, tmp_path) as release:
        yield release
