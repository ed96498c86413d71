"""Kueue: Jobs start suspended, and Kueue's state is why they wait. A stand-in plays Kueue on a real API server."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from controller.errors import ApiError
from controller.kube_api import KubeApi, namespaced
from tests.apiserver.conftest import Platform
from tests.apiserver.node import Node

Raw = dict[str, Any]
VERSION = "v1beta1"
GROUP = "kueue.x-k8s.io"


class StandIn:
    """What Kueue writes: a Workload a Job, its conditions, and the Job's `suspend`."""

    def __init__(self, admin: KubeApi, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace

    def job(self) -> Raw:
        jobs: list[Raw] = self.admin.call("GET", namespaced("apis/batch/v1", self.namespace, "jobs"))["items"]
        return jobs[-1]

    def jobs(self) -> int:
        return len(self.admin.call("GET", namespaced("apis/batch/v1", self.namespace, "jobs"))["items"])

    def suspend(self, suspended: bool) -> None:
        for _ in range(20):
            job = self.job()
            job["spec"]["suspend"] = suspended
            with suppress(ApiError):
                self.admin.call("PUT", namespaced("apis/batch/v1", self.namespace, "jobs", job["metadata"]["name"]), job)
                return

    def says(self, type_: str, status: str, reason: str, message: str) -> None:
        metadata = self.job()["metadata"]
        path = namespaced(f"apis/{GROUP}/{VERSION}", self.namespace, "workloads")
        condition = {
            "type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        workload = {
            "apiVersion": f"{GROUP}/{VERSION}", "kind": "Workload",
            "metadata": {"name": f"job-{metadata['name']}"[:63], "labels": {f"{GROUP}/job-uid": metadata["uid"]},
                         "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"],
                                              "uid": metadata["uid"]}]},
            "status": {"conditions": [condition]},
        }  # fmt: skip
        try:
            self.admin.call("POST", path, workload)
        except ApiError:
            found = self.admin.call("GET", f"{path}/{workload['metadata']['name']}")
            self.admin.call("PUT", f"{path}/{workload['metadata']['name']}", {**found, "status": workload["status"]})


@pytest.fixture
def kueue(admin: KubeApi, namespace: str) -> Iterator[StandIn]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"workloads.{GROUP}"},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "names": {"plural": "workloads", "singular": "workload", "kind": "Workload"},
            "versions": [{"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }  # fmt: skip
    group = definition["metadata"]
    approval = {"api-approved.kubernetes.io": "unapproved, a test"}
    admin.call(
        "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {**definition, "metadata": {**group, "annotations": approval}},
    )  # fmt: skip
    yield StandIn(admin, namespace)
    admin.call("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/workloads.{GROUP}")


def test_admitted_evicted_and_admitted_again(platform: Callable[..., Platform], node: Node, kueue: StandIn) -> None:
    node.environment["STAND_IN_SECONDS"] = "8"
    one = platform(GENEFACE_QUEUE_NAME="gpus", GENEFACE_QUEUE_PRIORITY_CLASS="high")
    request = one.training("ann")
    one.wait(lambda: kueue.jobs() == 1, 20, "the Job")
    job = kueue.job()
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][f"{GROUP}/queue-name"] == "gpus"
    assert job["metadata"]["labels"][f"{GROUP}/priority-class"] == "high"
    one.wait(lambda: one.reason(request) == "waiting for admission to the cluster's queue", 10, "the reason")
    kueue.says("QuotaReserved", "False", "Pending", "insufficient unused quota for gpu in flavor a100")
    why = "Pending: insufficient unused quota for gpu in flavor a100"
    one.wait(lambda: one.reason(request) == why, 15, f"Kueue's words; it is {one.reason(request)!r}")

    kueue.says("QuotaReserved", "True", "QuotaReserved", "")
    kueue.suspend(False)
    one.wait(lambda: one.get(request)["stage"] == "train" and one.get(request)["progress"] > 0.5, 60, "some training")
    kueue.says("Evicted", "True", "Preempted", "preempted by a workload of higher priority")
    kueue.suspend(True)
    one.wait(lambda: one.get(request)["attempt"] == 2, 30, "a second attempt")
    one.wait(lambda: kueue.jobs() == 1 and kueue.job()["metadata"]["name"].endswith("-2"), 30, "its Job")

    node.environment["STAND_IN_SECONDS"] = "0.3"
    kueue.suspend(False)
    final = one.final(request)
    assert (final["state"], final["attempt"]) == ("succeeded", 2)
    assert final["attempts"][0]["outcome"] == "disrupted"
    assert "resuming from checkpoint" in one.logs(request)
