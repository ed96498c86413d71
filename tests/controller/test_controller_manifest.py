"""The Job manifest: each demand of DESIGN 5."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from controller.errors import ManifestError
from controller.manifest import Plan, build, disk
from controller.settings import GpuClass, Resources, Settings, Toleration
from store import ids
from store.models import Attempt, Kind, Request

REQUIRED = {
    "database_url": "postgresql://u:secret@db/geneface", "s3_endpoint": "http://s3:9000", "s3_access_key": "access",
    "s3_secret_key": "hidden-key", "token_key": "k" * 32, "api_url": "http://api:8000/",
}  # fmt: skip
PLAN = Plan(
    "0190c0de-0000-7000-8000-000000000001", Kind.TRAINING, "anna", "0190c0de-0000-7000-8000-0000000000aa", 2,
    "gf-training-0190c0de000070008000000000000001-2", ("preprocess", "train"), None, 40_000_000,
)  # fmt: skip


def settings(**values: Any) -> Settings:
    return Settings(**(REQUIRED | values))


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod(job)["initContainers"], *pod(job)["containers"]]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


JOB = build(PLAN, settings())


def test_job_behaves():
    spec = JOB["spec"]
    assert (JOB["apiVersion"], JOB["kind"]) == ("batch/v1", "Job")
    assert (spec["backoffLimit"], spec["parallelism"], spec["completions"]) == (0, 1, 1)
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"] == {
        "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    }
    assert "activeDeadlineSeconds" not in spec
    assert spec["ttlSecondsAfterFinished"] >= 86400


def test_pod_behaves():
    spec = pod(JOB)
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 24 * 3600
    assert spec["terminationGracePeriodSeconds"] == 120
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_pod_security_is_restricted():
    assert pod(JOB)["securityContext"]["runAsNonRoot"] is True
    assert pod(JOB)["securityContext"]["runAsUser"] > 0
    assert pod(JOB)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(JOB):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert not {"privileged", "hostPath"} & set(context)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(JOB))


def test_name_and_labels():
    assert JOB["metadata"]["name"] == PLAN.job_name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "gf-evaluation-" + "f" * 32 + "-9999")
    for metadata in (JOB["metadata"], JOB["spec"]["template"]["metadata"]):
        labels = metadata["labels"]
        assert labels["geneface.io/request"] == PLAN.request
        assert labels["geneface.io/attempt"] == "2"
        assert labels["geneface.io/kind"] == "training"
        assert labels["geneface.io/avatar"] == "anna"
        assert labels["app.kubernetes.io/managed-by"] == "geneface-controller"
        assert all(re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,61})?[A-Za-z0-9]", value) for value in labels.values())
    assert "geneface.io/avatar" not in build(replace(PLAN, avatar=None), settings())["metadata"]["labels"]


def test_steps_in_order():
    assert [one["name"] for one in pod(JOB)["initContainers"]] == ["preprocess"]
    assert [one["name"] for one in pod(JOB)["containers"]] == ["train"]
    assert [one["command"] for one in containers(JOB)] == [
        ["python", "-m", "worker", "preprocess"], ["python", "-m", "worker", "train"]
    ]  # fmt: skip
    single = build(replace(PLAN, kind=Kind.RENDERING, steps=("render",)), settings())
    assert (pod(single)["initContainers"], pod(single)["containers"][0]["name"]) == ([], "render")


def test_images_by_room():
    job = build(replace(PLAN, kind=Kind.EVALUATION, steps=("render", "evaluate")), settings(images={"eval": "registry/eval:1"}))
    assert [one["image"] for one in containers(job)] == ["geneface-geneface:0.1.0", "registry/eval:1"]


def test_environment_is_the_contract_and_holds_no_credential_but_the_token():
    for container in containers(JOB):
        found = environment(container)
        assert found["GENEFACE_API_URL"] == "http://api:8000"
        assert found["GENEFACE_ATTEMPT"] == PLAN.attempt
        assert found["GENEFACE_RUN"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
        assert found["GENEFACE_ATTEMPT_TOKEN"] == {"secretKeyRef": {"name": PLAN.job_name, "key": "token"}}
        assert found["GENEFACE_WORK_DIR"] == "/work"
        assert found["GENEFACE_TERMINATION_LOG"] == container["terminationMessagePath"] == "/dev/termination-log"
        assert found["GENEFACE_DEADLINE"] == str(24 * 3600)
        assert float(found["GENEFACE_GRACE"]) < 120
        assert container["terminationMessagePolicy"] == "File"
        assert not {"GENEFACE_DEVICE", "GENEFACE_WEIGHTS_DIR"} & set(found)
    text = json.dumps(JOB)
    assert not [secret for secret in ("hidden-key", "secret@db", "k" * 32, "postgresql") if secret in text]


def test_what_the_installation_adds():
    job = build(PLAN, settings(step_environment={"GENEFACE_VISIBLE_LABEL": "off"}))
    assert all(environment(one)["GENEFACE_VISIBLE_LABEL"] == "off" for one in containers(job))
    with pytest.raises(ValidationError, match="GENEFACE_API_URL is set by the controller itself"):
        settings(step_environment={"GENEFACE_API_URL": "http://elsewhere"})


def test_volumes():
    volumes = {one["name"]: one for one in pod(JOB)["volumes"]}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    mounts = [{one["mountPath"]: one["name"] for one in container["volumeMounts"]} for container in containers(JOB)]
    assert mounts[0] == mounts[1]
    assert mounts[0]["/dev/shm"] == "shm"  # noqa: S108
    assert mounts[0]["/work"] == "work"
    assert "weights" not in volumes


def test_weights_are_a_read_only_claim():
    job = build(PLAN, settings(weights_claim="weights"))
    assert pod(job)["volumes"][-1] == {"name": "weights", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}}
    for container in containers(job):
        assert {"name": "weights", "mountPath": "/weights", "readOnly": True} in container["volumeMounts"]
        assert environment(container)["GENEFACE_WEIGHTS_DIR"] == "/weights"


def test_storage_grows_with_the_clip():
    gib = 1 << 30
    assert disk(replace(PLAN, input_bytes=0)) == 4 * gib
    assert disk(PLAN) == 8 * gib
    assert disk(replace(PLAN, input_bytes=400_000_000)) > 40 * gib
    for container in containers(JOB):
        assert container["resources"]["requests"]["ephemeral-storage"] == str(8 * gib)
    assert pod(JOB)["volumes"][0]["emptyDir"]["sizeLimit"] == str(8 * gib)


def test_resources_by_kind_complete_the_defaults():
    own = settings(resources={"rendering": {"cpu": "500m", "memory": "2Gi"}})
    assert own.resources[Kind.TRAINING] == Resources(cpu="4", memory="12Gi")
    job = build(replace(PLAN, kind=Kind.RENDERING, steps=("render",)), own)
    amounts = containers(job)[0]["resources"]
    assert amounts["requests"] == amounts["limits"]
    assert (amounts["limits"]["cpu"], amounts["limits"]["memory"]) == ("500m", "2Gi")
    assert pod(job)["activeDeadlineSeconds"] == 6 * 3600


def test_gpu_classes():
    gpu = GpuClass(
        resource="nvidia.com/mig-1g.10gb", node_labels={"nvidia.com/gpu.product": "H100"}, runtime_class="nvidia",
        tolerations=(Toleration(key="nvidia.com/gpu", effect="NoSchedule"),), priority_class="batch", max_active=3,
    )  # fmt: skip
    own = settings(gpu_classes={"small": gpu})
    job = build(replace(PLAN, gpu="small"), own)
    assert all(one["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "1" for one in containers(job))
    assert all(environment(one)["GENEFACE_DEVICE"] == "cuda" for one in containers(job))
    assert pod(job)["nodeSelector"] == {"nvidia.com/gpu.product": "H100"}
    assert pod(job)["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod(job)["runtimeClassName"] == "nvidia"
    assert pod(job)["priorityClassName"] == "batch"
    assert own.caps(None).per_gpu == {"small": 3}
    evaluation = build(replace(PLAN, kind=Kind.EVALUATION, steps=("render", "evaluate"), gpu="small"), own)
    assert "nvidia.com/mig-1g.10gb" not in containers(evaluation)[1]["resources"]["limits"]
    with pytest.raises(ManifestError, match="no GPU class 'big' here; known: small"):
        build(replace(PLAN, gpu="big"), own)


def test_kueue_is_asked_for_by_label():
    assert "kueue.x-k8s.io/queue-name" not in JOB["metadata"]["labels"]
    job = build(PLAN, settings(queue_name="gpus"))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "kueue.x-k8s.io/priority-class" not in job["metadata"]["labels"]
    assert (JOB["spec"]["suspend"], job["spec"]["suspend"]) == (False, True)
    urgent = build(PLAN, settings(queue_name="gpus", queue_priority_class="urgent"))
    assert urgent["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "urgent"


def test_two_installations_tell_their_jobs_apart():
    job = build(PLAN, settings(instance="faces"))
    assert job["metadata"]["labels"]["app.kubernetes.io/instance"] == "faces"
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "faces"


def test_images_are_fetched_as_configured():
    own = settings(image_pull_policy="Always", image_pull_secrets=["registry"])
    job = build(PLAN, own)
    assert {one["imagePullPolicy"] for one in containers(job)} == {"Always"}
    assert pod(job)["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullSecrets" not in pod(JOB)


def test_what_an_operator_sets_for_steps_wins_over_the_gpus_device():
    own = settings(gpu_classes={"pretended": GpuClass()}, step_environment={"GENEFACE_DEVICE": "cpu"})
    assert environment(containers(build(replace(PLAN, gpu="pretended"), own))[0])["GENEFACE_DEVICE"] == "cpu"


def test_plan_of_rows():
    request = Request(
        id=ids.new(), kind="training", avatar="anna",
        spec={"steps": ["preprocess", "train"], "inputs": [{"size": 10}, {"size": 5}], "gpu": "small"},
    )  # fmt: skip
    attempt = Attempt(id=ids.new(), number=3, job_name="gf-training-x-3")
    plan = Plan.of(request, attempt)
    assert (plan.steps, plan.input_bytes, plan.gpu, plan.number) == (("preprocess", "train"), 15, "small", 3)
    request.spec = {"steps": ["dream"]}
    with pytest.raises(ManifestError, match="dream"):
        Plan.of(request, attempt)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_url": "nowhere"}, {"slots": 0}, {"deadlines": {"training": 0}}, {"cluster": "nomad"},
        {"resources": {"training": {"cpu": "many", "memory": "1Gi"}}}, {"token_key": "short"}, {"images": "x"},
        {"tts_engine": "bark"}, {"tts_url": "speech"},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        settings(**wrong)


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"GENEFACE_{name.upper()}", value)
    monkeypatch.setenv("GENEFACE_DEADLINES", '{"training": 60}')
    found = Settings()
    assert (found.deadlines[Kind.TRAINING], found.deadlines[Kind.RENDERING]) == (60, 6 * 3600)


SPEAKING = replace(PLAN, kind=Kind.DIALOGUE, steps=("converse", "render"))


def of_steps(*steps: str, gpu: str | None = None, **values: Any) -> dict[str, dict[str, Any]]:
    """The containers of these steps by name."""
    job = build(replace(PLAN, kind=Kind.DIALOGUE, steps=steps, gpu=gpu), settings(**values))
    return {one["name"]: one for one in containers(job)}


def test_speech_has_an_image_of_its_own():
    found = of_steps("transcribe", "synthesize", "converse", "enrol", "render")
    images = {name: one["image"] for name, one in found.items()}
    assert images.pop("render") == "geneface-geneface:0.1.0" and set(images.values()) == {"geneface-speech:0.1.0"}


def test_the_language_models_key_is_for_one_step_alone_and_never_in_the_manifest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZHIPU_API_KEY", "hidden-from-all")
    found = of_steps("transcribe", "synthesize", "converse", "enrol", "render", reply_secret="brain")
    assert [name for name, one in found.items() if "ZHIPU_API_KEY" in environment(one)] == ["converse"]
    key = environment(found["converse"])["ZHIPU_API_KEY"]
    assert key == {"secretKeyRef": {"name": "brain", "key": "ZHIPU_API_KEY", "optional": True}}
    assert "hidden-from-all" not in json.dumps(found)
    with pytest.raises(ValidationError, match="ZHIPU_API_KEY belongs into the Secret that GENEFACE_REPLY_SECRET names"):
        settings(step_environment={"ZHIPU_API_KEY": "hidden-from-all"})
    model = of_steps("converse", step_environment={"ZHIPU_MODEL": "glm-5"})["converse"]
    assert environment(model)["ZHIPU_MODEL"] == "glm-5"


def test_steps_that_speak_are_told_the_engine():
    told = {"GENEFACE_TTS_ENGINE", "GENEFACE_TTS_URL", "COQUI_TOS_AGREED"}
    steps = ("transcribe", "synthesize", "converse", "enrol", "render")
    found = {name: environment(one) for name, one in of_steps(*steps).items()}
    assert {name for name, values in found.items() if told & set(values)} == {"synthesize", "converse", "enrol"}
    assert found["synthesize"]["GENEFACE_TTS_ENGINE"] == "kokoro" and "COQUI_TOS_AGREED" not in found["synthesize"]
    own = environment(of_steps("enrol", tts_engine="http", tts_url="http://speech:8010/", coqui_tos_agreed=True)["enrol"])
    assert {name: own[name] for name in told} == {
        "GENEFACE_TTS_ENGINE": "http", "GENEFACE_TTS_URL": "http://speech:8010", "COQUI_TOS_AGREED": "1"
    }  # fmt: skip


def test_a_gpu_is_held_by_what_uses_it():
    classes = {"big": GpuClass(node_labels={"gpu": "yes"}, tolerations=(Toleration(key="nvidia.com/gpu"),))}

    def holding(*steps: str, **values: Any) -> list[str]:
        found = of_steps(*steps, gpu="big", gpu_classes=classes, **values)
        return [name for name, one in found.items() if "nvidia.com/gpu" in one["resources"]["limits"]]

    assert holding("converse", "render") == ["render"]
    assert holding("synthesize") == holding("transcribe") == []
    assert holding("transcribe", "synthesize", "enrol", tts_engine="xtts") == ["synthesize", "enrol"]
    idle = build(replace(SPEAKING, steps=("synthesize",), gpu="big"), settings(gpu_classes=classes))
    assert not {"nodeSelector", "tolerations"} & set(pod(idle)), "a Job without a GPU leaves such nodes to others"


def test_the_terms_of_xtts_may_be_agreed_to_by_coquis_own_variable(monkeypatch: pytest.MonkeyPatch):
    assert settings().coqui_tos_agreed is False
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    assert settings().coqui_tos_agreed is True
    monkeypatch.setenv("GENEFACE_COQUI_TOS_AGREED", "false")
    assert settings().coqui_tos_agreed is False
