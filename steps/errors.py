"""How a step fails, and with which exit code.

| exit | means |
| --- | --- |
| 0 | done |
| 64 | the input is at fault: the same input fails again, so it is never retried |
| 75 | try again later: something outside the input was in the way |
| 143 | stopped by SIGTERM, checkpoint flushed |

Anything else is a crash.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of a step program (64 and 75 as in sysexits.h, 143 as a shell reports SIGTERM)."""

    DONE = 0
    INPUT = 64
    TRY_AGAIN = 75
    STOPPED = 143


class StepError(Exception):
    """A failure with a stable `code` and a sentence that a person can act on."""

    exit_code: Exit

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InputError(StepError):
    """The input is at fault."""

    exit_code = Exit.INPUT


class TryAgainError(StepError):
    """Something outside the input was in the way."""

    exit_code = Exit.TRY_AGAIN


class StoppedError(StepError):
    """SIGTERM arrived; what was done so far is on disk."""

    exit_code = Exit.STOPPED

    def __init__(self, message: str = "stopped; the checkpoint is on disk") -> None:
        super().__init__("stopped", message)
