"""The Job of an attempt as plain dictionaries, the same for every cluster. Pure.

restartPolicy Never and backoffLimit 0: tries are counted by us, and a second pod never starts under the same attempt. A pod
that is disrupted fails its Job, whose condition keeps the cause when the pod is gone. The deadline stands on the pod, since the
Job's own would count the wait for a GPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.cluster import REPLY_KEY, TOKEN_KEY
from controller.errors import ManifestError
from controller.observed import ATTEMPT_ID, ATTEMPT_LABEL, INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, REQUEST_LABEL
from controller.settings import GpuClass, Settings
from store.models import Attempt, Kind, Request

Raw = dict[str, Any]

WORKER = ("python", "-m", "worker")
IMAGES = {
    "preprocess": "geneface", "train": "geneface", "render": "geneface", "evaluate": "eval",
    "transcribe": "speech", "synthesize": "speech", "converse": "speech", "enrol": "speech",
}  # fmt: skip
"""The room that a step's image is made of."""
GPU_STEPS = frozenset({"preprocess", "train", "render"})
SPEAKING = frozenset({"synthesize", "converse", "enrol"})
"""Steps with a voice: they are told which engine. Of the engines, XTTS alone uses a GPU."""
REPLYING = "converse"
"""The one step that gets the language model's key."""

WORK, WEIGHTS, TERMINATION_LOG = "/work", "/weights", "/dev/termination-log"
USER = 10001
WORKERS_GRACE = 5 / 6
"""The worker's part of the pod's grace, so that it ends by itself before SIGKILL."""
TTL_SECONDS = 2 * 86400
"""Only a backstop: the controller deletes a Job as soon as its outcome is in the database."""

GIB = 1 << 30
DISK_BASE = 4 * GIB
"""Results, checkpoints, what libraries unpack."""
DISK_PER_BYTE = {Kind.TRAINING: 100}
"""Bytes of disk for each byte of input. A video at 2 Mbit/s is 250 kB a second; the same second as 25 raw frames of
512x512x3 bytes is 20 MB, 80 times as much."""
DISK_PER_BYTE_OTHERS = 10


@dataclass(frozen=True)
class Plan:
    """What of a request and its attempt shapes the Job."""

    request: str
    kind: Kind
    avatar: str | None
    attempt: str
    number: int
    job_name: str
    steps: tuple[str, ...]
    gpu: str | None
    input_bytes: int

    @classmethod
    def of(cls, request: Request, attempt: Attempt) -> "Plan":
        """Raises ManifestError for steps that nobody knows."""
        steps = tuple(request.spec.get("steps") or ())
        if not steps or any(step not in IMAGES for step in steps):
            raise ManifestError(
                "steps_unknown", f"the request's steps are {', '.join(steps) or 'none'}; this version has no such steps"
            )
        size = sum(int(item.get("size") or 0) for item in request.spec.get("inputs", ()))
        return cls(
            str(request.id), Kind(request.kind), request.avatar, str(attempt.id), attempt.number, attempt.job_name, steps,
            request.spec.get("gpu"), size,
        )  # fmt: skip


def build(plan: Plan, settings: Settings, worker: Sequence[str] = WORKER) -> Raw:
    """The manifest (batch/v1 Job). `worker`: the command that takes a step's name. Raises ManifestError."""
    labels = _labels(plan, settings)
    containers = [_container(step, plan, settings, worker) for step in plan.steps]
    metadata: Raw = {
        "name": plan.job_name, "namespace": settings.namespace, "labels": dict(labels),
        "annotations": {ATTEMPT_ID: plan.attempt},
    }  # fmt: skip
    if settings.queue_name:
        metadata["labels"]["kueue.x-k8s.io/queue-name"] = settings.queue_name
        if settings.queue_priority_class:
            metadata["labels"]["kueue.x-k8s.io/priority-class"] = settings.queue_priority_class
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "suspend": settings.queue_name is not None,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {
                "metadata": {"labels": dict(labels), "annotations": {ATTEMPT_ID: plan.attempt}},
                "spec": _pod(plan, settings, containers),
            },
        },
    }


def disk(plan: Plan) -> int:
    """Ephemeral storage in bytes, in whole GiB: by the size of the inputs."""
    wanted = DISK_BASE + DISK_PER_BYTE.get(plan.kind, DISK_PER_BYTE_OTHERS) * plan.input_bytes
    return -(-wanted // GIB) * GIB


def _labels(plan: Plan, settings: Settings) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/name": "geneface",
        "app.kubernetes.io/component": "job",
        "app.kubernetes.io/part-of": "geneface",
        INSTANCE_LABEL: settings.instance,
        MANAGED_BY_LABEL: MANAGED_BY,
        REQUEST_LABEL: plan.request,
        ATTEMPT_LABEL: str(plan.number),
        "geneface.io/kind": str(plan.kind),
    }
    return labels if plan.avatar is None else {**labels, "geneface.io/avatar": plan.avatar}


def _pod(plan: Plan, settings: Settings, containers: list[Raw]) -> Raw:
    *initial, main = containers
    pod: Raw = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": settings.deadlines[plan.kind],
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "automountServiceAccountToken": False,
        # A Service named geneface would give every pod variables with our prefix.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": initial,
        "containers": [main],
        "volumes": _volumes(plan, settings),
    }  # fmt: skip
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    gpu = _gpu(plan, settings)
    if gpu is not None:
        pod["tolerations"] = [one.model_dump(exclude_none=True) for one in gpu.tolerations]
        pod["nodeSelector"] = dict(gpu.node_labels)
        if gpu.runtime_class:
            pod["runtimeClassName"] = gpu.runtime_class
        if gpu.priority_class:
            pod["priorityClassName"] = gpu.priority_class
    return pod


def _container(step: str, plan: Plan, settings: Settings, worker: Sequence[str]) -> Raw:
    resources = settings.resources[plan.kind]
    amounts: dict[str, str] = {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": str(disk(plan))}
    gpu = _gpu(plan, settings) if _uses_gpu(step, settings) else None
    if gpu is not None:
        amounts[gpu.resource] = str(gpu.count)
    mounts: list[Raw] = [
        {"name": "work", "mountPath": WORK}, {"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]  # fmt: skip
    if settings.weights_claim:
        mounts.append({"name": "weights", "mountPath": WEIGHTS, "readOnly": True})
    return {
        "name": step,
        "image": settings.images[IMAGES[step]],
        "imagePullPolicy": settings.image_pull_policy,
        "command": [*worker, step],
        "env": _environment(step, plan, settings, gpu),
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "volumeMounts": mounts,
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }  # fmt: skip


def _environment(step: str, plan: Plan, settings: Settings, gpu: GpuClass | None) -> list[Raw]:
    values: dict[str, str] = {
        "GENEFACE_API_URL": settings.api_url,
        "GENEFACE_ATTEMPT": plan.attempt,
        "GENEFACE_WORK_DIR": WORK,
        "GENEFACE_TERMINATION_LOG": TERMINATION_LOG,
        "GENEFACE_DEADLINE": str(settings.deadlines[plan.kind]),
        "GENEFACE_GRACE": f"{settings.grace_seconds * WORKERS_GRACE:.1f}",
    }
    if settings.weights_claim:
        values["GENEFACE_WEIGHTS_DIR"] = WEIGHTS
    if gpu is not None:
        values["GENEFACE_DEVICE"] = "cuda"
    if step in SPEAKING:
        values |= _voice(settings)
    values |= settings.step_environment
    key: Raw = {"name": settings.reply_secret, "key": REPLY_KEY, "optional": True}
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        {"name": "GENEFACE_RUN", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {
            "name": "GENEFACE_ATTEMPT_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": plan.job_name, "key": TOKEN_KEY}},
        },
        *([{"name": REPLY_KEY, "valueFrom": {"secretKeyRef": key}}] if step == REPLYING else []),
    ]


def _voice(settings: Settings) -> dict[str, str]:
    values: dict[str, str] = {"GENEFACE_TTS_ENGINE": settings.tts_engine}
    if settings.tts_url is not None:
        values["GENEFACE_TTS_URL"] = settings.tts_url
    if settings.coqui_tos_agreed:
        values["COQUI_TOS_AGREED"] = "1"
    return values


def _volumes(plan: Plan, settings: Settings) -> list[Raw]:
    volumes: list[Raw] = [
        {"name": "work", "emptyDir": {"sizeLimit": str(disk(plan))}},
        {"name": "tmp", "emptyDir": {"sizeLimit": str(DISK_BASE)}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.resources[plan.kind].memory}},
    ]
    if settings.weights_claim:
        claim: Mapping[str, Any] = {"claimName": settings.weights_claim, "readOnly": True}
        volumes.append({"name": "weights", "persistentVolumeClaim": dict(claim)})
    return volumes


def _uses_gpu(step: str, settings: Settings) -> bool:
    return step in GPU_STEPS or (step in SPEAKING and settings.tts_engine == "xtts")


def _gpu(plan: Plan, settings: Settings) -> GpuClass | None:
    """The class of a Job that has a use for it."""
    if plan.gpu is None or not any(_uses_gpu(step, settings) for step in plan.steps):
        return None
    if plan.gpu not in settings.gpu_classes:
        known = ", ".join(sorted(settings.gpu_classes)) or "none"
        raise ManifestError("gpu_unknown", f"there is no GPU class {plan.gpu!r} here; known: {known}")
    return settings.gpu_classes[plan.gpu]
