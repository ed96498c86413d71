"""The way of a request through a real API server and the real Job controller."""

from collections.abc import Callable
from typing import Any

from controller.kube_api import KubeApi, namespaced
from tests.apiserver.conftest import Platform
from tests.apiserver.node import Node


def left(admin: KubeApi, namespace: str) -> list[str]:
    """Names of Jobs, pods and Secrets of ours that are there."""
    found: list[str] = []
    for group, resource in (("apis/batch/v1", "jobs"), ("api/v1", "pods"), ("api/v1", "secrets")):
        query = {"labelSelector": "app.kubernetes.io/managed-by=geneface-controller"}
        items: list[Any] = admin.call("GET", namespaced(group, namespace, resource), query=query).get("items") or []
        found += [f"{resource}/{raw['metadata']['name']}" for raw in items]
    return found


def test_training_rendering_and_evaluation(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    one = platform()
    assert one.final(one.training("ann"))["state"] == "succeeded"
    rendering = one.final(one.rendering("ann"))
    assert rendering["state"] == "succeeded"
    assert rendering["attempt"] == 1
    evaluation = one.post("/v1/evaluations", {"avatar": "ann"})["id"]
    assert one.final(evaluation)["state"] == "succeeded"
    one.wait(lambda: not left(admin, one.namespace), 20, f"an empty namespace: {left(admin, one.namespace)}")


def test_a_job_carries_no_credential_but_its_token(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    node.leaves = lambda _: True
    one = platform()
    one.training("ann")
    one.wait(node.pods, 20, "the pod")
    (pod,) = node.pods()
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    names = {variable["name"] for container in spec["containers"] for variable in container["env"]}
    assert not {name for name in names if "S3" in name or "DATABASE" in name or "KEY" in name}
    (secret,) = admin.call("GET", namespaced("api/v1", one.namespace, "secrets"))["items"]
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "Job"
    assert list(secret["data"]) == ["token"]


def test_cancel_while_running(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    node.environment["STAND_IN_SECONDS"] = "60"
    one = platform()
    request = one.training("ann")
    one.wait(lambda: one.get(request)["state"] == "running", 30, "it to run")
    one.cancel(request)
    assert one.final(request, 30)["state"] == "cancelled"
    one.wait(lambda: not left(admin, one.namespace), 20, "an empty namespace")
