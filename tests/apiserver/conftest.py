"""A real kube-apiserver with the real Job controller, the platform beside it, and a node that runs pods as processes."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from databases import create_database

from controller.kube_api import KubeApi, namespaced
from local.servers import free_port
from tests.apiserver import control_plane
from tests.apiserver.node import Node
from tests.person import Person

ROOT = Path(__file__).parents[2]
PROGRAMS = [
    Path(folder)
    for folder in (
        os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"),
        os.environ.get("GENEFACE_KUBE_BIN", Path.home() / ".cache/geneface-kube/bin"),
    )
]
RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update", "list", "watch"]},
    {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["list", "watch"]},
]
"""What the chart's Role gives the controller."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.apiserver)


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """An administrator's. GENEFACE_APISERVER names the kubeconfig of a running API server; else one is started."""
    if given := os.environ.get("GENEFACE_APISERVER"):
        yield Path(given)
        return
    folder = next((one for one in PROGRAMS if control_plane.complete(one)), None)
    if folder is None:
        pytest.skip(f"no {', '.join(control_plane.PROGRAMS)} in KUBEBUILDER_ASSETS or GENEFACE_KUBE_BIN")
    with control_plane.control_plane(folder) as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="session")
def admin(kubeconfig: Path) -> KubeApi:
    return KubeApi.connect(kubeconfig)


@pytest.fixture
def namespace(admin: KubeApi) -> str:
    """A fresh namespace in which a ServiceAccount `controller` has what the chart gives it."""
    name = f"gf-{uuid.uuid4().hex[:8]}"
    admin.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "controller"}}
    admin.call("POST", namespaced("api/v1", name, "serviceaccounts"), account)
    rbac = "apis/rbac.authorization.k8s.io/v1"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "controller"}, "rules": RULES}
    admin.call("POST", namespaced(rbac, name, "roles"), role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "controller"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "controller"},
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": name}],
    }  # fmt: skip
    admin.call("POST", namespaced(rbac, name, "rolebindings"), binding)
    return name


@pytest.fixture
def controllers_kubeconfig(admin: KubeApi, kubeconfig: Path, namespace: str, tmp_path: Path) -> Path:
    """What the controller connects with: the ServiceAccount's token."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    answer = admin.call("POST", namespaced("api/v1", namespace, "serviceaccounts", "controller", "token"), request)
    config = yaml.safe_load(kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": answer["status"]["token"]}
    path = tmp_path / "controller.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


class Platform(Person):
    """api and controllers as processes, on the session's PostgreSQL and S3."""

    def __init__(self, folder: Path, namespace: str, settings: dict[str, str]) -> None:
        self.folder, self.namespace = folder, namespace
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ, "GENEFACE_PORT": str(self.port), "GENEFACE_HOST": "127.0.0.1", "GENEFACE_API_URL": self.url,
            "GENEFACE_CLUSTER": "kubernetes", "GENEFACE_NAMESPACE": namespace, "GENEFACE_REPORT_SECONDS": "0.1",
            "GENEFACE_POLL_SECONDS": "0.2", "GENEFACE_FULL_PASS_SECONDS": "5", "GENEFACE_RESULT_GRACE_SECONDS": "1",
            "GENEFACE_BACKOFF_SECONDS": "0.2", **settings,
        }  # fmt: skip
        self.running: list[subprocess.Popen[bytes]] = []
        self.start("api")
        self.wait(self._ready, 30, "the API to be ready")

    def start(self, program: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", program], env={**self.environment, **environment}, cwd=ROOT, stdout=out, stderr=out
            )
        self.running.append(process)
        return process

    def controller(self, **environment: str) -> subprocess.Popen[bytes]:
        return self.start("controller", **environment)

    def story(self) -> str:
        return "\n".join((self.folder / f"{name}.out").read_text()[-3000:] for name in ("api", "controller"))

    def close(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(30)

    def reason(self, request: str) -> str:
        return self.get(request)["waiting_reason"] or ""

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def database_url(postgres_server: str, _migrated: str) -> str:
    """A fresh one for each test: its requests belong to its namespace."""
    return create_database(postgres_server, f"test_{uuid.uuid4().hex}", template=_migrated)


@pytest.fixture
def platform(
    namespace: str, controllers_kubeconfig: Path, database_url: str, s3: Any, tmp_path: Path
) -> Iterator[Callable[..., Platform]]:
    """Makes the platform, with one controller unless told otherwise."""
    made: list[Platform] = []

    def make(controllers: int = 1, **settings: str) -> Platform:
        one = Platform(tmp_path, namespace, {
            "GENEFACE_DATABASE_URL": database_url, "GENEFACE_TOKEN_KEY": "k" * 32, "GENEFACE_S3_ENDPOINT": s3.s3_endpoint,
            "GENEFACE_S3_BUCKET": s3.s3_bucket, "GENEFACE_S3_ACCESS_KEY": s3.s3_access_key,
            "GENEFACE_S3_SECRET_KEY": s3.s3_secret_key, "GENEFACE_KUBECONFIG": str(controllers_kubeconfig), **settings,
        })  # fmt: skip
        made.append(one)
        for _ in range(controllers):
            one.controller()
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def node(admin: KubeApi, namespace: str) -> Iterator[Node]:
    """Runs the stand-in of the method under the real worker."""
    path = os.pathsep.join([str(ROOT / "tests/local/stand_in"), str(ROOT)])
    node = Node(
        admin, namespace, PYTHONPATH=path, STAND_IN_SECONDS="0.3", GENEFACE_BACKOFF_FIRST="0.1", GENEFACE_BACKOFF_MOST="1",
        GENEFACE_REPORT_INTERVAL="0.1",
    )  # fmt: skip
    yield node
    node.close()
