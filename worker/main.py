"""The worker's frame: from the environment to an exit code."""

import traceback

from steps.errors import Exit
from worker import claiming, words
from worker.control import Control
from worker.door import Door, open_client
from worker.errors import AttemptFinalError
from worker.job import StepRun, own_folder
from worker.lines import say
from worker.patience import Patience
from worker.reporting import echo
from worker.settings import Settings
from worker.transfer import Transfer


def main(settings: Settings, step: str) -> int:
    """Runs one step. Returns its exit code, once the last words are written."""
    control = Control(settings.grace)
    with control.listening(), open_client() as client:
        token = settings.attempt_token.get_secret_value()
        door = Door(client, str(settings.api_url), settings.attempt, token, settings.run, step)
        return _run(settings, step, door, Transfer(client, door, settings.parallel), control)


def _run(settings: Settings, step: str, door: Door, transfer: Transfer, control: Control) -> int:
    limits = settings.deadline, settings.backoff_first, settings.backoff_most
    waiting, saving = Patience(*limits, wake=control.stopping), Patience(*limits, wake=control.abandoned)
    owned_before = own_folder(settings).exists()
    run: StepRun | None = None
    try:
        claim = claiming.claim(door, waiting, control)
        if not claim.published:
            run = StepRun(settings, step, claim, door, transfer, control, waiting, saving)
            run.carry_out()
        return Exit.DONE
    except Exception as error:
        cause = control.cause or error
        if isinstance(cause, AttemptFinalError) and (run.is_published() if run else not owned_before):
            return Exit.DONE
        return _fail(settings, run, cause)


def _fail(settings: Settings, run: StepRun | None, cause: Exception) -> int:
    exit_code, code, message = words.of_error(cause)
    if code == words.CRASHED:
        _note("".join(traceback.format_exception(cause)), "error")
    try:
        words.write(settings.termination_log, code, message)
    except OSError as error:
        _note(f"the last words could not be written: {error}", "warning")
    if run is None:
        _note(message, "error", code=code)
        return exit_code
    try:
        run.end(code, message, said=isinstance(cause, words.CommandError) and cause.said)
    except Exception as error:  # a full disk fails twice; the exit code stays that of the first failure
        _note(f"not everything could be saved at the end: {type(error).__name__}: {error}", "warning")
    return exit_code


def _note(message: str, level: str, **fields: str) -> None:
    echo(say(message, level, **fields), {})
