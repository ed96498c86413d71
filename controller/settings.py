"""Settings of the controller."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, field_validator

from controller.admission import Caps
from controller.cluster import REPLY_KEY
from controller.decide import Limits
from store.models import Kind
from store.settings import StoreSettings

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGTP]i?)?$")]
"""A Kubernetes quantity: 500m, 4, 8Gi."""
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,51}[A-Za-z0-9])?$")]
"""The value of a label, short enough for a name made from it."""

ROOMS = ("geneface", "eval", "speech")


class Resources(BaseModel):
    """What every container of a Job asks for, and gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: Quantity
    memory: Quantity


class Toleration(BaseModel):
    """As in a pod's spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class GpuClass(BaseModel):
    """What a request's `gpu` stands for on this cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: str = "nvidia.com/gpu"
    """Extended resource; a MIG slice has a name of its own, such as nvidia.com/mig-1g.10gb."""
    count: int = Field(1, ge=1)
    node_labels: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    runtime_class: str | None = None
    priority_class: str | None = None
    max_active: int | None = Field(None, ge=1)
    """Requests of this class that have a Job at once; None: no limit but the general one."""


_CPU = {
    Kind.TRAINING: Resources(cpu="4", memory="12Gi"),
    Kind.RENDERING: Resources(cpu="2", memory="6Gi"),
    Kind.EVALUATION: Resources(cpu="2", memory="8Gi"),
    Kind.SYNTHESIS: Resources(cpu="2", memory="8Gi"),
    Kind.DIALOGUE: Resources(cpu="4", memory="12Gi"),
}
_HOURS = {Kind.TRAINING: 24, Kind.RENDERING: 6, Kind.EVALUATION: 6, Kind.SYNTHESIS: 1, Kind.DIALOGUE: 2}

_OWN_VARIABLES = frozenset(
    f"GENEFACE_{name}"
    for name in ("API_URL", "ATTEMPT", "ATTEMPT_TOKEN", "DEADLINE", "GRACE", "RUN", "TERMINATION_LOG", "WORK_DIR")
)


class Settings(StoreSettings):
    """Settings of `python -m controller`. Environment prefix `GENEFACE_`; dictionaries are JSON and complete the defaults."""

    cluster: Literal["local", "kubernetes"] = Field(
        "local", description="What runs Jobs: local = processes of this machine; kubernetes = a cluster"
    )
    api_url: str = Field(description="Where Jobs find the API, without /v1")
    work_folder: Path = Field(Path(".local/cluster"), description="Local cluster: folder of the Jobs' files")
    slots: int = Field(1, ge=1, description="Local cluster: Jobs that run at once")
    kubeconfig: Path | None = Field(
        None, description="Kubernetes: file that says where the cluster is. Default: the pod's service account, else as kubectl"
    )
    namespace: str = Field("geneface", description="Kubernetes: namespace of the Jobs")
    instance: Label = Field("geneface", description="Kubernetes: name of this installation; its Jobs and its Lease carry it")
    identity: str | None = Field(None, description="Kubernetes: who this controller is in the Lease. Default: host and process")
    writes_per_second: float = Field(50.0, gt=0, description="Kubernetes: creates and deletes a second, after a slow start")
    writes_burst: int = Field(100, ge=1, description="Kubernetes: creates and deletes at once after a pause")
    images: dict[str, str] = Field(
        default_factory=lambda: {room: f"geneface-{room}:0.1.0" for room in ROOMS}, description="Image of each step room"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When a node fetches the images of steps"
    )
    image_pull_secrets: tuple[str, ...] = Field((), description="Secrets with the registry's credentials, as a JSON list")
    resources: dict[Kind, Resources] = Field(default_factory=lambda: dict(_CPU), description="CPU and memory, by kind of request")
    gpu_classes: dict[str, GpuClass] = Field(default_factory=dict, description="What a request may name as its `gpu`")
    deadlines: dict[Kind, int] = Field(
        default_factory=lambda: {kind: hours * 3600 for kind, hours in _HOURS.items()},
        description="Longest run of an attempt in seconds, by kind of request; waiting for a node does not count",
    )
    grace_seconds: int = Field(120, ge=1, description="From SIGTERM to SIGKILL: time to save a checkpoint")
    weights_claim: str | None = Field(None, description="Volume claim that holds the weights, mounted read-only")
    queue_name: str | None = Field(None, description="Kueue's local queue for the Jobs; default: none")
    queue_priority_class: str | None = Field(None, description="Kueue's priority class for the Jobs; default: none")
    step_environment: dict[str, str] = Field(
        default_factory=dict, description='Variables that every step gets, e.g. {"GENEFACE_VISIBLE_LABEL": "off"}'
    )
    tts_engine: Literal["kokoro", "xtts", "http"] = Field(
        "kokoro", description="What speaks: kokoro = built-in voices; xtts, http (a server of `POST /tts`) = people's voices too"
    )
    tts_url: str | None = Field(None, description="Where steps find the server of the engine `http`, e.g. http://speech:8010")
    coqui_tos_agreed: bool = Field(
        default_factory=lambda: os.environ.get("COQUI_TOS_AGREED") == "1",
        description="Whether the terms of XTTS's weights (no commercial use) are agreed to; also `COQUI_TOS_AGREED=1`",
    )
    reply_secret: str = Field(
        "geneface-reply",
        description="Kubernetes: Secret with the language model's key, ZHIPU_API_KEY, which the step `converse` alone gets. "
        "Local cluster: the key is the variable `ZHIPU_API_KEY`",
    )
    max_active_jobs: int | None = Field(
        None,
        ge=1,
        description="Requests that have a Job at once; others stay queued. Default: the local cluster's slots, else 100",
    )
    max_active_jobs_per_owner: int | None = Field(
        None, ge=1, description="Requests of one owner that have a Job at once; default: no limit but the general one"
    )
    tries: int = Field(3, ge=1, description="Tries of a request, the first included, when it crashes or asks for another")
    disruptions: int = Field(20, ge=0, description="Attempts a request may lose to the infrastructure beyond its tries")
    backoff_seconds: float = Field(10.0, ge=0, description="Pause before the second try; doubles with every further one")
    backoff_longest_seconds: float = Field(300.0, ge=0, description="Longest pause between two tries")
    pending_seconds: float = Field(1800.0, gt=0, description="How long a pod may stand without starting (image, volume)")
    unschedulable_seconds: float = Field(86400.0, gt=0, description="How long a pod may wait for a node")
    result_grace_seconds: float = Field(5.0, ge=0, description="From a Job's end to the verdict that its result is missing")
    full_pass_seconds: float = Field(60.0, gt=0, description="How often all open requests are looked at, without any event")
    metrics_listen_port: int | None = Field(None, ge=0, le=65535, description="Port of /metrics and /healthz; default: none")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("api_url", "tts_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        TypeAdapter(AnyHttpUrl).validate_python(value)
        return value.rstrip("/")

    @field_validator("resources", mode="before")
    @classmethod
    def _all_resources(cls, value: Any) -> Any:
        return _completed(value, _CPU)

    @field_validator("deadlines", mode="before")
    @classmethod
    def _all_deadlines(cls, value: Any) -> Any:
        return _completed(value, {kind: hours * 3600 for kind, hours in _HOURS.items()})

    @field_validator("images", mode="before")
    @classmethod
    def _all_images(cls, value: Any) -> Any:
        return _completed(value, {room: f"geneface-{room}:0.1.0" for room in ROOMS})

    @field_validator("deadlines")
    @classmethod
    def _positive(cls, value: dict[Kind, int]) -> dict[Kind, int]:
        if any(seconds < 1 for seconds in value.values()):
            raise ValueError("each must be 1 second or more")
        return value

    @field_validator("step_environment")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} is no name for a variable")
            if name in _OWN_VARIABLES:
                raise ValueError(f"{name} is set by the controller itself")
            if name == REPLY_KEY:
                raise ValueError(
                    f"{name} belongs into the Secret that GENEFACE_REPLY_SECRET names, for the one step that needs it"
                )
        return value

    def caps(self, slots: int | None) -> Caps:
        """How many requests have a Job at once, on a cluster that runs `slots` of them (None: it does its own queueing)."""
        per_gpu = {name: one.max_active for name, one in self.gpu_classes.items() if one.max_active is not None}
        return Caps(self.max_active_jobs or slots or 100, self.max_active_jobs_per_owner, per_gpu)

    def limits(self) -> Limits:
        """The limits that `decide` keeps to."""
        return Limits(
            tries=self.tries,
            disruptions=self.disruptions,
            backoff=timedelta(seconds=self.backoff_seconds),
            backoff_longest=timedelta(seconds=self.backoff_longest_seconds),
            pending=timedelta(seconds=self.pending_seconds),
            unschedulable=timedelta(seconds=self.unschedulable_seconds),
            result_grace=timedelta(seconds=self.result_grace_seconds),
        )


def _completed(given: Any, defaults: Mapping[Any, Any]) -> Any:
    """What is given wins; keys are compared as text, because JSON has no others."""
    if not isinstance(given, Mapping):
        return given
    return {str(key): value for key, value in defaults.items()} | {str(key): value for key, value in given.items()}
