"""What each step does: which inputs it needs, which commands it runs, what it publishes. Pure.

Adding a step is adding a function here; commands are the arguments behind `python`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.progress import Part
from worker.protocol import Claim, File

STEP_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "training": {"preprocess": 2, "train": 5},
    "evaluation": {"render": 3, "evaluate": 1},
    "rendering": {"transcribe": 1, "synthesize": 1, "render": 8},
    "dialogue": {"converse": 2, "render": 8},
}
"""By kind: how much of the Job's time a step takes."""

FETCH = Part("fetch", 0.03)
UPLOAD = Part("upload", 0.03)
PREPROCESS = Part("preprocess", 1, {"survey": 1, "landmarks": 4, "layers": 4})
TRAIN = Part("train", 1, {"audio features": 1, "train motion": 9, "unpack regions": 5, "train plane": 15})
"""With the stages that geneface goes through, in their order; one that is not named here is counted all the same."""

EVALUATE_STAGES = {"find the faces": 10, "watch the lips": 1, "compare": 6, "write the report": 1}
"""Those of eval, as long as they take on a CPU with all weights."""
LIPS = frozenset({"find the faces", "watch the lips"})
"""Without SyncNet's weights, or without sound, these do not come."""

SUBTITLES = {"subtitles": "subtitles.srt", "vtt": "subtitles.vtt"}
SPOKEN = {"audio": "speech.wav", "speech": "speech.json", **SUBTITLES}
"""Outputs of what was read out, by their names; so do the files lie in the work folder."""
TURN = ("question", "reply", "transcript", "language", "model")
"""Of a dialogue's turn: what its conversation keeps."""

SPLIT_MOTIONS = ("predicted", "truth", "constant", "swap")
"""The held-out tail is rendered with each: the model's motion, the recorded one, none, and that of another stretch."""


@dataclass(frozen=True)
class Command:
    """One command of a step. `part`: its share of the step's progress."""

    argv: tuple[str, ...]
    part: Part


@dataclass(frozen=True)
class Publication:
    """What a step hands over: files by the names they get, whole folders by the prefix that their files get."""

    what: str
    files: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Output name, as people know it → file name."""
    scores: tuple[Path, ...] = ()
    """JSON files of the evaluator: one of an avatar, or one for each prediction."""
    kept: Mapping[str, "Kept"] = field(default_factory=dict)
    """What of the step's own words stands in the result itself."""


@dataclass(frozen=True)
class Kept:
    """A JSON file, and which of its fields; all of them when none are named."""

    path: Path
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A step, ready to be carried out. `publication` is None where a later step hands over."""

    inputs: Mapping[Path, File]
    commands: tuple[Command, ...]
    publication: Publication | None
    texts: Mapping[Path, str] = field(default_factory=dict)
    """Files that are written before the commands run: what is too long for a command line."""

    @property
    def parts(self) -> list[Part]:
        """What the step's progress is made of."""
        return [FETCH, *(command.part for command in self.commands), UPLOAD]


def plan(step: str, claim: Claim, work: Path, device: str | None) -> Plan:
    """What `step` of the claimed request means in the folder `work`. KeyError when no such step belongs to its kind."""
    return PLANS[claim.kind, step](claim, work, device)


def describe(claim: Claim) -> tuple[str, ...]:
    """The command that prints which dataset this training would make."""
    return ("-m", "geneface", "preprocess", "--describe", *_options(claim, "profile"))


def _preprocess(claim: Claim, work: Path, _device: str | None) -> Plan:
    video, dataset = work / "inputs/video", work / "dataset"
    argv = ("-m", "geneface", "preprocess", "--video", str(video), "--data", str(dataset), *_options(claim, "profile"))
    publication = Publication("dataset", folders={"dataset/": dataset})
    return Plan({video: claim.input("inputs/video")}, (Command(argv, PREPROCESS),), publication)


def _train(claim: Claim, work: Path, device: str | None) -> Plan:
    data, model = work / "dataset", work / "model"
    options = *_options(claim, "profile", "epochs", "renderer", "seed"), *_given("device", device)
    argv = ("-m", "geneface", "train", "--data", str(data), "--out", str(model), *options)
    files = {"report.json": model / "report.json"}
    publication = Publication("result", files=files, folders={"model/": model}, outputs={"report": "report.json"})
    return Plan({}, (Command(argv, TRAIN),), publication)


def _render(claim: Claim, work: Path, device: str | None) -> Plan:
    """Of a recording, or of what the step before has spoken, whose files are handed over with the video."""
    before = claim.steps[0]
    heard = before in ("render", "transcribe")
    audio, video, sheet = work / ("inputs/audio" if heard else SPOKEN["audio"]), work / "video.mp4", work / "contact_sheet.png"
    burn = _given("subtitles", work / SUBTITLES["subtitles"]) if claim.spec.get("subtitles") else ()
    argv = (
        "-m", "geneface", "render", "--model", str(work / "model"), "--audio", str(audio), "--out", str(video),
        "--contact_sheet", str(sheet), *burn, *_options(claim, "background", "seed"), *_given("device", device),
    )  # fmt: skip
    more = _BEFORE_RENDER[before]
    outputs = {"video": video.name, "contact_sheet": sheet.name, "report": "report.json", **more}
    files = {video.name: video, sheet.name: sheet, "report.json": work / "video.report.json", **_files(work, more)}
    kept = {"turn": Kept(work / more["turn"], TURN)} if "turn" in more else {}
    inputs = {**({audio: claim.input("inputs/audio")} if heard else {}), **_model(claim, work)}
    publication = Publication("result", files=files, outputs=outputs, kept=kept)
    return Plan(inputs, (Command(argv, Part("render", 1, {"render": 1})),), publication)


_BEFORE_RENDER: Mapping[str, Mapping[str, str]] = {
    "render": {},
    "transcribe": {"transcript": "transcript.json", **SUBTITLES},
    "synthesize": SPOKEN,
    "converse": {"turn": "turn.json", "audio": SPOKEN["audio"], **SUBTITLES},
}
"""What the first step of a rendering or dialogue leaves beside the video."""


def _transcribe(claim: Claim, work: Path, _device: str | None) -> Plan:
    audio = work / "inputs/audio"
    argv = (
        "-m", "speech", "transcribe", "--audio", str(audio), *_options(claim, "language"),
        "--out_json", str(work / "transcript.json"), *_subtitles(work),
    )  # fmt: skip
    return Plan({audio: claim.input("inputs/audio")}, (Command(argv, Part("transcribe", 1, {"transcribe": 1})),), None)


def _synthesize(claim: Claim, work: Path, _device: str | None) -> Plan:
    text = work / "inputs/text.txt"
    argv = (
        "-m", "speech", "synthesize", "--text_file", str(text), *_speaking(claim, work), "--out", str(work / SPOKEN["audio"]),
        "--out_json", str(work / SPOKEN["speech"]), *_subtitles(work),
    )  # fmt: skip
    hands_over = claim.steps[-1] == "synthesize"
    publication = Publication("result", files=_files(work, SPOKEN), outputs=SPOKEN) if hands_over else None
    command = Command(argv, Part("synthesize", 1, {"speak": 1}))
    return Plan(_reference(claim, work), (command,), publication, {text: claim.spec["text"]})


def _converse(claim: Claim, work: Path, _device: str | None) -> Plan:
    audio, text, history = work / "inputs/audio", work / "inputs/text.txt", work / "inputs/history.json"
    written = claim.spec.get("text") is not None
    question = ("--text_file", str(text)) if written else ("--audio", str(audio))
    # With "=", as a prompt may begin with a hyphen.
    prompt = [f"--system_prompt={value}" for value in [claim.spec.get("system_prompt")] if value]
    argv = (
        "-m", "speech", "converse", *question, "--history", str(history), *prompt, *_speaking(claim, work),
        "--out", str(work / SPOKEN["audio"]), "--out_json", str(work / "turn.json"), *_subtitles(work),
    )  # fmt: skip
    texts = {history: json.dumps(claim.spec.get("history") or [], ensure_ascii=False)}
    if written:
        texts[text] = claim.spec["text"]
    inputs = {**({} if written else {audio: claim.input("inputs/audio")}), **_reference(claim, work)}
    part = Part("converse", 1, {"transcribe": 1, "reply": 1, "synthesize": 4}, frozenset({"transcribe"}))
    return Plan(inputs, (Command(argv, part),), None, texts)


def _enrol(claim: Claim, work: Path, _device: str | None) -> Plan:
    audio, reference, checks = work / "inputs/audio", work / "reference.wav", work / "voice.json"
    argv = ("-m", "speech", "enrol", "--audio", str(audio), "--out", str(reference), "--out_json", str(checks))
    files = {reference.name: reference, checks.name: checks}
    outputs = {"reference": reference.name, "voice": checks.name}
    publication = Publication("result", files=files, outputs=outputs, kept={"voice": Kept(checks)})
    return Plan({audio: claim.input("inputs/audio")}, (Command(argv, Part("enrol", 1)),), publication)


def _render_split(claim: Claim, work: Path, device: str | None) -> Plan:
    commands = tuple(
        Command(
            ("-m", "geneface", "render", "--model", str(work / "model"), "--split", "val", "--motion", motion,
             "--out", str(work / f"{motion}.mp4"), *_options(claim, "seed"), *_given("device", device)),
            Part(f"render {motion}", 1, {"render": 1}),
        )
        for motion in SPLIT_MOTIONS
    )  # fmt: skip
    return Plan(_model(claim, work), commands, None)


def _evaluate(claim: Claim, work: Path, device: str | None) -> Plan:
    return (_evaluate_avatar if "render" in claim.steps else _evaluate_files)(claim, work, device)


def _evaluate_avatar(_claim: Claim, work: Path, _device: str | None) -> Plan:
    videos = {
        "predicted": "predicted.mp4", "truth": "predicted.truth.mp4", "truth_driven": "truth.mp4", "constant": "constant.mp4",
        "swap": "swap.mp4", "swap_driver": "swap.driver.mp4",
    }  # fmt: skip
    roles = {
        "gt_video": "truth", "pred_video": "predicted", "constant_video": "constant", "swap_video": "swap",
        "driver_video": "swap_driver", "truth_driven_video": "truth_driven",
    }  # fmt: skip
    outputs = {"scores": "scores.json", "report": "report.html", "metrics": "metrics.csv", **videos}
    files = {name: work / name for name in outputs.values()}
    scores = files["scores.json"]
    compared = {role: files[videos[video]] for role, video in roles.items()}
    command = _score("evaluate", compared, scores, files["report.html"], files["metrics.csv"])
    return Plan({}, (command,), Publication("result", files=files, outputs=outputs, scores=(scores,)))


def _evaluate_files(claim: Claim, work: Path, _device: str | None) -> Plan:
    count = sum(file.name.startswith("inputs/prediction-") for file in claim.inputs)
    truth = work / "inputs/ground_truth"
    inputs = {truth: claim.input("inputs/ground_truth")}
    commands, scores = [], []
    outputs = {"scores": "scores.json"}
    for i in range(count):
        prediction = work / f"inputs/prediction-{i}"
        inputs[prediction] = claim.input(f"inputs/prediction-{i}")
        report, metrics = ("report", "metrics") if count == 1 else (f"report-{i}", f"metrics-{i}")
        outputs |= {report: f"{report}.html", metrics: f"{metrics}.csv"}
        scores.append(work / f"prediction-{i}.json")  # the comparison calls its runs by these names
        compared = {"gt_video": truth, "pred_video": prediction}
        commands.append(_score(f"evaluate {i}", compared, scores[i], work / outputs[report], work / outputs[metrics]))
    if count > 1:
        outputs["comparison"] = "comparison.json"
        argv = ("-m", "eval", "--compare", *map(str, scores), "--out_json", str(work / outputs["comparison"]))
        commands.append(Command(argv, Part("comparison", 0.03)))
    files = {name: work / name for name in outputs.values()}
    return Plan(inputs, tuple(commands), Publication("result", files=files, outputs=outputs, scores=tuple(scores)))


def _score(part: str, videos: Mapping[str, Path], scores: Path, report: Path, metrics: Path) -> Command:
    """One prediction's scores, the page that shows them, and the figures of each frame."""
    files = {**videos, "out_json": scores, "out_html": report, "out_csv": metrics}
    argv = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    return Command(("-m", "eval", *argv), Part(part, 1, EVALUATE_STAGES, LIPS))


PLANS: Mapping[tuple[str, str], Callable[[Claim, Path, str | None], Plan]] = {
    ("training", "preprocess"): _preprocess,
    ("training", "train"): _train,
    ("rendering", "transcribe"): _transcribe,
    ("rendering", "synthesize"): _synthesize,
    ("rendering", "render"): _render,
    ("evaluation", "render"): _render_split,
    ("evaluation", "evaluate"): _evaluate,
    ("synthesis", "synthesize"): _synthesize,
    ("synthesis", "enrol"): _enrol,
    ("dialogue", "converse"): _converse,
    ("dialogue", "render"): _render,
}

STEPS = tuple(dict.fromkeys(step for _, step in PLANS))


def _model(claim: Claim, work: Path) -> dict[Path, File]:
    return {work / file.name: file for file in claim.inputs if file.name.startswith("model/")}


def _reference(claim: Claim, work: Path) -> dict[Path, File]:
    """The recording to be spoken with, where the voice is a person's; the file is called as the voice is."""
    return {work / file.name: file for file in claim.inputs if file.name.startswith("inputs/reference/")}


def _speaking(claim: Claim, work: Path) -> tuple[str, ...]:
    reference = list(_reference(claim, work))
    voice = _given("reference", reference[0]) if reference else _options(claim, "voice")
    return *voice, *_options(claim, "language", "speed")


def _subtitles(work: Path) -> tuple[str, ...]:
    return "--srt", str(work / SUBTITLES["subtitles"]), "--vtt", str(work / SUBTITLES["vtt"])


def _files(work: Path, outputs: Mapping[str, str]) -> dict[str, Path]:
    return {name: work / name for name in outputs.values()}


def _options(claim: Claim, *names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in _given(name, claim.spec.get(name)))


def _given(name: str, value: object) -> tuple[str, ...]:
    return () if value is None else (f"--{name}", str(value))
