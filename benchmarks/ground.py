"""What `platform_speed.py` measures on: PostgreSQL, S3, a real API server, controller and API as processes, watchers."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from controller.errors import ClusterError
from controller.kube_api import KubeApi, Raw, namespaced
from controller.observed import REQUEST_LABEL
from local.servers import Keys, ObjectServer, Postgres, free_port
from store import migrate, requests
from store.database import Database
from store.models import Kind
from store.objects import Objects

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(os.environ.get("GENEFACE_KUBE_SCRIPTS", ROOT.parent / "shared/kube"))
RIGHTS = ROOT / "manifests/base/controller.yaml"
SPEC: dict[str, Any] = {"inputs": [], "steps": ["render"], "gpu": None}
AT_ONCE = 500
"""Rows of one commit, where many requests are filed beforehand."""
BUCKET = "geneface"


def wait(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.02) -> float:
    """Seconds until `condition` is true."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(pause)
    return time.monotonic() - began


def address(database: Database) -> str:
    """Its URL, for another process."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


class Servers:
    """PostgreSQL and S3, as one machine has them."""

    def __init__(self, folder: Path) -> None:
        keys = Keys("bench-access", "bench-secret-key")
        self._postgres = Postgres(folder / "pg")
        self._s3 = ObjectServer(folder / "s3", free_port(), keys)
        self._url = self._postgres.start()
        self.folder = folder
        self.environment = {
            "GENEFACE_S3_ENDPOINT": self._s3.start(), "GENEFACE_S3_ACCESS_KEY": keys.access, "GENEFACE_S3_BUCKET": BUCKET,
            "GENEFACE_S3_SECRET_KEY": keys.secret, "GENEFACE_TOKEN_KEY": "k" * 32, "GENEFACE_API_URL": "http://127.0.0.1:1",
        }  # fmt: skip

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A fresh one with all tables."""
        name = f"bench_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        with closing(Database(make_url(self._url).set(database=name).render_as_string(hide_password=False))) as database:
            migrate.upgrade(database)
            yield database

    def stop(self) -> None:
        self._s3.stop()
        self._postgres.stop()


@contextmanager
def servers() -> Iterator[Servers]:
    # PostgreSQL's socket needs a short path and, run as root, a folder that another user may enter.
    with tempfile.TemporaryDirectory(prefix="gf-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        running = Servers(Path(folder))
        try:
            made = type("Settings", (), {"s3_public_endpoint": None, "s3_region": "us-east-1"})()
            for name, value in running.environment.items():
                setattr(made, name.removeprefix("GENEFACE_").lower(), value)
            Objects(made).ensure_bucket()
            yield running
        finally:
            running.stop()


@dataclass(frozen=True)
class Kube:
    """An API server: an administrator's client, and where its kubeconfig lies."""

    admin: KubeApi
    config: Path
    folder: Path

    def namespace(self) -> tuple[str, Path]:
        """A fresh one, and the kubeconfig of a ServiceAccount that may in it what the manifests let the controller do."""
        name = f"gf-{uuid.uuid4().hex[:8]}"
        self.admin.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = ""
        for document in yaml.safe_load_all(RIGHTS.read_text()):
            if document["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
                document["metadata"]["namespace"] = name
                for subject in document.get("subjects") or ():
                    subject["namespace"] = name
                account = document["metadata"]["name"] if document["kind"] == "ServiceAccount" else account
                path = namespaced(_group(document), name, f"{document['kind'].lower()}s")
                self.admin.call("POST", path, document)
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
        answer = self.admin.call("POST", namespaced("api/v1", name, "serviceaccounts", account, "token"), wanted)
        config = yaml.safe_load(self.config.read_text())
        for user in config["users"]:
            user["user"] = {"token": answer["status"]["token"]}
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return name, path

    def give_disk(self) -> None:
        """The simulated nodes say nothing of the disk that our Jobs ask for."""
        for node in self.admin.call("GET", "/api/v1/nodes")["items"]:
            for amounts in (node["status"]["capacity"], node["status"]["allocatable"]):
                amounts["ephemeral-storage"] = "100Ti"
            node["metadata"].pop("resourceVersion")
            self.admin.call("PUT", f"/api/v1/nodes/{node['metadata']['name']}/status", node)

    def requests_total(self) -> float:
        """API requests that the server has answered so far."""
        text = self.admin.text("/metrics", {})
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("apiserver_request_total{"))


def _group(document: Raw) -> str:
    version = str(document["apiVersion"])
    return f"apis/{version}" if "/" in version else f"api/{version}"


@contextmanager
def kube(*arguments: str) -> Iterator[Kube]:
    """A real API server by `apiserver-up ARGUMENTS`, with a state folder of its own."""
    if not (SCRIPTS / "apiserver-up").exists():
        sys.exit("no API server: set GENEFACE_KUBE_SCRIPTS to the folder in which apiserver-up lies")
    with tempfile.TemporaryDirectory(prefix="gf-kube-", ignore_cleanup_errors=True) as state:
        environment = {**os.environ, "GENEFACE_KUBE_STATE": state}
        try:
            command = [str(SCRIPTS / "apiserver-up"), *arguments]
            up = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            with tempfile.TemporaryDirectory(prefix="gf-") as folder:
                config = Path(up.stdout.strip())
                running = Kube(KubeApi.connect(config), config, Path(folder))
                if "--kwok" in arguments:
                    running.give_disk()
                yield running
        finally:
            subprocess.run([str(SCRIPTS / "apiserver-down")], env=environment, check=True)


class Program:
    """`python -m api` or `python -m controller` as a process, with a port that answers /metrics."""

    def __init__(self, name: str, servers: Servers, database: Database, **settings: object) -> None:
        self.name, self.port = name, free_port()
        self._log = servers.folder / f"{name}.log"
        environment = {
            **os.environ, **servers.environment, "GENEFACE_DATABASE_URL": address(database),
            "GENEFACE_PORT": str(self.port), "GENEFACE_METRICS_LISTEN_PORT": str(self.port),
            **{f"GENEFACE_{key.upper()}": str(value) for key, value in settings.items()},
        }  # fmt: skip
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", name], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.seen = psutil.Process(self.process.pid)

    def metrics(self) -> dict[str, float]:
        """Values without labels, by name; none while it does not answer."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        except httpx.TransportError:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended: {self._log.read_text()[-2000:]}") from None
            return {}
        families = text_string_to_metric_families(text)
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    def leads(self) -> bool:
        return self.metrics().get("geneface_controller_leads") == 1

    def cpu_seconds(self) -> float:
        times = self.seen.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> tuple[float, float]:
        """Resident set now and at its highest, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return int(values["VmRSS"]) * 1024 / 1e6, int(values["VmHWM"]) * 1024 / 1e6

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)


class Controllers:
    """Controllers on one database and one namespace; all are stopped at the end."""

    def __init__(self, servers: Servers, database: Database, kube: Kube, **settings: object) -> None:
        self._servers, self._database = servers, database
        self.kube = kube
        self.namespace, self.config = kube.namespace()
        small = '{"rendering": {"cpu": "10m", "memory": "1Mi"}}'
        self._settings = {
            "cluster": "kubernetes", "namespace": self.namespace, "kubeconfig": self.config, "writes_per_second": 150,
            "max_active_jobs": 1_000_000, "result_grace_seconds": 0, "tries": 1, "resources": small, **settings,
        }  # fmt: skip
        self.running: list[Program] = []

    def start(self) -> Program:
        self.running.append(Program("controller", self._servers, self._database, **self._settings))
        return self.running[-1]

    def stop(self) -> None:
        for program in self.running:
            program.stop()


@contextmanager
def controllers(servers: Servers, kube: Kube, **settings: object) -> Iterator[tuple[Controllers, Database]]:
    """None runs yet."""
    with servers.database() as database:
        made = Controllers(servers, database, kube, **settings)
        try:
            yield made, database
        finally:
            made.stop()


def file(database: Database, count: int) -> list[UUID]:
    """That many requests, written straight into the store."""
    made: list[UUID] = []
    while len(made) < count:
        with database.begin() as session:
            for _ in range(min(AT_ONCE, count - len(made))):
                request = requests.create(
                    session, owner="local", kind=Kind.RENDERING, spec=SPEC, uses=[], avatar="ada", avatar_version=1
                )
                made.append(request.id)
    return made


class Watcher:
    """When each Job of a namespace was first seen and when it ended, on this process's clock."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.made: dict[UUID, float] = {}
        self.ended: dict[UUID, float] = {}
        self.names: dict[UUID, set[str]] = defaultdict(set)
        self.on_end: Callable[[UUID], None] = lambda _: None
        self._api, self._path = KubeApi.connect(kube.config), namespaced("apis/batch/v1", namespace, "jobs")
        version = self._api.call("GET", self._path)["metadata"]["resourceVersion"]
        threading.Thread(target=self._watch, args=(version,), daemon=True).start()

    def _watch(self, version: str) -> None:
        query = {"resourceVersion": version, "timeoutSeconds": 1800}
        with suppress(ClusterError):  # the end of the API server
            for event in self._api.watch(self._path, query, 1800):
                now, job = time.perf_counter(), event["object"]
                request = UUID(job["metadata"]["labels"][REQUEST_LABEL])
                self.names[request].add(job["metadata"]["name"])
                self.made.setdefault(request, now)
                kinds = {one["type"] for one in job.get("status", {}).get("conditions") or () if one["status"] == "True"}
                if kinds & {"Complete", "Failed"} and request not in self.ended:
                    self.ended[request] = now
                    self.on_end(request)


class Hints:
    """When the store last said that a request had changed, on this process's clock: hints come with the commit."""

    def __init__(self, database: Database, heard: Callable[[UUID], None] = lambda _: None) -> None:
        self.times: dict[UUID, list[float]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(database, heard), daemon=True)
        self._thread.start()

    def _listen(self, database: Database, heard: Callable[[UUID], None]) -> None:
        for request in database.hints(0.25):
            if request is not None:
                self.times[request].append(time.perf_counter())
                heard(request)
            if self._stop.is_set():
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
