"""Deciding: one test for each row of the failure catalogue that needs no cluster, from raw dicts as the API server gives them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide_objects import (
    ATTEMPT,
    LIMITS,
    NAME,
    NOW,
    RUNNING,
    WORDS,
    at,
    complete,
    disrupted,
    ended,
    failed,
    raw_job,
    raw_pod,
    runs,
    verdict,
    waits,
)

from controller import observed
from controller.actions import Acknowledge, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Tail, Wait
from controller.observed import Attempt, Request
from store import ids
from store.models import State


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


def test_parsing_survives_an_empty_status():
    job = observed.Job.parse({"metadata": {"name": "a", "uid": "b"}})
    pod = observed.Pod.parse({"metadata": {"name": "a"}, "status": {"containerStatuses": None, "conditions": None}})
    assert (job.finished, pod.containers, pod.phase) == (False, (), "Pending")
