"""The chart and the manifests on a real API server: what it admits, what the controller may, what outlives the release."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charts.chart_tools import CHART, EVERYTHING, OVERLAYS, program, run, template

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]
WITHOUT_CRDS = "monitoring.serviceMonitor.enabled=false,monitoring.prometheusRule.enabled=false,httpRoute.enabled=false"
CRDS = [Path(folder) for folder in os.environ.get("GENEFACE_CRDS", "").split(os.pathsep) if folder]
"""Folders with definitions of others' resources, as their projects publish them."""
FOREIGN = (
    "gateway.networking.k8s.io_httproutes.yaml", "monitoring.coreos.com_servicemonitors.yaml",
    "monitoring.coreos.com_prometheusrules.yaml",
)  # fmt: skip
PARTS = {"api", "controller", "migrate", "postgresql", "storage"}


@pytest.fixture
def kubectl(kubeconfig: Path) -> Kubectl:
    return lambda *words, **options: run(program("kubectl"), "--kubeconfig", kubeconfig, *words, **options)


@pytest.fixture
def restricted(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that admits nothing but Pod Security `restricted`."""
    name = f"gf-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def helm(kubeconfig: Path, restricted: str) -> Kubectl:
    return lambda *words: run(program("helm"), "--kubeconfig", kubeconfig, "--namespace", restricted, *words)


def until(seconds: float, look: Callable[[], Any]) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_a_restricted_namespace_admits_every_pod(kubectl: Kubectl, helm: Kubectl, restricted: str) -> None:
    helm("install", "talk", CHART)

    def parts() -> set[str]:
        answer = kubectl("-n", restricted, "get", "pods", "-o", "json").stdout
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in json.loads(answer)["items"]}

    assert until(30, lambda: parts() == PARTS), parts()
    events = kubectl("-n", restricted, "get", "events", "--field-selector", "reason=FailedCreate", "-o", "json").stdout
    assert json.loads(events)["items"] == []


def test_the_server_takes_everything_that_can_be_turned_on(helm: Kubectl) -> None:
    helm("install", "talk", CHART, "--values", EVERYTHING, "--set", WITHOUT_CRDS, "--dry-run=server")
    helm("install", "talk", CHART, "--values", EVERYTHING, "--set", WITHOUT_CRDS)


@pytest.fixture
def foreign(kubectl: Kubectl) -> Iterator[None]:
    """The server knows HTTPRoute, ServiceMonitor and PrometheusRule."""
    files = [next((folder / name for folder in CRDS if (folder / name).exists()), None) for name in FOREIGN]
    if None in files:
        pytest.skip(f"needs {', '.join(FOREIGN)} in GENEFACE_CRDS")
    for file in files:
        kubectl("create", "-f", file)
        kubectl("wait", "--for=condition=Established", "-f", file, "--timeout=30s")
    yield
    for file in files:
        kubectl("delete", "-f", file, "--wait=true")


def test_the_server_takes_what_others_define(kubectl: Kubectl, restricted: str, foreign: None, tmp_path: Path) -> None:
    """Strictly: no field that they do not know."""
    file = tmp_path / "all.yaml"
    file.write_text(template("--values", EVERYTHING, "--no-hooks", namespace=restricted))
    taken = kubectl("-n", restricted, "apply", "--dry-run=server", "--validate=strict", "-f", file).stdout
    for name in ("httproute.gateway", "servicemonitor.monitoring", "prometheusrule.monitoring"):
        assert f"{name}." in taken


def test_the_controller_may_do_its_work_and_no_more(kubectl: Kubectl, helm: Kubectl, restricted: str) -> None:
    helm("install", "talk", CHART, "--set", "controller.settings.queueName=gpus")

    def may(account: str, *words: str) -> bool:
        user = f"--as=system:serviceaccount:{restricted}:talk-{account}"
        return kubectl("auth", "can-i", *words, user, "-n", restricted, check=False).stdout.strip() == "yes"

    allowed = {
        "jobs.batch": "create get list watch delete", "pods": "get list watch delete", "secrets": "create", "events": "list",
        "leases.coordination.k8s.io": "create", "lease.coordination.k8s.io/talk-controller": "get list watch update",
    }  # fmt: skip
    for resource, verbs in allowed.items():
        for verb in verbs.split():
            assert may("controller", verb, resource), f"{verb} {resource}"
    assert may("controller", "get", "pods", "--subresource", "log")
    refused = {
        "secrets": "get list watch update delete", "pods": "create update patch", "jobs.batch": "update patch",
        "lease.coordination.k8s.io/another": "get update", "configmaps": "get", "pods/exec": "create",
    }  # fmt: skip
    for resource, verbs in refused.items():
        for verb in verbs.split():
            assert not may("controller", verb, resource), f"{verb} {resource}"
    for account in ("api", "store"):
        assert not may(account, "list", "pods")
        assert not may(account, "get", "secrets")


def test_keys_and_claims_outlive_the_release(kubectl: Kubectl, helm: Kubectl, restricted: str) -> None:
    def keys() -> dict[str, Any]:
        answer = kubectl("-n", restricted, "get", "secrets,persistentvolumeclaims", "-o", "json").stdout
        kept = json.loads(answer)["items"]
        return {
            one["kind"] + one["metadata"]["name"]: one.get("data") or one["metadata"]["uid"]
            for one in kept if one["metadata"]["name"].startswith("talk-")
        }  # fmt: skip

    helm("install", "talk", CHART)
    kubectl("-n", restricted, "patch", "secret", "talk-token", "-p", json.dumps({"stringData": {"previous": "p" * 32}}))
    first = keys()
    assert len(first) == 5
    helm("upgrade", "talk", CHART, "--set", "api.replicas=3")
    assert keys() == first
    helm("rollback", "talk", "1")
    assert keys() == first
    helm("uninstall", "talk")
    assert keys() == first
    helm("install", "talk", CHART)
    assert keys() == first


def test_an_upgrade_migrates_again_when_the_job_is_gone(kubectl: Kubectl, helm: Kubectl, restricted: str) -> None:
    """Its time to live is over, or the version is another."""

    def jobs() -> set[str]:
        return set(kubectl("-n", restricted, "get", "jobs", "-o", "name").stdout.split())

    helm("install", "talk", CHART)
    first = jobs()
    kubectl("-n", restricted, "delete", "jobs", "--all")
    helm("upgrade", "talk", CHART)
    assert jobs() == first
    helm("upgrade", "talk", CHART, "--set-string", "images.controller.tag=2")
    assert len(jobs()) == 1
    assert jobs() != first


@pytest.mark.parametrize("overlay", ["demo", "production"])
def test_kustomize_is_admitted(kubectl: Kubectl, overlay: str) -> None:
    kubectl("apply", "-k", OVERLAYS / overlay)
    try:
        expected = 5 if overlay == "demo" else 3

        def parts() -> set[str]:
            answer = kubectl("-n", "geneface", "get", "pods", "-o", "json").stdout
            return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in json.loads(answer)["items"]}

        assert until(30, lambda: len(parts()) == expected), parts()
    finally:
        kubectl("delete", "namespace", "geneface", "--timeout=60s")
