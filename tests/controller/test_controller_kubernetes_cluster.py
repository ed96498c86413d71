"""KubernetesCluster on the wire: what it asks for, and what it makes of the answers."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from controller.bucket import START, Bucket
from controller.errors import ApiAwayError, ApiError, ClusterError, JobExistsError
from controller.kubernetes_cluster import KubernetesCluster, Place
from controller.observed import ATTEMPT_ID, REQUEST_LABEL
from controller.reflector import Pace
from tests.controller import api_double
from tests.controller.api_double import ApiDouble, Call, eventually

JOBS, PODS, SECRETS, EVENTS = (
    f"/{group}/namespaces/ns/{name}"
    for group, name in (("apis/batch/v1", "jobs"), ("api/v1", "pods"), ("api/v1", "secrets"), ("api/v1", "events"))
)
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/ns/workloads"
REQUEST = UUID(int=7)
LABELS = {"labels": {REQUEST_LABEL: str(REQUEST)}, "annotations": {ATTEMPT_ID: "a", "other": "b"}}
MANIFEST: dict[str, Any] = {"metadata": {"name": "gf-1", **LABELS}, "spec": {"suspend": False, "template": {"spec": {}}}}


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    with api_double.running() as double:
        yield double


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(1000, 100)


@pytest.fixture
def cluster(double: ApiDouble, bucket: Bucket) -> Iterator[KubernetesCluster]:
    pace = Pace(watch=1, silence=2, backoff=0.01)
    cluster = KubernetesCluster(double.api(), Place("ns", "here", kueue=True), bucket, pace)
    cluster.wait(5)
    yield cluster
    cluster.close()


def asked(double: ApiDouble, method: str) -> list[str]:
    return [path for command, path, _ in double.calls if command == method]


def refuse(status: int, message: str, path: str) -> Any:
    def fault(call: Call) -> bool:
        if call.command == "GET" or call.resource != path:
            return False
        call.refuse(status, message=message)
        return True

    return fault


def test_only_this_installations_jobs_are_looked_at(double: ApiDouble, cluster: KubernetesCluster) -> None:
    assert cluster.slots is None
    wanted = {query["labelSelector"] for _, path, query in double.calls if path in (JOBS, PODS)}
    assert wanted == {"app.kubernetes.io/instance=here,app.kubernetes.io/managed-by=geneface-controller"}


def test_a_job_and_its_secret_are_created_and_seen_at_once(double: ApiDouble, cluster: KubernetesCluster) -> None:
    uid = cluster.create(MANIFEST, {"token": "t"})
    assert [raw["metadata"]["uid"] for raw in cluster.jobs(REQUEST)] == [uid]
    secret = double.objects[f"{SECRETS}/gf-1"]
    assert secret["stringData"] == {"token": "t"}
    owner = secret["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "gf-1", uid)


def test_what_is_kept_of_a_job_is_what_is_read(cluster: KubernetesCluster) -> None:
    cluster.create(MANIFEST, {})
    (raw,) = cluster.jobs()
    assert raw["metadata"]["annotations"] == {ATTEMPT_ID: "a"}
    assert raw["spec"] == {"suspend": False}


def test_a_taken_name_is_told(double: ApiDouble, cluster: KubernetesCluster) -> None:
    double.put(JOBS, "gf-1")
    with pytest.raises(JobExistsError):
        cluster.create(MANIFEST, {})


def test_a_secret_that_is_there_already_is_left(double: ApiDouble, cluster: KubernetesCluster) -> None:
    cluster.create(MANIFEST, {"token": "t"})
    cluster.entrust("gf-1", "uid", {"token": "u"})
    assert double.objects[f"{SECRETS}/gf-1"]["stringData"] == {"token": "t"}


def test_no_job_is_left_with_the_secret_of_an_earlier_one(double: ApiDouble, cluster: KubernetesCluster) -> None:
    """The garbage collector would take it away, and the pod could never start."""
    cluster.create(MANIFEST, {"token": "t"})
    cluster.delete("gf-1")
    with pytest.raises(ClusterError, match="an earlier Job gf-1 is still there"):
        cluster.create(MANIFEST, {"token": "t"})
    assert cluster.jobs() == []
    assert f"{JOBS}/gf-1" not in double.objects
    del double.objects[f"{SECRETS}/gf-1"]
    assert cluster.create(MANIFEST, {"token": "t"})


def test_the_servers_own_words_are_kept(double: ApiDouble, cluster: KubernetesCluster) -> None:
    double.fail(refuse(403, 'jobs.batch "gf-1" is forbidden: exceeded quota: few', JOBS))
    with pytest.raises(ApiError, match="exceeded quota: few"):
        cluster.create(MANIFEST, {})


@pytest.mark.parametrize(("status", "slower"), [(403, False), (422, False), (429, True), (500, True), (503, True)])
def test_a_server_in_trouble_is_asked_less(
    double: ApiDouble, cluster: KubernetesCluster, bucket: Bucket, status: int, slower: bool
) -> None:
    for number in range(300):
        bucket.went_well()
        assert number < 299 or bucket.rate > START
    double.fail(refuse(status, "no", JOBS))
    with pytest.raises(ApiError):
        cluster.create(MANIFEST, {})
    assert (bucket.rate == START) is slower


def test_a_server_that_is_away_is_told(double: ApiDouble, cluster: KubernetesCluster) -> None:
    def away(call: Call) -> bool:
        call.close_connection = True
        return True

    double.fail(away, times=1000)
    with pytest.raises(ApiAwayError):
        cluster.create(MANIFEST, {})


def test_deleting_is_background_and_by_uid(double: ApiDouble, cluster: KubernetesCluster) -> None:
    uid = cluster.create(MANIFEST, {})
    bodies: list[dict[str, Any]] = []

    def note(call: Call) -> bool:
        if call.command == "DELETE":
            bodies.append(call.body)
        return False

    double.fail(note, times=1000)
    cluster.delete("gf-1")
    assert cluster.jobs(REQUEST) == []
    assert bodies == [
        {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}}
    ]
    cluster.delete("gf-1")  # nothing happens where there is nothing


def test_pods_that_outlived_their_job_are_deleted(double: ApiDouble, cluster: KubernetesCluster) -> None:
    labels = {REQUEST_LABEL: str(REQUEST), "batch.kubernetes.io/job-name": "gf-1"}
    double.put(PODS, "gf-1-x", metadata={"labels": labels}, status={"phase": "Running"})
    eventually(lambda: len(cluster.pods(REQUEST)) == 1)
    cluster.delete("gf-1")
    assert f"{PODS}/gf-1-x" in asked(double, "DELETE")
    eventually(lambda: cluster.pods(REQUEST) == [])


def test_changes_are_hinted(double: ApiDouble, cluster: KubernetesCluster) -> None:
    hints: list[UUID] = []
    cluster.watch(hints.append)
    double.put(PODS, "p", metadata=LABELS, status={})
    eventually(lambda: hints == [REQUEST])
    double.put(JOBS, "stranger")
    double.remove(PODS, "p")
    eventually(lambda: hints == [REQUEST, REQUEST])


def test_a_job_without_a_pod_is_explained_by_its_last_warning(double: ApiDouble, cluster: KubernetesCluster) -> None:
    cluster.create(MANIFEST, {})
    assert cluster.troubles(["gf-1"]) == {}
    its = {"involvedObject": {"uid": next(iter(cluster.jobs()))["metadata"]["uid"]}, "reason": "FailedCreate"}
    double.put(EVENTS, "e1", **its, message="forbidden: exceeded quota", lastTimestamp="2026-01-01T00:00:02Z")
    double.put(EVENTS, "e0", **its, message="old", lastTimestamp="2026-01-01T00:00:01Z")
    double.put(EVENTS, "e2", **its | {"involvedObject": {"uid": "another"}}, message="no", lastTimestamp="2026-01-01T00:00:03Z")
    assert cluster.troubles(["gf-1", "unknown"]) == {"gf-1": "FailedCreate: forbidden: exceeded quota"}
    assert cluster.troubles(["unknown"]) == {}


def test_kueue_says_why_a_suspended_job_waits(double: ApiDouble, bucket: Bucket) -> None:
    double.objects["/apis/kueue.x-k8s.io"] = {"preferredVersion": {"version": "v1beta2"}}
    cluster = KubernetesCluster(double.api(), Place("ns", "here", kueue=True), bucket, Pace(watch=1, silence=2, backoff=0.01))
    cluster.wait(5)
    hints: list[UUID] = []
    uid = cluster.create({**MANIFEST, "spec": {"suspend": True}}, {})
    assert cluster.held("gf-1") is None
    cluster.watch(hints.append)
    conditions = [
        {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "insufficient unused quota for gpu",
         "lastTransitionTime": "2026-01-01T00:00:01Z"},
        {"type": "Finished", "status": "False", "lastTransitionTime": "2026-01-01T00:00:03Z"},
    ]  # fmt: skip
    metadata = {"labels": {"kueue.x-k8s.io/job-uid": uid}, "ownerReferences": [{"name": "gf-1"}]}
    double.put(WORKLOADS, "w", metadata=metadata, status={"conditions": conditions})
    eventually(lambda: cluster.held("gf-1") == "Pending: insufficient unused quota for gpu")
    eventually(lambda: REQUEST in hints)
    cluster.close()


def test_jobs_for_a_kueue_that_is_not_installed(double: ApiDouble, cluster: KubernetesCluster) -> None:
    cluster.create({**MANIFEST, "spec": {"suspend": True}}, {})
    assert cluster.held("gf-1") is None


def test_lines_that_are_gone_are_none(double: ApiDouble, cluster: KubernetesCluster) -> None:
    assert cluster.tail("gone", "train") == []


def test_a_cluster_that_cannot_be_listed_is_told(double: ApiDouble, bucket: Bucket) -> None:
    double.fail(lambda call: call.refuse(403) is None, times=1000)
    cluster = KubernetesCluster(double.api(), Place("ns", "here"), bucket, Pace(backoff=0.01, backoff_longest=0.05))
    with pytest.raises(ClusterError, match="could not be listed"):
        cluster.wait(0.5)
    cluster.close()
