"""Last words and exit codes: what the cluster, and so the user, learns of a step that did not end well."""

import errno
import json
from pathlib import Path

from steps.errors import Exit, StepError
from worker.child import Ending
from worker.errors import RefusedError

LONGEST = 1000
"""Characters of a message; the cluster keeps 4,096 bytes of last words."""

CRASHED = "worker_crashed"
"""The worker's own fault."""

_SIGKILL = -9
_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "out of memory", "std::bad_alloc")
_DISK_FULL = "No space left on device"


class CommandError(Exception):
    """A step's command ended with a code of its own."""

    def __init__(self, exit_code: int, code: str, message: str, said: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.said = said
        """Whether the command has said so itself."""


def of_ending(ending: Ending) -> CommandError:
    """What is to be said of a command that did not end with 0 and was not asked to stop."""
    exit_code = ending.code if ending.code >= 0 else 128 - ending.code
    if ending.words:
        return CommandError(exit_code, ending.words["code"], ending.words["message"], said=True)
    if ending.code == _SIGKILL:
        return CommandError(exit_code, "step_killed", "the step was killed (SIGKILL), most likely because memory ran out")
    if any(sign in ending.last_line for sign in _OUT_OF_MEMORY):
        return CommandError(exit_code, "step_killed", f"the step ran out of memory: {ending.last_line}")
    if _DISK_FULL in ending.last_line:
        return CommandError(Exit.TRY_AGAIN, "disk_full", f"no space was left for the step: {ending.last_line}")
    if ending.code < 0:
        return CommandError(exit_code, "step_crashed", f"the step ended by signal {-ending.code}: {ending.last_line}")
    return CommandError(exit_code, "step_crashed", ending.last_line or f"the step ended with exit code {ending.code}")


def of_error(error: BaseException) -> tuple[int, str, str]:
    """Exit code, `code` and message for whatever ended the worker."""
    match error:
        case CommandError() | StepError() | RefusedError():
            return error.exit_code, error.code, error.message
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Exit.TRY_AGAIN, "disk_full", f"no space is left in the work folder: {error}"
        case _:
            return 1, CRASHED, f"{type(error).__name__}: {error}"


def write(path: Path, code: str, message: str) -> None:
    """Leaves the last words where the cluster looks for them."""
    short = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    path.write_text(json.dumps({"code": code, "message": short}, ensure_ascii=False), encoding="utf-8", errors="replace")
