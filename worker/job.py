"""One claimed step of a Job, from its inputs to what it hands over."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from steps.errors import StoppedError, TryAgainError
from worker import child, commands, publishing, words
from worker.checkpoints import Checkpoints
from worker.commands import Plan, Publication
from worker.control import Control
from worker.door import Door
from worker.errors import RefusedError
from worker.lines import Line, say
from worker.patience import Patience
from worker.progress import Progress, span
from worker.protocol import Claim, File
from worker.reporting import Reporting, echo
from worker.settings import TOKEN_VARIABLE, Settings
from worker.spool import Spool
from worker.training import Training
from worker.transfer import Transfer


def own_folder(settings: Settings) -> Path:
    """The worker's own folder in the work folder. It is there once this pod has owned the attempt."""
    return settings.work_dir.resolve() / ".worker"


class StepRun:
    """Carries one claimed step out. `waiting` ends with a stop; `saving`, for what keeps work, lasts until the grace is over."""

    def __init__(
        self, settings: Settings, step: str, claim: Claim, door: Door, transfer: Transfer,
        control: Control, waiting: Patience, saving: Patience,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._step = step
        self._claim = claim
        self._door = door
        self._transfer = transfer
        self._control = control
        self._waiting = waiting
        self._saving = saving
        self._work = settings.work_dir.resolve()
        self._own = own_folder(settings)
        self._own.mkdir(parents=True, exist_ok=True)
        labels = {"request": claim.request, "attempt": claim.attempt, "kind": claim.kind, "avatar": claim.avatar, "step": step}
        interval = settings.report_interval or claim.report_seconds
        self._reporting = Reporting(door, Spool(self._own, step), labels, control, waiting, interval)
        self._training = Training(claim, door, self._work, self._own, waiting, self._fetch, self._command)
        self._checkpoints: Checkpoints | None = None

    def carry_out(self) -> None:
        """The whole step. Raises what ended it early; then the caller has to call `end`."""
        plan = self._plan()
        weights = commands.STEP_WEIGHTS.get(self._claim.kind, {})
        self._reporting.measure(Progress(*span(weights, self._claim.steps, self._step), plan.parts))
        self._reporting.enter(commands.FETCH.name)
        if self._step == "preprocess" and self._training.published_dataset() is not None:
            self._reporting.say("dataset found: preprocessing is skipped")
            self._reporting.close(self._waiting, done=True)
            return
        self._fetch(plan.inputs)
        for path, text in plan.texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if self._step == "train":
            self._prepare_training()
        for command in plan.commands:
            self._reporting.enter(command.part.name)
            self._command(command.argv)
        if self._checkpoints:
            self._checkpoints.close(flush=False)
        self._reporting.enter(commands.UPLOAD.name)
        self._hand_over(plan.publication)

    def end(self, code: str, message: str, said: bool) -> None:
        """After a failure or a stop: saves the last checkpoint, says the last words (unless `said`), sends the lines left."""
        if self._checkpoints:
            self._checkpoints.close(flush=True)
        try:
            if not said:
                self._reporting.say(message, "error", code=code)
        finally:  # a full disk takes no line; what was said before still goes out
            try:
                self._reporting.close(self._saving)
            except (RefusedError, TryAgainError, StoppedError) as error:
                echo(say(f"the last lines did not reach the API: {error}", "warning"), {"step": self._step})

    def is_published(self) -> bool:
        """Whether the API says that this attempt's result is there."""
        try:
            return self._door.claim(self._saving).published
        except (RefusedError, TryAgainError, StoppedError):
            return False

    def _plan(self) -> Plan:
        try:
            return commands.plan(self._step, self._claim, self._work, self._settings.device)
        except KeyError as error:
            kind = self._claim.kind
            raise TryAgainError("step_unknown", f"this worker knows no {self._step} of this {kind}: {error}") from error

    def _prepare_training(self) -> None:
        self._training.fetch_dataset()
        resumed = self._training.fetch_checkpoint()
        if resumed:
            self._reporting.say(f"resuming from checkpoint {resumed}")
        last = self._claim.checkpoint.step if self._claim.checkpoint else 0
        shelf = self._own / "checkpoints"
        self._checkpoints = Checkpoints(
            self._transfer, self._door, shelf, self._control, self._saving, self._reporting.say, last
        )  # fmt: skip

    def _fetch(self, files: Mapping[Path, File]) -> None:
        started = time.monotonic()
        size = self._transfer.fetch(files, self._waiting)
        if files:
            self._reporting.say(f"fetched {len(files)} files, {size} bytes, in {time.monotonic() - started:.1f} s")

    def _command(self, argv: Sequence[str]) -> Line | None:
        """Runs one command of the step, which sees no credential. Returns the JSON object that it printed."""
        self._control.raise_if_over()
        env = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
        ending = child.run(argv, env, self._on_line, self._control)
        self._control.raise_if_over()
        if ending.code != 0:
            raise words.of_ending(ending)
        return ending.result

    def _on_line(self, line: Line) -> None:
        self._reporting.line(line)
        folder = line.get("checkpoint")
        if self._checkpoints and isinstance(folder, str):
            self._checkpoints.offer(Path(folder))

    def _hand_over(self, publication: Publication | None) -> None:
        if publication is None:
            self._reporting.close(self._waiting, done=True)
        elif publication.what == "dataset":
            self._publish_dataset(publication)
        else:
            self._publish_result(publication)

    def _publish_dataset(self, publication: Publication) -> None:
        key, video = self._training.dataset_key(), self._claim.input("inputs/video").sha256

        def call(files: Sequence[File]) -> bool:
            return self._door.publish_dataset(self._waiting, key, video, files)

        first = publishing.publish(call, publishing.paths(publication), self._transfer, self._waiting)
        self._reporting.say("dataset published" if first else "dataset made, but another training was first to publish it")
        self._reporting.close(self._waiting, done=True)

    def _publish_result(self, publication: Publication) -> None:
        scores = publishing.scores(publication)
        paths = publishing.paths(publication)
        result = {"outputs": dict(publication.outputs), "scores": scores, **publishing.kept(publication)}

        def call(files: Sequence[File]) -> None:
            # The result ends the request and, with it, the reports: every line goes before it.
            self._reporting.close(self._waiting, done=True)
            self._door.publish_result(self._waiting, result, files)

        publishing.publish(call, paths, self._transfer, self._waiting)
