import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geneface import checkpoints, dataset, loop, train
from geneface.checkpoints import Checkpoint
from geneface.motion.generic import prior
from geneface.sound import features
from media import pictures
from steps.errors import InputError, StoppedError, TryAgainError
from steps.progress import Reporter


class Toy:
    """Learns a plane with noise and dropout."""

    name, steps, learning_rate = "toy", 30, 1e-2

    def __init__(self):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.seen = 0
        self.bad = frozenset()
        self.stop_at = None
        self.batch, self.fits = 16, 16
        self.scores = iter(())

    def loss(self, rng):
        self.seen += 1
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        if self.batch > self.fits:
            raise torch.OutOfMemoryError
        inputs = torch.from_numpy(rng.normal(size=(self.batch, 4)).astype(np.float32))
        loss = (self.model(inputs + 0.1 * torch.randn(self.batch, 4)) - inputs.sum(1, keepdim=True)).square().mean()
        return loss * math.nan if self.seen in self.bad else loss

    def validate(self):
        return next(self.scores, None)

    def sample(self):
        return np.full((4, 6, 3), self.seen, np.uint8)

    def conclude(self):
        return {}


def target(folder):
    return loop.Checkpointing(folder, {"plan": 1}, {"before": {"x": torch.ones(2)}})


def weights(toy):
    return torch.cat([p.detach().flatten() for p in toy.model.parameters()])


def test_a_killed_training_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    whole = Toy()
    alone = loop.train(whole, target(tmp_path / "a"), Reporter(), 5)
    killed = Toy()
    killed.stop_at = 17
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, target(tmp_path / "b"), Reporter(), 5)
    found = checkpoints.newest(tmp_path / "b", ("toy",))
    assert found.step == 16 and set(found.groups) == {"before", "toy", "optimizer"}
    going_on = Toy()
    torch.manual_seed(99)
    report = loop.train(going_on, target(tmp_path / "b"), Reporter(), 5, found)
    assert report["resumed_at"] == 16 and going_on.seen == 14 and report["loss"] == alone["loss"]
    assert torch.equal(weights(going_on), weights(whole))


def test_another_seed_is_another_training(tmp_path):
    first, second = Toy(), Toy()
    loop.train(first, target(tmp_path), Reporter(), 1)
    loop.train(second, target(tmp_path), Reporter(), 2)
    assert not torch.equal(weights(first), weights(second))


def test_a_loss_that_is_no_number_changes_nothing(tmp_path):
    toy = Toy()
    toy.bad = {3, 4}
    report = loop.train(toy, target(tmp_path), Reporter(), 0)
    assert report["updates_skipped"] == 2 and torch.isfinite(weights(toy)).all()


def test_a_training_of_nothing_but_nan_gives_up(tmp_path):
    toy, lines = Toy(), io.StringIO()
    toy.bad = frozenset(range(1000))
    with pytest.raises(TryAgainError) as raised:
        loop.train(toy, target(tmp_path), Reporter(lines), 0)
    assert raised.value.code == "training_diverged"
    assert lines.getvalue() and "NaN" not in lines.getvalue()


def test_a_training_that_runs_off_goes_back_and_on_more_slowly(tmp_path, monkeypatch):
    toy, lines = Toy(), io.StringIO()
    toy.bad = frozenset(range(18, 18 + loop.MAX_SKIPPED))
    toy.steps = 60
    monkeypatch.setattr(loop, "GOOD_EVERY", 10)
    report = loop.train(toy, target(tmp_path), Reporter(lines), 0)
    assert report["rescues"] == 1 and report["updates_skipped"] == loop.MAX_SKIPPED
    assert "back to step 10" in lines.getvalue()  # at 20 and 30 it had run off already
    assert torch.isfinite(weights(toy)).all()


def test_a_training_killed_while_it_runs_off_goes_back_as_if_it_had_not_been(tmp_path, monkeypatch):
    """Bad are the steps 14 to 33: the way back leads to 10, also from the checkpoint of step 24."""
    monkeypatch.setattr(loop, "GOOD_EVERY", 10)
    whole, killed, going_on = Toy(), Toy(), Toy()
    whole.steps = killed.steps = going_on.steps = 60
    whole.bad = killed.bad = frozenset(range(15, 15 + loop.MAX_SKIPPED))
    report = loop.train(whole, target(tmp_path / "a"), Reporter(), 5)
    killed.stop_at = 25
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, target(tmp_path / "b"), Reporter(), 5)
    found, lines = checkpoints.newest(tmp_path / "b", ("toy",)), io.StringIO()
    assert found.step == 24
    going_on.bad = frozenset(range(1, 11))
    again = loop.train(going_on, target(tmp_path / "b"), Reporter(lines), 5, found)
    assert "back to step 10" in lines.getvalue() and torch.equal(weights(going_on), weights(whole))
    assert {key: report[key] for key in ("rescues", "updates_skipped", "loss")} == {
        "rescues": 1, "updates_skipped": loop.MAX_SKIPPED, "loss": again["loss"],
    }  # fmt: skip


@pytest.mark.parametrize("at", [1, 13])
def test_a_training_gone_on_with_has_a_way_back(tmp_path, monkeypatch, at):
    killed, going_on, lines = Toy(), Toy(), io.StringIO()
    killed.stop_at = at + 1
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, target(tmp_path), Reporter(), 5)
    going_on.steps, going_on.bad = 60, frozenset(range(3, 3 + loop.MAX_SKIPPED))
    report = loop.train(going_on, target(tmp_path), Reporter(lines), 5, checkpoints.newest(tmp_path, ("toy",)))
    assert report["rescues"] == 1 and f"back to step {at}," in lines.getvalue()


def test_after_a_way_back_no_later_checkpoint_is_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "GOOD_EVERY", 10)
    checkpoints.save(tmp_path, Checkpoint("toy", 25, {}, {"toy": {"x": torch.ones(1)}}))
    toy = Toy()
    toy.steps, toy.bad, toy.stop_at = 60, frozenset(range(15, 15 + loop.MAX_SKIPPED)), 15 + loop.MAX_SKIPPED
    with pytest.raises(KeyboardInterrupt):
        loop.train(toy, target(tmp_path), Reporter(), 0)
    found = checkpoints.newest(tmp_path, ("toy",))
    assert found.step == 10 and found.state["course"]["rescues"] == 1


def test_a_training_stopped_at_its_first_step_goes_on(tmp_path, monkeypatch):
    """Nothing to keep of the optimiser yet, also beside a loss that is no number."""
    toy, going_on = Toy(), Toy()
    toy.bad = frozenset({1})
    monkeypatch.setattr(loop, "stop_requested", lambda: toy.seen == 1)
    with pytest.raises(StoppedError):
        loop.train(toy, target(tmp_path), Reporter(), 0)
    monkeypatch.undo()
    report = loop.train(going_on, target(tmp_path), Reporter(), 0, checkpoints.newest(tmp_path, ("toy",)))
    assert report["updates_skipped"] == 1 and report["resumed_at"] == 1


def test_the_best_weights_are_kept_also_over_a_restart(tmp_path, monkeypatch):
    whole = Toy()
    whole.scores = iter([0.9, 0.5, 0.4, 0.7, 0.8, 0.6])
    report = loop.train(whole, target(tmp_path / "a"), Reporter(), 5)
    assert [step for step, _ in report["validation"]] == [18, 20, 23, 25, 28, 30]
    assert report["best_step"] == report["validation"][2][0]
    last = Toy()
    loop.train(last, target(tmp_path / "b"), Reporter(), 5)
    assert not torch.equal(weights(whole), weights(last))
    killed = Toy()
    killed.scores, killed.stop_at = iter([0.9, 0.5, 0.4]), 27
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, target(tmp_path / "c"), Reporter(), 5)
    going_on = Toy()
    going_on.scores = iter([0.7, 0.8, 0.6])
    again = loop.train(going_on, target(tmp_path / "c"), Reporter(), 5, checkpoints.newest(tmp_path / "c", ("toy",)))
    assert torch.equal(weights(going_on), weights(whole)) and again["best_step"] == report["best_step"]


def test_pictures_show_how_far_a_training_is(tmp_path):
    lines, folder = io.StringIO(), tmp_path / "samples"
    loop.train(Toy(), loop.Checkpointing(tmp_path, {}, {}, folder), Reporter(lines), 5)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"toy-{step:07d}.png" for step in (18, 20, 23, 25, 28, 30)]
    assert pictures.read(folder / names[0], 6, 4)[0, 0].tolist() == [18, 18, 18]
    assert [Path(line["sample"]).name for line in map(json.loads, lines.getvalue().splitlines()) if "sample" in line] == names


def test_memory_that_runs_out_is_answered_once(tmp_path):
    toy, lines = Toy(), io.StringIO()
    toy.fits = 8
    report = loop.train(toy, target(tmp_path), Reporter(lines), 0)
    assert report["batch"] == 8 and "batch of 8" in lines.getvalue()
    toy = Toy()
    toy.fits = 4
    with pytest.raises(InputError) as raised:
        loop.train(toy, target(tmp_path), Reporter(), 0)
    assert raised.value.code == "out_of_memory"


def test_sigterm_leaves_a_checkpoint(tmp_path, monkeypatch):
    toy = Toy()
    monkeypatch.setattr(loop, "stop_requested", lambda: toy.seen == 7)
    with pytest.raises(StoppedError):
        loop.train(toy, target(tmp_path), Reporter(), 0)
    assert checkpoints.newest(tmp_path, ("toy",)).step == 7


def test_checkpoints_are_whole_two_and_in_order(tmp_path):
    for stage, step in (("motion", 900), ("motion", 1000), ("plane", 5)):
        checkpoints.save(tmp_path, Checkpoint(stage, step, {}, {"w": {"x": torch.full((2,), float(step))}}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["motion-0001000", "plane-0000005"]
    newest = checkpoints.newest(tmp_path, ("motion", "plane"))
    assert newest.name == "plane-0000005" and newest.groups["w"]["x"][0] == 5
    (tmp_path / "plane-0000005" / "w.safetensors").write_bytes(b"torn")
    lines = io.StringIO()
    assert checkpoints.newest(tmp_path, ("motion", "plane"), Reporter(lines)).step == 1000
    told = json.loads(lines.getvalue())
    assert told["level"] == "warning" and "plane-0000005 cannot be read" in told["message"]


def test_checkpoints_of_another_plan_are_told_of_and_removed(tmp_path):
    def resumable(plan):
        lines = io.StringIO()
        found = checkpoints.resumable(tmp_path, ("toy",), {"seed": plan}, Reporter(lines))
        return found and found.step, lines.getvalue()

    assert resumable(1) == (None, "")
    checkpoints.save(tmp_path, Checkpoint("toy", 7, {"plan": {"seed": 1}}))
    step, told = resumable(1)
    assert step == 7 and "going on from toy-0000007" in told
    step, told = resumable(2)
    assert step is None and "belongs to other data" in told and not tmp_path.exists()


def test_a_plan_names_the_generic_prior(data, tiny, tmp_path, monkeypatch):
    def plan():
        return train.plan_of(dataset.Dataset.load(data), tiny.profile, "plane", tiny.settings, 0, features.Mel())

    shipped = plan()
    assert len(shipped["prior"]) == 64 and json.loads(json.dumps(shipped)) == shipped
    monkeypatch.setattr(prior, "SHIPPED", tmp_path)
    assert plan()["prior"] == "none"
    (tmp_path / "prior_mel.safetensors").write_bytes(b"another")
    assert {**plan(), "prior": shipped["prior"]} == shipped and plan()["prior"] not in (shipped["prior"], "none")


def test_learning_rate_rises_and_falls():
    rates = [loop.rate(step, 100, 1.0) for step in range(100)]
    assert rates[0] < rates[4] == max(rates) and rates[-1] < 0.02
