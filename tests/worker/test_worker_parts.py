"""The pure parts: progress, lines, the spool, commands, last words."""

import errno
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import __main__ as evaluator
from worker import commands, lines, words
from worker.child import Ending
from worker.progress import Part, Progress, span
from worker.protocol import Claim
from worker.spool import BYTES_AT_ONCE, LINES_AT_ONCE, Spool

number = st.one_of(st.floats(), st.integers(-(10**400), 10**400))
EVENTS = st.lists(
    st.one_of(
        st.sampled_from(["fetch", "work", "upload"]), st.tuples(st.sampled_from("abcd"), st.floats(-1, 9), st.floats(-1, 9))
    )
)


@given(EVENTS, st.sets(st.sampled_from("ab")))
def test_progress_never_falls_nor_leaves_its_span(events, optional):
    work = Part("work", 8, {"a": 1, "b": 3}, frozenset(optional))
    progress = Progress(0.25, 0.75, [Part("fetch", 1), work, Part("upload", 1)])
    before = 0.25
    for event in events:
        progress.enter(event) if isinstance(event, str) else progress.advance(*event)
        assert before <= progress.value <= 0.75
        before = progress.value
    progress.finish()
    assert progress.value == 0.75


def test_progress_follows_weights():
    progress = Progress(0, 1, [Part("fetch", 1), Part("work", 8, {"a": 1, "b": 3}), Part("upload", 1)])
    progress.enter("work")
    progress.advance("a", 1, 2)
    assert progress.value == pytest.approx(0.2)
    progress.advance("b", 0, 10)
    assert progress.value == pytest.approx(0.3)
    progress.advance("c", 1, 1)
    assert progress.value == pytest.approx(0.6)  # nobody announced it: half of what the part has left


def test_progress_does_not_jump_over_stages_that_are_left_out():
    parts = [Part("work", 8, {"a": 5, "b": 2, "c": 1}, frozenset("ab")), Part("upload", 2)]
    come = {"c": [0.0], "bc": [0.0, 0.8 * 2 / 3], "abc": [0.0, 0.5, 0.7]}
    for stages, starts in come.items():
        progress = Progress(0, 1, parts)
        progress.enter("work")
        for stage, start in zip(stages, starts, strict=True):
            progress.advance(stage, 0, 4)
            assert progress.value == pytest.approx(start, abs=1e-4)
            progress.advance(stage, 4, 4)
        assert progress.value == pytest.approx(0.8)


def test_eta_starts_from_where_a_training_resumes():
    now = [0.0]
    progress = Progress(0, 1, [Part("train", 1, {"train": 1})], clock=lambda: now[0])
    assert progress.eta_seconds() is None
    progress.advance("train", 80, 100)
    assert progress.eta_seconds(5.0) == 5.0
    now[0] = 10.0
    progress.advance("train", 90, 100)
    assert progress.eta_seconds() == pytest.approx(10.0)


def test_spans_of_a_job_meet():
    weights = {"a": 1, "b": 3}
    assert span(weights, ["a", "b"], "a") == (0, 0.25)
    assert span(weights, ["a", "b"], "b") == (0.25, 1)
    assert span({}, ["a", "new"], "new") == (0.5, 1)


@given(st.binary())
def test_any_bytes_become_lines_that_can_be_sent(raw):
    for line in lines.parse(raw):
        again = json.loads(lines.dump(line), parse_constant=pytest.fail)
        assert {"time", "level"} <= set(again)


@given(st.dictionaries(st.text(), number | st.text()))
def test_any_object_becomes_a_line(found):
    for line in lines.parse(json.dumps(found).encode()):
        lines.dump(line)
        assert all(isinstance(value, float) for value in lines.metrics(line).values())


def test_a_spool_repeats_until_delivered(tmp_path):
    spool = Spool(tmp_path, "train")
    assert spool.cut() == (1, [])
    spool.delivered()
    said = [lines.say(f"line {i}") for i in range(3)]
    for line in said[:2]:
        spool.add(lines.dump(line))
    assert spool.cut() == (2, said[:2])
    spool.add(lines.dump(said[2]))
    assert spool.cut() == (2, said[:2])
    # Killed here: whoever comes next repeats what may not have arrived, and takes a line cut short as it is.
    spool.add(b'{"time": "cut sh')
    spool.close()
    again = Spool(tmp_path, "train")
    assert again.cut() == (2, said[:2])
    again.delivered()
    seq, rest = again.cut()
    assert seq == 3 and [line["message"] for line in rest] == ["line 2", '{"time": "cut sh']
    again.delivered()
    assert again.behind == 0


def test_a_spool_that_could_not_be_cut_is_cut_later(tmp_path, monkeypatch):
    spool = Spool(tmp_path, "train")
    spool.add(lines.dump(lines.say("kept")))
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space left"):
            spool.cut()
    seq, (line,) = spool.cut()
    assert (seq, line["message"]) == (1, "kept")
    assert json.loads((tmp_path / "train.part.json").read_text())["seq"] == 1


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_spool_is_cut_into_parts_that_can_be_sent(tmp_path):
    spool = Spool(tmp_path, "train")
    for i in range(2 * LINES_AT_ONCE + 1):
        spool.add(lines.dump(lines.say(f"{i}")))
    for i in range(3):
        spool.add(lines.dump(lines.say("x" * BYTES_AT_ONCE + str(i))))
    sizes = []
    while spool.behind:
        sizes.append(len(spool.cut()[1]))
        spool.delivered()
    assert sizes == [LINES_AT_ONCE, LINES_AT_ONCE, 2, 1, 1]


def claim(kind, steps, *inputs, **spec):
    files = [{"name": name, "size": 1, "sha256": "0" * 64} for name in inputs]
    return Claim(request="r", attempt=1, kind=kind, spec=spec, steps=steps, inputs=files)


def test_commands_are_plain_arguments():
    plan = commands.plan("render", claim("rendering", ["render"], "inputs/audio", "model/m", seed=0), Path("/w"), None)
    assert plan.commands[0].argv == (
        "-m", "geneface", "render", "--model", "/w/model", "--audio", "/w/inputs/audio", "--out", "/w/video.mp4",
        "--contact_sheet", "/w/contact_sheet.png", "--seed", "0",
    )  # fmt: skip
    assert set(plan.inputs) == {Path("/w/inputs/audio"), Path("/w/model/m")}


def test_held_out_tail_is_rendered_four_times():
    plan = commands.plan("render", claim("evaluation", ["render", "evaluate"], "model/m"), Path("/w"), None)
    motions = [command.argv[command.argv.index("--motion") + 1] for command in plan.commands]
    assert motions == ["predicted", "truth", "constant", "swap"] and plan.publication is None


@pytest.mark.parametrize("steps", [["render", "evaluate"], ["evaluate"]])
def test_the_evaluator_takes_its_words(steps):
    inputs = ["inputs/ground_truth", "inputs/prediction-0", "inputs/prediction-1"] if len(steps) == 1 else ["model/m"]
    plan = commands.plan("evaluate", claim("evaluation", steps, *inputs), Path("/w"), None)
    written = set()
    for command in plan.commands:
        assert command.argv[:2] == ("-m", "eval")
        words = evaluator._arguments(command.argv[2:])
        written |= {words.out_json, words.out_html, words.out_csv}
        assert words.compare is None or set(words.compare) <= written
    assert {path for path in plan.publication.files.values() if path.suffix != ".mp4"} - {Path("/w/scores.json")} <= written


def test_every_stage_of_the_evaluator_has_its_weight():
    sources = [path.read_text() for path in Path(evaluator.__file__).parent.glob("*.py")]
    said = {stage for source in sources for stage in re.findall(r'reporter\.(?:track|progress)\(.*?"(.+?)"', source)}
    assert said == set(commands.EVALUATE_STAGES) > commands.LIPS


def test_unknown_steps_and_missing_inputs():
    for step, wrong in (("train", claim("rendering", ["render"])), ("render", claim("rendering", ["render"]))):
        with pytest.raises(KeyError):
            commands.plan(step, wrong, Path("/w"), None)


@pytest.mark.parametrize(
    ("ending", "code", "word"),
    [
        (Ending(75, None, {"code": "disk_busy", "message": "m"}, ""), 75, "disk_busy"),
        (Ending(1, None, None, ""), 1, "step_crashed"),
        (Ending(-11, None, None, ""), 139, "step_crashed"),
        (Ending(-9, None, None, ""), 137, "step_killed"),
        (Ending(1, None, None, "torch.OutOfMemoryError: CUDA out of memory."), 1, "step_killed"),
        (Ending(1, None, None, "OSError: [Errno 28] No space left on device: 'a.npz'"), 75, "disk_full"),
    ],
)
def test_words_of_endings(ending, code, word):
    found = words.of_ending(ending)
    assert (found.exit_code, found.code) == (code, word) and found.message


def test_words_fit_the_termination_log(tmp_path):
    words.write(tmp_path / "log", "c", "面" * 5000 + "\ud800")
    assert (tmp_path / "log").stat().st_size < 4096
    for number in (errno.ENOSPC, errno.EDQUOT):
        assert words.of_error(OSError(number, os.strerror(number)))[:2] == (75, "disk_full")
