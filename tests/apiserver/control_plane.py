"""etcd, kube-apiserver and kube-controller-manager from a folder of programs, as envtest has them, on free ports."""

import os
import secrets
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from local.servers import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
CONTROLLERS = (
    "job-controller", "deployment-controller", "replicaset-controller", "statefulset-controller", "disruption-controller",
    "garbage-collector-controller", "namespace-controller", "serviceaccount-controller", "resourcequota-controller",
    "persistentvolumeclaim-protection-controller", "ttl-after-finished-controller", "pod-garbage-collector-controller",
)  # fmt: skip


def complete(folder: Path) -> bool:
    """Whether all programs are there; envtest's own bundles lack the last, which makes Jobs' pods."""
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


@contextmanager
def control_plane(programs: Path) -> Iterator[Path]:
    """An administrator's kubeconfig."""
    with tempfile.TemporaryDirectory(prefix="gf-kube-") as name, ExitStack() as stack:
        folder = Path(name)
        port, etcd, peers, manager = (free_port() for _ in range(4))
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        key = folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)

        def start(program: str, **options: str | int | Path) -> None:
            flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
            with (folder / f"{program}.log").open("wb") as log:
                process = subprocess.Popen([programs / program, *flags], cwd=folder, stdout=log, stderr=log)
            stack.callback(_end, process)

        client, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
        start(
            "etcd", data_dir=folder / "etcd", listen_client_urls=client, advertise_client_urls=client, listen_peer_urls=peer,
            initial_advertise_peer_urls=peer, initial_cluster=f"default={peer}", unsafe_no_fsync="true",
        )  # fmt: skip
        start(
            "kube-apiserver", etcd_servers=client, cert_dir=folder / "certificates", bind_address="127.0.0.1", secure_port=port,
            token_auth_file=folder / "tokens.csv", authorization_mode="RBAC", service_account_issuer="https://kubernetes.test",
            service_account_key_file=key, service_account_signing_key_file=key, service_cluster_ip_range="10.96.0.0/24",
            endpoint_reconciler_type="none",
        )  # fmt: skip
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_kubeconfig(port, folder / "certificates/apiserver.crt", token))
        _await(f"https://127.0.0.1:{port}/readyz", token, folder / "kube-apiserver.log")
        start(
            "kube-controller-manager", kubeconfig=kubeconfig, service_account_private_key_file=key, leader_elect="false",
            controllers=",".join(CONTROLLERS), secure_port=manager, bind_address="127.0.0.1",
            kube_api_qps=100, kube_api_burst=200,
        )  # fmt: skip
        yield kubeconfig


def _kubeconfig(port: int, certificate: Path, token: str) -> str:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}], "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })  # fmt: skip


def _await(url: str, token: str, log: Path) -> None:
    trusting = ssl._create_unverified_context()  # noqa: S323 - its certificate is being made
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5, context=trusting):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > until:
                raise RuntimeError(f"the API server is not ready: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
