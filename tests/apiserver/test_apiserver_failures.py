"""The failure catalogue against a real API server and the real Job controller: each test is named after its failure."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from controller.errors import ApiError
from controller.kube_api import KubeApi, namespaced
from tests.apiserver.conftest import Platform
from tests.apiserver.node import Node
from tests.apiserver.test_apiserver_main_job import left

Raw = dict[str, Any]


def the_pod(one: Platform, node: Node) -> str:
    """Bound to the node, as a scheduler would have done."""
    one.wait(node.pods, 20, "the pod")
    name = str(node.pods()[0]["metadata"]["name"])
    node.bind(name)
    return name


def waiting(container: str, reason: str, message: str) -> Raw:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": container, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def terminated(container: str, code: int, reason: str) -> Raw:
    at = "2026-01-01T00:00:00Z"
    end = {"exitCode": code, "reason": reason, "startedAt": at, "finishedAt": at}
    return {"name": container, "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": {"terminated": end}}


@pytest.fixture
def idle(node: Node) -> Node:
    """A node that leaves pods to the test."""
    node.leaves = lambda _: True
    return node


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
def test_image_cannot_be_pulled(platform: Callable[..., Platform], idle: Node, admin: KubeApi, reason: str) -> None:
    one = platform(GENEFACE_PENDING_SECONDS="4")
    request = one.training("ann")
    pod = the_pod(one, idle)
    idle.set_status(pod, {"initContainerStatuses": [waiting("preprocess", reason, "no such image")]})
    why = f"the image of step preprocess cannot be fetched ({reason}): no such image"
    one.wait(lambda: one.reason(request) == why, 10, f"the reason; it is {one.reason(request)!r}")
    final = one.final(request, 20)
    assert (final["state"], final["error"]["code"]) == ("failed", "pending_timeout")
    assert why in final["error"]["message"]
    one.wait(lambda: not left(admin, one.namespace), 20, "an empty namespace")


def test_configuration_error(platform: Callable[..., Platform], idle: Node) -> None:
    one = platform(GENEFACE_PENDING_SECONDS="4")
    request = one.training("ann")
    status = waiting("preprocess", "CreateContainerConfigError", 'secret "x" not found')
    idle.set_status(the_pod(one, idle), {"initContainerStatuses": [status]})
    one.wait(lambda: "cannot be started (CreateContainerConfigError)" in one.reason(request), 10, "the reason")
    assert one.final(request, 20)["error"]["code"] == "pending_timeout"


def test_unschedulable(platform: Callable[..., Platform], idle: Node) -> None:
    one = platform(GENEFACE_UNSCHEDULABLE_SECONDS="6", GENEFACE_PENDING_SECONDS="3")
    request = one.training("ann")
    (pod,) = one.wait(idle.pods, 20, "the pod")
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    idle.set_status(pod["metadata"]["name"], {"conditions": [condition]})
    one.wait(lambda: one.reason(request).endswith(words), 10, "the reason")
    assert one.final(request, 20)["error"]["code"] == "pending_timeout"


def test_eviction_resumes_and_does_not_count(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    """By the eviction API, as a drain does it: the next attempt goes on from the checkpoint."""
    node.environment["STAND_IN_SECONDS"] = "8"
    one = platform(GENEFACE_TRIES="1")
    request = one.training("ann")
    one.wait(lambda: one.get(request)["stage"] == "train" and one.get(request)["progress"] > 0.5, 60, "some training")
    pod = node.pods()[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": one.namespace}}
    admin.call("POST", namespaced("api/v1", one.namespace, "pods", pod, "eviction"), eviction)
    node.environment["STAND_IN_SECONDS"] = "0.3"
    final = one.final(request)
    assert (final["state"], final["attempt"]) == ("succeeded", 2)
    first = final["attempts"][0]
    assert first["outcome"] == "disrupted"
    assert "resuming from checkpoint" in one.logs(request)
    one.wait(lambda: not left(admin, one.namespace), 20, "an empty namespace")


@pytest.mark.parametrize("step", ["preprocess", "train"])
def test_out_of_memory(platform: Callable[..., Platform], idle: Node, step: str) -> None:
    """Also of an init container; it is final, and says what to do."""
    one = platform()
    request = one.training("ann")
    killed = terminated(step, 137, "OOMKilled")
    status: Raw = {"phase": "Failed", "initContainerStatuses": [killed]}
    if step == "train":
        first = terminated("preprocess", 0, "Completed")
        status = {"phase": "Failed", "initContainerStatuses": [first], "containerStatuses": [killed]}
    idle.set_status(the_pod(one, idle), status)
    final = one.final(request, 20)
    assert (final["state"], final["error"]["code"], final["attempt"]) == ("failed", "out_of_memory", 1)
    assert "GENEFACE_RESOURCES" in final["error"]["message"]


def test_deadline(platform: Callable[..., Platform], idle: Node) -> None:
    one = platform()
    request = one.training("ann")
    idle.set_status(the_pod(one, idle), {"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"})
    final = one.final(request, 20)
    assert (final["state"], final["error"]["code"]) == ("failed", "deadline_exceeded")


def test_job_deleted_by_a_person(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    node.environment["STAND_IN_SECONDS"] = "20"
    one = platform()
    request = one.training("ann")
    one.wait(lambda: one.get(request)["state"] == "running", 30, "it to run")
    (job,) = admin.call("GET", namespaced("apis/batch/v1", one.namespace, "jobs"))["items"]
    node.environment["STAND_IN_SECONDS"] = "0.3"
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    admin.call("DELETE", namespaced("apis/batch/v1", one.namespace, "jobs", job["metadata"]["name"]), options)
    final = one.final(request)
    assert (final["state"], final["attempt"]) == ("succeeded", 2)


def test_job_gone_before_we_looked(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    """As by its TTL while no controller ran: the verdict is what was published."""
    one = platform()
    (controller,) = one.running[1:]
    request = one.training("ann")
    one.wait(lambda: one.get(request)["state"] == "running", 30, "it to run")
    controller.kill()
    controller.wait()
    assert one.final(request)["state"] == "succeeded"
    (job,) = admin.call("GET", namespaced("apis/batch/v1", one.namespace, "jobs"))["items"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    admin.call("DELETE", namespaced("apis/batch/v1", one.namespace, "jobs", job["metadata"]["name"]), options)
    one.controller()
    assert one.final(one.rendering("ann"))["state"] == "succeeded"
    assert (one.get(request)["state"], one.get(request)["attempt"]) == ("succeeded", 1)


def twin(one: Platform, node: Node, admin: KubeApi, adopted: bool) -> str:
    """A second pod of the same Job, as the Job controller makes one now and then; returns the first one's name.

    Adopted, it counts as the Job's own, which then has one too many; else it only goes when the Job goes.
    """
    (pod,) = node.pods()
    owners = [] if adopted else [{**owner, "controller": False} for owner in pod["metadata"]["ownerReferences"]]
    labels = {name: value for name, value in pod["metadata"]["labels"].items() if adopted or "controller-uid" not in name}
    copy = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "twin", "labels": labels, "annotations": pod["metadata"]["annotations"], "ownerReferences": owners},
        "spec": {name: value for name, value in pod["spec"].items() if name != "nodeName"},
    }  # fmt: skip
    admin.call("POST", namespaced("api/v1", one.namespace, "pods"), copy)
    return str(pod["metadata"]["name"])


def test_pod_started_twice(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    """The twin waits, writes nothing, and ends well when the attempt is over."""
    node.environment["STAND_IN_SECONDS"] = "4"
    one = platform()
    request = one.training("ann")
    one.wait(lambda: one.get(request)["state"] == "running", 30, "it to run")
    twin(one, node, admin, adopted=False)
    final = one.final(request)
    assert (final["state"], final["attempt"]) == ("succeeded", 1)
    assert node.runs[f"preprocess {request}"] == 2
    assert len(one.avatar_versions("ann")) == 1
    one.wait(lambda: not left(admin, one.namespace), 30, "an empty namespace")


def test_pod_started_twice_and_the_first_removed(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    """Nobody is left who may finish the attempt: the next one goes on."""
    node.environment["STAND_IN_SECONDS"] = "8"
    one = platform()
    request = one.training("ann")
    one.wait(lambda: one.get(request)["state"] == "running", 30, "it to run")
    first = twin(one, node, admin, adopted=True)
    one.wait(lambda: len([pod for pod in node.pods() if "deletionTimestamp" not in pod["metadata"]]) == 1, 20, "one to go")
    with suppress(ApiError):  # the Job controller may have chosen it already
        admin.call("DELETE", namespaced("api/v1", one.namespace, "pods", first))
    node.environment["STAND_IN_SECONDS"] = "0.3"
    final = one.final(request)
    assert final["state"] == "succeeded"
    assert len(one.avatar_versions("ann")) == 1
    one.wait(lambda: not left(admin, one.namespace), 30, "an empty namespace")


def test_foreign_job_under_our_name(platform: Callable[..., Platform], node: Node, admin: KubeApi) -> None:
    one = platform(controllers=0)
    request = one.training("ann")
    name = f"gf-training-{request.replace('-', '')}-1"
    container = {"name": "c", "image": "i"}
    foreign = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }  # fmt: skip
    admin.call("POST", namespaced("apis/batch/v1", one.namespace, "jobs"), foreign)
    one.controller()
    final = one.final(request)
    assert (final["state"], final["attempt"]) == ("succeeded", 2)
    assert admin.call("GET", namespaced("apis/batch/v1", one.namespace, "jobs", name))["spec"]["suspend"] is True


@pytest.mark.slow
def test_node_loss(platform: Callable[..., Platform], idle: Node, admin: KubeApi) -> None:
    """The cluster has asked for the pod's end, and its node says nothing more."""
    one = platform()
    request = one.training("ann")
    pod = the_pod(one, idle)
    idle.set_status(pod, {"phase": "Running"})
    idle.silent = True
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 1}
    admin.call("DELETE", namespaced("api/v1", one.namespace, "pods", pod), options)
    one.wait(lambda: one.get(request)["attempt"] == 2, 150, "a second attempt")
    first = one.get(request)["attempts"][0]
    assert (first["outcome"], first["error"]["code"]) == ("disrupted", "node_lost")
    idle.silent = False


def quota(admin: KubeApi, namespace: str, **hard: str) -> None:
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}}
    admin.call("POST", namespaced("api/v1", namespace, "resourcequotas"), body)


def test_quota_on_jobs(platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str) -> None:
    """The server's own words reach the user; with room again it runs."""
    quota(admin, namespace, **{"count/jobs.batch": "0"})
    one = platform()
    request = one.training("ann")
    one.wait(lambda: "exceeded quota: few" in one.reason(request), 20, f"the reason; it is {one.reason(request)!r}")
    admin.call("DELETE", namespaced("api/v1", namespace, "resourcequotas", "few"))
    assert one.final(request)["state"] == "succeeded"


def test_quota_on_pods(platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str) -> None:
    """The Job is made and its pod refused: the words stand in an event."""
    quota(admin, namespace, pods="0")
    one = platform()
    request = one.training("ann")
    one.wait(lambda: "exceeded quota: few" in one.reason(request), 30, f"the reason; it is {one.reason(request)!r}")
    admin.call("DELETE", namespaced("api/v1", namespace, "resourcequotas", "few"))
    assert one.final(request, 90)["state"] == "succeeded"


def test_admission_refused(platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str) -> None:
    group, name = "apis/admissionregistration.k8s.io/v1", f"no-jobs-{namespace}"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
            "validations": [{"expression": "false", "message": "no Jobs on Sundays"}],
        },
    }  # fmt: skip
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }  # fmt: skip
    admin.call("POST", f"/{group}/validatingadmissionpolicies", policy)
    admin.call("POST", f"/{group}/validatingadmissionpolicybindings", binding)
    try:
        one = platform(controllers=0)
        one.wait(lambda: _refused(admin, namespace), 30, "the policy to hold")
        one.controller()
        request = one.training("ann")
        one.wait(lambda: "no Jobs on Sundays" in one.reason(request), 20, f"the reason; it is {one.reason(request)!r}")
    finally:
        admin.call("DELETE", f"/{group}/validatingadmissionpolicybindings/{name}")
        admin.call("DELETE", f"/{group}/validatingadmissionpolicies/{name}")
    assert one.final(request)["state"] == "succeeded"


def _refused(admin: KubeApi, namespace: str) -> bool:
    container = {"name": "c", "image": "i"}
    probe = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"probe-{os.urandom(3).hex()}"},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }  # fmt: skip
    try:
        admin.call("POST", namespaced("apis/batch/v1", namespace, "jobs"), probe, query={"dryRun": "All"})
    except Exception as error:
        return "Sundays" in str(error)
    return False
