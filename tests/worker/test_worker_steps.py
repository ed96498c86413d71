"""Every kind of Job from its first step to its last, as processes."""

import hashlib
import json

import pytest
from platform_double import until

VIDEO = b"a video" * 1000
MODEL = {"model/model.json": b"{}", "model/net/motion.safetensors": b"weights" * 500}
DATASET = {"dataset/dataset.json": b"{}", "dataset/frames.mp4": b"frames" * 100}


def test_training(platforms, start):
    platform = platforms(inputs={"inputs/video": VIDEO}, spec={"profile": "quick", "epochs": 3, "renderer": "gs"})
    first = start(platform, "preprocess")
    assert first.wait() == 0
    (dataset,) = platform.seen("dataset")
    assert dataset["dataset"] == {
        "version": 7, "options_hash": "abcd", "options": {"profile": "quick"}, "video_sha256": hashlib.sha256(VIDEO).hexdigest(),
    }  # fmt: skip
    assert [file["name"] for file in dataset["files"]] == [
        f"dataset/{name}" for name in ("audio.wav", "dataset.json", "frames.mp4", "landmarks.npz", "report.json")
    ]
    halfway = platform.reports[-1]["progress"]
    assert 0.2 < halfway < 0.5

    second = start(platform, "train", GENEFACE_DEVICE="cpu", FAKE_STEP="0.05")
    assert second.wait() == 0
    (result,) = platform.seen("result")
    assert {file["name"] for file in result["files"]} == {
        "report.json", "model/report.json", "model/model.json", "model/net/motion.safetensors",
    }  # fmt: skip
    assert result["result"] == {"outputs": {"report": "report.json"}, "scores": None}
    assert platform.seen("checkpoint")
    argv = next(line["argv"] for line in platform.lines if "argv" in line)
    assert argv[argv.index("--profile") :] == ["--profile", "quick", "--epochs", "3", "--renderer", "gs", "--device", "cpu"]
    reports = [report for report in platform.reports if report["stage"] == "train motion"]
    assert 0 < reports[-1]["metrics"]["loss"] < 1 and set(reports[-1]["metrics"]) == {"loss"}
    assert reports[-2]["eta_seconds"] >= 0
    assert platform.reports[-1]["progress"] == 1.0
    assert first.lines + second.lines == platform.lines
    assert not second.log.exists()


def test_dataset_found_is_fetched_by_the_training(platforms, run):
    platform = platforms(inputs={"inputs/video": VIDEO})
    platform.offer(dataset=DATASET)
    assert run(platform, "preprocess").code == 0
    assert not platform.gets and not platform.seen("dataset")
    assert "dataset found: preprocessing is skipped" in platform.messages()
    assert run(platform, "train").code == 0
    assert set(platform.gets) == {f"/in/{name}" for name in DATASET}
    assert platform.seen("result")


def test_training_resumes_and_its_checkpoints_rise(platforms, start, run):
    platform = platforms(inputs={"inputs/video": VIDEO})
    files = {"checkpoint/state.json": b'{"step": 500}', "checkpoint/net.safetensors": b"tensors"}
    platform.offer(dataset=DATASET, checkpoint={"name": "motion-0000500", "step": 500, "files": files})
    worker = start(platform, "train", FAKE="long")
    until(lambda: platform.seen("checkpoint"))
    worker.process.terminate()
    assert worker.wait() == 143
    assert "resumed: ['motion-0000500']" in platform.messages()
    # The stage counts anew from 5; what is published still comes after what was resumed from.
    steps = [published["checkpoint"]["step"] for published in platform.seen("checkpoint")]
    assert steps == sorted(set(steps)) and steps[0] == 501
    platform.reports.clear()  # a worker started again counts its progress anew; the API keeps the highest
    assert run(platform, "train", FAKE="input").code == 64
    assert platform.gets["/in/checkpoint/state.json"] == 1


def test_rendering(platforms, run):
    platform = platforms("rendering", ["render"], {"inputs/audio": b"sound", **MODEL}, {"seed": 5})
    assert run(platform, "render").code == 0
    (result,) = platform.seen("result")
    assert result["result"]["outputs"] == {"video": "video.mp4", "contact_sheet": "contact_sheet.png", "report": "report.json"}
    assert platform.objects["/out/video.mp4"] == b"video video.mp4 of sound"


def test_evaluation_of_an_avatar(platforms, run):
    platform = platforms("evaluation", ["render", "evaluate"], MODEL)
    assert run(platform, "render").code == 0
    assert not platform.published
    assert run(platform, "evaluate").code == 0
    (result,) = platform.seen("result")
    scores = result["result"]["scores"]
    assert scores["details"] == {
        "gt_video": "truth", "pred_video": "video predicted.mp4", "constant_video": "video constant.mp4",
        "swap_video": "video swap.mp4", "driver_video": "driver", "truth_driven_video": "video truth.mp4",
    }  # fmt: skip
    assert set(result["result"]["outputs"]) == {
        "scores", "report", "metrics", "predicted", "truth", "truth_driven", "constant", "swap", "swap_driver",
    }  # fmt: skip
    assert platform.objects["/out/report.html"] == b"a page on video predicted.mp4"
    assert platform.objects["/out/metrics.csv"] == b"frames of video predicted.mp4"
    assert platform.reports[-1]["progress"] == 1.0


def test_evaluation_of_one_prediction(platforms, run):
    platform = platforms("evaluation", ["evaluate"], {"inputs/ground_truth": b"truth", "inputs/prediction-0": b"one"})
    assert run(platform, "evaluate").code == 0
    (result,) = platform.seen("result")
    assert result["result"]["outputs"] == {"scores": "scores.json", "report": "report.html", "metrics": "metrics.csv"}
    assert [scores["details"]["pred_video"] for scores in result["result"]["scores"]["predictions"]] == ["one"]
    assert platform.objects["/out/report.html"] == b"a page on one"


def test_evaluation_of_several_predictions_compares_them(platforms, run):
    inputs = {"inputs/ground_truth": b"truth", "inputs/prediction-0": b"one", "inputs/prediction-1": b"two"}
    platform = platforms("evaluation", ["evaluate"], inputs)
    assert run(platform, "evaluate").code == 0
    (result,) = platform.seen("result")
    found = [scores["details"]["pred_video"] for scores in result["result"]["scores"]["predictions"]]
    assert found == ["one", "two"]
    assert result["result"]["outputs"] == {
        "scores": "scores.json", "report-0": "report-0.html", "metrics-0": "metrics-0.csv", "report-1": "report-1.html",
        "metrics-1": "metrics-1.csv", "comparison": "comparison.json",
    }  # fmt: skip
    pages = [platform.objects[f"/out/{name}"] for name in ("report-0.html", "metrics-0.csv", "report-1.html", "metrics-1.csv")]
    assert pages == [b"a page on one", b"frames of one", b"a page on two", b"frames of two"]
    runs = json.loads(platform.objects["/out/comparison.json"])["runs"]
    assert [(one["name"], one["details"]["pred_video"]) for one in runs] == [("prediction-0", "one"), ("prediction-1", "two")]
    assert platform.reports[-1]["progress"] == 1.0


def test_one_of_several_predictions_that_is_no_video_fails_the_request(platforms, run):
    inputs = {"inputs/ground_truth": b"truth", "inputs/prediction-0": b"one", "inputs/prediction-1": b"no video"}
    platform = platforms("evaluation", ["evaluate"], inputs)
    worker = run(platform, "evaluate")
    assert worker.code == 64
    assert worker.words == {"code": "video_missing", "message": "prediction-1 has no picture"}
    assert not platform.published


def test_published_already(platforms, run):
    platform = platforms(inputs={"inputs/video": VIDEO})
    platform.state, platform.owner, platform.reclaimable = "final", "pod-1", True
    assert run(platform, "train").code == 0
    assert [call for call, _ in platform.calls] == ["claim"]


@pytest.mark.parametrize(
    ("fake", "code", "words"),
    [
        ("input", 64, {"code": "no_face_detected", "message": "no face was found in the video"}),
        ("crash", 1, {"code": "step_crashed", "message": "ValueError: the sky has fallen"}),
        ("killed", 137, {"code": "step_killed", "message": "the step was killed (SIGKILL), most likely because memory ran out"}),
    ],
)
def test_failures(platforms, run, fake, code, words):
    platform = platforms(inputs={"inputs/video": VIDEO})
    platform.offer(dataset=DATASET)
    worker = run(platform, "train", FAKE=fake)
    assert worker.code == code
    assert worker.words == words
    said = [line for line in platform.lines if line["level"] == "error"]
    assert [(line["code"], line["message"]) for line in said] == [(words["code"], words["message"])]
    if fake == "crash":
        assert "Traceback (most recent call last):" in platform.messages()


def test_no_line_is_lost(platforms, run):
    platform = platforms(inputs={"inputs/video": VIDEO})
    platform.offer(dataset=DATASET)
    worker = run(platform, "train", FAKE="noise")
    assert worker.code == 0
    messages = platform.messages()
    assert [message for message in messages if message.startswith("ours ")] == [f"ours {i}" for i in range(5000)]
    assert sum(message.count("x") for message in messages if set(message) == {"x"}) == 200_000
    for text in ("  10%|#   | 1/10", " 20%|##  | 2/10", "{not json", "[1, 2]", "on stdout"):
        assert text in messages
    assert any(message.startswith("not utf-8: ") and "\0" not in message for message in messages)
    assert any(line.get("loss") == "NaN" and line.get("big") == "1e999" for line in platform.lines)
    assert any(message.startswith("no line feed at the end") for message in messages)
    assert worker.lines == platform.lines


def test_settings_are_named(platforms, start):
    worker = start(platforms(), "train", GENEFACE_ATTEMPT="nobody", GENEFACE_API_URL="")
    assert worker.wait() == 2
    printed = worker.out.read_text()
    assert "GENEFACE_ATTEMPT: " in printed and "GENEFACE_API_URL: " in printed
