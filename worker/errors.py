"""What can stand in the worker's way. What ends the step is a steps.errors.StepError; the rest is caught on the way."""

from steps.errors import Exit, StoppedError, TryAgainError


class RefusedError(Exception):
    """The API said no (4xx): `code` is that of its problem document."""

    exit_code = Exit.TRY_AGAIN

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} [{status} {code}]")
        self.status = status
        self.code = code
        self.message = message


class AttemptOwnedError(RefusedError):
    """Another run of this Job was first and is alive: this one is its twin."""


class AttemptFinalError(RefusedError):
    """The request is final or the attempt closed: there is nothing left to do."""

    exit_code = Exit.STOPPED


class AttemptStaleError(RefusedError):
    """A newer attempt has taken over, or the request was deleted: nothing may be written any more."""

    exit_code = Exit.STOPPED


class AssetChangedError(RefusedError):
    """An input is no longer what was uploaded: the same request fails again."""

    exit_code = Exit.INPUT


class AwayError(TryAgainError):
    """The API or the object store gave no answer until the deadline."""

    def __init__(self, cause: str) -> None:
        super().__init__("platform_unreachable", f"the platform gave no answer until the deadline: {cause}")


class InterruptedWaitError(StoppedError):
    """The step was stopped while something waited."""

    def __init__(self) -> None:
        super().__init__("stopped")


REFUSALS: dict[str, type[RefusedError]] = {
    "attempt_owned": AttemptOwnedError,
    "attempt_final": AttemptFinalError,
    "attempt_stale": AttemptStaleError,
    "attempt_not_found": AttemptStaleError,
    "asset_changed": AssetChangedError,
}
"""By the code of the API's problem document."""

OVER = (AttemptOwnedError, AttemptFinalError, AttemptStaleError)
"""Refusals after which this run has no say any more."""
