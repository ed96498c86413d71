"""From `helm install` to a scored video, through Jobs that run the real images."""

from pathlib import Path

import httpx
import pytest

from tests.cluster.conftest import ROOT, Release
from tests.person import CONSENT

SAMPLES = ROOT / "samples"
HOUR = 3600


@pytest.mark.timeout(2 * HOUR)
def test_training_rendering_and_evaluation(release: Release, tmp_path: Path) -> None:
    seconds = release.install()
    print(f"helm install --wait: {seconds:.0f} s")  # noqa: T201
    assert seconds < 120
    release.forward()
    video, audio = release.upload(SAMPLES / "talker.mp4"), release.upload(SAMPLES / "sentence.wav")
    body = {"avatar": "ann", "video": {"asset": video}, "profile": "quick", "consent": CONSENT}
    training = release.post("/v1/trainings", body)["id"]

    for stage in ("landmarks", "train plane"):
        release.wait(lambda stage=stage: release.get(training)["stage"] == stage, HOUR / 4, f"the stage {stage}")
        kill_controllers(release)
    (job,) = release.jobs()
    limits = job["spec"]["template"]["spec"]["initContainers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"
    trained = release.final(training, HOUR)
    assert (trained["state"], trained["attempt"]) == ("succeeded", 1), trained["error"]

    request = release.post("/v1/renderings", {"avatar": "ann", "audio": {"asset": audio}})["id"]
    release.wait(lambda: release.get(request)["state"] == "running", HOUR / 4, "the rendering to run")
    release.install("--set-string", "api.podAnnotations.upgraded=yes,controller.podAnnotations.upgraded=yes")
    release.forward_again()
    rendering = release.final(request, HOUR / 2)
    assert (rendering["state"], rendering["attempt"]) == ("succeeded", 1), rendering["error"]
    output = rendering["outputs"]["video"]
    film = httpx.get(output["url"], timeout=60)
    assert film.status_code == 200
    assert film.content[4:8] == b"ftyp"
    (tmp_path / "film.mp4").write_bytes(film.content)

    evaluation = release.post("/v1/evaluations", {"avatar": "ann"})["id"]
    release.wait(release.jobs, 60, "the evaluation's Job")
    selector = f"geneface.io/request={evaluation}"
    release.wait(lambda: '"stage"' in _logs(release, selector), HOUR / 4, "lines in kubectl logs")
    scored = release.final(evaluation, HOUR / 2)
    assert scored["state"] == "succeeded", scored["error"]
    assert scored["scores"]
    assert '"stage"' in release.logs(evaluation)
    release.wait(lambda: not release.jobs(), 60, "the Jobs to be cleared away")


def _logs(release: Release, selector: str) -> str:
    return release.kubectl("logs", "-l", selector, "--all-containers", "--tail=50", "--ignore-errors")


def kill_controllers(release: Release) -> None:
    """Both replicas, without a word."""
    selector = "app.kubernetes.io/component=controller"
    release.kubectl("delete", "pod", "-l", selector, "--grace-period=0", "--force", "--wait=false")
