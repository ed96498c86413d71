"""Deciding about what has not started yet."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide_objects import (
    ATTEMPT,
    LIMITS,
    NOW,
    RUNNING,
    UNCLAIMED,
    at,
    ended,
    raw_job,
    raw_pod,
    runs,
    suspended,
    unscheduled,
    verdict,
    waits,
)

from controller.actions import Wait
from controller.decide import decide
from controller.observed import Job
from store.models import State


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
