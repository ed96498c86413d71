"""Why a Job ended: read from every container of its pods, the init containers included, then from the Job itself.

Evidence for each rule: the failure catalogue (a Job's own condition names the cause only when no pod is left to ask).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from controller.actions import Tail
from controller.observed import Container, Job, Pod, Terminated

EXIT_INPUT = 64
EXIT_TRY_AGAIN = 75
EXIT_STOPPED = 143

MORE_MEMORY = "give this kind of request more (GENEFACE_RESOURCES), or use a shorter or smaller video"

_NODE_REASONS = frozenset({
    "Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "UnexpectedAdmissionError", "NodeAffinity",
})  # fmt: skip
"""Pod reasons that are a node's doing. `OutOf…` (cpu, memory, pods, a GPU) is one more: the kubelet refused the pod."""
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun", "CreateContainerError"})
_OWN_DISK = re.compile(r"local storage usage exceeds|local ephemeral storage limit|EmptyDir volume .* exceeds", re.IGNORECASE)
"""Evictions that the pod brought upon itself: another node would evict it again."""


@dataclass(frozen=True)
class InputFault:
    """The input is at fault: the same input fails again."""

    code: str
    message: str


@dataclass(frozen=True)
class Exhausted:
    """Memory or time ran out: the same limits run out again."""

    code: str
    message: str
    tail: Tail | None = None


@dataclass(frozen=True)
class Disrupted:
    """The infrastructure took the attempt away."""

    code: str
    message: str


@dataclass(frozen=True)
class Broken:
    """It asked for another try, or crashed."""

    code: str
    message: str
    tail: Tail | None = None


Verdict = InputFault | Exhausted | Disrupted | Broken


def of(job: Job, pods: Sequence[Pod]) -> Verdict:
    """The verdict on a Job that failed, or ended without its result."""
    ends = [(pod, container, container.terminated) for pod in pods for container in pod.containers if container.terminated]
    found = _by_containers(ends) or next((one for pod in pods if (one := _by_pod(pod))), None)
    return found or next((_broken(*end) for end in ends if end[2].exit_code != 0), None) or _by_job(job)


def _by_containers(ends: Sequence[tuple[Pod, Container, Terminated]]) -> Verdict | None:
    """What only the containers know, and what stands whatever happened to the pod."""
    for _, container, end in ends:
        if end.exit_code == EXIT_INPUT:
            code, message = end.words() or ("input_invalid", f"step {container.name} refused the input: {_said(end)}")
            return InputFault(code, message)
    for pod, container, end in ends:
        if end.reason == "OOMKilled":
            message = f"step {container.name} ran out of memory: {MORE_MEMORY}"
            return Exhausted("out_of_memory", message, _tail(pod, container, end))
    return None


def _by_pod(pod: Pod) -> Verdict | None:
    if pod.reason == "DeadlineExceeded":
        return Exhausted("deadline_exceeded", "the time limit for this kind of request ran out")
    if pod.reason == "Evicted" and _OWN_DISK.search(pod.message):
        return Broken("storage_exceeded", f"more disk was used than the Job may use: {pod.message}")
    if reason := _disruption(pod):
        return Disrupted("disrupted", f"the cluster ended the pod ({reason})")
    for container in pod.containers:
        match container.terminated:
            case Terminated(reason="ContainerStatusUnknown"):
                return Disrupted("node_lost", "the node that ran the pod was lost")
            case Terminated(exit_code=143):
                return Disrupted("stopped", f"step {container.name} was stopped from outside")
    return None


def _disruption(pod: Pod) -> str | None:
    condition = pod.condition("DisruptionTarget")
    if condition is not None and condition.status:
        return condition.reason or "DisruptionTarget"
    if pod.reason in _NODE_REASONS or pod.reason.startswith("OutOf"):
        return pod.reason
    return "NodeLost" if pod.phase == "Unknown" else None


def _broken(pod: Pod, container: Container, end: Terminated) -> Broken:
    words = end.words()
    if words:
        return Broken(words[0], words[1])
    code = "try_again" if end.exit_code == EXIT_TRY_AGAIN else "crashed"
    if end.reason in _NOT_STARTED:
        code = "start_failed"
    return Broken(code, f"step {container.name} ended with exit code {end.exit_code}: {_said(end)}", _tail(pod, container, end))


def _by_job(job: Job) -> Verdict:
    """No pod is left that could say."""
    if job.failed is None:
        return Broken("result_missing", "the Job ended well but published no result")
    if job.failed.reason == "DeadlineExceeded":
        return Exhausted("deadline_exceeded", "the time limit for this kind of request ran out")
    if "DisruptionTarget" in job.failed.message:
        return Disrupted("disrupted", f"the cluster ended the pod: {job.failed.message}")
    return Disrupted("pod_lost", f"the Job's pod is gone ({job.failed.reason or 'no reason given'})")


def _tail(pod: Pod, container: Container, end: Terminated) -> Tail | None:
    return Tail(pod.name, container.name) if end.words() is None else None


def _said(end: Terminated) -> str:
    return end.message.strip()[:500] or end.reason or "no last words"
