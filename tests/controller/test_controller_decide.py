"""Deciding: one test for each row of the failure catalogue that needs no cluster, from raw dicts as the API server gives them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller import observed
from controller.actions import Acknowledge, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Tail, Wait
from controller.decide import Limits, decide
from controller.observed import Attempt, Job, Pod, Request
from store import ids
from store.models import State

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
LIMITS = Limits()
NAME = "gf-training-abc-1"
ATTEMPT = Attempt(ids.new(), 1, NAME, "uid-1", "run-1")
UNCLAIMED = replace(ATTEMPT, run=None)
RUNNING = Request(ids.new(), State.RUNNING, attempt=1)
WORDS = '{"code": "no_face_detected", "message": "no face was found in the first 5 s"}'


def at(seconds: float) -> str:
    """A time stamp that many seconds from now."""
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def raw_job(*conditions: dict[str, Any], age: float = 60, **metadata: Any) -> dict[str, Any]:
    meta = {"name": NAME, "uid": "uid-1", "creationTimestamp": at(-age), **metadata}
    return {"metadata": meta, "spec": {}, "status": {"conditions": list(conditions)}}


def failed(reason: str = "BackoffLimitExceeded", message: str = "") -> dict[str, Any]:
    return {"type": "Failed", "status": "True", "reason": reason, "message": message, "lastTransitionTime": at(-1)}


def suspended(age: float = 60) -> dict[str, Any]:
    raw = raw_job({"type": "Suspended", "status": "True", "message": "Job suspended"}, age=age)
    return {**raw, "spec": {"suspend": True}}


def complete(ago: float) -> dict[str, Any]:
    return {"type": "Complete", "status": "True", "lastTransitionTime": at(-ago)}


def ended(name: str, code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    end = {"exitCode": code, "reason": reason, "message": message, "finishedAt": at(-1)}
    return {"name": name, "state": {"terminated": end}}


def waits(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def runs(name: str) -> dict[str, Any]:
    return {"name": name, "state": {"running": {"startedAt": at(-5)}}}


def raw_pod(*containers: dict[str, Any], init: int = 0, phase: str = "Failed", age: float = 60, **status: Any) -> dict[str, Any]:
    metadata = {"name": "pod-1", "uid": "run-1", "creationTimestamp": at(-age)}
    metadata |= status.pop("metadata", {})
    lists = {"initContainerStatuses": list(containers[:init]), "containerStatuses": list(containers[init:])}
    return {"metadata": metadata, "status": {"phase": phase, **lists, **status}}


def disrupted(reason: str) -> list[dict[str, str]]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason}]


def unscheduled(reason: str, message: str) -> list[dict[str, str]]:
    return [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]


def verdict(
    job: dict[str, Any] | None, *pods: dict[str, Any], request: Request = RUNNING, attempt: Attempt | None = ATTEMPT,
    admitted: bool = True,
) -> Any:  # fmt: skip
    return decide(
        request, attempt, None if job is None else Job.parse(job), [Pod.parse(pod) for pod in pods], NOW, LIMITS, admitted
    )


class TestQueue:
    """queued: submitted when there is room and it is due."""

    queued = Request(ids.new(), State.QUEUED)

    def test_is_submitted(self):
        assert verdict(None, request=self.queued, attempt=None) == Submit(1)

    def test_waits_until_it_is_admitted(self):
        assert verdict(None, request=self.queued, attempt=None, admitted=False) == Wait()

    def test_waits_for_its_next_try(self):
        later = NOW + timedelta(seconds=10)
        request = replace(self.queued, attempt=1, next_try_at=later, waiting_reason="it crashed; next try at 12:00:10 UTC")
        cleaned = replace(ATTEMPT, cleaned=True)
        assert verdict(None, request=request, attempt=cleaned) == Wait("it crashed; next try at 12:00:10 UTC", later)
        assert verdict(None, request=replace(request, next_try_at=NOW), attempt=cleaned) == Submit(2)

    def test_no_new_attempt_while_the_old_ones_job_or_pod_is_there(self):
        request = replace(self.queued, attempt=1, waiting_reason="disrupted")
        assert verdict(raw_job(failed()), request=request) == DeleteJob(NAME)
        assert verdict(raw_job(deletionTimestamp=at(0)), request=request) == Wait("disrupted", NOW + LIMITS.lost_pod)
        told = raw_pod(runs("train"), phase="Running")
        assert verdict(raw_job(deletionTimestamp=at(-100)), told, request=request) == Wait("disrupted"), "it is still to be told"
        assert verdict(None, raw_pod(runs("train"), phase="Running"), request=request) == DeleteJob(NAME)
        leaving = raw_pod(runs("train"), phase="Running", metadata={"deletionTimestamp": at(30)})
        assert verdict(None, leaving, request=request) == Wait("disrupted", NOW + timedelta(seconds=90))
        assert verdict(None, request=request) == MarkCleaned(ATTEMPT.id)

    def test_a_pod_on_a_dead_node_does_not_block_the_next_attempt(self):
        request = replace(self.queued, attempt=1)
        stuck = raw_pod(runs("train"), phase="Running", metadata={"deletionTimestamp": at(-61)})
        assert verdict(None, stuck, request=request) == MarkCleaned(ATTEMPT.id)
        assert verdict(raw_job(deletionTimestamp=at(-90)), stuck, request=request) == MarkCleaned(ATTEMPT.id), "nor its Job"


class TestSubmission:
    """submitted: the Job is created, found again after a crash, or lost."""

    submitted = Request(ids.new(), State.SUBMITTED, attempt=1)
    fresh = Attempt(ids.new(), 1, NAME)

    def test_crash_between_commit_and_create(self):
        assert verdict(None, request=self.submitted, attempt=self.fresh) == CreateJob(self.fresh.id)

    def test_crash_between_create_and_acknowledgement(self):
        assert verdict(raw_job(), request=self.submitted, attempt=self.fresh) == Acknowledge(self.fresh.id, "uid-1")

    def test_job_gone_after_its_pod_claimed_but_before_it_was_acknowledged(self):
        claimed = replace(self.fresh, run="run-1")
        assert verdict(None, attempt=claimed) == Requeue(1, False, "job_lost", "the Job was gone from the cluster", None)

    def test_job_deleted_by_a_human_or_by_ttl(self):
        assert verdict(None) == Requeue(1, False, "job_lost", "the Job was gone from the cluster", None)

    def test_job_recreated_by_somebody_else(self):
        assert verdict(raw_job(uid="another")).code == "job_lost"

    def test_job_being_deleted(self):
        assert verdict(raw_job(deletionTimestamp=at(0))) == Wait("the Job is being deleted", NOW + LIMITS.lost_pod)

    def test_job_being_deleted_whose_pod_is_on_a_dead_node(self):
        stuck = raw_pod(runs("train"), phase="Running", metadata={"deletionTimestamp": at(-61)})
        assert verdict(raw_job(deletionTimestamp=at(-90)), stuck).code == "node_lost"

    def test_attempt_row_missing(self):
        assert verdict(None, attempt=None) == Requeue(
            1, False, "attempt_lost", "the request's attempt is not in the database", None
        )


class TestFailedJob:
    """The verdict comes from the containers' statuses, every one of them."""

    def test_input_at_fault(self):
        pod = raw_pod(ended("preprocess", 64, message=WORDS), waits("train", "PodInitializing"), init=1)
        assert verdict(raw_job(failed()), pod) == Finish(
            1, State.FAILED, "no_face_detected", "no face was found in the first 5 s"
        )

    def test_input_at_fault_with_broken_last_words(self):
        action = verdict(raw_job(failed()), raw_pod(ended("render", 64, message='{"code": "no_fa')))
        assert (action.state, action.code) == (State.FAILED, "input_invalid")
        assert "render" in action.message

    def test_input_at_fault_stands_though_the_node_went(self):
        pod = raw_pod(ended("render", 64, message=WORDS), conditions=disrupted("PreemptionByScheduler"))
        assert verdict(raw_job(failed()), pod).code == "no_face_detected"

    @pytest.mark.parametrize(("tries", "pause"), [(0, 10), (1, 20)])
    def test_crash_is_tried_again(self, tries: int, pause: float):
        pod = raw_pod(ended("train", 1))
        action = verdict(raw_job(failed()), pod, request=replace(RUNNING, tries=tries))
        assert action == Requeue(
            1, True, "crashed", "step train ended with exit code 1: Error", NOW + timedelta(seconds=pause), Tail("pod-1", "train")
        )

    def test_last_words_of_a_crash_are_kept_and_no_tail_is_needed(self):
        pod = raw_pod(ended("train", 1, message='{"code": "step_crashed", "message": "KeyError: 3"}'))
        assert verdict(raw_job(failed()), pod) == Requeue(1, True, "step_crashed", "KeyError: 3", NOW + timedelta(seconds=10))

    def test_third_crash_is_final_with_the_last_code(self):
        pod = raw_pod(ended("train", 75, message='{"code": "object_corrupt", "message": "sha256 differs"}'))
        action = verdict(raw_job(failed()), pod, request=replace(RUNNING, tries=2))
        assert action == Finish(1, State.FAILED, "object_corrupt", "sha256 differs")

    def test_backoff_has_an_end(self):
        limits = replace(LIMITS, tries=50)
        assert [limits.pause(n).total_seconds() for n in (0, 1, 4, 5, 40)] == [10, 20, 160, 300, 300]

    def test_try_again_without_words(self):
        assert verdict(raw_job(failed()), raw_pod(ended("train", 75))).code == "try_again"

    def test_container_that_could_not_be_started(self):
        pod = raw_pod(ended("train", 128, "StartError", "no such file: python"))
        assert verdict(raw_job(failed()), pod).code == "start_failed"

    @pytest.mark.parametrize("init", [0, 2])
    def test_out_of_memory_in_any_container(self, init: int):
        pod = raw_pod(ended("preprocess", 137, "OOMKilled"), waits("train", "PodInitializing"), init=init)
        action = verdict(raw_job(failed()), pod)
        assert (action.state, action.code, action.tail) == (State.FAILED, "out_of_memory", Tail("pod-1", "preprocess"))

    def test_out_of_memory_in_the_last_state(self):
        container = {**waits("train", "CrashLoopBackOff"), "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
        assert verdict(raw_job(failed()), raw_pod(container)).code == "out_of_memory"

    def test_out_of_memory_shown_as_success(self):
        pod = raw_pod(ended("train", 0, "OOMKilled"), phase="Succeeded")
        assert verdict(raw_job(complete(6)), pod).code == "out_of_memory"

    def test_deadline(self):
        pod = raw_pod(ended("train", 143), reason="DeadlineExceeded")
        assert verdict(raw_job(failed()), pod).code == "deadline_exceeded"
        assert verdict(raw_job(failed("DeadlineExceeded"))).code == "deadline_exceeded"

    @pytest.mark.parametrize("reason", ["PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI"])
    def test_disruption_is_not_counted(self, reason: str):
        pod = raw_pod(ended("train", 137), conditions=disrupted(reason))
        assert verdict(raw_job(failed()), pod) == Requeue(1, False, "disrupted", f"the cluster ended the pod ({reason})", None)

    @pytest.mark.parametrize("reason", ["Evicted", "NodeLost", "Terminated", "OutOfcpu", "UnexpectedAdmissionError"])
    def test_pod_that_its_node_ended_or_refused(self, reason: str):
        action = verdict(raw_job(failed()), raw_pod(reason=reason))
        assert (action.counted, action.code) == (False, "disrupted")

    def test_pod_in_an_unknown_phase(self):
        assert verdict(raw_job(failed()), raw_pod(phase="Unknown")).code == "disrupted"

    def test_container_status_unknown(self):
        action = verdict(raw_job(failed()), raw_pod(ended("train", 137, "ContainerStatusUnknown")))
        assert (action.counted, action.code) == (False, "node_lost")

    def test_stopped_without_being_asked(self):
        action = verdict(raw_job(failed()), raw_pod(ended("train", 143)))
        assert (action.counted, action.code) == (False, "stopped")

    def test_eviction_for_its_own_use_of_disk_is_counted(self):
        message = "Pod ephemeral local storage usage exceeds the total limit of containers 5Gi."
        action = verdict(
            raw_job(failed()), raw_pod(reason="Evicted", message=message, conditions=disrupted("TerminationByKubelet"))
        )
        assert (action.counted, action.code) == (True, "storage_exceeded")

    def test_pod_gone_but_the_job_kept_the_cause(self):
        job = raw_job(failed("PodFailurePolicy", "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0"))
        action = verdict(job)
        assert (action.counted, action.code) == (False, "disrupted")

    def test_pod_gone_without_a_cause(self):
        action = verdict(raw_job(failed()))
        assert (action.counted, action.code) == (False, "pod_lost")

    def test_disruptions_have_a_limit(self):
        pod = raw_pod(ended("train", 143))
        action = verdict(raw_job(failed()), pod, request=replace(RUNNING, disruptions=20))
        assert (action.state, action.code) == (State.FAILED, "infrastructure_lost")
        nineteen = verdict(raw_job(failed()), pod, request=replace(RUNNING, disruptions=19))
        assert nineteen.next_try_at == NOW + timedelta(seconds=60)

    def test_twin_pods(self):
        """The Job controller started two pods; the real one crashed, the twin was ended with it."""
        real, twin = raw_pod(ended("train", 1)), raw_pod(ended("train", 0, "Completed"), phase="Succeeded")
        assert verdict(raw_job(failed()), twin, real).code == "crashed"


class TestResult:
    """What was published wins; what was not is missing."""

    def test_job_done_and_the_commit_on_its_way(self):
        assert verdict(raw_job(complete(1))) == Wait(None, NOW + timedelta(seconds=4))

    def test_job_done_without_a_result(self):
        action = verdict(raw_job(complete(6)), raw_pod(ended("train", 0, "Completed"), phase="Succeeded"))
        assert (action.counted, action.code) == (True, "result_missing")

    def test_published_result_wins_over_a_failed_job(self):
        request = replace(RUNNING, state=State.SUCCEEDED, finished_at=NOW)
        assert verdict(raw_job(failed()), raw_pod(ended("train", 1)), request=request) == DeleteJob(NAME)

    def test_worker_may_say_goodbye(self):
        request = replace(RUNNING, state=State.SUCCEEDED, finished_at=NOW)
        pod = raw_pod(runs("train"), phase="Running")
        assert verdict(raw_job(), pod, request=request) == Wait(None, NOW + LIMITS.farewell)
        old = replace(request, finished_at=NOW - LIMITS.farewell)
        assert verdict(raw_job(), pod, request=old) == DeleteJob(NAME)

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    def test_final_request_is_cleaned_up(self, state: State):
        request = replace(RUNNING, state=state)
        assert verdict(raw_job(complete(1)), request=request) == DeleteJob(NAME)
        assert verdict(raw_job(deletionTimestamp=at(-50)), request=request) == Wait(None, NOW + timedelta(seconds=10))
        assert verdict(None, request=request) == MarkCleaned(ATTEMPT.id)
        assert verdict(None, request=request, attempt=replace(ATTEMPT, cleaned=True)) == Done()

    def test_superseded_attempt_is_cleaned_up_first(self):
        request = replace(RUNNING, attempt=2)
        assert verdict(raw_job(), request=request) == DeleteJob(NAME)


class TestCancel:
    """cancelled once the Job is gone; what was published before wins (TestResult)."""

    asked = replace(RUNNING, cancel_requested_at=NOW)

    def test_running_job_is_deleted_gracefully(self):
        assert verdict(raw_job(), raw_pod(runs("train"), phase="Running"), request=self.asked) == DeleteJob(NAME)

    def test_waits_until_job_and_pods_are_gone(self):
        assert verdict(raw_job(deletionTimestamp=at(100)), request=self.asked) == Wait("stopping", NOW + timedelta(seconds=160))
        leaving = raw_pod(runs("train"), phase="Running", metadata={"deletionTimestamp": at(100)})
        assert verdict(None, leaving, request=self.asked) == Wait("stopping", NOW + timedelta(seconds=160))

    def test_cancelled_when_gone(self):
        assert verdict(None, request=self.asked) == Finish(1, State.CANCELLED)

    def test_cancelled_before_the_job_was_created(self):
        attempt = Attempt(ids.new(), 1, NAME)
        request = replace(self.asked, state=State.SUBMITTED)
        assert verdict(None, request=request, attempt=attempt) == Finish(1, State.CANCELLED)

    def test_worker_that_heard_stop_and_ended(self):
        assert verdict(raw_job(failed()), raw_pod(ended("train", 143)), request=self.asked) == Finish(1, State.CANCELLED)


class TestPending:
    """A pod that does not start never fails its Job: we say why, and have our own limit."""

    submitted = replace(RUNNING, state=State.SUBMITTED)

    @pytest.mark.parametrize(
        ("reason", "what"),
        [
            ("ImagePullBackOff", "the image of step preprocess cannot be fetched"),
            ("ErrImagePull", "the image of step preprocess cannot be fetched"),
            ("InvalidImageName", "the image of step preprocess cannot be fetched"),
            ("CreateContainerConfigError", "step preprocess cannot be started"),
            ("CreateContainerError", "step preprocess cannot be started"),
        ],
    )
    def test_image_and_configuration(self, reason: str, what: str):
        container = waits("preprocess", reason, "not found")
        action = verdict(raw_job(), raw_pod(container, phase="Pending", age=60), request=self.submitted)
        assert action == Wait(f"{what} ({reason}): not found", NOW - timedelta(seconds=60) + LIMITS.pending)
        late = verdict(raw_job(), raw_pod(container, phase="Pending", age=1801), request=self.submitted)
        assert (late.state, late.code) == (State.FAILED, "pending_timeout")
        assert reason in late.message

    def test_unschedulable_may_take_longer(self):
        message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        conditions = unscheduled("Unschedulable", message)
        action = verdict(raw_job(), raw_pod(phase="Pending", age=7200, conditions=conditions), request=self.submitted)
        assert isinstance(action, Wait)
        assert action.reason == f"no node can take it yet (Unschedulable): {message}"
        late = verdict(raw_job(), raw_pod(phase="Pending", age=90_000, conditions=conditions), request=self.submitted)
        assert late.code == "pending_timeout"

    def test_waiting_for_a_slot_or_for_kueue_has_no_limit(self):
        conditions = unscheduled("SchedulingGated", "waiting for a slot (place 3)")
        pod = raw_pod(phase="Pending", age=1e6, conditions=conditions)
        assert verdict(raw_job(age=1e6), pod, request=self.submitted) == Wait("waiting for a slot (place 3)")
        waiting = verdict(suspended(age=1e6), request=self.submitted, attempt=UNCLAIMED)
        assert waiting == Wait("waiting for admission to the cluster's queue")

    def test_kueue_says_why(self):
        job = replace(Job.parse(suspended()), trouble="Pending: insufficient unused quota")
        assert decide(self.submitted, UNCLAIMED, job, [], NOW, LIMITS, True).reason == "Pending: insufficient unused quota"

    def test_kueue_takes_a_job_back_before_its_pod_has_claimed_the_attempt(self):
        """Admitted again, the Job's next pod claims it."""
        assert isinstance(verdict(suspended(), request=self.submitted, attempt=UNCLAIMED), Wait)

    def test_kueue_takes_a_running_job_back(self):
        """Its next pod would be a twin under the same attempt: a new attempt goes on from the checkpoint."""
        action = verdict(suspended())
        assert (action.counted, action.code) == (False, "evicted")

    def test_a_new_job_is_given_a_moment(self):
        assert verdict(raw_job(age=1), request=self.submitted) == Wait(None, NOW + timedelta(seconds=2))

    def test_no_pod_is_made(self):
        waiting = verdict(raw_job(age=5), request=self.submitted)
        assert waiting == Wait("the cluster has made no pod yet", NOW + LIMITS.look_again)
        job = replace(Job.parse(raw_job(age=5)), trouble="FailedCreate: exceeded quota")
        why = decide(self.submitted, ATTEMPT, job, [], NOW, LIMITS, True).reason
        assert why == "the cluster has made no pod yet: FailedCreate: exceeded quota"
        assert verdict(raw_job(age=90_000), request=self.submitted).code == "pending_timeout"

    def test_second_image_cannot_be_pulled(self):
        """The limit counts from the first step's end, not from the pod's beginning."""
        pod = raw_pod(ended("preprocess", 0), waits("train", "ErrImagePull"), init=1, phase="Pending", age=9000)
        action = verdict(raw_job(age=9000), pod)
        assert action == Wait(
            "the image of step train cannot be fetched (ErrImagePull)", NOW - timedelta(seconds=1) + LIMITS.pending
        )

    def test_running_needs_no_reason(self):
        pod = raw_pod(runs("preprocess"), waits("train", "PodInitializing"), init=1, phase="Pending", age=9000)
        assert verdict(raw_job(age=9000), pod) == Wait()

    def test_the_pod_that_claimed_is_gone_and_a_twin_is_left(self):
        """The twin may not go on under the same attempt, and would wait until the deadline."""
        twin = raw_pod(runs("train"), phase="Running", metadata={"uid": "run-2"})
        action = verdict(raw_job(), twin)
        assert (action.counted, action.code) == (False, "pod_lost")
        assert verdict(raw_job(), twin, raw_pod(runs("train"), phase="Running")) == Wait()
        assert verdict(raw_job(), twin, attempt=UNCLAIMED) == Wait()

    def test_node_that_no_longer_answers(self):
        pod = raw_pod(runs("train"), phase="Running", metadata={"deletionTimestamp": at(-61)})
        action = verdict(raw_job(age=9000), pod)
        assert (action.counted, action.code) == (False, "node_lost")


def test_parsing_survives_an_empty_status():
    job = observed.Job.parse({"metadata": {"name": "a", "uid": "b"}})
    pod = observed.Pod.parse({"metadata": {"name": "a"}, "status": {"containerStatuses": None, "conditions": None}})
    assert (job.finished, pod.containers, pod.phase) == (False, (), "Pending")
