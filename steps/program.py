"""The frame around a step's command: SIGTERM, last words, exit code, the result on stdout."""

import json
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from steps.errors import Exit, StepError, StoppedError
from steps.progress import Reporter

_stop_requested = False


def stop_requested() -> bool:
    """Whether SIGTERM has arrived: save what is worth keeping, then raise StoppedError."""
    return _stop_requested


def check_stop() -> None:
    """Raises StoppedError when SIGTERM has arrived. For loops that have nothing to save."""
    if _stop_requested:
        raise StoppedError("stopped")


def run(command: Callable[[Reporter], dict[str, Any]]) -> Exit:
    """Runs one command of a step: its result goes to stdout as one JSON object, a StepError becomes last words and an exit code.

    Any other exception is a crash: its traceback goes to stderr and Python's exit code 1 stands.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    with Reporter() as reporter:
        try:
            result = command(reporter)
        except StepError as error:
            reporter.failure(error.code, error.message)
            return error.exit_code
        except KeyboardInterrupt:
            reporter.failure("stopped", "stopped by the keyboard")
            return Exit.STOPPED
        json.dump(result, sys.stdout, ensure_ascii=False, allow_nan=False)
        sys.stdout.write("\n")
        return Exit.DONE


def _on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    global _stop_requested  # noqa: PLW0603 - a signal is the process's own
    _stop_requested = True
