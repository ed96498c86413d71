"""Jobs that speak and listen, from first step to last: what goes in, what is handed over, what stands in the row."""

import argparse
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from speech import __main__ as speech
from worker import commands
from worker.protocol import Claim

MODEL = {"model/model.json": b"{}"}
SUBTITLES = {"subtitles": "subtitles.srt", "vtt": "subtitles.vtt"}
SPOKEN = {"audio": "speech.wav", "speech": "speech.json", **SUBTITLES}
VIDEO = {"video": "video.mp4", "contact_sheet": "contact_sheet.png", "report": "report.json"}
LONG = '早上好。\nIt\'s a "quoted" $(day) – \\n; ' + "word " * 3000


def outputs(platform):
    (result,) = platform.seen("result")
    return result["result"]["outputs"]


def test_synthesis(platforms, run):
    platform = platforms("synthesis", ["synthesize"], {}, {"text": LONG, "voice": "af_heart", "language": "en", "speed": 1.25})
    assert run(platform, "synthesize").code == 0
    assert outputs(platform) == SPOKEN
    assert platform.objects["/out/speech.wav"].decode() == f"af_heart says: {LONG}"
    assert platform.objects["/out/subtitles.vtt"] == b"vtt of what is said"
    assert platform.reports[-1]["progress"] == 1.0
    assert LONG not in platform.messages()


def test_rendering_of_a_text_with_a_persons_voice(platforms, run):
    platform = platforms(
        "rendering", ["synthesize", "render"], {"inputs/reference/ada": b"Ada", **MODEL},
        {"text": "-Hello", "voice": "ada", "subtitles": "burn", "seed": 5},
    )  # fmt: skip
    assert run(platform, "synthesize").code == 0
    assert not platform.published and platform.gets == {"/in/inputs/reference/ada": 1}
    assert run(platform, "render").code == 0
    assert outputs(platform) == {**VIDEO, **SPOKEN}
    said = b"video video.mp4 of ada, the voice of Ada says: -Hello, with srt of what is said"
    assert platform.objects["/out/video.mp4"] == said
    assert platform.gets["/in/inputs/reference/ada"] == 1, "the renderer has no use for it"


def test_rendering_of_a_recording_with_subtitles(platforms, run):
    inputs = {"inputs/audio": b"good day", **MODEL}
    platform = platforms("rendering", ["transcribe", "render"], inputs, {"subtitles": "burn", "language": "en", "audio": {}})
    assert run(platform, "transcribe").code == 0
    assert run(platform, "render").code == 0
    assert outputs(platform) == {**VIDEO, "transcript": "transcript.json", **SUBTITLES}
    assert platform.objects["/out/video.mp4"] == b"video video.mp4 of good day, with srt of what is said"
    assert json.loads(platform.objects["/out/transcript.json"]) == {"text": "good day", "language": "en"}


def test_dialogue(platforms, run):
    history = [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Hi 你好"}]
    spec = {"voice": "af_heart", "history": history, "system_prompt": "-- a pirate"}
    platform = platforms("dialogue", ["converse", "render"], {"inputs/audio": b"why", **MODEL}, spec)
    assert run(platform, "converse").code == 0
    assert not platform.published
    assert run(platform, "render").code == 0
    assert outputs(platform) == {**VIDEO, "turn": "turn.json", "audio": "speech.wav", **SUBTITLES}
    reply = "answer 2 to why, as -- a pirate"
    (result,) = platform.seen("result")
    assert result["result"]["turn"] == {
        "question": "why", "reply": reply, "transcript": "why", "language": "en", "model": "stand-in"
    }  # fmt: skip
    assert json.loads(platform.objects["/out/turn.json"])["speech"]["text"] == reply
    assert platform.objects["/out/video.mp4"].decode() == f"video video.mp4 of af_heart says: {reply}"
    assert platform.reports[-1]["progress"] == 1.0


def test_dialogue_of_a_written_question(platforms, run):
    platform = platforms("dialogue", ["converse", "render"], MODEL, {"text": "为什么？", "history": []})
    assert run(platform, "converse").code == 0
    assert run(platform, "render").code == 0
    (result,) = platform.seen("result")
    turn = result["result"]["turn"]
    assert (turn["question"], turn["transcript"], turn["reply"]) == ("为什么？", None, "answer 1 to 为什么？, as None")


def test_enrolment(platforms, run):
    platform = platforms("synthesis", ["enrol"], {"inputs/audio": b"Ada"}, {"name": "ada"})
    assert run(platform, "enrol").code == 0
    assert outputs(platform) == {"reference": "reference.wav", "voice": "voice.json"}
    assert platform.objects["/out/reference.wav"] == b"clean Ada"
    assert platform.seen("result")[0]["result"]["voice"]["similarity"] == 0.8


@pytest.mark.parametrize(
    ("kind", "step"), [("rendering", "transcribe"), ("dialogue", "converse"), ("synthesis", "enrol")]
)  # fmt: skip
def test_a_recording_without_speech_fails_the_request(platforms, run, kind, step):
    steps = [step] if kind == "synthesis" else [step, "render"]
    platform = platforms(kind, steps, {"inputs/audio": b"silence", **MODEL}, {})
    worker = run(platform, step)
    assert (worker.code, worker.words["code"]) == (64, "no_speech")
    assert not platform.published


def planned(kind, steps, step, *inputs, **spec):
    files = [{"name": name, "size": 1, "sha256": "0" * 64} for name in inputs]
    claim = Claim(request="r", attempt=1, kind=kind, spec=spec, steps=steps, inputs=files)
    return commands.plan(step, claim, Path("/w"), "cuda")


def test_commands_of_speech_are_the_rooms_own():
    """The words that the real programs take, where they are built in."""
    plan = planned("synthesis", ["synthesize"], "synthesize", text="-x", voice="af_heart", language="zh", speed=0.5)
    assert plan.commands[0].argv == (
        "-m", "speech", "synthesize", "--text_file", "/w/inputs/text.txt", "--voice", "af_heart", "--language", "zh",
        "--speed", "0.5", "--out", "/w/speech.wav", "--out_json", "/w/speech.json", "--srt", "/w/subtitles.srt",
        "--vtt", "/w/subtitles.vtt",
    )  # fmt: skip
    assert plan.texts == {Path("/w/inputs/text.txt"): "-x"} and plan.inputs == {}


@pytest.mark.parametrize(
    ("kind", "step", "inputs", "spec"),
    [
        ("synthesis", "synthesize", [], {"text": "x", "voice": "af_heart", "language": "zh", "speed": 0.5}),
        ("rendering", "transcribe", ["inputs/audio"], {"subtitles": "burn", "language": "en"}),
        ("dialogue", "converse", ["inputs/audio", "inputs/reference/ada"], {"system_prompt": "--x", "speed": 2.0}),
        ("dialogue", "converse", [], {"text": "-x", "voice": "zm_yunxi"}),
        ("synthesis", "enrol", ["inputs/audio"], {}),
    ],
)
def test_speech_takes_its_words(kind, step, inputs, spec):
    module = import_module(f"speech.{speech.COMMANDS[step][0]}")
    parser = argparse.ArgumentParser()
    module.options(parser)
    argv = planned(kind, [step], step, *inputs, **spec).commands[0].argv
    assert argv[:3] == ("-m", "speech", step)
    words = vars(parser.parse_args(argv[3:]))
    assert all(words[name] == value for name, value in spec.items() if name in ("voice", "language", "speed", "system_prompt"))


@pytest.mark.parametrize(
    ("kind", "step"),
    [("rendering", "transcribe"), ("synthesis", "synthesize"), ("dialogue", "converse"), ("synthesis", "enrol")],
)
def test_every_stage_of_speech_has_its_weight(kind, step):
    module = import_module(f"speech.{speech.COMMANDS[step][0]}")
    said = set(re.findall(r'reporter\.(?:track|progress)\([^"\n]*"(.+?)"', Path(module.__file__).read_text()))
    (command,) = planned(kind, [step], step, "inputs/audio", text="x" if step == "synthesize" else None).commands
    assert said == set(command.part.stages)


def test_what_was_said_is_no_input_of_the_video():
    plan = planned("rendering", ["synthesize", "render"], "render", "inputs/reference/ada", "model/m", text="x", voice="ada")
    assert set(plan.inputs) == {Path("/w/model/m")} and plan.texts == {}
    assert "--subtitles" not in plan.commands[0].argv
    spans = commands.STEP_WEIGHTS["rendering"]
    assert set(spans) == {step for kind, step in commands.PLANS if kind == "rendering"}
    assert set(commands.STEP_WEIGHTS["dialogue"]) == {step for kind, step in commands.PLANS if kind == "dialogue"}


def test_a_recording_that_the_api_forgot():
    for kind, steps in (("dialogue", ["converse", "render"]), ("rendering", ["transcribe", "render"]), ("synthesis", ["enrol"])):
        with pytest.raises(KeyError):
            planned(kind, steps, steps[0])
