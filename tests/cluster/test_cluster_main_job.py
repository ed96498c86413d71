"""From `helm install` to a scored video, and to an answered question, through Jobs that run the real images."""

import json
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import httpx
import pytest

from speech.__main__ import main as speech
from steps import weights
from tests.cluster.conftest import ROOT, SMALL, Release, namespace
from tests.person import CONSENT
from tests.speech.glm_server import ANSWERS, KEY

SAMPLES, TESTS = ROOT / "samples", ROOT / "tests"
HOUR = 3600
SPEECH = ("kokoro", "g2p-en", "faster-whisper-base", "resemblyzer")
QUESTION = "Good morning. Could you please tell me what the weather is like today?"

pytestmark = pytest.mark.timeout(2 * HOUR)


@pytest.fixture(scope="module")
def release(kubectl: Callable[..., str], images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Installed, with the avatar `ann`; while it was trained, its controllers were killed twice."""
    with namespace(kubectl, images, tmp_path_factory.mktemp("release")) as release:
        seconds = release.install()
        print(f"helm install --wait: {seconds:.0f} s")  # noqa: T201
        assert seconds < 120
        release.forward()
        video = release.upload(SAMPLES / "talker.mp4")
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
        yield release


def test_rendering_and_evaluation(release: Release, tmp_path: Path) -> None:
    audio = release.upload(SAMPLES / "sentence.wav")
    request = release.post("/v1/renderings", {"avatar": "ann", "audio": {"asset": audio}})["id"]
    release.wait(lambda: release.get(request)["state"] == "running", HOUR / 4, "the rendering to run")
    release.install("--set-string", "api.podAnnotations.upgraded=yes,controller.podAnnotations.upgraded=yes")
    release.forward_again()
    film = output(done(release, request), "video", tmp_path / "film.mp4")
    assert film.read_bytes()[4:8] == b"ftyp"

    evaluation = release.post("/v1/evaluations", {"avatar": "ann"})["id"]
    release.wait(release.jobs, 60, "the evaluation's Job")
    selector = f"geneface.io/request={evaluation}"
    release.wait(lambda: '"stage"' in _logs(release, selector), HOUR / 4, "lines in kubectl logs")
    assert done(release, evaluation)["scores"]
    assert '"stage"' in release.logs(evaluation)
    release.wait(lambda: not release.jobs(), 60, "the Jobs to be cleared away")


def test_speech(release: Release, tmp_path: Path) -> None:
    """A text read out; that sound as a question, answered and filmed; a text filmed through the TTS service; a voice enrolled."""
    folder = weights.folder()
    if lacking := [name for name in SPEECH if not (folder / weights.table()[name].file).is_file()]:
        pytest.skip(f"`make weights {' '.join(lacking)}` brings what this needs")
    release.keep_weights(folder)
    release.serve_files("glm", 8000, ["/files/glm_server.py", "--host=", "--port=8000"], TESTS / "speech/glm_server.py")
    release.serve_files("cloner", 8000, ["/files/echo_cloner.py", "8000"], TESTS / "cluster/echo_cloner.py")
    release.kubectl("create", "secret", "generic", "reply", f"--from-literal=ZHIPU_API_KEY={KEY}")
    release.values["reply"] = {"existingSecret": "reply", "baseUrl": "http://glm:8000/api/paas/v4"}
    release.values["networkPolicy"] = {"weights": {"peers": []}}
    release.bring_weights(*SPEECH)
    release.forward_again()

    request = release.post("/v1/syntheses", {"text": QUESTION})["id"]
    question = output(done(release, request), "audio", tmp_path / "question.wav")
    assert alike(transcript(question), QUESTION) > 0.9
    body = {"avatar": "ann", "audio": {"asset": release.upload(question)}, "subtitles": "burn"}
    dialogue = done(release, release.post("/v1/dialogues", body)["id"])
    film = output(dialogue, "video", tmp_path / "answer.mp4")
    turn = json.loads(output(dialogue, "turn", tmp_path / "turn.json").read_text())
    assert alike(turn["question"], QUESTION) > 0.9
    assert turn["reply"] == ANSWERS["en"]
    assert alike(transcript(film), ANSWERS["en"]) > 0.9

    release.values["speech"] = {"engine": "http"}
    release.values["tts"] = {"enabled": True, "resources": SMALL}
    release.install()
    release.forward_again()
    body = {"avatar": "ann", "text": QUESTION, "voice": "am_michael"}
    rendering = done(release, release.post("/v1/renderings", body)["id"])
    assert json.loads(output(rendering, "speech", tmp_path / "speech.json").read_text())["engine"] == "http"
    assert alike(transcript(output(rendering, "video", tmp_path / "text.mp4")), QUESTION) > 0.9

    release.values["speech"]["ttsUrl"] = "http://cloner:8000"
    release.values["tts"]["enabled"] = False
    release.install()
    release.forward_again()
    body = {"name": "ann", "recording": {"request": dialogue["id"], "output": "audio"}, "consent": CONSENT}
    done(release, release.post("/v1/voices", body)["id"])
    voice = httpx.get(f"{release.url}/v1/voices/ann", timeout=30).json()
    assert voice["state"] == "ready"
    assert voice["checks"]["speakers"] == 1
    assert voice["checks"]["similarity"] > 0.95, "the same sound"
    cloned = done(release, release.post("/v1/syntheses", {"text": "Hello.", "voice": "ann"})["id"])
    assert json.loads(output(cloned, "speech", tmp_path / "cloned.json").read_text())["terms"] == "For tests."


def output(request: dict[str, Any], name: str, path: Path) -> Path:
    """What a request made, fetched by its link."""
    answer = httpx.get(request["outputs"][name]["url"], timeout=60)
    assert answer.status_code == 200
    path.write_bytes(answer.content)
    return path


def done(release: Release, request: str) -> dict[str, Any]:
    """The request, which succeeds at its first try."""
    final = release.final(request, HOUR / 2)
    assert (final["state"], final["attempt"]) == ("succeeded", 1), final["error"]
    return final


def transcript(sound: Path) -> str:
    """What is heard in a file."""
    heard = sound.with_suffix(".heard.json")
    assert speech(["transcribe", "--audio", str(sound), "--out_json", str(heard)]) == 0
    return str(json.loads(heard.read_text())["text"])


def alike(one: str, other: str) -> float:
    """1 for the same letters."""
    first, second = ("".join(filter(str.isalnum, text.lower())) for text in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def _logs(release: Release, selector: str) -> str:
    return release.kubectl("logs", "-l", selector, "--all-containers", "--tail=50", "--ignore-errors")


def kill_controllers(release: Release) -> None:
    """Both replicas, without a word."""
    selector = "app.kubernetes.io/component=controller"
    release.kubectl("delete", "pod", "-l", selector, "--grace-period=0", "--force", "--wait=false")
